"""Bars, borders, hot and dead pixels and debris do not change how cells are seen; bright cells are none of these."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from cellseg1.bundled import resource_path
from cellseg1.errors import ImageError, SettingsError
from cellseg1.images import Image, ImageInfo, InputRule, InputSpecification, plane_input, read_image, to_model_input
from cellseg1.images.convert import scaled_input

ROBUST, EVERY = InputRule("percentile", outliers="leave_out"), InputRule("percentile")
HEIGHT, WIDTH = 200, 264


def cells(count: int, radius: int, *, peak: float = 2000, blur: float = 1.5, seed: int = 0) -> np.ndarray:
    """Return (200, 264) float64 with blurred ellipses on zero."""
    rng = np.random.default_rng(seed)
    image = np.zeros((HEIGHT, WIDTH))
    for _ in range(count):
        centre = int(rng.integers(radius, WIDTH - radius)), int(rng.integers(radius, HEIGHT - radius))
        axes = (radius + int(rng.integers(0, 3)), radius)
        cv2.ellipse(image, centre, axes, float(rng.integers(180)), 0, 360, float(peak * rng.uniform(0.6, 1.2)), -1)
    return cv2.GaussianBlur(image, (0, 0), blur) if blur else image


def camera(image: np.ndarray, *, offset: float = 300, top: int = 65535, slope: float = 0) -> np.ndarray:
    """Return what a 16-bit camera makes of it, with the noise of light and of reading."""
    ground = offset + np.linspace(0, slope, image.shape[1])
    noisy = np.random.default_rng(1).poisson(image + ground) + np.random.default_rng(2).normal(0, 3, image.shape)
    return np.clip(np.rint(noisy), 0, top).astype(np.uint16)


CROWDED = camera(cells(40, 9))


def bar(image: np.ndarray, value: float, *, rows: int = 4) -> np.ndarray:
    image[-10 - rows : -10, -90:-10] = value
    return image


def scatter(image: np.ndarray, value: float, count: int) -> np.ndarray:
    image.reshape(-1)[np.random.default_rng(7).choice(image.size, count, replace=False)] = value
    return image


def pairs(image: np.ndarray, value: float) -> np.ndarray:
    """Some of the hot pixels have a hot neighbour."""
    rows, columns = np.nonzero(image == value)
    image[rows[:60:10], columns[:60:10] + 1] = value
    return image


def frame(image: np.ndarray, value: float) -> np.ndarray:
    image[:2] = image[-2:] = value
    image[:, :2] = image[:, -2:] = value
    return image


def wedge(image: np.ndarray, value: float) -> np.ndarray:
    """An image that was turned has triangles without values."""
    image[np.add.outer(np.arange(HEIGHT), np.arange(WIDTH)) < 60] = value
    return image


def column(image: np.ndarray, value: float) -> np.ndarray:
    image[:, 100] = value
    return image


def text(image: np.ndarray, value: float) -> np.ndarray:
    """A scale bar with smooth letters above it."""
    drawn = bar(np.zeros(image.shape, np.uint8), 255)
    drawn = cv2.putText(drawn, "10 um", (180, 175), cv2.FONT_HERSHEY_SIMPLEX, 0.6, 255, 2, cv2.LINE_AA)
    return (image + drawn / 255 * (value - image)).astype(image.dtype)


def speck(image: np.ndarray, height: float) -> np.ndarray:
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    soft = np.clip((9 - np.hypot(rows - 60, columns - 180)) / 3, 0, 1)
    grain = np.random.default_rng(3).uniform(0.7, 1, image.shape)
    return np.clip(image + soft * grain * height, 0, 65535).astype(image.dtype)


DISTURBED: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "bright bar, 0.6 %": (lambda image: bar(image, 65535), "A bar or border of 0.61 % of the area"),
    "bright bar, 4.2 %": (lambda image: bar(image, 65535, rows=28), "A bar or border of 4.24 % of the area"),
    "saturated corner": (lambda image: cv2.circle(image, (0, 0), 40, 65535, -1), "A bar or border of 2.4"),
    "hot pixels, some in pairs": (lambda image: pairs(scatter(image, 65535, 90), 65535), "96 hot pixels were"),
    "70 hot pixels": (lambda image: scatter(image, 65535, 70), "70 hot pixels were"),
    "3 % hot pixels": (lambda image: scatter(image, 30000, 1584), "1584 hot pixels were"),
    "dead pixels": (lambda image: scatter(image + np.uint16(9000), 0, 200), "200 dead pixels were"),
    "black frame": (lambda image: frame(image + np.uint16(9000), 0), "A border of 3.4"),
    "hot column": (lambda image: column(image, 65535), "A bar or border of 0.38 % of the area"),
    "bar with text": (lambda image: text(image, 65535), "A very bright part of"),
    "black wedge": (lambda image: wedge(image + np.uint16(9000), 0), "A bar or border of 3.4"),
    "bar and frame": (lambda image: bar(frame(image + np.uint16(9000), 0), 65535, rows=2), "A bar or border"),
    "debris": (lambda image: speck(image, 20000), "A very bright part of"),
}


@pytest.mark.parametrize("name", DISTURBED)
def test_the_cells_look_the_same_with_and_without(name: str) -> None:
    disturb, text = DISTURBED[name]
    clean, notes = scaled_input(CROWDED, ROBUST)
    assert notes == ()
    pixels, notes = scaled_input(disturb(CROWDED.copy()), ROBUST)
    assert any(note.startswith(text) for note in notes), notes
    assert all(note.endswith("left out of the contrast.") for note in notes)
    difference = np.abs(pixels.astype(int) - clean)
    # Only where the disturbance is there is another picture.
    assert np.percentile(difference, 90) <= 3
    # Counting every pixel, as before, the cells disappear.
    before = to_model_input(disturb(CROWDED.copy()), EVERY)
    assert np.percentile(np.abs(before.astype(int) - clean), 90) > 60


def test_where_no_cell_can_be_none_is_seen() -> None:
    """The network would take bars and hot pixels for cells."""
    clean = to_model_input(CROWDED, ROBUST)[..., 0].astype(int)
    hot = scatter(CROWDED.copy(), 65535, 300)
    assert np.percentile(np.abs(to_model_input(hot, ROBUST)[..., 0] - clean)[hot != CROWDED], 80) < 20
    marked = bar(CROWDED.copy(), 65535)
    under = to_model_input(marked, ROBUST)[..., 0][marked != CROWDED]
    assert under.min() == under.max() < 60
    # Debris may be a cell after all: it stays, white.
    dirty = speck(CROWDED.copy(), 20000)
    assert to_model_input(dirty, ROBUST)[60, 180, 0] == 255


def test_squares_of_one_value_are_cells() -> None:
    image = np.random.default_rng(0).normal(100, 5, (HEIGHT, WIDTH))
    for top, left in ((20, 30), (60, 100), (90, 200), (150, 40)):
        image[top : top + 14, left : left + 17] = 2000
    for many in (image, np.where(image < 500, image, 250)):
        np.testing.assert_array_equal(to_model_input(many, ROBUST), to_model_input(many, EVERY))


def test_a_border_may_be_large_when_it_is_whole_rows_and_columns() -> None:
    clean = to_model_input(CROWDED, ROBUST)
    for value in (0, 60000):
        image = np.full((HEIGHT + 60, WIDTH + 40), value, np.uint16)
        image[50:-10, 40:] = CROWDED + np.uint16(9000)
        pixels, notes = scaled_input(image, ROBUST)
        assert len(notes) == 1
        assert notes[0].startswith("A border of 33.")
        assert np.abs(pixels[50:-10, 40:].astype(int) - clean).max() <= 1
    # The ground of a drawn image reaches the other edges.
    drawn = np.where(cells(12, 9) > 600, 200, 20).astype(np.uint16)
    drawn[:, :30] = drawn[:, -3:] = 20
    clean = to_model_input(drawn, ROBUST)
    drawn[:, :29] = 60000
    np.testing.assert_array_equal(to_model_input(drawn, ROBUST)[:, 29:], clean[:, 29:])
    # The black ground of a picture whose cells were cut out is none.
    cut = np.zeros((HEIGHT + 60, WIDTH), np.uint16)
    cut[50:-10] = np.where(cells(40, 9) > 600, CROWDED, 0)
    np.testing.assert_array_equal(to_model_input(cut, ROBUST), to_model_input(cut, EVERY))


@pytest.mark.parametrize(
    "make",
    [
        lambda image: (image / 65535).astype(np.float32),
        lambda image: image.astype(np.int32) - 40000,
        lambda image: image.astype(np.float64) * 1e12,
        lambda image: image.astype(np.uint32) * 1000,
        lambda image: (image >> 10).astype(np.uint8),
    ],
    ids=["float32", "int32", "float64", "uint32", "uint8"],
)
def test_every_type(make: Callable[[np.ndarray], np.ndarray]) -> None:
    strong = (CROWDED.astype(np.uint32) * 8).clip(0, 65535).astype(np.uint16)
    clean = to_model_input(make(strong), ROBUST)
    image = make(strong)
    brightest = 255 if image.dtype == np.uint8 else image.max() + 4 * (image.max() - image.min())
    for disturb in (bar, lambda one, value: scatter(one, value, 90)):
        pixels = to_model_input(disturb(image.copy(), brightest), ROBUST)
        assert np.percentile(np.abs(pixels.astype(int) - clean), 90) <= 3


def test_values_that_mean_no_value() -> None:
    image = CROWDED.astype(np.float32)
    clean = to_model_input(image, ROBUST)
    for value in (-9999.0, -3.4e38, np.nan, -np.inf):
        changed = frame(image.copy(), value)
        inside = to_model_input(changed, ROBUST)[4:-4, 4:-4]
        assert np.abs(inside.astype(int) - clean[4:-4, 4:-4]).max() <= 3, value
    changed = bar(image.copy(), np.inf)
    assert np.percentile(np.abs(to_model_input(changed, ROBUST).astype(int) - clean), 90) <= 1


def test_a_colour_picture() -> None:
    rng = np.random.default_rng(4)
    ground = np.stack([cells(30, 8, peak=90, seed=s) + 60 for s in (1, 1, 2)], axis=-1)
    picture = np.clip(ground + rng.normal(0, 2, ground.shape), 0, 180).astype(np.uint8)
    clean, notes = scaled_input(picture, ROBUST, colour=True)
    assert notes == ()
    marked = picture.copy()
    marked[-20:-14, -80:-10] = (255, 0, 0)
    pixels, notes = scaled_input(marked, ROBUST, colour=True)
    assert len(notes) == 1
    assert np.percentile(np.abs(pixels.astype(int) - clean), 90) <= 2


def stamped(count: int, *shapes: tuple[int, int]) -> np.ndarray:
    """Return what a camera makes of small rectangles of even brightness, each of one of the shapes."""
    rng = np.random.default_rng(6)
    image = np.zeros((HEIGHT, WIDTH))
    for index in range(count):
        rows, columns = shapes[index % len(shapes)]
        top, left = int(rng.integers(3, HEIGHT - 15)), int(rng.integers(3, WIDTH - 15))
        image[top : top + rows, left : left + columns] = 2000 * rng.uniform(0.6, 1.2)
    return image


def points(count: int, width: float) -> np.ndarray:
    """Return points of light, `width` px of standard deviation, that lie anywhere between the pixels."""
    fine = np.zeros((4 * HEIGHT, 4 * WIDTH))
    rng = np.random.default_rng(7)
    fine[rng.integers(0, 4 * HEIGHT, count), rng.integers(0, 4 * WIDTH, count)] = 60000 * rng.uniform(0.5, 1, count)
    fine = cv2.GaussianBlur(fine, (0, 0), 4 * width)
    return cv2.resize(fine, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)


def thin(count: int) -> np.ndarray:
    """Return slanting lines of one pixel's width."""
    image, rng = np.zeros((HEIGHT, WIDTH)), np.random.default_rng(8)
    for _ in range(count):
        start = rng.integers(5, (WIDTH - 5, HEIGHT - 5))
        end = start + np.rint(4 * np.array([np.cos(angle := rng.uniform(0, np.pi)), np.sin(angle)])).astype(int)
        cv2.line(image, start.tolist(), end.tolist(), 1500, 1)
    return image


