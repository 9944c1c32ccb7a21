"""The published studies: which runs there are, and that their names never change."""

import pytest

from cellseg1.errors import SettingsError, StoppedError
from cellseg1.paper import facts
from cellseg1.paper.data_sets import DATA_SETS, FIVE, TISSUES, chosen_sets, data_set
from cellseg1.paper.runs import STUDIES, Choice, Run, all_runs, drawn_images, study_runs
from cellseg1.paper.table import ResultsTable, row_of
from cellseg1.paper.work import do_missing


def test_the_drawn_images_are_the_published_ones():
    assert drawn_images() == facts.one_image("DSB")["train_id"]


def test_robustness_covers_exactly_the_published_runs():
    runs = study_runs("robustness")
    assert {(run.data_set, run.train_ids[0]) for run in runs} == {
        (short, image) for short in FIVE for image in facts.one_image(short)["train_id"]
    }
    assert len(runs) == 427
    assert {(run.epochs, run.backbone, run.batch_size, run.accumulation, run.recipe) for run in runs} == {
        (300, "vit_h", 4, 8, "paper")
    }


def test_numbers_of_training_images():
    runs = study_runs("train_image_numbers")
    assert [(run.data_set, run.train_label, run.epochs) for run in runs[:9]] == [
        ("CPS", "first5", 300),
        ("CPS", "first10", 300),
        ("CPS", "all", 30),
        ("CSB", "first5", 300),
        ("CSB", "first10", 300),
        ("CSB", "all", 30),
        ("ECB", "first5", 300),
        ("ECB", "first10", 300),
        ("ECB", "all", 100),
    ]
    assert [(run.data_set, run.train_ids, run.epochs) for run in runs[15:]] == [
        ("CPG", None, 30),
        *((short, (0,), 300) for short in TISSUES),
    ]


def test_backbones_and_batches():
    runs = study_runs("vit_size")
    assert [(run.data_set, run.train_ids, run.backbone) for run in runs[:4]] == [
        ("CPS", (60,), "vit_b"),
        ("CPS", (60,), "vit_l"),
        ("CPS", (60,), "vit_h"),
        ("CSB", (138,), "vit_b"),
    ]
    assert {(run.data_set, run.train_ids[0]) for run in runs} == {
        ("CPS", 60),
        ("CSB", 138),
        ("ECB", 6),
        ("BSF", 70),
        ("DSB", 435),
    }
    batches = study_runs("batch_size")
    assert [(run.batch_size, run.accumulation) for run in batches[:3]] == [(1, 32), (2, 16), (4, 8)]
    assert len(batches) == 15


def test_generalization_is_the_matrix_and_the_model_of_all_of_cpg():
    runs = study_runs("generalization")
    matrix = [run for run in runs if run.data_set != "CPG"]
    assert {(run.data_set, run.test_set) for run in matrix} == {(one, two) for one in TISSUES for two in TISSUES}
    assert len({run.training_id for run in matrix}) == 14
    rest = [run for run in runs if run.data_set == "CPG"]
    assert len(rest) == 19
    assert len({run.training_id for run in rest}) == 1
    assert {run.train_ids for run in rest} == {None}


def test_a_run_that_studies_share_is_one():
    runs = all_runs()
    assert runs[Run("CPS", "CPS", (60,))] == ("robustness", "vit_size", "batch_size")
    assert runs[Run("TSN-1", "TSN-1", (0,))] == ("train_image_numbers", "generalization")
    assert len(runs) == 427 + 30 + 10 + 10 + 14 * 13 + 19
    assert len({run.id for run in runs}) == len(runs)


def test_ids_never_change():
    """Results that lie in tables are found by them."""
    assert Run("CPS", "CPS", (60,)).id == "CPS-60-vit_h-567f45b2"
    assert Run("CPG", "TSN-3", None, epochs=30).id == "CPG-all-vit_h-0b579c97"
    assert Run("CPG", "TSN-3", None, epochs=30).training_id == "CPG-all-vit_h-97c9bb60"
    assert Run("ECB", "ECB", tuple(range(5)), "tiny", 1, 2, 16, 7, "studio").id == "ECB-first5-tiny-a85cc4e0"


def test_settings_of_the_paper_and_ours():
    paper = Run("CSB", "CSB", (138,), batch_size=2, accumulation=16).settings().to_dict()
    assert paper["train_id"] == [138]
    assert paper["resize_size"] == [512, 512]
    assert (paper["batch_size"], paper["gradient_accumulation_step"], paper["epoch_max"]) == (2, 16, 300)
    assert (paper["patch_size"], paper["crop_n_layers"], paper["seed"], paper["schedule_length"]) == (
        256,
        1,
        0,
        "upstream",
    )
    assert Run("CPS", "CPS", (60,)).settings().to_dict()["resize_size"] is None
    ours = Run("CSB", "CSB", (138,), recipe="studio").settings().to_dict()
    assert (ours["resize_size"], ours["schedule_length"]) == (None, "repaired")


def test_choices():
    few = Choice(sets=("CPS", "ECB"), backbone="tiny", epochs=1, seed=3, images={"CPS": 4, "ECB": 7})
    runs = all_runs(("robustness", "train_image_numbers", "vit_size"), few)
    assert [run.train_label for run in runs if run.data_set == "CPS"] == ["0", "1", "2", "3", "all"] + ["3"] * 3
    assert {run.epochs for run in runs} == {1}
    assert {run.seed for run in runs} == {3}
    assert [run.train_label for run in runs if run.data_set == "ECB" and run.train_ids != (6,)][-2:] == [
        "first5",
        "all",
    ]
    with pytest.raises(SettingsError, match="no study 'speed'"):
        study_runs("speed")
    with pytest.raises(SettingsError, match="no data set 'XYZ'"):
        study_runs("robustness", Choice(sets=("XYZ",)))


def test_names_of_data_sets():
    assert data_set("cellseg_blood") is data_set("csb") is DATA_SETS["CSB"]
    assert [one.short for one in chosen_sets(["tsn-2", "DSB", "dsb"])] == ["DSB", "TSN-2"]
    assert len(chosen_sets(["TSN"])) == 14
    assert len(chosen_sets()) == 20
    with pytest.raises(SettingsError, match="no data set 'TSN-15'"):
        chosen_sets(["TSN-15"])


def test_only_missing_runs_are_done(tmp_path):
    runs = study_runs("batch_size")[:4]
    table = ResultsTable(tmp_path / "results.csv")
    done = []

    def do_run(run, data, out):
        done.append((run.id, data, out))
        return row_of(run, 0.5)

    places = (tmp_path / "data", tmp_path / "out")
    with pytest.raises(StoppedError, match="2 runs were done"):
        do_missing(runs, table, do_run, *places, stop=lambda: len(done) == 2)
    assert do_missing(runs, table, do_run, *places) == 2
    assert do_missing(runs, table, do_run, *places) == 0
    assert [one[0] for one in done] == [run.id for run in runs]
    assert {one[2] for one in done} == {tmp_path / "out" / run.training_id for run in runs}
    assert [row.run_id for row in table.rows()] == [run.id for run in runs]


def test_all_studies_have_runs():
    assert all(study_runs(study) for study in STUDIES)
