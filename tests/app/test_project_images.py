"""The images of a project: adding, masks, links, state, trash, thumbnails."""

import os
import shutil

import numpy as np
import pytest
import tifffile
from PIL import Image
from project_help import SHAPE, act, is_after, mask, new_project, paint_cell, picture, squares

from app.annotation import operations
from app.base.errors import ProjectError
from app.project import drawings, images
from app.project.mask_names import expand, split_masks
from app.project.project import Project
from app.project.thumbnails import picture_of, thumbnail
from cellseg1.errors import CellSeg1Error, ImageError


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))


@pytest.fixture
def project(tmp_path):
    with Project.create(tmp_path, "Cells") as project:
        yield project


def names(project):
    return [image.name for image in project.images]


# ---- adding


def test_files_and_folders_in_natural_order(project, tmp_path):
    for name in ("a10.png", "a2.png", "sub/a1.png", ".hidden.png", "notes.txt"):
        picture(tmp_path / "in" / name) if name.endswith("png") else (tmp_path / "in" / name).write_text("x")
    report = project.add_images([tmp_path / "in", picture(tmp_path / "z.tif")], copy=True)
    assert names(project) == ["a2.png", "a10.png", "a1.png", "z.tif"]
    assert report.added == [image.id for image in project.images]
    assert not report.needs_attention
    for image in project.images:
        assert not image.linked
        assert (project.folder / image.file).is_file()
        assert project.images.check(image.id) == "ok"


def test_copies_of_the_same_name_stay_apart(project, tmp_path):
    first, second = picture(tmp_path / "a" / "x.png", seed=1), picture(tmp_path / "b" / "x.png", seed=2)
    project.add_images([first, second], copy=True)
    assert names(project) == ["x.png", "x.png"]
    paths = [project.images.path(image.id) for image in project.images]
    assert [path.read_bytes() for path in paths] == [first.read_bytes(), second.read_bytes()]


@pytest.mark.parametrize("copy", [True, False])
def test_what_is_there_already_is_not_added_again(project, tmp_path, copy):
    path = picture(tmp_path / "x.png")
    project.add_images([path], copy=copy)
    report = project.add_images([path, picture(tmp_path / "y.png", seed=1)], copy=copy)
    assert names(project) == ["x.png", "y.png"]
    assert report.skipped == [(path, "It is in the project already.")]


@pytest.mark.parametrize("copy_first", [True, False])
def test_a_copy_and_a_link_of_one_file_are_the_same_image(project, tmp_path, copy_first):
    path = picture(tmp_path / "x.png")
    (there,) = project.add_images([path], copy=copy_first).added
    report = project.add_images([path], copy=not copy_first)
    assert names(project) == ["x.png"]
    assert report.skipped == [(path, "It is in the project already.")]
    assert report.present == {path: there}


def test_only_name_and_content_together_make_a_link_of_a_copied_image_the_same(project, tmp_path):
    first = picture(tmp_path / "a" / "x.png", seed=1)
    project.add_images([first], copy=True)
    other_content = picture(tmp_path / "b" / "x.png", seed=2)
    other_name = tmp_path / "b" / "y.png"
    other_name.write_bytes(first.read_bytes())
    report = project.add_images([other_content, other_name], copy=False)
    assert len(report.added) == 2
    assert report.present == {}


