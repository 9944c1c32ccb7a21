"""Archives that are hostile, damaged, of another layout, or oddly named."""

import io
import pickle
import tracemalloc
import zipfile

import numpy as np
import paper_archives as mini
import pytest
from paper_archives import names

from cellseg1.errors import MaskError, OutputError
from cellseg1.paper.archive import ArchiveError
from cellseg1.paper.conversion import as_labels
from cellseg1.paper.locked import locked
from cellseg1.paper.prepare import prepare
from cellseg1.paper.statistics import statistics
from cellseg1.paper.tissuenet import opened_split


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


def test_one_image_of_tissuenet_is_in_memory_at_a_time(tmp_path):
    count, side = 60, 128
    values = np.random.default_rng(0).random((count, side, side, 2), np.float32)
    labels = np.zeros((count, side, side, 2), np.int32)
    labels[:, 10:30, 10:30] = 1
    meta = np.array(mini.meta_rows(["20191219_Eliot"] * count, test=False), dtype=object)
    np.savez(tmp_path / "arrays.npz", X=values, y=labels, meta=meta)
    tracemalloc.start()
    try:
        with opened_split(tmp_path / "arrays.npz", test=False) as arrays:
            found = sum(int(row.nuclei.max()) for _, row in arrays.rows({"gi_20191219_eliot"}))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert found == count
    assert peak < values.nbytes / 3
