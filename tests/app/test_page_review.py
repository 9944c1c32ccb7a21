import numpy as np
import pytest
from page_help import Stage, disc
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from app.pages.review.panel import ReviewPanel


@pytest.fixture
def stage(qtbot, tmp_path):
    stage = Stage(qtbot, tmp_path)
    yield stage
    stage.session.close()


@pytest.fixture
def panel(stage):
    stage.project.add_run(["i0", "i1"])
    panel = ReviewPanel(stage.session, stage.canvas)
    stage.qtbot.addWidget(panel)
    stage.connect()
    stage.canvas.show()
    panel.show()
    stage.show()
    return panel


def key(stage, which, modifiers=Qt.KeyboardModifier.NoModifier):
    QTest.keyClick(stage.canvas, which, modifiers)
    stage.settle()


def score_of(stage, number):
    return round(float(stage.session.proposals.scores()[number]), 2)


def test_counts_proposals_and_cells(stage, panel):
    assert panel.counts.text() == "6 proposals, 0 cells"
    stage.session.proposals.accept([1])
    stage.settle()
    assert panel.counts.text() == "5 proposals, 1 cell"


def test_tab_goes_from_the_least_sure_upwards_and_round(stage, panel):
    seen = []
    for _ in range(7):
        key(stage, Qt.Key.Key_Tab)
        seen.append(score_of(stage, panel.current))
    assert seen == [0.55, 0.65, 0.75, 0.85, 0.9, 0.95, 0.55]
    key(stage, Qt.Key.Key_Backtab, Qt.KeyboardModifier.ShiftModifier)
    assert score_of(stage, panel.current) == 0.95
    assert "0.95" in panel.which.text()


def test_enter_accepts_and_goes_on(stage, panel):
    key(stage, Qt.Key.Key_Tab)
    key(stage, Qt.Key.Key_Return)
    document = stage.session.document
    assert len(document.cells) == 1
    assert document.cell_at(115.5, 70.5) == 1, "the least sure one became a cell"
    assert score_of(stage, panel.current) == 0.65
    assert len(stage.session.proposals.offered) == 5
    document.undo()
    stage.settle()
    assert len(stage.session.proposals.offered) == 6


@pytest.mark.parametrize("which", [Qt.Key.Key_Delete, Qt.Key.Key_R])
def test_delete_or_r_rejects(stage, panel, which):
    key(stage, Qt.Key.Key_Tab)
    key(stage, which)
    document = stage.session.document
    assert len(document.cells) == 0
    assert document.attributes["rejected"] == {"0001-predict": [5]}
    assert score_of(stage, panel.current) == 0.65
    assert stage.canvas.tool.name == "select", "R is not the region tool here"
    document.undo()
    stage.settle()
    assert len(stage.session.proposals.offered) == 6


def test_a_click_on_a_proposal_chooses_it(stage, panel):
    stage.canvas.set_tool("select")
    QTest.mouseClick(stage.canvas, Qt.MouseButton.LeftButton, pos=stage.canvas.to_widget(60, 25).toPoint())
    stage.settle()
    assert score_of(stage, panel.current) == 0.9
    assert panel.accept_button.isEnabled()


def test_keys_belong_to_a_drawn_cell_once_one_is_chosen(stage, panel):
    stage.session.proposals.accept([1])
    key(stage, Qt.Key.Key_Tab)
    assert panel.current
    stage.canvas.select({1})
    stage.settle()
    assert panel.current == 0
    key(stage, Qt.Key.Key_Delete)
    assert len(stage.session.document.cells) == 0, "Delete removed the cell"
    assert not stage.session.document.attributes.get("rejected")


def test_the_canvas_has_its_keys_back_when_the_panel_is_left(stage, panel):
    key(stage, Qt.Key.Key_Tab)
    panel.hide()
    key(stage, Qt.Key.Key_R)
    assert stage.canvas.tool.name == "region"
    assert not stage.session.document.attributes.get("rejected")


def test_the_slider_says_how_many_and_divides(stage, panel):
    panel.score.set_value(0.8)
    panel.score.value_changed.emit(0.8)
    assert "3" in panel.accept_above.text()
    assert "3" in panel.reject_below.text()
    panel.accept_above.click()
    stage.settle()
    assert len(stage.session.document.cells) == 3
    panel.reject_below.click()
    stage.settle()
    assert panel.counts.text() == "0 proposals, 3 cells"
    assert stage.session.document.undo_count == 2, "each is one step"
    assert "mark the image as checked" in panel.empty.sentence.text()


def test_accept_all_keeps_drawn_cells(stage, panel):
    drawn = np.zeros((90, 140), np.int32)
    drawn[disc(drawn.shape, 20, 20, 9)] = 7
    stage.project.draw("i1", drawn)
    stage.show("i1")
    assert panel.counts.text() == "5 proposals, 1 cell"
    panel.accept_all.click()
    stage.settle()
    labels = stage.session.document.labels
    assert len(stage.session.document.cells) == 6
    assert np.array_equal(labels == 7, drawn == 7)


def test_checked_next_marks_and_goes_on_until_all_are_checked(stage, panel):
    shown = []
    for _ in range(3):
        shown.append(stage.session.image_id)
        panel.primary.click()
        stage.settle()
    assert shown == ["i0", "i1", "i2"]
    assert all(one.planes["0,0"]["checked"] for one in stage.project.images)
    assert "All images are checked" in stage.session.notes[-1]
    assert panel.checked.isChecked()


def test_training_and_train_on(stage, panel, tmp_path):
    panel.training.click()
    assert stage.session.document.attributes["training"] is True
    assert panel.train_on.isHidden(), "there is no model to train on from"
    wanted, steps = [], []
    panel.train_on_wanted.connect(wanted.append)
    panel.step_wanted.connect(steps.append)
    stage.session.set_model(tmp_path / "m.cs1")
    stage.settle()
    panel.train_on.click()
    assert wanted == [tmp_path / "m.cs1"]
    assert steps == ["train"]


def test_an_image_without_prediction_leads_to_step_three(stage, panel):
    stage.show("i2")
    assert "not predicted yet" in panel.empty.sentence.text()
    steps = []
    panel.step_wanted.connect(steps.append)
    panel.empty.button.click()
    assert steps == ["predict"]
    assert panel.one.isHidden()


def test_read_only_changes_nothing(stage, panel):
    stage.project.read_only = True
    panel.refresh()
    key(stage, Qt.Key.Key_Tab)
    key(stage, Qt.Key.Key_Return)
    assert len(stage.session.document.cells) == 0
    assert not panel.accept_all.isEnabled()
    assert not panel.primary.isEnabled()


def test_a_proposal_on_drawn_cells_is_not_made_a_cell_and_that_is_said(stage, panel, monkeypatch):
    panel.choose(3)
    monkeypatch.setattr(stage.session.proposals, "accept", lambda _ids: 0)
    panel.accept_current()
    assert "lies on drawn cells" in stage.session.notes[-1]
