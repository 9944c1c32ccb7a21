"""Everything that is read in the window can be translated: shown by a translation that puts brackets around it."""

import re
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PySide6.QtCore import QTranslator
from PySide6.QtWidgets import (
    QAbstractButton,
    QComboBox,
    QLabel,
    QLineEdit,
    QTabBar,
    QTreeWidget,
    QWidget,
)
from window_help import main_window

from app.annotation import Document, operations
from app.shell.step_bar import STEPS
from app.translation import load as translation
from app.translation.library_words import all_shown, is_known, shown
from cellseg1.masks import write_label_image
from cellseg1.masks.check import look_at_masks
from cellseg1.settings import TABLE

TOOLS = Path(sys.executable).parent
#: Not language: names, units, keys, and what the user called something.
SAME = re.compile(
    r"CellSeg1(?: Studio)?|cellseg1|Apache[- ]2\.0|tiny|vit_[bhl]|SAM(?: ViT-[BHL])?|Ctrl|Shift|Alt|Enter|Return|Esc|"
    r"Tab|Space|PgUp|PgDown|Wheel|Del(?:ete)?|F1|px²?|µm²?|GiB|MiB|MB|kB|GB|IoU|AP|PQ|SEG|CSV|PNG|PDF|ZIP|TIFF|"
    r"cuda(?::\d)?|cpu|CPU|GPU|auto|Cells|Test|im\d\.png|a\d\.tif|\.cs1\w*|\.pth|png|tif|http\S*|[\w./-]*/[\w./-]+|"
    r"studio|paper|x|z|t|y|ms|Scroll Left|Scroll Right|Arrow keys|and"
)

SETTINGS = re.compile(rf"\b(?:{'|'.join(TABLE)})\b")


@pytest.fixture(scope="module")
def brackets(tmp_path_factory):
    """A translation file in which every text is ⟦in brackets⟧, made by the tools that translators use."""
    folder = tmp_path_factory.mktemp("translation")
    source, compiled = folder / "studio_de.ts", folder / "studio_de.qm"
    translation.collect(source)
    tree = ET.parse(source)
    count = 0
    for message in tree.iter("message"):
        text = message.findtext("source")
        target = message.find("translation")
        target.attrib.pop("type", None)
        if message.get("numerus") == "yes":
            for form in target.findall("numerusform") or [ET.SubElement(target, "numerusform")]:
                form.text = f"⟦{text}⟧"
        else:
            target.text = f"⟦{text}⟧"
        count += 1
    tree.getroot().set("language", "de_DE")
    tree.write(source, encoding="utf-8", xml_declaration=True)
    subprocess.run([TOOLS / "pyside6-lrelease", "-silent", source, "-qm", compiled], check=True, capture_output=True)
    assert count > 1000
    return compiled


@pytest.fixture
def translated(brackets, qapp):
    translator = QTranslator()
    assert translator.load(str(brackets))
    qapp.installTranslator(translator)
    yield
    qapp.removeTranslator(translator)


@pytest.fixture
def window(translated, tmp_path, monkeypatch, qtbot):
    with main_window(tmp_path / "home", monkeypatch, 1300, 900) as window:
        yield window


def texts_of(widget):
    """Yield (where, text) of everything that a widget and those in it say."""
    for one in [widget, *widget.findChildren(QWidget)]:
        where = f"{type(one).__name__} in {type(one.parent()).__name__}"
        yield f"tip of {where}", one.toolTip()
        yield f"name of {where}", one.accessibleName()
        if isinstance(one, (QLabel, QAbstractButton)):
            yield where, one.text()
        elif isinstance(one, QLineEdit):
            yield where, one.placeholderText()
        elif isinstance(one, QComboBox):
            for index in range(one.count()):
                yield where, one.itemText(index)
        elif isinstance(one, QTabBar):
            for index in range(one.count()):
                yield where, one.tabText(index)
        elif isinstance(one, QTreeWidget):
            for index in range(one.topLevelItemCount()):
                yield where, one.topLevelItem(index).text(0)
        for action in one.actions():
            yield f"action {action.objectName()} of {where}", action.text()


