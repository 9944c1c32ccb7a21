"""How long choosing cells takes: 5,000 cells with 4 proposals each, at 4096 x 4096.

Run it with ``python tests/bench/bench_select.py``; one thread is enough.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from cellseg1.evaluation import evaluate_labels
from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.overlay import overlay_picture
from cellseg1.prediction.select import Selector, SelectSettings

SIZE, CELLS, EACH = 4096, 5000, 4


def make_candidates(seed: int = 0) -> Candidates:
    """Make cells on a jittered grid, so dense that neighbours touch, in 3 x 3 overlapping views."""
    rng = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(CELLS)))
    step = SIZE / side
    place = rng.permutation(side * side)[:CELLS]
    centres = (np.stack([place // side, place % side], axis=1) + 0.5) * step + rng.normal(0, 5, (CELLS, 2))
    radius = rng.uniform(0.35, 0.6, (CELLS, 2)) * step
    masks, scores = [], []
    for i in range(CELLS):
        for _ in range(EACH):
            cy, cx = centres[i] + rng.normal(0, 1, 2)
            ry, rx = radius[i] * rng.uniform(0.93, 1.07, 2)
            y0, x0, y1, x1 = max(0, int(cy - ry)), max(0, int(cx - rx)), int(cy + ry) + 2, int(cx + rx) + 2
            y, x = np.ogrid[y0 : min(y1, SIZE), x0 : min(x1, SIZE)]
            crop = ((y - cy) / ry) ** 2 + ((x - cx) / rx) ** 2 < 1
            if rng.random() < 0.1 and crop.size > 100:
                crop = crop & (rng.random(crop.shape) > 0.02)
            masks.append((crop, (x0, y0)))
            scores.append(rng.normal(0.93, 0.05))
    count = len(masks)
    return Candidates.from_masks(
        masks,
        (SIZE, SIZE),
        score=scores,
        stability=rng.uniform(0.5, 1, count),
        view=rng.integers(0, 9, count),
        view_boxes=[(0, 0, SIZE, SIZE)] * 9,
    )


def timed(name: str, work: Callable[[], Any]) -> Any:
    """Run `work`, print how long it took, return its result."""
    start = time.perf_counter()
    result = work()
    sys.stdout.write(f"{name:58s} {time.perf_counter() - start:7.3f} s\n")
    return result


def main() -> None:
    """Print the figures."""
    made = timed("making the proposals (not part of the program)", make_candidates)
    selector = timed(f"preparing {len(made)} proposals, once", lambda: Selector(made))
    first = timed("select, first time", lambda: selector.select(SelectSettings()))
    timed("select, same settings again", lambda: selector.select(SelectSettings()))
    timed("select, looser score", lambda: selector.select(SelectSettings(pred_iou_thresh=0.6)))
    timed("select, looser score again", lambda: selector.select(SelectSettings(pred_iou_thresh=0.61)))
    timed("select, overlap 0.3", lambda: selector.select(SelectSettings(crop_nms_thresh=0.3)))
    paper = SelectSettings(overlap_boxes="inclusive", assemble="upstream", second_nms="upstream")
    timed("select, as published", lambda: selector.select(paper))
    sys.stdout.write(f"{len(first.cells)} cells, {len(selector.overlapping_pairs()[0])} overlapping pairs\n")
    image = np.zeros((SIZE, SIZE, 3), np.uint8)
    timed("overlay, outline", lambda: overlay_picture(image, first.labels))
    timed("overlay, fill, width 2", lambda: overlay_picture(image, first.labels, "fill", 2))
    other = selector.select(SelectSettings(pred_iou_thresh=0.9)).labels
    timed("evaluate_labels, ten thresholds and mistakes", lambda: evaluate_labels(first.labels, other))


if __name__ == "__main__":
    main()
