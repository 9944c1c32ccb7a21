"""Names of files, projects and models are shown as they are written, never as HTML."""

import ast
from pathlib import Path

import numpy as np
import pytest
from panel_help import write_model
from PIL import Image
from PySide6 import QtGui
from PySide6.QtCore import QAbstractItemModel, QAbstractListModel, Qt
from PySide6.QtGui import QPixmap, QTextDocument
from PySide6.QtWidgets import QApplication, QLabel, QMessageBox, QWidget
from window_help import main_window

import app
from app.pages.models.panel import ModelsPanel
from app.pages.predict.choose_images import ChooseImagesDialog
from app.pages.project.import_report import ImportReportDialog
from app.pages.project.new_project import NewProjectDialog
from app.pages.train.images import ElidedButton
from app.project.adding import ImportReport
from app.shell.closing_dialog import CloseDuringJobDialog
from app.shell.image_list.list import ImageList
from app.shell.image_list.rows import ImageRow
from app.shell.status_bar import StatusBar
from app.shell.step_bar import STEPS
from app.widgets.dialog import Dialog
from app.widgets.errors import ErrorDialog
from app.widgets.plain import Label, MessageBox, one_line, plain_action, plain_tip, plain_title
from cellseg1.masks import write_label_image

BAD = "<img src=x onerror=1><b>bold<b> & more"


def drawn(text):
    """What Qt draws of a text where it guesses."""
    if not QtGui.Qt.mightBeRichText(text):
        return text
    document = QTextDocument()
    document.setHtml(text)
    return document.toPlainText()


def guessed(top):
    """Texts below a widget that are not drawn as they are written."""
    found = []
    for widget in [top, *top.findChildren(QWidget)]:
        if isinstance(widget, QLabel) and widget.textFormat() != Qt.TextFormat.PlainText and "<" in widget.text():
            found.append(widget.text())
        tips = [widget.toolTip()]
        model = getattr(widget, "model", None)
        model = model() if callable(model) else None
        if isinstance(model, QAbstractItemModel):
            columns = 1 if isinstance(model, QAbstractListModel) else model.columnCount()
            cells = [model.index(row, column) for row in range(model.rowCount()) for column in range(columns)]
            tips += [cell.data(Qt.ItemDataRole.ToolTipRole) or "" for cell in cells]
        found += [tip for tip in tips if "<img" in tip or "<b>" in tip]
    return found


@pytest.fixture
def window(tmp_path, monkeypatch, qtbot):
    with main_window(tmp_path / "home", monkeypatch) as window:
        yield window


@pytest.fixture
def named(window, tmp_path, qtbot):
    """A project whose image, model and mask have such names."""
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    picture = np.random.default_rng(0).integers(0, 255, (90, 140), np.uint8)
    Image.fromarray(picture).save(tmp_path / "images" / f"{BAD}.png")
    labels = np.zeros((90, 140), np.int32)
    labels[5:30, 5:30], labels[40:70, 90:120] = 1, 2
    write_label_image(tmp_path / "masks" / f"{BAD}.png", labels)
    window.session.create_project(tmp_path, "Test")
    window.session.add_images([tmp_path / "images"], copy=False, masks=[tmp_path / "masks"])
    qtbot.waitUntil(lambda: window.session.document is not None and len(window.session.document.cells) == 2)
    window.session.set_training(True)
    window.session.project.rename("A & B")
    window.session.project_changed.emit()
    model = write_model(window.session.project.models_folder, BAD, recipe=BAD, notes=BAD)
    window.session.models_changed.emit()
    window.session.set_model(model)
    return window


def test_no_step_shows_a_name_as_html(named, qtbot):
    window = named
    window.say(f"The model {BAD} is chosen.", f"Use {BAD}")
    seen = set()
    for step in STEPS:
        window.show_step(step)
        qtbot.wait(60)
        assert guessed(window) == [], step
        seen |= {label.text() for label in window.findChildren(QLabel)}
    assert any(BAD in text for text in seen)
    assert any(BAD in (row.data(Qt.ItemDataRole.DisplayRole) or "") for row in indexes(window))


def indexes(top):
    from PySide6.QtWidgets import QAbstractItemView

    for view in top.findChildren(QAbstractItemView):
        if view.model() is not None:
            yield from (view.model().index(row, 0) for row in range(view.model().rowCount()))


def test_no_dialog_shows_a_name_as_html(named, tmp_path):
    models = Dialog(named, f"Models {BAD}")
    panel = ModelsPanel(named.session, named.canvas)
    models.body.addWidget(panel)
    report = ImportReport(added=["x"], skipped=[(tmp_path / BAD, BAD)], sentences=[BAD])
    dialogs = [
        models,
        ChooseImagesDialog(named.session.project, [], named),
        CloseDuringJobDialog([BAD], named, tray=True),
        ErrorDialog(BAD, BAD, named),
        ImportReportDialog(report, named, names={"x": BAD}),
        NewProjectDialog(tmp_path, [tmp_path / "images" / f"{BAD}.png"], named),
        MessageBox(named, BAD, BAD, BAD),
    ]
    for dialog in dialogs:
        dialog.show()
        QApplication.processEvents()
        wrong = guessed(dialog)
        dialog.close()
        dialog.deleteLater()
        wrong = [text for text in wrong if drawn(text) != BAD]
        assert wrong == [], type(dialog).__name__


