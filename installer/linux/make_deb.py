"""Makes the ``.deb`` package: for all users of a computer, in ``/opt``."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from installer.linux import tree
from installer.linux.tree import NAME, PackageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

#: Debian wants an address; the project has none yet.
MAINTAINER = "The CellSeg1 Studio developers <cellseg1-studio@example.org>"
PLACE = f"opt/{NAME}"
_DESCRIPTION = """CellSeg1 Studio: segment all your cells after painting a few dozen
 Paint a few dozen cells on one microscopy image; the program fine-tunes the
 Segment Anything Model on this computer and segments all other images. It
 lets you correct, check and measure what was found, and works offline.
"""


def package_name(variant: str) -> str:
    """Return the package's name; the variants are packages that exclude each other."""
    return NAME if variant == "cpu" else f"{NAME}-{variant}"


def debian_version(version: str) -> str:
    """Return the version as Debian compares it: what comes before a release has a tilde."""
    for mark in ("a", "b", "rc", ".dev"):
        head, found, tail = version.partition(mark)
        if found and tail.isdigit():
            return f"{head}~{mark.strip('.')}{tail}"
    return version


def control(facts: Mapping[str, Any], kilobytes: int) -> str:
    """Return the text of the package's control file."""
    major, minor = facts["glibc"]
    depends = [
        f"{package} (>= {major}.{minor})" if package == "libc6" else package
        for package in tree.system_packages(facts["outside"])
    ]
    others = [package_name(one) for one in ("cpu", "cuda") if one != facts["variant"]]
    fields = {
        "Package": package_name(facts["variant"]),
        "Version": debian_version(facts["version"]),
        "Architecture": "amd64",
        "Maintainer": MAINTAINER,
        "Section": "science",
        "Priority": "optional",
        "Installed-Size": str(kilobytes),
        "Depends": ", ".join(depends),
        "Recommends": "shared-mime-info, desktop-file-utils, fontconfig-config, fonts-dejavu-core",
        "Suggests": "fonts-noto-cjk",
        "Conflicts": ", ".join(others),
        "Replaces": ", ".join(others),
        "Description": _DESCRIPTION.strip("\n"),
    }
    return "".join(f"{name}: {value}\n" for name, value in fields.items())


def make_deb(bundle: Path, icons: Path, out: Path, facts: Mapping[str, Any], work: Path, *, level: int = 3) -> Path:
    """Make the package; the parameters are those of `make_run`.

    Raises
    ------
    PackageError
        When dpkg-deb is missing or fails.
    """
    tool = shutil.which("dpkg-deb")
    if tool is None:
        raise PackageError("dpkg-deb is not installed; build the package on Debian or Ubuntu.")
    shutil.rmtree(work, ignore_errors=True)
    root = work / "root"
    program = root / PLACE
    program.parent.mkdir(parents=True)
    tree.link_tree(bundle, program)
    desktop = tree.DESKTOP.read_text(encoding="utf-8").replace("@EXEC@", f"/{PLACE}/{NAME}")
    tree.fill_share(root / "usr" / "share", icons, desktop.replace("@TRYEXEC@", f"/{PLACE}/{NAME}"))
    commands = root / "usr" / "bin"
    commands.mkdir(parents=True)
    for name in ("cellseg1", NAME):
        (commands / name).symlink_to(f"/{PLACE}/{name}")
    documents = root / "usr" / "share" / "doc" / package_name(facts["variant"])
    documents.mkdir(parents=True)
    resources = bundle / "_internal" / "resources"
    texts = [(resources / name).read_text(encoding="utf-8") for name in ("NOTICE", "LICENSE", "LICENCES.txt")]
    (documents / "copyright").write_text("\n\n".join(texts), encoding="utf-8")
    for path in root.rglob("*"):
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
        elif not path.is_symlink():
            path.chmod(0o755 if path.stat().st_mode & 0o100 else 0o644)
    size = sum(path.lstat().st_size for path in root.rglob("*") if path.is_symlink() or path.is_file())
    (root / "DEBIAN").mkdir()
    (root / "DEBIAN" / "control").write_text(control(facts, round(size / 1024)), encoding="utf-8")
    target = out / f"{package_name(facts['variant'])}_{debian_version(facts['version'])}_amd64.deb"
    # Every system that is new enough for the program (its C library) has a dpkg that unpacks zstd, six times faster.
    strength = min(19, 3 * level + 1)
    words = ["--root-owner-group", "-Zzstd", f"-z{strength}", "--build", str(root), str(target)]
    done = subprocess.run([tool, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise PackageError(f"dpkg-deb failed: {done.stderr.strip()}")
    shutil.rmtree(work)
    return target
