"""What a double click in a file manager hands to the window: a project's file, a model, a one-file project."""

import subprocess
import sys

import pytest
from panel_help import write_model
from PySide6.QtWidgets import QApplication, QMessageBox
from window_help import main_window

from app.base.names import OPENER, project_folder_of
from app.base.places import library_folder
from app.project.archive import export_file, import_file
from app.project.project import Project
from app.shell.single_instance import InstanceServer


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def window(home, monkeypatch, qtbot):
    with main_window(home / "home", monkeypatch) as window:
        yield window


@pytest.fixture
def errors(monkeypatch):
    told = []
    monkeypatch.setattr("app.shell.attempt.show_error", lambda _parent, sentence, _details="": told.append(sentence))
    return told


def test_every_project_has_a_file_that_opens_it(home):
    with Project.create(home, "Zellen ö中文") as project:
        opener = project.folder / OPENER
        assert opener.suffix == ".cs1project"
        assert opener.is_file()
    assert project_folder_of(opener) == project.folder
    # A project made by an older version gets it when it is opened; a copy and a one-file project have it too.
    opener.unlink()
    with Project.open(project.folder) as project:
        assert opener.is_file()
        copy = project.duplicate(home, "copy")
        export_file(project, home / "whole.cs1zip")
    assert (copy / OPENER).is_file()
    assert (import_file(home / "whole.cs1zip", home / "elsewhere") / OPENER).is_file()


def test_a_project_that_is_open_elsewhere_is_not_written_to(home):
    with Project.create(home, "Cells") as holder:
        (holder.folder / OPENER).unlink()
        with Project.open(holder.folder) as second:
            assert second.read_only
        assert not (holder.folder / OPENER).exists()


def test_the_projects_file_opens_the_project(window, home, errors):
    Project.create(home, "Cells").close()
    window.open_arguments(str(home / "Cells.cs1project" / OPENER), sample=False)
    assert window.session.project.name == "Cells"
    # A file of that kind that somebody took out of its project says what is wrong.
    (home / OPENER).write_text("stray")
    window.open_arguments(str(home / OPENER), sample=False)
    assert "is not a project" in errors[0]
    assert window.session.project.name == "Cells"


def test_a_one_file_project_is_unpacked_and_opened(window, home, qtbot):
    with Project.create(home, "Sent") as project:
        export_file(project, home / "sent ö中文.cs1zip")
    window.show_again([str(home / "sent ö中文.cs1zip")])
    qtbot.waitUntil(lambda: window.session.project is not None)
    assert window.session.project.name == "Sent"
    assert window.session.project.folder.parent == home / "home" / "projects"


def test_a_model_goes_into_the_library_where_no_project_is_open_and_only_once(window, home, errors):
    model = write_model(home / "downloads", "nuclei ö中文")
    for _ in range(2):
        window.open_arguments(str(model), sample=False)
        box = window.findChild(QMessageBox)
        assert "nuclei ö中文" in box.text()
        box.close()
        QApplication.processEvents()
    assert [path.name for path in library_folder().iterdir()] == ["nuclei ö中文.cs1"]
    assert model.exists()
    assert not errors


def test_a_model_goes_into_the_open_project_and_is_chosen(window, home, errors):
    window.session.create_project(home, "Cells")
    model = write_model(home / "downloads", "nuclei")
    for _ in range(2):
        window.projects.add_paths([model])
        assert window.session.model == window.session.project.models_folder / "nuclei.cs1"
    assert len(window.session.project.models.all()) == 1
    # One of the library is used where it is.
    shared = write_model(library_folder(), "shared", recipe="paper")
    window.projects.open_path(shared)
    assert window.session.model == shared
    assert len(window.session.project.models.all()) == 1
    assert not errors


def test_what_is_no_model_is_said(window, home, errors):
    (home / "wrong.cs1").write_bytes(b"no model at all")
    window.projects.open_path(home / "wrong.cs1")
    assert len(errors) == 1
    assert "wrong.cs1" in errors[0]
    assert not list(library_folder().glob("*"))


def test_a_second_start_hands_over_the_whole_path(home, qtbot):
    """The window that runs was started in another folder."""
    server = InstanceServer()
    got = []
    server.asked.connect(got.append)
    second = subprocess.Popen([sys.executable, "-m", "app", "Cells.cs1project"], cwd=home)
    qtbot.waitUntil(lambda: second.poll() is not None, timeout=30000)
    server.close()
    assert second.returncode == 0
    assert got == [[str(home / "Cells.cs1project")]]
