"""The results table: one row per run, as Parquet or CSV.

Rows are added under a lock and the file is replaced in one step, so that two writers lose nothing and a crash leaves
the table unchanged.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cellseg1.errors import CellSeg1Error, SettingsError
from cellseg1.files import is_file, write_bytes
from cellseg1.paper.data_sets import DATA_SETS, short_name
from cellseg1.paper.locked import locked
from cellseg1.regular import open_regular, read_regular
from cellseg1.tables import csv_bytes
from cellseg1.trouble import reading

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from cellseg1.files import PathLike
    from cellseg1.paper.runs import Run

#: Larger than every table of these experiments.
_MOST_BYTES: Final = 64 * 2**20
_AP: Final = "ap_0.5"


class TableError(CellSeg1Error, ValueError):
    """A results table cannot be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """The result of one run; unknown values are None or empty.

    Attributes
    ----------
    run_id
        `cellseg1.paper.runs.Run.id`; empty in tables of other programs.
    method_name
        Name of the method: ``cellseg1``.
    recipe
        ``paper`` or ``studio``.
    dataset_name, test_dataset_name
        Names of the folders of the training and the test images.
    train_num, train_id, train_cell_num
        Number of training images, their indices, and their number of cells.
    ap
        Average precision at an IoU of 0.5, mean over the test images; the column is called ``ap_0.5``.
    vit_name, epoch_max, batch_size, gradient_accumulation_step, seed
        Settings of the training.
    train_seconds, peak_memory_mib
        Time and memory of the training.
    finished, version
        Time of completion (ISO 8601, UTC), and version of the program.
    """

    run_id: str = ""
    method_name: str = "cellseg1"
    recipe: str = ""
    dataset_name: str
    test_dataset_name: str = ""
    train_num: int | None = None
    train_id: tuple[int, ...] | None = None
    train_cell_num: int | None = None
    ap: float
    vit_name: str = ""
    epoch_max: int | None = None
    batch_size: int | None = None
    gradient_accumulation_step: int | None = None
    seed: int | None = None
    train_seconds: float | None = None
    peak_memory_mib: float | None = None
    finished: str = ""
    version: str = ""

    @property
    def train_set(self) -> str:
        """Short name of the data set that it was trained on."""
        return short_name(self.dataset_name)

    @property
    def test_set(self) -> str:
        """Short name of the data set that it was tested on."""
        return short_name(self.test_dataset_name or self.dataset_name)


def row_of(run: Run, ap: float, **more: Any) -> Row:
    """Return the row of a run, with the results given by the caller.

    Parameters
    ----------
    ap
        Average precision at an IoU of 0.5, mean over the test images.
    more
        Other fields of `Row`: ``train_num`` where the run uses all images, ``train_seconds`` ...
    """
    values: dict[str, Any] = {
        "run_id": run.id,
        "recipe": run.recipe,
        "dataset_name": DATA_SETS[run.data_set].name,
        "test_dataset_name": DATA_SETS[run.test_set].name,
        "train_num": None if run.train_ids is None else len(run.train_ids),
        "train_id": run.train_ids,
        "vit_name": run.backbone,
        "epoch_max": run.epochs,
        "batch_size": run.batch_size,
        "gradient_accumulation_step": run.accumulation,
        "seed": run.seed,
    }
    return Row(ap=ap, **{**values, **more})


_FIELDS: Final = dataclasses.fields(Row)
#: Columns of the file, in their order, with the field of each.
_COLUMNS: Final = {_AP if item.name == "ap" else item.name: item.name for item in _FIELDS}