def untranslated(widget):
    """Return what is said in plain English."""
    found = {}
    for where, text in texts_of(widget):
        if not text or "QSpinBox" in where or "qt_spinbox" in where:
            continue
        plain = re.sub(r"<[^>]+>", " ", text)
        # Texts may be put into each other.
        while "⟦" in plain:
            shorter = re.sub(r"⟦[^⟦⟧]*⟧", " ", plain)
            if shorter == plain:
                break
            plain = shorter
        # What was shortened to fit has lost its end.
        plain = re.sub(r"⟦[^⟦⟧]*…", " ", plain)
        plain = SAME.sub(" ", SETTINGS.sub(" ", plain))
        if re.search(r"[A-Za-z]{3,}", plain):
            found.setdefault(text, where)
    return found


def fill(window, tmp_path, qtbot):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    rng = np.random.default_rng(0)
    for number in range(2):
        picture = rng.integers(0, 255, (90, 140), np.uint8)
        Image.fromarray(picture).save(tmp_path / "images" / f"im{number}.png")
    labels = np.zeros((90, 140), np.int32)
    labels[5:30, 5:30], labels[40:44, 50:54], labels[40:70, 90:120], labels[80:85, 5:9] = 1, 2, 3, 1
    write_label_image(tmp_path / "masks" / "im0.png", labels)
    window.session.create_project(tmp_path, "Test")
    window.session.add_images([tmp_path / "images"], copy=True, masks=[tmp_path / "masks"])
    qtbot.waitUntil(lambda: window.session.document is not None and len(window.session.document.cells) == 3)
    window.session.set_training(True)


def test_the_start_page_and_an_empty_project(window, tmp_path, qtbot):
    assert untranslated(window.start_page) == {}
    window.session.create_project(tmp_path, "Test")
    for step in STEPS:
        window.show_step(step)
        qtbot.wait(20)
        assert untranslated(window) == {}, step


def test_every_step_with_images_and_cells(window, tmp_path, qtbot):
    fill(window, tmp_path, qtbot)
    for step in STEPS:
        window.show_step(step)
        qtbot.wait(80)
        assert untranslated(window) == {}, step
    window.show_step("annotate")
    for name in window.canvas.tools:
        window.canvas.set_tool(name)
        assert untranslated(window.area.annotate) == {}, name
    operations.delete_cells(window.session.document, [2])
    assert window.actions_["undo"].text() == "⟦Undo ⟦Delete 1 cell⟧⟧"
    assert window.session.document.undo_name == "Delete 1 cell", "journals are the same in every language"


def test_every_dialog(window, tmp_path, qtbot, monkeypatch):
    from app.dialogs.about import AboutDialog
    from app.dialogs.computer import ComputerCheckDialog
    from app.dialogs.shortcuts import ShortcutsDialog
    from app.pages.annotate.image_dialogs import AxesDialog, PixelSizeDialog
    from app.pages.export.dialog import ExportMasksDialog
    from app.pages.models.panel import ModelsPanel
    from app.pages.models.published import PublishedDialog
    from app.pages.predict.choose_images import ChooseImagesDialog
    from app.pages.project.new_project import NewProjectDialog
    from app.preferences.dialog import PreferencesDialog
    from app.shell.actions import shortcut_table
    from app.shell.closing_dialog import CloseDuringJobDialog
    from app.widgets.dialog import Dialog
    from app.widgets.errors import ErrorDialog

    fill(window, tmp_path, qtbot)
    models = Dialog(window, "⟦⟧")
    models.body.addWidget(ModelsPanel(window.session, window.canvas))
    dialogs = [
        AboutDialog(window),
        CloseDuringJobDialog(["⟦Training⟧"], window, tray=True),
        ComputerCheckDialog(window),
        NewProjectDialog(tmp_path, [], window),
        PreferencesDialog(window.preferences, window),
        ShortcutsDialog(shortcut_table(), window),
        AxesDialog(window, "ZYX", (4, 90, 140), by_hand=False, cells=True),
        PixelSizeDialog(window, (0.5, 0.5), 2),
        ChooseImagesDialog(window.session.project, [], window),
        ExportMasksDialog(window.session, window),
        PublishedDialog(tmp_path / "old.pth", window),
        ErrorDialog("⟦It broke.⟧", "", window),
        models,
    ]
    wrong = {}
    for dialog in dialogs:
        found = untranslated(dialog)
        if found:
            wrong[type(dialog).__name__] = found
        if not dialog.windowTitle().startswith(("⟦", "CellSeg1")):
            wrong[f"title of {type(dialog).__name__}"] = dialog.windowTitle()
        dialog.close()
        dialog.deleteLater()
    assert wrong == {}


