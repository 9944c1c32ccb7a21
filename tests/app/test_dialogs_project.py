"""New project, import report, closing during a job."""

import csv
import io
from pathlib import Path
from types import SimpleNamespace

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtWidgets import QFileDialog, QLabel

from app.pages.project.import_report import ImportReportDialog
from app.pages.project.new_project import NewProjectDialog
from app.shell.closing_dialog import CloseChoice, CloseDuringJobDialog


@pytest.fixture
def make(qtbot):
    def made(kind, *arguments, **keywords):
        dialog = kind(*arguments, **keywords)
        qtbot.addWidget(dialog)
        return dialog

    return made


# ---- new project


def test_a_new_project_has_a_free_name_and_place(make, tmp_path):
    (tmp_path / "My cells.cs1project").mkdir()
    dialog = make(NewProjectDialog, tmp_path)
    wish = dialog.result_values()
    assert (wish.name, wish.parent, wish.images, wish.masks, wish.copy) == ("My cells 2", tmp_path, (), None, True)
    assert dialog.create_button.isEnabled()
    assert "My cells 2.cs1project" in dialog.folder_label.text()


@pytest.mark.parametrize(
    ("name", "word"),
    [("", "Give"), ("a/b", "/"), ("a:b", ":"), ("trailing.", "dot"), ("NUL", "Windows"), ("Old", "already")],
)
def test_names_that_cannot_be_are_said_at_once(make, tmp_path, name, word):
    (tmp_path / "Old.cs1project").mkdir()
    dialog = make(NewProjectDialog, tmp_path)
    dialog.name.setText(name)
    assert not dialog.create_button.isEnabled()
    assert word in dialog._problem.text()
    dialog.name.setText("Zellen 7 – ä")
    assert dialog.create_button.isEnabled()
    assert dialog._problem.text().strip() == ""


def test_the_name_follows_the_first_folder_until_one_is_typed(make, tmp_path, qtbot):
    folder = tmp_path / "Experiment 12"
    folder.mkdir()
    dialog = make(NewProjectDialog, tmp_path, [folder])
    assert dialog.name.text() == "Experiment 12"
    qtbot.keyClicks(dialog.name, "x")
    typed = dialog.name.text()
    dialog.add_images([tmp_path / "other" / "a.tif"])
    assert dialog.name.text() == typed
    assert dialog.result_values().images == (folder, tmp_path / "other" / "a.tif")


def test_images_are_added_once_and_taken_off(make, tmp_path, monkeypatch):
    dialog = make(NewProjectDialog, tmp_path)
    files = [str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]
    monkeypatch.setattr(QFileDialog, "getOpenFileNames", lambda *_: (files, ""))
    dialog.add_files_button.click()
    dialog.add_files_button.click()
    assert dialog.list.count() == 2
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    dialog.add_folder_button.click()
    dialog.list.setCurrentRow(0)
    dialog.remove_button.click()
    assert dialog.result_values().images == (tmp_path / "b.tif", tmp_path)


def test_link_and_masks(make, tmp_path):
    dialog = make(NewProjectDialog, tmp_path)
    dialog.link_button.click()
    dialog.masks.set_path(tmp_path)
    assert "Add the images" in dialog._problem.text()
    dialog.add_images([tmp_path / "a.tif"])
    wish = dialog.result_values()
    assert (wish.copy, wish.masks) == (False, tmp_path)
    dialog.masks.set_path(tmp_path / "nowhere")
    assert not dialog.create_button.isEnabled()


def test_ctrl_return_creates_and_escape_cancels(make, tmp_path, qtbot):
    dialog = make(NewProjectDialog, tmp_path)
    dialog.open()
    dialog.activateWindow()
    qtbot.waitUntil(dialog.isActiveWindow)
    qtbot.keyClick(dialog, Qt.Key.Key_Return, Qt.KeyboardModifier.ControlModifier)
    assert dialog.result() == dialog.DialogCode.Accepted
    dialog = make(NewProjectDialog, tmp_path)
    dialog.open()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.result() == dialog.DialogCode.Rejected


