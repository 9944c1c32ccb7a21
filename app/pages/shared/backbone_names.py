"""Displayed names and descriptions of backbones."""

from __future__ import annotations

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

from cellseg1.sam.registry import BACKBONES

#: Displayed names and descriptions for translation; a backbone of another package is shown with its own texts.
WORDS = (
    QT_TRANSLATE_NOOP("Backbones", "tiny (comes with the program)"),
    QT_TRANSLATE_NOOP("Backbones", "SAM ViT-B"),
    QT_TRANSLATE_NOOP("Backbones", "SAM ViT-L"),
    QT_TRANSLATE_NOOP("Backbones", "SAM ViT-H"),
    QT_TRANSLATE_NOOP("Backbones", "Small and fast; works on every computer."),
    QT_TRANSLATE_NOOP("Backbones", "More accurate than tiny; slow without a graphics card."),
    QT_TRANSLATE_NOOP("Backbones", "Needs a graphics card."),
    QT_TRANSLATE_NOOP("Backbones", "The network of the paper; needs a graphics card."),
)


def backbone_title(name: str) -> str:
    """Return the displayed name of a backbone."""
    kind = BACKBONES.get(name)
    return name if kind is None else QCoreApplication.translate("Backbones", kind.title)


def about(name: str) -> str:
    """Return the description of a backbone."""
    kind = BACKBONES.get(name)
    return "" if kind is None or not kind.about else QCoreApplication.translate("Backbones", kind.about)
