"""The small SAM of the golden vectors: weights by the rule in tests/golden/weights_rule.py."""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from cellseg1.lora.config import LoraConfig
from cellseg1.lora.inject import inject_lora, lora_matrices
from cellseg1.sam.model import SamModel
from cellseg1.sam.shapes import VitShape
from cellseg1.sam.weights import build_from_shape

torch.set_num_threads(1)

GOLDEN = Path(__file__).parents[1] / "golden"
_spec = importlib.util.spec_from_file_location("weights_rule", GOLDEN / "weights_rule.py")
weights_rule = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(weights_rule)


def golden(name):
    """Load tests/golden/NAME.npz into a dict."""
    with np.load(GOLDEN / f"{name}.npz", allow_pickle=False) as file:
        return dict(file)


def rule(key, shape, seed=0):
    """Return the tensor that the rule gives for a state-dict key."""
    return torch.from_numpy(np.asarray(weights_rule.weight(key, tuple(shape), seed)))


def small_shape(window=7):
    return VitShape(embed_dim=96, depth=4, heads=3, global_blocks=(1, 3), window=window)


def rule_state(model, seed=0):
    """Return rule-made weights for every stored tensor of `model` (which carries no adapter)."""
    return {key: rule(key, value.shape, seed) for key, value in model.state_dict().items()}


@torch.no_grad()
def fill_lora(model, seed=0):
    for matrix in lora_matrices(model):
        matrix.parameter.copy_(rule(matrix.name, matrix.parameter.shape, seed))


def small_sam(window=7, lora=True, seed=0, image_size=256, dropout=0.0, config=None) -> SamModel:
    """Build the golden small SAM in eval mode, with its LoRA filled by the rule when `lora`."""
    with torch.device("meta"):
        layout = SamModel(small_shape(window), image_size, "small")
    model = build_from_shape(small_shape(window), image_size, rule_state(layout, seed), name="small")
    if lora:
        inject_lora(model, config or LoraConfig(dropout=dropout))
        fill_lora(model, seed)
    return model


def pixels(image):
    """Turn an (H, W, 3) or (B, H, W, 3) uint8 array into a (B, 3, H, W) float tensor."""
    image = torch.from_numpy(np.array(image)).float()
    return (image if image.ndim == 4 else image[None]).permute(0, 3, 1, 2)
