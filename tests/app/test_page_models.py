import pytest
from panel_help import bench_fixture, cut_labels, nameless, write_model  # noqa: F401 - a fixture

from app.base.places import library_folder
from app.engine.messages import ImportModelRequest
from app.pages.models.card import created_text, size_text
from app.pages.models.panel import ModelsPanel
from app.pages.models.published import PublishedDialog
from cellseg1.lora.card import TrainingImage

IMAGES = tuple(TrainingImage(f"image {number}.png") for number in range(5))


@pytest.fixture
def models(bench, monkeypatch):
    """A panel with two models in the project and one in the library."""
    bench.fake_engines(monkeypatch)
    bench.project()
    folder = bench.session.project.models_folder
    bench.one = write_model(
        folder,
        "one",
        training_images=IMAGES,
        ap_training=0.876,
        median_cell_diameter_px=22.4,
        pixel_size_um=0.5,
        recipe="studio",
        image_size=256,
    )
    bench.two = write_model(folder, "two")
    bench.shared = write_model(library_folder(), "shared")
    panel = ModelsPanel(bench.session, bench.canvas)
    bench.show(panel)
    panel.resize(panel.sizeHint())
    return panel


def rows(panel):
    shown = [panel._grid.itemAt(number).widget() for number in range(panel._grid.count())]
    return [widget.text().replace("\u200b", "") for widget in shown]


def names(panel):
    return [item.text(0) for item in panel._items]


def test_models_of_project_and_library_are_listed(models):
    assert names(models) == ["one", "two", "shared"]
    assert models.current is None
    assert "comes with the program" in models.state.text()


def test_the_card_is_readable(bench, models):
    models.choose(bench.one)
    shown = rows(models)
    pairs = dict(zip(shown[::2], shown[1::2], strict=True))
    assert pairs["Training images"] == "image 0.png, image 1.png, image 2.png and 2 more"
    assert pairs["AP on them"] == "0.88"
    assert pairs["Cell diameter"] == "22 px (11.2 µm)"
    assert pairs["Pixel size"] == "0.5 µm"
    assert pairs["Recipe"] == "studio"
    assert pairs["Trained"].startswith("2026-01-02")
    assert pairs["File"] == str(bench.one)
    models.choose(bench.two)
    assert "AP on them" not in rows(models)


def test_a_file_that_cannot_be_read_says_why(bench, models):
    bad = bench.session.project.models_folder / "bad.cs1"
    bad.write_bytes(b"nonsense" * 10)
    bench.session.models_changed.emit()
    models.choose(bad)
    assert models.problem.isVisible()
    assert not models.use_button.isEnabled()
    assert not models.export_button.isEnabled()
    assert models.remove_button.isEnabled()
    models.use()
    assert bench.session.model is None


def test_a_model_is_used_and_left_again(bench, models):
    models.choose(bench.one)
    with bench.qtbot.waitSignal(models.used):
        models.use_button.click()
    assert bench.session.model == bench.one
    assert models.state.text() == "In use."
    assert not models.use_button.isEnabled()
    models.list.setCurrentItem(models.list.topLevelItem(0))
    models.use_button.click()
    assert bench.session.model is None


def test_renaming_keeps_it_in_use(bench, models):
    bench.session.set_model(bench.one)
    models.choose(bench.one)
    models.rename("first")
    assert names(models) == ["first", "two", "shared"]
    assert bench.session.model.name == "first.cs1"
    assert models.current.name == "first"
    models.rename("two")
    assert "already" in bench.problems[-1]
    assert models.current.name == "first"


def test_copies_go_to_the_library_and_back(bench, models):
    models.choose(bench.two)
    assert models.copy_button.text() == "Copy to the library"
    models.copy_button.click()
    assert models.current.path == library_folder() / "two.cs1"
    assert bench.two.exists()
    models.choose(bench.shared)
    assert models.copy_button.text() == "Copy to this project"
    models.copy_button.click()
    assert models.current.path == bench.session.project.models_folder / "shared.cs1"


def test_a_removed_model_is_in_the_projects_trash(bench, models):
    bench.session.set_model(bench.one)
    models.choose(bench.one)
    models.remove_button.click()
    assert names(models) == ["two", "shared"]
    assert not bench.one.exists()
    assert list((bench.session.project.folder / "trash").rglob("one*.cs1"))
    assert bench.session.model is None
    assert "trash" in models._removed.label.text()


