"""Panel, fold, slider field, empty state, banner, flow layout."""

import pytest
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QLabel, QLineEdit, QPushButton, QStackedWidget, QVBoxLayout, QWidget

from app.theme import apply_theme
from app.widgets.banner import Banner
from app.widgets.empty_state import EmptyState
from app.widgets.flow import FlowLayout
from app.widgets.fold import FoldSection
from app.widgets.panel import Panel
from app.widgets.slider_field import SliderField


@pytest.fixture(autouse=True)
def look(qapp):
    apply_theme(qapp, "light")


@pytest.fixture
def show(qtbot):
    def do(widget, width=304, height=400):
        qtbot.addWidget(widget)
        widget.resize(width, height)
        widget.show()
        qtbot.waitExposed(widget)
        widget.activateWindow()
        QApplication.processEvents()
        return widget

    return do


def heard(signal):
    got = []
    signal.connect(lambda *args: got.append(args[0] if len(args) == 1 else args))
    return got


def wheel(widget, notches):
    window = widget.window()
    at = widget.mapTo(window, widget.rect().center())
    # Through the window, as from a real wheel: only such events go on to the parents.
    QTest.wheelEvent(window.windowHandle(), QPointF(at), QPoint(0, 120 * notches))
    QApplication.processEvents()


# ---- panel


def test_the_primary_button_by_mouse_and_keys(show, qtbot):
    panel = Panel("Train", "Start")
    edit = QLineEdit()
    panel.add(edit)
    show(panel)
    pressed = heard(panel.primary_clicked)
    qtbot.mouseClick(panel.primary, Qt.MouseButton.LeftButton)
    assert len(pressed) == 1
    edit.setFocus()
    qtbot.keyClick(edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: len(pressed) == 2, timeout=2000)
    panel.primary.setEnabled(False)
    panel._key = type(panel._key)()  # some time later
    qtbot.keyClick(edit, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.wait(250)
    assert len(pressed) == 2
    assert panel.primary.property("primary") is True
    assert "Ctrl+Return" in panel.primary.toolTip()


def test_a_double_click_and_a_held_key_press_the_button_once(show, qtbot):
    """A training that starts turns the button into one that stops it."""
    panel = show(Panel("Train", "Start"))
    pressed = heard(panel.primary_clicked)
    panel.primary_clicked.connect(lambda: panel.set_primary("Stop", "stop"))
    QTest.mouseClick(panel.primary, Qt.MouseButton.LeftButton)
    QTest.mouseDClick(panel.primary, Qt.MouseButton.LeftButton)  # the second press alone
    QTest.mouseRelease(panel.primary, Qt.MouseButton.LeftButton)
    assert len(pressed) == 1
    QTest.mouseClick(panel.primary, Qt.MouseButton.LeftButton)
    assert len(pressed) == 2
    panel.primary.setFocus()
    for repeated in (False, True, True):
        QApplication.sendEvent(
            panel.primary,
            QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_Space, Qt.KeyboardModifier.NoModifier, " ", repeated),
        )
    qtbot.keyRelease(panel.primary, Qt.Key.Key_Space)
    assert len(pressed) == 3


@pytest.mark.parametrize("modifier", [Qt.KeyboardModifier.NoModifier, Qt.KeyboardModifier.ControlModifier])
def test_repeats_that_are_told_as_pressed_anew_are_the_held_key(show, qtbot, monkeypatch, modifier):
    """So they come on a busy computer with X11."""
    now = 10.0
    monkeypatch.setattr("app.widgets.panel.monotonic", lambda: now)
    panel = show(Panel("Train", "Start"))
    panel.primary.setFocus()
    pressed = heard(panel.primary_clicked)
    key = Qt.Key.Key_Return if modifier else Qt.Key.Key_Space
    for now in (10.0, 10.7, 10.9, 11.8):  # noqa: B007 - the time that it is
        qtbot.keyClick(panel.primary, key, modifier)
        qtbot.wait(130)  # A click that is seen takes a tenth of a second.
    assert len(pressed) == 1
    now = 13.0
    qtbot.keyClick(panel.primary, key, modifier)
    qtbot.waitUntil(lambda: len(pressed) == 2)


def test_only_the_panel_in_sight_hears_the_key(show, qtbot):
    pages = QStackedWidget()
    first, second = Panel("Train", "Start"), Panel("Predict", "Predict")
    pages.addWidget(first)
    pages.addWidget(second)
    show(pages)
    got_first, got_second = heard(first.primary_clicked), heard(second.primary_clicked)
    pages.setCurrentWidget(second)
    qtbot.keyClick(pages, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: got_second != [], timeout=2000)
    assert got_first == []


def test_a_panel_scrolls_and_keeps_its_button_in_sight(show):
    panel = Panel("Train")
    for number in range(60):
        panel.add_text(f"A sentence that is long enough to be broken into several lines, number {number}.")
    assert panel.primary is None
    panel.set_primary("Start")
    panel.set_primary("Start again")
    show(panel, 300, 300)
    assert panel.primary.text() == "Start again"
    assert panel.scroll_area.verticalScrollBar().maximum() > 500
    bottom = panel.primary.mapTo(panel, panel.primary.rect().bottomRight())
    assert panel.rect().contains(bottom)
    assert panel.scroll_area.horizontalScrollBar().maximum() == 0


