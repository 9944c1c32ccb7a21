import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from page_help import CELLS, SHAPE, Stage, disc, labels_of
from PySide6.QtCore import QPoint, Qt
from PySide6.QtGui import QImage

from app.pages.measure import report
from app.pages.measure.panel import MeasurePanel
from app.pages.measure.scores import Drawn, Pair, Side, counts, error_picture, find_pairs, score_pair
from app.widgets.number_table import NumberTable
from cellseg1.errors import MaskError, PairingError
from cellseg1.evaluation import evaluate_labels
from cellseg1.masks import write_label_image
from cellseg1.measurement import measure_cells, write_csv

#: Of the six predicted cells: the first missing in the truth, one more true cell, two true ones where one is found.
TRUTH = (*CELLS[1:], (130, 20, 6))


@pytest.fixture
def stage(qtbot, tmp_path):
    stage = Stage(qtbot, tmp_path)
    yield stage
    stage.session.close()


def panel_of(stage, tab=0):
    panel = MeasurePanel(stage.session, stage.canvas)
    stage.qtbot.addWidget(panel)
    stage.connect()
    stage.canvas.show()
    panel.tabs.setCurrentIndex(tab)
    panel.resize(304, 900)
    panel.show()
    return panel


def rows_of(path):
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


# ---- cells


def test_rows_and_cells_choose_each_other(stage):
    stage.project.draw("i0", labels_of(CELLS))
    panel = panel_of(stage, tab=1)
    stage.show()
    cells = panel.cells
    cells._soon.timeout.emit()
    stage.settle()
    assert cells.table.source.rowCount() == 6
    assert "6 cells" in cells.summary.text()
    assert "pixel size is not known" in cells.summary.text()
    cells.table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    stage.canvas.select({5})
    assert [int(cells.rows.ids[row]) for row in cells.table.chosen()] == [5]
    cells.table.choose(2)
    assert stage.canvas.selection == {3}
    top, left, bottom, right = stage.canvas.visible_box()
    assert top <= 30 <= bottom
    assert left <= 100 <= right


def test_the_table_follows_edits_and_the_image(stage):
    stage.project.draw("i0", labels_of(CELLS))
    stage.project.images.get("i0").pixel_size_um = (0.5, 0.5)
    panel = panel_of(stage, tab=1)
    stage.show()
    cells = panel.cells
    stage.qtbot.waitUntil(lambda: cells.rows is not None and len(cells.rows) == 6)
    assert "µm" in cells.summary.text()
    from app.annotation import operations

    operations.delete_cells(stage.session.document, [1, 2])
    stage.qtbot.waitUntil(lambda: len(cells.rows) == 4)
    stage.show("i1")
    assert cells.empty.isVisible()
    steps = []
    panel.step_wanted.connect(steps.append)
    cells.empty.button.click()
    assert steps == ["annotate"]


def test_saving_the_cells(stage, tmp_path):
    stage.project.draw("i0", labels_of(CELLS))
    panel = panel_of(stage, tab=1)
    stage.show()
    stage.qtbot.waitUntil(lambda: panel.cells.rows is not None)
    panel.cells.save_to(tmp_path / "cells.csv")
    stage.settle()
    assert len(rows_of(tmp_path / "cells.csv")) == 7
    assert "6 cells saved" in stage.session.notes[-1]


def test_a_table_keeps_its_mean_last_and_sorts_by_value(qtbot):
    table = NumberTable()
    qtbot.addWidget(table)
    table.set_table(("a", "b"), [("x", 10.0), ("y", 9.0), ("mean", 9.5)], (0, 1), summary=True)
    for order, wanted in (
        (Qt.SortOrder.AscendingOrder, ["y", "x", "mean"]),
        (Qt.SortOrder.DescendingOrder, ["x", "y", "mean"]),
    ):
        table.sortByColumn(1, order)
        assert [table.model().index(row, 0).data() for row in range(3)] == wanted
    assert table.as_text().splitlines() == ["a\tb", "x\t10.0", "y\t9.0", "mean\t9.5"]


# ---- what is compared


def test_drawn_cells_are_compared_with_a_run(stage):
    run = stage.project.add_run(["i0", "i1"])
    stage.project.draw("i0", labels_of(TRUTH), checked=True)
    stage.project.draw("i2", labels_of(TRUTH))
    prediction = Side(run_id=run.id, settings=None)
    found = find_pairs(stage.project, Side(), prediction)
    assert [pair.plane for pair in found.pairs] == [("i0", 0, 0)]
    assert found.remarks == ("1 image with cells was not part of this prediction.",)
    stage.project.draw("i0", np.zeros(SHAPE, np.int32))
    with pytest.raises(PairingError, match="None of"):
        find_pairs(stage.project, Side(), prediction)


