"""The card of a model: everything needed to use it and to know where it comes from.  Imports no torch."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cellseg1._version import __version__
from cellseg1.errors import ModelFileError, SettingsError
from cellseg1.lora.config import LoraConfig
from cellseg1.text import safe_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Version of the card and of the file around it.
SCHEMA = 2


def _with_input(values: dict[str, Any]) -> dict[str, Any]:
    """Convert schema 1, which stored how grey values are scaled but no channels."""
    rule = values.get("input_rule")
    kept = {key: value for key, value in values.items() if key != "input_rule"}
    return {**kept, "input": {"intensity": rule}} if rule else kept


#: Old schema version -> function that brings a card's values to the next one.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {1: _with_input}


@dataclass(frozen=True, slots=True)
class TrainingImage:
    """One image the model was trained on.

    Attributes
    ----------
    sha256, mask_sha256
        Hashes of the image and of its label image, as 64 hexadecimal digits; empty when unknown.
    regions
        Annotated regions as (x, y, width, height) in pixels; empty = the whole image.
    """

    name: str
    sha256: str = ""
    mask_sha256: str = ""
    regions: tuple[tuple[int, int, int, int], ...] = ()

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingImage:
        """Make it from plain values; unknown keys are ignored."""
        regions = []
        for region in values.get("regions", ()):
            x, y, width, height = (int(number) for number in region)
            regions.append((x, y, width, height))
        return cls(
            str(values["name"]), str(values.get("sha256", "")), str(values.get("mask_sha256", "")), tuple(regions)
        )


@dataclass(frozen=True, slots=True)
class Card:
    """The card of a model file: what it was made from and how.

    Attributes
    ----------
    recipe
        paper or studio.
    backbone, backbone_sha256
        Which backbone the adapter belongs to.
    lora
        `LoraConfig` of the adapter.
    image_size
        Side of the square model input in pixels.
    input
        `cellseg1.images.InputSpecification`: how an image becomes model input (channels, grey values), as plain values.
    pixel_size_um
        Micrometres per pixel of the training images; None when unknown.
    median_cell_diameter_px
        Of the training cells, in pixels of the training images; None when unknown.
    scale
        Model-input pixels per training-image pixel; None when unknown.
    ap_training
        AP@0.5 on the training image; None when not measured.
    created
        ISO 8601 time in UTC.
    extra
        Keys written by a newer version, kept as they are.
    """

    recipe: str = "studio"
    backbone: str = ""
    backbone_sha256: str = ""
    lora: LoraConfig = field(default_factory=LoraConfig)
    image_size: int = 512
    input: dict[str, Any] = field(default_factory=dict)
    pixel_size_um: float | None = None
    median_cell_diameter_px: float | None = None
    scale: float | None = None
    training_images: tuple[TrainingImage, ...] = ()
    ap_training: float | None = None
    program_version: str = __version__
    created: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))
    settings: dict[str, Any] = field(default_factory=dict)
    notes: str = ""
    extra: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the card as plain values that JSON can hold (NaN becomes None)."""
        values = {item.name: getattr(self, item.name) for item in dataclasses.fields(self) if item.name != "extra"}
        values["lora"] = self.lora.to_dict()
        values["training_images"] = [dataclasses.asdict(image) for image in self.training_images]
        plain: dict[str, Any] = _plain({**self.extra, **values})
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], schema: int = SCHEMA) -> Card:
        """Make a card from plain values, of this or an older schema.

        Raises
        ------
        ModelFileError
            When the schema is newer, or a value cannot be what it should be.
        """
        content = migrate(dict(values), schema)
        names = {item.name for item in dataclasses.fields(cls)} - {"extra"}
        known = {key: value for key, value in content.items() if key in names}
        try:
            known["lora"] = LoraConfig.from_dict(known.get("lora", {}))
            known["training_images"] = tuple(TrainingImage.from_dict(one) for one in known.get("training_images", ()))
            for key in ("pixel_size_um", "median_cell_diameter_px", "scale", "ap_training"):
                if known.get(key) is not None:
                    known[key] = _within(key, float(known[key]))
            for key in ("recipe", "backbone", "backbone_sha256", "program_version", "created", "notes"):
                if key in known:
                    known[key] = str(known[key])
            for key in ("input", "settings"):
                known[key] = dict(known.get(key) or {})
            known["image_size"] = int(_within("image_size", int(known.get("image_size", 512))))
        except (
            TypeError,
            ValueError,
            KeyError,
            AttributeError,
            OverflowError,
            RecursionError,
            SettingsError,
        ) as error:
            raise ModelFileError(f"The model's card is damaged ({error}).") from error
        return cls(**known, extra={key: value for key, value in content.items() if key not in names})


def migrate(values: dict[str, Any], schema: int) -> dict[str, Any]:
    """Bring a card's values to the present schema.

    Raises
    ------
    ModelFileError
        When the file is newer than this program, or so old that nothing is known about it.
    """
    if schema > SCHEMA:
        raise ModelFileError(
            f"The model was written by a newer CellSeg1 (file version {schema}, known here: {SCHEMA}); update CellSeg1."
        )
    for version in range(schema, SCHEMA):
        if version not in MIGRATIONS:
            raise ModelFileError(f"The model has the unknown file version {schema}.")
        values = MIGRATIONS[version](values)
    return values


#: Plausible ranges of the numbers of a card; a file with others is damaged or malicious.
_LIMITS = {
    "pixel_size_um": (1e-6, 1e6),
    "median_cell_diameter_px": (0.0, 1e6),
    "scale": (1e-3, 1e3),
    "ap_training": (0.0, 1.0),
    "image_size": (16, 8192),
}


def _within(key: str, number: float) -> float:
    low, high = _LIMITS[key]
    if not low <= number <= high:  # also false for NaN
        raise ValueError(f"{key} cannot be {number}")
    return number


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        return safe_text(value)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {safe_text(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
