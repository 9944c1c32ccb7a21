"""The publishers' archives become the 20 folders, once, completely, and nothing leaves them."""

import errno
import hashlib
import io
import json
import pickle
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import paper_archives as mini
import pytest
from PIL import Image

from cellseg1.errors import MaskError, OutputError, StoppedError
from cellseg1.masks import read_mask
from cellseg1.paper.archive import ArchiveError
from cellseg1.paper.conversion import as_labels
from cellseg1.paper.data_sets import DATA_SETS, chosen_sets, images_in
from cellseg1.paper.locked import locked
from cellseg1.paper.prepare import prepare
from cellseg1.paper.statistics import statistics
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


@pytest.fixture
def small(tmp_path):
    """The archive of StarDist alone, six images."""
    (tmp_path / "archives").mkdir()
    mini.stardist(tmp_path / "archives")
    return tmp_path / "archives", tmp_path / "data"


def names(folder, short, split, kind="images"):
    return [path.name for path in images_in(folder / DATA_SETS[short].name / split / kind)]


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


# ---- archives that are not right


def _add(path, name, data=b"x", attributes=None):
    with zipfile.ZipFile(path, "a") as archive:
        info = zipfile.ZipInfo(name)
        if attributes is not None:
            info.external_attr = attributes << 16
        archive.writestr(info, data)


@pytest.mark.parametrize(
    ("name", "attributes", "why"),
    [
        ("../outside.tif", None, "points outside"),
        ("dsb2018/../../outside.tif", None, "points outside"),
        ("/etc/outside.tif", None, "points outside"),
        ("C:/outside.tif", None, "points outside"),
        ("dsb2018\\..\\outside.tif", None, "points outside"),
        ("dsb2018/train/images/link.tif", 0o120777, "is a link"),
        ("dsb2018/train/images/con.tif", None, "name that cannot be used"),
        ("dsb2018/train/images/a:b.tif", None, "name that cannot be used"),
        ("dsb2018/train/images/alone.tif", None, "alone"),
    ],
)
def test_hostile_members_are_refused(small, name, attributes, why):
    archives, out = small
    _add(archives / "dsb2018.zip", name, b"../../outside", attributes)
    with pytest.raises(ArchiveError, match=why):
        prepare(archives, out, ["DSB"])
    assert [path.name for path in out.iterdir()] == [".prepare.lock"]
    assert not (out.parent / "outside.tif").exists()


def test_an_encrypted_member_is_refused(small):
    archives, out = small
    path = archives / "dsb2018.zip"
    data = bytearray(path.read_bytes())
    place = data.index(b"PK\x01\x02")
    data[place + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="is encrypted"):
        prepare(archives, out, ["DSB"])


@pytest.mark.parametrize(
    ("mask", "why"),
    [
        (np.full((4, 6), 0.5, np.float32), "no whole numbers"),
        (np.full((4, 6), np.nan), "no whole numbers"),
        (np.full((4, 6), -1, np.int16), "negative"),
        (np.arange(96, dtype=np.uint8).reshape(4, 6, 4), "4 channels"),
        (np.arange(72, dtype=np.float32).reshape(4, 6, 3), "3 channels of type float32"),
    ],
)
def test_what_is_no_published_mask_is_refused(mask, why):
    with pytest.raises(MaskError, match=why):
        as_labels(mask)


def test_published_masks_are_taken_as_they_are():
    """One value is one cell: not split into pieces, and not turned around when it covers most of the image."""
    mask = np.ones((4, 6), np.uint8)
    mask[:, 2] = 0
    expected = mask.astype(np.int32)
    for same in (mask, mask * 255, mask.astype(np.float32), np.repeat(mask[..., None], 3, axis=2)):
        assert np.array_equal(as_labels(same), expected)
    colours = np.zeros((4, 6, 3), np.uint8)
    colours[0, 0], colours[3, 3] = (200, 0, 0), (0, 0, 200)
    assert sorted(as_labels(colours)[[0, 3], [0, 3]]) == [1, 2]


def test_a_member_that_is_there_twice_is_refused(small):
    archives, out = small
    with pytest.warns(UserWarning, match="Duplicate"):
        _add(archives / "dsb2018.zip", "dsb2018/train/images/00f3.tif")
    with pytest.raises(ArchiveError, match="is there twice"):
        prepare(archives, out, ["DSB"])


