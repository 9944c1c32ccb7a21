"""The protocol of readers of image files.  A new format is one class in `cellseg1.images.formats.READERS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from cellseg1.images.formats.decoded import Decoded, Source

#: Bytes at the beginning of a file (unpacked, when it is gzipped) by which a reader recognises it.
HEAD = 352


@runtime_checkable
class Reader(Protocol):
    """One file format.

    Attributes
    ----------
    name
        Name in sentences: ``PNG``.
    suffixes
        In lower case with the dot; used by file dialogs and folder listings.
    stacks
        Whether such a file can hold several planes.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 - see above

    @property
    def suffixes(self) -> tuple[str, ...]: ...  # noqa: D102 - see above

    @property
    def stacks(self) -> bool: ...  # noqa: D102 - see above

    def recognises(self, head: bytes, *, zipped: bool) -> bool:
        """Tell from the first `HEAD` bytes whether a file has this format; `zipped` when they were gzipped."""
        ...

    def read(self, source: Source) -> Decoded:
        """Decode an open file.

        Raise `source.damaged` for truncated or broken files, and call `cellseg1.images.formats.decoded.check_size`
        before allocating memory.

        Raises
        ------
        ImageError
            When the file cannot be used.
        """
        ...
