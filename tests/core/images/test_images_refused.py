"""Files that must be refused with one clear sentence."""

from __future__ import annotations

import gzip
import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage

from cellseg1.errors import ImageError
from cellseg1.images import read_image

PICTURE = np.random.default_rng(2).integers(0, 256, (60, 91)).astype(np.uint8)


def refused(path: Path, match: str) -> None:
    """Check that the error names the file and ends as a sentence."""
    with pytest.raises(ImageError, match=match) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def png_chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def test_missing_folder_empty_and_foreign(tmp_path: Path) -> None:
    refused(tmp_path / "no.png", "does not exist")
    refused(tmp_path, "is a folder")
    refused(write(tmp_path / "a.png", b""), "is empty")
    refused(write(tmp_path / "b.tif", b"Hello, this is a text and no image. " * 20), "not an image of a known kind")
    refused(write(tmp_path / "c.nii.gz", gzip.compress(b"no image either" * 100)), "not an image of a known kind")
    refused(write(tmp_path / "d.nii.gz", b"\x1f\x8b\x08broken"), "damaged")


@pytest.mark.skipif(os.name == "nt" or (hasattr(os, "geteuid") and os.geteuid() == 0), reason="root may read all")
def test_unreadable(tmp_path: Path) -> None:
    path = write(tmp_path / "a.png", b"x")
    path.chmod(0)
    refused(path, "cannot be opened")


@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 0.98])
@pytest.mark.parametrize("kind", ["png", "png16", "jpg", "bmp", "tif", "tif_lzw", "tif_pil", "npy", "nii", "nii.gz"])
def test_truncated(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / f"a.{kind.partition('_')[0]}"
    match kind:
        case "tif":
            tifffile.imwrite(path, PICTURE)
        case "tif_lzw":
            tifffile.imwrite(path, PICTURE, compression="lzw", rowsperstrip=8)
        case "png16":
            PilImage.fromarray(PICTURE.astype(np.uint16) * 200).save(path, "PNG")
        case "tif_pil":
            PilImage.fromarray(PICTURE).save(path)
        case "npy":
            np.save(path, PICTURE)
        case "nii" | "nii.gz":
            import nibabel

            make: Any = nibabel.Nifti1Image
            nibabel.save(make(PICTURE, np.eye(4)), path)
        case _:
            PilImage.fromarray(PICTURE).save(path)
    data = path.read_bytes()
    read_image(path)
    refused(write(path, data[: int(len(data) * share)]), "damaged|not an image|holds values|cannot")


def test_cut_just_before_the_end_and_flipped_bit(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    PilImage.fromarray(PICTURE).save(buffer, "PNG")
    data = buffer.getvalue()
    refused(write(tmp_path / "a.png", data[:-12]), "ends before its last block")
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 4
    refused(write(tmp_path / "b.png", bytes(flipped)), "checksum")


def test_truncated_multi_page_tiff(tmp_path: Path) -> None:
    stack = np.stack([PICTURE] * 6)
    cases: dict[str, dict[str, Any]] = {
        "pages": {"metadata": None},
        "imagej": {"imagej": True},
        "shaped": {},
        "ome": {},
    }
    for name, options in cases.items():
        path = tmp_path / f"{name}{'.ome' if name == 'ome' else ''}.tif"
        tifffile.imwrite(path, stack, photometric="minisblack", **options)
        data = path.read_bytes()
        assert read_image(path).array.shape == stack.shape
        for share in (0.5, 0.8, 0.99):
            refused(write(path, data[: int(len(data) * share)]), "damaged or incomplete")


def test_imagej_block_behind_one_page(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.stack([PICTURE] * 6), imagej=True, metadata={"axes": "ZYX"}, contiguous=True)
    with tifffile.TiffFile(path) as tif:
        first_end = tif.pages[0].dataoffsets[0] + PICTURE.size
        next_ifd = tif.pages[1].offset
    data = bytearray(path.read_bytes())
    at = data.find(struct.pack("<I", next_ifd))
    data[at : at + 4] = bytes(4)  # what ImageJ itself writes above 4 GB: no further pages
    assert read_image(write(path, bytes(data))).n_z == 6
    refused(write(path, bytes(data[: first_end + 2 * PICTURE.size])), "damaged")


def test_tiff_pages_that_point_outside_or_in_a_circle(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    refused(write(path, b"II*\0" + struct.pack("<I", 4000) + bytes(100)), "outside the file")
    refused(write(path, b"II*\0" + struct.pack("<I", 0) + bytes(100)), "no page")
    circle = b"II*\0" + struct.pack("<IHHHII", 8, 1, 256, 3, 1, 5) + struct.pack("<I", 8)
    refused(write(path, circle + bytes(50)), "outside the file")


def bomb_png(width: int, height: int) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes(1000))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", header) + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def bomb_bmp(width: int, height: int) -> bytes:
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 2835, 2835, 0, 0)
    return b"BM" + struct.pack("<IHHI", 1054, 0, 0, 54) + info + bytes(1000)


def bomb_tiff(width: int, height: int, compression: int = 1) -> bytes:
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, 8), (259, 3, compression), (262, 3, 1), (273, 4, 8), (277, 3, 1),
        (278, 4, height), (279, 4, 100),
    ]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return b"II*\0" + struct.pack("<I", 108) + bytes(100) + struct.pack("<H", len(tags)) + entries + bytes(4)


