"""PNG, JPEG and BMP."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.errors import ImageError
from cellseg1.images.colour import is_display_table, is_tint
from cellseg1.images.formats.decoded import Decoded, Samples, Source, check_size, orientation_note
from cellseg1.images.formats.png_blocks import check_rows, read_blocks
from cellseg1.images.opening import quiet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.ImageFile import ImageFile

_DEFLATE_RATIO = 1040
_RLE_RATIO = 128
_JPEG_RATIO = 512
"""Most pixels that one byte of a JPEG can hold: a block of 64 takes at least a bit."""
_ORIENTATION = 0x0112
_BMP_HEADER_SIZES = tuple(size.to_bytes(4, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124))


class PngReader:
    """Portable Network Graphics."""

    name = "PNG"
    suffixes = (".png",)
    stacks = False

    def recognises(self, head: bytes, *, zipped: bool) -> bool:
        """See `Reader`."""
        return not zipped and head.startswith(b"\x89PNG\r\n\x1a\n")

    def read(self, source: Source) -> Decoded:
        """Decode a PNG of any bit depth; 16-bit colour stays 16-bit."""
        from PIL.PngImagePlugin import PngImageFile

        blocks = read_blocks(source)
        plane = blocks.height, blocks.width
        check_size(source, (blocks.height, blocks.row_bytes), plane, 1, source.size * _DEFLATE_RATIO)
        check_size(source, (*plane, blocks.channels), plane, max(1, blocks.depth // 8), copies=2)
        check_rows(source, blocks)
        notes = orientation_note(_orientation_in(blocks.exif))
        if blocks.depth == 16:
            # PIL has no 16-bit colour and would silently return 8 bits.
            import imagecodecs

            array = imagecodecs.png_decode(blocks.file())
            samples: dict[int, Samples] = {0: "", 2: "rgb", 4: "grey+alpha", 6: "rgba"}
            axes = "YXS" if array.ndim == 3 else "YX"
            return Decoded("PNG", array, axes, samples[blocks.colour_type], notes=notes)
        # The plug-in is called directly: Image.open warns about large images and refuses them at twice the size.
        # check_size has checked the size already.
        with PngImageFile(io.BytesIO(blocks.file())) as image:
            decoded = _from_pil("PNG", image, source)
        decoded.notes.extend(notes)
        return decoded


class JpegReader:
    """JPEG."""

    name = "JPEG"
    suffixes = (".jpg", ".jpeg", ".jpe", ".jfif")
    stacks = False

    def recognises(self, head: bytes, *, zipped: bool) -> bool:
        """See `Reader`."""
        return not zipped and head.startswith(b"\xff\xd8\xff")

    def read(self, source: Source) -> Decoded:
        """Decode a JPEG, grey, colour or CMYK."""
        from PIL.JpegImagePlugin import JpegImageFile

        with quiet():
            # Opening parses the EXIF data and warns about damage there.
            opened = JpegImageFile(source.stream)
        with opened as image:
            width, height = image.size
            bands = len(image.getbands())
            check_size(source, (height, width, bands), (height, width), 1, source.size * _JPEG_RATIO * bands, copies=2)
            decoded = _from_pil("JPEG", image, source)
            decoded.notes.extend(orientation_note(_orientation_in(image.info.get("exif", b""))))
            return replace(decoded, lossy=True)


class BmpReader:
    """Windows bitmaps."""

    name = "BMP"
    suffixes = (".bmp", ".dib")
    stacks = False

    def recognises(self, head: bytes, *, zipped: bool) -> bool:
        """See `Reader`."""
        return not zipped and head.startswith(b"BM") and head[14:18] in _BMP_HEADER_SIZES

    def read(self, source: Source) -> Decoded:
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
            check_size(source, (height, width, len(image.getbands())), (height, width), 1, copies=2)
            return _from_pil("BMP", image, source)


def _orientation_in(exif: bytes) -> object:
    """Return the orientation in EXIF data; none when they are damaged."""
    from PIL import Image

    if not exif:
        return 1
    found = Image.Exif()
    try:
        with quiet():
            found.load(exif)
            return found.get(_ORIENTATION, 1)
    except Exception:  # noqa: BLE001 - damaged EXIF data must not keep the picture from being read
        return 1


def _from_pil(kind: str, image: ImageFile, source: Source) -> Decoded:
    """Turn an opened PIL image into an array without losing values."""
    image.load()
    notes: list[str] = []
    array: NDArray[Any]
    match image.mode:
        case "1" | "L" | "I" | "F" | "I;16":
            return Decoded(kind, np.array(image), "YX")
        case "P" | "PA" if source.as_labels:
            array = np.array(image.convert("P") if image.mode == "PA" else image)
            return Decoded(kind, _without_clear(array, image, notes), "YX", notes=notes)
        case "P" if _is_shown_grey(image):
            notes.append("The colour table of the file is for display; the stored values were used.")
            return Decoded(kind, np.array(image), "YX", notes=notes)
        case "P" | "PA":
            notes.append("The palette image was converted to RGB.")
            if "transparency" in image.info or image.mode == "PA":
                notes.append("The alpha channel was dropped.")
                # Pillow warns when this is converted directly to RGB.
                return Decoded(kind, np.array(image.convert("RGBA").convert("RGB")), "YXS", "rgb", notes=notes)
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


def _is_shown_grey(image: ImageFile) -> bool:
    """Tell whether the palette of a "P" image displays grey values in several colours, such as a rainbow.

    Shades of one colour stay a colour picture, as the format says; the network sees no difference.
    """
    table = np.asarray(image.getpalette("RGB") or [], np.uint16).reshape(-1, 3)
    indices = np.array(image)
    if int(indices.max(initial=0)) >= len(table):
        return False
    colours = table.T * 257
    return is_display_table(colours, indices) and not is_tint(colours)


def _without_clear(indices: NDArray[Any], image: ImageFile, notes: list[str]) -> NDArray[Any]:
    """Make fully transparent palette indices background, unless all are transparent."""
    clear = image.info.get("transparency")
    if isinstance(clear, bytes):
        numbers = [number for number, alpha in enumerate(clear) if alpha == 0 and number]
    else:
        numbers = [clear] if isinstance(clear, int) and clear else []
    hidden = np.isin(indices, numbers)
    if not hidden.any() or hidden[indices > 0].all():
        return indices
    notes.append("Transparent pixels of the mask were taken as background.")
    return np.where(hidden, indices.dtype.type(0), indices)
