"""PNG, JPEG and BMP as people have them: rotation marks, palettes with transparency, rare depths."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
from PIL import Image as PilImage

from cellseg1.images import read_image
from cellseg1.masks import read_mask

H, W = 37, 53
RNG = np.random.default_rng(5)
GREY8 = RNG.integers(0, 256, (H, W)).astype(np.uint8)
RGB8 = RNG.integers(0, 256, (H, W, 3)).astype(np.uint8)
TURNED = "The file's rotation mark was ignored: rows and columns are as stored."


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_rotation_marks_are_said_and_not_followed(tmp_path: Path, suffix: str) -> None:
    exif = PilImage.Exif()
    exif[0x0112] = 6
    PilImage.fromarray(RGB8).save(tmp_path / f"a.{suffix}", exif=exif)
    image = read_image(tmp_path / f"a.{suffix}")
    assert image.array.shape == (H, W, 3)
    assert image.info.notes == (TURNED,)
    exif[0x0112] = 1
    PilImage.fromarray(RGB8).save(tmp_path / f"b.{suffix}", exif=exif)
    assert read_image(tmp_path / f"b.{suffix}").info.notes == ()
    PilImage.fromarray(RGB8).save(tmp_path / f"c.{suffix}", exif=b"Exif\0\0MM\0*\0\0\xff\xff\0\1\1\x12" + bytes(30))
    assert read_image(tmp_path / f"c.{suffix}").info.notes == ()


def test_rotation_mark_of_a_16_bit_png(tmp_path: Path) -> None:
    exif = PilImage.Exif()
    exif[0x0112] = 3
    grey = GREY8.astype(np.uint16) * 200
    PilImage.fromarray(grey).save(tmp_path / "a.png", exif=exif)
    image = read_image(tmp_path / "a.png")
    np.testing.assert_array_equal(image.array, grey)
    assert image.info.notes == (TURNED,)


def test_a_palette_with_transparency(tmp_path: Path) -> None:
    indices = np.zeros((H, W), np.uint8)
    indices[4:14, 5:15], indices[20:30, 30:44], indices[2:8, 40:50] = 1, 2, 3
    table = [10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200]
    picture = PilImage.fromarray(indices)
    picture.putpalette(table)
    for name, clear in (("bytes", bytes([0, 255, 255, 0])), ("one", 3)):
        picture.save(tmp_path / f"{name}.png", transparency=clear)
        image = read_image(tmp_path / f"{name}.png")
        np.testing.assert_array_equal(image.array, np.array(table, np.uint8).reshape(-1, 3)[indices])
        assert image.info.notes == ("The palette image was converted to RGB.", "The alpha channel was dropped.")
        mask = read_mask(tmp_path / f"{name}.png")
        assert mask.n_cells == 2
        assert "Transparent pixels" in mask.notes[0]


def test_a_rainbow_of_greys_is_read_as_grey(tmp_path: Path) -> None:
    angle = np.linspace(0, 5, 256)
    rainbow = np.stack([127 + 127 * np.sin(angle + shift) for shift in (0, 2, 4)], -1).astype(np.uint8)
    shades = np.stack([np.zeros(256), np.arange(256), np.zeros(256)], -1).astype(np.uint8)
    for name, table, shape in (("rainbow", rainbow, (H, W)), ("green", shades, (H, W, 3))):
        picture = PilImage.fromarray(GREY8)
        picture.putpalette(table.tobytes())
        for suffix in ("png", "bmp"):
            picture.save(tmp_path / f"{name}.{suffix}")
            image = read_image(tmp_path / f"{name}.{suffix}")
            assert image.array.shape == shape
            np.testing.assert_array_equal(image.array if name == "rainbow" else image.array[..., 1], GREY8)


def test_16_bit_grey_with_transparency(tmp_path: Path) -> None:
    grey = GREY8.astype(np.uint16) * 200
    packed = imagecodecs.png_encode(np.stack([grey, np.full_like(grey, 65535)], -1))
    (tmp_path / "a.png").write_bytes(bytes(packed))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png").array, grey)
