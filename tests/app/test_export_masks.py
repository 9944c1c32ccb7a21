import zipfile
from dataclasses import replace

import numpy as np
import pytest
from page_help import CELLS, Stage, labels_of

from app.pages.export.dialog import ExportMasksDialog
from app.pages.export.files import FolderWriter, ZipWriter
from app.pages.shared.file_stem import file_stem
from cellseg1.errors import MaskError, OutputError
from cellseg1.images import read_image
from cellseg1.masks import WRITERS, read_mask


@pytest.fixture
def stage(qtbot, tmp_path):
    stage = Stage(qtbot, tmp_path)
    yield stage
    stage.session.close()


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("a1.tif", "a1"),
        ("a.b.ome.tif", "a.b"),
        ("x.nii.gz", "x"),
        ("../../etc/passwd.png", ".._.._etc_passwd"),
        ("con.png", "con_"),
        ("a:b?.png", "a_b_"),
        ("...", "image"),
    ],
)
def test_names_are_usable_everywhere(name, stem):
    assert file_stem(name) == stem


def test_planes_of_a_stack_are_numbered():
    assert file_stem("s.tif", 3, 12, several=True) == "s_t012_z003"


def test_a_folder_gets_numbered_files_and_none_is_replaced(tmp_path):
    (tmp_path / "A.tif").write_bytes(b"mine")
    writer = FolderWriter(tmp_path, WRITERS.known["tif"])
    labels = labels_of(CELLS)
    assert writer.add("a", labels) == "a_2.tif"
    assert writer.add("a", labels) == "a_3.tif"
    assert (tmp_path / "A.tif").read_bytes() == b"mine"
    assert np.array_equal(read_mask(tmp_path / "a_3.tif").labels, labels)


def test_a_zip_appears_when_it_is_whole_and_only_then(tmp_path):
    path = tmp_path / "masks.zip"
    writer = ZipWriter(path, WRITERS.known["png"])
    assert writer.add("a", labels_of(CELLS)) == "a.png"
    assert writer.add("A", labels_of(CELLS)) == "A_2.png"
    assert not path.exists()
    assert writer.finish() == path
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["a.png", "A_2.png"]
        assert archive.testzip() is None
    assert [one.name for one in tmp_path.iterdir()] == ["masks.zip"]


def test_an_abandoned_zip_leaves_nothing_and_keeps_the_old_one(tmp_path):
    path = tmp_path / "masks.zip"
    path.write_bytes(b"old")
    writer = ZipWriter(path, WRITERS.known["tif"])
    writer.add("a", labels_of(CELLS))
    writer.abandon()
    writer.abandon()
    assert path.read_bytes() == b"old"
    assert [one.name for one in tmp_path.iterdir()] == ["masks.zip"]


@pytest.mark.parametrize("writer_of", [FolderWriter, ZipWriter])
def test_png_refuses_what_it_cannot_hold(tmp_path, writer_of):
    labels = np.zeros((5, 7), np.int32)
    labels[2, 3] = 65536
    writer = writer_of(tmp_path / "out.zip", WRITERS.known["png"])
    with pytest.raises(MaskError, match=r"65,535.*TIFF"):
        writer.add("a", labels)
    writer.abandon()
    assert not (tmp_path / "out.zip").is_file()
    other = writer_of(tmp_path / "out2.zip", WRITERS.known["tif"])
    assert other.add("a", labels) == "a.tif"
    other.abandon()


def test_a_place_that_cannot_be_written_is_a_sentence(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="Choose another folder"):
        FolderWriter(tmp_path / "file", WRITERS.known["tif"]).add("a", labels_of(CELLS))


def dialog_of(stage, **values):
    dialog = ExportMasksDialog(stage.session, None, **values)
    stage.qtbot.addWidget(dialog)
    dialog.show()
    return dialog


def test_drawn_cells_of_all_images_go_into_a_folder(stage, tmp_path):
    first = stage.project.draw("i0", labels_of(CELLS))
    stage.project.draw("i2", labels_of(CELLS[:2]))
    stage.project.add_run(["i0"])
    stage.show()
    dialog = dialog_of(stage)
    assert dialog.drawn.isChecked()
    assert "2 images" in dialog.drawn.text()
    out = tmp_path / "out"
    dialog.save_to(out)
    assert dialog.save_button.text() == "Cancel"
    stage.settle()
    assert sorted(one.name for one in out.iterdir()) == ["a1.tif", "a3.tif"]
    assert np.array_equal(read_mask(out / "a1.tif").labels, first.labels)
    assert "2 masks saved" in dialog.line.text()
    assert stage.session.preferences.values.last_folder == str(out)


