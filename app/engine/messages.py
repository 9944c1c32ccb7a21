"""What window and engine say to each other: small picklable values.  Imports neither Qt nor torch.

Every request travels as ``(number, request)`` and every answer as ``(number of its request, answer)``; what nobody
asked for (`Ready`, `Heartbeat`) has the number 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from cellseg1.masks import Box

    from .arrays import ArrayRef

#: File in the run's folder with the traceback of a crash inside a compiled library.
CRASH = "crash.txt"

Role = Literal["job", "interactive"]


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """How an engine runs.

    Attributes
    ----------
    threads
        CPU threads; None leaves it to torch, which takes all cores.
    nice
        Added niceness on Linux; on Windows anything above 5 is "below normal".
    """

    role: Role = "job"
    threads: int | None = None
    nice: int = 10


# ---- requests


@dataclass(frozen=True, slots=True)
class TrainRequest:
    """Train a model.

    Attributes
    ----------
    images, masks, regions
        Files in the same order; a region is (x, y, width, height), None for the whole image.
    planes, axes
        (z, t) of each image, and the axes of its array where the user set them; empty: the first plane, as read.
    channels
        Names or numbers (from 0) of the channels that the network sees; empty: chosen by the library.
    out
        The model file.
    run_folder
        Where log, curve and status are written; None writes none.
    start_model
        Model whose adapter the training starts with.
    preview_seconds
        Training time between two previews.
    """

    images: tuple[Path, ...]
    masks: tuple[Path, ...]
    out: Path
    regions: tuple[tuple[int, int, int, int] | None, ...] = ()
    planes: tuple[tuple[int, int], ...] = ()
    axes: tuple[str | None, ...] = ()
    channels: tuple[str | int, ...] = ()
    run_folder: Path | None = None
    backbone: str = "tiny"
    recipe: str = "studio"
    overrides: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"
    resume: bool = False
    start_model: Path | None = None
    preview: bool = True
    preview_seconds: float = 15.0


@dataclass(frozen=True, slots=True)
class PredictItem:
    """One plane to segment.

    Attributes
    ----------
    axes
        Letters for the array of the file, where the user gave them.
    out_candidates, out_labels
        Where the proposals (``.npz``) and, if wanted, the label image go.
    scale
        Model-input pixels per image pixel; None takes the model's.
    """

    image_id: str
    path: Path
    out_candidates: Path
    z: int = 0
    t: int = 0
    axes: str | None = None
    out_labels: Path | None = None
    scale: float | None = None


@dataclass(frozen=True, slots=True)
class PredictRequest:
    """Segment planes with a model; without one with the plain `backbone`.

    Attributes
    ----------
    channels
        Names or numbers (from 0) of the channels that the network sees; empty: those of the training.
    """

    model: Path | None
    items: tuple[PredictItem, ...]
    run_folder: Path | None = None
    overrides: dict[str, Any] = field(default_factory=dict)
    device: str = "auto"
    backbone: str = "tiny"
    channels: tuple[str | int, ...] = ()


@dataclass(frozen=True, slots=True)
class ExamineRequest:
    """Tell what this computer can do; the result is the report of `cellseg1.doctor.examine`."""


@dataclass(frozen=True, slots=True)
class ImportModelRequest:
    """Try a ``.cs1`` or ``.pth`` model with its backbone and write it as `out` (the suffix tells the format).

    The same request exports a model in the published format.
    """

    path: Path
    out: Path
    overrides: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Encode:
    """Prepare an image for clicks.

    Attributes
    ----------
    key
        The caller's name of the image; the last four stay prepared.
    pixels
        A plane; None until it lies in memory that both processes see.
    raw
        Whether `pixels` is a plane as read, to be converted by the model's rule; otherwise it is the network's input,
        (H, W, 3) uint8.
    channel_names
        Channel names of a plane given as `pixels`.
    channels
        Names or numbers (from 0) of the channels that the network sees; empty: those of the training.
    scale
        Network pixels per image pixel; None takes the model's.
    at
        (x, y) of the visible part: a large image is prepared part by part, this one first.
    """

    key: str
    pixels: ArrayRef | None = None
    colour: bool | None = None
    raw: bool = False
    channel_names: tuple[str, ...] = ()
    channels: tuple[str | int, ...] = ()
    model: Path | None = None
    backbone: str = "tiny"
    device: str = "auto"
    scale: float | None = None
    at: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Click:
    """Ask for the cell at some places.

    Attributes
    ----------
    points
        (x, y, 1 or 0) in pixels of the image, pixel (0, 0) covering 0..1; 1 is inside the cell, 0 outside.
    box
        (top, left, bottom, right) around the cell, ends excluded.
    """

    key: str
    points: tuple[tuple[float, float, int], ...] = ()
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True, slots=True)
class Stop:
    """End the job at the next place where what was done can be kept."""


@dataclass(frozen=True, slots=True)
class Quit:
    """End the engine."""


# ---- answers


@dataclass(frozen=True, slots=True)
class Ready:
    """The engine has started."""

    pid: int


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Sent every second; `t` is the time (seconds since the epoch)."""

    t: float


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is, at most ten times per second.

    Attributes
    ----------
    share
        0 to 1.
    detail
        Training: step, steps, epoch, epochs, loss, learning_rate, seconds_per_step, and ``points``, a list of
        (step, loss, learning_rate) of every step since the message before.  Prediction: index, count, image_id, name.
    """

    share: float
    text: str
    seconds_left: float | None = None
    detail: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Say:
    """A sentence for the log."""

    text: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What the model that is being trained makes of a part of the first training image.

    Attributes
    ----------
    image
        Number of the image in the request.
    box
        The part, in pixels of the image.
    labels
        Label image of the part.
    step
        Training steps done.
    """

    image: int
    box: Box
    labels: ArrayRef
    step: int
    cells: int


@dataclass(frozen=True, slots=True)
class ItemDone:
    """One plane of a prediction; `error` is a sentence when there is no result."""

    image_id: str
    z: int
    t: int
    cells: int
    seconds: float
    error: str = ""


@dataclass(frozen=True, slots=True)
class Done:
    """The request is done; a job that was stopped and kept says ``stopped: True``."""

    result: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The request failed: a sentence for the user, and the details for whoever mends it."""

    sentence: str
    details: str = ""


@dataclass(frozen=True, slots=True)
class Skipped:
    """The request was overtaken by a later one and not begun."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image is prepared; `cached` when it already was."""

    key: str
    seconds: float
    cached: bool = False


@dataclass(frozen=True, slots=True)
class Masks:
    """Answer to a `Click`: the mask inside its box, in pixels of the image, and the network's score (0 to 1)."""

    key: str
    box: Box
    mask: ArrayRef
    score: float
    seconds: float = 0.0


Request = TrainRequest | PredictRequest | ExamineRequest | ImportModelRequest | Encode | Click | Stop | Quit
Answer = Ready | Heartbeat | Progress | Say | Preview | ItemDone | Done | Failed | Skipped | Encoded | Masks
JobRequest = TrainRequest | PredictRequest | ExamineRequest | ImportModelRequest
