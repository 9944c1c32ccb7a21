"""PNG, JPEG and BMP."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.errors import ImageError
from cellseg1.images.formats.decoded import Decoded, Samples, Source, check_size

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

_DEFLATE_RATIO = 1040
_RLE_RATIO = 128


def decode_png(source: Source) -> Decoded:
    """Decode a PNG of any bit depth; 16-bit colour stays 16-bit."""
    from PIL.PngImagePlugin import PngImageFile

    depth, colour_type, (width, height) = _check_png(source)
    channels = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}[colour_type]
    row_bytes = (width * channels * depth + 7) // 8
    check_size(source, (height, row_bytes), (height, width), 1, source.size * _DEFLATE_RATIO)
    check_size(source, (height, width, channels), (height, width), max(1, depth // 8))
    source.stream.seek(0)
    if depth == 16:
        # PIL has no 16-bit colour: it would return 8 bits without a word.
        import imagecodecs

        array = imagecodecs.png_decode(source.stream.read())
        samples: dict[int, Samples] = {0: "", 2: "rgb", 4: "grey+alpha", 6: "rgba"}
        return Decoded("PNG", array, "YXS" if array.ndim == 3 else "YX", samples[colour_type])
    # The plug-in is called directly because Image.open warns about, and at twice the size refuses, any large image;
    # check_size has already looked.
    with PngImageFile(source.stream) as image:
        return _from_pil("PNG", image, source)


def decode_jpeg(source: Source) -> Decoded:
    """Decode a JPEG, grey, colour or CMYK."""
    from PIL.JpegImagePlugin import JpegImageFile

    with JpegImageFile(source.stream) as image:
        width, height = image.size
        check_size(source, (height, width, len(image.getbands())), (height, width), 1)
        decoded = _from_pil("JPEG", image, source)
        if image.getexif().get(0x0112, 1) != 1:
            decoded.notes.append("The camera's rotation mark was ignored: rows and columns are as stored.")
        return decoded


def decode_bmp(source: Source) -> Decoded:
    """Decode a BMP of 1 to 32 bits per pixel."""
    from PIL.BmpImagePlugin import BmpImageFile

    header = source.stream.read(34)
    source.stream.seek(0)
    with BmpImageFile(source.stream) as image:
        width, height = image.size
        old_header = int.from_bytes(header[14:18], "little") == 12
        bits = int.from_bytes(header[24:26] if old_header else header[28:30], "little")
        run_length = not old_header and int.from_bytes(header[30:34], "little") in (1, 2)
        row_bytes = max(1, (width * bits + 7) // 8)
        check_size(source, (height, row_bytes), (height, width), 1, source.size * (_RLE_RATIO if run_length else 1))
        check_size(source, (height, width, len(image.getbands())), (height, width), 1)
        return _from_pil("BMP", image, source)


def _check_png(source: Source) -> tuple[int, int, tuple[int, int]]:
    """Walk through the chunks; return bit depth, colour type and (width, height).

    Decoders stop at the last row they need, so a file cut just behind it, or with a flipped bit, would pass.
    """
    stream = source.stream
    stream.seek(8)
    header: bytes | None = None
    while True:
        start = stream.read(8)
        if len(start) < 8:
            raise source.damaged("the PNG ends before its last block")
        length = int.from_bytes(start[:4], "big")
        if length > source.size:
            raise source.damaged("a block of the PNG is longer than the file")
        data = stream.read(length)
        checksum = stream.read(4)
        if len(data) < length or len(checksum) < 4:
            raise source.damaged("the PNG ends in the middle of a block")
        if zlib.crc32(data, zlib.crc32(start[4:])) != int.from_bytes(checksum, "big"):
            raise source.damaged("a checksum of the PNG is wrong")
        if header is None:
            if start[4:] != b"IHDR" or length != 13:
                raise source.damaged("the PNG has no header")
            header = data
            if header[9] not in (0, 2, 3, 4, 6) or header[8] not in (1, 2, 4, 8, 16):
                raise source.damaged("the PNG header holds impossible values")
        if start[4:] == b"IEND":
            size = int.from_bytes(header[:4], "big"), int.from_bytes(header[4:8], "big")
            return header[8], header[9], size


def _from_pil(kind: str, image: ImageFile, source: Source) -> Decoded:
    """Turn an opened PIL image into an array without losing values."""
    image.load()
    notes: list[str] = []
    array: NDArray[Any]
    match image.mode:
        case "1" | "L" | "I" | "F" | "I;16":
            return Decoded(kind, np.array(image), "YX")
        case "P" | "PA" if source.as_labels:
            return Decoded(kind, np.array(image.convert("P") if image.mode == "PA" else image), "YX")
        case "P" | "PA":
            notes.append("The palette image was converted to RGB.")
            return Decoded(kind, np.array(image.convert("RGB")), "YXS", "rgb", notes=notes)
        case "LA" | "La":
            array = np.array(image.convert("LA"))
            return Decoded(kind, array, "YXS", "grey+alpha")
        case "RGBA" | "RGBa" | "RGBX":
            return Decoded(kind, np.array(image.convert("RGBA")), "YXS", "rgba")
        case "CMYK" | "YCbCr" | "LAB" | "HSV":
            notes.append(f"The {image.mode} image was converted to RGB.")
            return Decoded(kind, np.array(image.convert("RGB")), "YXS", "rgb", notes=notes)
        case "RGB":
            return Decoded(kind, np.array(image), "YXS", "rgb")
        case mode:
            raise ImageError(
                f"{source.path} is a {kind} of the kind {mode}, which is not read. Save it as RGB or grey."
            )
