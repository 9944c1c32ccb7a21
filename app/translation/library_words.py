"""Sentences of the library and names of steps in the user's language.

The library, the engines and the journals know only English: what they say is the same on every computer and can be
searched for.  Where the window shows it, it is recognised here and translated.  A sentence that is not in the table is
shown as it is.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication

from cellseg1.remarks import Remark

if TYPE_CHECKING:
    from collections.abc import Iterable

_CONTEXT = "Library"

#: What is in braces is taken over as it is.
_SENTENCES: tuple[object, ...] = (
    # Steps of a drawing's history.
    QT_TRANSLATE_NOOP("Library", "New cell"),
    QT_TRANSLATE_NOOP("Library", "Paint cell"),
    QT_TRANSLATE_NOOP("Library", "Add to cell"),
    QT_TRANSLATE_NOOP("Library", "Erase"),
    QT_TRANSLATE_NOOP("Library", "Split cell"),
    QT_TRANSLATE_NOOP("Library", "Fill holes"),
    QT_TRANSLATE_NOOP("Library", "Clean up"),
    QT_TRANSLATE_NOOP("Library", "Delete 1 cell"),
    QT_TRANSLATE_NOOP("Library", "Delete {n} cells"),
    QT_TRANSLATE_NOOP("Library", "Merge {n} cells"),
    QT_TRANSLATE_NOOP("Library", "Accept 1 cell"),
    QT_TRANSLATE_NOOP("Library", "Accept {n} cells"),
    QT_TRANSLATE_NOOP("Library", "Import 1 cell"),
    QT_TRANSLATE_NOOP("Library", "Import {n} cells"),
    QT_TRANSLATE_NOOP("Library", "Reject {n} proposals"),
    QT_TRANSLATE_NOOP("Library", "Use for training"),
    QT_TRANSLATE_NOOP("Library", "Do not use for training"),
    QT_TRANSLATE_NOOP("Library", "Mark as checked"),
    QT_TRANSLATE_NOOP("Library", "Mark as not checked"),
    QT_TRANSLATE_NOOP("Library", "Set region"),
    QT_TRANSLATE_NOOP("Library", "Remove region"),
    # Warnings about masks (cellseg1.masks.check).
    QT_TRANSLATE_NOOP("Library", "No cell is annotated: there is nothing to learn from."),
    QT_TRANSLATE_NOOP("Library", "Only 1 cell is annotated; {few} or more give a much better model."),
    QT_TRANSLATE_NOOP("Library", "Only {n} cells are annotated; {few} or more give a much better model."),
    QT_TRANSLATE_NOOP(
        "Library", "Cell {cell} covers {share} of the annotated area; is the background painted as a cell?"
    ),
    QT_TRANSLATE_NOOP("Library", "Cell {cell} is smaller than {n} pixels; such specks are often slips of the brush."),
    QT_TRANSLATE_NOOP(
        "Library",
        "Cells {cells} and {more} more are smaller than {n} pixels; such specks are often slips of the brush.",
    ),
    QT_TRANSLATE_NOOP(
        "Library", "Cells {cells} are smaller than {n} pixels; such specks are often slips of the brush."
    ),
    QT_TRANSLATE_NOOP("Library", "All cells have the same area; are these stamped shapes and not outlines of cells?"),
    QT_TRANSLATE_NOOP(
        "Library", "Cell {cell} is in several separate pieces; two cells may share one id, or the brush slipped."
    ),
    QT_TRANSLATE_NOOP(
        "Library",
        "Cells {cells} and {more} more are in several separate pieces; two cells may share one id, or the brush "
        "slipped.",
    ),
    QT_TRANSLATE_NOOP(
        "Library", "Cells {cells} are in several separate pieces; two cells may share one id, or the brush slipped."
    ),
    QT_TRANSLATE_NOOP(
        "Library",
        "A part of {side} x {side} pixels ({share} of the area) has no annotated cell while the rest is dense; if "
        "there are cells, annotate them or mark the region that is complete.",
    ),
    # Matching masks with images, and what a mask file was taken for.
    QT_TRANSLATE_NOOP(
        "Library",
        "These files have the same name, so it is not clear which mask is meant: {names}. Rename or remove some.",
    ),
    QT_TRANSLATE_NOOP("Library", "No mask was found for {names}."),
    QT_TRANSLATE_NOOP("Library", "No image was found for the mask {names}."),
    QT_TRANSLATE_NOOP("Library", "The mask {name} holds no cells."),
    QT_TRANSLATE_NOOP("Library", "{name} has fewer planes than its image; the others are without cells."),
    QT_TRANSLATE_NOOP("Library", "The mask {name} names a plane that its image does not have."),
    QT_TRANSLATE_NOOP("Library", "It is in the project already."),
    QT_TRANSLATE_NOOP("Library", "There are no images in this folder."),
    QT_TRANSLATE_NOOP("Library", "There is no such file."),
    QT_TRANSLATE_NOOP("Library", "It is not an image of a known kind."),
    # What an engine is doing.
    QT_TRANSLATE_NOOP("Library", "Loading libraries"),
    QT_TRANSLATE_NOOP("Library", "Reading the images"),
    QT_TRANSLATE_NOOP("Library", "Epoch {n} of {all}"),
    QT_TRANSLATE_NOOP("Library", "Measuring the model on its training image"),
    QT_TRANSLATE_NOOP("Library", "Loading the model"),
    QT_TRANSLATE_NOOP("Library", "{name} ({n} of {all})"),
    # The networks (cellseg1.sam.registry).
    QT_TRANSLATE_NOOP("Library", "SAM ViT-B: the smallest official SAM (0.4 GB), for computers with little memory."),
    QT_TRANSLATE_NOOP("Library", "SAM ViT-L: the middle official SAM (1.2 GB)."),
    QT_TRANSLATE_NOOP("Library", "SAM ViT-H: the largest official SAM (2.6 GB), most accurate, needs a GPU."),
    # How long something takes.
    QT_TRANSLATE_NOOP("Library", "a few seconds"),
    QT_TRANSLATE_NOOP("Library", "about {n} seconds"),
    QT_TRANSLATE_NOOP("Library", "about a minute"),
    QT_TRANSLATE_NOOP("Library", "about {n} minutes"),
    QT_TRANSLATE_NOOP("Library", "about an hour"),
    QT_TRANSLATE_NOOP("Library", "about {n} hours"),
)
#: What a sentence advises on the command line, and what does the same in the window.
_OPTIONS: tuple[tuple[str, object], ...] = (
    (
        "Choose others (--channels).",
        QT_TRANSLATE_NOOP("Library", "Choose a model that was trained on its channels, or train one in step 2."),
    ),
    ("Choose others (--channels)", QT_TRANSLATE_NOOP("Library", "Tick others in step 2")),
    (
        "choose up to three channels (--channels)",
        QT_TRANSLATE_NOOP("Library", "tick up to three channels in step 2"),
    ),
    ("use --device cpu", QT_TRANSLATE_NOOP("Library", "compute on the CPU (Preferences)")),
)
_PLACE = re.compile(r"\{(\w+)\}")


def shown(sentence: str) -> str:
    """Return a sentence of the library, or the name of a step, in the user's language."""
    if isinstance(sentence, Remark):
        return QCoreApplication.translate(_CONTEXT, sentence.template).format(**sentence.values)
    for pattern, template in _patterns():
        match = pattern.fullmatch(sentence)
        if match is not None:
            return QCoreApplication.translate(_CONTEXT, template).format(**match.groupdict())
    for option, instead in _OPTIONS:
        sentence = sentence.replace(option, QCoreApplication.translate(_CONTEXT, str(instead)))
    return sentence


def all_shown(sentences: Iterable[str]) -> tuple[str, ...]:
    """Return sentences in the user's language."""
    return tuple(shown(one) for one in sentences)


def is_known(sentence: str) -> bool:
    """Whether a sentence is in the table."""
    return any(pattern.fullmatch(sentence) for pattern, _template in _patterns())


@cache
def _patterns() -> tuple[tuple[re.Pattern[str], str], ...]:
    return tuple((_pattern(str(one)), str(one)) for one in _SENTENCES)


def _pattern(template: str) -> re.Pattern[str]:
    parts, seen = [], set()
    end = 0
    for place in _PLACE.finditer(template):
        parts.append(re.escape(template[end : place.start()]))
        name = place[1]
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>.+)")
        seen.add(name)
        end = place.end()
    return re.compile("".join(parts) + re.escape(template[end:]), re.DOTALL)


def setting_help(sentence: str) -> str:
    """Return the help of a setting (`cellseg1.settings`) in the user's language."""
    return QCoreApplication.translate("SettingHelp", sentence)
