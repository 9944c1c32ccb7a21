"""What is found in a folder, what is left out and why, and that one name is one name."""

from __future__ import annotations

import errno
import os
import socket
import sys
import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage

from cellseg1.errors import ImageError, PairingError
from cellseg1.evaluation.job import evaluate
from cellseg1.images import read_image
from cellseg1.masks import list_folder, list_images, list_masks, pair_by_name, plain_stem
from cellseg1.prediction.inputs import collect_inputs, result_name

CELLS = np.zeros((40, 64), np.uint8)
CELLS[4:14, 5:15], CELLS[20:34, 30:44] = 1, 2


def png(path: Path, array: np.ndarray = CELLS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    PilImage.fromarray(array).save(path)
    return path


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("x.ome.tif", "x.ome.png"),
        ("x.ome.tif", "x.png"),
        ("x.ome.tiff", "x.ome_cp_masks.png"),
        ("x.ome.tif", "x_mask.tif"),
        ("X.OME.TIF", "x.ome.tiff"),
        ("x.nii.gz", "x_labels.nii.gz"),
        ("x.lsm", "x_cp_masks.png"),
        ("scan.001.tif", "scan.001.png"),
        (unicodedata.normalize("NFC", "zellé.png"), unicodedata.normalize("NFD", "zellé_mask.png")),
        (unicodedata.normalize("NFD", "Ångström.tif"), unicodedata.normalize("NFC", "ångström.png")),
    ],
)
def test_names_of_one_image(image: str, mask: str) -> None:
    others = [Path("y7.tif")]
    pairing = pair_by_name([Path(image), *others], [Path(mask), *others])
    assert (Path(image), Path(mask)) in pairing.pairs
    assert pairing.report() == []


def test_results_are_named_as_they_are_paired() -> None:
    for name, stem in {
        "x.ome.tif": "x", "x.ome.tiff": "x", "x.ome.btf": "x", "x.ome.png": "x", "x.nii.gz": "x", "x.stk": "x",
        "a.b.png": "a.b", "scan.001": "scan.001", "ome.tif": "ome", "x.ome.zarr": "x",
    }.items():  # fmt: skip
        assert result_name(Path(name)) == plain_stem(Path(name)) == stem
    assert not pair_by_name([Path("scan.001"), Path("scan.002")], []).ambiguous


