"""Every command of the window, declared once; menus, tooltips and the F1 list are made from this table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import QT_TRANSLATE_NOOP, QCoreApplication, QObject, Qt
from PySide6.QtGui import QAction, QKeySequence

from app.theme.icons import icon
from app.widgets.plain import plain_tip

if TYPE_CHECKING:
    from collections.abc import Callable

    from PySide6.QtWidgets import QWidget

_CONTEXT = "Actions"


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
    needs
        What must be there: "", "project", "image", "document".
    """

    name: str
    text: str
    group: str
    keys: tuple[str, ...] = ()
    icon: str = ""
    needs: str = ""


def _spec(name: str, text: object, group: object, keys: str = "", icon_name: str = "", needs: str = "") -> ActionSpec:
    # QT_TRANSLATE_NOOP marks texts for the translators and is typed as giving any object.
    return ActionSpec(name, str(text), str(group), tuple(keys.split(" | ")) if keys else (), icon_name, needs)


_PROJECT = QT_TRANSLATE_NOOP("Actions", "Project")
_EDIT = QT_TRANSLATE_NOOP("Actions", "Edit")
_VIEW = QT_TRANSLATE_NOOP("Actions", "View")
_STEPS = QT_TRANSLATE_NOOP("Actions", "Steps")
_HELP = QT_TRANSLATE_NOOP("Actions", "Help")
_TOOLS = QT_TRANSLATE_NOOP("Actions", "Tools")