def test_a_model_is_imported(bench, models):
    path = write_model(bench.folder / "elsewhere", "new")
    models.import_file(path)
    assert models.current.path == bench.session.project.models_folder / "new.cs1"
    assert path.exists()
    wrong = bench.folder / "wrong.cs1"
    wrong.write_bytes(b"nonsense" * 10)
    models.import_file(wrong)
    assert len(bench.problems) == 1
    assert names(models) == ["new", "one", "two", "shared"]


def test_a_published_adapter_goes_through_an_engine(bench, models, monkeypatch):
    path = bench.folder / "published.pth"
    path.write_bytes(b"x")

    def answer(dialog):
        dialog.image_size.setCurrentIndex(dialog.image_size.findData(1024))
        dialog.network.setCurrentIndex(dialog.network.findData("vit_b"))
        return 1

    monkeypatch.setattr(PublishedDialog, "exec", answer)
    models.import_file(path)
    job = bench.jobs[-1]
    out = bench.session.project.models_folder / "published.cs1"
    assert job.request == ImportModelRequest(path, out, {"sam_image_size": 1024, "vit_name": "vit_b"})
    assert models.working.isVisible()
    assert not models.import_button.isEnabled()
    write_model(out.parent, "published", recipe="paper")
    job.end("finished", {"model": str(out)})
    assert models.current.path == out
    assert not models.working.isVisible()
    assert models.import_button.isEnabled()


def test_a_failed_or_cancelled_import_leaves_all_as_it_was(bench, models):
    models.import_published(bench.folder / "a.pth", {})
    bench.jobs[-1].end("failed", error=("The network is not installed.", ""))
    assert bench.problems == ["The network is not installed."]
    assert models.import_button.isEnabled()
    models.import_published(bench.folder / "a.pth", {})
    models.working._cancel()
    assert bench.jobs[-1].killed
    assert not models.working.isVisible()
    assert names(models) == ["one", "two", "shared"]


def test_an_import_ends_well_without_the_panel(bench, models):
    panel = ModelsPanel(bench.session, bench.canvas)
    panel.import_published(bench.folder / "a.pth", {})
    job = bench.jobs[-1]
    panel.close()
    panel.deleteLater()
    bench.qtbot.wait(20)
    seen = []
    bench.session.models_changed.connect(lambda: seen.append(1))
    job.end("finished", {})
    assert seen == [1]


def test_models_are_exported_in_both_formats(bench, models):
    models.choose(bench.one)
    models.export(bench.folder / "out")
    assert (bench.folder / "out.cs1").read_bytes() == bench.one.read_bytes()
    models.export(bench.folder / "out.pth")
    assert bench.jobs[-1].request == ImportModelRequest(bench.one, bench.folder / "out.pth")
    bench.jobs[-1].end("finished", {})
    (bench.folder / "there.pth").write_bytes(b"x")
    count = len(bench.jobs)
    models.export(bench.folder / "there.pth")
    assert len(bench.jobs) == count
    assert "exists already" in bench.problems[-1]


def test_without_a_project_the_library_can_be_used(bench):
    shared = write_model(library_folder(), "shared")
    panel = bench.show(ModelsPanel(bench.session, bench.canvas))
    assert names(panel) == ["shared"]
    panel.choose(shared)
    assert not panel.copy_button.isVisible()
    panel.use()
    assert bench.session.model == shared
    panel.rename("ours")
    assert bench.session.model.name == "ours.cs1"
    panel.import_file(write_model(bench.folder / "elsewhere", "new"))
    assert (library_folder() / "new.cs1").exists()


def test_the_published_dialog_asks_only_for_what_is_wanted(qtbot, tmp_path):
    dialog = PublishedDialog(tmp_path / "a.pth")
    qtbot.addWidget(dialog)
    assert dialog.overrides() == {}


def test_sizes_and_times_are_readable(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(bytes(2_500_000))
    assert size_text(path) == "2.5 MB"
    assert size_text(tmp_path / "none") == ""
    assert created_text("whenever") == "whenever"


def test_everything_has_a_name_and_nothing_is_cut(bench, models):
    models.choose(bench.one)
    bench.qtbot.wait(30)
    assert nameless(models) == []
    assert cut_labels(models) == []
    assert models.minimumSizeHint().width() <= 640
