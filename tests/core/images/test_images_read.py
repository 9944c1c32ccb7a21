"""Reading every format: values, axes, metadata, notes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from PIL import Image as PilImage

from cellseg1.errors import ImageError
from cellseg1.images import Image, read_image

H, W = 37, 53
RNG = np.random.default_rng(5)
GREY8 = RNG.integers(0, 256, (H, W)).astype(np.uint8)
RGB8 = RNG.integers(0, 256, (H, W, 3)).astype(np.uint8)
GREY16 = RNG.integers(0, 65536, (H, W)).astype(np.uint16)
RGB16 = RNG.integers(0, 65536, (H, W, 3)).astype(np.uint16)


def pil(path: Path, array: np.ndarray, mode: str | None = None, **options: Any) -> Image:
    picture = PilImage.fromarray(array)
    if mode:
        picture = picture.convert(mode)
    picture.save(path, **options)
    return read_image(path)


def tiff(path: Path, array: np.ndarray, **options: Any) -> Image:
    tifffile.imwrite(path, array, **options)
    return read_image(path)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif"])
def test_grey_and_rgb(tmp_path: Path, suffix: str) -> None:
    grey = pil(tmp_path / f"g.{suffix}", GREY8)
    np.testing.assert_array_equal(grey.array, GREY8)
    assert (grey.info.axes, grey.n_channels, grey.info.guessed) == ("YX", 1, False)
    colour = pil(tmp_path / f"c.{suffix}", RGB8)
    np.testing.assert_array_equal(colour.array, RGB8)
    assert colour.info.axes == "YXS"
    assert colour.is_colour
    assert colour.n_channels == 3
    assert colour.info.notes == ()


def test_content_decides_not_the_suffix(tmp_path: Path) -> None:
    path = tmp_path / "picture.tif"
    PilImage.fromarray(RGB8).save(path, "PNG")
    assert read_image(str(path)).info.format == "PNG"


def test_non_ascii_and_spaces(tmp_path: Path) -> None:
    folder = tmp_path / "Zellen für Müller 細胞"
    folder.mkdir()
    for suffix in ("png", "jpg", "bmp", "tif", "npy"):
        path = folder / f"Bild α 1.{suffix}"
        if suffix == "npy":
            np.save(path, GREY8)
        else:
            PilImage.fromarray(GREY8).save(path)
        assert read_image(path).array.shape == (H, W)


def test_jpeg_grey_rgb_cmyk(tmp_path: Path) -> None:
    smooth = np.full((H, W, 3), (200, 60, 20), np.uint8)
    colour = pil(tmp_path / "a.jpg", smooth, quality=95)
    assert np.abs(colour.array.astype(int) - smooth).max() <= 6
    assert pil(tmp_path / "b.jpg", GREY8).info.axes == "YX"
    cmyk = pil(tmp_path / "c.jpg", smooth, "CMYK", quality=95)
    assert cmyk.array.shape == (H, W, 3)
    assert np.abs(cmyk.array.astype(int) - smooth).max() <= 8
    assert cmyk.info.notes == ("The CMYK image was converted to RGB.",)


def test_jpeg_rotation_mark_is_said_aloud(tmp_path: Path) -> None:
    exif = PilImage.Exif()
    exif[0x0112] = 6
    image = pil(tmp_path / "a.jpg", GREY8, exif=exif)
    assert image.array.shape == (H, W)
    assert "rotation" in image.info.notes[0]


def test_png_16_bit_stays_16_bit(tmp_path: Path) -> None:
    import imagecodecs

    alpha = np.full((H, W, 1), 65535, np.uint16)
    cases = {
        "grey": GREY16,
        "rgb": RGB16,
        "rgba": np.concatenate([RGB16, alpha], axis=-1),
        "ga": np.concatenate([GREY16[..., np.newaxis], alpha], axis=-1),
    }
    for name, array in cases.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(imagecodecs.png_encode(array))
        image = read_image(path)
        assert image.info.dtype == "uint16"
        np.testing.assert_array_equal(image.array, GREY16 if name in ("grey", "ga") else RGB16)
        assert image.info.notes == (("The alpha channel was dropped.",) if name in ("rgba", "ga") else ())


def test_alpha_is_dropped_and_said(tmp_path: Path) -> None:
    rgba = np.concatenate([RGB8, GREY8[..., np.newaxis]], axis=-1)
    for image in (pil(tmp_path / "a.png", rgba), tiff(tmp_path / "a.tif", rgba, photometric="rgb")):
        np.testing.assert_array_equal(image.array, RGB8)
        assert image.info.notes == ("The alpha channel was dropped.",)
    for image in (
        pil(tmp_path / "b.png", GREY8, "LA"),
        tiff(
            tmp_path / "b.tif", np.stack([GREY8, GREY8], -1), photometric="minisblack",
            planarconfig="contig", extrasamples=["unassalpha"],
        ),
    ):  # fmt: skip
        np.testing.assert_array_equal(image.array, GREY8)
        assert image.info.axes == "YX"
        assert image.info.notes == ("The alpha channel was dropped.",)


def test_palette_becomes_rgb(tmp_path: Path) -> None:
    indices = RNG.integers(0, 3, (H, W)).astype(np.uint8)
    picture = PilImage.fromarray(indices)
    picture.putpalette([10, 20, 30, 40, 50, 60, 250, 0, 5])
    expected = np.array([[10, 20, 30], [40, 50, 60], [250, 0, 5]], np.uint8)[indices]
    for suffix in ("png", "bmp"):
        picture.save(tmp_path / f"a.{suffix}")
        image = read_image(tmp_path / f"a.{suffix}")
        np.testing.assert_array_equal(image.array, expected)
        assert image.info.notes == ("The palette image was converted to RGB.",)
    colormap = np.zeros((3, 256), np.uint16)
    colormap[:, :3] = np.array([[10, 20, 30], [40, 50, 60], [250, 0, 5]]).T * 257
    image = tiff(tmp_path / "a.tif", indices, photometric="palette", colormap=colormap)
    np.testing.assert_array_equal(image.array, expected)
    assert image.info.axes == "YXS"


def test_one_bit(tmp_path: Path) -> None:
    bits = GREY8 > 128
    for suffix in ("png", "bmp", "tif"):
        image = pil(tmp_path / f"a.{suffix}", bits)
        assert image.info.dtype == "bool"
        np.testing.assert_array_equal(image.array, bits)


def test_cmyk_tiff(tmp_path: Path) -> None:
    ink = np.zeros((H, W, 4), np.uint8)
    ink[..., 0], ink[..., 3] = 255, 51
    image = tiff(tmp_path / "a.tif", ink, photometric="separated")
    assert image.array[0, 0].tolist() == [0, 204, 204]
    assert image.info.notes == ("The CMYK image was converted to RGB.",)


def test_white_is_zero(tmp_path: Path) -> None:
    image = tiff(tmp_path / "a.tif", GREY8, photometric="miniswhite")
    np.testing.assert_array_equal(image.array, 255 - GREY8)
    assert "inverted" in image.info.notes[0]


@pytest.mark.parametrize("compression", ["zlib", "lzw", "packbits", "zstd", "lzma", "jpeg2000", "deflate"])
def test_tiff_compressions(tmp_path: Path, compression: str) -> None:
    image = tiff(tmp_path / "a.tif", GREY16, compression=compression, tile=(16, 16))
    np.testing.assert_array_equal(image.array, GREY16)


def test_constant_compressed_tiff_is_not_taken_for_a_bomb(tmp_path: Path) -> None:
    black = np.zeros((3000, 4000), np.uint16)
    assert tiff(tmp_path / "a.tif", black, compression="zlib").array.shape == black.shape
    assert tiff(tmp_path / "b.tif", black, compression="lzw", rowsperstrip=3000).array.shape == black.shape
    assert pil(tmp_path / "c.png", black.astype(np.uint8)).array.shape == black.shape
    assert tiff(tmp_path / "d.tif", black > 0, compression="packbits").array.shape == black.shape


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint32, np.float16, np.float32, np.float64])
def test_tiff_types(tmp_path: Path, dtype: type) -> None:
    array: np.ndarray = (GREY8.astype(float) - 100).clip(0).astype(dtype)
    for order in ("<", ">"):
        image = tiff(tmp_path / "a.tif", array, byteorder=order)
        assert image.array.dtype == dtype
        np.testing.assert_array_equal(image.array, array)


def test_a_channel_without_a_name_does_not_take_the_names_of_the_others(tmp_path: Path) -> None:
    stack = RNG.integers(0, 255, (3, H, W)).astype(np.uint8)
    names = ["DAPI, nuclei", "", "Rö"]
    ome = tiff(
        tmp_path / "a.ome.tif", stack, photometric="minisblack", metadata={"axes": "CYX", "Channel": {"Name": names}}
    )
    assert ome.info.channel_names == tuple(names)
    stack = stack.astype(np.uint16)
    ij = tiff(tmp_path / "b.tif", stack, imagej=True, metadata={"axes": "CYX", "Labels": ["DAPI", "", "GFP"]})
    assert ij.info.channel_names == ("DAPI", "", "GFP")


def test_ome_round_trip(tmp_path: Path) -> None:
    stack = RNG.integers(0, 4000, (2, 3, 4, H, W)).astype(np.uint16)
    image = tiff(
        tmp_path / "a.ome.tif", stack, photometric="minisblack",
        metadata={
            "axes": "TCZYX", "Channel": {"Name": ["DAPI", "GFP", "Cy5"]},
            "PhysicalSizeX": 130.0, "PhysicalSizeXUnit": "nm", "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": "µm",
        },
    )  # fmt: skip
    info = image.info
    assert (info.format, info.axes, info.guessed) == ("OME-TIFF", "TZCYX", False)
    assert info.channel_names == ("DAPI", "GFP", "Cy5")
    assert info.pixel_size_um == pytest.approx((0.25, 0.13))
    assert (image.n_t, image.n_z, image.n_channels) == (2, 4, 3)
    np.testing.assert_array_equal(image.plane(z=3, t=1), np.moveaxis(stack[1, :, 3], 0, -1))
    with pytest.raises(ImageError, match="no plane z = 4"):
        image.plane(z=4)


def test_ome_with_xml_entities_is_read_without_its_metadata(tmp_path: Path) -> None:
    from cellseg1.images.formats.tiff_metadata import ome_metadata

    assert ome_metadata('<!DOCTYPE x [<!ENTITY a "b">]><OME>&a;</OME>') == ((), None)
    assert ome_metadata("<OME") == ((), None)
    assert ome_metadata("<OME/>") == ((), None)


def test_part_of_a_set_of_ome_files(tmp_path: Path) -> None:
    xml = (
        '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        f'<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="{W}" SizeY="{H}" SizeZ="1" SizeC="2" '
        'SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/><Channel ID="Channel:0:1" SamplesPerPixel="1"/>'
        '<TiffData IFD="0" FirstC="0"><UUID FileName="a.ome.tif">urn:uuid:a</UUID></TiffData>'
        '<TiffData IFD="0" FirstC="1"><UUID FileName="b.ome.tif">urn:uuid:b</UUID></TiffData></Pixels></Image></OME>'
    )
    image = tiff(tmp_path / "a.ome.tif", GREY8, description=xml, metadata=None)
    np.testing.assert_array_equal(image.plane().reshape(H, W, -1)[..., 0], GREY8)
    assert image.n_channels == 1
    assert any("set of OME-TIFF" in note for note in image.info.notes)
    (tmp_path / "b.ome.tif").write_bytes((tmp_path / "a.ome.tif").read_bytes())  # its neighbour is not read either
    assert read_image(tmp_path / "a.ome.tif").n_channels == 1
    other = xml.replace("a.ome.tif", "c.ome.tif").replace("urn:uuid:a", "urn:uuid:c")
    second = tiff(tmp_path / "b.ome.tif", GREY8, description=other, metadata=None)
    np.testing.assert_array_equal(second.array.reshape(-1, H, W)[0], GREY8)


def test_imagej_round_trip(tmp_path: Path) -> None:
    stack = RNG.integers(0, 4000, (5, 2, H, W)).astype(np.uint16)
    image = tiff(
        tmp_path / "a.tif", stack, imagej=True, resolution=(1 / 0.2, 1 / 0.4),
        metadata={"axes": "ZCYX", "unit": "um", "Labels": ["nuclei", "actin"] * 5},
    )  # fmt: skip
    info = image.info
    assert (info.format, info.axes) == ("ImageJ-TIFF", "ZCYX")
    assert info.channel_names == ("nuclei", "actin")
    assert info.pixel_size_um == pytest.approx((0.4, 0.2))
    np.testing.assert_array_equal(image.plane(z=2)[..., 1], stack[2, 1])
    pixels = tiff(tmp_path / "b.tif", GREY16, imagej=True, resolution=(3, 3), metadata={"unit": "pixel"})
    assert pixels.info.pixel_size_um is None


def test_plain_tiff_resolution(tmp_path: Path) -> None:
    microscope = tiff(tmp_path / "a.tif", GREY8, resolution=(20000, 10000), resolutionunit="CENTIMETER")
    assert microscope.info.pixel_size_um == pytest.approx((1.0, 0.5))
    printer = tiff(tmp_path / "b.tif", GREY8, resolution=(300, 300), resolutionunit="INCH")
    assert printer.info.pixel_size_um is None


def test_multi_page_tiff_axes_are_guessed(tmp_path: Path) -> None:
    for count, axes in ((3, "CYX"), (9, "ZYX")):
        stack = RNG.integers(0, 255, (count, H, W)).astype(np.uint8)
        image = tiff(tmp_path / "a.tif", stack, photometric="minisblack", metadata=None)
        assert (image.info.axes, image.info.guessed) == (axes, True)
        assert "guessed" in image.info.notes[-1]
        np.testing.assert_array_equal(image.array, stack)
    planar = tiff(tmp_path / "b.tif", np.moveaxis(RGB8, -1, 0), photometric="rgb", planarconfig="separate")
    np.testing.assert_array_equal(planar.array, RGB8)
    several = tmp_path / "c.tif"
    with tifffile.TiffWriter(several) as writer:
        writer.write(GREY8)
        writer.write(RGB16, photometric="rgb")
    image = read_image(several)
    np.testing.assert_array_equal(image.array, GREY8)
    assert image.info.notes == ("The file holds 2 images; the first was read.",)


def test_channels_last_tiff_that_is_no_colour(tmp_path: Path) -> None:
    array = RNG.integers(0, 255, (H, W, 5)).astype(np.uint8)
    image = tiff(tmp_path / "a.tif", array, photometric="minisblack", planarconfig="contig")
    assert image.info.axes == "CYX"
    np.testing.assert_array_equal(image.plane(), array)


@pytest.mark.parametrize(
    ("shape", "axes", "planes"),
    [
        ((H, W), "YX", (1, 1, 1)),
        ((1, 5000), "YX", (1, 1, 1)),
        ((H, W, 3), "YXS", (1, 1, 3)),
        ((1, 5000, 3), "YXS", (1, 1, 3)),
        ((H, W, 2), "CYX", (1, 1, 2)),
        ((H, W, 1), "YX", (1, 1, 1)),
        ((1, H, W), "YX", (1, 1, 1)),
        ((3, H, W), "CYX", (1, 1, 3)),
        ((5, H, W), "CYX", (1, 1, 5)),
        ((6, H, W), "ZYX", (1, 6, 1)),
        ((7, H, W, 3), "ZYXS", (1, 7, 3)),
        ((7, 2, H, W), "ZCYX", (1, 7, 2)),
        ((2, 7, H, W), "ZCYX", (1, 7, 2)),
        ((6, 7, H, W), "TZYX", (6, 7, 1)),
        ((2, 3, 4, H, W), "TZCYX", (2, 3, 4)),
        ((1, 1, 1, H, W), "YX", (1, 1, 1)),
    ],
)
def test_npy_axes(tmp_path: Path, shape: tuple[int, ...], axes: str, planes: tuple[int, int, int]) -> None:
    np.save(tmp_path / "a.npy", np.zeros(shape, np.float32))
    image = read_image(tmp_path / "a.npy")
    assert (image.info.axes, (image.n_t, image.n_z, image.n_channels)) == (axes, planes)
    assert image.info.guessed == (axes != "YX")
    assert (
        image.plane(image.n_z - 1, image.n_t - 1).shape[:2] == (shape[:2] if shape[-1] < 6 else shape[-2:])[:2]
        or len(shape) == 4
    )


def test_npy_order_and_byte_order(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.asfortranarray(GREY16.astype(">u2")))
    image = read_image(tmp_path / "a.npy")
    np.testing.assert_array_equal(image.array, GREY16)
    assert image.array.dtype == np.dtype("=u2")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("version", [1, 2])
def test_nifti(tmp_path: Path, suffix: str, version: int) -> None:
    import nibabel

    stack = RNG.integers(0, 4000, (W, H, 6)).astype(np.int16)
    kind: Any = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
    volume = kind(stack, np.diag([0.002, 0.003, 1, 1]))
    volume.header.set_xyzt_units("mm")
    nibabel.save(volume, tmp_path / f"a{suffix}")
    image = read_image(tmp_path / f"a{suffix}")
    assert (image.info.format, image.info.axes, image.info.dtype) == ("NIfTI", "ZYX", "int16")
    assert image.info.pixel_size_um == pytest.approx((3.0, 2.0))
    np.testing.assert_array_equal(image.plane(z=4), stack[:, :, 4].T)


def test_nifti_scaling_is_applied(tmp_path: Path) -> None:
    import nibabel

    make: Any = nibabel.Nifti1Image
    volume = make(np.arange(W * H, dtype=np.int16).reshape(W, H), np.eye(4))
    volume.header.set_slope_inter(0.5, 10)
    nibabel.save(volume, tmp_path / "a.nii")
    image = read_image(tmp_path / "a.nii")
    assert image.info.axes == "YX"
    np.testing.assert_allclose(image.array.T.ravel(), 10 + 0.5 * np.arange(W * H))


def test_big_images_raise_no_warning_of_pil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PilImage, "MAX_IMAGE_PIXELS", 100)
    for suffix in ("png", "jpg", "bmp"):
        assert pil(tmp_path / f"a.{suffix}", GREY8).array.shape == (H, W)


def test_images_and_masks_import_neither_torch_nor_qt_nor_the_decoders() -> None:
    code = (
        "import sys, cellseg1.images, cellseg1.masks; "
        "bad = {'torch', 'PySide6', 'tifffile', 'nibabel', 'cv2', 'skimage', 'scipy', 'PIL'} & set(sys.modules); "
        "sys.exit(','.join(bad) or None)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