ACTIONS: tuple[ActionSpec, ...] = (
    _spec("new_project", QT_TRANSLATE_NOOP("Actions", "New project..."), _PROJECT, "Ctrl+N", "new"),
    _spec("open_project", QT_TRANSLATE_NOOP("Actions", "Open project..."), _PROJECT, "Ctrl+O", "open"),
    _spec("try_sample", QT_TRANSLATE_NOOP("Actions", "Try the sample"), _PROJECT, "", "play"),
    _spec("add_images", QT_TRANSLATE_NOOP("Actions", "Add images..."), _PROJECT, "Ctrl+I", "image", "project"),
    _spec("add_folder", QT_TRANSLATE_NOOP("Actions", "Add a folder..."), _PROJECT, "Ctrl+Shift+I", "folder", "project"),
    _spec("relink", QT_TRANSLATE_NOOP("Actions", "Find missing images..."), _PROJECT, "", "link", "project"),
    _spec("removed", QT_TRANSLATE_NOOP("Actions", "Removed images and models..."), _PROJECT, "", "trash", "project"),
    _spec("save_now", QT_TRANSLATE_NOOP("Actions", "Save now"), _PROJECT, "Ctrl+S", "save", "project"),
    _spec("save_elsewhere", QT_TRANSLATE_NOOP("Actions", "Save elsewhere..."), _PROJECT, "", "save", "project"),
    _spec("export_masks", QT_TRANSLATE_NOOP("Actions", "Save all masks..."), _PROJECT, "Ctrl+E", "export", "project"),
    _spec(
        "export_picture", QT_TRANSLATE_NOOP("Actions", "Save picture..."), _PROJECT, "Ctrl+Shift+E", "image", "image"
    ),
    _spec("rename_project", QT_TRANSLATE_NOOP("Actions", "Rename project..."), _PROJECT, "", "rename", "project"),
    _spec(
        "duplicate_project", QT_TRANSLATE_NOOP("Actions", "Duplicate project..."), _PROJECT, "", "duplicate", "project"
    ),
    _spec("move_project", QT_TRANSLATE_NOOP("Actions", "Move project..."), _PROJECT, "", "folder", "project"),
    _spec("export_project", QT_TRANSLATE_NOOP("Actions", "Export as one file..."), _PROJECT, "", "export", "project"),
    _spec("import_project", QT_TRANSLATE_NOOP("Actions", "Import project file..."), _PROJECT, "", "import"),
    _spec("trash_project", QT_TRANSLATE_NOOP("Actions", "Move project to trash"), _PROJECT, "", "trash", "project"),
    _spec("close_project", QT_TRANSLATE_NOOP("Actions", "Close project"), _PROJECT, "Ctrl+W", "close", "project"),
    _spec("quit", QT_TRANSLATE_NOOP("Actions", "Quit"), _PROJECT, "Ctrl+Q", "close"),
    _spec("undo", QT_TRANSLATE_NOOP("Actions", "Undo"), _EDIT, "Ctrl+Z", "undo", "document"),
    _spec("redo", QT_TRANSLATE_NOOP("Actions", "Redo"), _EDIT, "Ctrl+Shift+Z | Ctrl+Y", "redo", "document"),
    _spec("fit", QT_TRANSLATE_NOOP("Actions", "Fit the image"), _VIEW, "0", "fit", "image"),
    _spec("actual_size", QT_TRANSLATE_NOOP("Actions", "100 %"), _VIEW, "1", "one-to-one", "image"),
    _spec("overlay", QT_TRANSLATE_NOOP("Actions", "Fill, outline or no masks"), _VIEW, "O", "overlay", "image"),
    _spec("next_unchecked", QT_TRANSLATE_NOOP("Actions", "Next unchecked image"), _VIEW, "N", "next", "project"),
    _spec("next_image", QT_TRANSLATE_NOOP("Actions", "Next image"), _VIEW, "PgDown", "next", "project"),
    _spec("previous_image", QT_TRANSLATE_NOOP("Actions", "Previous image"), _VIEW, "PgUp", "previous", "project"),
    _spec("step_annotate", QT_TRANSLATE_NOOP("Actions", "1 Annotate"), _STEPS, "Ctrl+1", "brush", "project"),
    _spec("step_train", QT_TRANSLATE_NOOP("Actions", "2 Train"), _STEPS, "Ctrl+2", "train", "project"),
    _spec("step_predict", QT_TRANSLATE_NOOP("Actions", "3 Predict"), _STEPS, "Ctrl+3", "predict", "project"),
    _spec("step_review", QT_TRANSLATE_NOOP("Actions", "4 Review"), _STEPS, "Ctrl+4", "review", "project"),
    _spec("step_measure", QT_TRANSLATE_NOOP("Actions", "5 Measure"), _STEPS, "Ctrl+5", "measure", "project"),
    _spec("models", QT_TRANSLATE_NOOP("Actions", "Models..."), _HELP, "Ctrl+M", "model"),
    _spec("preferences", QT_TRANSLATE_NOOP("Actions", "Preferences..."), _HELP, "Ctrl+,", "settings"),
    _spec("computer", QT_TRANSLATE_NOOP("Actions", "Computer check..."), _HELP, "", "computer"),
    _spec("log", QT_TRANSLATE_NOOP("Actions", "Log..."), _HELP, "Ctrl+L", "log"),
    _spec("shortcuts", QT_TRANSLATE_NOOP("Actions", "Keyboard shortcuts"), _HELP, "F1", "keyboard"),
    _spec("tour", QT_TRANSLATE_NOOP("Actions", "Five-step tour"), _HELP, "", "tour"),
    _spec("about", QT_TRANSLATE_NOOP("Actions", "About CellSeg1 Studio"), _HELP, "", "info"),
)

