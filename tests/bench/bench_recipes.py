"""`paper` against `studio` with `tiny`, and every repaired defect of the research code switched back alone.

Not a test: ``python tests/bench/bench_recipes.py --data TRANSFER --out RESULTS --paper-steps N`` appends one line of
JSON per run to RESULTS (see bench_transfer.py) and skips those that are in it.  Both recipes get the same processor
time: `studio` its 120 batches, `paper` the N that take as long; ``--measure`` prints that N for this computer.  The
number of epochs is fitted, so that both schedules come to their end.  A defect of the choice among proposals needs no
training of its own.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from bench_transfer import add_common, protocol, run_all

from cellseg1.masks import write_label_image
from cellseg1.training.job import train

SETS = ("sample", "ecoli", "yeast", "sem")
#: Switches that act on the training; those on the size of the result and the proposals follow.
TRAINED = (
    "schedule_length",
    "accumulation",
    "skipped_batch",
    "empty_tile",
    "full_tile",
    "distance",
    "moved_points",
    "resize_order",
    "duplicate_rule",
    "lora_dropout_place",
    "tile_starts",
)
CHOSEN = ("second_nms", "box_overlap", "assemble")


def measure(data, steps):
    """Seconds of processor time per batch of each recipe, on the sample."""
    (image, labels), _tests = protocol("sample", data, None, 0)
    each = {}
    for recipe in ("studio", "paper"):
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            np.save(folder / "image.npy", image)
            write_label_image(folder / "mask.tif", labels)
            times = []
            train(
                [folder / "image.npy"],
                [folder / "mask.tif"],
                folder / "model.cs1",
                recipe=recipe,
                backbone="tiny",
                progress=lambda _progress, times=times: times.append(time.process_time()),
                stop=lambda times=times: len(times) > steps,
                measure=False,
            )
        # The first batch warms up.
        each[recipe] = (times[-1] - times[0]) / (len(times) - 1)
    return each


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_common(parser)
    parser.add_argument("--paper-steps", type=int, help="batches of `paper` that take as long as 120 of `studio`")
    parser.add_argument("--measure", action="store_true", help="measure that number and end")
    parser.add_argument("--runs", type=int, nargs="+", default=[0])
    parser.add_argument("--sets", nargs="+", choices=SETS, default=SETS)
    parser.add_argument("--without-paper", action="store_true", help="only `studio` and its defects")
    options = parser.parse_args()
    if options.measure:
        torch.set_num_threads(options.threads)
        each = measure(options.data, 8)
        ratio = each["studio"] / each["paper"]
        sys.stdout.write(f"{each}: {round(120 * ratio)} batches of paper take as long as 120 of studio\n")
        return
    options.seconds = 0
    options.only_with = True
    paper = argparse.Namespace(**{**vars(options), "recipe": "paper", "steps": options.paper_steps})
    back = {name: {name: "upstream"} for name in CHOSEN}
    wanted = []
    for k in options.runs:
        for which in options.sets:
            if not options.without_paper:
                wanted.append(("paper", which, k, paper, {}))
            wanted.append(("studio", which, k, options, {}, back))
    for name in (*TRAINED, "output_size"):
        wanted += [(f"{name} back", which, 0, options, {name: "upstream"}) for which in options.sets]
    run_all(wanted, options)


if __name__ == "__main__":
    main()
