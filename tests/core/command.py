"""Running the ``cellseg1`` command inside the test's process, and looking at what it said and left behind."""

import contextlib
import io
import json
import os
import shutil
import struct
import tempfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from cellseg1.bundled import resource_path
from cellseg1.cli import main

# The log of the command does not belong among the user's files.
os.environ["XDG_STATE_HOME"] = f"{tempfile.gettempdir()}/cellseg1-tests"

SAMPLE = resource_path("sample_project")
IMAGE = SAMPLE / "train" / "images" / "nuclei_a.png"
MASK = SAMPLE / "train" / "masks" / "nuclei_a.png"
PLAIN = ("--device", "cpu", "--threads", "1")
_TRAINING = ("epoch_max=1", "duplicate_data=4", "max_point_num=8", "point_spacing=20")
#: Low, so that cells are found whatever the backbone is worth.
_THRESHOLDS = ("pred_iou_thresh=0.4", "stability_score_thresh=0.4")
#: A training of four tiles, once, with few points.
QUICK = (*PLAIN, *(f"--set={pair}" for pair in (*_TRAINING, *_THRESHOLDS)))


@dataclass(frozen=True)
class Ran:
    """What one run of the command gave."""

    code: int
    out: str
    err: str

    def json(self):
        return json.loads(self.out)


def run(*arguments) -> Ran:
    """Run the command; argparse's own exits count too."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as leaving:
            code = int(leaving.code or 0)
    return Ran(code, out.getvalue(), err.getvalue())


def done(*arguments) -> Ran:
    """Run the command, which must succeed."""
    ran = run(*arguments)
    assert ran.code == 0, ran
    return ran


def sentence(ran: Ran, code: int = 2) -> str:
    """Return the one sentence with which the command refused."""
    assert ran.code == code, ran
    said = [line for line in ran.err.splitlines() if line.startswith("cellseg1: ")]
    assert len(said) == 1, ran.err
    assert ran.err.rstrip("\n").endswith(said[0]), ran.err
    assert "Traceback" not in ran.err
    text = said[0].removeprefix("cellseg1: ")
    assert text.endswith((".", "?")), text
    return text


def tree(folder: Path) -> dict[str, bytes | None]:
    """Everything in a folder: names with the bytes of files, None for folders."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() if path.is_file() else None
        for path in sorted(folder.rglob("*"))
    }


def refused(folder: Path, words, *arguments) -> str:
    """Run the command, which must refuse with one sentence holding all `words` and leave `folder` as it was."""
    before = tree(folder)
    text = sentence(run(*arguments))
    for word in words:
        assert str(word) in text, (word, text)
    assert tree(folder) == before
    return text


def train_quick(out: Path, *more, image=IMAGE, mask=MASK) -> Ran:
    return run("train", "--image", image, "--mask", mask, "--out", out, *QUICK, *more)


def quick_model(folder: Path) -> Path:
    """Train the smallest useful model on the sample image."""
    ran = train_quick(folder / "model.cs1", "-q")
    assert ran.code == 0, ran
    return folder / "model.cs1"


def crop(path: Path, target: Path, size: int = 96) -> Path:
    """Cut the upper left corner out of a picture."""
    with Image.open(path) as picture:
        picture.crop((0, 0, size, size)).save(target)
    return target


def labels_of(path: Path) -> np.ndarray:
    from cellseg1.masks import read_mask

    return read_mask(path).labels


def refused_training(folder: Path, words, *, image=IMAGE, mask=MASK, out="results/m.cs1", more=()) -> str:
    """Run a training that must refuse with a sentence, and leave `folder` as it was."""
    files = ("--image", image, *(() if mask is None else ("--mask", mask)))
    return refused(folder, words, "train", *files, "--out", folder / out, *QUICK, *more)


def predict(model: Path, out: Path, *inputs, more=()) -> Ran:
    """Segment with a model; must succeed."""
    return done("predict", "--model", model, "--out", out, *inputs, *PLAIN, *more)


def refused_prediction(folder: Path, words, model: Path, *inputs, out="out", more=()) -> str:
    """Run a prediction that must refuse with a sentence, and leave `folder` as it was."""
    return refused(folder, words, "predict", "--model", model, "--out", folder / out, *inputs, *PLAIN, *more)


# ---- files that cannot be right


def not_an_image(path: Path) -> Path:
    path.write_text("Only text. " * 40)
    return path


def cut_short(source: Path, target: Path) -> Path:
    data = source.read_bytes()
    target.write_bytes(data[: len(data) * 3 // 5])
    return target


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def header_bomb(path: Path, side: int = 100_000) -> Path:
    """Write a small file that declares a picture of `side` x `side` pixels; the suffix chooses the format."""
    match path.suffix:
        case ".png":
            head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
            body = _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(b"\0" * 100)) + _chunk(b"IEND", b"")
            path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
        case ".bmp":
            head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 24, 0, 0, 0, 0, 0, 0)
            path.write_bytes(b"BM" + struct.pack("<IHHI", 154, 0, 0, 54) + head + b"\0" * 100)
        case ".tif":
            tags = (
                (256, side),
                (257, side),
                (258, 8),
                (259, 1),
                (262, 1),
                (273, 200),
                (277, 1),
                (278, side),
                (279, 100),
            )
            entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
            data = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4
            path.write_bytes(data.ljust(200, b"\0") + b"\0" * 100)
    return path


def as_cmyk(source: Path, target: Path) -> Path:
    with Image.open(source) as picture:
        picture.convert("RGB").convert("CMYK").save(target)
    return target


def as_rgba(source: Path, target: Path) -> Path:
    with Image.open(source) as picture:
        picture.convert("RGB").convert("RGBA").save(target)
    return target


def as_palette(source: Path, target: Path) -> Path:
    with Image.open(source) as picture:
        picture.convert("RGB").quantize(64).save(target)
    return target


def own_resources(folder: Path, monkeypatch) -> Path:
    """Let the program find its own files in a copy under `folder`; returns the copy of the tiny backbone."""
    copy = folder / "resources" / "backbones"
    shutil.copytree(resource_path("backbones"), copy)
    monkeypatch.setattr("cellseg1.bundled.resource_folders", lambda: [folder / "resources"])
    return copy / "tiny.safetensors"
