"""Makes the ``.run`` file: a setup for one user that needs no root.

The program is inside as a ``tar.xz`` that setup.sh unpacks straight into its place, so that the temporary folder
needs room for the compressed program only.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

from installer.linux import tree
from installer.linux.tree import HERE, PackageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SCRIPTS = ("setup.sh", "desktop.sh", "uninstall.sh")
PROGRAM = "program.tar.xz"
#: Above this size the program lies beside the .run file in parts (release pages take files below 2 GB).
LIMIT = 1_900_000_000
_HELP = """Installs CellSeg1 Studio for you alone; no administrator rights are needed.
  sh THIS_FILE                                   asks for a folder
  sh THIS_FILE --quiet -- --quiet --prefix DIR   asks nothing
  sh THIS_FILE -- --help                         lists all options of the setup

"""


def base_name(facts: Mapping[str, Any]) -> str:
    """Return the file's name without its suffix."""
    return f"CellSeg1-Studio-{facts['version']}-linux-{facts['variant']}"


def make_stage(bundle: Path, icons: Path, facts: Mapping[str, Any], stage: Path, *, level: int = 3) -> None:
    """Fill a new folder with what the ``.run`` file holds: scripts and program.

    Parameters
    ----------
    bundle
        The frozen program.
    icons
        Folder with ``hicolor`` (see `tree.draw_icons`).
    facts
        ``version``, ``variant``, ``glibc`` (two numbers), ``outside`` (see `installer.bundle.elf.outside`).
    level
        Of the compression, 0 to 9.

    Raises
    ------
    PackageError
        When the program cannot be packed, or needs something that no system is known to have.
    """
    tree.system_packages(facts["outside"])
    payload = stage.with_name(f"{stage.name}-payload")
    for folder in (stage, payload):
        shutil.rmtree(folder, ignore_errors=True)
    stage.mkdir(parents=True)
    tree.link_tree(bundle, payload)
    tree.fill_share(payload / "share", icons, tree.DESKTOP.read_text(encoding="utf-8"))
    tree.pack(payload, stage / PROGRAM, level)
    files = [path for path in payload.rglob("*") if path.is_symlink() or not path.is_dir()]
    size = sum(path.lstat().st_size for path in files)
    shutil.rmtree(payload)
    for name in SCRIPTS:
        shutil.copy2(HERE / name, stage)
        (stage / name).chmod(0o755)
    lines = {
        "version": facts["version"],
        "variant": facts["variant"],
        "glibc_major": facts["glibc"][0],
        "glibc_minor": facts["glibc"][1],
        # A tenth more: blocks of the disk, and the list of what was installed.
        "kilobytes": round(size * 1.1 / 1024),
        "files": len(files),
        "parts": f"{base_name(facts)}.tar.xz.parts",
    }
    text = "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in lines.items())
    (stage / "facts.sh").write_text(text, encoding="utf-8")


def take_out(stage: Path, out: Path, facts: Mapping[str, Any], limit: int) -> list[Path]:
    """Put the program in parts beside the ``.run`` file, where it is larger than `limit` bytes; returns the parts."""
    program = stage / PROGRAM
    if program.stat().st_size <= limit:
        return []
    from installer.packs.split import split_file

    whole = out / f"{base_name(facts)}.tar.xz"
    shutil.move(program, whole)
    made = split_file(whole, limit=limit, remove=True)
    shutil.copy2(HERE.parent / "packs" / "parts.sh", stage)
    listing = whole.with_name(f"{whole.name}.parts")
    return [*made, *([] if listing in made else [listing])]


def make_run(
    bundle: Path, icons: Path, out: Path, facts: Mapping[str, Any], work: Path, *, level: int = 3, limit: int = LIMIT
) -> list[Path]:
    """Make the ``.run`` file and, for a large program, its parts (parameters as in `make_stage` and `take_out`).

    Parameters
    ----------
    work
        Folder that is made anew.

    Returns
    -------
    The files that belong together.

    Raises
    ------
    PackageError
        When makeself is missing or fails.
    """
    makeself = shutil.which("makeself")
    if makeself is None:
        raise PackageError("makeself is not installed; on Debian or Ubuntu: apt install makeself.")
    shutil.rmtree(work, ignore_errors=True)
    stage = work / "stage"
    make_stage(bundle, icons, facts, stage, level=level)
    parts = take_out(stage, out, facts, limit)
    (work / "help.txt").write_text(_HELP, encoding="utf-8")
    target = out / f"{base_name(facts)}.run"
    words = ["--quiet", "--nocomp", "--sha256", "--nomd5", "--nocrc", "--tar-quietly"]
    words += ["--help-header", str(work / "help.txt"), str(stage), str(target)]
    words += [f"CellSeg1 Studio {facts['version']} ({facts['variant']})", "./setup.sh"]
    done = subprocess.run([makeself, *words], capture_output=True, text=True, check=False)
    if done.returncode or not target.is_file():
        raise PackageError(f"makeself failed: {(done.stderr or done.stdout).strip().splitlines()[-1:]}")
    shutil.rmtree(work)
    return [target, *parts]
