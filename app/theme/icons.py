"""Icons of one stroke, tinted from the theme.

An icon is a set of pixmaps.  A `QIconEngine` written in Python would repaint itself, but Qt clones and deletes
engines on its own and PySide then crashes; so the icons that were handed out are remembered by their cache key
and exchanged in every button and action when the colours change.
"""

from __future__ import annotations

from functools import cache
from typing import Final, Literal

from PySide6.QtCore import QAbstractItemModel, QByteArray, QModelIndex, QRectF, QSize, Qt
from PySide6.QtGui import QAction, QColor, QIcon, QPainter, QPixmap
from PySide6.QtSvg import QSvgRenderer
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QListWidget,
    QTabBar,
    QTableWidget,
    QTreeWidget,
    QWidget,
)

from cellseg1.bundled import resource_path

from .colours import LIGHT, Colours, mix

Tint = Literal["text", "secondary", "accent", "on_accent", "warning", "error"]

#: Sides in device pixels; Qt takes the next larger one and scales it down.
_SIZES: Final = (16, 20, 24, 32, 40, 48, 64, 96)

_colours: Colours = LIGHT
_made: dict[tuple[str, Tint], QIcon] = {}
#: What was handed out, by cache key, also of earlier colours.
_names: dict[int, tuple[str, Tint]] = {}


def icon(name: str, tint: Tint = "text") -> QIcon:
    """Return the icon ``resources/icons/NAME.svg`` in the theme's colours.

    Put into a button or an action it changes with the theme; whoever paints it should ask anew each time.

    Raises
    ------
    FileNotFoundError
        When there is no such icon.
    """
    key = (name, tint)
    if key not in _made:
        _made[key] = app_icon() if name == "app" else _make(name, tint)
        _names[_made[key].cacheKey()] = key
    return QIcon(_made[key])


def pixmap(name: str, size: int, ratio: float = 1.0, tint: Tint = "text") -> QPixmap:
    """Return one picture of an icon, sharp at this size in logical pixels and this device pixel ratio."""
    picture = _render(name, _colours.qcolor(tint), round(size * ratio))
    picture.setDevicePixelRatio(ratio)
    return picture


@cache
def app_icon() -> QIcon:
    """Return the icon of the program, in its own colours."""
    result = QIcon()
    for size in (16, 24, 32, 48, 64, 128, 256):
        result.addPixmap(_render("app", QColor("black"), size))
    return result


def icon_name(shown: QIcon) -> str | None:
    """Return the name under which `icon` made this icon, None for a foreign one."""
    known = _names.get(shown.cacheKey())
    return known[0] if known else None


def set_icon_colours(colours: Colours, app: QApplication | None = None) -> None:
    """Tint all icons from now on with these colours, and those already in buttons and actions of `app` too."""
    global _colours  # noqa: PLW0603 - one theme per program
    if colours == _colours and _made:
        return
    _colours = colours
    _made.clear()
    if app is not None:
        retint(app)


def retint(app: QApplication) -> None:
    """Exchange the icons in every button, tab, list and action for those of the current colours."""
    for widget in app.allWidgets():
        if isinstance(widget, QAbstractButton):
            _exchange(widget)
        elif isinstance(widget, QTabBar):
            for index in range(widget.count()):
                fresh = _fresh(widget.tabIcon(index))
                if fresh is not None:
                    widget.setTabIcon(index, fresh)
        elif isinstance(widget, (QListWidget, QComboBox)):
            _exchange_in(widget.model(), QModelIndex(), 1)
        elif isinstance(widget, (QTreeWidget, QTableWidget)):
            _exchange_in(widget.model(), QModelIndex(), widget.columnCount())
        for action in _actions(widget):
            _exchange(action)


def _actions(widget: QWidget) -> list[QAction]:
    own = widget.findChildren(QAction, options=Qt.FindChildOption.FindDirectChildrenOnly)
    return [*own, *(action for action in widget.actions() if action not in own)]


def _exchange_in(model: QAbstractItemModel, parent: QModelIndex, columns: int) -> None:
    # The number of columns is given: a list's model does not tell it.
    role = Qt.ItemDataRole.DecorationRole
    for row in range(model.rowCount(parent)):
        for column in range(columns):
            index = model.index(row, column, parent)
            shown = model.data(index, role)
            fresh = _fresh(shown) if isinstance(shown, QIcon) else None
            if fresh is not None:
                model.setData(index, fresh, role)
        first = model.index(row, 0, parent)
        if model.rowCount(first):
            _exchange_in(model, first, columns)


def _exchange(holder: QAbstractButton | QAction) -> None:
    fresh = _fresh(holder.icon())
    if fresh is not None:
        holder.setIcon(fresh)


def _fresh(shown: QIcon) -> QIcon | None:
    key = _names.get(shown.cacheKey()) if not shown.isNull() else None
    return icon(*key) if key is not None and key[0] != "app" else None


@cache
def _source(name: str) -> str:
    return resource_path(f"icons/{name}.svg").read_text(encoding="utf-8")


def _renderer(name: str, colour: QColor) -> QSvgRenderer:
    return QSvgRenderer(QByteArray(_source(name).replace("currentColor", colour.name()).encode()))


def _render(name: str, colour: QColor, side: int) -> QPixmap:
    return _picture(_renderer(name, colour), side)


def _picture(renderer: QSvgRenderer, side: int) -> QPixmap:
    picture = QPixmap(QSize(side, side))
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    renderer.render(painter, QRectF(0, 0, side, side))
    painter.end()
    return picture


def _make(name: str, tint: Tint) -> QIcon:
    plain = _colours.qcolor(tint)
    faint = mix(_colours.disabled, _colours.window, 0.25)
    result = QIcon()
    normally, disabled = _renderer(name, plain), _renderer(name, faint)
    for side in _SIZES:
        normal = _picture(normally, side)
        result.addPixmap(normal, QIcon.Mode.Normal)
        # Without its own picture a selected row would tint the icon with the highlight.
        result.addPixmap(normal, QIcon.Mode.Selected)
        result.addPixmap(_picture(disabled, side), QIcon.Mode.Disabled)
    return result
