"""Preferences, keys, about, computer check, log, tour."""

import logging
import threading
from dataclasses import fields

import pytest
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QCheckBox, QComboBox, QPushButton, QWidget

from app.dialogs.about import AboutDialog
from app.dialogs.computer import ComputerCheckDialog, report_text
from app.dialogs.licences import own_licence, packages
from app.dialogs.log_window import LogHandler, LogStore, LogWindow
from app.dialogs.shortcuts import ShortcutsDialog
from app.dialogs.tour import TourOverlay, TourStep
from app.preferences.dialog import PreferencesDialog
from app.preferences.fields import Preferences
from app.preferences.store import PreferencesStore
from cellseg1._version import __version__


@pytest.fixture
def make(qtbot):
    def made(kind, *arguments, **keywords):
        dialog = kind(*arguments, **keywords)
        qtbot.addWidget(dialog)
        return dialog

    return made


# ---- preferences


@pytest.fixture
def store(tmp_path, qapp):
    return PreferencesStore(tmp_path / "preferences.json")


def test_every_preference_is_in_the_dialog_or_left_out_on_purpose(make, store):
    dialog = make(PreferencesDialog, store)
    left_out = {field.name for field in fields(Preferences)} - set(dialog.fields)
    assert left_out == {"layouts", "last_folder"}
    assert all(widget.accessibleName() and widget.toolTip() for widget in dialog.fields.values())


def test_a_change_holds_at_once(make, store):
    dialog = make(PreferencesDialog, store, devices={"auto": "Automatic", "cuda:0": "A GPU"})
    theme = dialog.fields["theme"]
    theme.setCurrentIndex(theme.findData("dark"))
    theme.activated.emit(theme.currentIndex())
    assert store.values.theme == "dark"
    dialog.fields["protect_cells"].click()
    assert store.values.protect_cells is False
    dialog.fields["overlay_opacity"].setValue(75)
    assert store.values.overlay_opacity == 0.75
    dialog.fields["project_folder"].settled.emit("/data/projects")
    assert store.values.project_folder == "/data/projects"
    device = dialog.fields["device"]
    device.activated.emit(device.findData("cuda:0"))
    assert store.values.device == "cuda:0"


def test_changes_from_elsewhere_are_followed_and_reset_is_complete(make, store):
    dialog = make(PreferencesDialog, store)
    store.update(theme="light", brush_size=40.0, device="cuda:3", last_folder="/data")
    assert dialog.fields["theme"].currentData() == "light"
    assert dialog.fields["brush_size"].value() == 40
    assert "not in this computer" in dialog.fields["device"].currentText()
    assert store.values.device == "cuda:3"
    dialog.reset_button.click()
    assert store.values.theme == "system"
    assert store.values.brush_size == Preferences().brush_size
    assert store.values.last_folder == "/data"  # no business of this dialog
    assert dialog.fields["brush_size"].value() == Preferences().brush_size


def test_each_field_kind_has_its_widget(make, store):
    dialog = make(PreferencesDialog, store)
    assert isinstance(dialog.fields["closing_during_job"], QComboBox)
    assert isinstance(dialog.fields["protect_cells"], QCheckBox)
    assert dialog.fields["closing_during_job"].itemText(0) == "Ask each time"


# ---- keys


TABLE = [
    ("Tools", [("B", "Brush: paint a cell"), ("E", "Eraser")]),
    ("Edit", [("Ctrl+Shift+Z / Ctrl+Y", "Redo")]),
]


def shown_names(dialog):
    return [
        widgets[0].accessibleName()
        for _box, rows in dialog._groups
        for _text, widgets in rows
        if not widgets[0].isHidden()
    ]


def test_keys_are_found_by_key_word_and_group(make):
    dialog = make(ShortcutsDialog, TABLE)
    assert len(shown_names(dialog)) == 3
    dialog.search.setText("paint BRUSH")
    assert shown_names(dialog) == ["B: Brush: paint a cell"]
    assert dialog._groups[1][0].isHidden()
    dialog.search.setText("ctrl+y")
    assert shown_names(dialog) == ["Ctrl+Shift+Z / Ctrl+Y: Redo"]
    dialog.search.setText("tools")
    assert len(shown_names(dialog)) == 2
    dialog.search.setText("nothing")
    assert shown_names(dialog) == []
    assert not dialog._nothing.isHidden()