def test_a_label_draws_no_foreign_picture(tmp_path, qtbot):
    red = QPixmap(60, 60)
    red.fill(Qt.GlobalColor.red)
    red.save(str(tmp_path / "red.png"))
    text = f"<img src='{tmp_path / 'red.png'}'>"
    for label, painted in ((QLabel(text), True), (Label(text), False), (QLabel(plain_tip(text)), False)):
        qtbot.addWidget(label)
        label.resize(label.sizeHint())
        image = label.grab().toImage()
        reds = {image.pixelColor(x, y).name() for x in range(0, 60, 5) for y in range(0, min(60, image.height()), 5)}
        assert ("#ff0000" in reds) is painted


@pytest.mark.parametrize("text", [BAD, "a < b", "1 &lt; 2 <b>", "one\ntwo <i>", "plain & simple", "</p><p>"])
def test_a_tip_is_drawn_as_it_is_written(text):
    assert drawn(plain_tip(text)) == text
    assert plain_tip("A usual sentence.") == "A usual sentence."


def test_ampersands_and_stars_in_names(qtbot):
    assert plain_action("Tom & Jerry") == "Tom && Jerry"
    widget = QWidget()
    qtbot.addWidget(widget)
    widget.setWindowTitle(plain_title("A [*] B"))
    widget.setWindowModified(True)
    assert widget.windowTitle().replace("[*][*]", "[*]") == "A [*] B"


def test_a_question_returns_its_answer(qtbot, monkeypatch):
    def click(box):
        assert (box.text(), box.textFormat()) == (BAD, Qt.TextFormat.PlainText)
        box.button(QMessageBox.StandardButton.Yes).click()

    monkeypatch.setattr(MessageBox, "exec", click)
    assert MessageBox.ask(None, "Title", BAD) == QMessageBox.StandardButton.Yes


def written_here(node):
    """Whether an expression is made of texts of the program alone."""
    if isinstance(node, ast.Constant):
        return True
    if isinstance(node, ast.IfExp):
        return written_here(node.body) and written_here(node.orelse)
    if isinstance(node, ast.JoinedStr):
        return all(written_here(part) for part in node.values)
    if isinstance(node, ast.FormattedValue):
        return written_here(node.value)
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
        if name in {"tr", "translate", "_translate"}:
            return all(isinstance(one, ast.Constant) for one in node.args[:2])
        return name == "plain_tip"
    return False


def test_the_program_leaves_no_text_to_a_guess():
    """Labels are ours, and a tool tip with anything but our own words goes through `plain_tip`."""
    wrong = []
    for path in sorted(Path(app.__file__).parent.rglob("*.py")):
        if path.name == "plain.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and any(getattr(base, "id", "") == "QLabel" for base in node.bases):
                wrong.append(f"{path.name}:{node.lineno} class of QLabel")
            if not isinstance(node, ast.Call):
                continue
            function = node.func
            name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
            owner = getattr(function.value, "id", "") if isinstance(function, ast.Attribute) else ""
            if name in {"QLabel", "QMessageBox", "QTextBrowser", "QTextEdit", "setHtml", "setWhatsThis"}:
                wrong.append(f"{path.name}:{node.lineno} {name}")
            if owner == "QMessageBox" and name in {"question", "warning", "information", "critical", "about"}:
                wrong.append(f"{path.name}:{node.lineno} QMessageBox.{name}")
            if name in {"setToolTip", "setTabToolTip"} and not written_here(node.args[-1]):
                wrong.append(f"{path.name}:{node.lineno} {name}")
    assert wrong == []


def test_names_have_one_line_and_keep_their_ampersand(qtbot):
    assert one_line("new\nline\r\u2028\x07.tif") == "new line   .tif"
    assert plain_title("a\nb[*]") == "a b[*][*]"
    button = ElidedButton()
    qtbot.addWidget(button)
    button.set_room(400)
    button.set_full_text("R&D\n1.tif")
    assert button.text() == "R&&D 1.tif"
    bar = StatusBar()
    qtbot.addWidget(bar)
    bar.set_device("cpu: R&D 1")
    assert bar._device.text() == "cpu: R&&D 1"


def test_a_row_of_the_list_draws_a_name_with_line_breaks_in_one_line(qtbot):
    pictures = []
    for name in ("new\nline.tif", "new line.tif"):
        shown = ImageList()
        qtbot.addWidget(shown)
        shown.resize(240, 300)
        shown.set_rows([ImageRow("a", name)])
        pictures.append(shown.view.grab().toImage())
    assert pictures[0] == pictures[1]
