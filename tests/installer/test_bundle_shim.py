"""torchvision without its compiled part: the same boxes stay, in the same order, and only where it is needed."""

import subprocess
import sys

import pytest
import torch
from torchvision.ops import nms

from installer.bundle import torchvision_shim as shim
from installer.roots import ROOT


def boxes(count, *, seed, size=100.0):
    generator = torch.Generator().manual_seed(seed)
    found = torch.rand(count, 4, generator=generator) * size
    found[:, 2:] = found[:, :2] + found[:, 2:] * 0.5
    # Scores with many ties, and some boxes without an area.
    scores = torch.rand(count, generator=generator).mul(12).round() / 12
    found[:: max(1, count // 7), 2:] = found[:: max(1, count // 7), :2]
    return found, scores


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_the_same_boxes_stay_in_the_same_order(seed, threshold):
    found, scores = boxes(60 * seed, seed=seed)
    ours, theirs = shim.nms(found, scores, threshold), nms(found, scores, threshold)
    assert ours.dtype == theirs.dtype
    assert torch.equal(ours, theirs)


def test_double_precision_and_whole_numbers_of_pixels():
    found, scores = boxes(200, seed=9, size=30.0)
    whole = found.round()
    for one in (whole, whole.double()):
        assert torch.equal(shim.nms(one, scores.to(one.dtype), 0.5), nms(one, scores.to(one.dtype), 0.5))


_FRESH = """
import sys, torch
from installer.bundle import torchvision_shim as shim
if {broken}:
    def refuse(path):
        raise OSError("libtorch_cuda.so: cannot open shared object file")
    torch.ops.load_library = refuse
shim.install()
assert "torchvision" not in sys.modules
import torchvision
from torchvision.ops import batched_nms
assert bool(shim._kept) is {broken}
box = torch.tensor([[0.0, 0, 10, 20], [1, 1, 10, 20], [50, 50, 60, 70]])
kept = batched_nms(box, torch.tensor([0.5, 0.9, 0.1]), torch.tensor([0, 0, 1]), 0.5)
assert kept.tolist() == [1, 2], kept
assert torchvision.extension.__spec__.loader is not None
"""


@pytest.mark.parametrize("broken", [True, False])
def test_it_steps_in_only_where_the_compiled_part_cannot_be_loaded(broken):
    code = _FRESH.format(broken=broken)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
