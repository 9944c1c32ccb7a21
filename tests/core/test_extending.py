"""What the page about adding something says is true: its package is found by the command and by Python."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command import IMAGE
from extending import blocks, install
from PIL import Image

ROOT = Path(__file__).parents[2]

SCRIPT = """
import numpy as np
import cellseg1
from cellseg1.images import readable_suffixes
from cellseg1.sam.registry import backbone_names

image = cellseg1.read_image("cells.pgm")
assert (image.info.format, image.info.axes) == ("PGM", "YX"), image.info
assert ".pgm" in readable_suffixes()
try:
    cellseg1.read_image("short.pgm")
except cellseg1.CellSeg1Error as error:
    assert "damaged" in str(error), error
else:
    raise AssertionError("it was read")
labels = np.zeros((20, 30), np.int32)
labels[2:6, 3:8] = 1
labels[2, 3] = 0
cellseg1.export(labels, "labels.npy")
assert (np.load("labels.npy") == labels).all()
assert cellseg1.measure(labels)["extent"].tolist() == [0.95]
assert "mine" in backbone_names()
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "site").mkdir()
    install(tmp_path / "site")
    with Image.open(IMAGE) as picture:
        pixels = np.asarray(picture.convert("L"))[:72, :96]
    data = b"P5 96 72 255\n" + pixels.tobytes()
    (tmp_path / "cells.pgm").write_bytes(data)
    (tmp_path / "short.pgm").write_bytes(data[:3000])
    return tmp_path


def run(folder, *arguments):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "site"), str(ROOT)])}
    command = [sys.executable, *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_python_has_what_a_package_adds(folder):
    run(folder, "-W", "error", "-c", SCRIPT)


def test_the_command_has_what_a_package_adds(folder, model):
    listed = json.loads(run(folder, "-m", "cellseg1", "backbone", "list", "--json"))
    assert [one["usable"] for one in listed if one["name"] == "mine"] == [True]
    mask = np.zeros((72, 96), np.uint8)
    for number, (y, x) in enumerate(((10, 10), (10, 50), (40, 20), (40, 60)), 1):
        mask[y : y + 16, x : x + 16] = number
    Image.fromarray(mask).save(folder / "mask.png")
    quick = ("--epochs", "1", "--set", "duplicate_data=2", "--set", "max_point_num=4", "--device", "cpu")
    files = ("--image", "cells.pgm", "--mask", "mask.png", "--out", "mine.cs1")
    run(folder, "-m", "cellseg1", "train", "--backbone", "mine", *files, *quick)
    assert json.loads(run(folder, "-m", "cellseg1", "model", "show", "mine.cs1", "--json"))["backbone"] == "mine"
    (folder / "in").mkdir()
    (folder / "cells.pgm").rename(folder / "in" / "cells.pgm")
    plain = ("--device", "cpu", "--json", "--format", "npy")
    ran = run(folder, "-m", "cellseg1", "predict", "--model", model, "--out", "out", "in", *plain)
    assert [(one["image"], one["error"]) for one in json.loads(ran)["images"]] == [("cells.pgm", "")]
    assert np.load(folder / "out" / "cells.npy").shape == (72, 96)


def test_the_page_has_one_block_for_each():
    code, points = blocks()
    assert len(code) == len(points) + 1 == 5
