"""The blocks of a PNG, checked before decoding: whether all are there, and which the picture needs."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cellseg1.images.formats.decoded import Source

_START = b"\x89PNG\r\n\x1a\n"
_PALETTE = 3
_CHANNELS = {0: 1, 2: 3, _PALETTE: 1, 4: 2, 6: 4}
_DEPTHS = {0: (1, 2, 4, 8, 16), 2: (8, 16), _PALETTE: (1, 2, 4, 8), 4: (8, 16), 6: (8, 16)}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""First column, first row, steps to the next column and row of the passes of an interlaced picture."""
_PIECE = 2**16


@dataclass(frozen=True, slots=True)
class PngBlocks:
    """The content of the blocks of a PNG.

    Attributes
    ----------
    header
        The 13 bytes of the first block.
    palette
        Colours and transparency of the palette, as whole blocks; empty when the picture has none.
    pixels
        The compressed pixels, block by block.
    exif
        EXIF data; may be empty.
    """

    header: bytes
    palette: bytes
    pixels: tuple[bytes, ...]
    exif: bytes

    @property
    def width(self) -> int:
        """Pixels of a row."""
        return int.from_bytes(self.header[:4], "big")

    @property
    def height(self) -> int:
        """Number of rows."""
        return int.from_bytes(self.header[4:8], "big")

    @property
    def depth(self) -> int:
        """Bits per value."""
        return self.header[8]

    @property
    def colour_type(self) -> int:
        """Grey 0, RGB 2, palette 3, grey and alpha 4, RGBA 6."""
        return self.header[9]

    @property
    def channels(self) -> int:
        """Values per pixel; 1 for a palette index."""
        return _CHANNELS[self.colour_type]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row as it is stored."""
        return self._bytes_of(self.width)

    @property
    def n_bytes(self) -> int:
        """Size of the unpacked pixels in bytes."""
        passes = _PASSES if self.header[12] else ((0, 0, 1, 1),)
        total = 0
        for x, y, across, down in passes:
            columns, rows = -(-max(0, self.width - x) // across), -(-max(0, self.height - y) // down)
            total += rows * (1 + self._bytes_of(columns)) if columns else 0
        return total

    def file(self) -> bytes:
        """Return a PNG of these pixels alone, without notes, profiles, further frames and a transparent colour.

        Decoders fail on long notes and turn the transparent colour of a grey or RGB picture into a channel.
        """
        pixels = (_block(b"IDAT", data) for data in self.pixels)
        return b"".join([_START, _block(b"IHDR", self.header), self.palette, *pixels, _block(b"IEND", b"")])

    def _bytes_of(self, columns: int) -> int:
        return (columns * self.channels * self.depth + 7) // 8


def read_blocks(source: Source) -> PngBlocks:
    """Read the blocks of a PNG and verify their checksums.

    Decoders stop at the last row, so they accept a file that is truncated after it or has a flipped bit.

    Raises
    ------
    ImageError
        When a block is damaged or missing, or the header holds impossible values.
    """
    header = exif = b""
    palette: dict[bytes, bytes] = {}
    pixels: list[bytes] = []
    for kind, data in _blocks(source):
        if not header:
            if kind != b"IHDR" or len(data) != 13:
                raise source.damaged("the PNG has no header")
            if data[8] not in _DEPTHS.get(data[9], ()) or data[12] > 1:
                raise source.damaged("the PNG header holds impossible values")
            header = data
        elif kind == b"IHDR":
            raise source.damaged("the PNG has two headers")
        if kind == b"IDAT":
            pixels.append(data)
        elif kind == b"eXIf":
            exif = data
        elif kind in (b"PLTE", b"tRNS") and header[9] == _PALETTE:
            palette[kind] = _block(kind, data)
    if header[9] == _PALETTE and b"PLTE" not in palette:
        raise source.damaged("the PNG has no palette")
    return PngBlocks(header, palette.get(b"PLTE", b"") + palette.get(b"tRNS", b""), tuple(pixels), exif)


def check_rows(source: Source, blocks: PngBlocks) -> None:
    """Refuse a PNG whose pixels end before its last row; decoders fill the rest with black.

    The pixels are unpacked without being stored, which takes time; check the declared size first.

    Raises
    ------
    ImageError
        When pixels are missing.
    """
    missing, unpack = blocks.n_bytes, zlib.decompressobj()
    for data in blocks.pixels:
        for first in range(0, len(data), _PIECE):
            waiting = data[first : first + _PIECE]
            while waiting and missing > 0:
                missing -= len(unpack.decompress(waiting, 16 * _PIECE))
                waiting = unpack.unconsumed_tail
    if missing > 0 and missing > len(unpack.flush()):
        raise source.damaged("the PNG ends before its last row")


def _blocks(source: Source) -> Iterator[tuple[bytes, bytes]]:
    """Yield kind and content of each block up to the last."""
    stream = source.stream
    stream.seek(len(_START))
    kind = b""
    while kind != b"IEND":
        start = stream.read(8)
        if len(start) < 8:
            raise source.damaged("the PNG ends before its last block")
        length, kind = int.from_bytes(start[:4], "big"), start[4:]
        if length > source.size:
            raise source.damaged("a block of the PNG is longer than the file")
        data = stream.read(length)
        checksum = stream.read(4)
        if len(data) < length or len(checksum) < 4:
            raise source.damaged("the PNG ends in the middle of a block")
        if zlib.crc32(data, zlib.crc32(kind)) != int.from_bytes(checksum, "big"):
            raise source.damaged("a checksum of the PNG is wrong")
        yield kind, data


def _block(kind: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")
