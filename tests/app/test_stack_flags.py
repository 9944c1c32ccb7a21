"""The flags of the image list on stacks: they mean the planes on which there is something."""

import numpy as np
import pytest
import tifffile
from panel_help import bench_fixture  # noqa: F401 - a fixture
from project_help import paint_cell
from window_help import main_window

from app.pages.train.images import training_planes


@pytest.fixture
def stack(tmp_path, monkeypatch, qtbot):
    """A window with a z-stack of five planes, drawn on the second and the fourth, and a second one that was never
    opened; the third plane is shown."""
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for name in ("a", "b"):
        values = np.random.default_rng(0).integers(0, 4000, (5, 60, 90)).astype(np.uint16)
        tifffile.imwrite(pictures / f"{name}.tif", values, metadata={"axes": "ZYX"})
    with main_window(tmp_path / "home", monkeypatch) as window:
        window.session.create_project(tmp_path, "Stacks")
        window.session.add_images([pictures], copy=True)
        qtbot.waitUntil(lambda: window.session.document is not None)
        project = window.session.project
        image_id = project.images[0].id
        for z in (1, 3):
            document = project.drawings.document(image_id, z, 0)
            paint_cell(document, (10, 10))
            project.drawings.update_plane(image_id, z, 0, document)
        window.session.show_image(image_id, 2, 0)
        qtbot.waitUntil(lambda: window.session.z == 2)
        yield window, image_id


def test_using_a_stack_for_training_means_the_planes_with_cells(stack):
    window, image_id = stack
    project = window.session.project
    window.area.images.training_wanted.emit([image_id], True)
    assert project.images.training() == training_planes(project) == [(image_id, 1, 0), (image_id, 3, 0)]
    assert window.area.images.model.row_of(image_id).state == "training"
    window.show_step("train")
    assert window.area.train.images.cells == 2
    assert not window.area.train._why_not()
    window.area.images.training_wanted.emit([image_id], False)
    assert project.images.training() == []


def test_a_stack_can_be_marked_as_checked(stack):
    window, image_id = stack
    project = window.session.project
    project.runs.add_result(project.runs.new("predict").name, image_id, 4, 0, cells=3)
    window.area.images.checked_wanted.emit([image_id], True)
    assert {key for key, note in project.images.get(image_id).planes.items() if note.get("checked")} == {
        "1,0",
        "3,0",
        "4,0",
    }
    assert project.images.get(image_id).state == "checked"
    window.area.images.checked_wanted.emit([image_id], False)
    assert project.images.get(image_id).state != "checked"


def test_where_nothing_is_drawn_the_shown_plane_is_meant_and_undo_takes_it_back(stack, qtbot):
    window, image_id = stack
    project = window.session.project
    other = project.images[1].id
    # Of the shown stack all cells go.
    for z in (1, 3):
        document = project.drawings.document(image_id, z, 0)
        document.undo()
        project.drawings.update_plane(image_id, z, 0, document)
    window.area.images.checked_wanted.emit([image_id, other], True)
    assert [key for key, note in project.images.get(image_id).planes.items() if note.get("checked")] == ["2,0"]
    # One that was never opened is read first.
    qtbot.waitUntil(lambda: bool(project.images.get(other).planes))
    assert [key for key, note in project.images.get(other).planes.items() if note.get("checked")] == ["0,0"]
    window.session.document.undo()
    assert not project.images.get(image_id).planes["2,0"].get("checked")