def test_two_images_of_one_result_are_refused(tmp_path: Path) -> None:
    files = [png(tmp_path / "x.png"), tmp_path / "x.ome.tif"]
    tifffile.imwrite(files[1], CELLS)
    with pytest.raises(ImageError, match="would both be saved as x"):
        collect_inputs(files)
    assert [path.name for path in collect_inputs([png(tmp_path / "n" / "a.png"), tmp_path / "x.png"])] == [
        "a.png",
        "x.png",
    ]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Return a folder as people have them."""
    folder = tmp_path / "mixed"
    png(folder / "good.png")
    tifffile.imwrite(folder / "a.tif", CELLS)
    for name in ("b.lsm", "c.stk", "d.svs", "e.btf", "f.tf8"):
        (folder / name).write_bytes((folder / "a.tif").read_bytes())
    for name in ("k.czi", "l.lif", "m.nd2", "n.webp", "o.czi", "notes.txt", ".hidden.png", "Thumbs.db"):
        (folder / name).write_bytes(b"x")
    (folder / "p.ome.zarr").mkdir()
    (folder / "deeper").mkdir()
    return folder


def test_what_is_left_out_is_named(mixed: Path) -> None:
    listing = list_folder(mixed)
    assert [path.name for path in listing.images] == ["a.tif", "b.lsm", "c.stk", "d.svs", "e.btf", "f.tf8", "good.png"]
    for path in listing.images:
        assert read_image(path).array.shape == CELLS.shape
    assert listing.report() == [
        "Left out: k.czi, o.czi (Zeiss CZI files are not read yet; save them as OME-TIFF).",
        "Left out: l.lif (Leica LIF files are not read yet; save them as OME-TIFF).",
        "Left out: m.nd2 (Nikon ND2 files are not read yet; save them as OME-TIFF).",
        "Left out: n.webp (WebP files are not read yet; save them as OME-TIFF).",
        "Left out: p.ome.zarr (Zarr files are not read yet; save them as OME-TIFF).",
    ]
    said: list[str] = []
    assert len(collect_inputs([mixed], said.append)) == 7
    assert len(said) == 5
    assert said[0].startswith(f"{mixed}: Left out: k.czi, o.czi")


@pytest.mark.skipif(sys.platform == "win32", reason="links of Unix")
def test_a_link_that_cannot_be_followed_takes_no_other_with_it(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = list_folder(mixed).images
    (mixed / "private.png").symlink_to("elsewhere/a.png")
    (mixed / "long.png").symlink_to("x" * 300 + ".png")
    (mixed / "loop.png").symlink_to("loop.png")
    (mixed / "through.png").symlink_to("a.png/b.png")
    plain = Path.stat

    def stat(self: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        # The system lets the superuser look everywhere.
        if self.name == "private.png" and follow_symlinks:
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return plain(self, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(Path, "stat", stat)
    listing = list_folder(mixed)
    assert listing.images == images
    report = " ".join(listing.report())
    assert "private.png (it cannot be opened: Permission denied)" in report
    assert "long.png (it cannot be opened: File name too long)" in report
    assert "loop.png (it cannot be opened: Too many levels of symbolic links)" in report
    assert "through.png (a link to a file that is not there)" in report


@pytest.mark.skipif(sys.platform == "win32", reason="links, pipes and sockets of Unix")
def test_broken_links_pipes_and_sockets_are_left_out_and_refused(mixed: Path) -> None:
    (mixed / "gone.png").symlink_to(".git/annex/objects/nothing.png")
    os.mkfifo(mixed / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(mixed / "s.png"))
        report = " ".join(list_folder(mixed).report())
        assert "gone.png (a link to a file that is not there)" in report
        assert "pipe.png, s.png (not a regular file)" in report
        for name, why in (("gone.png", "link to a file that is not"), ("pipe.png", "a pipe"), ("s.png", "a socket")):
            with pytest.raises(ImageError, match=why):
                read_image(mixed / name)
    (mixed / "zero.png").symlink_to("/dev/zero")
    with pytest.raises(ImageError, match="a device"):
        read_image(mixed / "zero.png")


def test_evaluation_names_what_it_left_out(tmp_path: Path) -> None:
    png(tmp_path / "truth" / "a.png")
    (tmp_path / "truth" / "b.czi").write_bytes(b"ZISRAWFILE")
    png(tmp_path / "pred" / "a.png")
    png(tmp_path / "pred" / "b.png")
    said: list[str] = []
    report = evaluate(tmp_path / "truth", tmp_path / "pred", say=said.append)
    assert len(report.images) == 1
    assert any("b.czi (Zeiss CZI" in sentence for sentence in said)
    (tmp_path / "truth" / "a.png").unlink()
    with pytest.raises(PairingError, match=r"no label images in .* Left out: b\.czi"):
        evaluate(tmp_path / "truth", tmp_path / "pred")


@pytest.fixture
def cellpose(tmp_path: Path) -> Path:
    """Return a folder in which Cellpose has worked."""
    folder = tmp_path / "cellpose"
    for name in ("x.png", "x_cp_masks.png", "y.png", "y_cp_masks.png", "y_outlines_cp_masks.png"):
        png(folder / name)
    tifffile.imwrite(folder / "x_flows.tif", CELLS)
    np.save(folder / "x_seg.npy", {"masks": CELLS}, allow_pickle=True)  # type: ignore[arg-type]
    return folder


def test_a_folder_of_cellpose(cellpose: Path) -> None:
    listing = list_folder(cellpose)
    assert [path.name for path in listing.images] == ["x.png", "y.png"]
    assert [path.name for path in listing.masks] == ["x_cp_masks.png", "y_cp_masks.png"]
    assert [path.name for path, _ in listing.left_out] == ["x_flows.tif", "x_seg.npy", "y_outlines_cp_masks.png"]
    assert list_images(cellpose) == list(listing.images)
    assert list_masks(cellpose) == list(listing.masks)
    said: list[str] = []
    assert collect_inputs([cellpose], said.append) == list(listing.images)
    assert any("x_cp_masks.png, y_cp_masks.png are masks" in sentence for sentence in said)
    with pytest.raises(ImageError, match="segmentation of Cellpose"):
        read_image(cellpose / "x_seg.npy")
    said.clear()
    report = evaluate(cellpose, cellpose, say=said.append)
    assert [one.name for one in report.images] == ["x_cp_masks.png", "y_cp_masks.png"]


def test_words_of_masks_without_a_partner_mean_nothing(tmp_path: Path) -> None:
    png(tmp_path / "cells_gt.png")
    png(tmp_path / "river_flows.png")
    np.save(tmp_path / "plain_seg.npy", CELLS)
    assert [path.name for path in list_images(tmp_path)] == ["cells_gt.png", "plain_seg.npy", "river_flows.png"]
    assert list_folder(tmp_path).report() == []
    assert len(list_masks(tmp_path)) == 3
