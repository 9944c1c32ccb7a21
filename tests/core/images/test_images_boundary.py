"""What a reader never does: wait, take memory for a lie, pass on a foreign error, or call our mistake the user's."""

from __future__ import annotations

import contextlib
import gzip
import io
import logging
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage

from cellseg1.errors import ImageError, MaskError
from cellseg1.images import read_image, recognise
from cellseg1.images.formats import lzw, pictures
from cellseg1.masks import read as masks_read
from cellseg1.masks import read_mask

GREY = np.random.default_rng(2).integers(0, 256, (60, 91)).astype(np.uint8)


def nifti_gz() -> bytes:
    make: Any = nibabel.Nifti1Image
    return gzip.compress(make(np.asfortranarray(GREY.T), np.eye(4)).to_bytes(), mtime=0)


def test_every_flipped_bit_of_a_zipped_nifti_is_noticed(tmp_path: Path) -> None:
    data = nifti_gz()
    path = tmp_path / "a.nii.gz"
    rng = np.random.default_rng(3)
    for at in sorted({*range(10, 60), *rng.integers(10, len(data), 60).tolist(), *range(len(data) - 8, len(data))}):
        changed = bytearray(data)
        changed[at] ^= 1 << int(rng.integers(0, 8))
        path.write_bytes(changed)
        try:
            image = read_image(path)
        except ImageError:
            continue
        # Only what unpacks to the same bytes may pass.
        np.testing.assert_array_equal(image.array, GREY)


def test_a_nifti_that_goes_on_and_on_is_refused(tmp_path: Path) -> None:
    inner = gzip.decompress(nifti_gz())
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(inner + bytes(1000), mtime=0))
    np.testing.assert_array_equal(read_image(path).array, GREY)
    path.write_bytes(gzip.compress(inner + bytes(40_000_000), 1))
    with pytest.raises(ImageError, match="goes on behind its last value"):
        read_image(path)


@pytest.mark.skipif(sys.platform == "win32", reason="devices of Unix")
@pytest.mark.parametrize("read", [read_image, read_mask, recognise])
def test_devices_are_refused_at_once(read: Any, tmp_path: Path) -> None:
    (tmp_path / "zero.png").symlink_to("/dev/zero")
    with pytest.raises((ImageError, MaskError), match=r"is a device and not a file\."):
        read(tmp_path / "zero.png")
    with pytest.raises((ImageError, MaskError), match="is a folder"):
        read(tmp_path)


