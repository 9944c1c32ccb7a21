"""Check everything that can refuse a prediction before its model is loaded, which may take gigabytes and minutes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellseg1.errors import OutputError
from cellseg1.files import check_writable, free_folder
from cellseg1.images import PlaneChoice, parse_channels
from cellseg1.masks.writers import WRITERS, writer_of
from cellseg1.plugins import listed
from cellseg1.prediction.inputs import collect_inputs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cellseg1.files import PathLike
    from cellseg1.images.specification import ChannelWish, PlaneWish


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictPlan:
    """A prediction of files into a folder that nothing refuses any more, until its images are read.

    Attributes
    ----------
    paths
        The image files, in order; no two have results of the same name.
    out
        Folder of the results, or the name of one beside it when there is something in it.
    channels
        Input channels instead of those of the model; None: the model's.
    planes
        Planes of a stack to segment.
    suffix
        Of the label images; there is a writer for it.
    overlays, candidates
        Whether overlay pictures and proposals are written.
    """

    paths: tuple[Path, ...]
    out: Path
    channels: ChannelWish | None
    planes: PlaneChoice
    suffix: str
    overlays: bool
    candidates: bool


def plan_prediction(
    inputs: PathLike | Sequence[PathLike],
    out: PathLike,
    *,
    channels: ChannelWish | None = None,
    plane: PlaneWish | None = None,
    suffix: str = ".png",
    overlays: bool = True,
    candidates: bool = True,
    say: Callable[[str], None] | None = None,
) -> PredictPlan:
    """Check what is wanted of a prediction; parameters as in `cellseg1.prediction.job.predict`.

    In this order: format of the label images, channels, planes, files and the names of their results, the folder,
    which must exist or can be made, and in which a file can be written.

    Raises
    ------
    CellSeg1Error
        One sentence about what is wrong.
    """
    if writer_of(suffix) is None:
        known = listed(writer.suffixes[0] for writer in WRITERS.all())
        raise OutputError(f"Label images cannot be written as {suffix!r}; choose {known}.")
    if channels is not None:
        parse_channels(channels)
    planes = PlaneChoice.parse(plane)
    paths = collect_inputs(inputs, say)
    folder = Path(out)
    check_writable(free_folder(folder))
    return PredictPlan(
        paths=tuple(paths),
        out=folder,
        channels=channels,
        planes=planes,
        suffix=suffix,
        overlays=overlays,
        candidates=candidates,
    )
