"""Small payloads, and a Windows of our own (wine) to install them in."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

_SILENT = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
UNINSTALL = r"HKCU\Software\Microsoft\Windows\CurrentVersion\Uninstall\CellSeg1Studio"
CLASSES = r"HKCU\Software\Classes"
needs_makensis = pytest.mark.skipif(shutil.which("makensis") is None, reason="makensis is not installed (apt: nsis)")
needs_wine = pytest.mark.skipif(
    shutil.which("wine") is None or shutil.which("makensis") is None,
    reason="wine or makensis is not installed (apt: wine wine64 nsis)",
)
needs_mingw = pytest.mark.skipif(
    shutil.which("x86_64-w64-mingw32-gcc") is None, reason="MinGW is not installed (apt: gcc-mingw-w64-x86-64)"
)


def fill(folder, files, *, empty=()):
    """Write files (text or bytes by relative name), and both programs, into a new folder."""
    files = {"CellSeg1Studio.exe": "window", "cellseg1.exe": "command"} | files
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    for name in empty:
        (folder / name).mkdir(parents=True)
    return folder


def tree(folder):
    """Relative names of all files."""
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


class Windows:
    """A wine prefix with a home of its own."""

    def __init__(self, folder):
        self.home = folder / "home"
        self.home.mkdir()
        self.prefix = folder / "prefix"
        self.drive = self.prefix / "drive_c"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "WINEPREFIX": str(self.prefix),
            "WINEDEBUG": "-all",
            # No browser, no .NET, and no debugger that waits for a person.
            "WINEDLLOVERRIDES": "winedbg.exe=d;mscoree=d;mshtml=d;winemenubuilder.exe=d",
            "LC_ALL": "C.UTF-8",
        }
        self.run("wineboot", "-i")
        # The server stays until `close`; else every program would start it again.
        subprocess.run(["wineserver", "-p"], env=self.environment, check=False, **_SILENT)
        self.run("winecfg", "-v", "win10")
        self.user = next(path for path in (self.drive / "users").iterdir() if path.name != "Public")

    def run(self, *command, timeout=60):
        """Run a program to its end; returns exit code and output."""
        words = [*(["wine"] if command[0] not in ("wineboot", "winecfg") else []), *map(str, command)]
        # A file, not a pipe: wine's own services live on and would keep a pipe open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                words,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=timeout,
                check=False,
            )
            output.seek(0)
            return done.returncode, output.read().decode(errors="replace")

    def start(self, *command):
        """Start a program and let it run."""
        return subprocess.Popen(["wine", *map(str, command)], env=self.environment, **_SILENT)

    def wait_for(self, name):
        """Wait until a program has written this file on drive C."""
        ends = time.monotonic() + 20
        while not (self.drive / name).exists():
            assert time.monotonic() < ends, f"{name} does not come"
            time.sleep(0.1)

    def install(self, setup, *options, folder=None, timeout=60):
        """Install silently; returns the exit code.  A path behind /D= is never quoted: it goes on to the line's end."""
        end = [] if folder is None else ("/D=" + self.windows_path(folder)).split(" ")
        return self.run(setup, "/S", *options, *end, timeout=timeout)[0]

    def uninstall(self, folder):
        """Remove silently and wait for the end (`_?=`); returns the exit code.  Leaves uninstall.exe: it is running."""
        copy = self.drive / "remove.exe"
        shutil.copyfile(folder / "uninstall.exe", copy)
        return self.run(copy, "/S", *("_?=" + self.windows_path(folder)).split(" "))[0]

    def windows_path(self, folder):
        """Name a folder of drive C as Windows does."""
        return "C:\\" + str(folder.relative_to(self.drive)).replace("/", "\\")

    def values(self, key):
        """All values below a registry key by "subkey|name" (the default's name is empty); empty without the key."""
        found, here = {}, ""
        for line in self.run("reg", "query", key, "/s")[1].splitlines():
            if line.startswith("HKEY_"):
                here = line.strip().partition(key.partition("\\")[2])[2].strip("\\")
                found[here] = ""
            elif "    REG_" in line:
                name, _, value = line.strip().partition("    ")
                found[f"{here}|{'' if name == '(Default)' else name}"] = value.partition("    ")[2].strip()
        return found

    def log(self):
        """What a setup that refused has said."""
        found = list(self.prefix.rglob("cellseg1-setup.log"))
        assert len(found) == 1
        text = found[0].read_text(encoding="utf-16").strip()
        found[0].unlink()
        return text

    @property
    def programs(self):
        """The user's folder of programs."""
        return self.user / "AppData/Local/Programs"

    @property
    def links(self):
        """Links in the Start menu and on the desktop."""
        places = (self.user, self.home)
        return sorted({path.resolve() for place in places for path in place.rglob("CellSeg1*.lnk")})

    def close(self):
        """End every program of this prefix."""
        subprocess.run(["wineserver", "-k"], env=self.environment, check=False, capture_output=True)
        subprocess.run(["wineserver", "-w"], env=self.environment, check=False, capture_output=True, timeout=30)
