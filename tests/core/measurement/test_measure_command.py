"""``cellseg1 measure``: one table of the cells of many images."""

import csv
import io

import numpy as np
import pytest
import tifffile
from command import SAMPLE, done, run, sentence
from PIL import Image


def rows_of(path, delimiter=","):
    return list(csv.DictReader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline=""), delimiter=delimiter))


@pytest.fixture
def folders(tmp_path):
    """A picture without, and a stack of 2 planes with a pixel size, both 20 x 33, and label images of each plane."""
    images, masks = tmp_path / "images", tmp_path / "masks"
    images.mkdir()
    masks.mkdir()
    Image.fromarray(np.full((20, 33), 9, np.uint8)).save(images / "a.png")
    tifffile.imwrite(
        images / "b.ome.tif",
        np.zeros((2, 20, 33), np.uint16),
        metadata={"axes": "ZYX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25},
    )
    labels = np.zeros((20, 33), np.uint16)
    labels[2:5, 10:16] = 7
    Image.fromarray(labels).save(masks / "a.png")
    for z in range(2):
        Image.fromarray(labels * (z + 1)).save(masks / f"b_t000_z00{z}.png")
    return images, masks


def test_one_table_has_the_cells_of_all_images_and_planes(folders, tmp_path):
    images, masks = folders
    told = done("measure", images, "--masks", masks, "--out", tmp_path / "cells.csv", "--json").json()
    assert told["cells"] == 3
    rows = rows_of(tmp_path / "cells.csv")
    assert [(row["image"], row["z"], row["t"], row["cell"]) for row in rows] == [
        ("a.png", "0", "0", "7"),
        ("b.ome.tif", "0", "0", "7"),
        ("b.ome.tif", "1", "0", "14"),
    ]
    assert [row["area_px"] for row in rows] == ["18", "18", "18"]
    assert [row["area_um2"] for row in rows] == ["", "2.25", "2.25"]
    assert [row["pixel_height_um"] for row in rows] == ["", "0.25", "0.25"]


def test_the_suffix_says_what_separates_the_columns(folders, tmp_path):
    images, masks = folders
    done("measure", images / "a.png", "--masks", masks, "--out", tmp_path / "one.tsv")
    (row,) = rows_of(tmp_path / "one.tsv", "\t")
    assert (row["image"], row["centre_x_px"], row["box_bottom_px"]) == ("a.png", "13", "5")
    assert "area_um2" not in row


def test_a_stack_of_masks_is_measured_plane_by_plane(folders, tmp_path):
    images, _masks = folders
    labels = np.zeros((2, 20, 33), np.uint16)
    labels[1, 2:6, 3:9] = 3
    (tmp_path / "stack").mkdir()
    tifffile.imwrite(tmp_path / "stack" / "b.tif", labels)
    ran = done("measure", images, "--masks", tmp_path / "stack", "--out", tmp_path / "cells.csv")
    assert "a.png has no mask and is left out." in ran.err
    (row,) = rows_of(tmp_path / "cells.csv")
    assert (row["z"], row["cell"], row["area_um2"]) == ("1", "3", "3")


def test_masks_without_cells_give_a_heading_only(folders, tmp_path):
    images, masks = folders
    Image.fromarray(np.zeros((20, 33), np.uint16)).save(masks / "a.png")
    done("measure", images / "a.png", "--masks", masks / "a.png", "--out", tmp_path / "cells.csv")
    lines = (tmp_path / "cells.csv").read_text("utf-8-sig").splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("image,z,t,cell,area_px,")


def test_masks_beside_their_images_are_found(tmp_path):
    for name in ("x", "x_masks"):
        Image.open(SAMPLE / "train" / ("masks" if "_" in name else "images") / "nuclei_a.png").save(
            tmp_path / f"{name}.png"
        )
    done("measure", tmp_path, "--masks", tmp_path, "--out", tmp_path / "cells.csv")
    with Image.open(SAMPLE / "train" / "masks" / "nuclei_a.png") as mask:
        count = len(np.unique(np.asarray(mask))) - 1
    assert {row["image"] for row in rows_of(tmp_path / "cells.csv")} == {"x.png"}
    assert len(rows_of(tmp_path / "cells.csv")) == count


@pytest.mark.parametrize(
    ("images", "masks", "out", "why"),
    [
        ("images", "masks", "cells.xls", "must end in .csv or .tsv"),
        ("images", "masks", "images", "must end in"),
        ("nowhere", "masks", "cells.csv", "no file or folder"),
        ("images", "nowhere", "cells.csv", "no folder"),
        ("images", "empty", "cells.csv", "no label images"),
        ("empty", "masks", "cells.csv", "no images"),
        ("images", "masks/a.png", "cells.csv", "give a folder of masks"),
        ("images/a.png", "other", "cells.csv", "has the name of"),
        ("images/a.png", "small.png", "cells.csv", "33 x 20 pixels"),
        ("images/b.ome.tif", "masks/a.png", "cells.csv", "plane"),
        ("images/a.png", "broken.png", "cells.csv", "broken.png"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_one_sentence(folders, tmp_path, images, masks, out, why):
    (tmp_path / "empty").mkdir()
    (tmp_path / "other").mkdir()
    Image.fromarray(np.ones((20, 33), np.uint8)).save(tmp_path / "other" / "quite.png")
    Image.fromarray(np.ones((20, 30), np.uint8)).save(tmp_path / "small.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    ran = run("measure", tmp_path / images, "--masks", tmp_path / masks, "--out", tmp_path / out)
    assert why in sentence(ran)
    assert not (tmp_path / "cells.csv").exists()