SPARSE = {
    "beads of 2 x 2": camera(stamped(40, (2, 2))),
    "few beads of 2 x 2": camera(stamped(4, (2, 2))),
    "beads of 3 x 3": camera(stamped(40, (3, 3))),
    "many beads of 2 x 2, drawn": (stamped(200, (2, 2)) > 0).astype(np.uint8) * 255,
    "pairs": camera(stamped(60, (1, 2), (2, 1))),
    "rods": camera(stamped(60, (1, 3), (5, 1), (1, 8))),
    "broad rods": camera(stamped(60, (2, 3), (5, 2), (2, 8))),
    "thin bacteria": camera(thin(150)),
    "soft thin bacteria": camera(cv2.GaussianBlur(thin(150), (0, 0), 0.5)),
    "undersampled points": camera(points(60, 0.5)),
    "many undersampled points": camera(points(600, 0.6)),
    "few photons": np.random.default_rng(9).poisson(cells(20, 9) / 700 + 0.05).astype(np.uint16) * np.uint16(50),
    "nuclei": camera(cells(6, 9)),
    "one nucleus": camera(cells(1, 9)),
    "tiny cells": camera(cells(20, 3)),
    "uneven ground": camera(cells(5, 10), slope=300),
    "saturated": camera(cells(5, 10) * 4, top=4095),
    "8-bit on black": np.clip(cells(6, 9) / 9 - 4, 0, 255).astype(np.uint8),
    "8-bit saturated": np.clip(
        cells(6, 9) / 5 + np.random.default_rng(5).normal(0, 0.6, (HEIGHT, WIDTH)), 0, 255
    ).astype(np.uint8),
    "sharp edges": camera(cells(5, 10, blur=0)),
    "one value each": np.where(cells(5, 10, blur=0) > 0, 2000, camera(cells(0, 9), slope=200)).astype(np.uint16),
    "binary": (cells(5, 10, blur=0) > 0).astype(np.uint8) * 255,
    "points of light": camera(cv2.GaussianBlur(scatter(np.zeros((HEIGHT, WIDTH)), 20000, 60), (0, 0), 0.9)),
    "fibres": camera(cv2.GaussianBlur(cv2.line(np.zeros((HEIGHT, WIDTH)), (5, 9), (250, 180), 4000), (0, 0), 0.8)),
    "bright and dim": camera(cells(30, 9, peak=800) + cells(4, 9, seed=8, peak=1600)),
    "float": (camera(cells(4, 9)) / 65535).astype(np.float32),
    "noise": camera(np.zeros((HEIGHT, WIDTH))),
    "few values": (cells(30, 10) / 2400 * 11).astype(np.uint8) * np.uint8(20),
}


