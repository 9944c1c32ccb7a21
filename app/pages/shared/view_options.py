"""How the image and its cells are shown: channels, contrast, overlay.  The same part folds out of every panel."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, Unpack

from PySide6.QtCore import QCoreApplication, QSize, Qt, QTimer, Signal
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap, QShowEvent
from PySide6.QtWidgets import (
    QButtonGroup,
    QCheckBox,
    QColorDialog,
    QComboBox,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from ...project.display import CHANNEL_COLOURS, WHITE, auto_channel, channel_count, histogram
from ...session.lanes import Newest
from ...theme import GAP, ICON, TIGHT, colours, icon
from ...widgets.fold import FoldSection
from ...widgets.plain import Label, plain_tip
from ...widgets.plots.histogram import Histogram
from ...widgets.slider_field import SliderField, WheelGuard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...canvas import Canvas
    from ...project.display import ChannelChanges, ChannelView, Colour, Display
    from ...session.session import Session

_WIDEST_OUTLINE = 8
_MODES: tuple[Literal["fill", "outline", "none"], ...] = ("fill", "outline", "none")


class ViewOptions(FoldSection):
    """Channels with name, colour and contrast, and how cells are drawn; folded at first.

    Changes act at once; contrast is kept with the image, the overlay is that of the canvas.  Other instances of
    this part follow.
    """

    def __init__(
        self, session: Session, canvas: Canvas, parent: QWidget | None = None, *, opened: bool = False
    ) -> None:
        super().__init__("", parent)
        self.set_title(self.tr("View"))
        self._session = session
        self._canvas = canvas
        self._guard = WheelGuard(self)
        self._counted: tuple[NDArray[Any], int] | None = None
        self._counting = Newest()
        self._build_channels()
        self._build_overlay()
        self._soon = QTimer(self, interval=0, singleShot=True)
        self._soon.timeout.connect(self.refresh)
        session.image_changed.connect(self._soon.start)
        session.display_changed.connect(self._soon.start)
        canvas.overlay_changed.connect(lambda _overlay: self._show_overlay())
        self.toggled.connect(lambda _open: self.refresh())
        self.set_open(opened)
        self.refresh()

    # ---- building

    def _build_channels(self) -> None:
        self.no_image = Label(self.tr("Open an image to change how it is shown."))
        self.no_image.setWordWrap(True)
        self.no_image.setProperty("secondary", True)
        self.add(self.no_image)
        self.rows: list[ChannelRow] = []
        self._rows_holder = QWidget()
        self._rows_layout = QVBoxLayout(self._rows_holder)
        self._rows_layout.setContentsMargins(0, 0, 0, 0)
        self._rows_layout.setSpacing(TIGHT)
        self.add(self._rows_holder)

        self.channel = QComboBox()
        self.channel.setAccessibleName(self.tr("Channel whose contrast is shown"))
        self.channel.setToolTip(self.tr("Choose the channel for the histogram below"))
        self.channel.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.channel.setMinimumContentsLength(10)
        self.channel.currentIndexChanged.connect(lambda _index: self._show_histogram())
        self._guard.guard(self.channel)
        self._channel_label = Label(self.tr("Contrast of"))
        self._channel_label.setBuddy(self.channel)
        self._channel_row = QWidget()
        row = QHBoxLayout(self._channel_row)
        row.setContentsMargins(0, TIGHT, 0, 0)
        row.setSpacing(GAP)
        row.addWidget(self._channel_label)
        row.addWidget(self.channel, 1)
        self.add(self._channel_row)

        self.histogram = Histogram()
        self.histogram.levels_changed.connect(self._set_levels)
        self.histogram.auto_wanted.connect(self._auto)
        self.add(self.histogram)

    def _build_overlay(self) -> None:
        title = Label(self.tr("Cells"))
        title.setContentsMargins(0, TIGHT, 0, 0)
        self.add(title)
        self._modes = QButtonGroup(self)
        self._modes.setExclusive(True)
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(TIGHT)
        texts = {
            "fill": (self.tr("Filled"), "fill"),
            "outline": (self.tr("Outline"), "overlay"),
            "none": (self.tr("Hidden"), "hide"),
        }
        self.mode_buttons: dict[str, QToolButton] = {}
        for number, mode in enumerate(_MODES):
            text, sign = texts[mode]
            button = QToolButton()
            button.setText(text)
            button.setIcon(icon(sign))
            # Small, so that the three words fit beside each other in a panel of the usual width.
            button.setIconSize(QSize(ICON - 4, ICON - 4))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
            button.setCheckable(True)
            button.setAccessibleName(self.tr("Cells: {how}").format(how=text))
            button.setToolTip(plain_tip(self.tr("Show cells: {how} (O goes on to the next)").format(how=text.lower())))
            button.setSizePolicy(QSizePolicy.Policy.Minimum, QSizePolicy.Policy.Fixed)
            self._modes.addButton(button, number)
            self.mode_buttons[mode] = button
            row.addWidget(button)
        row.addStretch(1)
        canvas = self._canvas
        self._modes.idClicked.connect(lambda number: canvas.set_overlay(replace(canvas.overlay, mode=_MODES[number])))
        self.add(holder)
        self.opacity = SliderField(self.tr("Opacity"), 0, 100, 1, 0, "%", tip=self.tr("How strongly cells are filled"))
        self.opacity.value_changed.connect(
            lambda value: canvas.set_overlay(replace(canvas.overlay, opacity=value / 100))
        )
        self.add(self.opacity)
        self.outline = SliderField(
            self.tr("Outline"), 1, _WIDEST_OUTLINE, 1, 0, "px", tip=self.tr("Width of the outlines on the screen")
        )
        self.outline.value_changed.connect(
            lambda value: canvas.set_overlay(replace(canvas.overlay, outline_width=round(value)))
        )
        self.add(self.outline)

    # ---- showing

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Catch up with what happened while another panel was shown."""
        super().showEvent(event)
        self._soon.start()

    def refresh(self) -> None:
        """Show the present state, if anybody can see it."""
        if not self.is_open:
            return
        display = self._display()
        self.no_image.setVisible(display is None)
        self.histogram.setVisible(display is not None)
        self._show_overlay()
        views = () if display is None else display.channels
        self._make_rows(len(views))
        for row, view in zip(self.rows, views, strict=True):
            row.show_view(view)
        self._rows_holder.setVisible(len(views) > 1)
        self._channel_row.setVisible(len(views) > 1)
        names = [channel_name(view, number) for number, view in enumerate(views)]
        if [self.channel.itemText(i) for i in range(self.channel.count())] != names:
            kept = self.channel.currentIndex()
            self.channel.blockSignals(True)
            self.channel.clear()
            self.channel.addItems(names)
            self.channel.setCurrentIndex(min(max(kept, 0), len(names) - 1))
            self.channel.blockSignals(False)
        self._show_histogram()

    def _display(self) -> Display | None:
        session = self._session
        if session.plane is None or session.display is None:
            return None
        display = session.display
        # A display of an image that was replaced by one with other channels is not of this plane.
        return display if 0 < len(display.channels) <= channel_count(session.plane) else None

    def _make_rows(self, count: int) -> None:
        while len(self.rows) > count:
            row = self.rows.pop()
            self._rows_layout.removeWidget(row)
            row.deleteLater()
        while len(self.rows) < count:
            number = len(self.rows)
            row = ChannelRow(number)
            row.changed.connect(lambda changes, number=number: self._set_channel(number, **changes))
            self.rows.append(row)
            self._rows_layout.addWidget(row)

    def _show_overlay(self) -> None:
        overlay = self._canvas.overlay
        self.mode_buttons[overlay.mode].setChecked(True)
        self.opacity.set_value(overlay.opacity * 100)
        self.outline.set_value(overlay.outline_width)
        self.opacity.setEnabled(overlay.mode == "fill")
        self.outline.setEnabled(overlay.mode != "none")

    def _show_histogram(self) -> None:
        display, number, plane = self._display(), self._number(), self._session.plane
        if display is None or number is None or plane is None:
            return
        view = display.channels[number]
        if not self._shows_levels():
            self.histogram.set_levels(view.low, view.high, view.gamma)
        if self._counted is not None and self._counted[0] is plane and self._counted[1] == number:
            return
        self._counted = (plane, number)
        whole = plane.dtype.kind in "biu"

        def counted(found: tuple[NDArray[np.int64], NDArray[np.float64]]) -> None:
            self.histogram.set_histogram(*found, whole=whole)

        self._session.run(lambda: histogram(plane, number), counted, self.tr("The histogram"), newest=self._counting)

    def _shows_levels(self) -> bool:
        shown = self._display()
        number = self._number()
        if shown is None or number is None:
            return False
        view = shown.channels[number]
        return tuple(self.histogram.levels) == (view.low, view.high, view.gamma)

    def _number(self) -> int | None:
        """Return the channel of the histogram."""
        display = self._display()
        if display is None:
            return None
        return min(max(self.channel.currentIndex(), 0), len(display.channels) - 1)

    # ---- changing

    def _set_levels(self, low: float, high: float, gamma: float) -> None:
        number = self._number()
        if number is not None:
            self._set_channel(number, low=low, high=high, gamma=gamma)

    def _auto(self) -> None:
        display, number, plane = self._display(), self._number(), self._session.plane
        if display is None or number is None or plane is None:
            return
        view = auto_channel(plane, number, display.channels[number])
        self.histogram.set_levels(view.low, view.high, view.gamma)
        self._set_channel(number, low=view.low, high=view.high, gamma=view.gamma)

    def _set_channel(self, number: int, **changes: Unpack[ChannelChanges]) -> None:
        display = self._display()
        if display is not None and number < len(display.channels):
            self._session.set_display(display.with_channel(number, **changes))


