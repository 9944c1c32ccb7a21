"""TIFF files as microscopes and other programs leave them: the values, axes and names that are right."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from cellseg1.errors import ImageError
from cellseg1.images import Image, read_image
from cellseg1.images.specification import InputSpecification
from cellseg1.masks import read_mask

H, W = 36, 52
RNG = np.random.default_rng(7)
GREY8 = RNG.integers(0, 256, (H, W)).astype(np.uint8)
GREY16 = RNG.integers(60, 4000, (H, W)).astype(np.uint16)
RGB8 = RNG.integers(0, 256, (H, W, 3)).astype(np.uint8)
FOUR8 = RNG.integers(0, 256, (H, W, 4)).astype(np.uint8)
STACK = RNG.integers(0, 4000, (6, H, W)).astype(np.uint16)
_CODES = {1: "B", 3: "H", 4: "I"}


def tiff(path: Path, array: np.ndarray, **options: Any) -> Image:
    tifffile.imwrite(path, array, **options)
    return read_image(path)


def by_hand(pixels: bytes, order: str = "<", next_page: int = 0, **changes: Any) -> bytes:
    """Write one page of TIFF tag by tag; `changes` name tags by number, as ``t279=(4, [0])``; None leaves one out."""
    tags: dict[int, Any] = {
        256: (4, [W]), 257: (4, [H]), 258: (3, [16]), 259: (3, [1]), 262: (3, [1]), 273: (4, [0]), 277: (3, [1]),
        278: (4, [H]), 279: (4, [len(pixels)]), 339: (3, [1]),
    }  # fmt: skip
    tags.update({int(name[1:]): value for name, value in changes.items()})
    tags = {code: value for code, value in sorted(tags.items()) if value is not None}
    packed = {
        code: b"".join(struct.pack(order + _CODES[kind], v) for v in values) for code, (kind, values) in tags.items()
    }
    behind = 8 + 2 + 12 * len(tags) + 4
    begin = behind + sum(len(data) for data in packed.values() if len(data) > 4)
    entries, extra = b"", b""
    for code, (kind, values) in tags.items():
        data = packed[code]
        if code == 273:
            data = b"".join(struct.pack(order + "I", value + begin) for value in values)
        entries += struct.pack(order + "HHI", code, kind, len(values))
        if len(data) <= 4:
            entries += data.ljust(4, b"\0")
        else:
            entries += struct.pack(order + "I", behind + len(extra))
            extra += data
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "IH", 8, len(tags))
    return start + entries + struct.pack(order + "I", next_page) + extra + pixels


PLAIN = GREY16.astype("<u2").tobytes()
ROWS = H // 4
STRIPS = {"t273": (4, [i * ROWS * W * 2 for i in range(4)]), "t278": (4, [ROWS]), "t279": (4, [0] * 4)}


def deflated_strips() -> bytes:
    parts = [zlib.compress(PLAIN[i * ROWS * W * 2 : (i + 1) * ROWS * W * 2]) for i in range(4)]
    offsets = np.cumsum([0, *(len(part) for part in parts)])[:4].tolist()
    return by_hand(b"".join(parts), **{**STRIPS, "t259": (3, [8]), "t273": (4, offsets)})


@pytest.mark.parametrize(
    "data",
    {
        "no lengths of one strip": by_hand(PLAIN, t279=(4, [0])),
        "no lengths of four strips": by_hand(PLAIN, **STRIPS),
        "no length of a deflated strip": by_hand(zlib.compress(PLAIN), t259=(3, [8]), t279=(4, [0])),
        "no lengths of deflated strips": deflated_strips(),
        "no tag for lengths": by_hand(PLAIN, t279=None),
        "a length beyond the file": by_hand(PLAIN, t279=(4, [len(PLAIN) + 512])),
        "a length too small": by_hand(PLAIN, **{**STRIPS, "t279": (4, [7] * 4)}),
        "no rows per strip": by_hand(PLAIN, t278=None),
        "all rows in a strip": by_hand(PLAIN, t278=(4, [2**32 - 1])),
        "no sample format": by_hand(PLAIN, t339=None),
        "big-endian": by_hand(GREY16.astype(">u2").tobytes(), ">"),
    }.items(),
    ids=lambda item: item[0],
)
def test_strips_whose_lengths_are_missing_or_wrong(tmp_path: Path, data: tuple[str, bytes]) -> None:
    (tmp_path / "a.tif").write_bytes(data[1])
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").array, GREY16)


def test_a_page_that_says_nowhere_where_its_pixels_are_is_refused(tmp_path: Path) -> None:
    data = bytearray(by_hand(PLAIN, t279=(4, [0])))
    at = data.find(struct.pack("<HHI", 273, 4, 1)) + 8
    data[at : at + 4] = bytes(4)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ImageError, match="where its pixels are"):
        read_image(tmp_path / "a.tif")
    (tmp_path / "b.tif").write_bytes(by_hand(PLAIN, next_page=0x7FFFFF00))
    with pytest.raises(ImageError, match="lies outside the file"):
        read_image(tmp_path / "b.tif")


@pytest.mark.parametrize(
    ("array", "right"),
    [
        (GREY8, 255 - GREY8),
        (GREY16, 65535 - GREY16),
        ((GREY16.astype(np.int32) - 300).astype(np.int16), (299 - GREY16.astype(np.int32)).astype(np.int16)),
        (GREY16.astype(np.float32), -GREY16.astype(np.float32)),
        (GREY8 > 99, GREY8 <= 99),
    ],
)
def test_white_is_zero_for_every_type(tmp_path: Path, array: np.ndarray, right: np.ndarray) -> None:
    image = tiff(tmp_path / "a.tif", array, photometric="miniswhite")
    np.testing.assert_array_equal(image.array, right)
    assert image.array.dtype == array.dtype
    assert "0 is white" in image.info.notes[0]


@pytest.mark.parametrize("turn", [2, 3, 6, 8])
def test_rotation_marks_are_said_and_not_followed(tmp_path: Path, turn: int) -> None:
    image = tiff(tmp_path / "a.tif", GREY16, extratags=[(274, "H", 1, turn, True)])
    np.testing.assert_array_equal(image.array, GREY16)
    assert image.info.notes == ("The file's rotation mark was ignored: rows and columns are as stored.",)


RAMP = np.arange(256, dtype=np.uint16) * 257
ANGLE = np.linspace(0, 5, 256)
LUTS = {
    "grey": np.stack([RAMP] * 3),
    "inverted": np.stack([RAMP[::-1]] * 3),
    "green": np.stack([0 * RAMP, RAMP, 0 * RAMP]),
    "fire": np.stack([np.clip(np.arange(256) * 3 - k, 0, 255) for k in (0, 255, 510)]).astype(np.uint16) * 257,
    "rainbow": np.stack([(127 + 127 * np.sin(ANGLE + k)) for k in (0, 2, 4)]).astype(np.uint16) * 257,
}


@pytest.mark.parametrize("lut", LUTS)
def test_a_table_for_display_is_no_data(tmp_path: Path, lut: str) -> None:
    image = tiff(tmp_path / "a.tif", GREY8, photometric="palette", colormap=LUTS[lut])
    np.testing.assert_array_equal(image.array, GREY8)
    assert image.info.notes == ("The colour table of the file is for display; the stored values were used.",)
    dark = tiff(tmp_path / "b.tif", GREY8 // 40, photometric="palette", colormap=LUTS[lut])
    np.testing.assert_array_equal(dark.array, GREY8 // 40)


@pytest.mark.parametrize(("axes", "count"), [("CYX", 2), ("CYX", 4), ("ZYX", 7)])
def test_a_coloured_composite_keeps_its_channels(tmp_path: Path, axes: str, count: int) -> None:
    array = RNG.integers(0, 256, (count, H, W)).astype(np.uint8)
    path = tmp_path / "a.tif"
    image = tiff(path, array, photometric="palette", colormap=LUTS["green"], imagej=True, metadata={"axes": axes})
    np.testing.assert_array_equal(image.array, array)
    assert image.info.axes == axes


def test_real_palettes_become_rgb(tmp_path: Path) -> None:
    table = RNG.integers(0, 256, (3, 256)).astype(np.uint16) * 257
    image = tiff(tmp_path / "a.tif", GREY8, photometric="palette", colormap=table)
    np.testing.assert_array_equal(image.array, (table.T >> 8)[GREY8])


def test_only_what_is_declared_as_transparency_is_dropped(tmp_path: Path) -> None:
    contig = {"t258": (3, [8] * 4), "t262": (3, [2]), "t277": (3, [4]), "t284": (3, [1]), "t339": (3, [1] * 4)}
    for extra, kept in ((0, True), (1, False), (2, False)):
        path = tmp_path / f"{extra}.tif"
        path.write_bytes(by_hand(FOUR8.tobytes(), t338=(3, [extra]), **contig))
        image = read_image(path)
        if kept:
            assert image.info.axes == "CYX"
            np.testing.assert_array_equal(np.moveaxis(image.array, 0, -1), FOUR8)
            assert "not say that its fourth sample" in image.info.notes[0]
        else:
            np.testing.assert_array_equal(image.array, FOUR8[..., :3])
            assert image.info.notes == ("The alpha channel was dropped.",)
    np.save(tmp_path / "a.npy", FOUR8)
    np.testing.assert_array_equal(read_image(tmp_path / "a.npy").array, np.moveaxis(FOUR8, -1, 0))


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_the_picture_is_read_and_not_its_preview(tmp_path: Path, *, marked: bool, first: bool) -> None:
    small = (GREY8[::4, ::4], {"subfiletype": 1} if marked else {})
    large: tuple[np.ndarray, dict[str, Any]] = (GREY16, {})
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for array, options in (small, large) if first else (large, small):
            writer.write(array, metadata=None, **options)
    image = read_image(path)
    np.testing.assert_array_equal(image.array, GREY16)
    assert "The file holds 2 images" in image.info.notes[0]
    cells = np.zeros((H, W), np.uint16)
    cells[4:14, 5:15], cells[20:30, 30:44] = 7, 9
    with tifffile.TiffWriter(path) as writer:
        for array, options in ((cells[::4, ::4], small[1]), (cells, {})):
            writer.write(array, metadata=None, **options)
    assert read_mask(path).labels.shape == (H, W)


@pytest.mark.parametrize("metadata", [None, {}])
def test_the_full_picture_behind_a_preview_in_a_sub_image(tmp_path: Path, metadata: dict[str, Any] | None) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY8[::4, ::4], subifds=1, subfiletype=1, metadata=metadata)
        writer.write(GREY16, metadata=metadata)
    image = read_image(path)
    np.testing.assert_array_equal(image.array, GREY16)
    assert "was read" in image.info.notes[0]


def test_pyramids_and_stacks_beside_an_overview(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY16, subifds=1, metadata=None)
        writer.write(GREY16[::2, ::2], subfiletype=1, metadata=None)
    np.testing.assert_array_equal(read_image(path).array, GREY16)
    with tifffile.TiffWriter(path) as writer:
        for plane in STACK:
            writer.write(plane[::2, ::2], metadata=None, contiguous=False)
        writer.write(GREY16, metadata=None)
    np.testing.assert_array_equal(read_image(path).array, STACK[:, ::2, ::2])


def ome(path: Path, order: str, sizes: dict[str, int], planes: np.ndarray) -> Image:
    """Write planes under an OME description that may declare more."""
    channels = "".join(f'<Channel ID="Channel:0:{c}" Name="ch{c}" SamplesPerPixel="1"/>' for c in range(sizes["C"]))
    lengths = " ".join(f'Size{letter}="{length}"' for letter, length in sizes.items())
    xml = (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="{order}" Type="uint16" SizeX="{W}" SizeY="{H}" '
        f'{lengths} PhysicalSizeX="0.25" PhysicalSizeY="0.25">{channels}<TiffData/></Pixels></Image></OME>'
    )
    with tifffile.TiffWriter(path) as writer:
        for i, plane in enumerate(planes):
            writer.write(plane, description=xml if i == 0 else None, metadata=None, contiguous=False)
    return read_image(path)


@pytest.mark.parametrize(
    ("order", "sizes", "written", "axes", "shape"),
    [
        ("XYCZT", {"C": 1, "Z": 1, "T": 10}, 4, "TYX", (4,)),
        ("XYCZT", {"C": 2, "Z": 1, "T": 5}, 6, "TCYX", (3, 2)),
        ("XYCZT", {"C": 2, "Z": 1, "T": 5}, 5, "TCYX", (2, 2)),
        ("XYZCT", {"C": 1, "Z": 40, "T": 1}, 6, "ZYX", (6,)),
        ("XYCZT", {"C": 1, "Z": 1, "T": 400_000}, 3, "TYX", (3,)),
        ("XYCZT", {"C": 2, "Z": 1, "T": 3}, 6, "TCYX", (3, 2)),
    ],
)
def test_an_acquisition_that_stopped_early_keeps_its_axes(
    tmp_path: Path, order: str, sizes: dict[str, int], written: int, axes: str, shape: tuple[int, ...]
) -> None:
    image = ome(tmp_path / "a.ome.tif", order, sizes, STACK[:written])
    assert image.info.axes == axes
    kept = int(np.prod(shape))
    np.testing.assert_array_equal(image.array, STACK[:kept].reshape(*shape, H, W))
    assert image.info.pixel_size_um == (0.25, 0.25)
    assert len(image.info.channel_names) == sizes["C"]
    declared = sizes["C"] * sizes["Z"] * sizes["T"]
    if declared > written:
        assert f"declares {declared} planes and holds {written}" in image.info.notes[0]
        assert ("left out" in image.info.notes[0]) == (written > kept)
    else:
        assert image.info.notes == ()


def test_more_planes_than_described_are_said(tmp_path: Path) -> None:
    image = ome(tmp_path / "a.ome.tif", "XYCZT", {"C": 1, "Z": 1, "T": 2}, STACK[:4])
    assert image.array.shape == (2, H, W)
    assert image.info.notes == ("The file holds 4 planes and describes 2; these were read.",)


def test_scanimage_interleaves_its_channels(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "a.tif", bigtiff=True) as writer:
        for plane in STACK:
            writer.write(
                plane.astype(np.int16), software="SI.VERSION_MAJOR = 2020\nSI.hChannels.channelSave = [1;2]\n",
                metadata=None, contiguous=False,
            )  # fmt: skip
    image = read_image(tmp_path / "a.tif")
    assert (image.info.axes, image.n_channels) == ("TCYX", 2)
    np.testing.assert_array_equal(image.array, STACK.reshape(3, 2, H, W))


def test_luminance_and_colour_differences_become_rgb(tmp_path: Path) -> None:
    flat = np.full_like(GREY8, 128)
    three = {"t258": (3, [8] * 3), "t277": (3, [3]), "t339": (3, [1] * 3)}
    data = np.stack([GREY8, flat, flat], -1).tobytes()
    (tmp_path / "a.tif").write_bytes(by_hand(data, t262=(3, [6]), t530=(3, [1, 1]), **three))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").array, np.stack([GREY8] * 3, -1))
    data = np.stack([GREY8, 0 * flat, 0 * flat], -1).tobytes()
    (tmp_path / "b.tif").write_bytes(by_hand(data, t262=(3, [8]), **three))
    lab = read_image(tmp_path / "b.tif").array.astype(int)
    assert np.ptp(lab, axis=-1).max() <= 1
    order = np.argsort(GREY8.ravel(), kind="stable")
    assert (np.diff(lab[..., 1].ravel()[order]) >= 0).all()


@pytest.mark.parametrize(
    ("array", "options"),
    [
        (GREY16, {"tile": (16, 32)}),
        (GREY16, {"bigtiff": True}),
        (GREY16, {"byteorder": ">", "compression": "lzw", "predictor": True}),
        (GREY16.astype(np.float16), {}),
        (GREY16.astype(np.float32), {"compression": "zlib", "predictor": True}),
        ((GREY16.astype(np.int32) - 3000), {}),
        (GREY8 > 99, {"photometric": "minisblack"}),
        (GREY16.astype(np.uint32) * 70_000, {}),
        (RGB8, {"photometric": "rgb", "compression": "webp", "compressionargs": {"lossless": True}}),
    ],
)
def test_layouts_and_types(tmp_path: Path, array: np.ndarray, options: dict[str, Any]) -> None:
    image = tiff(tmp_path / "a.tif", array, **options)
    np.testing.assert_array_equal(image.array, array)
    assert image.array.dtype == array.dtype


def test_separate_samples_packed_bits_and_jpeg_inside(tmp_path: Path) -> None:
    planar = tiff(
        tmp_path / "a.tif", np.ascontiguousarray(np.moveaxis(RGB8, -1, 0)), photometric="rgb",
        planarconfig="separate", rowsperstrip=5,
    )  # fmt: skip
    np.testing.assert_array_equal(planar.array, RGB8)
    bits = ((GREY16 & 4095)[:, :, np.newaxis] >> np.arange(11, -1, -1)) & 1
    (tmp_path / "b.tif").write_bytes(by_hand(np.packbits(bits.reshape(H, -1), axis=1).tobytes(), t258=(3, [12])))
    np.testing.assert_array_equal(read_image(tmp_path / "b.tif").array, GREY16 & 4095)
    smooth = np.full((64, 80, 3), (200, 60, 20), np.uint8)
    jpeg = tiff(tmp_path / "c.tif", smooth, photometric="rgb", compression="jpeg")
    assert jpeg.array.shape == smooth.shape
    assert np.abs(jpeg.array.astype(int) - smooth).max() <= 6


def test_a_page_that_does_not_say_what_its_values_mean(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(by_hand(PLAIN, t262=None))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif").array, GREY16)
    three = {"t258": (3, [8] * 3), "t277": (3, [3]), "t339": (3, [1] * 3), "t262": None}
    (tmp_path / "b.tif").write_bytes(by_hand(RGB8.tobytes(), **three))
    image = read_image(tmp_path / "b.tif")
    assert image.info.axes == "YXS"
    np.testing.assert_array_equal(image.array, RGB8)
    (tmp_path / "c.tif").write_bytes(by_hand(PLAIN, t259=(3, [1, 1])))
    with pytest.raises(ImageError, match="no single number for compression"):
        read_image(tmp_path / "c.tif")


def test_colour_pages_are_planes_and_no_channels(tmp_path: Path) -> None:
    pages = RNG.integers(0, 256, (4, H, W, 3)).astype(np.uint8)
    image = tiff(tmp_path / "a.tif", pages, photometric="rgb", metadata=None)
    assert (image.info.axes, image.n_z, image.n_channels) == ("ZYXS", 4, 3)
    np.testing.assert_array_equal(image.plane(z=2), pages[2])


def test_names_of_channels_that_are_colour_pictures(tmp_path: Path) -> None:
    stack = RNG.integers(0, 256, (2, H, W, 3)).astype(np.uint8)
    names = {"Channel": {"Name": ["left", "right"]}}
    image = tiff(tmp_path / "a.ome.tif", stack, photometric="rgb", metadata={"axes": "CYXS", **names})
    assert image.info.channel_names == ("left red", "left green", "left blue", "right red", "right green", "right blue")
    chosen, _notes = InputSpecification().with_channels("right green").indices_in(image)
    assert chosen == (4,)
    np.testing.assert_array_equal(image.plane()[..., 4], stack[1, ..., 1])
    # The name of a colour picture is that of its three samples together.
    image = tiff(
        tmp_path / "b.ome.tif", stack[0], photometric="rgb", metadata={"axes": "YXS", "Channel": {"Name": ["HE"]}}
    )
    assert image.info.channel_names == ()
    with pytest.raises(ImageError, match="has no channel HE; its channels are 0, 1, 2"):
        InputSpecification().with_channels("HE").indices_in(image)
