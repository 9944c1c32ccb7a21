"""A stand-in for the frozen program: the same layout, a few kilobytes."""

import shutil
from pathlib import Path

FACTS = {
    "version": "0.1.0",
    "variant": "cpu",
    "glibc": [2, 17],
    "outside": {"libc.so.6": "cellseg1-studio", "libEGL.so.1": "x", "libwayland-client.so.0": "y"},
}


def bundle(folder, *, version="0.1.0", extra=()):
    """Make the stand-in: a real program under the window's name, the link, resources."""
    inner = folder / "_internal"
    resources = inner / "resources"
    resources.mkdir(parents=True)
    shutil.copy2(shutil.which("sleep"), folder / "cellseg1-studio")
    (folder / "cellseg1").symlink_to("cellseg1-studio")
    for name in ("LICENSE", "NOTICE", "LICENCES.txt"):
        (resources / name).write_text(f"{name} of the stand-in")
    (inner / "version").write_text(version)
    for name in extra:
        path = inner / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return folder


def everything(folder):
    """All paths below a folder, for comparing before and after."""
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*"))
