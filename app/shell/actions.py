"""Every command, tool and key of the window, declared once.

Shortcuts, menus, tooltips, the column of tools and the F1 list are made from these tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication, QObject, Qt, Signal
from PySide6.QtGui import QAction, QKeySequence

from ..canvas.tools import TOOL_KEYS
from ..theme.icons import icon
from ..widgets.plain import plain_tip
from .attempt import guard

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QWidget

_CONTEXT = "Actions"
#: Names of actions that show a step begin with it.
_STEP = "step_"


@dataclass(frozen=True, slots=True)
class ActionSpec:
    """One command.

    Attributes
    ----------
    name
        How the program calls it.
    text, group
        What the user reads (English source text, translated when shown).
    keys
        Shortcuts in portable text; the first is the one that is shown.
    icon
        Name of its icon, empty for none.
    scope
        What must be there: "", "project", "image", "document".
    menu
        Part of the project menu in which it stands (see `app.shell.menu`), empty for none.
    """

    name: str
    text: str
    group: str
    keys: tuple[str, ...] = ()
    icon: str = ""
    scope: str = ""
    menu: str = ""


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """One tool of the canvas.

    Attributes
    ----------
    name
        How the canvas calls it.
    text, help
        Its name and what it does (English source text, translated when shown).
    key
        The key that chooses it.
    icon
        Name of its icon.
    gap
        Whether a new group begins with it.
    """

    name: str
    text: str
    help: str
    key: str
    icon: str
    gap: bool = False


# QT_TRANSLATE_NOOP marks texts for the translators and is typed as giving any object.
_Row = tuple[str, object, str, str, str]


def _part(menu: str, group: object, *rows: _Row) -> list[ActionSpec]:
    """Return the commands of a part of the menu (empty: those that are in none)."""
    return [
        ActionSpec(name, str(text), str(group), tuple(keys.split(" | ")) if keys else (), icon_name, scope, menu)
        for name, text, keys, icon_name, scope in rows
    ]


def _tool(name: str, text: object, help_text: object, icon_name: str = "", *, gap: bool = False) -> ToolSpec:
    """Return a tool; its key is the one to which the canvas answers."""
    return ToolSpec(name, str(text), str(help_text), TOOL_KEYS[name], icon_name or name, gap)


_PROJECT = QT_TRANSLATE_NOOP("Actions", "Project")
_EDIT = QT_TRANSLATE_NOOP("Actions", "Edit")
_VIEW = QT_TRANSLATE_NOOP("Actions", "View")
_STEPS = QT_TRANSLATE_NOOP("Actions", "Steps")
_HELP = QT_TRANSLATE_NOOP("Actions", "Help")
_TOOLS = QT_TRANSLATE_NOOP("Actions", "Tools")

#: In the order of menus and of the F1 list; of each: name, text, keys, icon, scope.
ACTIONS: tuple[ActionSpec, ...] = (
    *_part(
        "open",
        _PROJECT,
        ("new_project", QT_TRANSLATE_NOOP("Actions", "New project..."), "Ctrl+N", "new", ""),
        ("open_project", QT_TRANSLATE_NOOP("Actions", "Open project..."), "Ctrl+O", "open", ""),
        ("try_sample", QT_TRANSLATE_NOOP("Actions", "Try the sample"), "", "play", ""),
        ("import_project", QT_TRANSLATE_NOOP("Actions", "Import project file..."), "", "import", ""),
    ),
    *_part(
        "images",
        _PROJECT,
        ("add_images", QT_TRANSLATE_NOOP("Actions", "Add images..."), "Ctrl+I", "image", "project"),
        ("add_folder", QT_TRANSLATE_NOOP("Actions", "Add a folder..."), "Ctrl+Shift+I", "folder", "project"),
        ("relink", QT_TRANSLATE_NOOP("Actions", "Find missing images..."), "", "link", "project"),
        ("removed", QT_TRANSLATE_NOOP("Actions", "Removed images and models..."), "", "trash", "project"),
    ),
    *_part(
        "save",
        _PROJECT,
        ("save_now", QT_TRANSLATE_NOOP("Actions", "Save now"), "Ctrl+S", "save", "project"),
        ("export_masks", QT_TRANSLATE_NOOP("Actions", "Save all masks..."), "Ctrl+E", "export", "project"),
        ("export_picture", QT_TRANSLATE_NOOP("Actions", "Save picture..."), "Ctrl+Shift+E", "image", "image"),
    ),
    *_part(
        "",
        _PROJECT,
        ("save_elsewhere", QT_TRANSLATE_NOOP("Actions", "Save elsewhere..."), "", "save", "project"),
    ),
    *_part(
        "whole",
        _PROJECT,
        ("rename_project", QT_TRANSLATE_NOOP("Actions", "Rename project..."), "", "rename", "project"),
        ("duplicate_project", QT_TRANSLATE_NOOP("Actions", "Duplicate project..."), "", "duplicate", "project"),
        ("move_project", QT_TRANSLATE_NOOP("Actions", "Move project..."), "", "folder", "project"),
        ("export_project", QT_TRANSLATE_NOOP("Actions", "Export as one file..."), "", "export", "project"),
        ("trash_project", QT_TRANSLATE_NOOP("Actions", "Move project to trash"), "", "trash", "project"),
    ),
    *_part(
        "end",
        _PROJECT,
        ("close_project", QT_TRANSLATE_NOOP("Actions", "Close project"), "Ctrl+W", "close", "project"),
        ("quit", QT_TRANSLATE_NOOP("Actions", "Quit"), "Ctrl+Q", "close", ""),
    ),
    *_part(
        "",
        _EDIT,
        ("undo", QT_TRANSLATE_NOOP("Actions", "Undo"), "Ctrl+Z", "undo", "document"),
        ("redo", QT_TRANSLATE_NOOP("Actions", "Redo"), "Ctrl+Shift+Z | Ctrl+Y", "redo", "document"),
    ),
    *_part(
        "",
        _VIEW,
        ("fit", QT_TRANSLATE_NOOP("Actions", "Fit the image"), "0", "fit", "image"),
        ("actual_size", QT_TRANSLATE_NOOP("Actions", "100 %"), "1", "one-to-one", "image"),
        ("overlay", QT_TRANSLATE_NOOP("Actions", "Fill, outline or no masks"), "O", "overlay", "image"),
        ("next_unchecked", QT_TRANSLATE_NOOP("Actions", "Next unchecked image"), "N", "next", "project"),
        ("next_image", QT_TRANSLATE_NOOP("Actions", "Next image"), "PgDown", "next", "project"),
        ("previous_image", QT_TRANSLATE_NOOP("Actions", "Previous image"), "PgUp", "previous", "project"),
    ),
    *_part(
        "",
        _STEPS,
        ("step_annotate", QT_TRANSLATE_NOOP("Actions", "1 Annotate"), "Ctrl+1", "brush", "project"),
        ("step_train", QT_TRANSLATE_NOOP("Actions", "2 Train"), "Ctrl+2", "train", "project"),
        ("step_predict", QT_TRANSLATE_NOOP("Actions", "3 Predict"), "Ctrl+3", "predict", "project"),
        ("step_review", QT_TRANSLATE_NOOP("Actions", "4 Review"), "Ctrl+4", "review", "project"),
        ("step_measure", QT_TRANSLATE_NOOP("Actions", "5 Measure"), "Ctrl+5", "measure", "project"),
    ),
    *_part(
        "program",
        _HELP,
        ("models", QT_TRANSLATE_NOOP("Actions", "Models..."), "Ctrl+M", "model", ""),
        ("preferences", QT_TRANSLATE_NOOP("Actions", "Preferences..."), "Ctrl+,", "settings", ""),
    ),
    *_part(
        "help",
        _HELP,
        ("shortcuts", QT_TRANSLATE_NOOP("Actions", "Keyboard shortcuts"), "F1", "keyboard", ""),
        ("tour", QT_TRANSLATE_NOOP("Actions", "Five-step tour"), "", "tour", ""),
        ("computer", QT_TRANSLATE_NOOP("Actions", "Computer check..."), "", "computer", ""),
        ("log", QT_TRANSLATE_NOOP("Actions", "Log..."), "Ctrl+L", "log", ""),
        ("about", QT_TRANSLATE_NOOP("Actions", "About CellSeg1 Studio"), "", "info", ""),
    ),
)

#: In the order of their use.
TOOLS: tuple[ToolSpec, ...] = (
    _tool(
        "select",
        QT_TRANSLATE_NOOP("Actions", "Select and move"),
        QT_TRANSLATE_NOOP("Actions", "Select cells and move the image"),
        "pan",
    ),
    _tool(
        "brush",
        QT_TRANSLATE_NOOP("Actions", "Brush"),
        QT_TRANSLATE_NOOP("Actions", "Brush: paint a cell (Alt erases)"),
        gap=True,
    ),
    _tool("eraser", QT_TRANSLATE_NOOP("Actions", "Eraser"), QT_TRANSLATE_NOOP("Actions", "Eraser")),
    _tool("lasso", QT_TRANSLATE_NOOP("Actions", "Lasso"), QT_TRANSLATE_NOOP("Actions", "Lasso: draw round a cell")),
    _tool(
        "polygon", QT_TRANSLATE_NOOP("Actions", "Polygon"), QT_TRANSLATE_NOOP("Actions", "Polygon: click round a cell")
    ),
    _tool(
        "click",
        QT_TRANSLATE_NOOP("Actions", "Click to segment"),
        QT_TRANSLATE_NOOP("Actions", "Click to segment: click a cell, drag a box"),
    ),
    _tool(
        "split",
        QT_TRANSLATE_NOOP("Actions", "Split along a line"),
        QT_TRANSLATE_NOOP("Actions", "Split along a drawn line"),
        gap=True,
    ),
    _tool("merge", QT_TRANSLATE_NOOP("Actions", "Merge"), QT_TRANSLATE_NOOP("Actions", "Merge cells")),
    _tool(
        "delete",
        QT_TRANSLATE_NOOP("Actions", "Delete"),
        QT_TRANSLATE_NOOP("Actions", "Delete a cell, or all in a lasso"),
    ),
    _tool("fill", QT_TRANSLATE_NOOP("Actions", "Fill holes"), QT_TRANSLATE_NOOP("Actions", "Fill holes")),
    _tool(
        "clean",
        QT_TRANSLATE_NOOP("Actions", "Clean up"),
        QT_TRANSLATE_NOOP("Actions", "Clean up: smooth, drop islands"),
    ),
    _tool(
        "region",
        QT_TRANSLATE_NOOP("Actions", "Region"),
        QT_TRANSLATE_NOOP("Actions", "Region: only this part is annotated"),
        gap=True,
    ),
)

#: Keys that canvas and list handle themselves; listed on F1 only.
OTHER_KEYS: tuple[tuple[str, object], ...] = (
    ("[ and ]", QT_TRANSLATE_NOOP("Actions", "Smaller or larger brush (also Shift+wheel)")),
    ("H", QT_TRANSLATE_NOOP("Actions", "Hide the masks while held")),
    ("Space", QT_TRANSLATE_NOOP("Actions", "Move the image while held")),
    ("Arrow keys", QT_TRANSLATE_NOOP("Actions", "Move the tool by a pixel; Shift: ten pixels; Ctrl: move the image")),
    ("P", QT_TRANSLATE_NOOP("Actions", "Set the tool down, and lift it again: drawing without a mouse")),
    ("Wheel", QT_TRANSLATE_NOOP("Actions", "Zoom at the pointer; Ctrl+wheel changes the plane")),
    ("+ and -", QT_TRANSLATE_NOOP("Actions", "Zoom")),
    ("Delete", QT_TRANSLATE_NOOP("Actions", "Delete the selected cells, or the chosen images of the list")),
    ("Ctrl+F", QT_TRANSLATE_NOOP("Actions", "Find an image in the list")),
    ("Tab", QT_TRANSLATE_NOOP("Actions", "Next cell or proposal")),
    ("Enter", QT_TRANSLATE_NOOP("Actions", "Accept")),
    ("Esc", QT_TRANSLATE_NOOP("Actions", "Discard the unfinished stroke")),
    ("Ctrl+Return", QT_TRANSLATE_NOOP("Actions", "The panel's main button")),
)


def translated(text: object) -> str:
    """Return a text of the tables in the user's language."""
    return QCoreApplication.translate(_CONTEXT, str(text))


