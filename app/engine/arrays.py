"""Arrays inside messages: packed when that makes them small, through shared memory when they are large.

Only the window makes shared memory, and it removes it when the answer has come or the engine has ended; what an
engine sends (masks, label images) is small once packed and travels in the message, so a killed engine leaves nothing.
"""

from __future__ import annotations

import os
import secrets
import zlib
from dataclasses import dataclass
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Larger arrays go through shared memory.
INLINE_LIMIT = 64 * 1024


@dataclass(frozen=True, slots=True)
class ArrayRef:
    """An array in a message: its bytes, or the name of the shared memory that holds it.

    Attributes
    ----------
    data
        zlib-compressed values (bits for bool); None when the array is in shared memory.
    """

    shape: tuple[int, ...]
    dtype: str
    data: bytes | None = None
    name: str | None = None

    def read(self) -> NDArray[Any]:
        """Return a copy of the array."""
        if self.name is not None:
            memory = SharedMemory(self.name)
            try:
                return np.array(np.ndarray(self.shape, self.dtype, buffer=memory.buf))
            finally:
                memory.close()
        raw = np.frombuffer(zlib.decompress(self.data or b""), np.uint8)
        if self.dtype == "bool":
            count = int(np.prod(self.shape))
            return np.unpackbits(raw, count=count).reshape(self.shape).astype(bool)
        return raw.view(self.dtype).reshape(self.shape).copy()


def pack(array: NDArray[Any]) -> ArrayRef:
    """Put an array into a message, compressed."""
    values = np.packbits(array) if array.dtype == bool else np.ascontiguousarray(array)
    return ArrayRef(array.shape, array.dtype.name, zlib.compress(values.tobytes(), 1))


def pack_labels(labels: NDArray[Any]) -> ArrayRef:
    """Put a label image into a message, in the smallest type that holds its ids."""
    highest = int(labels.max(initial=0))
    small = np.uint8 if highest < 1 << 8 else np.uint16 if highest < 1 << 16 else np.int32
    return pack(labels.astype(small))


def share(array: NDArray[Any]) -> tuple[ArrayRef, SharedMemory | None]:
    """Put an array into a message; the shared memory, if there is one, is the caller's to close and unlink."""
    if array.nbytes <= INLINE_LIMIT:
        return pack(array), None
    memory = SharedMemory(f"cs1-{os.getpid()}-{secrets.token_hex(4)}", create=True, size=array.nbytes)
    np.copyto(np.ndarray(array.shape, array.dtype, buffer=memory.buf), array)
    return ArrayRef(array.shape, array.dtype.str, name=memory.name), memory


def release(memory: SharedMemory) -> None:
    """Remove shared memory made by `share`."""
    memory.close()
    memory.unlink()
