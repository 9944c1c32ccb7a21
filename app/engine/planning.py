"""How long a training will take on this computer, and which memory preset fits it.

Estimates use the speed of earlier runs, which engines store in the user's configuration folder; before the first run,
the number of cores and a rough figure.  Imports neither Qt nor torch.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cellseg1.errors import OutputError
from cellseg1.files import write_bytes
from cellseg1.images import make_tiles
from cellseg1.sam.registry import get_kind
from cellseg1.settings import Settings, make_settings, memory_preset

from ..base.places import config_folder

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

SCHEMA = 1
#: Trainings of fewer steps say nothing about the speed.
LEAST_STEPS = 4
#: Weight of a new measurement against what is known.
_NEW = 0.5
#: A GPU against one core, by the same measure.
_ROUGH_GPU = 60.0
#: Programs do not get faster in proportion to the cores.
_CORES_POWER = 0.8


@dataclass(frozen=True, slots=True)
class ImageSize:
    """What an estimate needs to know of an image: its size, and the median diameter of its cells (None: unknown)."""

    height: int
    width: int
    diameter: float | None = None


@dataclass(frozen=True, slots=True)
class TrainingPlan:
    """What a training will be.

    Attributes
    ----------
    settings
        With the preset of this computer and the overrides.
    preset
        Name of the memory preset, as in "8 GB" or "CPU".
    steps
        Batches in all.
    seconds
        Expected time.
    measured
        Whether the time comes from a former run on this computer.
    """

    settings: Settings
    preset: str
    steps: int
    seconds: float
    measured: bool

    @property
    def text(self) -> str:
        """The time in words: "about 4 minutes"."""
        return duration_text(self.seconds)


def plan_training(
    images: Sequence[ImageSize],
    *,
    backbone: str = "tiny",
    recipe: str = "studio",
    overrides: Mapping[str, Any] | None = None,
    device: str = "cpu",
    free_gib: float | None = None,
) -> TrainingPlan:
    """Estimate a training.

    Parameters
    ----------
    images
        Of the training images; their cells' diameter decides the scale where the settings ask for one.
    device
        cpu, cuda:N or mps; the kind decides which measurements count.
    free_gib
        Free memory of the GPU, None without one.

    Raises
    ------
    SettingsError
        When the overrides are wrong.
    """
    name, preset = memory_preset(free_gib, backbone)
    settings = make_settings(recipe, backbone, overrides, preset)
    samples = samples_per_epoch(images, settings)
    steps = math.ceil(samples / settings.training.batch_size) * settings.training.epoch_max
    each, measured = training_speed(backbone, device, settings.data.sam_image_size)
    return TrainingPlan(settings, name, steps, each * samples * settings.training.epoch_max, measured)


def samples_per_epoch(images: Sequence[ImageSize], settings: Settings) -> int:
    """Count what one epoch trains on, by the rules of `cellseg1.training.samples.SampleSource`."""
    scale = _training_scale(images, settings)
    tiles = 0
    for image in images:
        shape = max(1, round(image.height * scale)), max(1, round(image.width * scale))
        if settings.data.resize_size is not None:
            shape = settings.data.resize_size
        size = settings.data.patch_size
        if size is None:
            tiles += 1
            continue
        if min(shape) < size:
            if settings.switches.tile_starts == "upstream":
                factor = size / min(shape)
                shape = max(size, round(shape[0] * factor)), max(size, round(shape[1] * factor))
            else:
                shape = max(size, shape[0]), max(size, shape[1])
        tiles += len(make_tiles(shape, size, "upstream" if settings.switches.tile_starts == "upstream" else "even"))
    wanted = settings.data.duplicate_data
    if settings.switches.duplicate_rule == "upstream":
        every = tiles * (wanted // tiles + 1 if 0 < tiles < wanted else 1)
    else:
        every = max(wanted, tiles)
    return every if settings.data.epoch_tiles is None else min(every, settings.data.epoch_tiles)


def _training_scale(images: Sequence[ImageSize], settings: Settings) -> float:
    known = sorted(image.diameter for image in images if image.diameter)
    if settings.data.target_diameter is None or not known:
        return 1.0
    middle = (known[(len(known) - 1) // 2] + known[len(known) // 2]) / 2
    return min(10.0, max(0.1, settings.data.target_diameter / middle))


# ---- what is known of this computer


def calibration_file() -> Path:
    """Return where measured speeds are kept."""
    return config_folder() / "speed.json"


def training_speed(backbone: str, device: str, image_size: int) -> tuple[float, bool]:
    """Return seconds per training sample, and whether they were measured here."""
    area = (image_size / 256) ** 2
    known = _read().get(_key(backbone, device))
    if known is not None:
        return known * area, True
    return get_kind(backbone).seconds_per_tile * area / _rough_factor(device), False


def remember_training(backbone: str, device: str, image_size: int, seconds_per_sample: float) -> None:
    """Note how long a training sample took."""
    _remember(_key(backbone, device), seconds_per_sample / (image_size / 256) ** 2)


def _key(backbone: str, device: str) -> str:
    return f"train {backbone} {device.partition(':')[0]}"


def _rough_factor(device: str) -> float:
    if device.partition(":")[0] != "cpu":
        return _ROUGH_GPU
    # Two threads of one core share its arithmetic.
    cores = max(1, (os.cpu_count() or 2) // 2) if (os.cpu_count() or 1) > 2 else os.cpu_count() or 1
    return float(cores**_CORES_POWER)


def _read() -> dict[str, float]:
    try:
        content = json.loads(calibration_file().read_text(encoding="utf-8"))
        values = content["seconds"]
        return {str(key): float(value) for key, value in values.items() if math.isfinite(value) and value > 0}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _remember(key: str, value: float) -> None:
    """Mix a measurement into what is known; a note that cannot be written is not an error."""
    if not math.isfinite(value) or value <= 0:
        return
    known = _read()
    known[key] = value if key not in known else known[key] ** (1 - _NEW) * value**_NEW
    with contextlib.suppress(OutputError):
        write_bytes(calibration_file(), json.dumps({"schema": SCHEMA, "seconds": known}, indent=1).encode())


def duration_text(seconds: float) -> str:
    """Say a time as people do: "about 4 minutes"."""
    if seconds < 10:
        return "a few seconds"
    if seconds < 55:
        return f"about {round(seconds / 10) * 10} seconds"
    minutes = seconds / 60
    if minutes < 1.5:
        return "about a minute"
    if minutes < 9.5:
        return f"about {round(minutes)} minutes"
    if minutes < 52.5:
        return f"about {round(minutes / 5) * 5} minutes"
    hours = minutes / 60
    if hours < 1.25:
        return "about an hour"
    if hours < 9.75:
        return f"about {round(hours * 2) / 2:g} hours"
    return f"about {round(hours)} hours"
