"""The version resource of PyInstaller's programs; the launchers have theirs from `program.rc`."""

from __future__ import annotations

from installer.windows.toolchain import version_numbers

DESCRIPTIONS = {"CellSeg1Studio": "CellSeg1 Studio", "cellseg1": "CellSeg1 Studio, command"}


def pyinstaller_version_file(version: str, exe_name: str) -> str:
    """Return the text of a version file as PyInstaller reads it.

    Parameters
    ----------
    exe_name
        Name of the program without ``.exe``.
    """
    numbers = version_numbers(version)
    texts = {
        "CompanyName": "The CellSeg1 Studio developers",
        "FileDescription": DESCRIPTIONS.get(exe_name, exe_name),
        "FileVersion": version,
        "InternalName": exe_name,
        "LegalCopyright": "Copyright 2026 The CellSeg1 Studio developers. Apache License 2.0.",
        "OriginalFilename": f"{exe_name}.exe",
        "ProductName": "CellSeg1 Studio",
        "ProductVersion": version,
    }
    strings = ", ".join(f"StringStruct({name!r}, {text!r})" for name, text in texts.items())
    return (
        f"VSVersionInfo(ffi=FixedFileInfo(filevers={numbers}, prodvers={numbers}, mask=0x3f, flags=0, OS=0x40004, "
        "fileType=1, subtype=0, date=(0, 0)), kids=["
        f"StringFileInfo([StringTable('040904B0', [{strings}])]), "
        "VarFileInfo([VarStruct('Translation', [0x409, 1200])])])\n"
    )