class ChannelRow(QWidget):
    """One channel: whether it is shown, its name, its colour."""

    #: What was changed, as a dict of `ChannelView` fields.
    changed = Signal(dict)

    def __init__(self, number: int, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._number = number
        self._color: Colour = WHITE
        self.visible = QCheckBox()
        self.visible.setToolTip(self.tr("Show this channel"))
        self.visible.clicked.connect(lambda on: self.changed.emit({"visible": on}))
        self.name = QLineEdit()
        self.name.setToolTip(self.tr("Name of this channel"))
        self.name.editingFinished.connect(self._name_entered)
        self.color = QToolButton()
        self.color.setIconSize(QSize(ICON, ICON))
        self.color.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self.color.setToolTip(self.tr("Colour of this channel"))
        menu = QMenu(self.color)
        menu.aboutToShow.connect(self._fill_menu)
        self.color.setMenu(menu)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(TIGHT)
        row.addWidget(self.visible)
        row.addWidget(self.name, 1)
        row.addWidget(self.color)

    def show_view(self, view: ChannelView) -> None:
        """Show a channel as it is."""
        title = channel_name(view, self._number)
        self.visible.setChecked(view.visible)
        self.visible.setAccessibleName(self.tr("Show {channel}").format(channel=title))
        self.color.setAccessibleName(self.tr("Colour of {channel}").format(channel=title))
        self.name.setAccessibleName(self.tr("Name of channel {n}").format(n=self._number + 1))
        self.name.setPlaceholderText(title)
        if not self.name.hasFocus() and self.name.text() != view.name:
            self.name.setText(view.name)
        self._color = view.color
        self.color.setIcon(swatch(view.color, self.devicePixelRatioF()))

    def _name_entered(self) -> None:
        self.changed.emit({"name": self.name.text().strip()})

    def _fill_menu(self) -> None:
        menu = self.color.menu()
        menu.clear()
        for color in dict.fromkeys((*CHANNEL_COLOURS, WHITE)):
            action = menu.addAction(swatch(color, self.devicePixelRatioF()), self._color_name(color))
            action.triggered.connect(lambda _on=False, color=color: self.changed.emit({"color": color}))
        menu.addSeparator()
        menu.addAction(self.tr("Other...")).triggered.connect(lambda _on=False: self._ask())

    def _color_name(self, color: Colour) -> str:
        names = {
            (0, 255, 0): self.tr("Green"),
            (255, 0, 255): self.tr("Magenta"),
            (0, 190, 255): self.tr("Cyan"),
            (255, 200, 0): self.tr("Yellow"),
            (255, 0, 0): self.tr("Red"),
            (120, 120, 255): self.tr("Blue"),
            WHITE: self.tr("Grey"),
        }
        return names.get(color, QColor(*color).name())

    def _ask(self) -> None:
        found = QColorDialog.getColor(QColor(*self._color), self, self.tr("Colour of the channel"))
        if found.isValid():
            self.changed.emit({"color": (found.red(), found.green(), found.blue())})


def channel_name(view: ChannelView, number: int) -> str:
    """Return the name of a channel, or its number where it has none."""
    return view.name or QCoreApplication.translate("ViewOptions", "Channel {n}").format(n=number + 1)


def swatch(color: Colour, ratio: float = 1.0) -> QIcon:
    """Return a small square of a colour."""
    side = round(ICON * ratio)
    picture = QPixmap(side, side)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(colours().qcolor("outline"))
    painter.setBrush(QColor(*color))
    edge = max(1, side // 10)
    painter.drawRoundedRect(edge, edge, side - 2 * edge - 1, side - 2 * edge - 1, edge * 2, edge * 2)
    painter.end()
    picture.setDevicePixelRatio(ratio)
    return QIcon(picture)
