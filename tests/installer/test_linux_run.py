"""The setup of the .run file with a stand-in program: where it puts what, upgrades, refusals, removal."""

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from stand_in import FACTS, bundle, everything

from installer.linux import make_run, tree

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="packages for Linux")

PREFIX = "My Apps ö中文 & 50% `$x`"


@pytest.fixture(scope="module")
def icons(tmp_path_factory):
    folder = tmp_path_factory.mktemp("icons")
    tree.draw_icons(folder)
    return folder


@pytest.fixture(scope="module")
def stages(tmp_path_factory, icons):
    """The unpacked .run files of two versions."""
    made = {}
    for version, extra in (("0.1.0", ("old/only.txt", "both.txt")), ("0.2.0", ("new.txt", "both.txt"))):
        folder = tmp_path_factory.mktemp(version)
        program = bundle(folder / "bundle", version=version, extra=extra)
        make_run.make_stage(program, icons, {**FACTS, "version": version}, folder / "stage", level=0)
        made[version] = folder / "stage"
    return made


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home of ö中文"
    (folder / "Documents" / "Cells.cs1project").mkdir(parents=True)
    (folder / "Documents" / "Cells.cs1project" / "project.json").write_text("precious")
    return folder


def environment(home, **more):
    # Waiting for the disk after every change of the file types tests the disk.
    more.setdefault("PKGSYSTEM_ENABLE_FSYNC", "0")
    return {"HOME": str(home), "PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", "TMPDIR": str(home.parent), **more}


def run(home, script, *words, **more):
    return subprocess.run(
        ["sh", str(script), *map(str, words)],
        env=environment(home, **more),
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=60,
    )


def setup(home, stage, prefix, *words):
    return run(home, stage / "setup.sh", "--quiet", "--prefix", prefix, *words)


def test_it_is_installed_started_from_the_menu_and_removed_without_a_trace(home, stages):
    before = everything(home)
    prefix = home / "Apps made for it" / PREFIX
    done = setup(home, stages["0.1.0"], prefix)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (prefix / "_internal" / "version").read_text() == "0.1.0"
    assert os.access(prefix / "cellseg1-studio", os.X_OK)
    assert (prefix / "cellseg1").readlink().name == "cellseg1-studio"
    assert (prefix / "installed_from.txt").read_text().strip() == str(Path.cwd())

    share = home / ".local" / "share"
    entry = (share / "applications" / "cellseg1-studio.desktop").read_text()
    assert "@" not in entry
    assert f"X-CellSeg1-Prefix={prefix}\n" in entry
    for size in tree.SIZES:
        assert (share / f"icons/hicolor/{size}x{size}/apps/cellseg1-studio.png").is_file()
    assert (share / "mime/packages/cellseg1-studio.xml").is_file()
    assert (home / ".local/bin/cellseg1").readlink() == prefix / "cellseg1"

    done = run(home, prefix / "uninstall.sh", "--quiet")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert everything(home) == before
    assert (home / "Documents/Cells.cs1project/project.json").read_text() == "precious"


@pytest.mark.skipif(shutil.which("gio") is None and shutil.which("desktop-file-validate") is None, reason="no tool")
def test_the_menu_entry_is_valid_and_means_this_program(home, stages):
    prefix = home / PREFIX
    setup(home, stages["0.1.0"], prefix)
    entry = home / ".local/share/applications/cellseg1-studio.desktop"
    if shutil.which("desktop-file-validate"):
        checked = subprocess.run(["desktop-file-validate", str(entry)], capture_output=True, text=True)
        assert checked.stdout + checked.stderr == ""
    assert started_by(entry.read_text()) == str(prefix / "cellseg1-studio")


def started_by(text):
    """Return the program that a desktop starts for an entry, by the rules of its specification."""
    value = next(line for line in text.splitlines() if line.startswith("Exec=")).removeprefix("Exec=")
    # Escapes of the file's own syntax, then those inside quotes, then the field codes.
    value = value.replace("\\\\", "\\")
    word, _, rest = value.removeprefix('"').partition('" ')
    assert rest == "%f"
    for sign in '"`$\\':
        word = word.replace(f"\\{sign}", sign)
    return word.replace("%%", "%")


