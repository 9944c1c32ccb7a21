"""The results table keeps every row, whoever writes, and is never half written."""

import multiprocessing
import os

import pytest

from cellseg1.errors import OutputError, SettingsError
from cellseg1.paper.runs import Run
from cellseg1.paper.table import ResultsTable, Row, TableError, row_of

KINDS = ("csv", "parquet")
FULL = row_of(
    Run("CPS", "CPS", (60,)),
    0.8535715341567993,
    train_cell_num=16,
    train_seconds=12.5,
    peak_memory_mib=17684.0,
    finished="2026-01-02T03:04:05Z",
    version="0.1",
)
SPARSE = row_of(Run("CPG", "TSN-3", None, epochs=30), 0.0)


@pytest.fixture(params=KINDS)
def table(request, tmp_path):
    return ResultsTable(tmp_path / "deep" / f"results.{request.param}")


def test_rows_come_back_as_they_were(table):
    assert table.rows() == []
    assert table.add(FULL)
    assert table.add(SPARSE)
    assert table.rows() == [FULL, SPARSE]
    assert (SPARSE.train_set, SPARSE.test_set) == ("CPG", "TSN-3")


def test_a_run_is_there_once(table):
    assert table.add(FULL)
    again = row_of(Run("CPS", "CPS", (60,)), 0.1)
    assert not table.add(again)
    assert table.rows() == [FULL]
    assert table.ids() == {FULL.run_id}


def _write(path, first):
    table = ResultsTable(path)
    for number in range(first, first + 10):
        table.add(row_of(Run("BSF", "BSF", (number,)), number / 100))


@pytest.mark.parametrize("kind", KINDS)
def test_two_writers_lose_nothing(tmp_path, kind):
    path = tmp_path / f"results.{kind}"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, first)) for first in (0, 10)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
        assert writer.exitcode == 0
    assert sorted(row.train_id[0] for row in ResultsTable(path).rows()) == list(range(20))
    assert [one.name for one in tmp_path.iterdir() if one.name.endswith(".part")] == []


def test_a_failed_write_leaves_the_table(table, monkeypatch):
    table.add(FULL)
    before = table.path.read_bytes()

    def fail(*_arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OutputError, match="disk is full"):
        table.add(SPARSE)
    assert table.path.read_bytes() == before


def test_published_tables_are_read(tmp_path):
    path = tmp_path / "published.csv"
    path.write_text(
        "dataset_name,train_num,train_id,ap_0.5,vit_name,epoch_max,colour\n"
        "cellpose_specialized,1,[60],0.71,vit_b,300,red\n"
        "cellseg_blood,,138,0.5,vit_h,300,\n"
    )
    first, second = ResultsTable(path).rows()
    assert first == Row(
        dataset_name="cellpose_specialized", ap=0.71, train_num=1, train_id=(60,), vit_name="vit_b", epoch_max=300
    )
    assert (second.train_id, second.train_num, second.test_set) == ((138,), 1, "CSB")
    with pytest.raises(TableError, match="column 'colour', which would be lost"):
        ResultsTable(path).add(FULL)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\n1,2\n", "cannot be read"),
        ("dataset_name,ap_0.5\nx,high\n", "Row 1"),
        ("dataset_name,ap_0.5\nx,nan\n", "Row 1"),
        ("dataset_name,ap_0.5\n,0.5\n", "Row 1"),
        ("dataset_name,ap_0.5\nx,0.5,3\n", "cannot be read"),
        ("dataset_name,ap_0.5,train_num\nx,0.5,1.5\n", "Row 1"),
        ("dataset_name,ap_0.5,train_id\nx,0.5,[\n", "Row 1"),
        ("dataset_name,ap_0.5,train_id\nx,0.5,[true]\n", "Row 1"),
    ],
)
def test_damaged_tables_are_refused(tmp_path, text, why):
    path = tmp_path / "results.csv"
    path.write_text(text)
    with pytest.raises(TableError, match=why):
        ResultsTable(path).rows()


def test_damaged_parquet_is_refused(tmp_path):
    path = tmp_path / "results.parquet"
    path.write_bytes(b"PAR1 nothing else PAR1")
    with pytest.raises(TableError, match="cannot be read"):
        ResultsTable(path).rows()


def test_the_suffix_chooses(tmp_path, monkeypatch):
    with pytest.raises(SettingsError, match=r"\.csv or \.parquet"):
        ResultsTable(tmp_path / "results.xlsx")
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(SettingsError, match=r"cellseg1-studio\[paper\]"):
        ResultsTable(tmp_path / "results.parquet")
    assert ResultsTable(tmp_path / "results.csv").rows() == []
