"""Which arithmetic a device is fast at."""

from __future__ import annotations

import torch


def cast(device: torch.device) -> torch.autocast:
    """Return the context in which networks compute with `autocast_dtype`."""
    dtype = autocast_dtype(device)
    return torch.autocast(device.type, dtype=dtype or torch.bfloat16, enabled=dtype is not None)


def autocast_dtype(device: torch.device) -> torch.dtype | None:
    """Return bfloat16 where the device computes it in hardware, else None (float32)."""
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else None
    if device.type == "cpu":
        # Without these instructions bfloat16 is emulated and slower than float32.
        probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        found = (getattr(torch.cpu, name, None) for name in probes)
        return torch.bfloat16 if any(probe is not None and probe() for probe in found) else None
    return None
