import re
import xml.etree.ElementTree as ET

import pytest
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QAction, QColor, QFont, QFontMetricsF, QIcon, QPalette, QPixmap
from PySide6.QtWidgets import (
    QComboBox,
    QListWidget,
    QListWidgetItem,
    QMenu,
    QPushButton,
    QTabBar,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QWidget,
)

from app import theme
from app.theme import DARK, LIGHT, apply_theme, contrast
from app.theme.colours import luminance
from app.theme.palette import make_palette
from app.theme.sheet import style_sheet
from cellseg1.bundled import resource_path

NAMES = re.findall(
    r"\S+",
    """
    brush eraser lasso polygon click split merge delete fill clean region pan hide overlay fit one-to-one undo redo
    new open add image folder import export save train predict review measure model settings help info warning error
    check checked play stop pause more search copy trash rename duplicate link unlink eye contrast sun moon zoom-in
    zoom-out grid next previous accept reject keyboard computer gpu log tour close menu plus minus
    """,
)
GROUNDS = ("window", "field", "raised", "hover", "selected")


@pytest.fixture
def look(qapp):
    yield apply_theme(qapp, "light")
    apply_theme(qapp, "light")


def test_contrast_is_the_published_measure():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)
    assert contrast("#ffffff", "#777777") == contrast("#777777", "#ffffff")


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_everything_written_can_be_read(colours):
    pairs = [(pen, ground) for pen in ("text", "secondary") for ground in (*GROUNDS, "canvas", "pressed")]
    pairs += [(pen, ground) for pen in ("accent", "warning", "error") for ground in ("window", "field", "raised")]
    pairs += [("on_accent", ground) for ground in ("accent", "accent_hover", "accent_pressed")]
    pairs += [("accent", "hover")]
    low = {pair: contrast(*(getattr(colours, name) for name in pair)) for pair in pairs}
    assert {pair: value for pair, value in low.items() if value < 4.5} == {}


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_all_but_the_accent_and_the_signs_is_grey(colours):
    for name, value in vars(colours).items():
        if name == "dark" or name.startswith(("accent", "on_accent", "selected", "warning", "error")):
            continue
        shade = QColor(value)
        assert max(shade.getRgb()[:3]) - min(shade.getRgb()[:3]) <= 12, name
    hues = {QColor(getattr(colours, name)).hsvHue() // 15 for name in ("accent", "accent_hover", "accent_pressed")}
    assert len(hues) == 1


def test_the_palette_says_what_is_disabled():
    for colours in (LIGHT, DARK):
        palette = make_palette(colours)
        for role in (QPalette.ColorRole.Text, QPalette.ColorRole.ButtonText, QPalette.ColorRole.WindowText):
            on, off = (
                palette.color(group, role) for group in (QPalette.ColorGroup.Active, QPalette.ColorGroup.Disabled)
            )
            ground = palette.color(QPalette.ColorRole.Window)
            assert contrast(off, ground) < contrast(on, ground)


def test_the_sheet_is_filled_in_and_its_pictures_exist():
    for colours in (LIGHT, DARK):
        sheet = style_sheet(colours)
        assert "$" not in sheet
        pictures = set(re.findall(r"url\(marks:([\w.-]+)\)", sheet))
        assert len(pictures) >= 3
        for name in pictures:
            assert resource_path(f"icons/marks/{name}").is_file()
        tick = resource_path(f"icons/marks/tick-{'dark' if colours.dark else 'light'}.svg").read_text()
        assert colours.on_accent in tick


def test_a_theme_is_switched_live(qapp, look, qtbot):
    button = QPushButton("x")
    qtbot.addWidget(button)
    assert qapp.palette().color(QPalette.ColorRole.Window).name() == LIGHT.window
    with qtbot.waitSignal(look.changed):
        apply_theme(qapp, "dark")
    assert theme.colours() == DARK
    assert theme.current_theme() is look
    assert look.choice == "dark"
    assert button.palette().color(QPalette.ColorRole.ButtonText).name() == DARK.text
    assert button.grab().toImage().pixelColor(8, button.height() // 2).name() == DARK.raised
    with qtbot.assertNotEmitted(look.changed):
        apply_theme(qapp, "dark")


def test_an_unknown_theme_counts_as_the_systems(qapp, look):
    apply_theme(qapp, "purple")
    assert look.choice == "system"


def test_the_systems_theme_is_followed_and_a_chosen_one_stays(qapp, look, monkeypatch):
    hints = qapp.styleHints()
    scheme = Qt.ColorScheme.Light
    monkeypatch.setattr(type(hints), "colorScheme", lambda _self: scheme)
    apply_theme(qapp, "system")
    assert theme.colours() == LIGHT
    scheme = Qt.ColorScheme.Dark
    hints.colorSchemeChanged.emit(scheme)
    assert theme.colours() == DARK
    apply_theme(qapp, "light")
    hints.colorSchemeChanged.emit(scheme)
    assert theme.colours() == LIGHT


@pytest.mark.parametrize("focused", [False, True])
def test_lists_of_options_show_their_last_row(qapp, look, qtbot, focused):
    holder = QWidget()
    qtbot.addWidget(holder)
    boxes = [QComboBox(holder), QComboBox(holder)]
    for number, box in enumerate(boxes):
        box.addItems([f"option {row}" for row in range(6)])
        box.move(10, 10 + 40 * number)
    holder.show()
    holder.activateWindow()
    boxes[0].setFocus()
    qtbot.waitUntil(boxes[0].hasFocus)
    box = boxes[0 if focused else 1]
    box.showPopup()
    view = box.view()
    qtbot.waitUntil(view.isVisible)
    last = view.visualRect(view.model().index(5, 0))
    assert view.viewport().rect().bottom() >= last.bottom()
    assert view.verticalScrollBar().maximum() == 0
    box.hidePopup()


def test_the_window_has_an_icon(qapp, look):
    assert not qapp.windowIcon().isNull()
    assert theme.icon_name(theme.icon("app")) == "app"


@pytest.mark.parametrize("name", NAMES)
def test_every_icon_is_one_stroke_and_fits(qapp, name):
    root = ET.parse(resource_path(f"icons/{name}.svg")).getroot()
    assert (root.get("width"), root.get("height"), root.get("viewBox")) == ("24", "24", "0 0 24 24")
    assert (root.get("stroke"), root.get("stroke-width"), root.get("stroke-linecap")) == (
        "currentColor",
        "1.75",
        "round",
    )
    for item in root.iter():
        assert item.get("stroke", "none") in ("none", "currentColor")
        assert item.get("fill", "none") in ("none", "currentColor")
        assert item.get("stroke-width") in (None, "1.75")
    image = theme.pixmap(name, 48).toImage()
    alpha = [image.pixelColor(x, y).alpha() for y in range(48) for x in range(48)]
    assert 20 < sum(value > 128 for value in alpha) < 1200
    # Nothing is cut off: the outermost pixels are empty.
    assert not any(image.pixelColor(a, b).alpha() for k in range(48) for a, b in ((0, k), (47, k), (k, 0), (k, 47)))


def test_icons_differ(qapp):
    pictures = [bytes(theme.pixmap(name, 24).toImage().constBits()) for name in NAMES]
    assert len(set(pictures)) == len(NAMES)


def _darkest(icon, mode=QIcon.Mode.Normal):
    image = icon.pixmap(QSize(24, 24), 1.0, mode).toImage()
    solid = [image.pixelColor(x, y) for y in range(image.height()) for x in range(image.width())]
    solid = [shade for shade in solid if shade.alpha() == 255]
    assert solid
    return solid[0].name()


def test_icons_have_the_colour_of_the_text_and_are_fainter_when_disabled(qapp, look):
    assert _darkest(theme.icon("stop")) == LIGHT.text
    assert _darkest(theme.icon("stop", "accent")) == LIGHT.accent
    off = _darkest(theme.icon("stop"), QIcon.Mode.Disabled)
    assert 1.3 < contrast(off, LIGHT.window) < contrast(LIGHT.text, LIGHT.window) / 2
    assert luminance(off) > luminance(LIGHT.text)


def test_icons_already_shown_change_with_the_theme(qapp, look, qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    button = QToolButton(window)
    button.setIcon(theme.icon("stop"))
    own = QPixmap(24, 24)
    own.fill(QColor("red"))
    foreign = QToolButton(window)
    foreign.setIcon(QIcon(own))
    menu = QMenu(window)
    action = menu.addAction(theme.icon("stop"), "Stop")
    free = QAction(theme.icon("stop", "accent"), "Stop", window)
    tabs = QTabBar(window)
    tabs.addTab(theme.icon("stop"), "a")
    for _ in range(2):  # there and back, so that icons made for earlier colours are known too
        apply_theme(qapp, "dark")
        for shown in (button.icon(), action.icon(), tabs.tabIcon(0)):
            assert _darkest(shown) == DARK.text
        assert _darkest(free.icon()) == DARK.accent
        assert _darkest(foreign.icon()) == "#ff0000"
        apply_theme(qapp, "light")
        assert _darkest(button.icon()) == LIGHT.text
        assert _darkest(action.icon()) == LIGHT.text


def test_icons_in_lists_change_with_the_theme(qapp, look, qtbot):
    window = QWidget()
    qtbot.addWidget(window)
    flat = QListWidget(window)
    flat.addItem(QListWidgetItem(theme.icon("stop"), "a"))
    tree = QTreeWidget(window)
    head = QTreeWidgetItem(tree, ["b"])
    inside = QTreeWidgetItem(head, ["c"])
    inside.setIcon(0, theme.icon("stop", "accent"))
    box = QComboBox(window)
    box.addItem(theme.icon("stop"), "d")
    apply_theme(qapp, "dark")
    assert _darkest(flat.item(0).icon()) == DARK.text
    assert _darkest(inside.icon(0)) == DARK.accent
    assert _darkest(box.itemIcon(0)) == DARK.text
    assert head.icon(0).isNull()


def test_icons_are_sharp_at_double_resolution(qapp):
    picture = theme.pixmap("brush", 20, 2.0)
    assert (picture.width(), picture.devicePixelRatio()) == (40, 2.0)
    assert theme.icon("brush").pixmap(QSize(20, 20), 2.0).width() == 40


def test_an_icon_that_is_not_there_is_an_error():
    with pytest.raises(FileNotFoundError):
        theme.icon("no-such-icon")


def test_figures_of_one_width(qapp):
    font = theme.tabular(QFont(qapp.font()))
    widths = {round(QFontMetricsF(font).horizontalAdvance(figure * 10), 3) for figure in "0123456789"}
    assert len(widths) == 1
    assert font.isFeatureSet(QFont.Tag("tnum"))
    assert not qapp.font().isFeatureSet(QFont.Tag("tnum"))


def test_text_is_13_pixels_and_a_larger_system_font_stays(qapp, look):
    from app.theme.fonts import base_font

    small, large = QFont(qapp.font()), QFont(qapp.font())
    small.setPixelSize(9)
    large.setPixelSize(20)
    assert base_font(small).pixelSize() == 13
    assert base_font(large).pixelSize() == 20
    assert theme.heading(small, 2).pixelSize() > small.pixelSize()


def test_distances_are_on_the_grid():
    assert {theme.GAP, theme.MARGIN, theme.WIDE, theme.BIG_ICON, theme.PANEL_WIDTH} == {8, 16, 24, 48, 304}
    assert theme.TIGHT == 4
