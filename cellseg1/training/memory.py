"""Peak GPU memory of a training."""

from __future__ import annotations

import torch


class GpuMemoryLog:
    """Peak GPU memory per epoch in MiB, in the format of the research code (``memory_stats.json``)."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.epochs: dict[str, dict[str, float]] = {}
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)

    def end_epoch(self, epoch: int) -> None:
        """Note the peaks so far."""
        cuda = self.device.type == "cuda"
        mib = 1024.0**2
        self.epochs[str(epoch)] = {
            "peak_allocated": torch.cuda.max_memory_allocated(self.device) / mib if cuda else 0.0,
            "peak_reserved": torch.cuda.max_memory_reserved(self.device) / mib if cuda else 0.0,
        }
