"""Make the README's picture from a finished demo: ``python tests/bench/demo_picture.py DEMO_FOLDER docs/demo.png``."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from cellseg1.bundled import resource_path
from cellseg1.images import read_image, to_model_input
from cellseg1.masks import read_mask
from cellseg1.model import rule_of
from cellseg1.prediction.overlay import overlay_picture
from cellseg1.prediction.pipeline import write_picture
from cellseg1.settings import make_settings


def enlarge(pixels, factor=2):
    return pixels.repeat(factor, 0).repeat(factor, 1)


def main():
    demo, target = Path(sys.argv[1]), Path(sys.argv[2])
    rows = []
    for name in ("nuclei_b.png", "nuclei_c.png", "nuclei_d.png"):
        picture = resource_path("sample_project/test/images") / name
        pixels = to_model_input(read_image(picture).plane(), rule_of(make_settings()))
        labels = read_mask(demo / "with_adapter" / name).labels
        # Outlines are drawn on the enlarged picture, so that they stay fine.
        shown = overlay_picture(enlarge(pixels), enlarge(labels), style="outline", width=2)
        rows.append(np.vstack([enlarge(pixels), np.full((8, 512, 3), 255, np.uint8), shown]))
    gap = np.full((rows[0].shape[0], 8, 3), 255, np.uint8)
    write_picture(target, np.hstack([rows[0], gap, rows[1], gap, rows[2]]))


if __name__ == "__main__":
    main()
