"""Numbers below the smallest normal one become zero wherever the program computes on a CPU."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from cellseg1.sam.device import flushed_denormals, flushes_denormals
from cellseg1.training.pretrain import __main__ as pretrain
from cellseg1.training.pretrain.batches import _one_thread

#: Large enough that torch divides it between its threads.
_MANY = 1 << 20


def denormals_in_gradient():
    """Count the gradients (of values scaled by 1e-10) that are neither zero nor normal, in each half of a tensor."""
    values = torch.zeros(_MANY, requires_grad=True)
    (values * 1e-10).backward(torch.full((_MANY,), 1e-30))
    # As integers: comparing as numbers would make zeros of them, too.
    return [int((half.view(torch.int32) != 0).sum()) for half in values.grad.chunk(2)]


@pytest.fixture(autouse=True)
def keep_state():
    before = flushes_denormals()
    torch.set_flush_denormal(False)
    yield
    torch.set_flush_denormal(before)


@pytest.mark.parametrize("threads", [1, 2])
def test_the_command_flushes_in_all_threads(threads):
    script = (
        "import argparse, torch\n"
        "from cellseg1.commands.common import use_threads\n"
        f"use_threads(argparse.Namespace(threads={threads}))\n"
        f"assert torch.get_num_threads() == {threads}\n"
        f"values = torch.zeros({_MANY}, requires_grad=True)\n"
        f"(values * 1e-10).backward(torch.full(({_MANY},), 1e-30))\n"
        "print([int((half.view(torch.int32) != 0).sum()) for half in values.grad.chunk(2)])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[0, 0]"


def test_a_callers_process_is_left_as_it_was():
    assert denormals_in_gradient() != [0, 0]
    with flushed_denormals():
        assert flushes_denormals()
        with flushed_denormals():
            pass
        assert flushes_denormals()
    assert not flushes_denormals()
    with pytest.raises(ValueError, match="wrong"), flushed_denormals():
        raise ValueError("wrong")
    assert not flushes_denormals()


def test_pretraining_flushes(monkeypatch, tmp_path):
    seen = []
    monkeypatch.setattr("cellseg1.training.pretrain.loop.run", lambda *_, **__: seen.append(flushes_denormals()))
    arguments = ["pretrain", "--data", str(tmp_path), "--out", str(tmp_path), "--minutes", "1"]
    monkeypatch.setattr(sys, "argv", arguments)
    assert pretrain.main() == 0
    assert seen == [True]


class _Faint(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return np.asarray((torch.full((4,), 1e-30) * 1e-10).view(torch.int32))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_processes_that_draw_crops_flush():
    drawn = list(DataLoader(_Faint(), batch_size=None, num_workers=1, worker_init_fn=_one_thread, collate_fn=list))
    assert [int(np.abs(part).max()) for part in drawn] == [0, 0]
