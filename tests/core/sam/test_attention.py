"""Attention: without the backend whose gradients are not always numbers."""

import pytest
import torch
from torch.nn import functional as F

from cellseg1.sam import attention
from cellseg1.sam.tiny import TinyModel


def test_it_is_torch_s_attention():
    q, k, v = torch.randn(3, 2, 4, 6, 8)
    mask = torch.rand(2, 1, 1, 6) > 0.3
    mask[..., 0] = True
    assert torch.equal(
        attention.attend(q, k, v, mask, scale=0.5), F.scaled_dot_product_attention(q, k, v, mask, scale=0.5)
    )


def test_cudnn_is_never_asked_and_the_environment_is_put_back(monkeypatch):
    """On an H200 with torch 2.11 it turned trainings on images with black parts into numbers that are none."""
    if not hasattr(torch.backends.cuda, "cudnn_sdp_enabled"):
        pytest.skip("this torch knows no cuDNN attention")
    seen = []
    real = F.scaled_dot_product_attention

    def watched(*args, **kwargs):
        seen.append(torch.backends.cuda.cudnn_sdp_enabled())
        return real(*args, **kwargs)

    monkeypatch.setattr(F, "scaled_dot_product_attention", watched)
    before = torch.backends.cuda.cudnn_sdp_enabled()
    model = TinyModel()
    embedding = model.encode(torch.rand(1, 3, 160, 96) * 255)
    model.decode(embedding, torch.tensor([[[30.0, 20.0]]]), torch.ones(1, 1, dtype=torch.int64), torch.zeros(1).long())
    assert len(seen) == 6
    assert not any(seen)
    assert torch.backends.cuda.cudnn_sdp_enabled() == before


def test_nothing_else_calls_torch_s_attention():
    from pathlib import Path

    import cellseg1

    folder = Path(cellseg1.__file__).parent
    using = [path.name for path in folder.rglob("*.py") if "F.scaled_dot_product_attention" in path.read_text("utf-8")]
    assert using == ["attention.py"]
