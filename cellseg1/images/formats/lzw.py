"""A check of LZW data in TIFF files before decoding: impossible codes crash the decoder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CLEAR, _END, _FIRST = 256, 257, 258
_MOST_CODES = 4096 - _FIRST
"""Codes between two clearings of a table of 4096 entries; the first adds none."""


def _layout() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return width and first bit of every code after a clear code; the width grows when the table is full."""
    number = np.arange(_MOST_CODES + 1)
    # Code j adds entry 257 + j; with entry 510 in the table the next code has 10 bits, and so on.
    width = 9 + np.searchsorted(np.array([510, 1022, 2046]) - _FIRST + 2, number, side="right")
    return width, np.concatenate([[0], np.cumsum(width)[:-1]])


_WIDTH, _START = _layout()


def is_sound(data: bytes) -> bool:
    """Tell whether every code of a strip (most significant bit first) is in the table when it is used.

    Codes between two clear codes have known positions, so thousands are checked at a time.
    """
    padded = np.frombuffer(data + bytes(4), np.uint8).astype(np.int64)
    bits = 8 * len(data)
    at = 0
    while at < bits:
        count = int(np.searchsorted(_START + _WIDTH, bits - at, side="right"))
        if count == 0:
            return True
        width, place = _WIDTH[:count], at + _START[:count]
        byte = place >> 3
        three = (padded[byte] << 16) | (padded[byte + 1] << 8) | padded[byte + 2]
        codes = (three >> (24 - width - (place & 7))) & ((1 << width) - 1)
        ends = np.flatnonzero((codes == _CLEAR) | (codes == _END))
        last = int(ends[0]) if ends.size else count
        used = codes[:last]
        known = np.arange(last) + _FIRST - 1
        if used.size and (used[0] > 255 or (used[1:] > known[1:]).any()):
            return False
        if not ends.size:
            # The data end here, or the table overflows without a clear code.
            return count <= _MOST_CODES
        if codes[last] == _END:
            return True
        at = int(place[last] + width[last])
    return True
