"""A SAM network in the window: its file is imported, a model trained on it, exported, and a published .pth imported.

The network is the small one of the golden vectors in vit_b's place; the engines learn of it by a `sitecustomize`.
"""

import dataclasses
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from engine_help import discs
from PIL import Image
from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QApplication

from app.pages.models.panel import ModelsPanel
from app.pages.models.published import PublishedDialog
from app.preferences.store import PreferencesStore
from app.shell.main_window import MainWindow
from app.theme import apply_theme
from cellseg1.masks import write_label_image
from cellseg1.sam import registry, shapes

CORE = Path(__file__).parents[1] / "core"
SMALL = {"embed_dim": 96, "depth": 4, "heads": 3, "global_blocks": [1, 3], "window": 7}
WISHES = {
    "epoch_max": 1,
    "duplicate_data": 2,
    "batch_size": 1,
    "gradient_accumulation_step": 1,
    "points_per_side": 4,
    "crop_n_layers": 0,
    "pred_iou_thresh": 0.0,
    "stability_score_thresh": 0.0,
    "max_mask_region_area_ratio": 1.0,
    "sam_image_size": 128,
    "patch_size": 96,
    "min_cell_area": 20,
}
CUSTOMIZE = """
import dataclasses, json, os
if "CELLSEG1_TEST_VIT" in os.environ:
    from cellseg1.sam import registry, shapes
    told = json.loads(os.environ["CELLSEG1_TEST_VIT"])
    told["shape"]["global_blocks"] = tuple(told["shape"]["global_blocks"])
    shapes.VIT_SHAPES["vit_b"] = shapes.VitShape(**told["shape"])
    kind = registry.get_kind("vit_b")
    file = dataclasses.replace(kind.file, **told["file"])
    registry.BACKBONES.known["vit_b"] = dataclasses.replace(kind, file=file)
"""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file in the layout of the official ones; made elsewhere, because the window knows no torch."""
    path = tmp_path_factory.mktemp("weights") / "sam_small.pth"
    code = (
        "import sys, torch\n"
        "from golden_models import rule_state, small_sam\n"
        "torch.save(rule_state(small_sam(lora=False)), sys.argv[1])\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(CORE)}
    subprocess.run([sys.executable, "-c", code, str(path)], env=environment, check=True)
    return path


@pytest.fixture
def window(tmp_path, monkeypatch, qtbot, weights):
    kind = registry.get_kind("vit_b")
    data = weights.read_bytes()
    told = {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    kind = dataclasses.replace(kind, file=dataclasses.replace(kind.file, **told))
    monkeypatch.setitem(registry.BACKBONES.known, "vit_b", kind)
    shape = shapes.VitShape(**{**SMALL, "global_blocks": tuple(SMALL["global_blocks"])})
    monkeypatch.setitem(shapes.VIT_SHAPES, "vit_b", shape)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(CUSTOMIZE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "site"), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("CELLSEG1_TEST_VIT", json.dumps({"shape": SMALL, "file": told}))
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CELLSEG1_DATA_DIR", str(tmp_path / "data"))
    apply_theme(QApplication.instance(), "light")
    window = MainWindow(PreferencesStore())
    window.preferences.set("device", "cpu")
    window.resize(1366, 720)
    window.show()
    yield window
    window.closing.stop_jobs = True
    window.close()
    window.shut_down()
    window.help.close_log()
    window.deleteLater()
    QApplication.processEvents()


@pytest.mark.slow
def test_import_train_predict_export_and_import_a_published_file(window, tmp_path, qtbot, weights):
    def wait(condition, seconds=900):
        qtbot.waitUntil(lambda: bool(condition()), timeout=seconds * 1000)

    problems = []
    window.session.problem.disconnect()
    window.session.problem.connect(lambda sentence, details: problems.append((sentence, details)))
    pixels, labels = discs()
    (tmp_path / "in").mkdir()
    (tmp_path / "masks").mkdir()
    for name in ("a", "b"):
        Image.fromarray(pixels).save(tmp_path / "in" / f"{name}.png")
    write_label_image(tmp_path / "masks" / "a.png", labels)
    window.session.create_project(tmp_path, "Cells")
    window.session.add_images([tmp_path / "in"], copy=True, masks=[tmp_path / "masks"])
    wait(lambda: window.session.document is not None and len(window.session.document.cells))
    window.session.set_training(True)

    # The network: not there, then imported from a file, then chosen.
    window.show_step("train")
    wishes = window.area.train.wishes
    wait(lambda: wishes.backbones.statuses)
    assert wishes.backbones.box.findData("vit_b") < 0
    assert "vit_b" in wishes.backbones._cards
    wishes.backbones.import_file(weights, "vit_b")
    wait(lambda: wishes.backbones.box.findData("vit_b") >= 0)
    wishes.backbones.choose("vit_b")
    assert wishes.backbones.ready
    wishes.form.set_overrides(WISHES)
    wishes.form.changed.emit()
    wait(lambda: window.area.train.primary.isEnabled())
    window.area.train.primary.click()
    wait(lambda: window.session.training is not None)
    wait(lambda: window.session.training is None)
    assert problems == []
    (model,) = window.session.project.models.all()
    assert (model.card.backbone, model.card.image_size) == ("vit_b", 128)

    # Its model is exported in the published format, and that file is imported like a stranger's.
    panel = ModelsPanel(window.session, window.canvas)
    qtbot.addWidget(panel)
    panel.show()
    panel.choose(model.path)
    published = tmp_path / "lora_vit_b_4_128_20260101-000000.pth"
    panel.export(published)
    wait(lambda: published.exists() and not panel.working.isVisible())

    def answer():
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, PublishedDialog)
        dialog.network.setCurrentIndex(dialog.network.findData("vit_b"))
        next(one for one in dialog.buttons.buttons() if one.text() == "Import").click()

    QTimer.singleShot(300, answer)
    panel.import_file(published)
    wait(lambda: len(window.session.project.models.all()) == 2 and not panel.working.isVisible())
    assert problems == []
    imported = next(one for one in window.session.project.models.all() if one.path != model.path)
    assert (imported.name, imported.card.backbone, imported.card.image_size) == (
        "lora_vit_b_4_128_20260101-000000",
        "vit_b",
        128,
    )
    assert panel.current.path == imported.path

    # It predicts, and so does the network as it comes; each is chosen in its list.
    panel.use()
    assert window.session.model == imported.path
    window.show_step("predict")
    predict = window.area.predict
    assert predict.model.box.currentText() == imported.name
    predict.form.set_overrides({key: WISHES[key] for key in ("points_per_side", "crop_n_layers", "pred_iou_thresh")})
    predict.press()
    wait(lambda: window.session.prediction is not None)
    wait(lambda: window.session.prediction is None)
    assert problems == []
    run = window.session.project.runs[-1]
    assert run.state == "finished"
    path = window.session.project.runs.proposals_path(run.id, window.session.image_id, 0, 0)
    assert path.exists()
    index = predict.model.box.findText("vit_b, not trained")
    predict.model.box.setCurrentIndex(index)
    predict.model.box.activated.emit(index)
    assert (window.session.model, window.session.backbone) == (None, "vit_b")
    predict.press()
    wait(lambda: window.session.prediction is not None)
    wait(lambda: window.session.prediction is None)
    assert problems == []
    run = window.session.project.runs[-1]
    assert (run.state, run.fields["backbone"], run.fields["model"]) == ("finished", "vit_b", None)
    window.canvas.set_tool("click")
    wait(lambda: window.clicks.state == "ready")
    assert "plain network (vit_b)" in window.area.annotate.tools.click_model.text()