def test_the_first_escape_empties_the_search_and_the_second_closes(make, qtbot):
    dialog = make(ShortcutsDialog, TABLE)
    dialog.open()
    dialog.search.setText("redo")
    qtbot.keyClick(dialog.search, Qt.Key.Key_Escape)
    assert dialog.search.text() == ""
    assert dialog.isVisible()
    qtbot.keyClick(dialog.search, Qt.Key.Key_Escape)
    assert not dialog.isVisible()


# ---- about


def test_about_has_the_version_our_licence_and_those_of_the_packages(make):
    dialog = make(AboutDialog)
    assert __version__ in dialog.version_text()
    assert "Apache License" in own_licence()
    assert "stardist" in own_licence()
    assert dialog.table.rowCount() == 0  # only read when looked at
    dialog.tabs.setCurrentIndex(2)
    names = [dialog.table.item(row, 0).text().lower() for row in range(dialog.table.rowCount())]
    assert names == sorted(names)
    assert {"numpy", "torch", "pyside6_essentials", "shiboken6"} <= set(names)
    assert "cellseg1-studio" not in names
    dialog.table.setCurrentCell(names.index("numpy"), 0)
    assert "NumPy Developers" in dialog.licence_text.toPlainText()


def test_most_packages_say_their_licence():
    found = packages()
    assert len(found) > 20
    assert sum(bool(package.licence) for package in found) > 0.8 * len(found)


# ---- computer check


REPORT = {
    "program": "0.1.0",
    "python": "3.11.9",
    "system": "Linux",
    "torch": "2.6",
    "cuda_build": None,
    "why_no_gpu": "No NVIDIA driver answers.",
    "chosen_device": "cpu",
    "precision": "float32",
    "cores": 8,
    "threads": 4,
    "memory_gib": 15.5,
    "memory_free_gib": 9.2,
    "data_folder": "/data",
    "disk_free_gib": 120.3,
    "devices": [
        {"name": "cuda:0", "label": "Old GPU", "memory_gib": 2.0, "usable": False, "reason": "It is too old."},
        {"name": "cpu", "label": "Some CPU", "memory_gib": None, "usable": True, "reason": ""},
    ],
    "backbones": [
        {"name": "tiny", "installed": True, "usable": True, "path": "/x/tiny", "problem": ""},
        {"name": "vit_h", "installed": True, "usable": False, "path": "/x/h", "problem": "It is damaged."},
        {"name": "vit_b", "installed": False, "usable": False, "path": None, "problem": None},
    ],
}


def spoken(widget):
    return " | ".join(label.text() for label in widget.findChildren(QWidget) if hasattr(label, "text"))


def test_the_computer_check_waits_and_then_shows_everything(make):
    dialog = make(ComputerCheckDialog)
    dialog.open()
    assert dialog.busy.isVisible()
    assert not dialog.copy.isEnabled()
    dialog.set_report(REPORT)
    assert not dialog.busy.isVisible()
    text = spoken(dialog.area)
    for part in ("Computes on: Some CPU", "No NVIDIA driver answers.", "4 threads on 8 cores", "9.2 of 15.5 GiB free"):
        assert part in text
    for part in ("Old GPU, 2.0 GiB", "It is too old.", "It is damaged.", "not installed", "/x/tiny"):
        assert part in text
    dialog.copy.click()
    copied = QGuiApplication.clipboard().text()
    assert copied == report_text(REPORT)
    assert "It is too old." in copied
    assert "vit_b: not installed" in copied


def test_the_device_is_chosen_among_those_that_work(make):
    dialog = make(ComputerCheckDialog, device="cuda:7")
    chosen = []
    dialog.device_chosen.connect(chosen.append)
    dialog.set_report(REPORT)
    assert dialog.device.currentData() == "cuda:7"
    assert "not in this computer" in dialog.device.currentText()
    assert not dialog.device.model().item(dialog.device.findData("cuda:0")).isEnabled()
    for name in ("cpu", "cpu", "auto"):
        dialog.device.activated.emit(dialog.device.findData(name))
    assert chosen == ["cpu", "auto"]


def test_check_again_and_a_failed_check(make, qtbot):
    dialog = make(ComputerCheckDialog)
    dialog.open()
    dialog.set_report(REPORT)
    with qtbot.waitSignal(dialog.check_wanted):
        dialog.again.click()
    assert dialog.busy.isVisible()
    dialog.set_problem("The check ended by itself.", "Traceback ...")
    assert not dialog.busy.isVisible()
    assert dialog.status.text() == "The check ended by itself."
    assert dialog.again.isEnabled()
    assert "Traceback" in dialog.text()
    dialog.set_report({})  # nothing known is no error
    assert "Computes on" in spoken(dialog.area)