def test_an_image_that_unpacks_to_gigabytes_is_refused(small, monkeypatch):
    archives, out = small
    monkeypatch.setattr("cellseg1.paper.archive.MOST_IMAGE_BYTES", 100)
    with pytest.raises(ArchiveError, match="more than an image of these sets"):
        prepare(archives, out, ["DSB"])


@pytest.mark.parametrize("damage", ["cut", "text", "flipped"])
def test_damaged_archives_are_refused(small, damage):
    archives, out = small
    path = archives / "dsb2018.zip"
    data = bytearray(path.read_bytes())
    match damage:
        case "cut":
            data = data[: len(data) // 2]
        case "text":
            data = bytearray(b"<html>Please log in</html>" * 20)
        case "flipped":
            data[200] ^= 255
    path.write_bytes(data)
    with pytest.raises(ArchiveError, match="download"):
        prepare(archives, out, ["DSB"])
    assert [one.name for one in out.iterdir()] == [".prepare.lock"]


def test_an_image_of_another_size_than_its_mask_is_refused(tmp_path):
    folder = "dsb2018/train"
    files = {
        f"{folder}/images/a.tif": mini.tif(mini.grey(0, 40, 64)),
        f"{folder}/masks/a.tif": mini.tif(mini.labels(0)),
        "dsb2018/test/images/a.tif": mini.tif(mini.grey(0)),
        "dsb2018/test/masks/a.tif": mini.tif(mini.labels(0)),
    }
    mini.write_zip(tmp_path / "dsb2018.zip", files)
    with pytest.raises(ArchiveError, match=r"\(40, 64\).*\(48, 64\)"):
        prepare(tmp_path, tmp_path / "data", ["DSB"])


def test_odd_names_stay(tmp_path):
    odd = ("Zelle ä (1).tif", "a.b.c.TIF", "=1+1.tif", "-x.tif", "%20.tif", "細胞.tif")
    files = {}
    for split in ("train", "test"):
        for number, name in enumerate(odd):
            files[f"dsb2018/{split}/images/{name}"] = mini.tif(mini.grey(number))
            files[f"dsb2018/{split}/masks/{name}"] = mini.tif(mini.labels(number))
    mini.write_zip(tmp_path / "dsb2018.zip", files)
    prepare(tmp_path, tmp_path / "data", ["DSB"])
    assert names(tmp_path / "data", "DSB", "train") == sorted(odd)
    of_images, _ = statistics(tmp_path / "data", ["DSB"])
    cells = {one.image: one.cells for one in of_images}
    assert cells == {name: len(np.unique(mini.labels(number))) - 1 for number, name in enumerate(odd)}
    assert prepare(tmp_path, tmp_path / "data", ["DSB"]).there == ["DSB"]


def test_archives_may_lie_in_a_folder_of_any_name(small):
    archives, out = small
    with zipfile.ZipFile(archives / "dsb2018.zip") as archive:
        files = {f"copy of/{name}": archive.read(name) for name in archive.namelist()}
    # An example of the same layout deeper inside is not the data set.
    files |= {"copy of/examples/dsb2018/train/images/x.tif": b"x", "copy of/examples/dsb2018/train/masks/x.tif": b"x"}
    mini.write_zip(archives / "dsb2018.zip", files)
    prepare(archives, out, ["DSB"])
    assert len(names(out, "DSB", "train")) == 4


def test_two_calls_at_once_do_not_mix(small):
    archives, out = small
    out.mkdir()
    with (
        locked(out / ".prepare.lock"),
        pytest.raises(OutputError, match="Another program is writing"),
        locked(out / ".prepare.lock", timeout=0.1),
    ):
        pass
    assert prepare(archives, out, ["DSB"]).made == ["DSB"]


def test_a_mask_that_is_no_image_names_the_member(small):
    archives, out = small
    files = {}
    with zipfile.ZipFile(archives / "dsb2018.zip") as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    files["dsb2018/test/masks/00f3.tif"] = b"only text"
    mini.write_zip(archives / "dsb2018.zip", files)
    with pytest.raises(ArchiveError, match=r"dsb2018/test/masks/00f3\.tif in .*damaged"):
        prepare(archives, out, ["DSB"])


def test_too_few_images_for_the_published_choice(tmp_path):
    mini.neurips(tmp_path, train=20, test=24)
    with pytest.raises(ArchiveError, match="has 20 images and 141 are needed"):
        prepare(tmp_path, tmp_path / "data", ["CSB"])


def test_masks_with_names_of_their_own_are_paired_in_order_which_is_said(tmp_path):
    files = {}
    for split in ("train", "test"):
        for number in range(3):
            files[f"{split}/brightfield/image{number}.tif"] = mini.tif(mini.grey(number))
            files[f"{split}/masks_RoiMap/map{number}.tif"] = mini.tif(mini.labels(number))
    mini.write_zip(tmp_path / "DeepBacs_Data_Segmentation_E.coli_Brightfield_dataset.zip", files)
    result = prepare(tmp_path, tmp_path / "data", ["ECB"])
    assert any("paired in sorted order" in note for note in result.notes)
    assert names(tmp_path / "data", "ECB", "train", "masks") == ["image0.png", "image1.png", "image2.png"]


# ---- TissueNet


@pytest.mark.parametrize("objects", [True, False])
def test_the_description_of_tissuenet_is_read_as_texts_or_objects(tmp_path, objects):
    mini.tissuenet(tmp_path, ["20191219_Eliot", "20200114_cHL"], objects=objects)
    prepare(tmp_path, tmp_path / "data", ["TSN-6", "TSN-10"])
    assert names(tmp_path / "data", "TSN-6", "train") == [f"{number:05d}.png" for number in range(0, 20, 2)]
    assert names(tmp_path / "data", "TSN-10", "train") == [f"{number:05d}.png" for number in range(1, 20, 2)]


class _Harmful:
    def __reduce__(self):
        return (open, ("harm.txt", "w"))


def _with_meta(tmp_path, meta):
    """An archive whose description is these bytes after the header of an array of objects."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"shape": (2, 6), "fortran_order": False, "descr": "|O"})
    whole = io.BytesIO(mini.arrays(["20191219_Eliot"] * 10, test=False))
    changed = io.BytesIO()
    with zipfile.ZipFile(whole) as source, zipfile.ZipFile(changed, "w") as target:
        for name in ("X.npy", "y.npy"):
            target.writestr(name, source.read(name))
        target.writestr("meta.npy", header.getvalue() + meta)
    mini.write_zip(tmp_path / "tissuenet_v1.1.zip", {"tissuenet_v1.1_train.npz": changed.getvalue()})


@pytest.mark.parametrize(
    "meta",
    [pickle.dumps(_Harmful()), b"\x80\x02]r\xff\xff\xff\x7f.", b"\x80\x04", pickle.dumps(["a"] * 12), b""],
)
def test_code_in_a_description_is_never_run(tmp_path, monkeypatch, meta):
    monkeypatch.chdir(tmp_path)
    _with_meta(tmp_path, meta)
    with pytest.raises(ArchiveError, match="damaged or has another layout"):
        prepare(tmp_path, tmp_path / "data", ["TSN-6"])
    assert not (tmp_path / "harm.txt").exists()
    assert [path.name for path in (tmp_path / "data").iterdir()] == [".prepare.lock"]


def test_other_columns_are_named(tmp_path, monkeypatch):
    right = mini.meta_rows
    monkeypatch.setattr(mini, "meta_rows", lambda groups, *, test: [list("abcdef"), *right(groups, test=test)[1:]])
    mini.tissuenet(tmp_path, ["20191219_Eliot"])
    with pytest.raises(ArchiveError, match="has the columns a, b, c, d, e, f; experiment and specimen are needed"):
        prepare(tmp_path, tmp_path / "data", ["TSN-6"])


@pytest.mark.parametrize("test_rows", [0, 1])
def test_a_description_of_another_length_is_refused(tmp_path, monkeypatch, test_rows):
    right = mini.meta_rows
    monkeypatch.setattr(mini, "meta_rows", lambda groups, *, test: right(groups, test=test)[: -1 - test_rows])
    mini.tissuenet(tmp_path, ["20191219_Eliot"])
    with pytest.raises(ArchiveError, match="damaged or has another layout"):
        prepare(tmp_path, tmp_path / "data", ["TSN-6"])


def test_too_small_a_group_is_not_the_published_one(tmp_path):
    mini.tissuenet(tmp_path, ["20191219_Eliot"], train=9)
    with pytest.raises(ArchiveError, match="has 9 train images of TSN-6 where at least 10"):
        prepare(tmp_path, tmp_path / "data", ["TSN-6"])


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
