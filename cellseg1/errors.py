"""Errors that a user can act on.

Every message is one sentence (or two short ones) that says what is wrong, where, and what to do.
The command line prints it and ends with exit code 2; the window shows it in a dialog.  Each class also
inherits the builtin a Python caller would expect, so that ``except ValueError`` keeps working.
"""

from __future__ import annotations


class CellSeg1Error(Exception):
    """Base of every error that the user can act on; its text is ready to be shown."""


class ImageError(CellSeg1Error, ValueError):
    """An image file cannot be read or cannot be used."""


class MaskError(CellSeg1Error, ValueError):
    """A mask file cannot be read, holds no cells, or does not belong to its image."""


class PairingError(MaskError):
    """Images and masks cannot be matched by name."""


class SettingsError(CellSeg1Error, ValueError):
    """An unknown setting, or a value out of its range."""


class BackboneError(CellSeg1Error, ValueError):
    """A backbone is missing, damaged, or not the one that is needed."""


class ModelFileError(CellSeg1Error, ValueError):
    """A ``.cs1`` or ``.pth`` file is damaged, unsafe, or belongs to another backbone."""


class OutputError(CellSeg1Error, OSError):
    """A result cannot be written where it was asked for."""


class DownloadError(CellSeg1Error, OSError):
    """A download failed or its result is not the expected file."""


class ResourceExhaustedError(CellSeg1Error, MemoryError):
    """The memory of this computer or its GPU is not enough, even for the smallest batch."""


class InternalError(CellSeg1Error, RuntimeError):
    """The program itself failed; the log has the details."""


class StoppedError(CellSeg1Error):
    """The user asked a job to stop before it had a result worth keeping."""
