"""What a reader of image files is.  A new format is one class, made known through `cellseg1.images.formats.READERS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from cellseg1.images.formats.decoded import Decoded, Source

#: Bytes of a file (unpacked, when it is gzipped) that a reader sees to recognise it.
HEAD = 352


@runtime_checkable
class Reader(Protocol):
    """One file format.

    Attributes
    ----------
    name
        As in sentences: ``PNG``.
    suffixes
        In small letters with their dot; what file dialogs and folder listings offer.
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
        """Tell from the first `HEAD` bytes whether a file is of this format; `zipped` when they were gzipped."""
        ...

    def read(self, source: Source) -> Decoded:
        """Decode an open file.

        Use `source.damaged` for what is cut off or broken, and `cellseg1.images.formats.decoded.check_size` before
        memory is asked for.

        Raises
        ------
        ImageError
            When the file cannot be used.
        """
        ...
