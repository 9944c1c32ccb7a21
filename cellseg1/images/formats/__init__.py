"""One reader per file format; `cellseg1.images.read` chooses among them by the file's content.

Other packages add readers through the entry-point group ``cellseg1.readers``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellseg1.images.formats.reader import Reader
from cellseg1.plugins import Registry, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["READERS", "Reader", "readable_suffixes", "stack_suffixes"]


def _own() -> Iterable[Reader]:
    from cellseg1.images.formats.arrays import NiftiReader, NpyReader
    from cellseg1.images.formats.pictures import BmpReader, JpegReader, PngReader
    from cellseg1.images.formats.tiff import TiffReader

    return (PngReader(), JpegReader(), BmpReader(), TiffReader(), NpyReader(), NiftiReader())


#: All readers by name, the program's own first.
READERS: Registry[Reader] = Registry("cellseg1.readers", _own, name_of(Reader))


def readable_suffixes() -> tuple[str, ...]:
    """Return the suffixes of all readers, which file dialogs and folder listings offer."""
    return tuple(suffix for reader in READERS.all() for suffix in reader.suffixes)


def stack_suffixes() -> tuple[str, ...]:
    """Return the suffixes of files that can hold several planes."""
    return tuple(suffix for reader in READERS.all() if reader.stacks for suffix in reader.suffixes)
