"""Execution of the runs that the results table does not have yet, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from cellseg1.errors import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from cellseg1.paper.runs import Run
    from cellseg1.paper.table import ResultsTable, Row


class DoRun(Protocol):
    """Trains, predicts and evaluates one run."""

    def __call__(self, run: Run, data: Path, out: Path) -> Row:
        """Return the row of a run; `data` has the prepared data sets, `out` takes its model and predictions."""
        ...


def do_missing(
    runs: Iterable[Run],
    table: ResultsTable,
    do_run: DoRun,
    data: Path,
    out: Path,
    *,
    stop: Callable[[], bool] | None = None,
) -> int:
    """Do the runs that the table does not have yet, and write each row as soon as it is known.

    Returns
    -------
    int
        Number of runs done by this call.

    Raises
    ------
    StoppedError
        When `stop` returns True between two runs; finished rows are kept.
    """
    done = 0
    for run in runs:
        # Read again before each run: another process may work on the same table.
        if run.id in table.ids():
            continue
        if stop is not None and stop():
            raise StoppedError(f"Stopped before {run.id}; {done} runs were done and are in {table.path}.")
        done += table.add(do_run(run, data, out / run.training_id))
    return done
