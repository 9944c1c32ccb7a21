"""Step bar, tool column, status bar and job bar."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QObject, Qt, QTimer, Signal
from PySide6.QtWidgets import QMenu, QWidget

from app.engine.messages import ItemDone, PredictItem, PredictRequest
from app.shell.actions import TOOLS, ToolSpec
from app.shell.job_bar.bar import JobBar
from app.shell.job_bar.entry import JobEntry, percent
from app.shell.status_bar import StatusBar
from app.shell.step_bar import STEPS, StepBar
from app.shell.tool_column import ToolColumn
from app.translation.time_left import time_left


class FakeJob(QObject):
    progress = Signal(object)
    said = Signal(str)
    previewed = Signal(object)
    item_done = Signal(object)
    state_changed = Signal(str)
    finished = Signal(object)
    failed = Signal(str, str)
    stopped = Signal()

    def __init__(self, title="Training nuclei", kind="train"):
        super().__init__()
        self.kind, self.title, self.run_id = kind, title, "0001-train"
        self.state, self.last_progress, self.log, self.stops = "running", None, ["Started"], 0
        self.silent, self.result, self.waiting_for = False, None, ""
        self.curve, self.error, self.items, self.request = [], None, [], None

    def stop(self):
        self.stops += 1
        self.be("stopping")

    def be(self, state, error=None):
        self.state, self.error = state, error
        self.state_changed.emit(state)

    def go(self, share, left=None, text="", **detail):
        if "loss" in detail:
            self.curve.append((detail["step"], detail["loss"], 1e-3))
        self.last_progress = SimpleNamespace(share=share, text=text, seconds_left=left, detail=detail)
        self.progress.emit(self.last_progress)


def shown(qtbot, widget, width=0):
    qtbot.addWidget(widget)
    if width:
        widget.resize(width, widget.sizeHint().height())
    widget.show()
    return widget


# ---- steps


def test_steps_are_exclusive_and_only_the_user_is_told_of(qtbot):
    bar = shown(qtbot, StepBar(), 900)
    chosen = []
    bar.step_chosen.connect(chosen.append)
    bar.set_step("review")
    assert bar.step() == "review"
    assert chosen == []
    bar.buttons["train"].click()
    assert (bar.step(), chosen) == ("train", ["train"])
    assert sum(button.isChecked() for button in bar.buttons.values()) == 1


def test_a_step_that_lacks_something_says_so_and_can_still_be_chosen(qtbot):
    bar = shown(qtbot, StepBar(), 900)
    bar.set_possible({"predict": "No model yet."})
    assert not bar.buttons["predict"].possible
    assert bar.buttons["train"].possible
    assert "No model yet." in bar.buttons["predict"].toolTip()
    with qtbot.waitSignal(bar.step_chosen):
        bar.buttons["predict"].click()
    bar.set_possible({})
    assert bar.buttons["predict"].possible


def test_no_step_falls_off_a_narrow_bar(qtbot):
    bar = StepBar()
    bar.set_project("A project with a rather long name, as people give them")
    bar.set_menu(QMenu(bar))
    shown(qtbot, bar, bar.sizeHint().width() + 20)
    wide = bar.project_button.text()
    for width in (bar.sizeHint().width(), 600, bar.minimumSizeHint().width()):
        bar.resize(width, 40)
        qtbot.wait(10)
        last = bar.buttons["measure"]
        assert last.geometry().right() <= bar.width()
        for button in bar.buttons.values():
            assert button.width() >= button.sizeHint().width()
    assert len(bar.project_button.text()) < len(wide)
    assert "A project with a rather long name, as people give them" in bar.project_button.toolTip()


def test_the_steps_have_names_for_screen_readers(qtbot):
    bar = shown(qtbot, StepBar())
    names = [bar.buttons[step].accessibleName() for step in STEPS]
    assert names == ["1 Annotate", "2 Train", "3 Predict", "4 Review", "5 Measure"]
    assert all("Ctrl+" in bar.buttons[step].toolTip() for step in STEPS)


def test_the_project_menu_is_not_mirrored_like_its_button(qtbot):
    bar = shown(qtbot, StepBar(), 900)
    menu = QMenu(bar)
    inner = menu.addMenu("Inside")
    inner.addAction("Nothing")
    bar.set_menu(menu)
    seen = []

    def look():
        menu.setActiveAction(inner.menuAction())
        seen.extend(one.layoutDirection() for one in (menu, inner) if one.isVisible())
        inner.close()
        menu.close()

    QTimer.singleShot(0, look)
    bar.project_button.showMenu()
    assert seen == [Qt.LayoutDirection.LeftToRight] * 2


# ---- tools


def test_exactly_one_tool_is_in_hand(qtbot):
    column = shown(qtbot, ToolColumn())
    chosen = []
    column.tool_chosen.connect(chosen.append)
    column.set_tool("lasso")
    assert (column.tool(), chosen) == ("lasso", [])
    column.buttons["brush"].click()
    assert (column.tool(), chosen) == ("brush", ["brush"])
    column.set_tool("something hidden")
    assert column.tool() == ""
    column.buttons["brush"].click()
    assert (column.tool(), chosen) == ("brush", ["brush", "brush"])


def test_tools_show_name_and_key_and_fit_a_small_screen(qtbot):
    column = shown(qtbot, ToolColumn())
    for tool in TOOLS:
        tip = column.buttons[tool.name].toolTip()
        assert tool.text in tip
        assert f"({tool.key})" in tip
    assert len({tool.key for tool in TOOLS}) == len(TOOLS)
    assert column.sizeHint().height() < 600
    assert column.sizeHint().width() < 56


def test_only_the_offered_tools_are_shown_and_all_are_off_without_an_image(qtbot):
    column = shown(qtbot, ToolColumn())
    column.set_offered(("select",))
    assert [name for name, button in column.buttons.items() if button.isVisible()] == ["select"]
    column.set_offered(None)
    column.set_usable(False, "Open an image first.")
    assert not any(button.isEnabled() for button in column.buttons.values())
    assert "Open an image first." in column.buttons["brush"].toolTip()
    column.set_usable(True)
    assert "Open an image first." not in column.buttons["brush"].toolTip()


def test_the_keys_appear_while_the_pointer_is_over_the_column(qtbot):
    column = shown(qtbot, ToolColumn((ToolSpec("a", "A", "", "Q", "brush"), ToolSpec("b", "B", "", "W", "eraser"))))
    before = column.grab().toImage()
    column._show_keys(True)
    assert column.grab().toImage() != before
    column._show_keys(False)
    assert column.grab().toImage() == before


# ---- status


def pointed(**fields):
    return SimpleNamespace(**{"x": 3, "y": 44, "value": 1043, "cell": 17, "area": 412, **fields})


def texts(bar):
    return [field.value() for field in (bar._x, bar._y, bar._value, bar._cell, bar._area, bar._size)]


def test_the_status_bar_says_what_is_under_the_pointer(qtbot):
    bar = shown(qtbot, StatusBar(), 1000)
    bar.set_pointed(pointed())
    assert texts(bar) == ["3", "44", "1043", "17", "412 px", ""]
    bar.set_pixel_size((0.5, 0.25))
    assert texts(bar)[-1] == "51.5 µm²"
    bar.set_pointed(pointed(cell=0, area=0, value=(12.0, 0.125, 255)))
    assert texts(bar) == ["3", "44", "12  0.125  255", "–", "", ""]
    bar.set_pointed(None)
    assert texts(bar) == [""] * 6


def test_nothing_jumps_while_the_pointer_moves(qtbot):
    bar = shown(qtbot, StatusBar(), 1000)
    bar.set_pixel_size((0.5, 0.5))
    bar.set_pointed(pointed())
    bar.set_zoom(1.0)
    qtbot.wait(10)
    places = [widget.x() for widget in bar.findChildren(QWidget)]
    for x, y, value, cell, zoom in ((0, 0, 0, 0, 0.031), (4095, 4095, 65535, 4999, 64.0)):
        bar.set_pointed(pointed(x=x, y=y, value=value, cell=cell, area=99999))
        bar.set_zoom(zoom)
        qtbot.wait(10)
        assert [widget.x() for widget in bar.findChildren(QWidget)] == places
    bar.set_pointed(None)
    qtbot.wait(10)
    assert [widget.x() for widget in bar.findChildren(QWidget)] == places


def test_zoom_fit_and_device_are_buttons_and_a_long_hint_gives_way(qtbot):
    bar = shown(qtbot, StatusBar(), 900)
    bar.set_device("cpu: tiny")
    bar.set_zoom(0.5)
    assert bar._zoom.text() == "50 %"
    with qtbot.waitSignal(bar.actual_size_wanted):
        bar._zoom.click()
    with qtbot.waitSignal(bar.fit_wanted):
        bar._fit.click()
    with qtbot.waitSignal(bar.device_clicked):
        bar._device.click()
    least = bar.minimumSizeHint().width()
    hint = "Draw round the cell. " * 20
    bar.set_hint(hint)
    assert bar.minimumSizeHint().width() == least
    assert bar._hint.toolTip() == hint
    assert bar._hint.text().endswith("…")


# ---- jobs


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (0, "a few seconds left"),
        (31, "40 s left"),
        (58, "1 min left"),
        (180, "3 min left"),
        (3599, "1 h left"),
        (4000, "1 h 7 min left"),
        (36000 + 1700, "10 h left"),
    ],
)
def test_time_left_is_said_as_people_say_it(seconds, text):
    assert time_left(seconds) == text


def test_percent_says_100_only_at_the_end():
    assert percent(SimpleNamespace(share=0.9999)) == 99
    assert percent(SimpleNamespace(share=1.0)) == 100
    assert percent(None) == 0


def test_the_bar_is_absent_until_there_is_a_job_and_follows_it(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    assert bar.isHidden()
    job = FakeJob()
    bar.add(job)
    assert bar.isVisible()
    job.go(0.62, 180)
    assert "62 % 3 min left" in bar.accessibleName()
    width = bar.sizeHint().width()
    job.go(0.07, 4000)
    assert bar.sizeHint().width() == width
    bar._linger.setInterval(10)
    job.be("finished")
    assert "finished" in bar.accessibleName()
    assert bar.running() == []
    qtbot.waitUntil(bar.isHidden)


def test_a_failure_stays_until_it_was_looked_at(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    job = FakeJob()
    bar.add(job)
    bar._linger.setInterval(10)
    job.be("failed", ("The memory was not enough.", "details"))
    qtbot.wait(60)
    assert bar.isVisible()
    popup = bar.open_popup()
    assert "The memory was not enough." in popup.cards[0].left.text()
    popup.close()
    assert bar.isHidden()


def test_images_that_failed_are_counted_and_stay_until_they_were_looked_at(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    job = FakeJob("Predicting 2 images", "predict")
    planes = [PredictItem(image, Path("x.tif"), Path("x.npz"), z=z) for image, z in (("a", 0), ("b", 0), ("b", 1))]
    job.request = PredictRequest(None, tuple(planes))
    bar.add(job)
    bar._linger.setInterval(10)
    job.items = [ItemDone("a", 0, 0, 3, 0.1), *(ItemDone("b", z, 0, 0, 0.1, "It is damaged.") for z in (0, 1))]
    job.be("finished")
    assert "1 of 2 images could not be predicted" in bar.accessibleName()
    qtbot.wait(60)
    assert bar.isVisible()
    popup = bar.open_popup()
    assert popup.cards[0].left.text() == "1 of 2 images could not be predicted"
    popup.close()
    assert bar.isHidden()


def test_several_jobs_are_counted_and_shown_in_the_popup(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    first, second = FakeJob("Training a"), FakeJob("Predicting b", "predict")
    bar.add(first)
    bar.add(second)
    assert "Training a and 1 more" in bar.accessibleName()
    popup = bar.open_popup()
    assert [card.entry.job for card in popup.cards] == [first, second]
    third = FakeJob("Predicting c", "predict")
    bar.add(third)
    assert len(popup.cards) == 3
    first.be("finished")
    assert "Predicting b and 1 more" in bar.accessibleName()
    popup.close()
    assert bar.running() == [second, third]
    assert len(bar.entries) == 2


def test_the_popup_shows_curve_and_log_and_stops_once(qtbot):
    bar = JobBar()
    qtbot.addWidget(bar)
    job = FakeJob()
    bar.add(job)
    for step in range(20):
        job.go(step / 20, 60, "Step", loss=1 / (step + 1), step=step)
    popup = bar.open_popup()
    card = popup.cards[0]
    assert card.curve.isVisible()
    assert len(card.curve.points) == 20
    assert not card.log.isVisible()
    card.show_log.click()
    assert card.log.isVisible()
    job.said.emit("A line")
    assert card.log.toPlainText() == "Started\nA line"
    card.stop.click()
    card.stop.click()
    assert job.stops == 1
    assert not card.stop.isEnabled()
    assert "stopping" in bar.accessibleName()
    job.be("stopped")
    assert not card.stop.isVisible()
    qtbot.keyClick(popup, Qt.Key.Key_Escape)
    job.said.emit("After the popup is gone")


@pytest.mark.parametrize(
    ("kind", "result", "line"),
    [
        ("train", {"model": "a.cs1"}, "stopped; what was done is kept"),
        ("train", None, "stopped"),
        ("predict", None, "stopped; what was done is kept"),
    ],
)
def test_a_stopped_job_says_whether_anything_is_kept(qapp, kind, result, line):
    job = FakeJob()
    job.kind, job.result = kind, result
    job.state = "stopped"
    entry = JobEntry(job)
    assert entry.line() == line