def bomb_npy(width: int, height: int) -> bytes:
    header = f"{{'descr': '|u1', 'fortran_order': False, 'shape': ({height}, {width}), }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + bytes(1000)


def bomb_nifti(width: int, height: int) -> bytes:
    header = bytearray(352)
    header[:4] = struct.pack("<i", 348)
    header[40:56] = struct.pack("<8h", 2, width, height, 1, 1, 1, 1, 1)
    header[70:74] = struct.pack("<hh", 2, 8)
    header[108:112] = struct.pack("<f", 352)
    header[344:348] = b"n+1\0"
    return bytes(header) + bytes(1000)


@pytest.mark.parametrize("make", [bomb_png, bomb_bmp, bomb_tiff, bomb_npy, bomb_nifti])
def test_header_bombs(tmp_path: Path, make: object, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(make)
    huge = (32767, 32767) if make is bomb_nifti else (100_000, 100_000)
    refused(write(tmp_path / "a", make(*huge)), "32767" if make is bomb_nifti else "100000 x 100000 pixels")
    # A size that could be real, but not in a file of 1 kB.
    refused(write(tmp_path / "b", make(20_000, 10_000)), "damaged or incomplete: it declares")
    # Impossible for the memory, whatever the file says.
    import psutil

    monkeypatch.setattr(psutil, "virtual_memory", lambda: type("Memory", (), {"available": 1000}))
    refused(write(tmp_path / "c", make(40, 26)), "needs .* GB of memory|damaged")


def test_tiff_bomb_with_compression(tmp_path: Path) -> None:
    refused(write(tmp_path / "a.tif", bomb_tiff(20_000, 20_000, 8)), "declares")
    refused(write(tmp_path / "b.tif", bomb_tiff(20_000, 20_000, 5)), "declares")


def test_jpeg_bomb(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    PilImage.fromarray(PICTURE).save(buffer, "JPEG")
    data = bytearray(buffer.getvalue())
    at = data.find(b"\xff\xc0") + 5
    data[at : at + 4] = struct.pack(">HH", 65000, 65000)
    refused(write(tmp_path / "a.jpg", bytes(data)), "65000 x 65000 pixels")


def test_zero_size(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((0, 7), np.uint8))
    refused(tmp_path / "a.npy", "nothing to read")


def test_arrays_that_are_no_numbers(tmp_path: Path) -> None:
    class Harmful:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "made"),)

    harmful = np.empty((2, 2), object)
    harmful[:] = Harmful()
    np.save(tmp_path / "a.npy", harmful, allow_pickle=True)
    refused(tmp_path / "a.npy", "Python objects")
    assert not (tmp_path / "made").exists()
    np.save(tmp_path / "b.npy", np.zeros((4, 5), complex))
    refused(tmp_path / "b.npy", "complex")
    tifffile.imwrite(tmp_path / "c.tif", np.zeros((4, 5), np.complex64))
    refused(tmp_path / "c.tif", "complex")
    np.save(tmp_path / "d.npy", np.array([["a", "b"]]))
    refused(tmp_path / "d.npy", "not numbers")
    np.save(tmp_path / "e.npy", np.zeros((4, 5), [("x", "i4")]))
    refused(tmp_path / "e.npy", "not numbers")
    np.save(tmp_path / "f.npy", np.zeros(9))
    refused(tmp_path / "f.npy", "not an image")
    np.save(tmp_path / "g.npy", np.zeros((2, 2, 2, 2, 2, 12, 13), np.uint8))
    refused(tmp_path / "g.npy", "cannot be understood")


