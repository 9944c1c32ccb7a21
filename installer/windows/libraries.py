"""Checks, without a Windows, that every library a program file asks for is in the payload or part of Windows."""

from __future__ import annotations

import re
from pathlib import Path

from installer.windows.toolchain import find_tool, run

_SUFFIXES = frozenset({".exe", ".dll", ".pyd"})
#: Libraries of Windows 10 itself (icuuc since version 1703).
_NAMES = """
advapi32 authz bcrypt bcryptprimitives cabinet comdlg32 crypt32 d3d11 d3d12 d3d9 d3dcompiler_47 dbghelp dnsapi dwmapi
dwrite dxgi gdi32 icuuc imagehlp imm32 iphlpapi kernel32 mpr msi msvcrt netapi32 ntdll ole32 oleaut32 pdh powrprof psapi
rpcrt4 secur32 setupapi shell32 shlwapi uiautomationcore user32 userenv uxtheme version winhttp winmm wintrust ws2_32
wtsapi32
"""
SYSTEM = frozenset(f"{name}.dll" for name in _NAMES.split())
#: Codecs whose libraries their wheel does not bring; imagecodecs says so when one is asked for.
OPTIONAL = {"imagecodecs/_heif.pyd", "imagecodecs/_jetraw.pyd", "imagecodecs/_jpegxs.pyd"}
_AT_ONCE = 100


def missing_libraries(payload: Path, optional: frozenset[str] = frozenset(OPTIONAL)) -> dict[str, list[str]]:
    """Return what nobody has: the names of libraries, each with the files that ask for it.

    Only where a file of the name lies is not asked: Python and the packages add their folders to the search path.

    Parameters
    ----------
    optional
        Ends of paths of files that may lack something.

    Raises
    ------
    ToolError
        When objdump (MinGW's or another that reads Windows files) is missing.
    """
    files = [path for path in sorted(payload.rglob("*")) if path.is_file()]
    have = {path.name.lower() for path in files}
    programs = [path for path in files if path.suffix.lower() in _SUFFIXES]
    tool, absent = find_tool("x86_64-w64-mingw32-objdump", "objdump"), dict[str, list[str]]()
    for start in range(0, len(programs), _AT_ONCE):
        text = run([tool, "-p", *map(str, programs[start : start + _AT_ONCE])])
        for path, name in _requests(text):
            known = name in have or name in SYSTEM or name.startswith("api-ms-win-")
            if not known and not path.endswith(tuple(optional)):
                absent.setdefault(name, []).append(Path(path).name)
    return absent


def _requests(text: str) -> list[tuple[str, str]]:
    found, path = [], ""
    for line in text.splitlines():
        if match := re.fullmatch(r"(.+):\s+file format \S+", line):
            path = match[1]
        elif match := re.fullmatch(r"\s*DLL Name: (\S+)\s*", line):
            found.append((path, match[1].lower()))
    return found
