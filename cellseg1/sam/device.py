"""Choosing where to compute, after proving that it really computes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from cellseg1.errors import SettingsError


def quiet_cpu(threads: int | None = None) -> None:
    """Prepare a process for computing on its CPU; called before it computes anything.

    Numbers below the smallest normal one (1.2e-38 in float32) become zero.  Gradients after two non-linearities are
    full of them, and convolutions take up to five times as long on them as on other numbers.

    The mode belongs to a thread and is inherited by threads that it starts.  It does not reach threads that torch has
    already started on every platform, so call this first.

    Parameters
    ----------
    threads
        How many threads torch uses; None leaves the number as it is.
    """
    if threads is not None:
        torch.set_num_threads(threads)
    torch.set_flush_denormal(True)


@contextlib.contextmanager
def flushed_denormals() -> Iterator[None]:
    """Do `quiet_cpu` for the calling thread and restore its mode afterwards, for use inside another program."""
    before = flushes_denormals()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def flushes_denormals() -> bool:
    """Tell whether the calling thread flushes denormal numbers to zero."""
    return float((torch.full((1,), 1e-30) * 1e-10).item()) == 0.0


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """One place to compute.

    Attributes
    ----------
    name
        What `choose_device` accepts: cpu, cuda:0, mps.
    label
        The maker's name of it.
    memory_bytes
        Its own memory, None when it shares the computer's.
    usable
        Whether a small computation on it succeeded.
    reason
        One sentence why it is not usable; empty when it is.
    """

    name: str
    label: str
    memory_bytes: int | None
    usable: bool
    reason: str = ""


def _why_not(device: str) -> str:
    """Compute something tiny on `device`; return why that failed, or nothing.

    `torch.cuda.is_available` only says that a driver answers.  A GPU too old for this build, or one whose
    memory another program has filled, fails at the first kernel.
    """
    try:
        ones = torch.ones((8, 8), device=device)
        total = float((ones @ ones).sum().item())
        if device.startswith("cuda"):
            torch.cuda.synchronize(device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
        return f"A test computation failed: {first_line}"
    return "" if total == 512.0 else f"A test computation gave {total} where 512 is right."


@functools.cache
def _probe_cuda(index: int) -> DeviceInfo:
    try:
        properties = torch.cuda.get_device_properties(index)
    except (RuntimeError, AssertionError) as error:
        return DeviceInfo(
            f"cuda:{index}", "CUDA GPU", None, usable=False, reason=f"The driver does not answer: {error}"
        )
    why_not = _why_not(f"cuda:{index}")
    return DeviceInfo(f"cuda:{index}", str(properties.name), int(properties.total_memory), not why_not, why_not)


@functools.cache
def _probe_mps() -> DeviceInfo:
    why_not = _why_not("mps")
    return DeviceInfo("mps", "Apple GPU", None, not why_not, why_not)


def _cuda_count() -> int:
    return torch.cuda.device_count() if torch.cuda.is_available() else 0


def device_report() -> list[DeviceInfo]:
    """Return every device of this computer, the preferred first and the CPU last, with the reason where one fails."""
    devices = [_probe_cuda(index) for index in range(_cuda_count())]
    if torch.backends.mps.is_available():
        devices.append(_probe_mps())
    devices.append(DeviceInfo("cpu", "CPU", None, usable=True))
    return devices


def choose_device(asked: str = "auto") -> torch.device:
    """Return the device to compute on.

    Parameters
    ----------
    asked
        auto (the first usable of `device_report`), cpu, cuda (the first usable GPU), cuda:N, or mps.

    Raises
    ------
    SettingsError
        When the asked device does not exist or fails a test computation.
    """
    asked = asked.strip().lower()
    if asked == "cpu":
        return torch.device("cpu")
    kind, _, number = asked.partition(":")
    if kind not in {"auto", "cuda", "mps"} or (number and not (kind == "cuda" and number.isdecimal())):
        raise SettingsError(f"The device {asked!r} is unknown; choose auto, cpu, cuda, cuda:0 or mps.")
    devices = device_report()
    if kind == "auto":
        return torch.device(next(device.name for device in devices if device.usable))
    fitting = [device for device in devices if (device.name == asked if number else device.name.startswith(kind))]
    for device in fitting:
        if device.usable:
            return torch.device(device.name)
    reason = fitting[0].reason if fitting else "This computer has no such device, or PyTorch cannot see it."
    raise SettingsError(f"The device {asked} cannot be used. {reason} Choose auto or cpu.")
