"""What this computer can do, and why something is not used."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from typing import Any

from cellseg1._version import __version__
from cellseg1.sam.registry import data_dir
from cellseg1.sam.store import list_backbones


def examine() -> dict[str, Any]:
    """Return plain values: program, computer, memory, disk, devices (each tried with a real kernel), backbones."""
    import psutil
    import torch

    from cellseg1.sam.device import choose_device, device_report
    from cellseg1.sam.precision import autocast_dtype

    memory = psutil.virtual_memory()
    folder = data_dir()
    existing = next(parent for parent in (folder, *folder.parents) if parent.exists())
    chosen = choose_device("auto")
    low = autocast_dtype(chosen)
    devices = [
        {
            "name": device.name,
            "label": device.label,
            "memory_gib": None if device.memory_bytes is None else round(device.memory_bytes / 2**30, 1),
            "usable": device.usable,
            "reason": device.reason,
        }
        for device in device_report()
    ]
    return {
        "program": __version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "torch": torch.__version__,
        "cuda_build": torch.version.cuda,
        "why_no_gpu": _why_no_gpu(devices),
        "chosen_device": str(chosen),
        "precision": "float32" if low is None else str(low).removeprefix("torch."),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(memory.total / 2**30, 1),
        "memory_free_gib": round(memory.available / 2**30, 1),
        "data_folder": str(folder),
        "disk_free_gib": round(shutil.disk_usage(existing).free / 2**30, 1),
        "devices": devices,
        "backbones": [
            {
                "name": status.name,
                "installed": status.installed,
                "usable": status.usable,
                "path": None if status.path is None else str(status.path),
                "problem": status.problem,
            }
            for status in list_backbones()
        ],
        "executable": sys.executable,
    }


def _why_no_gpu(devices: list[dict[str, Any]]) -> str:
    """One sentence, empty when a GPU is usable."""
    import torch

    gpus = [device for device in devices if device["name"] != "cpu"]
    if any(device["usable"] for device in gpus):
        return ""
    if gpus:
        return f"{gpus[0]['label']}: {gpus[0]['reason']}"
    if torch.version.cuda is None and torch.version.hip is None:
        return "This installation of torch was built without GPU support."
    return "No NVIDIA driver answers: there is no NVIDIA GPU in this computer, or its driver is not installed."


def describe(report: dict[str, Any]) -> str:
    """Write the report as text for a terminal."""
    lines = [
        f"CellSeg1 {report['program']}, Python {report['python']}, torch {report['torch']}, {report['system']}",
        f"Computes on: {report['chosen_device']} ({report['precision']}, {report['threads']} threads)",
    ]
    if report["why_no_gpu"]:
        lines.append(f"Why not a GPU: {report['why_no_gpu']}")
    lines += [
        f"Memory: {report['memory_free_gib']} of {report['memory_gib']} GiB free; cores: {report['cores']}",
        f"Data folder: {report['data_folder']} ({report['disk_free_gib']} GiB free)",
        "Devices:",
    ]
    for device in report["devices"]:
        memory = "" if device["memory_gib"] is None else f", {device['memory_gib']} GiB"
        state = "usable" if device["usable"] else f"not used: {device['reason']}"
        lines.append(f"  {device['name']:<8} {device['label']}{memory}: {state}")
    lines.append("Backbones:")
    for backbone in report["backbones"]:
        state = str(backbone["path"]) if backbone["usable"] else backbone["problem"] or "not installed"
        lines.append(f"  {backbone['name']:<8} {state}")
    return "\n".join(lines)
