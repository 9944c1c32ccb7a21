"""Makes the Windows setup from a finished payload folder: ``python -m installer.windows.setup_exe --help``.

A payload has `CellSeg1Studio.exe` and `cellseg1.exe` in its root; what else is in it does not matter here.  NSIS
cannot make files above 2 GB, so a large payload is divided: the setup with the first files, and numbered parts with
the others, which the setup checks (SHA-256) and runs when it is started beside them.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from installer.roots import version as own_version
from installer.windows.toolchain import HERE, ToolError, compile_program, makensis, version_numbers

PROGRAM, COMMAND = "CellSeg1Studio.exe", "cellseg1.exe"
#: Most unpacked bytes of one setup file: packed they are fewer, and makensis must hold them in its address space.
LIMIT = 1_500_000_000
#: NSIS keeps sizes of single files in 31 bits.
_LARGEST_FILE = 2**31 - 1
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{a}{n}" for a in ("com", "lpt") for n in range(1, 10))})
#: A path below the installation folder; the folder of a user with a long name needs the rest of Windows's 259.
LONGEST_PATH = 180
COMPRESSORS = ("lzma", "zlib")


class PayloadError(ValueError):
    """The payload cannot be installed on Windows; the text says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Payload:
    """What is to be installed.

    Attributes
    ----------
    files
        Relative POSIX paths with sizes in bytes, sorted; those in the root come first.
    folders
        Relative POSIX paths of all folders, deepest first.
    """

    root: Path
    files: tuple[tuple[str, int], ...]
    folders: tuple[str, ...]

    @property
    def size(self) -> int:
        """All files' bytes."""
        return sum(size for _, size in self.files)

    @property
    def longest(self) -> int:
        """Characters of the longest path, with the backslash before it."""
        return max(len(name) for name, _ in self.files) + 1


def read_payload(root: Path) -> Payload:
    """List a payload and make sure that Windows can hold it.

    Raises
    ------
    PayloadError
        When a program is missing, or a name or size is impossible on Windows.
    """
    for name in (PROGRAM, COMMAND):
        if not (root / name).is_file():
            raise PayloadError(f"The payload {root} has no {name} in it.")
    files, folders, seen = [], [], dict[str, str]()
    for path in sorted(root.rglob("*")):
        name = path.relative_to(root).as_posix()
        _check_name(name, seen)
        if path.is_symlink():
            raise PayloadError(f"The payload has a link, {name}; Windows setups hold plain files only.")
        if path.is_dir():
            folders.append(name)
            continue
        size = path.stat().st_size
        if size > _LARGEST_FILE:
            raise PayloadError(f"The file {name} has {size:,} bytes; NSIS takes {_LARGEST_FILE:,} at most.")
        files.append((name, size))
    files.sort(key=lambda entry: ("/" in entry[0], entry[0]))
    folders.sort(key=lambda name: (-name.count("/"), name))
    return Payload(root, tuple(files), tuple(folders))


def _check_name(name: str, seen: dict[str, str]) -> None:
    if (other := seen.setdefault(name.casefold(), name)) != name:
        raise PayloadError(f"{name} and {other} are the same name on Windows.")
    for piece in PurePosixPath(name).parts:
        if "${" in piece or "$(" in piece:
            raise PayloadError(f"NSIS cannot pack a file of the name {name}.")
        if piece[-1] in " ." or any(char in '<>:"|?*\\' or ord(char) < 32 for char in piece):
            raise PayloadError(f"Windows cannot hold the name {name}.")
        if piece.split(".")[0].casefold() in _RESERVED:
            raise PayloadError(f"Windows keeps the name {piece} for itself ({name}).")
    if len(name) > LONGEST_PATH:
        raise PayloadError(f"The path {name} has {len(name)} characters; {LONGEST_PATH} are allowed.")


def divide(files: tuple[tuple[str, int], ...], limit: int) -> list[list[str]]:
    """Divide files, in their order, into groups of at most `limit` bytes (a larger file is a group of its own)."""
    groups: list[list[str]] = [[]]
    filled = 0
    for name, size in files:
        if groups[-1] and filled + size > limit:
            groups.append([])
            filled = 0
        groups[-1].append(name)
        filled += size
    return groups


def list_text(payload: Payload) -> str:
    """Return the list by which the uninstaller deletes: files, then folders with a backslash, deepest first."""
    lines = [name.replace("/", "\\") for name, _ in payload.files]
    lines += [name.replace("/", "\\") + "\\" for name in payload.folders]
    return "".join(line + "\r\n" for line in lines)


def unpack_code(root: Path, names: list[str], folders: tuple[str, ...] = ()) -> str:
    """Return NSIS instructions that unpack `names` (and make `folders`) below the installation folder."""
    lines, here = [], None
    for name in names:
        folder = str(PurePosixPath(name).parent)
        if folder != here:
            inside = "" if folder == "." else "\\" + folder.replace("/", "\\").replace("$", "$$")
            lines.append(f'SetOutPath "$INSTDIR{inside}"')
            here = folder
        # A dollar sign in the name of a source is meant literally, unlike everywhere else in a script.
        lines.append(f'File "{root / name}"')
    filled = {str(parent) for name in names for parent in PurePosixPath(name).parents}
    lines += [
        'CreateDirectory "$INSTDIR\\' + one.replace("/", "\\").replace("$", "$$") + '"'
        for one in sorted(set(folders) - filled)
    ]
    return "\n".join([*lines, 'SetOutPath "$INSTDIR"', ""])


