"""The window's choice of channels: ticked before a training, kept, handed on, and told where models are used."""

import dataclasses

import numpy as np
import pytest
import tifffile
from panel_help import bench_fixture, cut_labels, nameless  # noqa: F401 - a fixture
from PySide6.QtCore import Qt

from app.engine.messages import PredictRequest, TrainRequest
from app.pages.predict.panel import PredictPanel
from app.pages.predict.scale import facts_of
from app.pages.train.panel import TrainPanel
from app.session.run_requests import plain_request, request_from_plain
from cellseg1.lora.card import Card

NAMES = ("BF", "DAPI", "x", "GFP", "x")


def add_channels(bench, names=NAMES, shape=(96, 144)):
    folder = bench.folder / "channels"
    folder.mkdir()
    values = np.random.default_rng(0).integers(0, 900, (len(names), *shape)).astype(np.uint16)
    metadata = {"axes": "CYX", "Channel": {"Name": list(names)}}
    tifffile.imwrite(folder / "cells.ome.tif", values, metadata=metadata, ome=True)
    bench.session.add_images([folder / "cells.ome.tif"], copy=True)
    return bench.show_image(len(bench.session.project.images) - 1)


@pytest.fixture
def panel(bench, monkeypatch):
    bench.fake_engines(monkeypatch)
    shown = bench.show(TrainPanel(bench.session, bench.canvas))
    shown.shown()
    return shown


def tick(choice, row, on=True):
    choice.list.item(row).setCheckState(Qt.CheckState.Checked if on else Qt.CheckState.Unchecked)


def test_a_grey_image_leaves_nothing_to_choose(bench, panel):
    bench.project("discs")
    assert panel.wishes.channels.isHidden()
    assert panel.wishes.wish().channels == ()


def test_channels_are_ticked_kept_and_handed_on(bench, panel):
    bench.project()
    add_channels(bench)
    choice = panel.wishes.channels
    bench.wait(lambda: not choice.isHidden())
    assert [choice.list.item(row).text() for row in range(5)] == list(NAMES)
    assert choice.wish == ()
    assert "first three that are not empty" in choice.line.text()
    tick(choice, 1)
    tick(choice, 2)
    assert choice.wish == ("DAPI", 2)
    assert "sees DAPI, x, in training and in prediction" in choice.line.text()
    tick(choice, 4)
    # Three are ticked: there is no fourth.
    assert not choice.list.item(0).flags() & Qt.ItemFlag.ItemIsEnabled
    assert choice.list.item(4).flags() & Qt.ItemFlag.ItemIsEnabled
    tick(choice, 4, on=False)
    bench.wait(lambda: (bench.session.project.settings.get("train") or {}).get("channels") == ["DAPI", 2])
    bench.draw()
    bench.session.set_training(True)
    bench.wait(panel.primary.isEnabled)
    panel.press()
    request = bench.session.training.request
    assert request.channels == ("DAPI", 2)
    assert not nameless(panel)
    assert not cut_labels(panel)


def test_the_choice_comes_back_with_the_project(bench, panel):
    bench.project()
    add_channels(bench)
    choice = panel.wishes.channels
    tick(choice, 3)
    bench.wait(lambda: (bench.session.project.settings.get("train") or {}).get("channels") == ["GFP"])
    folder = bench.session.project.folder
    bench.session.close_project()
    assert choice.isHidden()
    bench.session.open_project(folder)
    bench.show_image(0)
    bench.wait(lambda: not choice.isHidden())
    assert choice.wish == ("GFP",)


def test_a_training_that_is_taken_up_again_sees_the_same(tmp_path):
    request = TrainRequest((tmp_path / "a.tif",), (tmp_path / "m.tif",), tmp_path / "x.cs1", channels=("DAPI", 2))
    assert request_from_plain(plain_request(request, tmp_path), tmp_path, tmp_path).channels == ("DAPI", 2)
    old = plain_request(request, tmp_path)
    del old["channels"]
    assert request_from_plain(old, tmp_path, tmp_path).channels == ()
    assert PredictRequest(None, ()).channels == ()


def test_the_predict_step_says_what_a_model_sees(bench, tmp_path, monkeypatch):
    specification = {
        "intensity": {"kind": "percentile", "low": 0.1, "high": 99.9, "outliers": "leave_out"},
        "channels": [{"name": "DAPI", "index": 3}, {"name": "", "index": 0}],
    }
    monkeypatch.setattr("app.pages.predict.scale.load_card", lambda _path: Card(backbone="tiny", input=specification))
    facts = facts_of(tmp_path / "m.cs1")
    assert facts.channels == ("DAPI", "0")
    panel = PredictPanel(bench.session, bench.canvas)
    bench.qtbot.addWidget(panel)
    assert "Sees DAPI, channel 1" in panel.model._about(dataclasses.replace(facts, images=0), trained=True)
    monkeypatch.setattr("app.pages.predict.scale.load_card", lambda _path: Card(backbone="tiny", input={"channels": 3}))
    assert facts_of(tmp_path / "m.cs1").channels == ()
