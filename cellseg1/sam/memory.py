"""Errors of full memory as one sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellseg1.errors import ResourceExhaustedError
from cellseg1.memory import is_out_of_memory

if TYPE_CHECKING:
    import torch

__all__ = ["exhausted", "is_out_of_memory"]


def exhausted(device: torch.device, doing: str) -> ResourceExhaustedError:
    """Make the error that says what can be done."""
    where = "This computer's memory" if device.type == "cpu" else "The GPU's memory"
    other = "" if device.type == "cpu" else ", or use --device cpu"
    return ResourceExhaustedError(
        f"{where} is not enough for {doing}, even for one tile at a time; close other programs, choose a smaller "
        f"backbone or a smaller sam_image_size{other}."
    )
