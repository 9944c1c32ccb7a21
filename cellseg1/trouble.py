"""The boundary for unexpected errors: the user gets a sentence, the log gets the traceback."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator

from cellseg1.errors import CellSeg1Error, ImageError, InternalError, ResourceExhaustedError
from cellseg1.memory import is_out_of_memory

log = logging.getLogger(__name__)


@contextlib.contextmanager
def reading(kind: type[CellSeg1Error], sentence: str) -> Iterator[None]:
    """Turn every exception of a parser for untrusted files into one error.

    Parameters
    ----------
    kind, sentence
        The error; its own errors pass, and so does `FileNotFoundError`.

    Raises
    ------
    CellSeg1Error
        Of this kind; where memory was not enough, `ResourceExhaustedError`.
    """
    try:
        yield
    except (CellSeg1Error, FileNotFoundError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise ResourceExhaustedError(f"{sentence} (It does not fit the memory.)") from error
        log.info("%s", sentence, exc_info=True)
        raise kind(sentence) from error


def explained(error: Exception, doing: str) -> CellSeg1Error:
    """Return an error with a sentence for any exception; the log gets the traceback of unexpected ones.

    Parameters
    ----------
    doing
        The current activity, such as "segmenting cells.tif".
    """
    if isinstance(error, CellSeg1Error):
        log_cause(error)
        return error
    if is_out_of_memory(error):
        log.info("Memory was not enough while %s", doing, exc_info=error)
        return ResourceExhaustedError(
            f"The memory is not enough for {doing}; close other programs, use smaller images, or --device cpu."
        )
    if isinstance(error, OSError):
        where = "" if error.filename is None else f" {error.filename}"
        log.info("A file could not be used while %s", doing, exc_info=error)
        return ImageError(f"The file{where} cannot be used while {doing}: {error.strerror or error}.")
    log.error("Something went wrong while %s", doing, exc_info=error)
    why = str(error).strip().splitlines()[0][:200].rstrip(".") if str(error).strip() else "no reason given"
    return InternalError(
        f"Something went wrong inside the program while {doing} ({type(error).__name__}: {why}); "
        "the log has the details."
    )


def log_cause(error: CellSeg1Error) -> None:
    """Log the traceback of an error with a cause; a plain refusal needs none."""
    if error.__cause__ is not None and error.__cause__ is not error:
        log.info("%s", error, exc_info=error)
