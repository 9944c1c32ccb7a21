"""Starting a training: what the engine gets, and that the window does not wait for the masks."""

import threading

import numpy as np
from panel_help import bench_fixture, discs  # noqa: F401 - a fixture

from app.annotation import operations
from app.base.errors import ProjectError
from app.project import images
from app.session import run_requests
from app.session.run_requests import PredictionWish, TrainingWish
from cellseg1.errors import OutputError
from cellseg1.masks import read_mask


def two_images(bench, monkeypatch):
    """Two training images; the second is open, of the first only the journal is there."""
    bench.fake_engines(monkeypatch)
    bench.project("a", "b")
    for number in (0, 1):
        bench.show_image(number)
        bench.draw(cells=3 + number)
        bench.session.set_training(True)
    bench.session.document.set_attribute("Region", "region", [3, 4, 80, 60])
    project = bench.session.project
    project.drawings.close(project.images[0].id)
    bench.session.settle()


def test_the_masks_are_written_in_a_thread_and_the_engine_starts_meanwhile(bench, monkeypatch):
    two_images(bench, monkeypatch)
    threads, write = [], run_requests.write_label_image
    monkeypatch.setattr(
        run_requests,
        "write_label_image",
        lambda path, labels: (threads.append(threading.current_thread()), write(path, labels)),
    )
    job = bench.session.start_training(TrainingWish(name="One", backbone="tiny"))
    assert job.held
    assert not job.request.masks[0].exists()
    drawn = np.array(bench.session.document.labels)
    # What is drawn now belongs to the next training.
    operations.delete_cells(bench.session.document, [1])
    bench.wait(lambda: not job.held)
    assert len(threads) == 2
    assert threading.main_thread() not in threads
    assert job.request.regions == (None, (3, 4, 80, 60))
    assert [read_mask(path).n_cells for path in job.request.masks] == [3, 4]
    assert np.array_equal(read_mask(job.request.masks[1]).labels, drawn)
    run = bench.session.project.runs[-1]
    assert run.fields["request"]["regions"] == [None, [3, 4, 80, 60]]


def test_the_images_of_a_prediction_are_looked_for_in_a_thread(bench, monkeypatch):
    bench.fake_engines(monkeypatch)
    bench.project("a", "b")
    session, threads, answers = bench.session, [], threading.Event()
    project = session.project
    # As linked images of a project that was moved, on a file server that is away.
    for number, entry in enumerate(project.images):
        entry.linked, entry.file = True, f"/server/{number}.png"
        entry.nearby = f"../../pictures/{'ab'[number]}.png"

    def is_file(_path):
        threads.append(threading.current_thread())
        assert answers.wait(20)
        return False

    monkeypatch.setattr(images, "is_file", is_file)
    planes = [(one.id, 0, 0) for one in project.images]
    told = threading.Timer(3, answers.set)
    told.start()
    job = session.start_prediction(PredictionWish(planes=planes, model=None))
    assert not answers.is_set(), "the window waited for the file server"
    assert job.waiting_for == "Looking for the images"
    assert [str(item.path) for item in job.request.items] == ["/server/0.png", "/server/1.png"]
    told.cancel()
    answers.set()
    bench.wait(lambda: not job.held)
    assert threading.main_thread() not in threads
    assert [item.path for item in job.request.items] == [bench.folder / "pictures" / f"{name}.png" for name in "ab"]


def test_images_that_cannot_be_looked_for_end_the_job_with_a_sentence(bench, monkeypatch):
    bench.fake_engines(monkeypatch)
    bench.project("a")
    session = bench.session

    def path(_image_id):
        raise ProjectError("It lies outside.")

    monkeypatch.setattr(session.project.images, "path", path)
    job = session.start_prediction(PredictionWish(planes=[(session.image_id, 0, 0)], model=None))
    bench.wait(lambda: bench.problems)
    assert bench.problems == ["It lies outside."]
    assert job.state == session.project.runs[-1].state == "failed"


def test_masks_that_cannot_be_written_end_the_job_with_a_sentence(bench, monkeypatch):
    two_images(bench, monkeypatch)

    def full(_path, _labels):
        raise OutputError("The disk is full.")

    monkeypatch.setattr(run_requests, "write_label_image", full)
    job = bench.session.start_training(TrainingWish(name="One", backbone="tiny"))
    bench.wait(lambda: bench.problems)
    assert bench.problems == ["The disk is full."]
    assert bench.session.training is None
    assert job.state == "failed"
    assert bench.session.project.runs[-1].state == "failed"


def test_an_image_without_cells_is_left_out(bench, monkeypatch):
    two_images(bench, monkeypatch)
    operations.delete_cells(bench.session.document, range(1, 9))
    job = bench.session.start_training(TrainingWish(name="One", backbone="tiny"))
    bench.wait(lambda: not job.held)
    assert len(job.request.images) == 1


def test_an_image_that_is_missing_ends_the_job_with_a_sentence(bench, monkeypatch):
    two_images(bench, monkeypatch)
    project = bench.session.project
    project.images.path(project.images[0].id).unlink()
    job = bench.session.start_training(TrainingWish(name="One", backbone="tiny"))
    bench.wait(lambda: bench.problems)
    assert "The image a.png is missing from" in bench.problems[0]
    assert job.state == "failed"
