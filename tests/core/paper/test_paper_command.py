"""``cellseg1 paper`` from the archives to the figures."""

import subprocess
import sys

import paper_archives as mini
import pytest
from command import done, run, sentence

from cellseg1.paper.runs import Choice, study_runs
from cellseg1.paper.table import ResultsTable, row_of


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "archives").mkdir()
    mini.stardist(tmp_path / "archives")
    return tmp_path


@pytest.fixture
def results(tmp_path):
    table = ResultsTable(tmp_path / "results.csv")
    for number, one in enumerate(study_runs("vit_size", Choice(sets=("CPS",)))):
        table.add(row_of(one, 0.7 + number / 100))
    return table.path


def test_from_archives_to_statistics(folder):
    arguments = ("paper", "prepare", "--archives", folder / "archives", "--out", folder / "data", "DSB")
    first = done(*arguments)
    assert "made: DSB" in first.out
    assert "DSB: 6 images ..." in first.err
    second = done(*arguments, "--json", "-q").json()
    assert (second["made"], second["there"], second["missing"]) == ([], ["DSB"], [])
    shown = done("paper", "statistics", "--data", folder / "data", "--out", folder / "tables")
    assert shown.out.splitlines()[1].split()[:4] == ["DSB", "dsb2018_stardist", "4", "2"]
    assert sorted(path.name for path in (folder / "tables").iterdir()) == ["data_sets.csv", "images.csv"]
    values = done("paper", "statistics", "--data", folder / "data", "--json").json()
    cells = [len(set(mini.labels(number).ravel().tolist())) - 1 for number in (0, 1, 2, 3, 0, 1)]
    assert values["data_sets"][0]["cells"] == sum(cells)


def test_what_is_missing_is_listed_with_where_to_get_it(folder):
    ran = run("paper", "prepare", "--archives", folder / "archives", "--out", folder / "data", "DSB", "BSF")
    assert ran.code == 2
    assert "made: DSB" in ran.out
    assert "DeepBacs_Data_Segmentation_B.subtilis_FtsZ_dataset.zip is missing (BSF); get it from DeepBacs" in ran.out


def test_refusals_are_one_sentence(folder):
    paper = ("paper", "prepare", "--archives", folder / "archives", "--out", folder / "data")
    assert "no data set 'XYZ'" in sentence(run(*paper, "XYZ"))
    assert "no folder" in sentence(run("paper", "prepare", "--archives", folder / "no", "--out", folder / "data"))
    assert "There are no data sets" in sentence(run("paper", "statistics", "--data", folder))
    assert "no study 'speed'" in sentence(run("paper", "configs", "speed"))
    assert "'vit_x'" in sentence(run("paper", "configs", "--backbone", "vit_x"))
    assert "epoch_max" in sentence(run("paper", "configs", "--epochs", "0"))
    assert "seed" in sentence(run("paper", "configs", "--seed", "-1"))
    assert "no results table" in sentence(run("paper", "figures", "--results", folder / "r.csv", "--out", folder / "f"))


def test_runs_are_listed_with_what_is_done(results):
    shown = done("paper", "configs", "vit_size", "--sets", "CPS", "ECB", "--results", results)
    lines = shown.out.splitlines()
    assert lines[0].split() == [
        *("run", "studies", "trained_on", "tested_on", "images", "backbone", "epochs", "batch", "accumulation"),
        *("seed", "recipe", "done"),
    ]
    assert lines[1].split()[1:] == ["vit_size", "CPS", "CPS", "60", "vit_b", "300", "4", "8", "0", "paper", "yes"]
    assert [line.split()[-1] for line in lines[1:-1]] == ["yes"] * 3 + ["no"] * 3
    assert lines[-1] == "6 runs"
    values = done("paper", "configs", "--recipe", "studio", "--backbone", "tiny", "--epochs", "5", "--json").json()
    assert len(values) == 427 + 30 + 15 + 10 + 14 * 13 + 19
    assert {one["recipe"] for one in values} == {"studio"}
    assert {one["epochs"] for one in values} == {5}


def test_figures_from_a_table(results, tmp_path):
    ran = done("paper", "figures", "--results", results, "--out", tmp_path / "figures", "e4", "e1")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "extended_figure_4.pdf",
        "extended_figure_4.png",
    ]
    assert "Extended figure 1 needs test images and their predictions" in ran.err


def test_figures_say_what_to_install(results, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("matplotlib", "cellseg1.paper.figures"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    ran = run("paper", "figures", "--results", results, "--out", tmp_path / "figures")
    assert "Figures need matplotlib" in sentence(ran)


def test_the_rest_of_the_program_loads_none_of_it():
    code = (
        "import sys, cellseg1.cli, cellseg1.paper.prepare, cellseg1.paper.runs, cellseg1.paper.table\n"
        "print(sorted({'torch', 'matplotlib', 'pyarrow', 'filelock', 'ray'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout.strip() == "[]"
