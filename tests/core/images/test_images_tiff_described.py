"""TIFF files whose descriptions of their planes are wrong, hostile, or written page by page."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile

from cellseg1.images import read_image
from cellseg1.masks import open_mask

H, W = 36, 52
RNG = np.random.default_rng(3)
STACK = RNG.integers(0, 4000, (7, H, W)).astype(np.uint16)
NOT_UNDERSTOOD = "What the file says about its planes cannot be understood; its pages were read as they are."


def one_by_one(path: Path, planes: np.ndarray) -> Path:
    with tifffile.TiffWriter(path) as writer:
        for plane in planes:
            writer.write(plane)
    return path


def ome(sizes: str, head: str = "", name: str = "Pixels") -> str:
    return (
        f'<?xml version="1.0"?>{head}<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image><{name} '
        f'DimensionOrder="XYZCT" SizeX="{W}" SizeY="{H}" {sizes} Type="uint16"><TiffData/></{name}></Image></OME>'
    )


def test_pages_written_one_by_one_are_a_stack(tmp_path: Path) -> None:
    image = read_image(one_by_one(tmp_path / "a.tif", STACK))
    assert image.info.axes == "ZYX"
    np.testing.assert_array_equal(image.array, STACK)
    assert [note[:33] for note in image.info.notes] == ["The file does not name its axes; "]
    labels = np.zeros((3, H, W), np.uint16)
    labels[0, 3:9, 4:12], labels[1, 10:20, 4:12], labels[2, 3:9, 30:45] = 1, 2, 3
    masks = open_mask(one_by_one(tmp_path / "b.tif", labels))
    assert (masks.n_z, masks.plane(z=2).n_cells, int(masks.plane(z=2).labels.nonzero()[1].min())) == (3, 1, 30)


def test_pages_of_several_sizes_or_types_are_no_stack(tmp_path: Path) -> None:
    for name, other in (("size", STACK[1, :20]), ("type", STACK[1].astype(np.int16))):
        path = tmp_path / f"{name}.tif"
        with tifffile.TiffWriter(path) as writer:
            writer.write(STACK[0])
            writer.write(other)
        image = read_image(path)
        np.testing.assert_array_equal(image.array, STACK[0])
        assert image.info.notes == ("The file holds 2 images; the first was read.",)


@pytest.mark.parametrize(
    "description",
    [
        ome('SizeZ="1000" SizeC="1000" SizeT="100"'),
        ome('SizeZ="&#49;00000000" SizeC="1" SizeT="1"'),
        ome('ID="a>b" SizeZ="100000000" SizeC="1" SizeT="1"'),
        ome('SizeZ="-10000" SizeC="-10000" SizeT="1"'),
        ome('SizeZ="100000000" SizeC="1" SizeT="1"', name="ThePixels"),
        ome('SizeZ="&n;" SizeC="1" SizeT="1"', head='<!DOCTYPE a [<!ENTITY n "100000000">]>'),
    ],
)
def test_planes_that_are_only_declared_take_no_memory(tmp_path: Path, description: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK[0], description=description, metadata=None)
    began = time.perf_counter()
    tracemalloc.start()
    try:
        image = read_image(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(image.array, STACK[0])
    assert image.info.notes == (NOT_UNDERSTOOD,)
    assert peak < 50_000_000
    assert time.perf_counter() - began < 20


@pytest.mark.parametrize(
    "description",
    [
        "ImageJ=1.53t\nimages=many\n",
        "ImageJ=1.53t\nimages=7\nslices=x\n",
        '{"shape": "x", "axes": 5}',
        ome('SizeZ="x" SizeC="1" SizeT="1"'),
    ],
)
def test_a_description_that_makes_no_sense_keeps_no_picture_from_being_read(tmp_path: Path, description: str) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, STACK, description=description, metadata=None, photometric="minisblack")
    image = read_image(path)
    np.testing.assert_array_equal(image.array, STACK)
    assert image.info.axes == "ZYX"
    assert image.info.notes[0] == NOT_UNDERSTOOD