def jpeg_of(width: int, height: int, mode: str = "CMYK") -> bytes:
    packed = io.BytesIO()
    PilImage.fromarray(GREY).convert(mode).save(packed, "JPEG")
    data = bytearray(packed.getvalue())
    at = data.find(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def png_of(width: int, height: int, rows: bytes) -> bytes:
    def block(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + block(b"IHDR", header) + block(b"IDAT", rows) + block(b"IEND", b"")


def peak_of(path: Path) -> int:
    """Bytes that numpy and Python take at most while a file is read."""
    import tracemalloc

    tracemalloc.start()
    try:
        with pytest.raises(ImageError):
            read_image(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK"])
def test_the_header_of_a_jpeg_is_not_believed(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(jpeg_of(32_000, 32_000, mode))
    with pytest.raises(ImageError, match="damaged or incomplete: it declares"):
        read_image(path)
    assert peak_of(path) < 10_000_000


def test_large_plain_jpegs_are_read(tmp_path: Path) -> None:
    # One colour takes the fewest bytes that a JPEG can have.
    for mode, options in (("L", {}), ("RGB", {"subsampling": 2}), ("RGB", {"progressive": True, "optimize": True})):
        PilImage.new(mode, (3000, 2000)).save(tmp_path / "a.jpg", **options)
        assert read_image(tmp_path / "a.jpg").array.shape[:2] == (2000, 3000)


def test_what_unpacks_to_more_than_is_declared_takes_no_memory(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(200_000_000), 9)
    png = tmp_path / "a.png"
    png.write_bytes(png_of(64, 48, bomb))
    tiff = tmp_path / "a.tif"
    tags = [(256, 64), (257, 48), (258, 8), (259, 8), (262, 1), (273, 8), (277, 1), (278, 48), (279, len(bomb))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    start = b"II*\0" + struct.pack("<I", 8 + len(bomb))
    tiff.write_bytes(start + bomb + struct.pack("<H", len(tags)) + entries + bytes(4))
    before = _peak_from_now()
    assert read_image(png).array.shape == (48, 64)
    with pytest.raises(ImageError, match="damaged or incomplete"):
        read_image(tiff)
    assert _peak() - before < 50_000_000


def _peak_from_now() -> int:
    """Forget the most memory that this process has had: what ran before may have taken more than is looked for."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _peak()


def _peak() -> int:
    """Return the most memory this process has had, in bytes; 0 where that is not known."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def test_a_nest_of_brackets_in_an_array_header(tmp_path: Path) -> None:
    for header in (b"(" * 9000, b"{'shape': (1e400, 3), 'descr': '|u1', 'fortran_order': False}"):
        path = tmp_path / "a.npy"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header) + 1) + header + b"\n")
        with pytest.raises(ImageError, match="damaged or incomplete"):
            read_image(path)


@pytest.mark.parametrize("error", [RecursionError("deep"), OverflowError("1e400"), struct.error("short"), KeyError(7)])
def test_whatever_a_parser_raises_becomes_a_sentence_and_a_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    PilImage.fromarray(GREY).save(tmp_path / "a.png")

    def broken(*_values: Any) -> None:
        raise error

    monkeypatch.setattr(pictures, "_from_pil", broken)
    for read, kind in ((read_image, ImageError), (read_mask, MaskError)):
        caplog.clear()
        with caplog.at_level(logging.INFO), pytest.raises(kind, match="is damaged or incomplete"):
            read(tmp_path / "a.png")
        assert caplog.records[0].exc_info is not None


def test_a_mistake_of_ours_is_not_told_as_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    PilImage.fromarray(GREY).save(tmp_path / "a.png")
    with monkeypatch.context() as patch:
        patch.setattr(pictures, "Decoded", None)  # calling it is a TypeError in a line of this program
        with caplog.at_level(logging.INFO), pytest.raises(ImageError, match="mistake in this program") as caught:
            read_image(tmp_path / "a.png")
    assert "damaged" not in str(caught.value)
    assert caplog.records[0].exc_info is not None
    cells = np.zeros((40, 60), np.uint8)
    cells[4:20, 5:30] = 7
    tifffile.imwrite(tmp_path / "m.tif", cells)
    monkeypatch.setattr(masks_read, "find_cells", lambda *_values, **_options: None)
    with pytest.raises(MaskError, match="mistake in this program"):
        read_mask(tmp_path / "m.tif")


def test_other_kinds_of_files_are_called_by_their_name(tmp_path: Path) -> None:
    for start, name in ((b"PK\x03\x04", "ROI"), (b"Iout", "ROI"), (b"ZISRAWFILE", "CZI"), (b"RIFF....WEBP", "WebP")):
        (tmp_path / "a.tif").write_bytes(start + bytes(400))
        with pytest.raises(ImageError, match=f"{name}.* not an image of a known kind. Save it as"):
            read_image(tmp_path / "a.tif")


def test_codes_of_lzw_that_cannot_be_are_refused(tmp_path: Path) -> None:
    # The decoder would end the whole program.
    path = tmp_path / "a.tif"
    for array in (GREY, np.zeros_like(GREY), np.kron(GREY, np.ones((9, 9), np.uint8)).astype(np.uint16)):
        tifffile.imwrite(path, array, compression="lzw", rowsperstrip=50)
        np.testing.assert_array_equal(read_image(path).array, array)
        PilImage.fromarray(array).save(path, compression="tiff_lzw")
        np.testing.assert_array_equal(read_image(path).array, array)
    tifffile.imwrite(path, GREY, compression="lzw")
    with tifffile.TiffFile(path) as tif:
        offset = tif.pages.first.dataoffsets[0]
    data = bytearray(path.read_bytes())
    data[offset + 5] ^= 0xFF
    data[offset + 6] ^= 0xFF
    path.write_bytes(data)
    with pytest.raises(ImageError, match="LZW compression is broken"):
        read_image(path)


def test_lzw_codes_are_looked_up_in_the_table_of_their_time() -> None:
    def packed(codes: list[int]) -> bytes:
        bits = "".join(f"{code:09b}" for code in codes)
        return int(bits.ljust((len(bits) + 7) // 8 * 8, "0"), 2).to_bytes((len(bits) + 7) // 8, "big")

    assert lzw.is_sound(packed([256, 65, 258, 259, 257]))  # a code may name the entry that it makes itself
    assert lzw.is_sound(packed([256, 65, 66, 256, 65, 258, 257]))
    assert lzw.is_sound(b"")
    assert not lzw.is_sound(packed([256, 65, 259, 257]))
    assert not lzw.is_sound(packed([256, 258, 257]))
    assert not lzw.is_sound(packed([256, 65, 66, 256, 65, 259, 257]))