def test_a_panel_asks_for_the_width_of_what_is_in_it(show):
    panel = Panel("Train")
    wide = QLabel("x" * 60)
    panel.add(wide)
    show(panel, 100, 300)
    assert panel.minimumSizeHint().width() >= wide.sizeHint().width()
    panel.resize(panel.minimumSizeHint().width(), 300)
    QApplication.processEvents()
    assert panel.rect().contains(wide.mapTo(panel, wide.rect().bottomRight()))


# ---- fold


def test_a_fold_opens_by_mouse_and_keys(show, qtbot):
    fold = FoldSection("Advanced")
    inside = fold.add(QPushButton("x"))
    show(fold)
    got = heard(fold.toggled)
    assert not inside.isVisible()
    qtbot.mouseClick(fold.button, Qt.MouseButton.LeftButton)
    assert inside.isVisible()
    fold.button.setFocus()
    for key in (Qt.Key.Key_Space, Qt.Key.Key_Return, Qt.Key.Key_Left, Qt.Key.Key_Left, Qt.Key.Key_Right):
        qtbot.keyClick(fold.button, key)
    assert got == [True, False, True, False, True]
    assert fold.button.accessibleName() == "Advanced"
    before = fold.button.grab().toImage()
    fold.set_open(False)
    assert fold.button.grab().toImage() != before


def test_a_fold_takes_no_room_when_closed(show):
    fold = FoldSection("Advanced", opened=True)
    fold.add(QLabel("a\nb\nc\nd\ne\nf"))
    show(fold)
    tall = fold.sizeHint().height()
    fold.set_open(False)
    assert fold.sizeHint().height() < tall / 2
    fold.set_summary("2 changed")
    assert fold.sizeHint().height() < tall / 2


# ---- slider field


def test_dragging_tells_each_value_and_settles_once(show, qtbot):
    field = show(SliderField("Size", 0, 100, 1, 0, "px", value=10))
    live, rest = heard(field.value_changed), heard(field.value_settled)
    field.slider.setSliderDown(True)
    for position in (20, 30, 40):
        field.slider.setSliderPosition(position)
    qtbot.wait(400)
    assert live == [20, 30, 40]
    assert rest == []  # still held
    assert field.spin.value() == 40
    field.slider.setSliderDown(False)
    assert rest == [40]
    qtbot.wait(400)
    assert rest == [40]


def test_typing_and_arrow_keys_settle_after_a_moment(show, qtbot):
    field = show(SliderField("Size", 0, 100, 5, 0, value=10))
    live, rest = heard(field.value_changed), heard(field.value_settled)
    field.spin.setFocus()
    qtbot.keyClick(field.spin, Qt.Key.Key_Up)
    qtbot.keyClick(field.spin, Qt.Key.Key_Up)
    assert live == [15, 20]
    assert rest == []
    qtbot.waitUntil(lambda: rest == [20], timeout=2000)
    assert field.slider.value() == 4
    field.slider.setFocus()
    qtbot.keyClick(field.slider, Qt.Key.Key_Right)
    assert live[-1] == 25
    field.spin.setFocus()
    field.spin.selectAll()
    qtbot.keyClicks(field.spin, "60")
    assert live[-1] == 25  # not while it is being typed: 6 is no wish
    qtbot.keyClick(field.spin, Qt.Key.Key_Return)
    assert live[-1] == 60
    assert rest[-1] == 60


def test_setting_a_value_tells_nobody_and_stays_in_range(show, qtbot):
    field = show(SliderField("Score", 0, 1, 0.01, 2, value=0.5))
    live, rest = heard(field.value_changed), heard(field.value_settled)
    field.set_value(0.755)
    assert field.value == 0.755  # exactly what was given, though two decimals are shown
    field.set_value(7)
    assert (field.value, field.spin.value(), field.slider.value()) == (1, 1, 100)
    field.set_range(0, 0.5)
    assert (field.value, field.maximum) == (0.5, 0.5)
    qtbot.wait(400)
    assert live == rest == []


def test_a_logarithmic_slider_reaches_every_value_by_keys(show, qtbot):
    field = show(SliderField("Size", 1, 400, 1, 0, "px", value=1, logarithmic=True))
    live = heard(field.value_changed)
    field.slider.setFocus()
    for _ in range(6):
        qtbot.keyClick(field.slider, Qt.Key.Key_Right)
    assert live == [2, 3, 4, 5, 6, 7]
    for _ in range(2):
        qtbot.keyClick(field.slider, Qt.Key.Key_Left)
    assert field.value == 5
    field.set_value(20)
    assert field.slider.value() == pytest.approx(field.slider.maximum() / 2, abs=2)
    field.slider.setSliderDown(True)
    field.slider.setSliderPosition(field.slider.maximum())
    assert field.value == 400


