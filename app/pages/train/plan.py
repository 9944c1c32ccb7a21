"""What a training will be on this computer: device, preset, time, name.  Knows no widgets."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QCoreApplication

from ...engine.planning import ImageSize, TrainingPlan, plan_training
from ...translation.library_words import shown

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_translate = QCoreApplication.translate

_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f]')
_LONGEST_NAME = 80


@dataclass(frozen=True, slots=True)
class Device:
    """Where a training runs, as far as the window can know.

    Attributes
    ----------
    name
        cpu, cuda:N or mps.
    label
        For people.
    free_gib
        Memory of the GPU, None without one.
    """

    name: str = "cpu"
    label: str = "CPU"
    free_gib: float | None = None


def may_have_gpu() -> bool:
    """Whether there are signs of a GPU; only then is it worth starting an engine to ask."""
    if sys.platform == "darwin":
        return True
    if sys.platform == "win32":
        return (Path(os.environ.get("SYSTEMROOT", r"C:\Windows")) / "System32" / "nvcuda.dll").exists()
    return any(Path(one).exists() for one in ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg"))


def device_of(wanted: str, report: Mapping[str, Any] | None) -> Device:
    """Return the device that `wanted` (auto, cpu, cuda:N) means, by the report of `cellseg1.doctor.examine`."""
    name = wanted
    if wanted == "auto":
        name = str(report.get("chosen_device", "cpu")) if report else "cpu"
    if name == "cpu":
        return Device()
    if name == "cuda":
        name = "cuda:0"
    for one in (report or {}).get("devices", ()):
        if one.get("name") in (name, name.partition(":")[0]):
            memory = one.get("memory_gib")
            return Device(name, str(one.get("label") or name), float(memory) if memory else None)
    return Device(name, name, None)


def training_plan(
    sizes: Sequence[ImageSize], *, backbone: str, recipe: str, overrides: Mapping[str, Any], device: Device
) -> TrainingPlan | None:
    """Estimate a training; None without images."""
    if not sizes:
        return None
    return plan_training(
        sizes,
        backbone=backbone,
        recipe=recipe,
        overrides=overrides,
        device=device.name,
        free_gib=device.free_gib,
    )


def plan_text(plan: TrainingPlan, device: Device) -> str:
    """Say how long it will take and with what."""
    text = _translate("Training", "{time} on this computer ({device}).").format(
        time=shown(plan.text), device=device.label
    )
    text = text[:1].upper() + text[1:]
    if not plan.measured:
        text += " " + _translate("Training", "A rough guess: the first training measures how fast it is.")
    return text


def plan_details(plan: TrainingPlan) -> str:
    """Say what the preset chose."""
    settings = plan.settings
    text = _translate("Training", "Preset {preset}: {epochs} epochs, {steps} steps of {batch} tiles.")
    return text.format(
        preset=plan.preset,
        epochs=f"{settings.training.epoch_max:,}",
        steps=f"{plan.steps:,}",
        batch=settings.training.batch_size,
    )


def free_name(project_name: str, taken: Iterable[str]) -> str:
    """Return the name offered for a new model: the project's name and the first free number."""
    known = {name.casefold() for name in taken}
    stem = _FORBIDDEN.sub("-", project_name).strip(" .") or "model"
    number = 1
    while f"{stem} {number}".casefold() in known:
        number += 1
    return f"{stem} {number}"


def fault_in_name(name: str, taken: Iterable[str]) -> str:
    """Return what is wrong with the name of a model; empty when nothing is."""
    from ...base.names import fault_in

    name = name.strip()
    if not name:
        return _translate("Training", "Give the model a name.")
    if fault_in(name) or name.startswith(".") or len(name) > _LONGEST_NAME:
        return _translate("Training", 'Use another name: without < > : " / \\ | ? *, and not too long.')
    if name.casefold() in {one.casefold() for one in taken}:
        return _translate("Training", "There is a model of this name already.")
    return ""


def ap_sentence(ap: float | None) -> str:
    """Say what the score on the training image means."""
    if ap is None:
        return _translate(
            "Training", "It was not measured on its training image. Predict other images to see how good it is."
        )
    text = _translate("Training", "AP {ap} on the training image: of all cells drawn or found there, {share} % agree.")
    text = text.format(ap=f"{ap:.2f}", share=round(ap * 100))
    if ap >= 0.7:
        return (
            text + " " + _translate("Training", "Good. It learned from this image; others show how good it really is.")
        )
    if ap >= 0.4:
        return text + " " + _translate("Training", "Fair. Look at other images; more cells of varied size help.")
    return (
        text
        + " "
        + _translate("Training", "Low. Look at the warnings about the cells, draw more of them, or train longer.")
    )