def test_what_is_missing_is_said(stage):
    run = stage.project.add_run(["i0"])
    with pytest.raises(PairingError, match="Draw or accept"):
        find_pairs(stage.project, Side(), Side(run_id=run.id))
    with pytest.raises(PairingError, match="marked as checked"):
        find_pairs(stage.project, Side(checked_only=True), Side(run_id=run.id))
    with pytest.raises(PairingError, match="Predict some images"):
        find_pairs(stage.project, Side(), Side(run_id="gone"))


def test_folders_are_paired_by_name(stage, tmp_path):
    run = stage.project.add_run(["i0", "i1"])
    truth, pred = tmp_path / "truth", tmp_path / "pred"
    for name in ("a2_mask.png", "zz.png"):
        write_label_image(truth / name, labels_of(TRUTH))
    write_label_image(pred / "a2.tif", labels_of(CELLS))
    found = find_pairs(stage.project, Side(folder=truth), Side(run_id=run.id))
    assert [(pair.plane, pair.truth.name) for pair in found.pairs] == [(("i1", 0, 0), "a2_mask.png")]
    assert any("zz.png" in remark for remark in found.remarks)
    found = find_pairs(stage.project, Side(folder=truth), Side(folder=pred))
    assert [(pair.plane, pair.name) for pair in found.pairs] == [(("i1", 0, 0), "a2.tif")]
    stage.project.draw("i1", labels_of(TRUTH))
    found = find_pairs(stage.project, Side(), Side(folder=pred))
    assert [(pair.plane, pair.prediction.name) for pair in found.pairs] == [(("i1", 0, 0), "a2.tif")]
    (tmp_path / "empty").mkdir()
    with pytest.raises(PairingError, match="choose another folder"):
        find_pairs(stage.project, Side(folder=tmp_path / "empty"), Side(run_id=run.id))


def test_scores_are_those_of_the_library_and_of_the_region_only(tmp_path):
    truth, prediction = labels_of(TRUTH), labels_of(CELLS)
    path = tmp_path / "p.tif"
    write_label_image(path, prediction)
    pair = Pair("a", ("i0", 0, 0), None, path)
    found = score_pair(pair, Drawn(truth)).score
    assert found.ap == evaluate_labels(truth, prediction).ap
    assert counts(found) == {"missed": 1, "invented": 1, "split": 0, "merged": 0}
    # The region leaves out the invented cell at the upper left.
    inside = score_pair(pair, Drawn(truth, (40, 5, 100, 85)))
    assert counts(inside.score) == {"missed": 1, "invented": 0, "split": 0, "merged": 0}
    (mistake,) = inside.score.mistakes
    assert mistake.box == (14, 124, 27, 137), "boxes are those of the whole image"
    with pytest.raises(MaskError, match="shape"):
        score_pair(pair, Drawn(truth[:50]))


def test_the_error_picture_shows_each_kind_in_its_colour():
    truth, prediction = labels_of(TRUTH), labels_of(CELLS)
    merged = disc(SHAPE, 75, 65, 7)
    truth[merged] = 0
    truth[merged & (np.arange(SHAPE[1]) < 75)] = 50
    truth[merged & (np.arange(SHAPE[1]) > 75)] = 51
    score = evaluate_labels(truth, prediction)
    picture = error_picture(truth, prediction, score.mistakes)
    assert tuple(picture[20, 20]) == (240, 160, 32)
    assert tuple(picture[20, 130]) == (86, 180, 233)
    assert tuple(picture[65, 72]) == (180, 140, 255)
    assert tuple(picture[25, 60]) == (190, 192, 196)
    assert tuple(picture[5, 5]) == (18, 18, 20)


# ---- the panel


@pytest.fixture
def compared(stage):
    stage.project.add_run(["i0", "i1"])
    stage.project.draw("i0", labels_of(CELLS), checked=True)
    stage.project.draw("i1", labels_of(TRUTH), checked=True)
    panel = panel_of(stage)
    stage.show("i0")
    panel.accuracy.press()
    stage.settle()
    return panel.accuracy


