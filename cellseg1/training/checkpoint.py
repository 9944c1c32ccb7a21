"""Checkpoints: everything an interrupted training needs to end exactly as if it had never been interrupted."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import torch

from cellseg1.errors import ModelFileError
from cellseg1.files import is_taken, numbered, write_with
from cellseg1.torch_file import read_torch_file

SCHEMA = 1


def checkpoint_path(model_path: Path) -> Path:
    """Where the checkpoint of a training that will write `model_path` lies."""
    return model_path.with_name(f"{model_path.name}.checkpoint")


def model_path(checkpoint: Path) -> Path:
    """Return the model file of a checkpoint's training; the inverse of `checkpoint_path`."""
    return checkpoint.with_name(checkpoint.name.removesuffix(".checkpoint"))


def write_checkpoint(path: Path, content: dict[str, Any], *, new: bool = False) -> Path:
    """Write a checkpoint atomically; the previous one stays until the new one is complete.

    Parameters
    ----------
    new
        Whether an existing checkpoint of that name belongs to another training: it stays, and this one gets the next
        free number, with its model.

    Returns
    -------
    Path
        The file that was written.
    """
    number, place = 1, path
    while True:
        with contextlib.suppress(FileExistsError):
            write_with(place, lambda stream: torch.save({"schema": SCHEMA, **content}, stream), new=new)
            return place
        while is_taken(place) or is_taken(model_path(place)):
            number += 1
            place = checkpoint_path(numbered(model_path(path), number))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises
    ------
    ModelFileError
        When the file is damaged or of a newer version.
    """
    content = read_torch_file(path, "a checkpoint", "move it away and train again")
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ModelFileError(f"The checkpoint {path} was written by another version of the program; train again.")
    return content
