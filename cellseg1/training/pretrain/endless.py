"""Training of the second architecture in any number of sessions, on a CPU or a GPU.

The learning rate is constant after a warm-up, so the training can continue at any time; weights come from a copy whose
rate falls to zero (`take`), or are the running average.  The batch of a step depends only on (seed, step), so an
interrupted training continues as if it had not stopped.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset

from cellseg1.files import write_bytes, write_with
from cellseg1.sam.tiny2 import TARGET_DIAMETER_2, Tiny2Model, begin
from cellseg1.training.pretrain.batches import drawn_ahead
from cellseg1.training.pretrain.batches2 import Batch2, make_batch2
from cellseg1.training.pretrain.crops import Crop
from cellseg1.training.pretrain.crops2 import draw_crop2
from cellseg1.training.pretrain.loss2 import batch_loss2
from cellseg1.training.pretrain.measure import fixed_crops, measure
from cellseg1.training.pretrain.pack import read_data
from cellseg1.training.pretrain.pool import Sample, load_held
from cellseg1.training.pretrain.settings import EndlessSettings
from cellseg1.training.pretrain.state import Trained, append_row, export

log = logging.getLogger(__name__)

#: Checkpoints that are kept, the time between two of them, the steps between two looks at fixed crops, and between two
#: lines of the curve.
KEPT = 3
_SAVE_SECONDS = 600.0
_LOOK_STEPS = 500
_NOTE_STEPS = 25
#: Signals that ask a training to end.
_ENDING = (signal.SIGTERM, signal.SIGINT)
#: Share of a sprint in which the rate falls.
_FALL_SHARE = 0.4


class Steps(Dataset[Batch2]):
    """The batch of each step."""

    def __init__(self, pool: dict[str, list[Sample]], settings: EndlessSettings) -> None:
        self.pool = pool
        self.settings = settings

    def __getitem__(self, step: int) -> Batch2:
        settings = self.settings
        side, count = settings.sides[step % len(settings.sides)]
        rng = np.random.default_rng((settings.seed, step))
        ragged = rng.random() < settings.ragged
        less = rng.integers(0, 16, 2) if ragged else (0, 0)
        shown = (side - int(less[0]), side - int(less[1]))
        return make_batch2(
            [
                draw_crop2(
                    np.random.default_rng((settings.seed, step, i)), self.pool, side, shown, settings.drawn_share
                )
                for i in range(count * settings.times)
            ]
        )


class State(Trained[Tiny2Model, EndlessSettings]):
    """The state of a training without a fixed end."""

    def __init__(self, settings: EndlessSettings, device: torch.device, begin_with: Path | None = None) -> None:
        torch.manual_seed(settings.seed)
        super().__init__(Tiny2Model() if begin_with is None else begin(begin_with), settings, device)

    def train_step(self, batch: Batch2, share: float = 1.0) -> dict[str, float]:
        """Take one step at this share of the rate."""
        loss, figures = batch_loss2(self.model, batch, self.device)
        self.update(loss, self.settings.learning_rate * share * self.warm())
        return figures

    def save(self, folder: Path) -> None:
        """Write everything needed to go on, atomically, and remove all but the newest checkpoints."""
        content = self.content()
        write_with(folder / f"checkpoint-{self.step:08d}.pt", lambda stream: torch.save(content, stream))
        for old in checkpoints(folder)[:-KEPT]:
            old.unlink()


def checkpoints(folder: Path) -> list[Path]:
    """Return the checkpoints of a training, the newest last."""
    return sorted(folder.glob("checkpoint-*.pt"))


def run(
    data: Path,
    out: Path,
    settings: EndlessSettings,
    device: torch.device,
    *,
    minutes: float | None = None,
    workers: int = 0,
    begin_with: Path | None = None,
) -> State:
    """Train for `minutes` of active time of this call, or until the process is asked to end (SIGTERM, Ctrl+C).

    It continues from the newest checkpoint in `out`, if there is one.

    Parameters
    ----------
    data
        The folder of sets, or a packed file of them (`cellseg1.training.pretrain.pack`), then without held-out images.
    begin_with
        Weights of either architecture to begin with instead of random ones.

    Writes ``checkpoint-*.pt`` (the last three), ``curve.jsonl`` and ``heldout.txt``.
    """
    out.mkdir(parents=True, exist_ok=True)
    pool, used, held = read_data(data)
    write_bytes(out / "heldout.txt", ("\n".join(held) + "\n").encode())
    log.info("%d training images, %d held out", len(used), len(held))
    state = State(settings, device, begin_with)
    if found := checkpoints(out):
        state.load(found[-1])
        log.info("resumed at step %d after %.1f min", state.step, state.seconds / 60)
    looked = pool if data.is_file() else {**pool, **load_held(data, held)}
    crops = fixed_crops(looked, TARGET_DIAMETER_2)
    saved, budget = time.monotonic(), None if minutes is None else state.seconds + minutes * 60
    with _asked_to_end() as asked, contextlib.closing(batches2(pool, settings, state.step, workers)) as coming:
        if state.step == 0:
            _look(state, crops, out)
        while not asked() and (budget is None or state.seconds < budget):
            with state.counted():
                figures = state.train_step(next(coming))
            if state.step % _NOTE_STEPS == 0:
                append_row(out / "curve.jsonl", {"step": state.step, "seconds": round(state.seconds), **figures})
            if state.step % _LOOK_STEPS == 0:
                _look(state, crops, out)
            if time.monotonic() - saved > _SAVE_SECONDS:
                state.save(out)
                saved = time.monotonic()
    state.save(out)
    return state


def take(
    data: Path, folder: Path, weights: Path, settings: EndlessSettings, device: torch.device, steps: int, workers: int
) -> None:
    """Write weights (float16) of a training without changing it.

    A copy is trained for `steps` more steps with a rate that falls to zero; with 0 the running average is written.
    """
    state = State(settings, device)
    state.load(checkpoints(folder)[-1])
    if steps:
        pool, _used, _held = read_data(data)
        first = state.step
        with contextlib.closing(batches2(pool, settings, first, workers)) as coming:
            while state.step < first + steps:
                figures = state.train_step(next(coming), 1 - (state.step - first) / steps)
                if state.step % _NOTE_STEPS == 0:
                    log.info("step %d: %s", state.step, figures)
    export(state.ema_model(), weights)


def sprint(
    data: Path,
    out: Path,
    weights: Path,
    settings: EndlessSettings,
    device: torch.device,
    minutes: float,
    *,
    workers: int = 0,
    begin_with: Path | None = None,
) -> None:
    """Train, let the rate fall and write the weights in about `minutes`, for a short session on a GPU.

    `out` and `weights` are written as by `run` and `take`.
    """
    first = int(checkpoints(out)[-1].stem.split("-")[1]) if checkpoints(out) else 0
    state = run(
        data, out, settings, device, minutes=minutes * (1 - _FALL_SHARE), workers=workers, begin_with=begin_with
    )
    steps = round((state.step - first) * _FALL_SHARE / (1 - _FALL_SHARE))
    take(data, out, weights, settings, device, steps, workers)


def batches2(
    pool: dict[str, list[Sample]], settings: EndlessSettings, first: int, workers: int = 0
) -> Generator[Batch2]:
    """Yield the batch of step `first` and of every later one; closing the iterator ends the processes."""
    return drawn_ahead(Steps(pool, settings), first, workers)


def _look(state: State, crops: dict[str, list[Crop]], out: Path) -> None:
    model = state.ema_model()
    figures = {key: measure(model, some, state.device) for key, some in crops.items()}
    append_row(out / "curve.jsonl", {"step": state.step, "fixed": figures})


@contextlib.contextmanager
def _asked_to_end() -> Iterator[Callable[[], bool]]:
    """Turn termination signals into a flag, so that the last step is finished and saved."""
    asked: list[int] = []
    before = {number: signal.signal(number, lambda got, _frame: asked.append(got)) for number in _ENDING}
    try:
        yield lambda: bool(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