def test_the_wheel_scrolls_the_panel_unless_the_field_has_the_focus(show, qtbot):
    panel = Panel("Brush")
    field = SliderField("Size", 0, 100, value=50)
    panel.add(field)
    for _ in range(40):
        panel.add_text("A sentence.")
    show(panel, 300, 300)
    panel.setFocus()
    bar = panel.scroll_area.verticalScrollBar()
    for widget in (field.slider, field.spin):
        bar.setValue(0)
        QApplication.processEvents()
        wheel(widget, -1)
        assert field.value == 50
        assert bar.value() > 0
    bar.setValue(0)
    QApplication.processEvents()
    field.spin.setFocus()
    wheel(field.spin, 1)
    assert field.value == 51


def test_a_slider_field_is_named_and_has_its_unit():
    field = SliderField("Opacity", 0, 100, 5, 0, "%", value=40, tip="How strong the fill is")
    assert field.slider.accessibleName() == field.spin.accessibleName() == "Opacity"
    assert field.spin.text().replace("\N{NARROW NO-BREAK SPACE}", " ") == "40 %"
    assert field.toolTip() == "How strong the fill is"


# ---- empty state and banner


def test_an_empty_state_offers_its_action(show, qtbot):
    state = show(EmptyState("model", "No model yet. Train one.", "Train"))
    got = heard(state.clicked)
    qtbot.mouseClick(state.button, Qt.MouseButton.LeftButton)
    assert len(got) == 1
    state.set_button("")
    assert not state.button.isVisible()
    quiet = show(EmptyState("image", "Nothing here."))
    assert not quiet.button.isVisible()


@pytest.mark.parametrize("width", [160, 304, 800])
def test_an_empty_states_sentence_is_never_cut(show, width):
    sentence = "Several words that must be broken into lines when there is little room for them. " * 2
    state = show(EmptyState("model", sentence.strip(), "Train"), width, 600)
    label = state.sentence
    assert label.height() >= label.heightForWidth(label.width())
    assert state.rect().contains(QRect(label.mapTo(state, QPoint(0, 0)), label.size()))
    middle = label.mapTo(state, label.rect().center()).x()
    assert abs(middle - state.width() / 2) < 3


def test_a_banner_comes_acts_and_goes(show, qtbot):
    holder = QWidget()
    layout = QVBoxLayout(holder)
    banner = Banner()
    layout.addWidget(banner)
    layout.addStretch(1)
    show(holder)
    assert not banner.isVisible()
    banner.show_message("The disk is full. Your edits are kept in memory.", "warning", "Save elsewhere...")
    acted, dismissed = heard(banner.acted), heard(banner.dismissed)
    assert banner.isVisible()
    assert banner.accessibleName() == "Warning"
    qtbot.mouseClick(banner.action, Qt.MouseButton.LeftButton)
    assert len(acted) == 1
    assert banner.isVisible()
    qtbot.keyClick(banner, Qt.Key.Key_Escape)
    assert not banner.isVisible()
    assert len(dismissed) == 1
    banner.show_message("Read-only.", "error", dismissable=False)
    qtbot.keyClick(banner, Qt.Key.Key_Escape)
    assert banner.isVisible()
    assert not banner.close_button.isVisible()
    assert not banner.action.isVisible()
    banner.clear()
    assert not banner.isVisible()
    assert len(dismissed) == 1


# ---- flow


def test_a_flow_fills_rows_and_starts_new_ones(show):
    holder = QWidget()
    flow = FlowLayout(holder, gap=8)
    for _ in range(7):
        item = QWidget()
        item.setFixedSize(40, 20)
        flow.addWidget(item)
    show(holder, 40 * 3 + 8 * 2, 200)
    places = [(flow.itemAt(k).geometry().x(), flow.itemAt(k).geometry().y()) for k in range(7)]
    assert places == [(0, 0), (48, 0), (96, 0), (0, 28), (48, 28), (96, 28), (0, 56)]
    assert flow.heightForWidth(136) == 76
    assert flow.heightForWidth(135) == 4 * 20 + 3 * 8
    assert flow.heightForWidth(1000) == 20
    assert flow.minimumSize().width() == 40
    flow.itemAt(1).widget().hide()
    flow.activate()
    assert flow.itemAt(2).geometry().x() == 48
    taken = flow.takeAt(0)
    assert taken.widget() is not None
    assert flow.count() == 6
    assert flow.takeAt(99) is None


def test_a_flow_runs_from_the_right_where_writing_does(show):
    holder = QWidget()
    holder.setLayoutDirection(Qt.LayoutDirection.RightToLeft)
    flow = FlowLayout(holder)
    for _ in range(2):
        item = QWidget()
        item.setFixedSize(40, 20)
        flow.addWidget(item)
    show(holder, 200, 50)
    assert [flow.itemAt(k).geometry().x() for k in range(2)] == [160, 112]


def test_an_empty_flow_needs_nothing(qapp):
    holder = QWidget()
    flow = FlowLayout(holder)
    assert flow.heightForWidth(100) == 0
    assert flow.sizeHint().width() == 0