def test_an_upgrade_takes_the_old_files_away_and_leaves_the_users(home, stages):
    prefix = home / "apps"
    setup(home, stages["0.1.0"], prefix)
    mine = [prefix / "sam_vit_b_01ec64.pth", prefix / "backbones" / "mine.pth", prefix / "_internal" / "old" / "note"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
    # Without a folder it goes where it is.
    done = run(home, stages["0.2.0"] / "setup.sh", "--quiet")
    assert (done.returncode, done.stderr) == (0, "")
    assert (prefix / "_internal" / "version").read_text() == "0.2.0"
    assert (prefix / "_internal" / "new.txt").exists()
    assert not (prefix / "_internal" / "old" / "only.txt").exists()
    assert [path.read_text() for path in mine] == ["mine"] * 3
    assert not list(prefix.glob(".new*"))

    done = run(home, prefix / "uninstall.sh")
    assert done.returncode == 0
    assert str(prefix) in done.stdout
    assert sorted(path for path in prefix.rglob("*") if path.is_file()) == sorted(mine)


def test_the_cache_goes_and_settings_models_and_logs_stay(home, stages):
    places = [".config/CellSeg1 Studio/preferences.json", ".local/share/CellSeg1/models/a.cs1"]
    places += [".local/state/CellSeg1 Studio/log/studio.log", ".cache/CellSeg1 Studio/thumbnails/x.png"]
    for place in places:
        (home / place).parent.mkdir(parents=True)
        (home / place).write_text("x")
    setup(home, stages["0.1.0"], home / "apps")
    run(home, home / "apps" / "uninstall.sh", "--quiet")
    assert [(home / place).exists() for place in places] == [True, True, True, False]


def test_a_folder_with_other_things_is_refused(home, stages):
    before = everything(home)
    done = setup(home, stages["0.1.0"], home / "Documents")
    assert done.returncode == 2
    assert "holds other files" in done.stderr
    assert setup(home, stages["0.1.0"], home).returncode == 2
    assert setup(home, stages["0.1.0"], "/").returncode == 2
    assert everything(home) == before


@pytest.mark.parametrize("words", [["--no-such"], ["--prefix"]])
def test_a_wrong_option_is_one_sentence(home, stages, words):
    done = run(home, stages["0.1.0"] / "setup.sh", *words)
    assert done.returncode == 2
    assert words[0] in done.stderr.splitlines()[-1]


def test_it_does_not_replace_a_program_that_runs(home, stages):
    prefix = home / "apps"
    setup(home, stages["0.1.0"], prefix)
    program = subprocess.Popen([prefix / "cellseg1-studio", "60"])
    try:
        time.sleep(0.1)
        done = setup(home, stages["0.2.0"], prefix)
        assert (done.returncode, "is running" in done.stderr) == (3, True)
        done = run(home, prefix / "uninstall.sh", "--quiet")
        assert (done.returncode, "is running" in done.stderr) == (3, True)
        assert (prefix / "_internal" / "version").read_text() == "0.1.0"
    finally:
        program.kill()
        program.wait()


@pytest.mark.parametrize("damage", ["cut", "glibc", "room"])
def test_what_cannot_be_installed_leaves_everything_as_it_was(home, stages, tmp_path, damage):
    prefix = home / "apps"
    setup(home, stages["0.1.0"], prefix)
    before = everything(home)
    stage = shutil.copytree(stages["0.2.0"], tmp_path / "stage")
    facts = stage / "facts.sh"
    if damage == "cut":
        program = stage / "program.tar.xz"
        program.write_bytes(program.read_bytes()[:-2000])
    elif damage == "glibc":
        facts.write_text(facts.read_text().replace("glibc_major=2", "glibc_major=9"))
    else:
        facts.write_text(facts.read_text() + "kilobytes=99999999999\n")
    for folder in (prefix, home / "new"):
        done = setup(home, stage, folder)
        assert done.returncode == 2
        assert done.stderr.strip().splitlines()[-1].endswith((".", "library."))
    assert everything(home) == before
    assert (prefix / "_internal" / "version").read_text() == "0.1.0"


def test_another_installations_menu_entry_stays(home, stages):
    setup(home, stages["0.1.0"], home / "first")
    setup(home, stages["0.2.0"], home / "second")
    assert run(home, home / "first" / "uninstall.sh", "--quiet").returncode == 0
    entry = home / ".local/share/applications/cellseg1-studio.desktop"
    assert f"X-CellSeg1-Prefix={home / 'second'}\n" in entry.read_text()
    assert (home / ".local/bin/cellseg1").readlink() == home / "second" / "cellseg1"


def test_somebody_elses_command_stays(home, stages):
    theirs = home / ".local/bin/cellseg1"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("theirs")
    setup(home, stages["0.1.0"], home / "apps")
    run(home, home / "apps" / "uninstall.sh", "--quiet")
    assert theirs.read_text() == "theirs"


def test_without_menu_nothing_is_written_elsewhere(home, stages):
    before = everything(home)
    setup(home, stages["0.1.0"], home / "apps", "--no-menu")
    assert [path for path in everything(home) if path not in before and not path.startswith("apps")] == []


@pytest.mark.skipif(shutil.which("makeself") is None, reason="needs makeself (on Debian: apt-get install makeself)")
def test_the_run_file_is_one_file_that_knows_where_it_came_from(home, icons, tmp_path):
    program = bundle(tmp_path / "bundle")
    out = tmp_path / "down loads ö"
    out.mkdir()
    made = make_run.make_run(program, icons, out, FACTS, tmp_path / "work", level=0)
    assert [path.name for path in made] == ["CellSeg1-Studio-0.1.0-linux-cpu.run"]
    assert not (tmp_path / "work").exists()
    done = subprocess.run(
        ["sh", made[0].name, "--quiet", "--nox11", "--", "--quiet", "--prefix", "apps ö中文"],
        env=environment(home),
        cwd=out,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    # A relative folder means one beside which the user stood.
    assert (out / "apps ö中文" / "cellseg1-studio").exists()
    assert (out / "apps ö中文" / "installed_from.txt").read_text() == f"{out}\n"
    # A file that was cut off on its way is refused before anything is done.
    made[0].write_bytes(made[0].read_bytes()[:-5000])
    done = subprocess.run(
        ["sh", made[0].name, "--nox11"], env=environment(home), cwd=out, capture_output=True, text=True
    )
    assert done.returncode != 0


@pytest.mark.parametrize(
    ("answer", "folder"), [("", ".local/opt/cellseg1-studio"), ("~/my ö中文 apps", "my ö中文 apps")]
)
def test_on_a_terminal_it_asks_for_a_folder(home, stages, answer, folder):
    keyboard, terminal = os.openpty()
    try:
        os.write(keyboard, f"{answer}\n".encode())
        done = subprocess.run(
            ["sh", str(stages["0.1.0"] / "setup.sh")],
            env=environment(home),
            capture_output=True,
            text=True,
            stdin=terminal,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert (home / folder / "cellseg1-studio").exists()
        assert f"To remove it: {home / folder}/uninstall.sh" in done.stdout
        # The removal asks too, and "n" leaves everything.
        os.write(keyboard, b"n\n")
        words = ["sh", str(home / folder / "uninstall.sh")]
        done = subprocess.run(words, env=environment(home), capture_output=True, text=True, stdin=terminal, timeout=60)
        assert done.returncode == 1
        assert (home / folder / "cellseg1-studio").exists()
    finally:
        os.close(keyboard)
        os.close(terminal)


@pytest.mark.skipif(shutil.which("makeself") is None, reason="needs makeself (on Debian: apt-get install makeself)")
def test_a_large_program_lies_in_parts_beside_the_run_file(home, icons, tmp_path):
    program = bundle(tmp_path / "bundle")
    out = tmp_path / "down loads ö"
    out.mkdir()
    made = make_run.make_run(program, icons, out, FACTS, tmp_path / "work", level=0, limit=20_000)
    names = [path.name for path in made]
    assert names[0] == "CellSeg1-Studio-0.1.0-linux-cpu.run"
    assert len([name for name in names if ".part0" in name]) > 1
    assert sorted(path.name for path in out.iterdir()) == sorted(names)

    def start():
        words = ["sh", str(made[0]), "--quiet", "--nox11", "--", "--quiet", "--prefix", str(home / "apps")]
        return subprocess.run(
            words, env=environment(home), cwd=home, capture_output=True, text=True, stdin=subprocess.DEVNULL
        )

    second = next(path for path in made if path.name.endswith("part02"))
    second.rename(home / "part")
    done = start()
    assert done.returncode == 2
    assert len(done.stderr.strip().splitlines()) == 1
    assert second.name in done.stderr
    assert not (home / "apps").exists()
    (home / "part").rename(second)
    done = start()
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert (home / "apps" / "_internal" / "version").read_text() == "0.1.0"
    assert (home / "apps" / "installed_from.txt").read_text() == f"{out}\n"
