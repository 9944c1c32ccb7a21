"""Memory that is used again: on a CPU fresh pages cost more time than the arithmetic that fills them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


class Scratch:
    """Room for the large intermediate values of one call, handed out again for every batch of that call.

    It belongs to one call in one thread.  Nothing that leaves the call may lie in it.
    """

    def __init__(self) -> None:
        self._room: dict[str, Tensor] = {}

    def take(self, name: str, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
        """Return room of this shape; what was taken under the same name before is overwritten."""
        count = math.prod(shape)
        room = self._room.get(name)
        if room is None or room.numel() < count or room.dtype != dtype:
            room = self._room[name] = torch.empty(count, dtype=dtype)
        return room[:count].view(*shape)


def scratch_for(tensor: Tensor) -> Scratch | None:
    """Return a new scratch where it helps: on a CPU, and without gradients, which need every value kept."""
    helps = tensor.device.type == "cpu" and not torch.is_grad_enabled()
    return Scratch() if helps else None
