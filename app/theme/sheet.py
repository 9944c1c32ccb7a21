"""The application's style sheet: only what Fusion and the palette cannot say.

It is the only one in the program.  What a widget is, it tells with dynamic properties (`primary`, `quiet`,
`card`, `secondary`), so that no widget knows a colour.
"""

from __future__ import annotations

from string import Template

from .colours import Colours, mix
from .spacing import RADIUS

_SHEET = Template("""
QPushButton {
    background: $raised; color: $text; border: 1px solid $outline; border-radius: ${radius}px;
    padding: 5px 13px; min-height: 18px;
}
QPushButton:hover { background: $hover; }
QPushButton:pressed, QPushButton:checked { background: $pressed; }
QPushButton:disabled { background: $window; color: $disabled; border-color: $border; }
QPushButton:focus { border: 2px solid $accent; padding: 4px 12px; }

QPushButton[primary="true"] {
    background: $accent; color: $on_accent; border: 1px solid $accent; font-weight: 600;
}
QPushButton[primary="true"]:hover { background: $accent_hover; border-color: $accent_hover; }
QPushButton[primary="true"]:pressed { background: $accent_pressed; border-color: $accent_pressed; }
QPushButton[primary="true"]:disabled { background: $pressed; color: $disabled; border-color: $pressed; }
QPushButton[primary="true"]:focus { border: 2px solid $text; padding: 4px 12px; }

QPushButton[quiet="true"] { background: transparent; border: 1px solid transparent; color: $accent; padding: 3px 7px; }
QPushButton[quiet="true"]:hover { background: $hover; }
QPushButton[quiet="true"]:pressed { background: $pressed; }
QPushButton[quiet="true"]:disabled { color: $disabled; }
QPushButton[quiet="true"]:focus { border: 2px solid $accent; padding: 2px 6px; }

QToolButton {
    background: transparent; border: 2px solid transparent; border-radius: ${radius}px; padding: 4px; color: $text;
}
QToolButton[small="true"] { padding: 1px; border-radius: 4px; }
QToolButton:hover { background: $hover; }
QToolButton:pressed { background: $pressed; }
QToolButton:checked { background: $selected; }
QToolButton:checked:hover { background: $selected_hover; }
QToolButton:disabled { color: $disabled; }
QToolButton:focus { border-color: $accent; }
QToolButton::menu-indicator { image: none; }

QCheckBox:focus, QRadioButton:focus { outline: none; }
QCheckBox, QRadioButton {
    spacing: 8px; padding: 2px 4px 2px 2px; border: 2px solid transparent; border-radius: ${radius}px;
}
QCheckBox[bare="true"] { spacing: 0px; padding: 2px; }
QCheckBox:focus, QRadioButton:focus { border-color: $accent; }
QCheckBox::indicator, QAbstractItemView::indicator, QRadioButton::indicator {
    width: 14px; height: 14px; background: $field; border: 1px solid $box; border-radius: 4px;
}
QRadioButton::indicator { border-radius: 8px; }
QCheckBox::indicator:hover, QAbstractItemView::indicator:hover, QRadioButton::indicator:hover { border-color: $accent; }
QCheckBox::indicator:checked, QAbstractItemView::indicator:checked {
    background: $accent; border-color: $accent; image: url(marks:tick-$shade.svg);
}
QCheckBox::indicator:indeterminate, QAbstractItemView::indicator:indeterminate {
    background: $accent; border-color: $accent; image: url(marks:dash-$shade.svg);
}
QRadioButton::indicator:checked { width: 6px; height: 6px; border: 5px solid $accent; background: $on_accent; }
QCheckBox::indicator:disabled, QRadioButton::indicator:disabled { border-color: $border; background: $window; }
QCheckBox::indicator:checked:disabled { background: $outline; border-color: $outline; }
QRadioButton::indicator:checked:disabled { border: 5px solid $outline; background: $window; }

QLineEdit, QPlainTextEdit, QTextEdit, QTextBrowser {
    background: $field; border: 1px solid $outline; border-radius: ${radius}px; padding: 3px 7px;
    selection-background-color: $accent; selection-color: $on_accent;
}
QLineEdit { min-height: 20px; }
QLineEdit:focus, QPlainTextEdit:focus, QTextEdit:focus, QTextBrowser:focus {
    border: 2px solid $accent; padding: 2px 6px;
}
QLineEdit:disabled { background: $window; border-color: $border; }
QLineEdit[wrong="true"] { border: 2px solid $error; padding: 2px 6px; }
/* The line edit inside a spin box, a combo box or a view has the frame of its owner. */
QAbstractSpinBox QLineEdit, QComboBox QLineEdit {
    border: none; background: transparent; padding: 0px; min-height: 0px; border-radius: 0px;
}
QTextBrowser[plain="true"], QPlainTextEdit[plain="true"] { background: transparent; border: none; padding: 0px; }

QAbstractSpinBox {
    background: $field; border: 1px solid $outline; border-radius: ${radius}px; padding: 3px 5px; min-height: 20px;
    selection-background-color: $accent; selection-color: $on_accent;
}
QAbstractSpinBox:focus { border: 2px solid $accent; padding: 2px 4px; }
QAbstractSpinBox[wrong="true"] { border: 2px solid $error; padding: 2px 4px; }
QAbstractSpinBox:disabled { background: $window; border-color: $border; color: $disabled; }
/* No arrows: the keys, the wheel and sliders do that. Their places keep the number away from the frame, for which
   padding has no effect. */
QAbstractSpinBox::up-button, QAbstractSpinBox::down-button {
    subcontrol-origin: border; subcontrol-position: center right; width: 7px; height: 0px; border: none;
}
QAbstractSpinBox::down-button { subcontrol-position: center left; }
QAbstractSpinBox::up-arrow, QAbstractSpinBox::down-arrow { image: none; width: 0px; height: 0px; }

QComboBox {
    background: $raised; color: $text; border: 1px solid $outline; border-radius: ${radius}px;
    padding: 0px 4px 0px 9px; min-height: 26px;
}
QComboBox:hover { background: $hover; }
QComboBox:on { background: $pressed; }
/* No padding above and below, in no state: Qt leaves as much free in the list of options, and makes the list as high as
   the state tells at that moment. */
QComboBox:focus { border: 2px solid $accent; padding: 0px 3px 0px 8px; min-height: 24px; }
QComboBox:disabled { background: $window; color: $disabled; border-color: $border; }
QComboBox::drop-down { border: none; width: 22px; }
QComboBox::down-arrow { image: url(marks:arrow-$shade.svg); width: 16px; height: 16px; }
QComboBox::down-arrow:disabled { image: url(marks:arrow-off-$shade.svg); }

QSlider { min-height: 22px; border: 2px solid transparent; border-radius: ${radius}px; }
QSlider:focus { border-color: $accent; }
QSlider::groove:horizontal { height: 4px; border-radius: 2px; background: $pressed; }
QSlider::sub-page:horizontal { height: 4px; border-radius: 2px; background: $accent; }
QSlider::sub-page:horizontal:disabled { background: $outline; }
QSlider::handle:horizontal {
    width: 14px; height: 14px; margin: -6px 0px; border-radius: 8px;
    background: $handle; border: 1px solid $handle_edge;
}
QSlider::handle:horizontal:hover { border: 1px solid $accent; background: $handle_hover; }
QSlider::handle:horizontal:disabled { background: $window; border-color: $outline; }

QScrollBar:vertical { width: 12px; background: transparent; margin: 0px; }
QScrollBar:horizontal { height: 12px; background: transparent; margin: 0px; }
QScrollBar::handle { background: $scroll; border-radius: 4px; margin: 2px; }
QScrollBar::handle:vertical { min-height: 32px; }
QScrollBar::handle:horizontal { min-width: 32px; }
QScrollBar::handle:hover { background: $scroll_hover; }
QScrollBar::add-line, QScrollBar::sub-line { width: 0px; height: 0px; }
QScrollBar::add-page, QScrollBar::sub-page { background: transparent; }

QProgressBar {
    background: $pressed; border: none; border-radius: 3px; min-height: 6px; max-height: 6px; text-align: center;
}
QProgressBar::chunk { background: $accent; border-radius: 3px; }

QToolTip { background: $raised; color: $text; border: 1px solid $outline; padding: 4px 6px; }

QMenu { background: $raised; border: 1px solid $outline; padding: 4px; }
QMenu::item { padding: 4px 24px 4px 12px; border-radius: 4px; color: $text; }
QMenu::icon { padding-left: 8px; }
QMenu::indicator { width: 16px; height: 16px; left: 6px; }
QMenu::indicator:checked { image: url(marks:check-$shade.svg); }
QMenu::item:selected { background: $hover; }
QMenu::item:disabled { color: $disabled; }
QMenu::separator { height: 1px; background: $border; margin: 4px 8px; }
QMenuBar { background: $window; }
QMenuBar::item { padding: 5px 9px; border-radius: 4px; background: transparent; }
QMenuBar::item:selected { background: $hover; }
QMenuBar::item:pressed { background: $pressed; }

QAbstractItemView {
    background: $field; border: 1px solid $border; border-radius: ${radius}px; outline: none;
    selection-background-color: $selected; selection-color: $text;
}
QAbstractItemView:focus { border-color: $accent; }
QAbstractItemView[plain="true"] { background: transparent; border: 2px solid transparent; }
QAbstractItemView[plain="true"]:focus { border-color: $accent; }
QComboBox QAbstractItemView, QComboBox QAbstractItemView:focus {
    border-radius: 0px; border: 1px solid $outline; padding: 2px;
}
/* One frame is enough: the list has it. */
QComboBoxPrivateContainer { border: none; }
QTreeView::item, QListView::item { min-height: 24px; }
QTreeView::item { padding: 0px 4px; }
QAbstractScrollArea::corner { background: transparent; border: none; }
QTableView { gridline-color: $border; }
QTableView::item { padding: 2px 6px; }
QHeaderView { background: $field; border: none; }
QHeaderView::section {
    background: $field; color: $secondary; border: none; border-bottom: 1px solid $border; padding: 5px 6px;
    font-weight: 600;
}
QTableCornerButton::section { background: $field; border: none; }

QTabBar::tab { padding: 6px 12px; border: none; border-bottom: 2px solid transparent; color: $secondary; }
QTabBar::tab:hover { color: $text; background: $hover; }
QTabBar::tab:selected { color: $text; border-bottom-color: $accent; }
QTabBar:focus { outline: none; }
QTabBar::tab:focus { color: $text; background: $hover; }
QTabWidget::pane { border: none; border-top: 1px solid $border; }

QSplitter::handle { background: $border; }
QSplitter::handle:horizontal { width: 1px; }
QSplitter::handle:vertical { height: 1px; }
QSplitter::handle:hover { background: $accent; }

QScrollArea { background: transparent; border: none; }
QScrollArea > QWidget > QWidget { background: transparent; }
QStatusBar { background: $window; border-top: 1px solid $border; }
QStatusBar::item { border: none; }
QFrame[line="true"] { background: $border; border: none; }
QFrame[card="true"] { background: $field; border: 1px solid $border; border-radius: 8px; }
QFrame[banner="true"] { background: $raised; border: 1px solid $border; border-radius: 8px; }
QLabel[secondary="true"] { color: $secondary; }
QLabel[secondary="true"]:disabled { color: $disabled; }
QLabel[wrong="true"] { color: $error; }
QLabel[key="true"] {
    background: $hover; border: 1px solid $outline; border-radius: 4px; padding: 1px 6px; color: $text;
}
""")


def style_sheet(colours: Colours) -> str:
    """Return the style sheet in these colours."""
    values = {name: value for name, value in vars(colours).items() if isinstance(value, str)}
    return _SHEET.substitute(
        values,
        radius=RADIUS,
        shade="dark" if colours.dark else "light",
        box=mix(colours.outline, colours.text, 0.2).name(),
        selected_hover=mix(colours.selected, colours.text, 0.06).name(),
        handle=mix(colours.text, colours.window, 0.15).name() if colours.dark else colours.field,
        handle_edge=colours.canvas if colours.dark else mix(colours.outline, "#000000", 0.2).name(),
        handle_hover=colours.text if colours.dark else mix(colours.field, colours.accent, 0.1).name(),
        scroll=mix(colours.outline, colours.window, 0.3).name(),
        scroll_hover=colours.outline if not colours.dark else mix(colours.outline, colours.text, 0.2).name(),
    )
