"""Files that are no images, or damaged ones, in a folder of good ones: named, marked, and nobody's first sight."""

import os

import numpy as np
import pytest
from PIL import Image
from window_help import main_window

from app.widgets.errors import ErrorDialog
from cellseg1.errors import ImageError
from cellseg1.images import recognise


@pytest.fixture
def window(tmp_path, monkeypatch, qtbot):
    with main_window(tmp_path / "home", monkeypatch) as window:
        yield window


def mixed(folder):
    folder.mkdir()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 100), np.uint8)).save(folder / "good.png")
    whole = (folder / "good.png").read_bytes()
    (folder / "a_broken.png").write_bytes(whole[: len(whole) // 2])
    (folder / "empty.tif").write_bytes(b"")
    (folder / "text.png").write_text("this is no picture")
    return folder


def test_what_cannot_be_an_image_is_left_out_with_a_reason(window, tmp_path, qtbot):
    window.session.create_project(tmp_path, "Mixed")
    report = window.session.add_images([mixed(tmp_path / "in")], copy=True)
    assert [image.name for image in window.session.project.images] == ["a_broken.png", "good.png"]
    reasons = {path.name: reason for path, reason in report.skipped}
    assert "0 bytes" in reasons["empty.tif"]
    assert "not an image of a known kind" in reasons["text.png"]
    assert sorted(path.name for path in (window.session.project.folder / "images").iterdir()) == [
        "a_broken.png",
        "good.png",
    ]


def test_a_damaged_image_is_marked_and_the_next_one_is_shown_first(window, tmp_path, qtbot):
    window.session.create_project(tmp_path, "Mixed")
    window.session.add_images([mixed(tmp_path / "in")], copy=True)
    broken, good = (image.id for image in window.session.project.images)
    qtbot.waitUntil(lambda: window.session.document is not None)
    assert window.session.image_id == good
    assert not [one for one in window.findChildren(ErrorDialog) if one.isVisible()]
    row = next(row for row in window.area.images.model.rows if row.id == broken)
    assert row.problem == "damaged"
    # Whoever opens it hears why, there and in the panel.
    said = []
    window.session.problem.disconnect()
    window.session.problem.connect(lambda sentence, _details: said.append(sentence))
    window.session.show_image(broken)
    qtbot.waitUntil(lambda: bool(said))
    qtbot.wait(20)
    assert "a_broken.png" in said[0]
    assert window.area.annotate.cells.advice.text() == said[0]
    window.session.show_image(good)
    qtbot.waitUntil(lambda: window.session.document is not None)
    assert window.session.image_problem == ""


def test_a_file_is_recognised_by_its_first_bytes(tmp_path):
    folder = mixed(tmp_path / "in")
    recognise(folder / "good.png")
    recognise(folder / "a_broken.png")
    for name in ("empty.tif", "text.png", "gone.png"):
        with pytest.raises(ImageError):
            recognise(folder / name)
    with pytest.raises(ImageError, match="is a folder"):
        recognise(folder)


@pytest.mark.skipif(os.name == "nt", reason="an open folder cannot be renamed there")
def test_no_image_of_a_project_that_was_moved_is_damaged(window, tmp_path, qtbot):
    window.session.create_project(tmp_path, "Mixed")
    window.session.add_images([mixed(tmp_path / "in")], copy=True)
    _broken, good = (image.id for image in window.session.project.images)
    qtbot.waitUntil(lambda: window.session.document is not None)
    folder = window.session.project.folder
    folder.rename(folder.with_name("Elsewhere.cs1project"))
    window.files.mark_unreadable(good)
    assert not next(row for row in window.area.images.model.rows if row.id == good).problem
    folder.with_name("Elsewhere.cs1project").rename(folder)
    window.files.mark_unreadable(good)
    assert next(row for row in window.area.images.model.rows if row.id == good).problem == "damaged"
