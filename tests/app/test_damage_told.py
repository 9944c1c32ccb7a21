"""What is found damaged in a project's files is said in the window when it is found, not at the next start."""

import os

import pytest
from panel_help import bench_fixture  # noqa: F401 - a fixture
from project_help import paint_cell


def told(bench, words):
    return [note for note in bench.notes if words in note]


def test_a_damaged_drawing_is_said_once_when_its_image_is_shown(bench):
    bench.project("a", "b")
    image_id = bench.show_image(1)
    paint_cell(bench.session.document)
    bench.show_image(0)
    folder, path = bench.session.project.folder, bench.session.project.drawings.journal_path(image_id)
    bench.session.close_project()
    path.with_suffix(".snapshot").write_bytes(b"no drawing")
    bench.session.open_project(folder)
    bench.show_image(0)
    assert not told(bench, "was damaged")
    bench.show_image(1)
    assert len(told(bench, "snapshot of b.png was damaged")) == 1
    bench.show_image(0)
    bench.show_image(1)
    assert len(told(bench, "was damaged")) == 1


@pytest.mark.skipif(os.name == "nt", reason="an open file cannot be deleted there")
def test_a_journal_that_another_program_deleted_is_said_after_the_next_edit(bench):
    bench.project("a")
    image_id = bench.show_image(0)
    paint_cell(bench.session.document)
    bench.session.project.drawings.journal_path(image_id).unlink()
    paint_cell(bench.session.document, at=(20, 30))
    bench.wait(lambda: bool(told(bench, "replaced or deleted by another program")))
