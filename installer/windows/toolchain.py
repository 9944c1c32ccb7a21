"""Runs the two tools that make Windows programs: a C compiler (MinGW-w64) and makensis."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
#: On Windows the compiler is plain gcc of MinGW-w64.
_COMPILERS = ("x86_64-w64-mingw32-gcc", "gcc")
_RESOURCES = ("x86_64-w64-mingw32-windres", "windres")


class ToolError(RuntimeError):
    """A tool is missing or failed; the text is for the person who builds."""


def find_tool(*names: str) -> str:
    """Return the first of these programs that is installed.

    Raises
    ------
    ToolError
        When none is.
    """
    for name in names:
        if found := shutil.which(name):
            return found
    raise ToolError(f"{names[0]} is not installed; on Debian or Ubuntu: apt install nsis gcc-mingw-w64-x86-64.")


def run(command: list[str], *, folder: Path | None = None) -> str:
    """Run a tool; returns what it printed.

    Raises
    ------
    ToolError
        With the end of its output when it fails.
    """
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode:
        tail = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise ToolError(f"{Path(command[0]).name} failed with {done.returncode}:\n{tail}")
    return done.stdout + done.stderr


def version_numbers(version: str) -> tuple[int, int, int, int]:
    """Return the four numbers of a Windows version resource; what follows the release number is left out."""
    numbers = [int(one) for one in re.findall(r"\d+", re.split(r"[^\d.]", version, maxsplit=1)[0])][:4]
    first, second, third, fourth = (*numbers, 0, 0, 0, 0)[:4]
    return first, second, third, fourth


def compile_program(
    source: Path,
    out: Path,
    work: Path,
    *,
    icon: Path,
    version: str,
    description: str,
    window: bool = False,
    libraries: tuple[str, ...] = (),
) -> Path:
    """Compile one C file into a 64-bit Windows program with icon, version and manifest.

    Parameters
    ----------
    window
        A program without a console, compiled with WINDOW defined.
    libraries
        Names for ``-l``.

    Returns
    -------
    Path
        `out`.

    Raises
    ------
    ToolError
        When the compiler is missing or finds a mistake.
    """
    work.mkdir(parents=True, exist_ok=True)
    manifest = work / "program.manifest"
    shutil.copyfile(HERE / "program.manifest", manifest)
    shutil.copyfile(icon, work / "program.ico")
    header = work / "program_values.h"
    numbers = ",".join(map(str, version_numbers(version)))
    header.write_text(
        f'#define ICON_FILE "program.ico"\n#define MANIFEST_FILE "program.manifest"\n'
        f'#define VERSION_NUMBERS {numbers}\n#define VERSION_TEXT "{version}"\n'
        f'#define DESCRIPTION "{description}"\n#define FILE_NAME "{out.name}"\n',
        encoding="utf-8",
    )
    resources = work / "program.rc"
    resources.write_text('#include "program_values.h"\n' + (HERE / "program.rc").read_text(encoding="utf-8"), "utf-8")
    compiled = work / "program.res"
    run([find_tool(*_RESOURCES), "-O", "coff", "-i", resources.name, "-o", compiled.name], folder=work)
    flags = ["-DWINDOW", "-mwindows"] if window else ["-mconsole"]
    run(
        [
            find_tool(*_COMPILERS),
            "-std=c11",
            "-O2",
            "-s",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-static",
            "-municode",
            "-D_UNICODE",
            *flags,
            "-o",
            str(out),
            str(source),
            str(compiled),
            *(f"-l{one}" for one in libraries),
        ]
    )
    return out


def makensis(script: Path, values: dict[str, str]) -> None:
    """Compile an NSIS script with these definitions; its warnings are errors.

    Raises
    ------
    ToolError
        When makensis is missing, lacks 64-bit installers (only some builds have them), or finds a mistake.
    """
    defines = [f"-D{name}={value}" for name, value in values.items()]
    run([find_tool("makensis"), "-V2", "-WX", "-INPUTCHARSET", "UTF8", *defines, str(script)])