def test_warnings_and_steps_of_the_library_are_known():
    """Each sentence that the library can make of masks is in the table."""
    rng = np.random.default_rng(0)
    found = set()
    for count, size in ((1, 9), (3, 2), (12, 3), (12, 8), (1, 80), (30, 2)):
        for seed in range(6):
            labels = np.zeros((100, 150), np.int32)
            for number in range(count):
                y, x = rng.integers(0, 100 - min(size, 90), 2)
                labels[y : y + size + (seed == 5), x : x + size + int(rng.integers(0, 3))] = number + 1
            labels[90:95, 140:145] = 1 if seed % 2 else 0
            found |= set(look_at_masks(labels.shape, labels))
    dense = np.zeros((100, 200), np.int32)
    for number in range(60):
        y, x = divmod(number, 10)
        dense[y * 16 : y * 16 + 13, x * 10 : x * 10 + 8] = number + 1
    found |= set(look_at_masks(dense.shape, dense)) | set(look_at_masks((9, 9), np.zeros((9, 9), np.int32)))
    big = np.ones((40, 60), np.int32)
    found |= set(look_at_masks(big.shape, big))
    kinds = {re.sub(r"[\d.,%]+", "#", one) for one in found}
    assert len(kinds) > 10, kinds
    assert [one for one in found if not is_known(one)] == []

    document = Document((100, 200), dense)
    names = []
    document.subscribe(lambda change: names.append(change.name))
    operations.merge_cells(document, [1, 2])
    operations.delete_cells(document, [3])
    operations.delete_cells(document, [4, 5, 6])
    operations.split_cell(document, 12, [(14, 10), (14, 40)])
    operations.new_cell(document, ((97, 150, 99, 160), np.ones((2, 10), bool)))
    operations.add_to_cell(document, ((95, 150, 97, 160), np.ones((2, 10), bool)), 61)
    operations.erase(document, ((95, 150, 97, 155), np.ones((2, 5), bool)))
    operations.clean_up(document, None, 2, 30)
    operations.delete_cells(document, document.cells.ids().tolist())
    operations.import_labels(document, dense)
    operations.delete_cells(document, range(1, 40))
    operations.accept_proposals(document, dense)
    assert [one for one in names if not is_known(one)] == []
    assert len(set(names)) > 9


def test_what_the_networks_are_is_known():
    from app.pages.shared.backbone_names import WORDS
    from cellseg1.sam.registry import BACKBONES, fetched_specs

    assert [one.description for one in fetched_specs() if not is_known(one.description)] == []
    assert {word for kind in BACKBONES.all() for word in (kind.title, kind.about)} == set(WORDS)


def test_options_of_the_command_line_are_no_advice_in_the_window():
    for sentence in (
        "a.tif has no channel DAPI; it has one channel only. Choose others (--channels).",
        "The image has 4 channels; a, b, c are used. Choose others (--channels) if the cells are not in them.",
        "a.tif has 40 channels. Correct its axes, or choose up to three channels (--channels).",
        "The GPU's memory is not enough; close other programs, or use --device cpu.",
    ):
        assert "--" not in shown(sentence)
        assert shown(sentence).startswith(sentence[:20])


def test_values_are_taken_over_into_the_translation(translated):
    sentence = "Cell 17 covers 63% of the annotated area; is the background painted as a cell?"
    assert shown(sentence) == f"⟦{sentence}⟧"
    assert shown("Delete 1,234 cells") == "⟦Delete 1,234 cells⟧"
    assert all_shown(["Something new."]) == ("Something new.",)


def test_a_translation_is_found_by_the_language(brackets, qapp):
    loaded = translation.install(qapp, brackets.parent, "de_CH")
    try:
        assert shown("Erase") == "⟦Erase⟧"
    finally:
        for one in loaded:
            qapp.removeTranslator(one)
    assert translation.install(qapp, brackets.parent, "fi_FI") == [] or shown("Erase") == "Erase"
