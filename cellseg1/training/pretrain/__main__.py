"""Command line of the pre-training; see the package."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path


def main() -> int:
    """Parse the arguments and train."""
    parser = argparse.ArgumentParser(prog="python -m cellseg1.training.pretrain", description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of sets, each with images/ and masks/")
    parser.add_argument("--out", type=Path, required=True, help="folder for checkpoint, curve and weights")
    parser.add_argument("--minutes", type=float, required=True, help="active training time")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=160, help="side of a crop in pixels, a multiple of 16")
    parser.add_argument("--synthetic", type=float, default=0.3, help="share of drawn cells, 0 to 1")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)

    import torch

    from cellseg1.training.pretrain.loop import PretrainSettings, run

    torch.set_num_threads(options.threads)
    settings = PretrainSettings(
        seed=options.seed, batch=options.batch, crop=options.crop, synthetic_share=options.synthetic
    )
    run(options.data, options.out, options.minutes, settings, options.resume, torch.device(options.device))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