@pytest.mark.parametrize("name", SPARSE)
def test_bright_cells_are_no_outliers(name: str) -> None:
    pixels, notes = scaled_input(SPARSE[name], ROBUST)
    np.testing.assert_array_equal(pixels, to_model_input(SPARSE[name], EVERY))
    assert notes == ()


def test_good_images_stay_as_they_are() -> None:
    folder = resource_path("sample_project")
    paths = sorted(folder.glob("*/images/*.png"))
    assert len(paths) >= 3
    for path in paths:
        plane = read_image(path).plane()
        for image in (plane, plane.astype(np.uint16) * 200 + 500, plane.astype(np.float32)):
            np.testing.assert_array_equal(to_model_input(image, ROBUST), to_model_input(image, EVERY))


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (7, 9), (8, 8), (3, 70), (33, 9)])
def test_images_of_any_size(shape: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(100, 200, shape).astype(np.uint16)
    image.flat[0] = 60000
    assert to_model_input(image, ROBUST).shape == (*shape, 3)


def test_outliers_can_be_kept_and_the_range_set_by_hand() -> None:
    image = bar(CROWDED.copy(), 65535)
    assert scaled_input(image, EVERY)[1] == ()
    by_hand, notes = scaled_input(image, InputRule("percentile", ranges=((300.0, 2300.0),)))
    assert notes == ()
    np.testing.assert_array_equal(
        by_hand[..., 0], np.rint((np.clip(image.astype(float), 300, 2300) - 300) / 2000 * 255).astype(np.uint8)
    )
    two = np.stack([image, image], axis=-1)
    two[5, 5, 1] = 1
    each = to_model_input(two, InputRule("percentile", ranges=((300.0, 2300.0), (0.0, 65535.0))))
    np.testing.assert_array_equal(each[..., 0], by_hand[..., 0])
    assert each[..., 1].max() == 255
    assert np.median(each[..., 1]) < 10
    with pytest.raises(SettingsError, match="set for 3 channels, but the network sees 2"):
        to_model_input(two, InputRule("percentile", ranges=((0.0, 1.0),) * 3))
    with pytest.raises(SettingsError, match="first value must be the lower"):
        InputRule("percentile", ranges=((5.0, 5.0),))


def test_an_image_without_numbers_is_refused() -> None:
    nothing = np.full((20, 33), np.nan, np.float32)
    info = ImageInfo(Path("/data/a.npy"), "NPY", "YX", nothing.shape, "float32")
    with pytest.raises(ImageError, match=r"a\.npy holds no valid number"):
        plane_input(Image(nothing, info), InputSpecification())