def test_what_cannot_be_added_is_reported(project, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.txt").write_text("x")
    report = project.add_images(
        [tmp_path / "empty", tmp_path / "text.txt", tmp_path / "gone.png", picture(tmp_path / "ok.png")], copy=True
    )
    assert names(project) == ["ok.png"]
    assert [path.name for path, _ in report.skipped] == ["empty", "text.txt", "gone.png"]
    assert report.needs_attention


def test_two_thousand_links_decode_nothing(project, tmp_path, monkeypatch):
    folder = tmp_path / "many"
    folder.mkdir()
    data = picture(tmp_path / "one.png").read_bytes()
    for number in range(2000):
        (folder / f"img_{number}.png").write_bytes(data + b"%d" % number)
    monkeypatch.setattr(images, "read_image", lambda path: pytest.fail(f"decoded {path}"))
    report = project.add_images([folder], copy=False)
    assert len(report.added) == 2000
    assert names(project)[:3] == ["img_0.png", "img_1.png", "img_2.png"]
    assert names(project)[-1] == "img_1999.png"
    project.close()
    assert sum(file.stat().st_size for file in project.folder.rglob("*") if file.is_file()) < 3_000_000
    with Project.open(project.folder) as again:
        assert len(again.images) == 2000
        assert {again.images.check(image.id) for image in again.images} == {"ok"}
        assert {again.images.get(image.id).state for image in again.images} == {"new"}
        assert sum(again.images.get(image.id).cells for image in again.images) == 0
        assert again.images.next_unchecked(again.images[-1].id) == again.images[0].id


def test_progress_is_told(project, tmp_path):
    seen = []
    paths = [picture(tmp_path / f"p{number}.png", seed=number) for number in range(3)]
    project.add_images(
        paths, copy=True, masks=[mask(tmp_path / "p1_mask.tif")], progress=lambda *told: seen.append(told)
    )
    assert seen == [(0, 4, "p0.png"), (1, 4, "p1.png"), (2, 4, "p2.png"), (3, 4, "p1_mask.tif")]


# ---- masks


def test_masks_are_paired_by_name_with_a_report(project, tmp_path):
    paths = [picture(tmp_path / "images" / f"c{number}.png", seed=number) for number in (1, 2, 3)]
    labels = squares()
    mask(tmp_path / "masks" / "c1_cp_masks.tif", labels * 7)
    colour = np.array([(0, 0, 0), (200, 30, 0), (0, 90, 200), (10, 250, 10)], np.uint8)[labels]
    Image.fromarray(colour).save(tmp_path / "masks" / "c2.png")
    Image.fromarray((labels > 0).astype(np.uint8) * 255).save(tmp_path / "masks" / "c3_mask.png")
    mask(tmp_path / "masks" / "other.tif")
    report = project.add_images(paths, copy=True, masks=[tmp_path / "masks"])
    assert list(report.cells.values()) == [3, 3, 3]
    assert report.masks == 4
    text = " ".join(report.sentences)
    assert "No image was found for the mask other.tif" in text
    assert "c3_mask.png: The mask has only two values" in text
    for image_id in report.added:
        document = project.drawings.document(image_id)
        assert np.array_equal(document.labels > 0, labels > 0)
        assert len(document.cells) == 3
        assert project.images.get(image_id).cells == 3
        assert project.images.get(image_id).state == "annotated"
        # An import is an edit like any other.
        document.undo()
        assert not len(document.cells)
        assert project.images.get(image_id).cells == 0


def test_a_mask_that_does_not_fit_is_reported_and_its_image_added(project, tmp_path):
    paths = [picture(tmp_path / f"{name}.png", seed=number) for number, name in enumerate("abcd")]
    masks = [
        mask(tmp_path / "masks" / "a.tif", squares((30, 40))),
        picture(tmp_path / "masks" / "b.png", seed=9),
        mask(tmp_path / "masks" / "c.tif", np.zeros(SHAPE, np.int32)),
        mask(tmp_path / "masks" / "d.tif"),
    ]
    masks[1].write_bytes(masks[1].read_bytes()[:90])
    report = project.add_images(paths, copy=True, masks=masks)
    assert names(project) == ["a.png", "b.png", "c.png", "d.png"]
    assert [project.images.get(image_id).cells for image_id in report.added] == [0, 0, 0, 3]
    assert "a.tif has 40 x 30 pixels, but its image has 47 x 30" in report.sentences[0]
    assert "a.png was added without it" in report.sentences[0]
    assert any("b.png" in one for one in report.sentences)
    assert any("c.tif holds no cells" in one for one in report.sentences)


def test_masks_in_the_same_folder_are_recognised(project, tmp_path):
    for name in ("a", "b"):
        picture(tmp_path / "in" / f"{name}.png", seed=ord(name))
        mask(tmp_path / "in" / f"{name}_mask.tif")
    picture(tmp_path / "in" / "lonely_gt.png", seed=5)
    report = project.add_images([tmp_path / "in"], copy=False)
    assert names(project) == ["a.png", "b.png", "lonely_gt.png"]
    assert list(report.cells.values()) == [3, 3]


def test_a_folder_of_masks_beside_the_images_is_recognised(tmp_path):
    images_ = [tmp_path / "set" / "images" / f"{number}.png" for number in range(2)]
    masks = [tmp_path / "set" / "masks" / f"{number}.png" for number in range(2)]
    assert split_masks([*images_, *masks]) == (images_, masks)
    # Only masks: the user wants to see them.
    assert split_masks(masks) == (masks, [])
    assert split_masks(images_) == (images_, [])


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("s_t000_z{n:03d}.tif", 0),
        ("s_z{n:03d}.png", 0),
        ("s_z{n}_mask.tif", 1),
        ("S-z{n:02d}_cp_masks.png", 1),
        ("s_z{n:03d}_t000.tif", 0),
    ],
)
@pytest.mark.parametrize("named", [True, False])
def test_masks_of_single_planes_find_their_stack(project, tmp_path, name, first, named):
    """What this program saves of a stack can be brought back, and so can what others number from 1."""
    stack = np.random.default_rng(0).integers(0, 255, (3, *SHAPE)).astype(np.uint8)
    (tmp_path / "images").mkdir()
    tifffile.imwrite(tmp_path / "images/s.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    for plane in range(3):
        mask(tmp_path / "masks" / name.format(n=plane + first), squares(count=plane + 2))
    folders = [tmp_path / "images"] if named else [tmp_path / "images", tmp_path / "masks"]
    report = project.add_images(folders, copy=True, masks=[tmp_path / "masks"] if named else ())
    (image_id,) = report.added
    assert report.sentences == []
    assert report.cells == {image_id: 9}
    assert [len(project.drawings.document(image_id, z).cells) for z in range(3)] == [2, 3, 4]


def test_masks_of_planes_that_do_not_fit_are_named(project, tmp_path):
    stack = np.zeros((2, *SHAPE), np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    mask(tmp_path / "m/s_z000.tif", squares(count=2))
    mask(tmp_path / "m/s_z001.tif", squares(count=2)[:-1])
    mask(tmp_path / "m/s_z007.tif", squares(count=2))
    report = project.add_images([tmp_path / "s.tif"], copy=True, masks=[tmp_path / "m"])
    assert report.cells == {report.added[0]: 2}
    assert len(report.sentences) == 2
    assert "s_z001.tif has" in report.sentences[0]
    assert "s_z007.tif names a plane" in report.sentences[1]


def test_images_that_are_planes_themselves_keep_their_own_masks(project, tmp_path):
    for plane in (0, 1):
        picture(tmp_path / f"in/s_z{plane}.png", seed=plane)
        mask(tmp_path / f"in/s_z{plane}_mask.png", squares(count=plane + 1))
    report = project.add_images([tmp_path / "in"], copy=True)
    assert names(project) == ["s_z0.png", "s_z1.png"]
    assert sorted(report.cells.values()) == [1, 2]


def test_a_stack_of_masks_for_a_stack_of_images(project, tmp_path):
    stack = np.random.default_rng(0).integers(0, 255, (3, *SHAPE)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "s.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    labels = np.stack([squares(count=number) for number in range(3)])
    (tmp_path / "m").mkdir()
    tifffile.imwrite(tmp_path / "m" / "s.tif", labels.astype(np.uint16), imagej=True, metadata={"axes": "ZYX"})
    report = project.add_images([tmp_path / "s.tif"], copy=True, masks=[tmp_path / "m"])
    (image_id,) = report.added
    assert project.images.get(image_id).n_z == 3
    for z in range(3):
        assert len(project.drawings.document(image_id, z).cells) == z
    assert project.images.get(image_id).cells == 3
    with pytest.raises(ProjectError, match="no plane"):
        project.drawings.document(image_id, 3)


# ---- documents


def test_a_document_is_one_as_long_as_somebody_has_it(tmp_path):
    project, ids = new_project(tmp_path, 20)
    kept = project.drawings.document(ids[0])
    act(kept, 1)
    for image_id in ids[1:]:
        act(project.drawings.document(image_id), 1)
    open_files = [plane for plane in project.drawings._planes.values() if plane.document() is not None]
    assert len(open_files) == drawings.KEPT_DOCUMENTS + 1
    assert project.drawings.document(ids[0]) is kept
    act(kept, 2)
    del kept
    for image_id in ids[1:]:
        assert is_after(project.drawings.document(image_id), 1)
    assert is_after(project.drawings.document(ids[0]), 2)
    project.close()


def test_the_image_is_described_when_its_document_is_opened_first(project, tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((4, 20, 33), np.uint16), imagej=True, metadata={"axes": "ZYX"})
    (image_id,) = project.add_images([tmp_path / "s.tif"], copy=False).added
    entry = project.images.get(image_id)
    assert entry.shape == ()
    assert project.drawings.document(image_id, 2).shape == (20, 33)
    assert (entry.shape, entry.axes, entry.dtype, entry.n_z, entry.n_t) == ((4, 20, 33), "ZYX", "uint16", 4, 1)
    project.images.set(image_id, pixel_size_um=(1.0, 2.0), pixel_size_by_hand=True)
    project.images.describe(image_id, project.images.read(image_id))
    assert entry.pixel_size_um == (1.0, 2.0)
    with pytest.raises(TypeError):
        project.images.set(image_id, id="other")


def test_axes_by_hand(project, tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((4, 20, 33), np.uint8), photometric="minisblack")
    (image_id,) = project.add_images([tmp_path / "s.tif"], copy=False).added
    project.images.set(image_id, axes="TYX", axes_by_hand=True)
    image = project.images.read(image_id)
    project.images.describe(image_id, image)
    entry = project.images.get(image_id)
    assert (entry.axes, entry.n_t, entry.n_z, entry.axes_guessed) == ("TYX", 4, 1, False)
    project.drawings.document(image_id, 0, 3)


def test_states_and_the_next_unchecked(tmp_path):
    project, ids = new_project(tmp_path, 4)
    assert [project.images.get(one).state for one in ids] == ["new"] * 4
    documents = [project.drawings.document(one) for one in ids]
    paint_cell(documents[0])
    assert project.images.get(ids[0]).state == "annotated"
    documents[0].set_attribute("Use", "training", True)
    assert project.images.get(ids[0]).state == "training"
    assert project.images.training() == [(ids[0], 0, 0)]
    documents[0].undo()
    assert project.images.training() == []
    run = project.runs.new("predict")
    project.runs.add_result(run.name, ids[1], 0, 0, cells=3)
    assert project.images.get(ids[1]).state == "predicted"
    documents[1].set_attribute("Check", "checked", True)
    assert project.images.get(ids[1]).state == "checked"
    assert project.images.next_unchecked(ids[0]) == ids[2]
    assert project.images.next_unchecked(ids[3]) == ids[0]
    assert project.images.next_unchecked(None) == ids[0]
    for document in documents:
        if not document.attributes.get("checked"):
            document.set_attribute("Check", "checked", True)
    assert project.images.next_unchecked(ids[0]) is None
    project.close()
    with Project.open(project.folder) as again:
        assert [again.images.get(one).state for one in ids] == ["checked"] * 4
        assert [again.images.get(one).cells for one in ids] == [1, 0, 0, 0]


def test_a_stack_is_checked_when_all_that_was_worked_on_is(project, tmp_path):
    tifffile.imwrite(tmp_path / "s.tif", np.zeros((4, *SHAPE), np.uint8), imagej=True, metadata={"axes": "ZYX"})
    (image_id,) = project.add_images([tmp_path / "s.tif"], copy=True).added
    first, second = project.drawings.document(image_id, 0), project.drawings.document(image_id, 2)
    paint_cell(first)
    paint_cell(second)
    first.set_attribute("Check", "checked", True)
    assert project.images.get(image_id).state == "annotated"
    second.set_attribute("Check", "checked", True)
    assert project.images.get(image_id).state == "checked"


# ---- missing and changed


def test_missing_and_changed_links_are_found_and_linked_again(tmp_path):
    project, ids = new_project(tmp_path, 3, copy=False)
    for image_id in ids:
        paint_cell(project.drawings.document(image_id))
    old = tmp_path / "pictures"
    new = tmp_path / "archive" / "2024"
    new.parent.mkdir()
    old.rename(new)
    (new / "p1.png").rename(new / "renamed.png")
    assert [project.images.check(one) for one in ids] == ["missing"] * 3
    with pytest.raises(ImageError):
        project.images.read(ids[0])
    # Cells are there without their image.
    assert len(project.drawings.document(ids[0]).cells) == 1
    assert project.images.relink_folder(tmp_path / "archive") == 3
    assert [project.images.check(one) for one in ids] == ["ok"] * 3
    assert project.images.path(ids[1]) == new / "renamed.png"
    assert names(project) == ["p0.png", "p1.png", "p2.png"]
    picture(new / "p0.png", seed=77)
    (new / "p2.png").write_bytes((new / "p2.png").read_bytes())
    os.utime(new / "p2.png", (5, 5))
    assert [project.images.check(one) for one in ids] == ["changed", "ok", "ok"]
    assert project.images.relink_folder(tmp_path / "archive") == 0
    project.close()


def test_links_by_hand(tmp_path):
    project, (image_id,) = new_project(tmp_path, copy=False)
    document = project.drawings.document(image_id)
    paint_cell(document)
    (tmp_path / "pictures" / "p0.png").unlink()
    with pytest.raises(ProjectError, match=r"40 x 20 pixels, but the cells of p0\.png were drawn on 47 x 30"):
        project.images.relink(image_id, picture(tmp_path / "small.png", (20, 40)))
    (tmp_path / "no.png").write_text("no image")
    with pytest.raises(ImageError):
        project.images.relink(image_id, tmp_path / "no.png")
    assert project.images.check(image_id) == "missing"
    project.images.relink(image_id, picture(tmp_path / "other.png", seed=8))
    assert project.images.check(image_id) == "ok"
    assert project.drawings.document(image_id) is document
    project.close()


def test_project_and_images_moved_together_need_no_help(tmp_path):
    (tmp_path / "a").mkdir()
    project, (image_id,) = new_project(tmp_path / "a", copy=False)
    project.close()
    (tmp_path / "a").rename(tmp_path / "b")
    with Project.open(tmp_path / "b" / "Cells.cs1project") as project:
        assert project.images.check(image_id) == "ok"
        assert project.images.path(image_id) == tmp_path / "b" / "pictures" / "p0.png"


def test_an_entry_that_points_out_of_the_project_is_not_followed(tmp_path):
    project, (image_id,) = new_project(tmp_path)
    for file in ("../../etc/passwd", "/etc/passwd", "images/../../x.png", "C:/x.png", "images\\..\\x"):
        project.images.get(image_id).file = file
        with pytest.raises(ProjectError, match="points out of the project"):
            project.images.path(image_id)
        assert project.images.check(image_id) == "missing"
    project.close()


# ---- the project's trash


@pytest.mark.parametrize("copy", [True, False])
def test_a_removed_image_can_be_brought_back(tmp_path, copy):
    project, ids = new_project(tmp_path, 3, copy=copy)
    document = project.drawings.document(ids[1])
    for number in range(1, 9):
        act(document, number)
    cells = project.images.get(ids[1]).cells
    removed = project.trash.remove(ids[1])
    assert names(project) == ["p0.png", "p2.png"]
    assert (removed.name, removed.cells) == ("p1.png", cells)
    assert not (project.folder / "annotations" / ids[1]).exists()
    assert (tmp_path / "pictures" / "p1.png").exists()
    with pytest.raises(ProjectError, match="not in the project any more"):
        project.drawings.document(ids[1])
    project.close()
    with Project.open(project.folder) as project:
        (found,) = project.trash.removed()
        assert found == removed
        assert project.trash.restore(found) == ids[1]
        assert names(project) == ["p0.png", "p2.png", "p1.png"]
        assert is_after(project.drawings.document(ids[1]), 8)
        assert project.drawings.document(ids[1]).undo_count
        assert project.images.check(ids[1]) == "ok"
        assert project.trash.removed() == []


def test_a_crash_while_removing_leaves_the_image_whole_somewhere(tmp_path, monkeypatch):
    from app.project import trash

    project, (image_id,) = new_project(tmp_path)
    act(project.drawings.document(image_id), 1)
    monkeypatch.setattr(trash, "_move", lambda *_: None)
    project.trash.remove(image_id)
    monkeypatch.undo()
    monkeypatch.setenv("CELLSEG1_STUDIO_HOME", str(tmp_path / "home"))
    project.close()
    with Project.open(project.folder) as project:
        assert not project.images
        project.trash.restore(project.trash.removed()[0])
        assert is_after(project.drawings.document(image_id), 1)
        assert project.images.check(image_id) == "ok"


def test_restoring_beside_a_new_image_of_the_same_name(tmp_path):
    project, (image_id,) = new_project(tmp_path)
    before = project.images.path(image_id).read_bytes()
    removed = project.trash.remove(image_id)
    project.add_images([picture(tmp_path / "again" / "p0.png", seed=3)], copy=True)
    project.trash.restore(removed)
    assert project.images.path(image_id).read_bytes() == before
    assert len({project.images.path(image.id) for image in project.images}) == 2
    project.close()


# ---- thumbnails


def test_thumbnails_show_the_cells_and_are_made_once(tmp_path, monkeypatch):
    project, (image_id,) = new_project(tmp_path)
    first = thumbnail(project, image_id)
    with Image.open(first) as picture_:
        assert (picture_.size, picture_.mode) == ((47, 30), "RGB")
        pixels = np.asarray(picture_)
        assert np.array_equal(pixels[..., 0], pixels[..., 1]), "grey without cells"
    document = project.drawings.document(image_id)
    paint_cell(document)
    second = thumbnail(project, image_id)
    assert second != first
    assert not first.exists(), "older ones are removed"
    with Image.open(second) as picture_:
        pixels = np.asarray(picture_)
        inside = pixels[3:7, 4:9].astype(int)
        assert (inside.max(axis=2) > inside.min(axis=2)).all(), "the cell is coloured"
        assert np.array_equal(pixels[10:, :, 0], pixels[10:, :, 1])
    monkeypatch.setattr(images, "read_image", lambda _: pytest.fail("made again"))
    assert thumbnail(project, image_id) == second
    project.close()
    with Project.open(project.folder) as again:
        assert thumbnail(again, image_id) == second


def test_thumbnails_do_not_open_documents_and_work_read_only(tmp_path):
    project, (image_id,) = new_project(tmp_path)
    operations.import_labels(project.drawings.document(image_id), squares())
    project.flush()
    with Project.open(project.folder) as second:
        assert second.read_only
        made = thumbnail(second, image_id, 20)
        with Image.open(made) as picture_:
            assert picture_.size == (20, 13)
            pixels = np.asarray(picture_).astype(int)
            assert (pixels.max(axis=2) - pixels.min(axis=2)).max() > 20
        assert second.drawings._planes == {}
        shutil.rmtree(project.folder / "thumbnails")
        (project.folder / "thumbnails").write_text("cannot be a folder")
        assert (tmp_path / "home") in thumbnail(second, image_id, 20).parents
        (tmp_path / "pictures" / "p0.png").unlink()
    project.close()


def test_thumbnails_of_other_pictures():
    wide = np.zeros((500, 2000), np.uint16)
    wide[:, :1000] = 4000
    labels = np.zeros(wide.shape, np.int32)
    labels[100:400, 1200:1500] = 2**30
    made = picture_of(wide, labels, 96, colour=False)
    assert made.shape == (24, 96, 3)
    assert made[12, 10].tolist() == [255, 255, 255]
    assert made[2, 90].tolist() == [0, 0, 0]
    assert len(set(made[12, 65].tolist())) > 1
    rgb = np.zeros((30, 20, 3), np.uint8)
    rgb[..., 1] = 200
    rgb[:15] = (250, 10, 10)
    made = picture_of(rgb, None, 96, colour=True)
    assert made.shape == (30, 20, 3)
    assert made[3, 3, 0] > 200 > 60 > made[3, 3, 1]
    with pytest.raises(CellSeg1Error):
        picture_of(np.zeros((3, 4, 5, 6)), None, 96, colour=False)


def test_what_a_folder_holds_beside_images_is_named(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    cells = np.zeros((40, 64), np.uint8)
    cells[4:14, 5:15] = 7
    for name in ("x.png", "x_cp_masks.png", "y.png"):
        Image.fromarray(cells).save(folder / name)
    tifffile.imwrite(folder / "x_flows.tif", cells)
    tifffile.imwrite(folder / "z.lsm", cells)
    np.save(folder / "x_seg.npy", {"masks": cells}, allow_pickle=True)
    (folder / "k.czi").write_bytes(b"x")
    (folder / "p.ome.zarr").mkdir()
    (folder / "p.ome.zarr" / "inside.png").write_bytes(b"x")
    (folder / "gone.png").symlink_to("nothing.png")
    (folder / "long.png").symlink_to("x" * 300 + ".png")
    skipped = []
    images, masks = split_masks(expand([folder], skipped))
    assert [path.name for path in images] == ["x.png", "y.png", "z.lsm"]
    assert [path.name for path in masks] == ["x_cp_masks.png"]
    assert {path.name: reason.split(",")[0] for path, reason in skipped} == {
        "gone.png": "A link to a file that is not there.",
        "long.png": "It cannot be opened: File name too long.",
        "k.czi": "Zeiss CZI files are not read yet; save them as OME-TIFF.",
        "p.ome.zarr": "Zarr files are not read yet; save them as OME-TIFF.",
        "x_flows.tif": "A by-product of Cellpose",
        "x_seg.npy": "A segmentation of Cellpose",
    }
    skipped.clear()
    assert expand([folder / "gone.png", folder / "k.czi"], skipped) == []
    assert len(skipped) == 2
