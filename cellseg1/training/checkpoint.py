"""Checkpoints: everything an interrupted training needs to end exactly as if it had never been interrupted."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch

from cellseg1.errors import ModelFileError
from cellseg1.files import write_with

SCHEMA = 1


def checkpoint_path(model_path: Path) -> Path:
    """Where the checkpoint of a training that will write `model_path` lies."""
    return model_path.with_name(f"{model_path.name}.checkpoint")


def write_checkpoint(path: Path, content: dict[str, Any]) -> None:
    """Write a checkpoint atomically; the previous one stays until the new one is complete."""
    write_with(path, lambda stream: torch.save({"schema": SCHEMA, **content}, stream))


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint.

    Raises
    ------
    ModelFileError
        When the file is damaged or of a newer version.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, zipfile.BadZipFile, KeyError, ValueError) as error:
        raise ModelFileError(
            f"The checkpoint {path} is damaged and cannot be resumed; move it away and train again."
        ) from error
    if not isinstance(content, dict) or content.get("schema") != SCHEMA:
        raise ModelFileError(f"The checkpoint {path} was written by another version of the program; train again.")
    return content
