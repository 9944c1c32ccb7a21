"""Only regular files are opened, by every reader, and each says what was wrong."""

import os
import socket
import tempfile
from pathlib import Path

import numpy as np
import pytest

from cellseg1.errors import BackboneError, ImageError, ModelFileError, SettingsError
from cellseg1.files import file_sha256
from cellseg1.images import read_image
from cellseg1.lora.header import load_card
from cellseg1.prediction.candidates import Candidates
from cellseg1.regular import NotAFileError, open_regular, read_regular
from cellseg1.sam.packs import read_pack
from cellseg1.sam.store import hash_file
from cellseg1.settings import load_yaml
from cellseg1.torch_file import read_torch_file


def test_a_regular_file_is_read_and_written(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    with open_regular(path, "r+b") as stream:
        assert stream.read(1) == b"1"
        stream.write(b"x")
    assert read_regular(path, 5) == b"1x345"
    with pytest.raises(OSError, match="larger than 4 bytes"):
        read_regular(path, 4)


@pytest.fixture(params=["a folder", "a pipe", "a socket", "a device"])
def other(request, tmp_path):
    if request.param == "a folder":
        yield request.param, tmp_path
    elif os.name == "nt":
        pytest.skip("there is no such file")
    elif request.param == "a pipe":
        os.mkfifo(tmp_path / "x.png")
        yield request.param, tmp_path / "x.png"
    elif request.param == "a device":
        yield request.param, Path("/dev/zero")
    else:
        # Its path must be short.
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as one:
            one.bind(f"{folder}/s")
            yield request.param, Path(folder, "s")


READERS = (
    (read_image, ImageError),
    (load_card, ModelFileError),
    (load_yaml, SettingsError),
    (lambda path: read_torch_file(path, "a model"), ModelFileError),
    (read_pack, BackboneError),
    (hash_file, BackboneError),
    (file_sha256, OSError),
)


def test_nothing_but_a_regular_file_is_opened(other):
    kind, path = other
    with pytest.raises(NotAFileError, match=f"it is {kind} and not a file") as raised:
        open_regular(path)
    assert raised.value.kind == kind
    for read, error in READERS:
        with pytest.raises(error, match=f"is {kind} and not a file"):
            read(path)
    with pytest.raises(ModelFileError, match="not a file of proposals"):
        Candidates.load(path)


@pytest.mark.parametrize("name", ["a\0b.png", "n" * 300 + ".png"])
def test_a_name_that_no_file_can_have_is_said(tmp_path, name):
    for read, error in READERS:
        with pytest.raises(error, match=r"name (is )?too long|character that no file name can have") as raised:
            read(tmp_path / name)
        assert "may read" not in str(raised.value)
        assert error is not ImageError or "\0" not in str(raised.value)
    assert not any(np.array(list(tmp_path.iterdir()), bool))