class ResultsTable:
    """A results table in a file; it need not exist yet.

    Parameters
    ----------
    path
        ``.csv`` or ``.parquet``; Parquet needs pyarrow (extra ``paper``).

    Raises
    ------
    SettingsError
        For other suffixes, or when pyarrow is missing.

    Examples
    --------
    >>> from cellseg1.paper.runs import Run
    >>> table = ResultsTable("results.csv")
    >>> table.add(row_of(Run("CPS", "CPS", (60,)), 0.85))
    True
    >>> [(row.train_set, row.train_id, row.ap) for row in table.rows()]
    [('CPS', (60,), 0.85)]
    """

    def __init__(self, path: PathLike) -> None:
        self.path = Path(path)
        suffix = self.path.suffix.lower()
        if suffix not in (".csv", ".parquet"):
            raise SettingsError(f"The results table {path} must end in .csv or .parquet.")
        self._parquet = suffix == ".parquet"
        if self._parquet:
            _need_pyarrow(self.path)

    def rows(self) -> list[Row]:
        """Return all rows; none when the file does not exist.

        Raises
        ------
        TableError
            When the file is damaged or not a results table.
        """
        return [_row(self.path, number, values) for number, values in enumerate(self._read(), 1)]

    def ids(self) -> set[str]:
        """Return the ids of the runs that are done."""
        return {row.run_id for row in self.rows() if row.run_id}

    def add(self, row: Row) -> bool:
        """Add a row, unless its run is there already; returns whether it was added.

        Raises
        ------
        TableError
            When the file cannot be read, or has unknown columns, which would be lost.
        OutputError
            When it cannot be written; the table is then unchanged.
        """
        with locked(self.path.with_name(f".{self.path.name}.lock")):
            there = self._read()
            strange = [name for name in (there[0] if there else ()) if name not in _COLUMNS]
            if strange:
                raise TableError(
                    f"{self.path} has the column {strange[0]!r}, which would be lost; name another results table."
                )
            rows = [_row(self.path, number, values) for number, values in enumerate(there, 1)]
            if row.run_id and any(one.run_id == row.run_id for one in rows):
                return False
            self._write([*rows, row])
            return True

    def _read(self) -> list[Mapping[str, Any]]:
        if not is_file(self.path):
            return []
        with reading(TableError, f"{self.path} cannot be read as a results table: it is damaged or something else."):
            if self.path.stat().st_size > _MOST_BYTES:
                raise TableError(f"{self.path} is too large for a results table.")
            return _read_parquet(self.path) if self._parquet else _read_csv(self.path)

    def _write(self, rows: Iterable[Row]) -> None:
        table = [{name: getattr(row, _COLUMNS[name]) for name in _COLUMNS} for row in rows]
        for values in table:
            values["train_id"] = "all" if values["train_id"] is None else json.dumps(values["train_id"])
        write_bytes(self.path, _parquet_bytes(table) if self._parquet else _csv(table))


# ---- values


def _row(path: Path, number: int, values: Mapping[str, Any]) -> Row:
    try:
        known = {field: _READERS[field](values[name]) for name, field in _COLUMNS.items() if name in values}
        if not known.get("dataset_name") or known.get("ap") is None:
            raise ValueError("dataset_name and ap_0.5 are needed")  # noqa: TRY301 - one place makes the message
        if known.get("train_num") is None and known.get("train_id") is not None:
            known["train_num"] = len(known["train_id"])
        return Row(**known)
    except (ValueError, TypeError) as error:
        raise TableError(f"Row {number} of {path} cannot be used: {error}.") from error


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _number(value: Any) -> float | None:
    if value is None or value == "":
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"{value} is not a number")
    return number


def _whole(value: Any) -> int | None:
    number = _number(value)
    if number is not None and number != int(number):
        raise ValueError(f"{value} is not a whole number")
    return None if number is None else int(number)


def _ids(value: Any) -> tuple[int, ...] | None:
    """Read indices as the published tables and this one write them: ``[60]``, ``60`` or ``all``."""
    text = _text(value).strip()
    if text in ("", "all"):
        return None
    found = json.loads(text)
    ids = found if isinstance(found, list) else [found]
    if not all(type(one) is int and one >= 0 for one in ids):
        raise ValueError(f"{text[:40]} are no indices of images")
    return tuple(ids)


def _reader(kind: str) -> Callable[[Any], Any]:
    if kind.startswith("tuple"):
        return _ids
    return {"str": _text, "int | None": _whole}.get(kind, _number)


_TYPES: Final = {item.name: str(item.type) for item in _FIELDS}
_READERS: Final = {name: _reader(kind) for name, kind in _TYPES.items()}


# ---- files


def _read_csv(path: Path) -> list[Mapping[str, Any]]:
    text = read_regular(path).decode("utf-8-sig")
    table = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    if _AP not in (table.fieldnames or ()):
        raise ValueError(f"no column {_AP}")
    rows = list(table)
    if any(None in row or None in row.values() for row in rows):
        raise ValueError("a row of another length")
    return list(rows)


def _csv(table: list[dict[str, Any]]) -> bytes:
    return csv_bytes(
        [list(_COLUMNS), *(["" if row[name] is None else row[name] for name in _COLUMNS] for row in table)]
    )


def _need_pyarrow(path: Path) -> None:
    try:
        import pyarrow as pa  # noqa: F401 - tests whether it is installed
    except ImportError as error:
        raise SettingsError(
            f"The results table {path} is Parquet, which needs pyarrow: pip install 'cellseg1-studio[paper]', or "
            "name it .csv."
        ) from error


def _read_parquet(path: Path) -> list[Mapping[str, Any]]:
    from pyarrow import parquet

    with open_regular(path) as stream:
        table = parquet.read_table(stream, use_threads=False)
    if _AP not in table.column_names:
        raise ValueError(f"no column {_AP}")
    return list(table.to_pylist())


def _parquet_bytes(table: list[dict[str, Any]]) -> bytes:
    import pyarrow as pa
    from pyarrow import parquet

    types = {"int | None": pa.int64(), "float": pa.float64(), "float | None": pa.float64()}
    schema = pa.schema([(name, types.get(_TYPES[field], pa.string())) for name, field in _COLUMNS.items()])
    packed = io.BytesIO()
    parquet.write_table(pa.Table.from_pylist(table, schema=schema), packed)
    return packed.getvalue()
