"""Warnings before training."""

from __future__ import annotations

import numpy as np
import pytest

from cellseg1.errors import MaskError
from cellseg1.masks import look_at_masks, median_cell_diameter


def cells(rows: int = 8, columns: int = 12, height: int = 0, width: int = 0) -> np.ndarray:
    """Ellipses of slightly different sizes on a grid of 20 pixels."""
    labels = np.zeros((height or rows * 20, width or columns * 20), np.int32)
    y, x = np.mgrid[: labels.shape[0], : labels.shape[1]]
    for i in range(rows * columns):
        cy, cx = i // columns * 20 + 10, i % columns * 20 + 10
        labels[((y - cy) / (6 + i % 3)) ** 2 + ((x - cx) / (7 + i % 2)) ** 2 <= 1] = i + 1
    return labels


def test_a_good_mask_gives_no_warning() -> None:
    labels = cells()
    assert look_at_masks((*labels.shape, 3), labels) == []


def test_no_cell_and_few_cells() -> None:
    assert "nothing to learn" in look_at_masks((30, 50), np.zeros((30, 50), np.int32))[0]
    assert look_at_masks((20, 60), cells(1, 3))[0].startswith("Only 3 cells are")
    assert look_at_masks((20, 20), cells(1, 1))[0].startswith("Only 1 cell is")


def test_several_pieces() -> None:
    labels = cells()
    labels[labels == 7] = 6
    found = look_at_masks(labels.shape, labels)
    assert len(found) == 1
    assert found[0].startswith("Cell 6 is in several separate pieces")
    for i in range(10, 40, 2):
        labels[labels == i + 1] = i
    assert "Cells 6, 10, 12, 14, 16 and 11 more are" in look_at_masks(labels.shape, labels)[0]


def test_tiny_and_huge_cells() -> None:
    labels = cells()
    labels[0, 0:3] = 200
    assert look_at_masks(labels.shape, labels)[0].startswith("Cell 200 is smaller than 20 pixels")
    huge = cells()
    huge[huge == 0] = 300
    assert any(text.startswith("Cell 300 covers") for text in look_at_masks(huge.shape, huge))


def test_same_size() -> None:
    labels = np.kron(np.arange(1, 13).reshape(3, 4), np.pad(np.ones((8, 9), int), 2)).astype(np.int32)
    assert any("same area" in text for text in look_at_masks(labels.shape, labels))


def test_large_empty_part_and_region() -> None:
    labels = cells(8, 12, height=160, width=440)  # the right 200 columns are empty
    labels = np.concatenate([labels, np.zeros((80, 440), np.int32)])
    found = look_at_masks(labels.shape, labels)
    assert len(found) == 1
    assert "no annotated cell while the rest is dense" in found[0]
    region = np.zeros(labels.shape, bool)
    region[:160, :240] = True
    assert look_at_masks(labels.shape, labels, region) == []
    sparse = np.where(labels % 9 == 1, labels, 0)
    assert not any("dense" in text for text in look_at_masks(sparse.shape, sparse))


def test_sizes_that_differ_are_refused() -> None:
    with pytest.raises(MaskError, match="61 x 40 pixels and its mask 60 x 40"):
        look_at_masks((40, 61), np.zeros((40, 60), np.int32))
    with pytest.raises(MaskError, match="belongs"):
        look_at_masks((40, 60), np.zeros((40, 60), np.int32), np.ones((60, 40), bool))


def test_median_diameter() -> None:
    y, x = np.mgrid[:200, :260]
    labels = np.zeros((200, 260), np.int32)
    for i, (cy, cx, radius) in enumerate([(40, 40, 10), (100, 100, 20), (100, 200, 35)]):
        labels[(y - cy) ** 2 + (x - cx) ** 2 <= radius**2] = 5 * i + 3
    assert median_cell_diameter(labels) == pytest.approx(40, rel=0.02)
    assert median_cell_diameter(np.zeros((3, 4), np.int32)) == 0.0
