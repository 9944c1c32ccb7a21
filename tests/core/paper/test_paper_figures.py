"""Every figure is drawn, as files of the right kind and size, and shows exactly the numbers of the table."""

import math
import re
import statistics

import numpy as np
import paper_archives as mini
import pytest
from PIL import Image

from cellseg1.errors import OutputError, SettingsError
from cellseg1.masks import write_label_image
from cellseg1.paper import facts
from cellseg1.paper.data_sets import DATA_SETS, FIVE, TISSUES
from cellseg1.paper.figures import FIGURES, Content, draw_figures
from cellseg1.paper.figures.draw import file_stem
from cellseg1.paper.figures.parts import WIDTH
from cellseg1.paper.runs import Choice, all_runs
from cellseg1.paper.table import row_of

OURS = "ours: paper, vit_h"


def score(run):
    """A number that only this run has."""
    return int(run.id.rsplit("-", 1)[1], 16) / 2**32


@pytest.fixture(scope="module")
def rows():
    """A row for every run of all studies, robustness on five images a set."""
    few = dict.fromkeys(FIVE, 5)
    runs = {**all_runs(("robustness", "vit_size", "batch_size"), Choice(images=few))}
    runs |= all_runs(("train_image_numbers", "generalization"))
    return [
        row_of(
            run,
            score(run),
            train_cell_num=None if run.train_ids is None else 10 + run.train_ids[0],
            train_seconds=1000.0 / run.batch_size,
            peak_memory_mib=4000.0 * run.batch_size,
        )
        for run in runs
    ]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Prepared data sets with five and two images, predictions of the test images, and the three pictures of e3."""
    top = tmp_path_factory.mktemp("images")
    for one in DATA_SETS.values():
        for split, count in (("train", 5), ("test", 2)):
            folder = top / "data" / one.name / split
            (folder / "images").mkdir(parents=True)
            for number in range(count):
                (folder / "images" / f"{number}.png").write_bytes(mini.png(mini.grey(number)))
                write_label_image(folder / "masks" / f"{number}.png", mini.labels(number))
        write_label_image(top / "predictions" / one.name / "1.png", mini.labels(3))
    (top / "nms").mkdir()
    (top / "nms" / "image.png").write_bytes(mini.png(mini.grey(1)))
    for name in ("box", "mask"):
        write_label_image(top / "nms" / f"{name}.png", mini.labels(1))
    return {"data": top / "data", "predictions": top / "predictions", "nms": top / "nms"}


def axes_of(name, rows=(), **folders):
    return FIGURES[name](Content(rows, **folders)).axes


def bars_of(axes):
    """Heights by label and name under the axis."""
    names = [text.get_text() for text in axes.get_xticklabels()]
    return {
        container.get_label(): {names[round(bar.get_x() + bar.get_width() / 2)]: bar.get_height() for bar in container}
        for container in axes.containers
    }


def lines_of(axes):
    return {line.get_label(): line.get_xydata() for line in axes.get_lines()}


def published(scores):
    return {f"{method} (published)": values for method, values in scores.items()}


# ---- files


@pytest.fixture(scope="module")
def drawn(rows, folders, tmp_path_factory):
    out = tmp_path_factory.mktemp("figures")
    return out, draw_figures(Content(rows, **folders), out)


def test_every_figure_is_there(drawn):
    out, result = drawn
    assert result.skipped == {}
    assert result.files == [out / f"{file_stem(name)}.{kind}" for name in FIGURES for kind in ("pdf", "png")]
    assert sorted(out.iterdir()) == sorted(result.files)
    assert len(result.files) == 30


@pytest.mark.parametrize("name", FIGURES)
def test_files_are_whole_and_of_the_right_size(drawn, name):
    out, _ = drawn
    with Image.open(out / f"{file_stem(name)}.png") as picture:
        picture.load()
        width, height = picture.size
        assert picture.format == "PNG"
        assert np.asarray(picture.convert("L")).std() > 5
    assert width == int(WIDTH * 300)
    data = (out / f"{file_stem(name)}.pdf").read_bytes()
    assert data.startswith(b"%PDF-1.")
    assert data.rstrip().endswith(b"%%EOF")
    assert data.count(b"/Type /Page\n") + data.count(b"/Type /Page ") == 1
    box = [float(side) for side in re.search(rb"/MediaBox \[([^\]]+)\]", data).group(1).split()]
    assert box[:2] == [0, 0]
    assert box[2] == pytest.approx(WIDTH * 72, abs=1)
    assert box[3] == pytest.approx(height / 300 * 72, abs=1)
    assert b"/CreationDate" not in data


def test_equal_content_gives_equal_files(drawn, rows, tmp_path):
    out, _ = drawn
    again = draw_figures(Content(rows), tmp_path, ["1a", "1a"])
    assert [path.name for path in again.files] == ["figure_1a.pdf", "figure_1a.png"]
    assert [path.read_bytes() for path in again.files] == [(out / path.name).read_bytes() for path in again.files]


def test_what_needs_images_is_left_out_with_one_sentence(tmp_path):
    result = draw_figures(Content(), tmp_path, ["3c", "e1", "e2", "e3", "e4"])
    assert list(result.skipped) == ["3c", "e1", "e2", "e3"]
    assert all(sentence.endswith(".") and "--" in sentence for sentence in result.skipped.values())
    assert len(result.files) == 2


def test_unknown_figures_and_places_that_cannot_be_written(tmp_path):
    with pytest.raises(SettingsError, match="no figure '2'"):
        draw_figures(Content(), tmp_path, ["2"])
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        draw_figures(Content(), tmp_path / "file", ["1b"])


def test_the_style_of_the_user_is_left_alone(tmp_path):
    import matplotlib as mpl

    before = mpl.rcParams["font.size"]
    draw_figures(Content(), tmp_path, ["1b"])
    assert mpl.rcParams["font.size"] == before


# ---- numbers


def ap(rows, **wanted):
    """The score of the one row with these values."""
    found = [row.ap for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]
    assert len(found) == 1, (wanted, len(found))
    return found[0]


def score_of(rows, train, test):
    """The score of the only run with these two sets."""
    return ap(rows, dataset_name=DATA_SETS[train].name, test_dataset_name=DATA_SETS[test].name)


def singles(rows, short):
    """Scores of the runs on one training image, with the largest batch and vit_h."""
    return [
        row
        for row in rows
        if (row.train_set, row.test_set, row.train_num, row.vit_name, row.batch_size) == (short, short, 1, "vit_h", 4)
    ]


def test_1a_is_the_best_image_beside_the_published_methods(rows):
    (axes,) = axes_of("1a", rows)
    shown = bars_of(axes)
    best = {short: max(row.ap for row in singles(rows, short)) for short in FIVE}
    assert shown[OURS] == pytest.approx(best)
    assert {label: shown[label] for label in shown if "published" in label} == published(facts.scores("1a"))
    assert shown["cellseg1 (published)"]["CSB"] == pytest.approx(0.9407)


def test_1b_is_the_mean_over_the_other_tissues(rows):
    (axes,) = axes_of("1b", rows)
    matrix = {(row.train_set, row.test_set): row.ap for row in rows if row.train_set in TISSUES}
    expected = {one: statistics.fmean(matrix[one, other] for other in TISSUES if other != one) for one in TISSUES}
    assert bars_of(axes)[OURS] == pytest.approx(expected)
    # The published numbers follow from the published matrix in the same way.
    for method, values in facts.matrix().items():
        for one in TISSUES:
            others = statistics.fmean(values[one][other] for other in TISSUES if other != one)
            assert facts.scores("1b")[method][one] == pytest.approx(others, abs=2e-4)


def test_3a_shows_every_image_of_every_method(rows):
    for axes, short in zip(axes_of("3a", rows), FIVE, strict=True):
        shown = {label: sorted(points[:, 1]) for label, points in lines_of(axes).items() if not label.startswith("_")}
        expected = facts.one_image(short)
        for method in ("cellseg1", "cellpose-cyto2", "cellpose-scratch", "stardist"):
            assert shown[f"{method} (published)"] == sorted(expected[method])
        assert shown[OURS] == pytest.approx(sorted(row.ap for row in singles(rows, short)))


def test_3b_is_scores_over_cells(rows):
    for axes, short in zip(axes_of("3b", rows), FIVE, strict=True):
        shown = lines_of(axes)
        expected = facts.one_image(short)
        assert shown["cellseg1 (published)"][:, 0].tolist() == expected["cells"]
        assert shown["cellseg1 (published)"][:, 1].tolist() == expected["cellseg1"]
        ours = {(float(row.train_cell_num), row.ap) for row in singles(rows, short)}
        assert {tuple(point) for point in shown[OURS].tolist()} == ours


def test_3c_shows_the_best_and_the_worst_image(rows, folders):
    few = [row for row in rows if row.train_id in ((0,), (1,)) and row.train_num == 1]
    every = axes_of("3c", few, data=folders["data"])
    for place, short in enumerate(FIVE):
        ranked = sorted(singles(few, short), key=lambda row: row.ap)
        for row, wanted in enumerate((ranked[-1], ranked[0])):
            axes = every[row * len(FIVE) + place]
            number = wanted.train_id[0]
            cells = len(np.unique(mini.labels(number))) - 1
            assert axes.get_title() == f"{short} {number}: AP {wanted.ap:.2f}, {cells} cells"
            assert axes.images[0].get_array().shape == (mini.HEIGHT, mini.WIDTH, 3)


def test_4a_is_scores_over_numbers_of_images(rows):
    for axes, short in zip(axes_of("4a", rows), FIVE, strict=True):
        shown = lines_of(axes)
        assert shown["stardist (published)"].tolist() == [
            [number, value] for number, value in facts.series("4a")["stardist"][short].items()
        ]
        name = DATA_SETS[short].name
        expected = [
            [1, statistics.median(row.ap for row in singles(rows, short))],
            [5, ap(rows, dataset_name=name, train_num=5)],
            [10, ap(rows, dataset_name=name, train_num=10)],
            [DATA_SETS[short].published[0], ap(rows, dataset_name=name, train_num=None)],
        ]
        assert shown[OURS] == pytest.approx(np.array(expected))


def test_4b_is_means_over_the_five_sets(rows):
    left, right = axes_of("4b", rows)
    five = [ap(rows, dataset_name=DATA_SETS[short].name, train_num=5) for short in FIVE]
    assert lines_of(left)[OURS][1].tolist() == pytest.approx([1, statistics.fmean(five)])
    assert lines_of(left)["cellseg1 (published)"][:, 1].tolist() == pytest.approx(
        [0.8064, 0.8452, 0.8778, 0.8815], abs=1e-4
    )
    assert bars_of(right)["CellSAM (published)"] == {"CPG": 0.7573}
    # Of CPG the table has the model of all images, tested on the other sets and on its own.
    assert bars_of(right)[OURS] == {
        "CPG": ap(rows, dataset_name="cellpose_generalized", test_dataset_name="cellpose_generalized")
    }


@pytest.mark.parametrize("name", ["5a", "5b"])
def test_radars_are_closed_lines_of_the_scores(rows, name):
    (axes,) = axes_of(name, rows)
    shown = lines_of(axes)
    places = TISSUES if name == "5a" else (*FIVE, *TISSUES)
    for method, values in facts.scores(name).items():
        around = [values[short] for short in places]
        assert shown[f"{method} (published)"][:, 1].tolist() == [*around, around[0]]
    ours = [score_of(rows, short if name == "5a" else "CPG", short) for short in places]
    assert shown[OURS][:, 1].tolist() == [*ours, ours[0]]
    assert [text.get_text() for text in axes.get_xticklabels()] == list(places)


def test_5c_is_the_matrix_of_every_method(rows):
    every = axes_of("5c", rows)
    assert [axes.get_title() for axes in every] == [
        "cellseg1 (published)",
        "cellpose-cyto2 (published)",
        "stardist (published)",
        OURS,
    ]
    for axes, (method, matrix) in zip(every, facts.matrix().items(), strict=False):
        values = axes.images[0].get_array()
        assert values.tolist() == [[matrix[one][other] for other in TISSUES] for one in TISSUES], method
    ours = every[3].images[0].get_array()
    assert ours[2, 5] == score_of(rows, "TSN-3", "TSN-6")
    assert ours.shape == (14, 14)


def test_galleries_show_image_truth_and_prediction(folders):
    for name, count in (("e1", 6), ("e2", 14)):
        every = axes_of(name, (), data=folders["data"], predictions=folders["predictions"])
        titles = [axes.get_title() for axes in every if axes.images]
        assert titles[1::3] == ["truth"] * count
        assert titles[2::3] == ["prediction"] * count
        # Image 1 is the first that has a prediction.
        for axes, mask in ((every[1], 1), (every[2], 3)):
            right = outlined(1, mask)
            pixels = axes.images[0].get_array().astype(int)
            yellow = (right == (255, 220, 0)).all(axis=2)
            assert np.array_equal((pixels == (255, 220, 0)).all(axis=2), yellow)
            assert np.abs(pixels - right).max() <= 1


def outlined(image, mask):
    """The picture with yellow outlines, pixel by pixel."""
    picture = np.repeat(mini.grey(image)[..., None], 3, axis=2).astype(float)
    low, high = np.percentile(picture, (0.1, 99.9))
    picture = np.rint(np.clip((picture - low) / (high - low), 0, 1) * 255).astype(np.uint8)
    labels = mini.labels(mask)
    for y in range(mini.HEIGHT):
        for x in range(mini.WIDTH):
            near = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            inside = [(v, u) for v, u in near if 0 <= v < mini.HEIGHT and 0 <= u < mini.WIDTH]
            if labels[y, x] and any(labels[v, u] != labels[y, x] for v, u in inside):
                picture[y, x] = (255, 220, 0)
    return picture


def test_e3_shows_both_results_and_the_published_times(folders):
    box, mask, time = axes_of("e3", (), nms=folders["nms"])
    assert (box.get_title(), mask.get_title()) == ("suppression by boxes", "suppression by masks")
    shown = lines_of(time)
    assert {name: points[:, 1].tolist() for name, points in shown.items()} == facts.repeated("e3")
    assert all(len(points) == 10 for points in shown.values())


def test_e4_compares_backbones_on_the_same_image(rows):
    left, right = axes_of("e4", rows)
    shown = bars_of(left)
    for name in ("vit_b", "vit_l", "vit_h"):
        assert shown[f"{name} (published)"] == facts.scores("e4")[name]
        expected = {
            short: ap(rows, dataset_name=DATA_SETS[short].name, vit_name=name, train_id=(4,), batch_size=4)
            for short in FIVE
        }
        assert shown[f"ours: paper, {name}"] == expected
    assert [bar.get_height() for bar in right.patches] == pytest.approx([93.735, 312.343, 641.091], abs=1e-3)


def test_e5_is_score_time_and_memory_by_batch(rows):
    every = axes_of("e5", rows)
    for place, short in enumerate(FIVE):
        scores, seconds, memory = (lines_of(every[row * 5 + place])[OURS] for row in range(3))
        name = DATA_SETS[short].name
        assert scores.tolist() == [
            [size, ap(rows, dataset_name=name, vit_name="vit_h", train_id=(4,), batch_size=size)] for size in (1, 2, 4)
        ]
        assert seconds.tolist() == [[1, 1000], [2, 500], [4, 250]]
        assert memory.tolist() == [[1, 4000], [2, 8000], [4, 16000]]
    assert lines_of(every[5])["cellseg1 (published)"][0].tolist() == pytest.approx([1, 3112.7])


def test_the_published_headline_follows_from_the_facts():
    best = facts.scores("1a")["cellseg1"]
    assert best == pytest.approx({"CPS": 0.917, "CSB": 0.941, "ECB": 0.860, "BSF": 0.821, "DSB": 0.873}, abs=6e-4)
    assert statistics.fmean([*best.values(), *facts.scores("5a")["cellseg1"].values()]) == pytest.approx(0.81, abs=5e-3)
    for short in FIVE:
        one = facts.one_image(short)
        assert max(one["cellseg1"]) == best[short]
        assert statistics.median(one["cellseg1"]) == pytest.approx(facts.series("4a")["cellseg1"][short][1], abs=1e-4)


def test_a_table_without_a_study_leaves_the_published_numbers(rows):
    few = [row for row in rows if row.train_set == "CPS"]
    assert set(bars_of(axes_of("1b", few)[0])) == set(published(facts.scores("1b")))
    assert len(axes_of("5c", few)) == 3
    shown = lines_of(axes_of("5a", [row for row in rows if row.train_set == "TSN-2"])[0])[OURS]
    assert sum(not math.isnan(value) for value in shown[:, 1]) == 1
