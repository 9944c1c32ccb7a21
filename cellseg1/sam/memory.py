"""Running out of memory: recognising it, and saying so in one sentence."""

from __future__ import annotations

import torch

from cellseg1.errors import ResourceExhaustedError


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error of the CPU allocator, CUDA or numpy means that memory is full."""
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)):
        return True
    text = str(error).lower()
    return isinstance(error, RuntimeError) and (
        "out of memory" in text or "not enough memory" in text or "can't allocate memory" in text
    )


def exhausted(device: torch.device, doing: str) -> ResourceExhaustedError:
    """Make the error that says what can be done."""
    where = "This computer's memory" if device.type == "cpu" else "The GPU's memory"
    other = "" if device.type == "cpu" else ", or use --device cpu"
    return ResourceExhaustedError(
        f"{where} is not enough for {doing}, even for one tile at a time; close other programs, choose a smaller "
        f"backbone or a smaller sam_image_size{other}."
    )
