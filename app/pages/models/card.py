"""The card of a model as text for users."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from PySide6.QtCore import QCoreApplication

from ...project.models import ModelInfo
from ...translation.library_words import shown
from ..shared.backbone_names import backbone_title

_translate = QCoreApplication.translate

_NAMED_IMAGES = 3


def card_rows(model: ModelInfo) -> list[tuple[str, str]]:
    """Return (name, value) of the informative entries of a card."""
    card = model.card
    rows: list[tuple[str, str]] = []
    if card is not None:
        rows += [
            (_translate("Models", "Trained"), created_text(card.created)),
            (_translate("Models", "Training images"), _images([one.name for one in card.training_images])),
            (_translate("Models", "AP on them"), "" if card.ap_training is None else f"{card.ap_training:.2f}"),
            (_translate("Models", "Cell diameter"), _diameter(card.median_cell_diameter_px, card.pixel_size_um)),
            (_translate("Models", "Pixel size"), "" if card.pixel_size_um is None else f"{card.pixel_size_um:.4g} µm"),
            (_translate("Models", "Network"), backbone_title(card.backbone)),
            (_translate("Models", "Recipe"), card.recipe),
            (_translate("Models", "Network input"), f"{card.image_size} px"),
            (_translate("Models", "Notes"), shown(card.notes)),
            (_translate("Models", "Made with"), f"CellSeg1 {card.program_version}" if card.program_version else ""),
        ]
    rows.append((_translate("Models", "Size"), size_text(model.path)))
    rows.append((_translate("Models", "File"), str(model.path)))
    return [(name, value) for name, value in rows if value]


def _images(names: list[str]) -> str:
    if len(names) <= _NAMED_IMAGES:
        return ", ".join(names)
    return _translate("Models", "{names} and {n} more").format(
        names=", ".join(names[:_NAMED_IMAGES]), n=len(names) - _NAMED_IMAGES
    )


def _diameter(pixels: float | None, pixel_size: float | None) -> str:
    if pixels is None:
        return ""
    text = f"{pixels:.0f} px"
    return text if pixel_size is None else f"{text} ({pixels * pixel_size:.3g} µm)"


def created_text(created: str) -> str:
    """Format the creation time of a model in local time."""
    try:
        moment = datetime.fromisoformat(created)
    except ValueError:
        return created
    return (moment.astimezone() if moment.tzinfo is not None else moment).strftime("%Y-%m-%d %H:%M")


def size_text(path: Path) -> str:
    """Format the size of a file; empty when it is gone."""
    try:
        size = path.stat().st_size
    except OSError:
        return ""
    if size < 1_000_000:
        return f"{max(1, round(size / 1000)):,} kB"
    return f"{size / 1e6:,.1f} MB"
