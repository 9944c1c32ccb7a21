"""Shared guards of all readers: only regular files are opened, and every error becomes one sentence."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import threading
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from cellseg1.errors import CellSeg1Error
from cellseg1.memory import is_out_of_memory
from cellseg1.regular import NotAFileError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_log = logging.getLogger(__name__)
_ONE_AT_A_TIME = threading.Lock()

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
_MISTAKES = (TypeError, AttributeError, NameError, AssertionError)
"""What a mistake of ours raises; bytes of a file can make our code raise the others too."""


@contextlib.contextmanager
def reading(path: Path, error_type: type[CellSeg1Error], damaged: Callable[[str], Exception]) -> Iterator[None]:
    """Turn any error of opening and parsing a file into one sentence, and log the details.

    Parameters
    ----------
    path
        The file, for the sentence.
    error_type
        The error to raise where `damaged` does not apply.
    damaged
        Makes the error for wrong content from the parser's message.
    """
    name = str(path).replace("\0", "\\0")
    try:
        yield
    except CellSeg1Error:
        raise
    except NotAFileError as error:
        raise error_type(f"{name} is {error.kind} and not a file. Choose an image file.") from error
    except FileNotFoundError as error:
        if path.is_symlink():
            raise error_type(
                f"{name} is a link to a file that is not there. Restore the file, or copy it in place of the link."
            ) from error
        raise error_type(f"{name} does not exist. Check the name and the folder.") from error
    except Exception as error:
        _log.info("%r could not be read", str(path), exc_info=True)
        if is_out_of_memory(error):
            raise error_type(f"{name} does not fit the memory of this computer. Cut it into smaller images.") from error
        if isinstance(error, OSError) and error.errno is not None:
            raise error_type(f"{name} cannot be opened: {_why(error)}") from error
        if isinstance(error, ImportError):
            why = words_of(error)
            raise error_type(
                f"{name} is stored in a way that this installation cannot decode ({why}). "
                "Save it as an uncompressed TIFF."
            ) from error
        if is_our_mistake(error):
            raise error_type(
                f"{name} could not be read because of a mistake in this program ({type(error).__name__}: "
                f"{words_of(error)}). The file may be sound; please report this with the log."
            ) from error
        raise damaged(words_of(error)) from error


def _why(error: OSError) -> str:
    """Return the cause of a failed opening and what to do about it, as the end of a sentence."""
    why = error.strerror or str(error)
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return f"{why}. Check that you may read it."
        case errno.ENAMETOOLONG:
            return "the name is too long. Give the file and its folders shorter names."
        case errno.EINVAL:
            return f"{why}. Check its name."
        case _:
            return f"{why}. Check that the disk or file server answers, and try again."


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress the warnings of a decoder; one thread at a time, because warning filters are global."""
    with _ONE_AT_A_TIME, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def is_our_mistake(error: BaseException) -> bool:
    """Tell whether an exception was raised by this program itself, not by a library parsing bytes."""
    if not isinstance(error, _MISTAKES):
        return False
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.startswith(_PACKAGE)


def words_of(error: BaseException) -> str:
    """Return the text of an exception as part of a sentence."""
    words = " ".join(str(error).split()).rstrip(".")
    return words[:300] or type(error).__name__
