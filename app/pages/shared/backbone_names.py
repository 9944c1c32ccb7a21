"""What backbones are called, and what is said of them."""

from __future__ import annotations

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

from cellseg1.sam.registry import BACKBONES

#: What backbones are called and what is said of them, for the translators; a backbone of another package is shown as
#: that package calls it.
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
    """Return what a backbone is called in lists."""
    kind = BACKBONES.get(name)
    return name if kind is None else QCoreApplication.translate("Backbones", kind.title)


def about(name: str) -> str:
    """Return a sentence about a backbone."""
    kind = BACKBONES.get(name)
    return "" if kind is None or not kind.about else QCoreApplication.translate("Backbones", kind.about)
