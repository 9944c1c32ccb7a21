"""Matching masks to images by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from cellseg1.errors import ImageError, PairingError
from cellseg1.masks import list_images, pair_by_name, plain_stem


def paths(*names: str) -> list[Path]:
    return [Path("/data") / name for name in names]


def names(pairs: tuple[tuple[Path, Path], ...]) -> list[tuple[str, str]]:
    return [(a.name, b.name) for a, b in pairs]


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("a.tif", "a.png"),
        ("A.TIF", "a.png"),
        ("a.nii.gz", "a.nii"),
        ("a.ome.tif", "a_mask.tif"),
        ("a.png", "a_masks.png"),
        ("a.png", "a-mask.png"),
        ("a.png", "a_cp_masks.png"),
        ("a.png", "A_Label.png"),
        ("a.png", "mask_a.png"),
        ("img_7.png", "gt_7.png"),
        ("a_img.png", "a_seg.png"),
        ("a_image.png", "a_gt.png"),
        ("img.png", "mask.png"),
        ("frame 001.png", "truth_1.png"),
        ("für 細胞.png", "für 細胞_labels.png"),
    ],
)
def test_names_that_match(image: str, mask: str) -> None:
    # "img.png" and "mask.png" have no number and no common part, so they do not.
    pairing = pair_by_name(paths(image, "other_x.png"), paths("other_x.png", mask))
    if image == "img.png":
        assert names(pairing.pairs) == [("other_x.png", "other_x.png")]
        return
    assert (image, mask) in names(pairing.pairs)
    assert pairing.report() == []
    pairing.require_complete()


def test_order_does_not_matter_and_natural_order_is_returned() -> None:
    images = paths("c10.png", "c2.png", "c1.png")
    masks = paths("c1_mask.png", "c10_mask.png", "c2_mask.png")
    assert names(pair_by_name(images, masks).pairs) == [
        ("c1.png", "c1_mask.png"),
        ("c2.png", "c2_mask.png"),
        ("c10.png", "c10_mask.png"),
    ]


def test_missing_ones_are_named() -> None:
    pairing = pair_by_name(paths("a.png", "b.png"), paths("a_mask.png", "c_mask.png"))
    assert names(pairing.pairs) == [("a.png", "a_mask.png")]
    assert [p.name for p in pairing.images_without_mask] == ["b.png"]
    assert [p.name for p in pairing.masks_without_image] == ["c_mask.png"]
    with pytest.raises(PairingError, match=r"No mask was found for b\.png\. No image was found for the mask c_mask"):
        pairing.require_complete()
    with pytest.raises(PairingError, match="neither"):
        pair_by_name([], []).require_complete()


def test_numbers_count_only_when_everything_fits() -> None:
    assert len(pair_by_name(paths("x1.png", "x2.png"), paths("t_01.png", "t_02.png")).pairs) == 2
    assert not pair_by_name(paths("x1.png", "x2.png"), paths("t_01.png", "t_03.png")).pairs
    assert not pair_by_name(paths("x1.png", "x2.png"), paths("t_01.png")).pairs
    assert not pair_by_name(paths("x1.png", "y1.png"), paths("t_01.png", "t_02.png")).pairs


def test_ambiguous_names_are_not_paired() -> None:
    pairing = pair_by_name(paths("a.png", "a.tif", "b.png"), paths("a.png", "b.png"))
    assert names(pairing.pairs) == [("b.png", "b.png")]
    assert len(pairing.ambiguous) == 1
    assert not pairing.images_without_mask
    with pytest.raises(PairingError, match="same name"):
        pairing.require_complete()
    two_masks = pair_by_name(paths("a.png"), paths("a_mask.png", "a_label.png"))
    assert not two_masks.pairs
    assert "a_label.png" in two_masks.report()[0]


def test_hidden_files_are_ignored() -> None:
    pairing = pair_by_name(paths("a.png", "._a.png"), paths("a.png", ".DS_Store"))
    assert len(pairing.pairs) == 1
    pairing.require_complete()


def test_long_reports_are_shortened() -> None:
    report = pair_by_name(paths(*(f"a{i}.png" for i in range(9))), []).report()
    assert report == ["No mask was found for a0.png, a1.png, a2.png, a3.png, a4.png and 4 more."]


def test_plain_stem() -> None:
    assert [plain_stem(p) for p in paths("a.b.nii.gz", "c.OME.TIF", "d.e.png", ".nii.gz")] == [
        "a.b",
        "c",
        "d.e",
        ".nii.gz",
    ]


def test_list_images(tmp_path: Path) -> None:
    for name in ("c10.png", "c2.PNG", "x.nii.gz", "._c2.png", "notes.txt", "Thumbs.db", "y.gz", "z.tiff"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()
    assert [p.name for p in list_images(tmp_path)] == ["c2.PNG", "c10.png", "x.nii.gz", "z.tiff"]
    with pytest.raises(ImageError, match="cannot be read"):
        list_images(tmp_path / "no")
    with pytest.raises(ImageError, match="is a file"):
        list_images(tmp_path / "c10.png")
