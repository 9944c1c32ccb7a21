"""The Windows setup in wine: installing, replacing, removing; what is the user's stays."""

import shutil
import time

import pytest
from windows_help import CLASSES, UNINSTALL, Windows, fill, needs_makensis, needs_mingw, needs_wine, tree

from installer.windows.pictures import write_ico
from installer.windows.setup_exe import make_setup
from installer.windows.toolchain import HERE, ToolError, compile_program, makensis, version_numbers

pytestmark = needs_wine
NAME = "CellSeg1 Studio"
OLD = {"lib/old/gone.py": "old", "lib/core.py": "1", "program/é 中文 $x.txt": "text", "lib/big.bin": bytes(300_000)}
NEW = {"lib/core.py": "2", "program/é 中文 $x.txt": "text", "program/new.txt": "new"}
OURS = ["installed_files.txt", "installed_from.txt", "uninstall.exe"]


@pytest.fixture(scope="module")
def setups(tmp_path_factory):
    """An old and a new setup of small payloads."""
    folder = tmp_path_factory.mktemp("setups")
    old = fill(folder / "old payload", OLD, empty=["lib/empty"])
    new = fill(folder / "new payload", NEW)
    return (
        make_setup(old, folder, version="0.9.0", variant="cpu", compressor="zlib")[0],
        make_setup(new, folder, version="1.0.0rc1", variant="cpu", compressor="zlib")[0],
    )


@pytest.fixture(scope="module")
def windows(tmp_path_factory):
    windows = Windows(tmp_path_factory.mktemp("wine"))
    yield windows
    windows.close()


def programs(files):
    return sorted([*files, *OURS, "CellSeg1Studio.exe", "cellseg1.exe"])


def test_default_place_links_types_and_removal(windows, setups):
    mine = windows.user / "AppData/Local/CellSeg1/models/mine.cs1"
    mine.parent.mkdir(parents=True)
    mine.write_text("a model of the user's")
    windows.run("reg", "add", CLASSES + r"\.cs1", "/ve", "/d", "Another.Program", "/f")
    assert windows.install(setups[0], "/DESKTOP") == 0
    home = windows.programs / NAME
    assert tree(home) == programs(OLD)
    assert (home / "lib/empty").is_dir()
    assert (home / "installed_from.txt").read_text("utf-16").strip().replace("\\", "/").endswith(str(setups[0].parent))
    where = windows.windows_path(home)
    entry = windows.values(UNINSTALL)
    assert entry["|InstallLocation"] == where
    assert entry["|DisplayName"] == NAME
    assert entry["|DisplayVersion"] == "0.9.0"
    assert entry["|QuietUninstallString"] == f'"{where}\\uninstall.exe" /S'
    assert [path.name for path in windows.links] == [NAME + ".lnk"] * 2
    assert all((where + "\\CellSeg1Studio.exe").encode("utf-16-le") in path.read_bytes() for path in windows.links)
    classes = windows.values(CLASSES)
    for suffix, kind in ((".cs1project", "Project"), (".cs1zip", "Archive")):
        assert classes[f"{suffix}|"] == f"CellSeg1Studio.{kind}"
        command = classes[f"CellSeg1Studio.{kind}\\shell\\open\\command|"]
        assert command == f'"{where}\\CellSeg1Studio.exe" "%1"'
    assert classes[".cs1|"] == "Another.Program", "a type that another program has stays with it"
    assert ".cs1\\OpenWithProgids|CellSeg1Studio.Model" in classes

    # As Windows itself does it: the uninstaller copies itself away and returns at once.
    assert windows.run(home / "uninstall.exe", "/S")[0] == 0
    ends = time.monotonic() + 30
    while home.exists() and time.monotonic() < ends:
        time.sleep(0.1)
    assert not home.exists()
    while windows.values(UNINSTALL) and time.monotonic() < ends:
        time.sleep(0.1)
    assert not windows.values(UNINSTALL)
    assert windows.links == []
    classes = windows.values(CLASSES)
    assert classes[".cs1|"] == "Another.Program"
    assert not [key for key in classes if "CellSeg1Studio" in key]
    assert mine.read_text() == "a model of the user's"


