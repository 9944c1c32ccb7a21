"""Tiles and resizing, against the research code's results (golden h and g2)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cellseg1.images import make_tiles, resize_image, resize_mask, resize_to_short_edge, tile_starts

GOLDEN = Path(__file__).parents[2] / "golden"


def test_upstream_starts_for_every_golden_size() -> None:
    with np.load(GOLDEN / "h_make_tiles.npz") as golden:
        sizes, counts, flat = golden["sizes"], golden["n_tiles"], golden["starts_flat"]
    at = 0
    for size, count in zip(sizes, counts, strict=True):
        assert tile_starts(int(size), 256, "upstream") == flat[at : at + count].tolist()
        at += count
    assert at == len(flat)


@pytest.mark.parametrize("size", [256, 255, 100])
def test_even_starts_cover_without_duplicates(size: int) -> None:
    for length in [1, 60, *range(size, 1300)]:
        starts = tile_starts(length, size, "even")
        assert starts == sorted(set(starts))
        assert starts[0] == 0
        assert starts[-1] == max(0, length - size)
        steps = np.diff(starts)
        assert len(steps) == 0 or steps.max() <= size // 2
        assert len(steps) == (0 if length <= size else -(-(length - size) // (size // 2)))  # the fewest
    assert tile_starts(257, 256) == [0, 1]
    assert tile_starts(512, 256) == [0, 128, 256]


def test_tiles_of_a_plane() -> None:
    tiles = make_tiles((300, 256), 256, "even")
    assert tiles == [(slice(0, 256), slice(0, 256)), (slice(44, 300), slice(0, 256))]
    assert make_tiles((100, 300), 256)[1] == (slice(0, 100), slice(44, 300))
    assert len(make_tiles((257, 400), 256, "upstream")) == 3 * 4
    seen = np.zeros((700, 530), int)
    for tile in make_tiles(seen.shape, 256):
        assert seen[tile].shape == (256, 256)
        seen[tile] += 1
    assert seen.min() >= 1


def test_impossible_tiles_are_refused() -> None:
    for arguments in ((0, 256, "even"), (10, 1, "even"), (10, 5, "other")):
        with pytest.raises(ValueError, match="tile"):
            tile_starts(*arguments)


def test_resizing_equals_research_code() -> None:
    with np.load(GOLDEN / "g2_masks_resize.npz") as golden:
        image, mask = golden["resize_in_image"], golden["resize_in_mask"]
        np.testing.assert_array_equal(resize_image(image, (96, 48)), golden["resize_image_hw_96_48"])
        np.testing.assert_array_equal(resize_mask(mask, (96, 48)), golden["resize_mask_hw_96_48"])
        np.testing.assert_array_equal(resize_to_short_edge(image, 100), golden["short_edge_100_image"])
        np.testing.assert_array_equal(resize_to_short_edge(mask, 100, labels=True), golden["short_edge_100_mask"])


@pytest.mark.parametrize("shape", [(7, 13), (13, 7), (64, 80), (211, 97)])
def test_mask_resizing_is_opencv_nearest_exact_for_every_type(shape: tuple[int, int]) -> None:
    import cv2

    labels = np.random.default_rng(0).integers(0, 60000, (40, 50))
    expected = cv2.resize(labels.astype(np.uint16), shape[::-1], interpolation=cv2.INTER_NEAREST_EXACT)
    for dtype in (np.uint16, np.int32, np.uint32, np.int64):
        result = resize_mask(labels.astype(dtype), shape)
        assert result.dtype == dtype
        np.testing.assert_array_equal(result, expected)


def test_resizing_keeps_channels_and_refuses_other_types() -> None:
    assert resize_image(np.zeros((5, 9, 1), np.uint8), (3, 4)).shape == (3, 4, 1)
    assert resize_to_short_edge(np.zeros((5, 9), np.uint8), 20).shape == (20, 36)
    with pytest.raises(ValueError, match="8-bit"):
        resize_to_short_edge(np.zeros((5, 9)), 20)
