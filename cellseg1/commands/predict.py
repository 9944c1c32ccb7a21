"""``cellseg1 predict``: segment images."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from cellseg1.commands.common import (
    Bar,
    Commands,
    add_channels,
    add_settings,
    command,
    path_of,
    say_to,
    tell_error,
    tell_result,
    use_threads,
)
from cellseg1.settings import parse_assignments

_PREDICT_GROUPS = ("environment", "data", "input", "prediction", "selection", "switches")


def add(commands: Commands) -> None:
    """Add the command and its options."""
    parser = command(commands, "predict", "Segment images with a trained model.", _predict, _PREDICT_GROUPS, "predict")
    parser.add_argument("--model", type=path_of, required=True, help="a .cs1 model or a published .pth adapter")
    parser.add_argument("--out", type=path_of, required=True, help="folder of the results")
    add_channels(parser)
    parser.add_argument(
        "--plane", metavar="z=N,t=N", help="segment this plane of a stack, numbered from 0 (default: all planes)"
    )
    parser.add_argument(
        "--format",
        type=_label_format,
        default=".png",
        metavar="NAME",
        help="of the label images: png, tif, or what other packages add (default: png)",
    )
    parser.add_argument("--no-overlays", action="store_true", help="write no overlay pictures")
    parser.add_argument("--no-candidates", action="store_true", help="do not keep the proposals with the run")
    parser.add_argument("--no-adapter", action="store_true", help="use the plain backbone, for comparison")
    parser.add_argument("--backbone-file", type=path_of, help="weights of the backbone, instead of the installed ones")
    parser.add_argument("inputs", type=path_of, nargs="+", metavar="IMAGE_OR_FOLDER")
    add_settings(parser)


def _label_format(name: str) -> str:
    """Return the suffix of a format for label images."""
    from cellseg1.masks.writers import WRITERS
    from cellseg1.plugins import listed

    writer = WRITERS.get(name.removeprefix("."))
    if writer is None:
        raise argparse.ArgumentTypeError(f"there is no format {name!r}: choose {listed(WRITERS.names())}")
    return writer.suffixes[0]


def _predict(options: argparse.Namespace, stop: Callable[[], bool]) -> int:
    overrides = parse_assignments(options.set, "predict")

    from cellseg1.model import load_model
    from cellseg1.prediction.job import run_prediction
    from cellseg1.prediction.plan import plan_prediction

    say = say_to(options)
    plan = plan_prediction(
        options.inputs,
        options.out,
        channels=options.channels,
        plane=options.plane,
        suffix=options.format,
        overlays=not options.no_overlays,
        candidates=not options.no_candidates,
        say=say,
    )
    use_threads(options)
    model = load_model(
        options.model, device=options.device, overrides=overrides, backbone_weights=options.backbone_file
    )
    if options.no_adapter:
        model.set_adapter(enabled=False)
    bar = Bar(options, "image")
    try:
        result = run_prediction(model, plan, progress=bar.predict, stop=stop, say=say)
    finally:
        bar.close()
    values = {
        "folder": str(result.folder),
        "stopped": result.stopped,
        "images": [
            {"image": plane.image, "labels": plane.labels, "cells": plane.cells, "error": plane.error}
            for plane in result.planes
        ],
    }
    lines = [
        f"{plane.image}: {plane.error}" if plane.error else f"{plane.image}: {plane.cells} cells"
        for plane in result.planes
    ]
    tell_result(options, values, "\n".join([*lines, f"Results: {result.folder}"]))
    if result.failures:
        bad, count = len(result.failures), len(result.planes)
        reasons = " ".join(plane.error for plane in result.failures[:3])
        more = "" if len(result.failures) <= 3 else f" Further ones are listed in {result.folder / 'run.json'}."
        rest = "the others are done" if bad < count else "so there is no result"
        tell_error(f"{bad} of {count} images could not be segmented, {rest}: {reasons}{more}")
        return 2
    return 1 if result.stopped else 0