class Actions(QObject):
    """The window's QActions by name: those of the table, and one with its key for each tool.

    What belongs to an action is done by who is given to `connect_all`; steps and tools are only told of.
    """

    step_chosen = Signal(str)
    tool_chosen = Signal(str)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._window = window
        self._all: dict[str, QAction] = {}
        for spec in ACTIONS:
            action = self._action(spec.name, spec.text, spec.icon, spec.keys)
            if spec.keys:
                action.setToolTip(plain_tip(f"{translated(spec.text).removesuffix('...')} ({spec.keys[0]})"))
            step = spec.name.removeprefix(_STEP)
            if step != spec.name:
                action.triggered.connect(lambda _checked=False, step=step: self.step_chosen.emit(step))
        for tool in TOOLS:
            action = self._action(f"tool_{tool.name}", tool.text, tool.icon, (tool.key,))
            action.triggered.connect(lambda _checked=False, name=tool.name: self.tool_chosen.emit(name))

    def _action(self, name: str, text: str, icon_name: str, keys: tuple[str, ...]) -> QAction:
        action = QAction(translated(text), self._window)
        action.setObjectName(name)
        if icon_name:
            action.setIcon(icon(icon_name))
        action.setShortcuts([QKeySequence(key) for key in keys])
        action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
        self._window.addAction(action)
        self._all[name] = action
        return action

    def __getitem__(self, name: str) -> QAction:
        """Return the action `name`."""
        return self._all[name]

    def connect_all(self, *owners: object) -> None:
        """Connect each action to ``do_NAME`` of the first owner that has it; none is an error of the program.

        What was to be expected, such as a full disk, is told in a dialog.
        """
        for spec in ACTIONS:
            if spec.name.startswith(_STEP):
                continue
            owner = next(one for one in owners if hasattr(one, f"do_{spec.name}"))
            method: Callable[[], None] = getattr(owner, f"do_{spec.name}")
            self._all[spec.name].triggered.connect(lambda _checked=False, call=method: guard(self._window, call))

    def enable(self, there: set[str]) -> None:
        """Enable the actions whose scope is in `there`."""
        for spec in ACTIONS:
            self._all[spec.name].setEnabled(not spec.scope or spec.scope in there)


def shortcut_table() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (group, [(keys, text)]) for the F1 list."""
    keys = [*((tool.key, tool.help) for tool in TOOLS), *OTHER_KEYS]
    groups: dict[str, list[tuple[str, str]]] = {translated(_TOOLS): [(key, translated(text)) for key, text in keys]}
    for spec in ACTIONS:
        if spec.keys:
            text = translated(spec.text).removesuffix("...")
            groups.setdefault(translated(spec.group), []).append((" / ".join(spec.keys), text))
    return list(groups.items())