def test_replaces_an_older_version_and_keeps_what_is_not_ours(windows, setups):
    home = windows.drive / "Äpps 中文/Cell Seg"
    assert windows.install(setups[0], "/NOSHORTCUTS", "/NOFILETYPES", folder=home) == 0
    assert windows.links == []
    assert "CellSeg1Studio.Model" not in windows.values(CLASSES)
    foreign = [home / "notes.txt", home / "lib/old/mine.txt", home / "Nuclei.cs1project/project.json"]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("not the program's")
    (home / "lib/__pycache__").mkdir()
    (home / "lib/__pycache__/core.cpython-311.pyc").write_bytes(b"written by Python")

    (home / "program/new.txt").mkdir()
    assert windows.install(setups[1]) == 2, "something is in the way of a file"
    assert "did not come to its end: a file could not be written" in windows.log()
    (home / "program/new.txt").rmdir()
    assert windows.install(setups[1]) == 0, "without /D= it goes where the older version is"
    kept = [path.relative_to(home).as_posix() for path in foreign]
    assert tree(home) == sorted([*programs(NEW), *kept])
    assert (home / "lib/core.py").read_text() == "2"
    assert windows.values(UNINSTALL)["|DisplayVersion"] == "1.0.0rc1"

    elsewhere = windows.drive / "elsewhere"
    assert windows.install(setups[1], folder=elsewhere) == 0, "moving it"
    assert tree(elsewhere) == programs(NEW)
    assert tree(home) == sorted(kept)
    assert windows.uninstall(elsewhere) == 0
    assert not elsewhere.exists()
    assert tree(home) == sorted(kept)


def test_refuses_in_a_sentence_before_anything_changes(windows, setups):
    home = windows.drive / "foreign"
    (home / "lib").mkdir(parents=True)
    (home / "lib/theirs.txt").write_text("theirs")
    assert windows.install(setups[0], folder=home) == 2
    assert "holds something else of the name lib" in windows.log()
    assert tree(home) == ["lib/theirs.txt"]
    assert windows.install(setups[0], folder=windows.drive / ("long" * 60)) == 2
    assert "Choose a folder with a shorter name" in windows.log()
    assert not windows.values(UNINSTALL)

    assert windows.install(setups[0], folder=windows.drive / "listless") == 0
    (windows.drive / "listless/installed_files.txt").unlink()
    assert windows.uninstall(windows.drive / "listless") == 2
    assert "list of installed files is missing" in windows.log()
    assert (windows.drive / "listless/lib/core.py").exists()
    shutil.rmtree(windows.drive / "listless")
    windows.run("reg", "delete", UNINSTALL, "/f")


@pytest.mark.slow
@needs_mingw
def test_waits_for_the_program_to_end(windows, tmp_path):
    """With the real launcher; Python's place is taken by a program that does not end."""
    icon = tmp_path / "app.ico"
    write_ico(icon)
    launcher = compile_program(
        HERE / "launcher.c", tmp_path / "l.exe", tmp_path / "w", icon=icon, version="2.1", description="x", window=True
    )
    (tmp_path / "wait.c").write_text(
        "#include <windows.h>\n#include <stdio.h>\nint wmain(int n, wchar_t **w) { (void)w; if (n < 6) return n;"
        ' fclose(fopen("C:\\\\started", "w")); Sleep(60000); return 0; }'
    )
    wait = compile_program(
        tmp_path / "wait.c", tmp_path / "p.exe", tmp_path / "w", icon=icon, version="1", description="x"
    )
    payload = fill(
        tmp_path / "payload",
        {"CellSeg1Studio.exe": launcher.read_bytes(), "python/pythonw.exe": wait.read_bytes()},
    )
    setup = make_setup(payload, tmp_path, version="2.1.0", variant="cpu", compressor="zlib")[0]
    home = windows.programs / NAME
    assert windows.install(setup) == 0
    program = windows.start(home / "CellSeg1Studio.exe", "a", "b")
    windows.wait_for("started")
    assert windows.install(setup) == 3
    assert "is running" in windows.log()
    assert windows.uninstall(home) == 3
    windows.log()
    assert (home / "cellseg1.exe").exists()
    assert program.poll() is None
    windows.close()
    program.wait(timeout=20)
    assert windows.run(home / "CellSeg1Studio.exe")[0] == 5, "the launcher's exit code is the program's"
    assert windows.uninstall(home) == 0
    assert not home.exists()


