"""Command line of the pre-training; see the package."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path


def main() -> int:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(
        prog="python -m cellseg1.training.pretrain", description="Train the bundled network on annotated cells."
    )
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of sets, each with images/ and masks/; or a packed file"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, curve and weights")
    parser.add_argument("--minutes", type=float, help="active training time; architecture 2 needs none")
    parser.add_argument("--architecture", type=int, choices=(1, 2), default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=8, help="crops a step (architecture 1)")
    parser.add_argument(
        "--crop", type=int, default=160, help="side of a crop in pixels, a multiple of 16 (architecture 1)"
    )
    parser.add_argument("--synthetic", type=float, default=0.3, help="share of drawn cells, 0 to 1 (architecture 1)")
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--begin-with", type=Path, help="weights to begin with instead of random ones")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="processes that draw the crops; 0 draws them in turn")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true", help="go on where it was; architecture 2 always does")
    parser.add_argument("--take", type=Path, help="write the weights of the training in --out there (architecture 2)")
    parser.add_argument("--times", type=int, default=1, help="so many times as many crops a step (architecture 2)")
    parser.add_argument("--sprint", action="store_true", help="train for --minutes and --take (architecture 2)")
    parser.add_argument("--fall", type=int, default=0, help="steps of --take in which the rate falls to zero; 0: none")
    options = parser.parse_args()
    if wrong := _wrong(options):
        parser.error(wrong)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)

    from cellseg1.sam.device import quiet_cpu

    quiet_cpu(options.threads)
    if options.architecture == 2:
        _second(options)
    else:
        _first(options)
    return 0


def _wrong(options: argparse.Namespace) -> str:
    """Return the error in the options, before anything is loaded; empty when there is none."""
    if not options.data.exists():
        return f"{options.data} does not exist."
    if options.architecture == 1 and (options.sprint or options.take or options.times != 1):
        return "--take, --sprint and --times need --architecture 2"
    if options.minutes is None and (options.architecture == 1 or options.sprint):
        return "--minutes is missing"
    if options.take and not options.sprint and not any(options.out.glob("checkpoint-*.pt")):
        return f"There is no training in {options.out} whose weights could be taken."
    return ""


def _first(options: argparse.Namespace) -> None:
    """Train the first architecture."""
    import torch

    from cellseg1.training.pretrain.loop import run
    from cellseg1.training.pretrain.settings import PretrainSettings

    settings = PretrainSettings(
        seed=options.seed,
        batch=options.batch,
        crop=options.crop,
        synthetic_share=options.synthetic,
        learning_rate=options.rate,
    )
    device = torch.device(options.device)
    run(
        options.data,
        options.out,
        options.minutes,
        settings,
        options.resume,
        device,
        workers=options.workers,
        begin_with=options.begin_with,
    )


def _second(options: argparse.Namespace) -> None:
    """Train the second architecture, continuing where it stopped, or write its weights."""
    import torch

    from cellseg1.training.pretrain import endless
    from cellseg1.training.pretrain.settings import EndlessSettings

    device = torch.device(options.device)
    settings = EndlessSettings(seed=options.seed, times=options.times, learning_rate=options.rate)
    if options.sprint:
        endless.sprint(
            options.data,
            options.out,
            options.take or options.out / "tiny2.safetensors",
            settings,
            device,
            options.minutes,
            workers=options.workers,
            begin_with=options.begin_with,
        )
        return
    if options.take is not None:
        endless.take(options.data, options.out, options.take, settings, device, options.fall, options.workers)
        return
    endless.run(
        options.data,
        options.out,
        settings,
        device,
        minutes=options.minutes,
        workers=options.workers,
        begin_with=options.begin_with,
    )


if __name__ == "__main__":
    raise SystemExit(main())