@pytest.mark.parametrize("size", [(560, 300), (640, 700)])
def test_on_a_low_screen_the_form_scrolls_and_what_is_wrong_stays_in_sight(make, tmp_path, qtbot, size):
    dialog = make(NewProjectDialog, tmp_path)
    dialog.resize(*size)
    dialog.name.setText("a/b")
    dialog.show()
    qtbot.wait(20)
    for widget in (dialog._problem, dialog.create_button):
        assert dialog.rect().contains(widget.rect().translated(widget.mapTo(dialog, QPoint(0, 0))))
    for label in dialog.findChildren(QLabel):
        if label.wordWrap() and label.isVisible():
            assert label.height() >= label.heightForWidth(label.width())


# ---- import report


REPORT = SimpleNamespace(
    added=["a", "b", "c"],
    skipped=[(Path("x/notes.docx"), "This is not an image.")],
    cells={"a": 27},
    masks=2,
    sentences=["The mask c.png has another size."],
)


def cells_of(table):
    return [[table.item(row, column).text() for column in range(3)] for row in range(table.rowCount())]


def test_the_report_lists_problems_first_and_counts(make):
    dialog = make(ImportReportDialog, REPORT, names={"a": "a.tif", "b": "b.tif", "c": "c.tif"})
    assert dialog.summary() == "3 images added, 1 with its mask, 1 not added"
    assert cells_of(dialog.table) == [
        ["notes.docx", "", "This is not an image."],
        ["", "", "The mask c.png has another size."],
        ["a.tif", "27", "added with its mask"],
        ["b.tif", "", "added"],
        ["c.tif", "", "added"],
    ]
    dialog.only_problems.setChecked(True)
    assert dialog.table.rowCount() == 2
    assert "c.png" in dialog.text()


def test_a_copied_report_runs_no_formula_and_keeps_its_columns(make):
    report = SimpleNamespace(
        added=[], skipped=[(Path("=cmd.tif"), "One\tline\nor two.")], cells={}, masks=0, sentences=["-1 is no mask."]
    )
    rows = make(ImportReportDialog, report).text().partition("\n")[2]
    assert list(csv.reader(io.StringIO(rows, newline=""), delimiter="\t")) == [
        ["'=cmd.tif", "", "One\tline\nor two."],
        ["", "", "'-1 is no mask."],
    ]


def test_the_report_without_names_shows_what_needs_attention(make):
    dialog = make(ImportReportDialog, REPORT)
    assert dialog.table.rowCount() == 2
    assert dialog.only_problems.isHidden()
    assert "3 images added" in dialog.summary()


def test_long_sentences_get_the_lines_they_need(make, qtbot):
    report = SimpleNamespace(added=[], skipped=[], cells={}, masks=0, sentences=["word " * 80, "short"])
    dialog = make(ImportReportDialog, report)
    dialog.show()
    qtbot.waitUntil(lambda: dialog.table.rowHeight(0) > 2 * dialog.table.rowHeight(1))


# ---- closing


@pytest.mark.parametrize(
    ("button", "choice"),
    [
        ("background_button", CloseChoice.BACKGROUND),
        ("stop_button", CloseChoice.STOP),
        ("cancel_button", CloseChoice.CANCEL),
    ],
)
def test_closing_during_a_job_has_three_answers(make, button, choice):
    dialog = make(CloseDuringJobDialog, ["Training nuclei"], tray=False)
    dialog.open()
    getattr(dialog, button).click()
    assert dialog.choice is choice
    assert not dialog.isVisible()


def test_escape_stays(make, qtbot):
    dialog = make(CloseDuringJobDialog, ["Training nuclei"])
    dialog.open()
    qtbot.keyClick(dialog, Qt.Key.Key_Escape)
    assert dialog.choice is CloseChoice.CANCEL
