"""Counts of cells against values counted by hand."""

import csv

import numpy as np
import paper_archives as mini
import pytest

from cellseg1.errors import MaskError
from cellseg1.masks import write_label_image
from cellseg1.paper.data_sets import DATA_SETS
from cellseg1.paper.statistics import statistics, write_statistics


@pytest.fixture
def data(tmp_path):
    """Two training images with 3 and 0 cells and one test image with one, 6 x 8 px."""
    first = np.zeros((6, 8), np.uint8)
    first[0, 0:3] = 1
    first[2:4, 0:4] = 2
    first[5, 7] = 3
    test = np.full((6, 8), 1, np.uint8)
    for split, name, labels in (("train", "a", first), ("train", "b", first * 0), ("test", "c", test)):
        folder = tmp_path / DATA_SETS["BSF"].name / split
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "images" / f"{name}.png").write_bytes(mini.png(labels * 50))
        write_label_image(folder / "masks" / f"{name}.png", labels)
    return tmp_path


def test_images_and_sets(data):
    images, sets = statistics(data)
    assert [(one.data_set, one.split, one.image, one.height, one.width, one.sizes) for one in images] == [
        ("BSF", "train", "a.png", 6, 8, (3, 8, 1)),
        ("BSF", "train", "b.png", 6, 8, ()),
        ("BSF", "test", "c.png", 6, 8, (48,)),
    ]
    assert [one.mean_size for one in images] == [4, None, 48]
    (one,) = sets
    assert (one.train_images, one.test_images, one.cells, one.mean_size) == (2, 1, 4, 15)
    assert one.data_set.resize == (512, 512)


def test_tables(data, tmp_path):
    paths = write_statistics(tmp_path / "out", *statistics(data, ["bsf"]))
    images, sets = (list(csv.DictReader(path.read_text("utf-8-sig").splitlines())) for path in paths)
    assert images[0] == {
        "data_set": "BSF",
        "split": "train",
        "image": "a.png",
        "height": "6",
        "width": "8",
        "cells": "3",
        "mean_size_px2": "4.0",
        "sizes_px2": "3 8 1",
    }
    assert images[1]["mean_size_px2"] == ""
    assert sets == [
        {
            "data_set": "BSF",
            "name": "deepbacs_rod_fluorescence",
            "train_images": "2",
            "test_images": "1",
            "cells": "4",
            "mean_size_px2": "15.0",
            "resize": "512x512",
        }
    ]


def test_what_is_not_there_is_said(data):
    with pytest.raises(MaskError, match="There is no data set DSB"):
        statistics(data, ["DSB"])
    (data / DATA_SETS["BSF"].name / "train" / "masks" / "b.png").unlink()
    with pytest.raises(MaskError, match=r"b\.png has no mask"):
        statistics(data)