def test_scores_of_each_image_and_their_mean(stage, compared):
    rows = compared.table.source.rows
    assert [row[0] for row in rows] == ["a1.tif", "a2.tif", "mean (errors: sum)"]
    assert rows[0][1:6] == (1.0, 1.0, 1.0, 1.0, 1.0)
    assert rows[1][1] == pytest.approx(5 / 7)
    assert rows[2][1] == pytest.approx((1 + 5 / 7) / 2)
    assert rows[1][6:] == rows[2][6:] == (1, 1, 0, 0)
    assert compared.headline.text() == "AP 0.857"
    assert compared.curve.report is compared.report
    assert compared.curve.value_at(0) == (0.5, pytest.approx(6 / 7))
    assert "2 errors in all images" in compared.mistakes.title.text()
    assert compared.progress_area.isHidden()


def test_an_error_is_shown_in_its_image(stage, compared):
    assert stage.session.image_id == "i0"
    kinds = [row[0] for row in compared.mistakes.table.source.rows]
    compared.mistakes.table.choose(kinds.index("invented"))
    stage.settle()
    assert stage.session.image_id == "i1"
    marks = stage.canvas.scene.marks
    assert [mark.kind for mark in marks] == kinds
    shown = marks[stage.canvas.scene.current_mark]
    assert shown.kind == "invented"
    assert shown.box == (11, 11, 30, 30)
    top, left, bottom, right = stage.canvas.visible_box()
    assert top <= 20 <= bottom
    assert left <= 20 <= right
    assert stage.canvas.scene.reference.labels is not None, "the prediction is outlined"
    stage.show("i2")
    assert not stage.canvas.scene.marks
    assert stage.canvas.scene.reference.labels is None


def test_a_clicked_mark_selects_its_row(stage, compared):
    stage.show("i1")
    stage.canvas.mark_clicked.emit(1)
    assert compared.mistakes.table.chosen() == [1]
    compared.table.choose(0)
    assert "No errors in a1.tif" in compared.mistakes.title.text()
    stage.canvas.mark_clicked.emit(0)
    assert compared.mistakes.title.text() == "2 errors in a2.tif"
    assert compared.mistakes.table.chosen() == [0]


def test_leaving_the_tab_leaves_nothing_over_the_image(stage, compared):
    stage.show("i1")
    assert stage.canvas.scene.marks
    compared.window().tabs.setCurrentIndex(1)
    assert not stage.canvas.scene.marks
    assert stage.canvas.scene.reference.labels is None
    compared.window().tabs.setCurrentIndex(0)
    stage.settle()
    assert stage.canvas.scene.marks


def test_an_edit_of_the_truth_is_noticed(stage, compared):
    stage.session.document.set_attribute("x", "training", True)
    assert "compare again" in compared.remarks.label.text()


def test_images_that_do_not_fit_are_listed_and_the_rest_counts(stage, tmp_path):
    stage.project.draw("i0", labels_of(CELLS))
    stage.project.draw("i1", labels_of(TRUTH))
    folder = tmp_path / "pred"
    write_label_image(folder / "a1.png", labels_of(CELLS))
    write_label_image(folder / "a2.png", labels_of(CELLS)[:40])
    panel = panel_of(stage)
    stage.show()
    panel.accuracy.prediction.set_folder(folder)
    panel.accuracy.press()
    stage.settle()
    assert len(panel.accuracy.results) == 1
    assert "a2.tif" in panel.accuracy.remarks.label.text()
    assert "Left out: 1 image" in panel.accuracy.remarks.label.text()


def test_cancel_keeps_the_result_before(stage, compared):
    before = compared.report
    compared.press()
    compared.press()
    stage.settle()
    assert compared.report is before
    assert "Cancelled" in compared.remarks.label.text()
    assert compared.primary.text() == "Compare again"


@pytest.mark.parametrize(
    ("prepare", "words", "step"),
    [
        (lambda project: None, "Nothing is predicted yet", "predict"),
        (lambda project: project.add_run(["i0"]), "No cells are drawn yet", "annotate"),
    ],
)
def test_every_state_says_what_to_do(stage, prepare, words, step):
    prepare(stage.project)
    panel = panel_of(stage)
    stage.show()
    assert words in panel.accuracy.hint.text()
    assert not panel.accuracy.primary.isEnabled()
    steps = []
    panel.step_wanted.connect(steps.append)
    panel.accuracy.go_button.click()
    assert steps == [step]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\uff1d1"])