# ---- log


def test_the_log_is_followed_from_any_thread_and_searched(make, qtbot):
    log, store = logging.getLogger("test.window"), LogStore()
    log.setLevel(logging.INFO)
    handler = LogHandler(store)
    log.addHandler(handler)
    try:
        log.info("before the window")
        dialog = make(LogWindow, store, folder="/tmp")
        assert "before the window" in dialog.text.toPlainText()
        thread = threading.Thread(target=lambda: log.warning("from a thread"))
        thread.start()
        thread.join()
        qtbot.waitUntil(lambda: "from a thread" in dialog.text.toPlainText())
        dialog.search.setText("before")
        assert dialog.find_next()
        assert dialog.text.textCursor().selectedText() == "before"
        assert dialog.find_next()  # round to the beginning again
        dialog.search.setText("never written")
        assert not dialog.find_next()
    finally:
        log.removeHandler(handler)
    next(button for button in dialog.buttons.buttons() if button.text() == "Copy all").click()
    assert "from a thread" in QGuiApplication.clipboard().text()


# ---- tour


@pytest.fixture
def window(qtbot):
    widget = QWidget()
    widget.resize(900, 560)
    widget.targets = [QPushButton(str(number), widget) for number in range(5)]
    for number, target in enumerate(widget.targets):
        target.setGeometry(40 + 170 * number, 20 + 100 * number, 90, 40)
    qtbot.addWidget(widget)
    widget.show()
    widget.activateWindow()
    return widget


def start(window, steps=None):
    tour = TourOverlay(window, steps or [TourStep(target, f"Text {n}") for n, target in enumerate(window.targets)])
    tour.start()
    return tour


def test_the_tour_points_at_each_part_and_its_words_are_in_the_window(window, qtbot):
    tour = start(window)
    for number, target in enumerate(window.targets):
        assert tour.number == number
        assert tour.hole().contains(target.geometry())
        assert window.rect().contains(tour.bubble())
        assert not tour.bubble().intersects(target.geometry())
        tour.next_button.click()
    assert tour.isHidden()
    qtbot.waitUntil(lambda: not window.findChildren(TourOverlay))


def test_the_tour_by_keyboard(window, qtbot):
    window.targets[2].setFocus()
    tour = start(window)
    qtbot.keyClick(tour, Qt.Key.Key_Right)
    qtbot.keyClick(tour.next_button, Qt.Key.Key_Return)
    assert tour.number == 2
    qtbot.keyClick(tour, Qt.Key.Key_Left)
    assert tour.number == 1
    qtbot.waitUntil(window.isActiveWindow)
    seen = set()
    for _ in range(6):
        seen.add(window.focusWidget())
        qtbot.keyClick(window.focusWidget(), Qt.Key.Key_Tab)
    assert seen == {tour.skip_button, tour.back_button, tour.next_button}
    qtbot.keyClick(tour, Qt.Key.Key_Escape)
    assert tour.isHidden()
    assert window.focusWidget() is window.targets[2]


def test_the_tour_keeps_clicks_from_the_window_and_follows_its_size(window, qtbot):
    clicked = []
    window.targets[0].clicked.connect(lambda: clicked.append(1))
    tour = start(window)
    place = tour.hole().center()
    assert window.childAt(place) is tour
    qtbot.mouseClick(tour, Qt.MouseButton.LeftButton, pos=place)
    assert clicked == []
    window.resize(700, 400)
    qtbot.waitUntil(lambda: tour.size() == window.size())
    tour.skip_button.click()
    assert tour.isHidden()


def test_a_hidden_target_is_no_error(window, qtbot):
    window.targets[1].hide()
    steps = [
        TourStep(None, "All of it"),
        TourStep(window.targets[1], "Hidden"),
    ]
    tour = start(window, steps)
    assert tour.hole().isEmpty()
    assert (tour.bubble().center() - window.rect().center()).manhattanLength() < 4
    tour.go_on()
    assert tour.next_button.text() == "Done"
    assert tour.skip_button.isHidden()
    tour.go_on()
    assert tour.isHidden()
