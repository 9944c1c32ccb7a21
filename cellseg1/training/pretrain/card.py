"""The card of the bundled backbone: what it was trained on and how, and where it fails."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from cellseg1.files import write_bytes

DATA = {
    "dsb2018_stage1": "BBBC038v1, Data Science Bowl 2018 (Caicedo et al., Nature Methods 2019), CC0",
    "bbbc039": "BBBC039v1 (Ljosa et al., Nature Methods 2012), CC0",
    "tnbc_he": "TNBC nuclei (Naylor et al., Zenodo 1175282), CC BY 4.0",
    "codex_expert1": "CellSegmentationEvaluator expert annotation, MIT",
    "plantseg_ovule_slices": "PlantSeg test resources (Wolny et al., eLife 2020), MIT",
    "baby_yeast_brightfield": "BABY test images (Pietsch et al., eLife 2023), MIT",
    "usiigaci_t98g_phase": "Usiigaci (Tsai et al., SoftwareX 2019), MIT",
    "synthetic": "cells drawn by cellseg1.training.pretrain.synthetic",
}

LIMITS = (
    "Trained on crops where the median cell is 14 to 56 pixels wide; images are rescaled to 28.",
    "A mask cannot be wider than the decoding window of 128 pixels of the model input.",
    "Cells narrower than about 14 pixels of the model input are taken in groups; the program looks closer then.",
    "Tissue with blurred nuclei that lie over each other (embryos) stays hard: AP@0.5 of 0.5 to 0.75.",
    "Bright-field tissue with nuclei of 10 to 20 px: AP@0.5 of 0.43 to 0.53 after training on one image.",
    "Least good where its training data are few or hard: multiplexed tissue, plant walls, mammalian phase contrast.",
)


def write_card(run: Path, weights: Path, settings: dict[str, Any], hardware: str) -> None:
    """Write ``tiny.json`` and ``tiny_heldout.txt`` beside the weights, from the folder of a finished run.

    `hardware` says what it was trained on, in words.
    """
    rows = [json.loads(line) for line in (run / "curve.jsonl").read_text(encoding="utf-8").splitlines()]
    content = weights.read_bytes()
    steps = [row for row in rows if "loss" in row]
    card = {
        "name": "tiny",
        "architecture": "cellseg1.sam.tiny.TinyModel, 5.5 M parameters, float16",
        "licence": "Apache-2.0",
        "size_bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "training": {
            "command": "python -m cellseg1.training.pretrain",
            "settings": settings,
            "steps": rows[-1]["step"],
            "active_minutes": round(steps[-1]["seconds"] / 60, 1) if steps else None,
            "hardware": hardware,
        },
        "data": DATA,
        "held_out": "tiny_heldout.txt: images of these acquisition groups were never trained on",
        "mean_iou_of_prompted_cells_by_set": [{"step": row["step"], **row["fixed"]} for row in rows if "fixed" in row],
        "curve": [
            {"step": row["step"], "loss": row["loss"], "iou": row["point"]} for row in steps if row["step"] % 250 == 0
        ],
        "limits": LIMITS,
    }
    write_bytes(weights.with_suffix(".json"), (json.dumps(card, indent=1) + "\n").encode())
    write_bytes(weights.with_name("tiny_heldout.txt"), (run / "heldout.txt").read_bytes())