def test_half_of_a_nifti_pair(tmp_path: Path) -> None:
    data = bytearray(bomb_nifti(30, 20))
    data[344:348] = b"ni1\0"
    refused(write(tmp_path / "a.hdr", bytes(data)), "one half of a NIfTI pair")


def test_random_damage_gives_an_image_or_an_image_error(tmp_path: Path) -> None:
    import nibabel

    make: Any = nibabel.Nifti1Image
    for suffix in ("png", "jpg", "bmp"):
        PilImage.fromarray(PICTURE).save(tmp_path / f"a.{suffix}")
    np.save(tmp_path / "a.npy", PICTURE)
    nibabel.save(make(PICTURE, np.eye(4)), tmp_path / "a.nii")
    tifffile.imwrite(tmp_path / "a.tif", PICTURE, compression="lzw", rowsperstrip=8)
    rng = np.random.default_rng(0)
    for path in sorted(tmp_path.iterdir()):
        data = path.read_bytes()
        n_refused = 0
        for _ in range(60):
            damaged = bytearray(data)
            for at in rng.integers(0, min(len(data), 400), 3):
                damaged[at] = rng.integers(0, 256)
            path.write_bytes(damaged)
            try:
                read_image(path)
            except ImageError:
                n_refused += 1
        assert n_refused > 0, path.name


def test_errors_of_the_decoders_do_not_leak(tmp_path: Path) -> None:
    nifti = bytearray(bomb_nifti(20, 10))
    nifti[108:112] = struct.pack("<f", 350)
    refused(write(tmp_path / "a.nii", bytes(nifti)), "vox offset")
    npy = bytearray(bomb_npy(20, 10))
    npy[npy.find(b"}")] = ord(" ")
    refused(write(tmp_path / "a.npy", bytes(npy)), "damaged")


def nifti_with(path: Path, at: int, value: float) -> Path:
    import nibabel

    make: Any = nibabel.Nifti1Image
    volume = make(PICTURE.astype(np.int16), np.eye(4))
    volume.header.set_xyzt_units("micron")
    nibabel.save(volume, path)
    data = bytearray(path.read_bytes())
    struct.pack_into("<f", data, at, value)
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("offset", [0, 1, 300])
def test_nifti_whose_values_begin_in_the_header(tmp_path: Path, offset: float) -> None:
    # nibabel would take the header for pixels.
    refused(nifti_with(tmp_path / "a.nii", 108, offset), "begin inside its header")


@pytest.mark.parametrize("size", [0.0, -1.0, float("nan"), float("inf")])
def test_nifti_whose_pixels_have_no_size(tmp_path: Path, size: float, capfd: pytest.CaptureFixture[str]) -> None:
    image = read_image(nifti_with(tmp_path / "a.nii", 80, size))
    np.testing.assert_array_equal(image.array, PICTURE.T)
    assert image.info.pixel_size_um in (None, (1.0, 1.0))
    assert capfd.readouterr() == ("", "")