def test_a_prediction_is_saved_with_the_thresholds_one_sees(stage, tmp_path):
    run = stage.project.add_run(["i0", "i1"])
    stage.show()
    stage.session.proposals.set_thresholds(replace(stage.session.proposals.settings, pred_iou_thresh=0.8))
    stage.settle()
    dialog = dialog_of(stage, run_id=run.id)
    assert dialog.predicted.isChecked()
    dialog.zip.setChecked(True)
    dialog.format.setCurrentIndex(1)
    path = tmp_path / "masks.zip"
    dialog.save_to(path)
    stage.settle()
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["a1.png", "a2.png"]
        archive.extract("a2.png", tmp_path)
    assert read_mask(tmp_path / "a2.png").n_cells == 3


def test_images_of_the_same_name_are_numbered_and_stacks_saved_by_plane(stage, tmp_path):
    stage.project.images[1].name = "a1.png"
    stage.project.images[2].n_z = 2
    for image_id, z in (("i0", 0), ("i1", 0), ("i2", 0), ("i2", 1)):
        stage.project.draw(image_id, labels_of(CELLS), z=z)
    dialog = dialog_of(stage)
    dialog.save_to(tmp_path / "out")
    stage.settle()
    names = sorted(one.name for one in (tmp_path / "out").iterdir())
    assert names == ["a1.tif", "a1_2.tif", "a3_t000_z000.tif", "a3_t000_z001.tif"]


def test_what_does_not_fit_is_listed_and_the_rest_goes_on(stage, tmp_path):
    labels = labels_of(CELLS)
    labels[labels == 1] = 70_000
    stage.project.draw("i0", labels)
    stage.project.draw("i1", labels_of(CELLS))
    dialog = dialog_of(stage)
    dialog.format.setCurrentIndex(1)
    dialog.save_to(tmp_path / "out")
    stage.settle()
    assert [one.name for one in (tmp_path / "out").iterdir()] == ["a2.png"]
    assert dialog.failures.count() == 1
    assert "TIFF" in dialog.failures.item(0).text()
    assert "Not saved: 1 mask" in dialog.line.text()


def test_cancel_of_a_zip_leaves_no_file(stage, tmp_path):
    for image_id in ("i0", "i1", "i2"):
        stage.project.draw(image_id, labels_of(CELLS))
    dialog = dialog_of(stage)
    dialog.zip.setChecked(True)
    path = tmp_path / "out" / "masks.zip"
    dialog.save_to(path)
    dialog._batch.progressed.connect(lambda done, _total, _name: done == 1 and dialog._press())
    stage.settle()
    assert "Cancelled" in dialog.line.text()
    assert list(path.parent.iterdir()) == []


def test_a_disk_that_refuses_ends_it_with_a_sentence(stage, tmp_path, monkeypatch):
    for image_id in ("i0", "i1"):
        stage.project.draw(image_id, labels_of(CELLS))
    said = []
    monkeypatch.setattr("app.pages.export.dialog.show_error", lambda _parent, *words: said.append(words[0]))
    (tmp_path / "file").write_bytes(b"")
    dialog = dialog_of(stage)
    dialog.save_to(tmp_path / "file")
    stage.settle()
    assert len(said) == 1
    assert "Choose another folder" in said[0]
    assert dialog.save_button.text() == "Save..."


def test_nothing_to_save_says_what_to_do(stage):
    dialog = dialog_of(stage)
    assert not dialog.save_button.isEnabled()
    assert "draw cells" in dialog.note.text()


def test_closing_the_project_ends_the_export(stage, tmp_path):
    for image_id in ("i0", "i1", "i2"):
        stage.project.draw(image_id, labels_of(CELLS))
    dialog = dialog_of(stage)
    dialog.zip.setChecked(True)
    dialog.save_to(tmp_path / "masks.zip")
    stage.session.project = None
    stage.session.project_changed.emit()
    stage.settle()
    assert "Cancelled" in dialog.line.text()
    assert not (tmp_path / "masks.zip").exists()


def test_tiffs_keep_the_pixel_size(tmp_path):
    labels = np.zeros((20, 30), np.uint16)
    labels[3:9, 4:20] = 300
    FolderWriter(tmp_path / "out", WRITERS.known["tif"]).add("a", labels, (0.25, 0.5))
    assert read_image(tmp_path / "out" / "a.tif").info.pixel_size_um == (0.25, 0.5)
