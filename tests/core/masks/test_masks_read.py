"""Reading mask files, against the research code's results (golden g2) and where it was wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage

from cellseg1.errors import MaskError
from cellseg1.images import read_image
from cellseg1.masks import read_mask, relabel_sequential, remap_colours, write_label_image

GOLDEN = Path(__file__).parents[2] / "golden" / "g2_masks_resize.npz"
with np.load(GOLDEN) as _file:
    VECTORS = {key: _file[key] for key in _file.files}
CASES = sorted(key[3:] for key in VECTORS if key.startswith("in."))


def squares(rows: int = 4, columns: int = 6, size: int = 8, gap: int = 3) -> np.ndarray:
    """Label image of squares numbered from 1, with a background border."""
    labels = np.zeros((rows * (size + gap) + gap, columns * (size + gap) + gap), np.int32)
    for i in range(rows * columns):
        y, x = gap + i // columns * (size + gap), gap + i % columns * (size + gap)
        labels[y : y + size, x : x + size] = i + 1
    return labels


SQUARES = squares()


def save_npy(folder: Path, array: np.ndarray) -> Path:
    np.save(folder / "mask.npy", array)
    return folder / "mask.npy"


def test_all_golden_cases_are_here() -> None:
    covered = {"gaps", "rgb_colour", "rgb_equal", "binary255", "const5", "labels_gt_65535", "no_background"}
    assert set(CASES) == covered


@pytest.mark.parametrize("case", ["gaps", "rgb_colour", "rgb_equal", "labels_gt_65535"])
def test_equal_to_research_code(case: str, tmp_path: Path) -> None:
    # labels_gt_65535 begins at 65537, so the research code's wrap happens to give the same order here.
    mask = read_mask(save_npy(tmp_path, VECTORS[f"in.{case}"]))
    assert mask.labels.dtype == np.int32
    np.testing.assert_array_equal(mask.labels, VECTORS[f"out.{case}"])
    assert mask.notes == ()
    if case == "gaps":
        assert mask.original_ids.tolist() == [4, 7, 10, 13, 16, 19]


def test_binary_is_split_where_research_code_made_one_cell(tmp_path: Path) -> None:
    binary = VECTORS["in.binary255"]
    mask = read_mask(save_npy(tmp_path, binary))
    assert VECTORS["out.binary255"].max() == 1
    assert mask.n_cells > 1
    np.testing.assert_array_equal(mask.labels > 0, binary > 0)
    assert "separate pieces" in mask.notes[0]


def test_no_background_keeps_every_cell(tmp_path: Path) -> None:
    # The research code made the smallest id the background: a cell vanished.
    labels = VECTORS["in.no_background"]
    mask = read_mask(save_npy(tmp_path, labels))
    assert mask.original_ids.tolist() == np.unique(labels).tolist()
    np.testing.assert_array_equal(mask.labels, VECTORS["out.no_background"].astype(int) + 1)
    assert "no background" in mask.notes[0]


def test_constant_is_one_cell_numbered_1(tmp_path: Path) -> None:
    # The research code left the 5 as it was.
    mask = read_mask(save_npy(tmp_path, VECTORS["in.const5"]))
    assert (mask.labels == 1).all()
    assert mask.original_ids.tolist() == [5]


def test_ids_that_differ_by_65536_stay_apart(tmp_path: Path) -> None:
    labels = np.zeros((20, 31), np.int64)
    labels[2:8, 2:9], labels[10:18, 12:20] = 1, 65537
    mask = read_mask(save_npy(tmp_path, labels))
    assert (mask.labels[3, 3], mask.labels[12, 13], mask.n_cells) == (1, 2, 2)


@pytest.mark.parametrize(
    "dtype",
    [np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64, np.float16, np.float32],
)
def test_every_integer_type(tmp_path: Path, dtype: type) -> None:
    labels: np.ndarray = (SQUARES * 3).astype(dtype)
    np.testing.assert_array_equal(read_mask(save_npy(tmp_path, labels)).labels, SQUARES)


def test_70000_cells(tmp_path: Path) -> None:
    labels = np.repeat(np.arange(1, 70001, dtype=np.uint32).reshape(200, 350), 5, axis=1)
    labels[-1] = 0
    labels[labels == 69000] = 4_000_000_000
    tifffile.imwrite(tmp_path / "a.tif", labels, compression="zlib")
    mask = read_mask(tmp_path / "a.tif")
    assert mask.n_cells == 69650
    assert mask.labels.max() == 69650
    assert mask.original_ids[-1] == 4_000_000_000
    assert mask.labels[0, 5] == 2


@pytest.mark.parametrize("high", [1, 255, 65535, True])
def test_two_values_become_pieces(tmp_path: Path, high: int) -> None:
    cells = np.where(SQUARES > 0, high, 0).astype(bool if high is True else np.uint16)
    mask = read_mask(save_npy(tmp_path, cells))
    np.testing.assert_array_equal(mask.labels, SQUARES)
    assert "24 separate pieces" in mask.notes[0]


def test_binary_pieces_are_4_connected(tmp_path: Path) -> None:
    # Two cells parted by a diagonal line one pixel wide.
    cells = np.full((20, 29), 255, np.uint8)
    cells[np.arange(20), np.arange(20)] = 0
    assert read_mask(save_npy(tmp_path, cells)).n_cells == 2


def test_one_bit_png_and_one_other_id(tmp_path: Path) -> None:
    PilImage.fromarray(SQUARES > 0).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png").n_cells == 24
    two_pieces = np.where((SQUARES == 3) | (SQUARES == 9), 7, 0).astype(np.uint8)
    mask = read_mask(save_npy(tmp_path, two_pieces))  # 7 is no binary value: it is an id
    assert (mask.n_cells, mask.original_ids.tolist()) == (1, [7])


def test_palette_indices_are_ids(tmp_path: Path) -> None:
    picture = PilImage.fromarray(SQUARES.astype(np.uint8))
    picture.putpalette([0, 0, 0] + [200, 10, 10] * 24)  # all cells in one colour: only the index tells them apart
    picture.save(tmp_path / "a.png")
    with PilImage.open(tmp_path / "a.png") as written:
        assert written.mode == "P"
    np.testing.assert_array_equal(read_mask(tmp_path / "a.png").labels, SQUARES)
    colormap = np.zeros((3, 256), np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", SQUARES.astype(np.uint8), photometric="palette", colormap=colormap)
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif").labels, SQUARES)


def coloured(background: tuple[int, int, int]) -> np.ndarray:
    rng = np.random.default_rng(1)
    table = rng.integers(1, 250, (25, 3)).astype(np.uint8)
    table[0] = background
    return np.asarray(table[SQUARES])


@pytest.mark.parametrize("background", [(0, 0, 0), (255, 255, 255), (90, 3, 7)])
def test_colours(tmp_path: Path, background: tuple[int, int, int]) -> None:
    PilImage.fromarray(coloured(background)).save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png")
    assert mask.n_cells == 24
    np.testing.assert_array_equal(mask.labels == 0, SQUARES == 0)
    pairs = np.unique(np.stack([mask.labels.ravel(), SQUARES.ravel()]), axis=1)
    assert pairs.shape[1] == 25  # one to one
    assert bool(mask.notes) == any(background)


def test_rgba_transparency_is_background(tmp_path: Path) -> None:
    rgba = np.concatenate([coloured((255, 255, 255)), np.where(SQUARES > 0, 255, 0)[..., None]], axis=-1)
    PilImage.fromarray(rgba.astype(np.uint8)).save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png")
    np.testing.assert_array_equal(mask.labels == 0, SQUARES == 0)
    assert mask.n_cells == 24
    assert "Transparent" in mask.notes[0]
    grey = np.stack([SQUARES, np.full_like(SQUARES, 255)], -1).astype(np.uint8)
    layers = [PilImage.fromarray(np.ascontiguousarray(grey[..., c])) for c in range(2)]
    PilImage.merge("LA", layers).save(tmp_path / "b.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "b.png").labels, SQUARES)


def test_one_colour_is_split_into_pieces(tmp_path: Path) -> None:
    red = np.zeros((*SQUARES.shape, 3), np.uint8)
    red[SQUARES > 0, 0] = 200
    PilImage.fromarray(red).save(tmp_path / "a.png")
    assert read_mask(tmp_path / "a.png").n_cells == 24


def test_white_is_zero_keeps_its_ids(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", SQUARES.astype(np.uint8), photometric="miniswhite")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif").labels, SQUARES)


def test_stack_needs_a_plane(tmp_path: Path) -> None:
    stack = np.stack([SQUARES * 0, SQUARES] * 4).astype(np.uint16)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    with pytest.raises(MaskError, match="stack of 8 planes"):
        read_mask(tmp_path / "a.tif")
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif", z=3).labels, SQUARES)
    with pytest.raises(MaskError, match="no plane z = 8"):
        read_mask(tmp_path / "a.tif", z=8)


def picture(rng: np.random.Generator) -> np.ndarray:
    """Smooth blobs with a little noise, as a microscope gives."""
    y, x = np.mgrid[:150, :211]
    blobs = 100 + 60 * np.sin(x / 15) * np.cos(y / 12) + rng.normal(0, 3, x.shape)
    return np.asarray(blobs.clip(0, 255))


def refused_arrays() -> dict[str, tuple[Any, str]]:
    rng = np.random.default_rng(0)
    photo = picture(rng)
    return {
        "negative": (np.where(SQUARES > 5, SQUARES, -1), "negative"),
        "no data": (np.where(SQUARES > 5, SQUARES, -3.4e38).astype(np.float32), "negative"),
        "fractions": (SQUARES * 0.5, "fractional"),
        "nan": (np.where(SQUARES > 0, SQUARES, np.nan), "NaN"),
        "grey picture": (photo.astype(np.uint8), "looks like a picture"),
        "16-bit picture": ((photo * 200 + rng.normal(0, 99, photo.shape)).astype(np.uint16), "looks like a picture"),
        "colour picture": (np.stack([photo, photo[::-1], photo[:, ::-1]], -1).astype(np.uint8), "looks like a picture"),
        "two channels": (np.stack([SQUARES, SQUARES.T.reshape(SQUARES.shape)], -1), "2 channels"),
        "complex": (SQUARES.astype(complex), "complex"),
        "too large": (np.where(SQUARES > 0, 2**63 + SQUARES.astype(np.uint64), 0).astype(np.uint64), "too large"),
    }


@pytest.mark.parametrize("case", sorted(refused_arrays()))
def test_refused(case: str, tmp_path: Path) -> None:
    array, match = refused_arrays()[case]
    path = save_npy(tmp_path, array)
    with pytest.raises(MaskError, match=match) as caught:
        read_mask(path)
    assert str(path) in str(caught.value)


def test_jpeg_ids_are_refused(tmp_path: Path) -> None:
    PilImage.fromarray((SQUARES * 10).astype(np.uint8)).save(tmp_path / "a.jpg")
    with pytest.raises(MaskError, match="JPEG"):
        read_mask(tmp_path / "a.jpg")


def test_image_errors_become_mask_errors(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"nothing")
    for path, match in ((tmp_path / "a.png", "not an image"), (tmp_path / "b.png", "does not exist")):
        with pytest.raises(MaskError, match=match):
            read_mask(path)


def test_empty_mask(tmp_path: Path) -> None:
    path = save_npy(tmp_path, np.zeros((9, 12), np.uint8))
    assert read_mask(path).n_cells == 0
    with pytest.raises(MaskError, match="no cells"):
        read_mask(path, require_cells=True)
    labels, old = relabel_sequential(np.zeros((0, 4), np.uint8))
    assert labels.shape == (0, 4)
    assert old.size == 0


def test_dots_and_dense_small_cells_are_no_picture(tmp_path: Path) -> None:
    dots = np.zeros((100, 130), np.uint16)
    dots[::7, ::5] = np.arange(1, dots[::7, ::5].size + 1).reshape(dots[::7, ::5].shape)
    assert read_mask(save_npy(tmp_path, dots)).n_cells == dots.max()
    dense = np.kron(np.arange(1, 1201).reshape(30, 40), np.ones((2, 2), int))
    assert read_mask(save_npy(tmp_path, dense)).n_cells == 1200


def test_remap_colours_returns_the_table() -> None:
    labels, colours, background = remap_colours(coloured((255, 255, 255)))
    assert background == (255, 255, 255)
    assert colours.shape == (24, 3)
    shown = np.concatenate([[background], colours])[labels]
    np.testing.assert_array_equal(shown, coloured((255, 255, 255)))


@pytest.mark.parametrize("name", ["ä b.png", "ä b.tif", "sub/c.TIFF"])
def test_write_and_read_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    write_label_image(path, SQUARES)
    with PilImage.open(path) as written:
        assert np.array(written).dtype == np.uint8
    np.testing.assert_array_equal(read_mask(path).labels, SQUARES)
    write_label_image(path, SQUARES.T)  # replaced, and nothing is left beside it
    np.testing.assert_array_equal(read_mask(path).labels, SQUARES.T)
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize(("highest", "dtype"), [(0, np.uint8), (255, np.uint8), (256, np.uint16), (65535, np.uint16)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_the_smallest_type_that_holds_the_ids(tmp_path: Path, highest: int, dtype: type, suffix: str) -> None:
    labels = np.zeros((20, 30), np.int32)
    labels[3:9, 4:20] = highest
    write_label_image(tmp_path / f"a{suffix}", labels)
    with PilImage.open(tmp_path / f"a{suffix}") as written:
        assert np.array(written).dtype == dtype
        np.testing.assert_array_equal(np.array(written), labels)


def test_many_ids_need_tiff(tmp_path: Path) -> None:
    labels = np.arange(70_001, dtype=np.int32).reshape(1, -1).repeat(3, axis=0)
    write_label_image(tmp_path / "a.tif", labels)
    stored = tifffile.imread(tmp_path / "a.tif")
    assert stored.dtype == np.uint32
    np.testing.assert_array_equal(stored, labels)
    assert (tmp_path / "a.tif").stat().st_size < labels.size * 2
    with pytest.raises(MaskError, match="65,535 and these go to 70,000"):
        write_label_image(tmp_path / "a.png", labels)
    assert not (tmp_path / "a.png").exists()
    write_label_image(tmp_path / "b.png", labels.clip(0, 65535))
    assert read_mask(tmp_path / "b.png").n_cells == 65535


def test_what_cannot_be_written(tmp_path: Path) -> None:
    for name, labels, match in (
        ("a.bmp", SQUARES, "ends in"),
        ("a.png", -SQUARES, "negative"),
        ("a.png", SQUARES * 0.5, "no label image"),
        ("a.png", SQUARES[:0], "no label image"),
        ("a.tif", SQUARES[:, :0], "no label image"),
        ("a.png", np.stack([SQUARES] * 2), "no label image"),
        ("a.tif", SQUARES.astype(np.int64) << 33, "too large"),
    ):
        with pytest.raises(MaskError, match=match):
            write_label_image(tmp_path / name, labels)
    assert not list(tmp_path.iterdir())


def test_stack_is_written(tmp_path: Path) -> None:
    write_label_image(tmp_path / "a.tif", np.stack([SQUARES, SQUARES * 0, SQUARES]))
    np.testing.assert_array_equal(read_mask(tmp_path / "a.tif", z=2).labels, SQUARES)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32])
@pytest.mark.parametrize("planes", [0, 3])
def test_label_tiffs_keep_the_pixel_size(tmp_path: Path, dtype: type, planes: int) -> None:
    labels = np.zeros((planes, 20, 30) if planes else (20, 30), dtype)
    labels[..., 3:9, 4:20] = 70_000 if dtype is np.uint32 else np.iinfo(dtype).max
    write_label_image(tmp_path / "a.tif", labels, pixel_size_um=(0.325, 0.65))
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_array_equal(image.array, labels)
    assert image.array.dtype == dtype
    assert image.info.pixel_size_um == pytest.approx((0.325, 0.65))
    assert image.info.axes == ("ZYX" if planes else "YX")
    with tifffile.TiffFile(tmp_path / "a.tif") as written:
        assert written.imagej_metadata is not None
        assert written.imagej_metadata["unit"] == "um"
    write_label_image(tmp_path / "b.tif", labels, pixel_size_um=(0.0, float("nan")))
    assert read_image(tmp_path / "b.tif").info.pixel_size_um is None