def test_no_name_runs_as_a_formula(stage, compared, tmp_path, qtbot, name):
    labels = np.zeros((20, 33), np.int32)
    labels[2:5, 10:16] = 4
    write_csv(tmp_path / "c.csv", measure_cells(labels, (0.5, 0.25)), name)
    assert rows_of(tmp_path / "c.csv")[1][0] == f"'{name}"
    report.write_csv(
        tmp_path / "r.csv", replace(compared.report, images=[replace(compared.report.images[0], name=name)])
    )
    assert rows_of(tmp_path / "r.csv")[1][0] == f"'{name}"
    table = NumberTable()
    qtbot.addWidget(table)
    table.set_table(("image", "change"), [(name, -2.5), ("two\tcells\nand a line", 1.0)], (0, 1))
    rows = list(csv.reader(io.StringIO(table.as_text(), newline=""), delimiter="\t"))
    assert rows == [["image", "change"], [f"'{name}".replace("\r", "\n"), "-2.5"], ["two\tcells\nand a line", "1.0"]]


def test_the_report_as_csv_png_and_pdf(stage, compared, tmp_path):
    compared.save_to(tmp_path / "r.csv")
    rows = rows_of(tmp_path / "r.csv")
    assert rows[0][:3] == ["image", "ap_0.50", "ap_0.55"]
    assert [row[0] for row in rows[1:]] == ["a1.tif", "a2.tif", "mean"]
    assert float(rows[3][1]) == pytest.approx(6 / 7, abs=1e-5)
    assert rows[2][-4:] == ["1", "1", "0", "0"]
    compared.save_to(tmp_path / "r.png")
    picture = QImage(str(tmp_path / "r.png"))
    assert picture.width() == 1190
    dark = sum(
        picture.pixelColor(QPoint(x, y)).lightness() < 90
        for y in range(80, picture.height(), 7)
        for x in range(80, 1100, 3)
    )
    assert dark > 20, "there is text on the page"
    compared.save_to(tmp_path / "r.pdf")
    assert (tmp_path / "r.pdf").read_bytes().startswith(b"%PDF")
    assert "saved in" in stage.session.notes[-1]


def test_a_long_report_has_several_pages(stage, compared, tmp_path):
    compared.set_results(compared.results * 60)
    compared.save_to(tmp_path / "long.pdf")
    assert (tmp_path / "long.pdf").read_bytes().count(b"/Type /Page\n") == 4


def test_a_report_that_cannot_be_saved_is_a_sentence(stage, compared, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr("app.pages.measure.accuracy.show_error", lambda _parent, sentence: said.append(sentence))
    (tmp_path / "file").write_bytes(b"")
    compared.save_to(tmp_path / "file" / "r.csv")
    assert len(said) == 1


def test_checked_images_are_the_truth_as_soon_as_there_are_any_unless_one_chose(stage):
    stage.project.add_run(["i0"])
    stage.project.draw("i0", labels_of(TRUTH))
    panel = panel_of(stage)
    stage.show()
    truth = panel.accuracy.truth
    assert truth.currentData() == "drawn"
    stage.project.draw("i0", labels_of(TRUTH), checked=True)
    stage.session.image_state_changed.emit("i0")
    stage.settle()
    assert truth.currentData() == "checked"
    truth.setCurrentIndex(1)
    truth.activated.emit(1)
    stage.session.image_state_changed.emit("i0")
    stage.settle()
    assert truth.currentData() == "drawn"


def test_the_panels_fit_beside_the_canvas(stage):
    from app.pages.predict.panel import PredictPanel
    from app.pages.review.panel import ReviewPanel

    for kind in (PredictPanel, ReviewPanel, MeasurePanel):
        panel = kind(stage.session, stage.canvas)
        stage.qtbot.addWidget(panel)
        assert panel.minimumSizeHint().width() <= 304, kind
        assert panel.sizeHint().width() <= 340


def test_everything_one_can_use_has_a_name(stage):
    from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QComboBox, QSlider

    from app.pages.predict.panel import PredictPanel
    from app.pages.review.panel import ReviewPanel

    stage.project.add_run(["i0"])
    for kind in (PredictPanel, ReviewPanel, MeasurePanel):
        panel = kind(stage.session, stage.canvas)
        stage.qtbot.addWidget(panel)
        panel.show()
        stage.show()
        for sort in (QAbstractButton, QComboBox, QSlider, QAbstractItemView):
            for widget in panel.findChildren(sort):
                # Parts of Qt's own views and tab bars are not ours.
                foreign = widget.parent() is not None and type(widget.parent()).__name__ in (
                    "QTabBar",
                    "QComboBoxPrivateContainer",
                    "NumberTable",
                    "QListWidget",
                )
                if widget.isVisible() and not foreign:
                    name = widget.accessibleName() or getattr(widget, "text", lambda: "")()
                    assert name, (kind.__name__, type(widget).__name__, widget.objectName())
        panel.hide()
