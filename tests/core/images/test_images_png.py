"""The blocks of a PNG: what decoders would overlook, and what they would choke on."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest

from cellseg1.errors import ImageError
from cellseg1.images import read_image
from cellseg1.masks import read_mask

H, W = 21, 37
RNG = np.random.default_rng(8)
GREY = RNG.integers(0, 256, (H, W)).astype(np.uint8)
DEEP = GREY.astype(np.uint16) * 200
PALETTE = bytes(range(30, 30 + 3 * 256 // 4)) * 4
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def block(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def head(width: int = W, height: int = H, depth: int = 8, colour: int = 0, interlaced: int = 0) -> bytes:
    return block(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced))


def rows(pixels: np.ndarray) -> bytes:
    return b"".join(b"\0" + row.astype(row.dtype.newbyteorder(">")).tobytes() for row in pixels)


def png(path: Path, *blocks: bytes, pixels: bytes) -> Path:
    data = zlib.compress(pixels)
    parts = (data[: len(data) // 3], data[len(data) // 3 :])
    body = b"".join([*blocks, *(block(b"IDAT", part) for part in parts), block(b"IEND", b"")])
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + body)
    return path


@pytest.mark.parametrize("pixels", [GREY, DEEP], ids=["8 bit", "16 bit"])
def test_a_png_whose_pixels_end_early_is_refused(tmp_path: Path, pixels: np.ndarray) -> None:
    depth = 8 * pixels.itemsize
    for end in (1, H // 2, H - 1):
        path = png(tmp_path / "a.png", head(depth=depth), pixels=rows(pixels[:end]))
        with pytest.raises(ImageError, match="damaged or incomplete: the PNG ends before its last row"):
            read_image(path)
    # One byte is missing, and one too many.
    path = png(tmp_path / "a.png", head(depth=depth), pixels=rows(pixels)[:-1])
    with pytest.raises(ImageError, match="ends before its last row"):
        read_image(path)
    path = png(tmp_path / "a.png", head(depth=depth), pixels=rows(pixels) + b"\0")
    np.testing.assert_array_equal(read_image(path).array, pixels)


@pytest.mark.parametrize(("height", "width"), [(H, W), (5, 1), (1, 5), (2, 2), (8, 9)])
def test_interlaced_png(tmp_path: Path, height: int, width: int) -> None:
    for picture, depth in ((GREY[:height, :width], 8), (DEEP[:height, :width], 16)):
        parts = [picture[y::down, x::across] for x, y, across, down in PASSES]
        packed = b"".join(rows(part) for part in parts if part.size)
        path = png(tmp_path / "a.png", head(width, height, depth, interlaced=1), pixels=packed)
        np.testing.assert_array_equal(read_image(path).array, picture)
        path = png(tmp_path / "a.png", head(width, height, depth, interlaced=1), pixels=packed[:-1])
        with pytest.raises(ImageError, match="ends before its last row"):
            read_image(path)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_colour_that_is_clear_changes_nothing(tmp_path: Path, depth: int) -> None:
    cells = np.zeros((H, W), np.uint16 if depth == 16 else np.uint8)
    cells[2:8, 2:9], cells[10:18, 5:15], cells[3:12, 20:30] = 1, 2, 3
    clear = block(b"tRNS", struct.pack(">H", 2))
    path = png(tmp_path / "grey.png", head(depth=depth), clear, pixels=rows(cells))
    np.testing.assert_array_equal(read_image(path).array, cells)
    assert read_mask(path).n_cells == 3
    colours = np.stack([cells, cells * 2, cells[::-1]], -1)
    clear = block(b"tRNS", struct.pack(">HHH", 2, 4, 0))
    path = png(tmp_path / "rgb.png", head(depth=depth, colour=2), clear, pixels=rows(colours))
    image = read_image(path)
    assert image.info.axes == "YXS"
    np.testing.assert_array_equal(image.array, colours)


@pytest.mark.parametrize("depth", [8, 16])
def test_long_notes_keep_no_picture_from_being_read(tmp_path: Path, depth: int) -> None:
    pixels = DEEP if depth == 16 else GREY
    long = zlib.compress(bytes(5_000_000))
    notes = (
        block(b"zTXt", b"history\0\0" + long),
        block(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + long),
        block(b"iCCP", b"profile\0\0" + long),
    )
    path = png(tmp_path / "a.png", head(depth=depth), *notes, pixels=rows(pixels))
    np.testing.assert_array_equal(read_image(path).array, pixels)


def test_a_second_header_is_refused(tmp_path: Path) -> None:
    # Decoders believe the last one, which nobody has looked at.
    path = png(tmp_path / "a.png", head(), head(50_000, 50_000), pixels=rows(GREY))
    with pytest.raises(ImageError, match="two headers"):
        read_image(path)


@pytest.mark.parametrize("header", [head(depth=16, colour=3), head(depth=4, colour=2), head(depth=1, colour=6)])
def test_headers_that_cannot_be(tmp_path: Path, header: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    path = png(tmp_path / "a.png", header, block(b"PLTE", PALETTE), pixels=rows(GREY))
    with pytest.raises(ImageError, match="the PNG header holds impossible values"):
        read_image(path)
    assert capfd.readouterr() == ("", "")


def test_a_palette_that_is_missing(tmp_path: Path) -> None:
    path = png(tmp_path / "a.png", head(colour=3), block(b"PLTE", PALETTE), pixels=rows(GREY))
    np.testing.assert_array_equal(read_image(path).array, np.frombuffer(PALETTE, np.uint8).reshape(-1, 3)[GREY])
    path = png(tmp_path / "a.png", head(colour=3), pixels=rows(GREY))
    with pytest.raises(ImageError, match="the PNG has no palette"):
        read_image(path)
