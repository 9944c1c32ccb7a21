"""One-image training on unseen data: AP@0.5 with and without the adapter, resumable.

Not a test: ``python tests/bench/bench_transfer.py --data TRANSFER --pretrain PRETRAIN --out RESULTS`` appends one line
of JSON per run to RESULTS and skips runs that are in it.  Protocols: E. coli fluorescence (left half trains, right
half tests), yeast phase contrast (first frame trains, last five test), SEM fibres (one image trains, nine test), a
fluorescence image cut in four (one quarter trains), the sample project, and the held-out parts of dsb2018_stage1 by
kind.  ``--jobs`` measures several runs at once, each in a process of its own.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from cellseg1.bundled import resource_path
from cellseg1.evaluation import evaluate_labels
from cellseg1.images import read_image, resize_mask, to_model_input
from cellseg1.masks import read_mask, write_label_image
from cellseg1.model import load_model
from cellseg1.prediction.plane import predict_candidates
from cellseg1.prediction.select import Selector, select_settings
from cellseg1.sam.backbones.tiny import TINY
from cellseg1.settings import DEFAULT_RECIPE, parse_assignments
from cellseg1.training.job import train


def halves(folder, name):
    """Left and right half of one image, as (image, labels) arrays."""
    image = read_image(folder / "images" / name).plane()
    labels = read_mask(folder / "masks" / name).labels
    middle = image.shape[1] // 2
    return (image[:, :middle], labels[:, :middle]), (image[:, middle:], labels[:, middle:])


def whole(folder, name):
    return read_image(folder / "images" / name).plane(), read_mask(folder / "masks" / name).labels


def names(folder):
    return sorted(path.name for path in (folder / "images").iterdir())


def protocol(which, data, pretrain, k):
    """Return the training pair and the list of test pairs of run `k`."""
    if which == "ecoli":
        left, right = halves(data / "tractatus_ecoli_dapi", "ecoli_mix7.png")
        return left, [right]
    if which == "yeast":
        folder = data / "yeastvision_sample_phase"
        return whole(folder, names(folder)[0]), [whole(folder, name) for name in names(folder)[-5:]]
    if which == "sem":
        folder = data / "axondeepseg_sem_fibre"
        all_names = names(folder)
        chosen = all_names[k % len(all_names)]
        return whole(folder, chosen), [whole(folder, name) for name in all_names if name != chosen]
    if which == "sample":
        folder = resource_path("sample_project")
        pairs = [whole(folder / part, name) for part in ("train", "test") for name in names(folder / part)]
        return pairs[0], pairs[1:]
    if which == "wheel":
        image, labels = whole(data / "stardist_wheel", "img2d.png")
        parts = [
            (image[r : r + 256, c : c + 256], labels[r : r + 256, c : c + 256]) for r in (0, 256) for c in (0, 256)
        ]
        chosen = parts.pop(k % 4)
        return chosen, parts
    from cellseg1.training.pretrain.pool import is_held_out, kind_of, read_pair

    folder = pretrain / "dsb2018_stage1"
    found = []
    for name in names(folder):
        image, labels = read_pair(folder, name)
        if kind_of(image) == which and is_held_out(image, which) and labels.any():
            found.append((image, labels))
    order = np.random.default_rng(0).permutation(len(found))
    chosen = found.pop(int(order[k]))
    return chosen, found


def batches_per_epoch(files, options, overrides, folder):
    """How many batches an epoch of this training has; one batch is trained to see it."""
    seen = []
    train(
        *files,
        folder / "probe.cs1",
        overrides={**overrides, "epoch_max": 1},
        recipe=options.recipe,
        backbone="tiny",
        progress=seen.append,
        stop=lambda: True,
        measure=False,
    )
    return seen[0].steps


def ap_of(truth, found):
    """AP@0.5; a result of another size (`resize_size`) is compared at that size, as published."""
    if found.shape != truth.shape:
        truth = np.asarray(resize_mask(truth, found.shape), dtype=np.int32)
    return evaluate_labels(truth, found, thresholds=(0.5,)).ap[0.5]


def run(which, data, pretrain, k, options, overrides, choices=None):
    """Train once, predict all test images with and without the adapter.

    `options.steps` fits the number of epochs to that many batches; `choices` are further settings of the prediction,
    by name, that the same proposals are chosen with.
    """
    clock, seconds = (
        (time.process_time, options.cpu_seconds) if options.cpu_seconds else (time.monotonic, options.seconds)
    )
    overrides = {"seed": k, **overrides}
    (image, labels), tests = protocol(which, data, pretrain, k)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        np.save(folder / "image.npy", image)
        write_label_image(folder / "mask.tif", labels)
        files = [folder / "image.npy"], [folder / "mask.tif"]
        if options.steps:
            each = batches_per_epoch(files, options, overrides, folder)
            overrides["epoch_max"] = max(1, round(options.steps / each))
        started = clock()
        stop = (lambda: clock() - started > seconds) if seconds else None
        result = train(
            *files,
            folder / "model.cs1",
            overrides=overrides,
            stop=stop,
            recipe=options.recipe,
            backbone="tiny",
            measure=False,
        )
        trained = clock() - started
        model = load_model(result.path)
        size = result.path.stat().st_size
    row = {
        "set": which,
        "run": k,
        "recipe": options.recipe,
        "overrides": {key: str(value) for key, value in overrides.items()},
        "device": str(next(model.backbone.parameters()).device),
        "train_seconds": round(trained, 1),
        "finished": result.outcome.finished,
        "steps": result.outcome.steps,
        "epochs": round(result.outcome.epochs, 1),
        "loss": round(result.outcome.losses[-1], 4) if result.outcome.losses else None,
        "bytes": size,
        "scale": round(model.scale, 3),
        "images": len(tests),
        "cells": int(sum(len(np.unique(truth)) - 1 for _, truth in tests)),
    }
    if options.grid:
        grid = [(score, nms) for score in (0.3, 0.4, 0.5, 0.6, 0.7) for nms in (0.05, 0.15, 0.3)]
        table = {f"score {s} nms {n}": {"pred_iou_thresh": s, "crop_nms_thresh": n} for s, n in grid}
        choices = {**(choices or {}), **table}
    others = {name: [] for name in choices or {}}
    for adapter in (True, False) if not options.only_with else (True,):
        model.set_adapter(adapter)
        if not adapter and options.recipe == DEFAULT_RECIPE:
            # The network as it comes is compared as it is used.
            model = replace(model, settings=model.settings.replace(**TINY.untrained))
        scores, spent = [], 0.0
        for picture, truth in tests:
            pixels = to_model_input(picture, model.input_rule)
            begun = time.monotonic()
            selector = Selector(predict_candidates(model, pixels))
            found = selector.select(select_settings(model.settings)).labels
            spent += time.monotonic() - begun
            scores.append(ap_of(truth, found))
            for name in others if adapter else ():
                changed = model.settings.replace(**choices[name])
                others[name].append(ap_of(truth, selector.select(select_settings(changed)).labels))
        row["ap" if adapter else "ap_without"] = round(float(np.mean(scores)), 4)
        if adapter:
            row["each"] = [round(score, 3) for score in scores]
            row["seconds_per_image"] = round(spent / len(tests), 2)
    if others:
        row["choices"] = {key: round(float(np.mean(values)), 4) for key, values in others.items()}
    return row


def labelled_run(label, which, k, options, overrides, choices=None):
    """One row of the results; what a process of the pool does."""
    torch.set_num_threads(options.threads)
    return {"label": label, **run(which, options.data, options.pretrain, k, options, overrides, choices)}


def run_all(wanted, options):
    """Do every (label, set, run, options, overrides, choices) of `wanted` that is not yet in ``options.out``."""
    done = set()
    if options.out.exists():
        rows = [json.loads(line) for line in options.out.read_text().splitlines()]
        done = {(row["label"], row["set"], row["run"]) for row in rows}
    left = [entry for entry in wanted if entry[:3] not in done]
    if options.jobs == 1:
        for entry in left:
            keep(labelled_run(*entry), options)
        return
    with ProcessPoolExecutor(options.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        for future in as_completed([pool.submit(labelled_run, *entry) for entry in left]):
            if future.exception() is None:
                keep(future.result(), options)
            else:
                sys.stdout.write(f"failed: {future.exception()!r}\n")


def keep(row, options):
    with options.out.open("a") as stream:
        stream.write(json.dumps(row) + "\n")
    took = f"{row['train_seconds']} s, {row['seconds_per_image']} s an image"
    line = f"{row['label']} {row['set']} {row['run']}: AP {row['ap']} without {row.get('ap_without')} ({took})\n"
    sys.stdout.write(line)
    sys.stdout.flush()


def add_common(parser):
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pretrain", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=120, help="cap on the training; 0 for none")
    parser.add_argument(
        "--cpu-seconds",
        type=float,
        help="cap on the processor time instead of the clock, for several runs beside each other with --threads 1",
    )
    parser.add_argument("--steps", type=int, help="fit the number of epochs to this many batches")
    parser.add_argument("--recipe", default="studio")
    parser.add_argument("--only-with", action="store_true", help="do not predict without the adapter")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--jobs", type=int, default=1, help="runs beside each other")
    parser.add_argument("--grid", action="store_true", help="also try other thresholds on the same proposals")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    add_common(parser)
    parser.add_argument("--sets", nargs="+", default=["ecoli", "yeast", "sem", "wheel"])
    parser.add_argument("--runs", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--label", default="", help="name of the variant")
    parser.add_argument("--set", action="append", default=[])
    options = parser.parse_args()
    overrides = parse_assignments(options.set)
    run_all([(options.label, which, k, options, overrides) for k in options.runs for which in options.sets], options)


if __name__ == "__main__":
    main()
