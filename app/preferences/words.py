"""What the preferences are called, by the names of their fields."""

from __future__ import annotations

from dataclasses import dataclass

from PySide6.QtCore import QCoreApplication


@dataclass(frozen=True, slots=True)
class Words:
    """Group, label, a sentence of help and the unit of one preference."""

    group: str
    label: str
    help: str = ""
    unit: str = ""


def words() -> dict[str, Words]:
    """Return the words of every known preference, group by group in the order of the dialog."""
    translate = QCoreApplication.translate
    look = translate("PreferencesDialog", "Look")
    drawing = translate("PreferencesDialog", "Drawing")
    folders = translate("PreferencesDialog", "Folders")
    computing = translate("PreferencesDialog", "Computing")
    return {
        "theme": Words(look, translate("PreferencesDialog", "Theme")),
        "brush_size": Words(drawing, translate("PreferencesDialog", "Brush size"), unit="px"),
        "overlay_mode": Words(drawing, translate("PreferencesDialog", "Show masks as")),
        "overlay_opacity": Words(drawing, translate("PreferencesDialog", "Opacity of the masks"), unit="%"),
        "outline_width": Words(drawing, translate("PreferencesDialog", "Width of outlines"), unit="px"),
        "protect_cells": Words(
            drawing,
            translate("PreferencesDialog", "Protect other cells"),
            translate("PreferencesDialog", "Brush and lasso never paint over a cell that is already there."),
        ),
        "project_folder": Words(
            folders,
            translate("PreferencesDialog", "New projects"),
            translate("PreferencesDialog", "Where new projects are made."),
        ),
        "library_folder": Words(
            folders,
            translate("PreferencesDialog", "Model library"),
            translate("PreferencesDialog", "Models that all projects can use."),
        ),
        "device": Words(
            computing,
            translate("PreferencesDialog", "Compute on"),
            translate("PreferencesDialog", "The computer check says what there is, and why something cannot be used."),
        ),
        "closing_during_job": Words(computing, translate("PreferencesDialog", "Leaving while a job runs")),
    }


def options() -> dict[tuple[str, str], str]:
    """Return the words of the values that a preference can be chosen from, by (preference, value)."""
    translate = QCoreApplication.translate
    return {
        ("theme", "system"): translate("PreferencesDialog", "Like the system"),
        ("theme", "light"): translate("PreferencesDialog", "Light"),
        ("theme", "dark"): translate("PreferencesDialog", "Dark"),
        ("overlay_mode", "fill"): translate("PreferencesDialog", "Filled"),
        ("overlay_mode", "outline"): translate("PreferencesDialog", "Outlines"),
        ("overlay_mode", "none"): translate("PreferencesDialog", "Not at all"),
        ("closing_during_job", "ask"): translate("PreferencesDialog", "Ask each time"),
        ("closing_during_job", "background"): translate("PreferencesDialog", "Keep running in the background"),
        ("closing_during_job", "stop"): translate("PreferencesDialog", "Stop and resume later"),
    }
