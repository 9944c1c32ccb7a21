"""``cellseg1 evaluate``: compare label images with the truth."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from cellseg1.commands.common import Commands, add_pieces, command, number_of, path_of, say_to, tell_result


def add(commands: Commands) -> None:
    """Add the command and its options."""
    parser = command(commands, "evaluate", "Compare predicted label images with the truth.", _evaluate)
    parser.add_argument("--truth", type=path_of, required=True, help="folder of true label images")
    parser.add_argument("--pred", type=path_of, required=True, help="folder of predicted label images")
    add_pieces(parser)
    parser.add_argument("--resize-truth", action="store_true", help="bring the truth to the size of the prediction")
    parser.add_argument("--threshold", type=number_of, action="append", help="IoU threshold of the AP (repeatable)")
    parser.add_argument("--csv", type=path_of, help="also write a table")


def _evaluate(options: argparse.Namespace, _stop: Callable[[], bool]) -> int:
    from cellseg1.evaluation import DEFAULT_THRESHOLDS
    from cellseg1.evaluation.job import evaluate
    from cellseg1.files import check_replaceable, check_writable

    if options.csv:
        check_replaceable(options.csv)
        check_writable(options.csv.absolute().parent)
    report = evaluate(
        options.truth,
        options.pred,
        thresholds=options.threshold or DEFAULT_THRESHOLDS,
        resize_truth=options.resize_truth,
        say=say_to(options),
        pieces=options.mask_pieces,
    )
    if options.csv:
        report.to_csv(options.csv)
    values = report.to_dict()
    lines = [f"AP@{name}  {value:.4f}" for name, value in values["ap"].items()]
    lines += [f"{name:<8}{values[name]:.4f}" for name in ("precision", "recall", "f1", "pq", "seg")]
    tell_result(options, values, "\n".join([*lines, f"Mean of {len(values['images'])} image(s)."]))
    return 0