#: Keys that the canvas and its tools handle themselves; listed on F1 only.
TOOL_KEYS: tuple[tuple[str, object], ...] = (
    ("B", QT_TRANSLATE_NOOP("Actions", "Brush: paint a cell (Alt erases)")),
    ("E", QT_TRANSLATE_NOOP("Actions", "Eraser")),
    ("L", QT_TRANSLATE_NOOP("Actions", "Lasso: draw round a cell")),
    ("G", QT_TRANSLATE_NOOP("Actions", "Polygon: click round a cell")),
    ("C", QT_TRANSLATE_NOOP("Actions", "Click to segment: click a cell, drag a box")),
    ("X", QT_TRANSLATE_NOOP("Actions", "Split along a drawn line")),
    ("M", QT_TRANSLATE_NOOP("Actions", "Merge cells")),
    ("D", QT_TRANSLATE_NOOP("Actions", "Delete a cell, or all in a lasso")),
    ("F", QT_TRANSLATE_NOOP("Actions", "Fill holes")),
    ("U", QT_TRANSLATE_NOOP("Actions", "Clean up: smooth, drop islands")),
    ("R", QT_TRANSLATE_NOOP("Actions", "Region: only this part is annotated")),
    ("[ and ]", QT_TRANSLATE_NOOP("Actions", "Smaller or larger brush (also Shift+wheel)")),
    ("H", QT_TRANSLATE_NOOP("Actions", "Hide the masks while held")),
    ("Space", QT_TRANSLATE_NOOP("Actions", "Move the image while held")),
    ("Arrow keys", QT_TRANSLATE_NOOP("Actions", "Move the tool by a pixel; Shift: ten pixels; Ctrl: move the image")),
    ("P", QT_TRANSLATE_NOOP("Actions", "Set the tool down, and lift it again: drawing without a mouse")),
    ("Wheel", QT_TRANSLATE_NOOP("Actions", "Zoom at the pointer; Ctrl+wheel changes the plane")),
    ("Tab", QT_TRANSLATE_NOOP("Actions", "Next cell or proposal")),
    ("Enter", QT_TRANSLATE_NOOP("Actions", "Accept")),
    ("Esc", QT_TRANSLATE_NOOP("Actions", "Discard the unfinished stroke")),
    ("Ctrl+Return", QT_TRANSLATE_NOOP("Actions", "The panel's main button")),
)


def translated(text: object) -> str:
    """Return a text of the tables in the user's language."""
    return QCoreApplication.translate(_CONTEXT, str(text))


class Actions(QObject):
    """The window's QActions by name."""

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self._all: dict[str, QAction] = {}
        self._needs = {spec.name: spec.needs for spec in ACTIONS}
        for spec in ACTIONS:
            action = QAction(translated(spec.text), window)
            action.setObjectName(spec.name)
            if spec.icon:
                action.setIcon(icon(spec.icon))
            action.setShortcuts([QKeySequence(key) for key in spec.keys])
            action.setShortcutContext(Qt.ShortcutContext.WindowShortcut)
            if spec.keys:
                action.setToolTip(plain_tip(f"{translated(spec.text).removesuffix('...')} ({spec.keys[0]})"))
            window.addAction(action)
            self._all[spec.name] = action

    def __getitem__(self, name: str) -> QAction:
        """Return the action `name`."""
        return self._all[name]

    def connect_all(self, guard: Callable[[Callable[[], None]], Any], *owners: object) -> None:
        """Connect each action to ``do_NAME`` of the first owner that has it; none is an error of the program.

        `guard` makes the call and tells of what was to be expected, such as a full disk.
        """
        for name, action in self._all.items():
            owner = next(one for one in owners if hasattr(one, f"do_{name}"))
            method: Callable[[], None] = getattr(owner, f"do_{name}")
            action.triggered.connect(lambda _checked=False, call=method: guard(call))

    def enable(self, there: set[str]) -> None:
        """Enable the actions whose needs are in `there`."""
        for name, action in self._all.items():
            action.setEnabled(not self._needs[name] or self._needs[name] in there)


def shortcut_table() -> list[tuple[str, list[tuple[str, str]]]]:
    """Return (group, [(keys, text)]) for the F1 list."""
    groups: dict[str, list[tuple[str, str]]] = {translated(_TOOLS): [(key, translated(t)) for key, t in TOOL_KEYS]}
    for spec in ACTIONS:
        if spec.keys:
            text = translated(spec.text).removesuffix("...")
            groups.setdefault(translated(spec.group), []).append((" / ".join(spec.keys), text))
    return list(groups.items())
