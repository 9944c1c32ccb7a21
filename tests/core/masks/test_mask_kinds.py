"""Masks as other programs leave them: classes, colours used again, soft edges, white backgrounds, stacks."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage
from PIL import ImageFilter

from cellseg1.errors import MaskError
from cellseg1.images import Image, read_image
from cellseg1.masks import look_at_labels, open_mask, read_mask
from cellseg1.masks.kinds import find_cells

HEIGHT, WIDTH = 96, 140


def discs(count: int, radius: int, seed: int = 0) -> np.ndarray:
    """Label image of discs of one size that do not touch."""
    rng = np.random.default_rng(seed)
    labels = np.zeros((HEIGHT, WIDTH), np.int32)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    number = 0
    while number < count:
        cy, cx = rng.integers(radius + 1, HEIGHT - radius - 1), rng.integers(radius + 1, WIDTH - radius - 1)
        near = (y - cy) ** 2 + (x - cx) ** 2 < (2 * radius + 3) ** 2
        if not (labels[near & ((y - cy) ** 2 + (x - cx) ** 2 < (radius + 3) ** 2)]).any():
            number += 1
            labels[(y - cy) ** 2 + (x - cx) ** 2 < radius**2] = number
    return labels


CELLS = discs(12, 8)
WHITE = ((CELLS > 0) * 255).astype(np.uint8)


def grid() -> np.ndarray:
    """130 rectangles on a grid, numbered from 1."""
    labels = np.zeros((120, 160), np.int32)
    for i in range(130):
        y, x = i // 13 * 12 + 1, i % 13 * 12 + 2
        labels[y : y + 9, x : x + 10] = i + 1
    return labels


def once_a_jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    packed = io.BytesIO()
    PilImage.fromarray(picture).save(packed, "JPEG", quality=quality)
    return np.array(PilImage.open(packed))


def resized(picture: np.ndarray, factor: float, how: int = PilImage.Resampling.BILINEAR) -> np.ndarray:
    size = round(picture.shape[1] * factor), round(picture.shape[0] * factor)
    return np.array(PilImage.fromarray(picture).resize(size, how))


def blurred(picture: np.ndarray, radius: float) -> np.ndarray:
    return np.array(PilImage.fromarray(picture).filter(ImageFilter.GaussianBlur(radius)))


SOFT: dict[str, Any] = {
    "blurred": blurred(WHITE, 1),
    "half size": resized(WHITE, 0.5),
    "twice": resized(WHITE, 2),
    "three times, with overshoot": resized(WHITE, 3, PilImage.Resampling.LANCZOS),
    "white ground": 255 - blurred(WHITE, 1),
    "JPEG": once_a_jpeg(WHITE, 85),
    "JPEG of three channels": once_a_jpeg(np.dstack([WHITE] * 3), 75),
    "16 bit": resized(WHITE, 1.5).astype(np.uint16) * 257,
    "fractions": resized(WHITE, 1.5) / 255,
    "one colour": resized(np.dstack([WHITE, WHITE // 3, WHITE * 0]), 1.5),
    "dense": blurred(((discs(24, 6, seed=1) > 0) * 255).astype(np.uint8), 1),
}


@pytest.mark.parametrize("name", SOFT)
def test_soft_edges_are_cut_half_way(name: str) -> None:
    found = find_cells(SOFT[name])
    assert len(found.ids) == (24 if name == "dense" else 12)
    assert "soft edges" in found.notes[0]
    if found.labels.shape == CELLS.shape and name != "dense":
        assert np.mean((found.labels > 0) != (CELLS > 0)) < 0.01


def test_large_soft_shapes_with_straight_edges() -> None:
    picture = np.zeros((80, 120), np.uint8)
    picture[10:40, 20:60] = picture[50:70, 30:100] = 255
    assert len(find_cells(resized(picture, 1.5)).ids) == 2


@pytest.mark.parametrize("kind", ["ids", "colours", "noise", "picture", "probabilities"])
def test_what_soft_edges_have_spoiled_is_refused(kind: str) -> None:
    rng = np.random.default_rng(3)
    smooth = blurred(WHITE, 3).astype(float) + rng.normal(0, 4, WHITE.shape)
    colours = np.concatenate([[[0, 0, 0]], rng.integers(60, 255, (12, 3))]).astype(np.uint8)
    array: Any = {
        "ids": resized((CELLS * 20).astype(np.uint8), 1.5),
        "colours": resized(colours[CELLS], 1.5),
        "noise": np.where(WHITE > 0, rng.integers(100, 250, WHITE.shape), 0),
        "picture": smooth.clip(0, 255).astype(np.uint8),
        "probabilities": (smooth / 255).clip(0, 1),
    }[kind]
    with pytest.raises(MaskError, match=r"looks like a picture|fractional"):
        find_cells(array)


def test_ids_of_true_masks_are_never_taken_for_soft_edges() -> None:
    rng = np.random.default_rng(1)
    y, x = np.mgrid[:120, :170]
    for count in (30, 300, 2000):
        points = rng.random((count, 2)) * [120, 170]
        nearest = np.zeros(y.shape, np.int64)
        best = np.full(y.shape, np.inf)
        for number, (py, px) in enumerate(points, 1):
            distance = (y - py) ** 2 + (x - px) ** 2
            nearest[distance < best] = number
            best = np.minimum(best, distance)
        nearest[0] = 0
        found = find_cells(nearest)
        assert len(found.ids) == len(np.unique(nearest)) - 1
        assert found.notes == ()
    outlier = np.kron(np.arange(1, 1001).reshape(25, 40), np.ones((2, 3), int))
    outlier[outlier == 1000] = 4_000_000
    outlier[0] = 0
    assert len(find_cells(outlier).ids) == 1000
    fibres = np.zeros((200, 230), np.int64)
    for number in range(1, 15):
        rows, columns = np.sort(rng.random(2)) * 199, rng.random(2) * 229
        steps = np.linspace(0, 1, 900)
        y = (rows[0] + (rows[1] - rows[0]) * steps).astype(int)
        fibres[y, (columns[0] + (columns[1] - columns[0]) * steps).astype(int)] = number
    assert len(find_cells(fibres).ids) == len(np.unique(fibres)) - 1


COLOURS = np.array([[0, 0, 0], [200, 0, 0], [0, 200, 0], [0, 0, 200], [200, 200, 0]], np.uint8)


@pytest.mark.parametrize("kind", ["four ids", "four colours", "two colours", "two greys", "tiny", "no zero"])
def test_ids_and_colours_that_are_used_again_are_separate_cells(kind: str) -> None:
    labels = grid()
    if kind == "tiny":
        labels = np.kron(np.arange(1, 1201).reshape(30, 40), np.pad(np.ones((3, 3), int), (0, 1)))
    four = np.where(labels > 0, 1 + labels % 2 + 2 * (labels // 13 % 2), 0)
    two = np.where(labels > 0, 1 + (labels % 3 == 0), 0)
    array: Any = {
        "four ids": four.astype(np.uint8),
        "four colours": COLOURS[four],
        "two colours": COLOURS[two],
        "two greys": np.array([0, 128, 255], np.uint8)[two],
        "tiny": np.where(labels > 0, 1 + labels % 4, 0),
        "no zero": two + 1,
    }[kind]
    found = find_cells(array)
    assert len(found.ids) == labels.max()
    assert np.array_equal(found.labels > 0, labels > 0)
    assert any("so each piece was taken as one cell" in note for note in found.notes)
    kept = find_cells(array, pieces="keep")
    if kind != "no zero":
        assert len(kept.ids) == len(np.unique(array.reshape(labels.size, -1), axis=0)) - 1


def test_few_pieces_stay_together_unless_asked_for(tmp_path: Path) -> None:
    labels = CELLS.copy()
    labels[CELLS == 4] = 3
    labels[CELLS == 9] = 7
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, labels.astype(np.uint16))
    mask = read_mask(path)
    assert mask.n_cells == 10
    assert any("several separate pieces" in text for text in look_at_labels(mask.labels))
    assert read_mask(path, pieces="split").n_cells == 12
    one = ((CELLS == 3) | (CELLS == 4)).astype(np.uint8)
    assert [len(find_cells(one, pieces=how).ids) for how in ("auto", "split", "keep")] == [2, 2, 1]  # type: ignore[arg-type]
    with pytest.raises(MaskError, match="choose auto, split, keep"):
        read_mask(path, pieces="both")  # type: ignore[arg-type]


def test_the_outline_class_of_a_pixel_classifier_is_refused() -> None:
    inner = np.zeros_like(CELLS, bool)
    inner[1:-1, 1:-1] = (CELLS[:-2, 1:-1] & CELLS[2:, 1:-1] & CELLS[1:-1, :-2] & CELLS[1:-1, 2:]) > 0
    wide = np.where(inner, 1, np.where(CELLS > 0, 2, 0))
    with pytest.raises(MaskError, match="outline of the areas of another"):
        find_cells(wide)


def test_a_white_ground_is_the_ground() -> None:
    for array in (255 - WHITE, (WHITE == 0).astype(bool), np.where(CELLS > 0, 2, 1)):
        found = find_cells(array)
        assert len(found.ids) == 12
        assert np.array_equal(found.labels > 0, CELLS > 0)
        assert "background" in found.notes[0]
    # Cells that fill the image are no ground.
    confluent = np.ones((60, 90), bool)
    confluent[::20] = confluent[:, ::18] = False
    assert len(find_cells(confluent).ids) == 15
    assert len(find_cells(np.ones((9, 12), np.uint8)).ids) == 1


def test_drawn_outlines_are_no_cells() -> None:
    labels = grid()
    inner = np.zeros(labels.shape, bool)
    inner[1:-1, 1:-1] = (
        np.minimum.reduce([labels[:-2, 1:-1], labels[2:, 1:-1], labels[1:-1, :-2], labels[1:-1, 2:]]) > 0
    )
    rings = (labels > 0) & ~inner
    net = np.zeros((60, 91), bool)
    net[::15] = net[:, ::15] = True
    big = np.zeros((90, 120), bool)
    big[10:80, 10:100] = True
    big[12:78, 12:98] = False
    for lines in (net, big):
        with pytest.raises(MaskError, match="outlines of cells"):
            find_cells(lines)
        assert len(find_cells(lines, pieces="split").ids) == 1
    assert len(find_cells(rings).ids) == 130  # thick rings around small holes may be cells


def test_transparency_that_hides_everything_is_ignored(tmp_path: Path) -> None:
    colours = np.dstack([COLOURS[1 + CELLS % 4], np.zeros_like(WHITE)])
    colours[CELLS == 0, :3] = 0
    PilImage.fromarray(colours).save(tmp_path / "a.png")
    mask = read_mask(tmp_path / "a.png")
    assert mask.n_cells == 12
    assert "transparency was ignored" in mask.notes[0]


# ---- stacks


def stack_of(folder: Path, axes: str, lengths: tuple[int, ...], name: str = "image.tif") -> Image:
    array = np.random.default_rng(0).integers(0, 4000, (*lengths, HEIGHT, WIDTH)).astype(np.uint16)
    tifffile.imwrite(folder / name, array, imagej=True, metadata={"axes": axes + "YX"})
    return read_image(folder / name)


def pages(path: Path, planes: list[np.ndarray]) -> Path:
    with tifffile.TiffWriter(path) as writer:
        for plane in planes:
            writer.write(plane.astype(np.uint16), metadata=None, contiguous=False)
    return path


@pytest.mark.parametrize("count", [2, 3, 4, 7])
def test_pages_without_names_are_planes_of_labels(tmp_path: Path, count: int) -> None:
    planes = [discs(6 + i, 7, seed=i) for i in range(count)]
    path = pages(tmp_path / "m.tif", planes)
    np.save(tmp_path / "m.npy", np.stack(planes).astype(np.uint16))
    for file in (path, tmp_path / "m.npy"):
        with pytest.raises(MaskError, match=f"stack of {count} planes"):
            read_mask(file)
        assert read_mask(file, z=1).n_cells == 7


@pytest.mark.parametrize(("axes", "lengths"), [("T", (3,)), ("Z", (3,)), ("TZ", (2, 3))])
def test_planes_of_masks_follow_those_of_the_image(tmp_path: Path, axes: str, lengths: tuple[int, ...]) -> None:
    image = stack_of(tmp_path, axes, lengths)
    count = int(np.prod(lengths))
    planes = [discs(6 + i, 7, seed=i) for i in range(count)]
    masks = open_mask(pages(tmp_path / "m.tif", planes), image=image)
    assert (masks.n_t, masks.n_z) == (image.n_t, image.n_z)
    for t in range(image.n_t):
        for z in range(image.n_z):
            assert masks.plane(z, t).n_cells == 6 + t * image.n_z + z
            assert np.array_equal(masks.area(z, t), planes[t * image.n_z + z] > 0)


def test_one_mask_belongs_to_the_chosen_plane_and_a_stack_needs_one(tmp_path: Path) -> None:
    image = stack_of(tmp_path, "Z", (3,))
    tifffile.imwrite(tmp_path / "one.tif", CELLS.astype(np.uint16))
    assert read_mask(tmp_path / "one.tif", z=2, t=0, image=image).n_cells == 12
    flat = stack_of(tmp_path, "", (), "flat.tif")
    path = pages(tmp_path / "m.tif", [CELLS, CELLS])
    with pytest.raises(MaskError, match="stack of 2 planes, but its image has one plane"):
        read_mask(path, z=0, t=0, image=flat)
    mask = read_mask(path, z=1, t=0, image=image)
    assert "has 2 planes and its image 3" in mask.notes[0]
    with pytest.raises(MaskError, match="no plane z = 2"):
        read_mask(path, z=2, t=0, image=image)
    empty = pages(tmp_path / "e.tif", [CELLS, CELLS * 0, CELLS])
    with pytest.raises(MaskError, match="no cells in its plane z = 1"):
        read_mask(empty, z=1, t=0, image=image, require_cells=True)


def test_channels_are_no_colours(tmp_path: Path) -> None:
    path = tmp_path / "c.tif"
    three = np.stack([CELLS, discs(9, 7, seed=4), CELLS * 0]).astype(np.uint16)
    tifffile.imwrite(path, three, imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(MaskError, match="3 channels that differ"):
        read_mask(path)


def test_three_planes_that_were_stored_as_red_green_and_blue(tmp_path: Path) -> None:
    planes = np.stack([discs(10, 8, seed=i) for i in range(3)]).astype(np.uint16)
    tifffile.imwrite(tmp_path / "p.tif", planes, photometric="rgb", planarconfig="separate")
    with pytest.raises(MaskError, match="stack of 3 planes"):
        read_mask(tmp_path / "p.tif")
    assert read_mask(tmp_path / "p.tif", z=1).n_cells == 10
    colours = np.random.default_rng(0).integers(1, 255, (13, 3)).astype(np.uint8)
    colours[0] = 0
    tifffile.imwrite(tmp_path / "c.tif", np.moveaxis(colours[CELLS], -1, 0), photometric="rgb", planarconfig="separate")
    assert read_mask(tmp_path / "c.tif").n_cells == 12


def with_jpeg(path: Path, plane: np.ndarray, quality: int) -> Path:
    if path.suffix == ".jpg":
        PilImage.fromarray(plane).save(path, quality=quality)
    else:
        options: dict[str, Any] = {"compression": "jpeg", "compressionargs": {"level": quality}}
        tifffile.imwrite(path, plane, photometric="rgb" if plane.ndim == 3 else "minisblack", **options)
    return path


@pytest.mark.parametrize("quality", [75, 90, 100])
@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_a_file_with_jpeg_compression_is_no_mask(tmp_path: Path, name: str, quality: int) -> None:
    path = tmp_path / name
    for count, factor in ((3, 1), (3, 4), (12, 1), (12, 20)):
        ids = (discs(count, 7, seed=1) * factor).astype(np.uint8)
        for plane in (ids, np.dstack([ids, ids[::-1], ids * 2])):
            with pytest.raises(MaskError, match="JPEG changes the values of pixels"):
                read_mask(with_jpeg(path, plane, quality))


def save(folder: Path, plane: np.ndarray) -> Path:
    np.save(folder / "a.npy", plane)
    return folder / "a.npy"


def outlined(labels: np.ndarray, value: int, width: int) -> np.ndarray:
    """Draw the outside of every cell with `value`, as the void of Pascal VOC masks."""
    from scipy import ndimage

    grown = ndimage.binary_dilation(labels > 0, np.ones((3, 3)), iterations=width)
    return np.where(grown & (labels == 0), value, labels)


@pytest.mark.parametrize("width", [1, 3, 5])
@pytest.mark.parametrize("count", [2, 5, 12])
def test_a_value_that_only_outlines_the_cells_is_background(tmp_path: Path, count: int, width: int) -> None:
    labels = discs(count, 6, seed=4)
    voc = outlined(labels, 255, width).astype(np.uint8)
    mask = read_mask(save(tmp_path, voc))
    np.testing.assert_array_equal(mask.labels, labels)
    assert mask.original_ids.tolist() == list(range(1, count + 1))
    assert mask.notes == ("The value 255 of the mask only outlines the cells; it was taken as background.",)
    table = np.random.default_rng(2).integers(1, 255, (256, 3)).astype(np.uint8)
    table[0] = 0
    mask = read_mask(save(tmp_path, table[voc]))
    assert mask.n_cells == count
    np.testing.assert_array_equal(mask.labels > 0, labels > 0)
    assert mask.notes == ("A colour of the mask only outlines the cells; it was taken as background.",)


def test_a_cell_that_others_touch_is_no_outline(tmp_path: Path) -> None:
    labels = np.zeros((HEIGHT, WIDTH), np.int32)
    labels[40:46, 10:120] = 9  # a long thin cell between others, which reach the background as well
    labels[20:40, 20:40], labels[46:70, 50:70], labels[20:40, 80:100] = 2, 3, 4
    assert read_mask(save(tmp_path, labels.astype(np.uint16))).original_ids.tolist() == [2, 3, 4, 9]
    labels[10:80, 10:130] = 9  # a large cell with others inside
    labels[20:40, 20:40], labels[46:70, 50:70], labels[20:40, 80:100] = 2, 3, 4
    assert read_mask(save(tmp_path, labels.astype(np.uint16))).original_ids.tolist() == [2, 3, 4, 9]


@pytest.mark.parametrize("colours", [17, 20, 25])
def test_many_colours_that_are_used_again_are_classes_too(tmp_path: Path, colours: int) -> None:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    number = (y // 8) * (WIDTH // 8 + 1) + x // 8
    cells = (y % 8 < 6) & (x % 8 < 6) & (y < HEIGHT - 8) & (x < WIDTH - 8)
    expected = len(np.unique(number[cells]))
    assert expected > 3 * colours
    mask = read_mask(save(tmp_path, np.where(cells, number % colours + 1, 0).astype(np.uint8)))
    assert mask.n_cells == expected
    assert f"The mask uses {colours} ids for {expected} separate pieces" in mask.notes[0]
    # A few cells in several pieces say nothing about the others.
    some = np.where(cells, np.where(number < expected // 2, number + 3, number % 3), 0)
    assert read_mask(save(tmp_path, some.astype(np.uint8))).n_cells == len(np.unique(some)) - 1


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_three_planes_of_labels_that_are_stored_as_red_green_and_blue(tmp_path: Path, kind: type) -> None:
    planes = np.zeros((3, HEIGHT, WIDTH), kind)
    for i in range(3):
        planes[i, 3:9, 3 + 10 * i : 9 + 10 * i], planes[i, 20:30, 5:15] = 1, 2  # one cell moves, one stays
    options: dict[str, Any] = {"photometric": "rgb", "planarconfig": "separate"}
    tifffile.imwrite(tmp_path / "a.tif", planes, **options)
    masks = open_mask(tmp_path / "a.tif")
    assert masks.n_z == 3
    for z in range(3):
        np.testing.assert_array_equal(masks.plane(z=z).labels, planes[z])
    # Cells in pure colours are colours.
    tifffile.imwrite(tmp_path / "b.tif", (planes == 1).astype(np.uint8) * 255, **options)
    assert read_mask(tmp_path / "b.tif").n_cells == 3
    # Three equal planes are one mask.
    tifffile.imwrite(tmp_path / "c.tif", planes[[0, 0, 0]], **options)
    assert read_mask(tmp_path / "c.tif").n_cells == 2
