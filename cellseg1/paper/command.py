"""``cellseg1 paper``: the published experiments from the command line."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellseg1.errors import SettingsError
from cellseg1.text import json_text, safe_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cellseg1.paper.runs import Run

_Stop = Callable[[], bool]
_Commands = Any  # argparse has no public name for the object that collects subcommands


def add_to(commands: _Commands) -> None:
    """Add the command ``paper``; heavy modules are imported only when one of its actions runs."""
    group = commands.add_parser("paper", help="Repeat the published experiments.")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    _add_prepare(actions)
    _add_statistics(actions)
    _add_configs(actions)
    _add_figures(actions)


def _action(
    actions: _Commands, name: str, text: str, run: Callable[[argparse.Namespace, _Stop], int]
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = actions.add_parser(name, help=text, description=text)
    parser.set_defaults(run=run)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-q", "--quiet", action="store_true", help="print nothing but errors and the result")
    return parser


def _path(text: str) -> Path:
    if not text.strip():
        raise argparse.ArgumentTypeError("the name is empty")
    return Path(text)


def _sets(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "sets",
        nargs="*",
        metavar="SET",
        help="data sets: CPS, CSB, ECB, BSF, DSB, CPG, TSN-1 to TSN-14, TSN (default: all)",
    )


def _result(options: argparse.Namespace, values: Any, text: str) -> None:
    shown = json_text(values, indent=1) if options.json else safe_text(text)
    with contextlib.suppress(AttributeError, ValueError):
        sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr] # a test's has none
    sys.stdout.write(f"{shown}\n")


def _say(options: argparse.Namespace, sentence: str) -> None:
    if not options.quiet:
        sys.stderr.write(f"{safe_text(sentence)}\n")


def _columns(rows: Sequence[Sequence[Any]]) -> str:
    """Return rows as aligned text; the first row is the header."""
    texts = [["" if value is None else str(value) for value in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*texts, strict=True)]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in texts
    )


# ---- prepare


def _add_prepare(actions: _Commands) -> None:
    parser = _action(actions, "prepare", "Make the data sets from the publishers' archives.", _prepare)
    parser.add_argument("--archives", type=_path, required=True, help="folder of the publishers' archives; only read")
    parser.add_argument("--out", type=_path, required=True, help="folder in which each data set gets a folder")
    _sets(parser)


def _prepare(options: argparse.Namespace, stop: _Stop) -> int:
    from cellseg1.paper.prepare import prepare

    started: set[str] = set()

    def progress(name: str, _done: int, count: int) -> None:
        if name not in started:
            started.add(name)
            _say(options, f"{name}: {count} images ...")

    result = prepare(options.archives, options.out, options.sets, progress=progress, stop=stop)
    for note in result.notes:
        _say(options, note)
    lines = [
        f"made: {', '.join(result.made) or 'nothing'}",
        f"complete before: {', '.join(result.there) or 'nothing'}",
        *(missing.sentence for missing in result.missing),
    ]
    _result(options, {"out": str(options.out), **dataclasses.asdict(result)}, "\n".join(lines))
    return 2 if result.missing else 0


# ---- statistics


def _add_statistics(actions: _Commands) -> None:
    parser = _action(actions, "statistics", "Count the cells of the prepared data sets.", _statistics)
    parser.add_argument("--data", type=_path, required=True, help="folder of the prepared data sets")
    parser.add_argument("--out", type=_path, help="folder for images.csv and data_sets.csv")
    _sets(parser)


def _statistics(options: argparse.Namespace, _stop: _Stop) -> int:
    from cellseg1.paper.statistics import set_table, statistics, write_statistics

    of_images, of_sets = statistics(options.data, options.sets)
    if not of_sets:
        raise SettingsError(f"There are no data sets in {options.data}; make them with cellseg1 paper prepare.")
    table = set_table(of_sets)
    files = [] if options.out is None else write_statistics(options.out, of_images, of_sets)
    values = {"data_sets": [dict(zip(table[0], row, strict=True)) for row in table[1:]], "files": list(map(str, files))}
    _result(options, values, "\n".join([_columns(table), *map(str, files)]))
    return 0


# ---- configs


def _add_configs(actions: _Commands) -> None:
    parser = _action(actions, "configs", "List the runs of the published studies; nothing is trained.", _configs)
    parser.add_argument("studies", nargs="*", metavar="STUDY", help="studies (default: all)")
    parser.add_argument("--sets", nargs="+", default=[], metavar="SET", help="data sets (default: all of a study)")
    parser.add_argument("--recipe", choices=("paper", "studio"), default="paper", help="paper (default), or ours")
    parser.add_argument("--backbone", default="vit_h", help="backbone of all studies but vit_size (default: vit_h)")
    parser.add_argument("--epochs", type=int, metavar="N", help="epochs of every run (default: as published)")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="seed of all randomness (default: 0)")
    parser.add_argument("--results", type=_path, help="results table, to see which runs are done")


def _configs(options: argparse.Namespace, _stop: _Stop) -> int:
    from cellseg1.paper.data_sets import chosen_sets
    from cellseg1.paper.runs import STUDIES, Choice, all_runs
    from cellseg1.paper.table import ResultsTable

    choice = Choice(
        sets=tuple(one.short for one in chosen_sets(options.sets)) if options.sets else (),
        recipe=options.recipe,
        backbone=options.backbone,
        epochs=options.epochs,
        seed=options.seed,
    )
    runs = all_runs(options.studies or STUDIES, choice)
    for run in {run.backbone: run for run in runs}.values():
        run.settings()  # runs that cannot be trained are refused here
    done = None if options.results is None else ResultsTable(options.results).ids()
    values = [_listed(run, studies, done) for run, studies in runs.items()]
    shown = _columns([list(values[0]), *(list(one.values()) for one in values)]) if values else ""
    _result(options, values, f"{shown}\n{len(runs)} runs".lstrip())
    return 0


_HEADER = [
    "run",
    "studies",
    "trained_on",
    "tested_on",
    "images",
    "backbone",
    "epochs",
    "batch",
    "accumulation",
    "seed",
    "recipe",
]


def _listed(run: Run, studies: Iterable[str], done: set[str] | None) -> dict[str, Any]:
    values = {
        "run": run.id,
        "studies": "+".join(studies),
        "trained_on": run.data_set,
        "tested_on": run.test_set,
        "images": run.train_label,
        "backbone": run.backbone,
        "epochs": run.epochs,
        "batch": run.batch_size,
        "accumulation": run.accumulation,
        "seed": run.seed,
        "recipe": run.recipe,
    }
    return values if done is None else {**values, "done": "yes" if run.id in done else "no"}


# ---- figures


def _add_figures(actions: _Commands) -> None:
    parser = _action(actions, "figures", "Draw the published figures from a results table, as PDF and PNG.", _figures)
    parser.add_argument("--results", type=_path, required=True, help="results table, .csv or .parquet")
    parser.add_argument("--out", type=_path, required=True, help="folder of the figures")
    parser.add_argument("--data", type=_path, help="folder of the prepared data sets (figures 3c, e1, e2)")
    parser.add_argument("--predictions", type=_path, help="folder with label images for each data set (e1, e2)")
    parser.add_argument("--nms", type=_path, help="folder with the pictures image, box and mask (e3)")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="1a to 5c, e1 to e5 (default: all)")


def _figures(options: argparse.Namespace, _stop: _Stop) -> int:
    from cellseg1.paper.table import ResultsTable, TableError

    table = ResultsTable(options.results)
    rows = table.rows()
    if not rows:
        raise TableError(f"There is no results table {options.results}, or it has no rows.")
    try:
        from cellseg1.paper.figures import Content, draw_figures
    except ModuleNotFoundError as error:
        raise SettingsError("Figures need matplotlib: pip install 'cellseg1-studio[paper]'.") from error
    content = Content(rows, options.data, options.predictions, options.nms)
    drawn = draw_figures(content, options.out, options.figures)
    for sentence in drawn.skipped.values():
        _say(options, sentence)
    values = {"files": list(map(str, drawn.files)), "skipped": drawn.skipped}
    _result(options, values, "\n".join(map(str, drawn.files)) or "no figures")
    return 0
