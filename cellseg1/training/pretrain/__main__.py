"""Command line of the pre-training; see the package."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path


def main() -> int:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(prog="python -m cellseg1.training.pretrain", description=__doc__)
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of sets, each with images/ and masks/; or a packed file"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, curve and weights")
    parser.add_argument("--minutes", type=float, required=True, help="active training time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=160, help="side of a crop in pixels, a multiple of 16")
    parser.add_argument("--synthetic", type=float, default=0.3, help="share of drawn cells, 0 to 1")
    parser.add_argument("--rate", type=float, default=1e-3, help="highest learning rate")
    parser.add_argument("--begin-with", type=Path, help="weights to begin with instead of random ones")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="processes that draw the crops; 0 draws them in turn")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)

    import torch

    from cellseg1.training.pretrain.loop import run
    from cellseg1.training.pretrain.settings import PretrainSettings

    torch.set_num_threads(options.threads)
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
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
