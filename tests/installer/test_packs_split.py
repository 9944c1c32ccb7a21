"""Large files in numbered parts: divided, checked and joined, in Python and in a shell."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from installer.packs.split import PartsError, check_parts, join_file, main, read_parts, split_file

SHELL = Path(__file__).parents[2] / "installer/packs/parts.sh"
needs_shell = pytest.mark.skipif(
    shutil.which("sh") is None or sys.platform == "win32", reason="there is no POSIX shell of the system"
)


def shell(words, cwd):
    text = f'. "{SHELL}"; {words}'
    done = subprocess.run(["sh", "-c", text], cwd=cwd, capture_output=True, check=False)
    return done.returncode, done.stdout, done.stderr.decode()


@pytest.fixture
def large(tmp_path):
    folder = tmp_path / "ö media"
    folder.mkdir()
    path = folder / "CellSeg1 x.tar.xz"
    path.write_bytes(os.urandom(2_500_000))
    return path


def test_small_files_stay_whole(large):
    assert split_file(large, limit=2_500_000) == [large]
    assert list(large.parent.iterdir()) == [large]


@needs_shell
def test_there_and_back(large, tmp_path):
    content = large.read_bytes()
    made = split_file(large, limit=1_000_000, remove=True)
    assert [path.name.removeprefix(large.name) for path in made] == [".part01", ".part02", ".part03", ".parts"]
    assert [path.stat().st_size for path in made[:3]] == [1_000_000, 1_000_000, 500_000]
    assert not large.exists()
    assert read_parts(made[-1]).whole.sha256 == hashlib.sha256(content).hexdigest()
    assert join_file(made[-1], tmp_path / "again").read_bytes() == content
    code, out, err = shell(f'cs1_check_parts "{made[-1].name}" && cs1_cat_parts "{made[-1].name}"', large.parent)
    assert (code, err) == (0, "")
    assert out == content
    assert main(["join", str(made[-1])]) == 0
    assert large.read_bytes() == content
    with pytest.raises(PartsError, match="is there already"):
        join_file(made[-1], large)


@needs_shell
@pytest.mark.parametrize(
    ("harm", "said"),
    [
        (lambda part: part.unlink(), "The part {name} is missing in"),
        (lambda part: part.write_bytes(part.read_bytes()[:-1]), "The part {name} has 999"),
        (lambda part: part.write_bytes(bytes(1_000_000)), "The part {name} is damaged"),
    ],
)
def test_what_is_missing_or_damaged_is_named(large, tmp_path, harm, said):
    made = split_file(large, limit=1_000_000, remove=True)
    harm(made[1])
    wanted = said.format(name=made[1].name)
    with pytest.raises(PartsError, match=wanted):
        check_parts(made[-1])
    with pytest.raises(PartsError, match=wanted):
        join_file(made[-1], tmp_path / "again")
    assert list(tmp_path.iterdir()) == [large.parent]
    code, _, err = shell(f'cs1_check_parts "{made[-1]}"', tmp_path)
    assert code == 2
    assert err.startswith(wanted)
    assert err.count("\n") == 1


def test_damaged_lists_and_wrong_limits(large, capsys):
    made = split_file(large, limit=1_000_000)
    listing = made[-1]
    text = listing.read_text()
    for wrong in ("", "abc", text.replace(large.name, "../" + large.name), text.replace("1000000", "1000001")):
        listing.write_text(wrong)
        with pytest.raises(PartsError, match="is damaged"):
            read_parts(listing)
    with pytest.raises(PartsError, match="cannot be read"):
        read_parts(listing.with_name("absent.parts"))
    for one in made:
        one.unlink()
    with pytest.raises(PartsError, match="would have 250 parts"):
        split_file(large, limit=10_000)
    assert list(large.parent.iterdir()) == [large]
    assert main(["check", str(listing)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_nothing_is_left_of_a_division_that_fails(large, monkeypatch):
    (large.parent / f"{large.name}.part02").mkdir()
    with pytest.raises(OSError, match="part02"):
        split_file(large, limit=1_000_000)
    assert sorted(path.name for path in large.parent.iterdir()) == [large.name, f"{large.name}.part02"]


@pytest.mark.slow
@needs_shell
def test_files_above_two_gigabytes(tmp_path):
    """The real limit, with a stand-in of 2.2 GB that takes little room where files may have holes."""
    path = tmp_path / "large.tar.xz"
    with path.open("wb") as stream:
        for place in (0, 1_899_999_995, 2_199_999_990):
            stream.seek(place)
            stream.write(os.urandom(10))
    with path.open("rb") as stream:
        wanted = hashlib.file_digest(stream, "sha256").hexdigest()
    made = split_file(path, remove=True)
    assert [one.stat().st_size for one in made[:-1]] == [1_900_000_000, 300_000_000]
    whole = read_parts(made[-1]).whole
    assert (whole.sha256, whole.size) == (wanted, 2_200_000_000)
    code, out, err = shell(f'cs1_check_parts "{made[-1]}" && cs1_cat_parts "{made[-1]}" | sha256sum', tmp_path)
    assert (code, err) == (0, "")
    assert out.split()[0].decode() == wanted
    joined = join_file(made[-1], tmp_path / "again")
    assert joined.stat().st_size == 2_200_000_000
    for one in (*made, joined):
        one.unlink()