def _taken_code(payload: Payload) -> str:
    """Return checks that nothing of another program lies where ours goes."""
    top = sorted({name.split("/")[0] for name, _ in payload.files})
    return "".join(
        f'${{If}} ${{FileExists}} "$INSTDIR\\{name.replace("$", "$$")}"\n'
        f'    Push "The folder $INSTDIR holds something else of the name {name.replace("$", "$$")}. Choose another '
        'or an empty folder."\n    Call Refuse\n${EndIf}\n'
        for name in top
    )


def _parts_code(parts: list[Path]) -> str:
    lines = [f"!define PARTS {len(parts)}", "!macro RunParts"]
    for number, part in enumerate(parts, 1):
        lines += [
            f'DetailPrint "Unpacking part {number} of {len(parts)}"',
            f"ExecWait '\"$EXEDIR\\{part.name}\" /S /PART /D=$INSTDIR' $0",
            "${If} $0 != 0",
            f'    Push "The part {part.name} could not be unpacked into $INSTDIR. "',
            '    Push "Free some space and start this setup again."',
            "    Pop $1",
            "    Pop $0",
            '    Push "$0$1"',
            "    Call Refuse",
            "${EndIf}",
        ]
    return "\n".join([*lines, "!macroend", ""])


def hash_file(path: Path) -> str:
    """Return a file's SHA-256."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def make_setup(
    payload_folder: Path,
    out: Path,
    *,
    version: str,
    variant: str,
    limit: int = LIMIT,
    compressor: str = "lzma",
    sign: str | None = None,
) -> list[Path]:
    """Make the setup, and its parts when the payload is large.

    Parameters
    ----------
    payload_folder
        The finished program.
    out
        The folder for the setup; files of the same name are replaced.
    limit
        Most unpacked bytes of one file.
    compressor
        lzma or zlib.
    sign
        A command that signs the file named after it; also used for the uninstaller.  None leaves all unsigned.

    Returns
    -------
    list
        The setup, then its parts.

    Raises
    ------
    PayloadError, ToolError
        When the payload or the tools do not allow it.
    """
    from installer.windows.pictures import write_ico, write_pictures

    payload = read_payload(payload_folder.resolve())
    out = out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    stem = f"CellSeg1-Studio-{version}-windows-{variant}"
    setup = out / f"{stem}-setup.exe"
    with tempfile.TemporaryDirectory(prefix="cellseg1-setup-") as name:
        work = Path(name)
        icon = work / "app.ico"
        write_ico(icon)
        common = {
            "VERSION": version,
            "VERSION4": ".".join(map(str, version_numbers(version))),
            "COMPRESSOR": compressor,
            "ICON": str(icon),
        }
        if sign:
            common["SIGN_COMMAND"] = sign
        first, *others = divide(payload.files, limit)
        parts = []
        for number, names in enumerate(others, 1):
            part, code = out / f"{stem}-part{number}.exe", work / f"part{number}.nsh"
            code.write_text(unpack_code(payload.root, names), "utf-8-sig")
            makensis(HERE / "part.nsi", common | {"OUTFILE": str(part), "SETUP": setup.name, "PART": str(code)})
            parts.append(part)
        _write_generated(work, payload, first, parts)
        welcome, header = write_pictures(work)
        helper = work / "parts_check.exe"
        if parts:
            compile_program(
                HERE / "parts_check.c",
                helper,
                work / "helper",
                icon=icon,
                version=version,
                description="Checks the parts of a setup",
                libraries=("bcrypt",),
            )
        makensis(
            HERE / "setup.nsi",
            common
            | {
                "GENERATED": str(work),
                "VARIANT": variant,
                "OUTFILE": str(setup),
                "WELCOME_BMP": str(welcome),
                "HEADER_BMP": str(header),
                "SIZE_KB": str(payload.size // 1024 + 1),
                "LONGEST": str(payload.longest),
                "HELPER": str(helper),
            },
        )
    return [setup, *parts]


def _write_generated(work: Path, payload: Payload, first: list[str], parts: list[Path]) -> None:
    (work / "payload.nsh").write_text(unpack_code(payload.root, first, payload.folders), "utf-8-sig")
    (work / "taken.nsh").write_text(_taken_code(payload), "utf-8-sig")
    (work / "installed_files.txt").write_bytes(list_text(payload).encode("utf-16-le"))
    (work / "parts.nsh").write_text(_parts_code(parts), "utf-8-sig")
    lines = [f"{hash_file(part)} {part.stat().st_size} {part.name}\n" for part in parts]
    (work / "parts.txt").write_text("".join(lines), encoding="utf-8", newline="\n")


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--payload", type=Path, required=True, help="folder of the finished program")
    parser.add_argument("--out", type=Path, required=True, help="folder for the setup")
    parser.add_argument("--version", default=own_version())
    parser.add_argument("--variant", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--limit", type=int, default=LIMIT, help="most unpacked bytes of one file")
    parser.add_argument("--compressor", choices=COMPRESSORS, default="lzma")
    parser.add_argument("--sign", help="command that signs the file named after it (docs/installing/signing.md)")
    options = parser.parse_args(arguments)
    try:
        made = make_setup(
            options.payload,
            options.out,
            version=options.version,
            variant=options.variant,
            limit=options.limit,
            compressor=options.compressor,
            sign=options.sign,
        )
    except (PayloadError, ToolError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for path in made:
        print(f"{path} ({path.stat().st_size / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
