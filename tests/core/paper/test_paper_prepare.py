"""The publishers' archives become the 20 folders, once, completely, and nothing leaves them."""

import errno
import hashlib
import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import paper_archives as mini
import pytest
from paper_archives import names
from PIL import Image

from cellseg1.errors import OutputError, StoppedError
from cellseg1.masks import read_mask
from cellseg1.paper.data_sets import DATA_SETS, chosen_sets, images_in
from cellseg1.paper.prepare import prepare
from cellseg1.paper.tissuenet import as_picture, group_key


def hashes(folder):
    return {
        path.relative_to(folder).as_posix(): (hashlib.sha256(path.read_bytes()).hexdigest(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def archives(tmp_path_factory):
    return mini.all_archives(tmp_path_factory.mktemp("archives"))


@pytest.fixture(scope="module")
def everything(archives, tmp_path_factory):
    out = tmp_path_factory.mktemp("data")
    before = hashes(archives)
    result = prepare(archives, out)
    assert hashes(archives) == before
    return out, result


def test_all_sources_become_the_20_folders(everything):
    out, result = everything
    assert sorted(result.made) == sorted(DATA_SETS)
    assert not result.there
    assert not result.missing
    assert sorted(path.name for path in out.iterdir() if path.name != ".prepare.lock") == sorted(
        one.name for one in DATA_SETS.values()
    )
    counts = {
        short: tuple(len(names(out, short, split)) for split in ("train", "test"))
        for short in ("CPG", "CPS", "CSB", "DSB", "ECB", "BSF", "TSN-1", "TSN-14")
    }
    assert counts == {
        "CPG": (89, 11),
        "CPS": (89, 11),
        "CSB": (139, 14),
        "DSB": (4, 2),
        "ECB": (4, 2),
        "BSF": (4, 2),
        "TSN-1": (10, 1),
        "TSN-14": (10, 1),
    }
    # Where the counts differ from the published ones, it is said.
    assert any("DSB has 4 training and 2 test images" in note for note in result.notes)
    assert not any(note.startswith(("CPS", "CSB")) for note in result.notes)


def number_of(name):
    """The number from which a miniature image was made."""
    return int(name[:2], 16) if name.endswith("f3.tif") else int(re.search(r"\d+", name).group())


@pytest.mark.parametrize("short", DATA_SETS)
def test_every_image_has_the_right_mask(everything, short):
    out, _ = everything
    for split in ("train", "test"):
        images, masks = names(out, short, split), names(out, short, split, "masks")
        assert [name.rsplit(".", 1)[0] for name in images] == [name.rsplit(".", 1)[0] for name in masks]
        folder = out / DATA_SETS[short].name / split
        for image, mask in list(zip(images, masks, strict=True))[:4]:
            with Image.open(folder / "images" / image) as picture:
                assert picture.size == (mini.WIDTH, mini.HEIGHT)
            found = read_mask(folder / "masks" / mask).labels
            truth = mini.labels(number_of(image))
            assert np.array_equal(found > 0, truth > 0)
            assert found.max() == len(np.unique(truth)) - 1


def test_blood_images_are_the_published_choice(everything):
    out, _ = everything
    train = [int(name[5:10]) - 1 for name in names(out, "CSB", "train")]
    assert train == [*range(12), *range(14, 141)]
    assert [int(name[5:10]) - 1 for name in names(out, "CSB", "test")] == [
        *(0, 2, 6, 7, 12, 13, 15),
        *range(17, 24),
    ]


def test_specialized_is_the_beginning_of_generalized(tmp_path):
    mini.cellpose(tmp_path, train=92, test=13)
    prepare(tmp_path, tmp_path / "data", ["cps", "cellpose_generalized"])
    for split, count in (("train", 89), ("test", 11)):
        every = names(tmp_path / "data", "CPG", split)
        assert len(every) == count + (3 if split == "train" else 2)
        assert names(tmp_path / "data", "CPS", split) == every[:count]


def test_images_of_tissuenet_are_scaled_between_percentiles():
    values = np.zeros((10, 12, 2))
    values[2:, :, 0] = np.arange(96).reshape(8, 12) + 1
    values[0, 0, 1] = np.nan
    picture = as_picture(values)
    used = values[2:, :, 0]
    low, high = np.percentile(used, (5, 95))
    assert picture.shape == (10, 12, 3)
    assert not picture[..., 0].any()
    assert not picture[..., 2].any()
    assert picture[5, 3, 1] == round((values[5, 3, 0] - low) / (high - low) * 255)
    assert picture[-1, -1, 1] == 255
    assert picture[2, 0, 1] == 0


def test_groups_of_tissuenet_are_the_14_sets():
    found = {group_key(tissue, f"x-y-{folder}") for folder, tissue in mini.TISSUES.items()}
    assert found == {
        one.name.removeprefix("tissuenet_").removesuffix("_nuclei").casefold() for one in chosen_sets(["TSN"])
    }


def test_a_second_call_does_nothing(everything, archives):
    out, _ = everything
    before = hashes(out)
    result = prepare(archives, out)
    assert sorted(result.there) == sorted(DATA_SETS)
    assert not result.made
    assert hashes(out) == before


def test_finished_sets_need_no_archives(small):
    archives, out = small
    prepare(archives, out, ["DSB"])
    (archives / "dsb2018.zip").unlink()
    result = prepare(archives, out, ["DSB"])
    assert (result.there, result.missing) == (["DSB"], [])


def _change(folder):
    path = images_in(folder / "train" / "masks")[0]
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def _remove(folder):
    images_in(folder / "test" / "images")[0].unlink()


def _spoil_record(folder):
    (folder / "prepared.json").write_text("{")


def _empty(folder):
    shutil.rmtree(folder / "train")


@pytest.mark.parametrize("damage", [_change, _remove, _spoil_record, _empty])
def test_a_damaged_set_is_made_anew(small, damage):
    archives, out = small
    prepare(archives, out, ["DSB"])
    folder = out / "dsb2018_stardist"
    right = {name: facts[0] for name, facts in hashes(folder).items()}
    damage(folder)
    result = prepare(archives, out, ["DSB"])
    assert result.made == ["DSB"]
    assert "DSB was damaged or incomplete and was not used as it is." in result.notes
    assert {name: facts[0] for name, facts in hashes(folder).items()} == right
    assert sorted(path.name for path in out.iterdir()) == [".prepare.lock", "dsb2018_stardist"]


def test_files_of_somebody_else_are_never_replaced(small):
    archives, out = small
    folder = out / "dsb2018_stardist"
    (folder / "train" / "images").mkdir(parents=True)
    (folder / "train" / "images" / "mine.tif").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"mine\.tif, which this program did not put there"):
        prepare(archives, out, ["DSB"])
    assert (folder / "train" / "images" / "mine.tif").read_bytes() == b"mine"
    shutil.rmtree(folder)
    prepare(archives, out, ["DSB"])
    # Another image would move the indices of the training images.
    (folder / "train" / "images" / "0000.tif").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"0000\.tif"):
        prepare(archives, out, ["DSB"])
    (folder / "train" / "images" / "0000.tif").rename(folder / "train" / "images" / ".DS_Store")
    assert prepare(archives, out, ["DSB"]).there == ["DSB"]


def test_missing_archives_are_listed_and_the_rest_is_made(small):
    archives, out = small
    result = prepare(archives, out, ["DSB", "CPS", "CPG", "TSN-3"])
    assert result.made == ["DSB"]
    assert [(one.archive, one.sets) for one in result.missing] == [
        ("train.zip", ("CPS", "CPG")),
        ("test.zip", ("CPS", "CPG")),
        ("tissuenet_v1.1.zip", ("TSN-3",)),
    ]
    assert all("https://" in one.sentence and one.archive in one.sentence for one in result.missing)


def test_a_full_disk_leaves_nothing_half_written(small, monkeypatch):
    archives, out = small
    out.mkdir()
    written = []

    def full(path, *_arguments, **_options):
        written.append(path)
        if len(written) > 2:
            raise OutputError(f"Cannot write {path}: the disk is full.") from OSError(errno.ENOSPC, "full")

    monkeypatch.setattr("cellseg1.paper.conversion.write_label_image", full)
    with pytest.raises(OutputError, match="disk is full"):
        prepare(archives, out, ["DSB"])
    assert len(written) == 3
    assert [path.name for path in out.iterdir()] == [".prepare.lock"]


class _Full(io.FileIO):
    def write(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    def fileno(self):
        raise io.UnsupportedOperation("fileno")


@pytest.mark.parametrize(("make", "short"), [(mini.stardist, "DSB"), (mini.tissuenet, "TSN-6")])
def test_an_image_that_finds_no_room_is_said_and_removed(tmp_path, monkeypatch, make, short):
    archives, out = tmp_path / "archives", tmp_path / "data"
    archives.mkdir()
    make(archives)
    real = Path.open

    def opening(path, mode="r", *arguments, **options):
        if mode == "xb" and path.parent.name == "images":
            return _Full(path, "xb")
        return real(path, mode, *arguments, **options)

    monkeypatch.setattr(Path, "open", opening)
    with pytest.raises(OutputError, match=r"Cannot write .*images.*: the disk is full"):
        prepare(archives, out, [short])
    assert [path.name for path in out.iterdir()] == [".prepare.lock"]


def test_room_is_asked_for_first(small, monkeypatch):
    archives, out = small
    monkeypatch.setattr("shutil.disk_usage", lambda _path: shutil._ntuple_diskusage(1, 1, 5000))
    with pytest.raises(OutputError, match="free some space"):
        prepare(archives, out, ["DSB"])
    assert [path.name for path in out.iterdir()] == [".prepare.lock"]


def test_stopping_keeps_what_is_complete(archives, tmp_path):
    seen = []

    def progress(name, done, count):
        seen.append((name, done, count))

    with pytest.raises(StoppedError):
        prepare(archives, tmp_path, ["ECB", "DSB"], progress=progress, stop=lambda: ("DSB", 1, 6) in seen)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["deepbacs_rod_brightfield"]
    assert prepare(archives, tmp_path, ["ECB", "DSB"]).there == ["ECB"]


def test_what_a_killed_call_left_goes(small):
    archives, out = small
    (out / ".dsb2018_stardist.part" / "train").mkdir(parents=True)
    (out / ".other.part").mkdir()
    prepare(archives, out, ["DSB"])
    assert sorted(path.name for path in out.iterdir()) == [".other.part", ".prepare.lock", "dsb2018_stardist"]


def test_the_record_names_archives_and_counts(small):
    archives, out = small
    prepare(archives, out, ["DSB"])
    record = json.loads((out / "dsb2018_stardist" / "prepared.json").read_text())
    assert record["images"] == {"train": 4, "test": 2}
    assert (
        record["archives"]["dsb2018.zip"]["sha256"]
        == hashlib.sha256((archives / "dsb2018.zip").read_bytes()).hexdigest()
    )
    assert len(record["files"]) == 12