@needs_mingw
def test_parts_are_checked_first_and_installed_from_one_folder(windows, tmp_path):
    files = {f"gpu/part {number}.dll": bytes([number]) * 40_000 for number in range(6)}
    payload = fill(tmp_path / "payload", files)
    made = make_setup(payload, tmp_path / "ö media", version="1.2.0", variant="cuda", limit=90_000, compressor="zlib")
    assert [path.name.rsplit("-", 1)[1] for path in made] == ["setup.exe", "part1.exe", "part2.exe"]
    setup, first, second = made
    home = windows.programs / NAME

    aside = second.rename(tmp_path / "aside")
    assert windows.install(setup) == 2
    assert f"The file {second.name} is missing in" in windows.log()
    second.write_bytes(aside.read_bytes()[:-10])
    assert windows.install(setup) == 2
    assert f"The file {second.name} has {aside.stat().st_size - 10} of {aside.stat().st_size} bytes" in windows.log()
    changed = bytearray(aside.read_bytes())
    changed[-100] ^= 1
    second.write_bytes(changed)
    assert windows.install(setup) == 2
    assert windows.log() == f"The file {second.name} is damaged. Copy or download it again."
    assert not home.exists()
    assert windows.run(first, "/S")[0] == 2, "a part alone does nothing"

    second.write_bytes(aside.read_bytes())
    assert windows.install(setup) == 0
    assert tree(home) == programs(files)
    assert all((home / name).read_bytes() == content for name, content in files.items())
    assert windows.uninstall(home) == 0
    assert not home.exists()


@pytest.mark.slow
@needs_mingw
def test_more_than_two_gigabytes(windows, tmp_path):
    """With the real limit: stand-ins for the libraries of a GPU, 3.2 GB, that take little room until installed."""
    payload = fill(tmp_path / "payload", {"lib/core.py": "1"})
    for number in range(4):
        with (payload / f"lib/gpu{number}.dll").open("wb") as stream:
            stream.write(bytes([number + 1]) * 10)
            stream.truncate(800_000_000)
    made = make_setup(payload, tmp_path, version="1.2.0", variant="cuda", compressor="zlib")
    assert len(made) == 4, "one library in each file: two are above the limit"
    home = windows.programs / NAME
    assert windows.install(made[0], timeout=600) == 0
    assert tree(home) == programs(["lib/core.py", *(f"lib/gpu{number}.dll" for number in range(4))])
    for number in range(4):
        path = home / f"lib/gpu{number}.dll"
        assert path.stat().st_size == 800_000_000
        with path.open("rb") as stream:
            assert stream.read(11) == bytes([number + 1]) * 10 + b"\0"
    assert int(windows.values(UNINSTALL)["|EstimatedSize"], 16) * 1024 >= 3_200_000_000
    assert windows.uninstall(home) == 0
    assert not home.exists()


@needs_makensis
def test_mistakes_in_scripts_are_errors(tmp_path):
    script = tmp_path / "wrong.nsi"
    script.write_text('Target amd64-unicode\nOutFile "x.exe"\nSection\nNonsense\nSectionEnd\n')
    with pytest.raises(ToolError, match="makensis failed"):
        makensis(script, {})


def test_version_numbers():
    assert version_numbers("1.2.3") == (1, 2, 3, 0)
    assert version_numbers("0.10.0rc2") == (0, 10, 0, 0)
