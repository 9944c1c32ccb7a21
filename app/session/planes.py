"""What the panels ask about planes and predictions of a project.  Knows nothing of Qt."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cellseg1.images import stack_suffixes

from .run_requests import select_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from cellseg1.prediction.select import SelectSettings

    from ..project.project import Project, ProjectImage, RunInfo
    from .session import Session

#: (image id, z, t)
Plane = tuple[str, int, int]


def planes_of(entry: ProjectImage) -> list[Plane]:
    """Return all planes of a project's image; one that was never opened counts as one plane."""
    return [(entry.id, z, t) for t in range(max(1, entry.n_t or 1)) for z in range(max(1, entry.n_z or 1))]


def may_be_stack(entry: ProjectImage) -> bool:
    """Whether an image was never opened and is of a kind that can have several planes."""
    return not entry.n_z and str(entry.name).lower().endswith(stack_suffixes())


def is_stack(entry: ProjectImage) -> bool:
    """Whether an image has several planes."""
    return (entry.n_z or 1) * (entry.n_t or 1) > 1


def plane_title(project: Project, plane: Plane) -> str:
    """Name a plane for people: the image, and for stacks where in it."""
    entry = project.images.get(plane[0])
    if not is_stack(entry):
        return str(entry.name)
    parts = [entry.name]
    if (entry.n_z or 1) > 1:
        parts.append(f"z {plane[1] + 1}")
    if (entry.n_t or 1) > 1:
        parts.append(f"t {plane[2] + 1}")
    return ", ".join(parts)


def flags(entry: ProjectImage, plane: Plane) -> dict[str, Any]:
    """Return what the project notes of a plane: ``cells`` (their number), ``training``, ``checked``, ``predicted``."""
    found: dict[str, Any] = dict((entry.planes or {}).get(f"{plane[1]},{plane[2]}", {}))
    return found


def drawn_planes(project: Project, *, checked_only: bool = False) -> Iterator[Plane]:
    """Yield the planes on which cells are drawn, in the order of the images."""
    for entry in project.images:
        for plane in planes_of(entry):
            found = flags(entry, plane)
            if found.get("cells") and (found.get("checked") or not checked_only):
                yield plane


def shape_of(entry: ProjectImage) -> tuple[int, int] | None:
    """Return height and width of an image's planes, None before it was opened the first time."""
    shape = entry.plane_shape
    return None if shape is None else (int(shape[0]), int(shape[1]))


def predictions(project: Project) -> list[RunInfo]:
    """Return the runs that are predictions, the newest first."""
    return [run for run in reversed(list(project.runs)) if run.kind == "predict"]


def predicted_planes(project: Project, run: RunInfo) -> list[Plane]:
    """Return the planes of which a run has proposals, in the order of the images."""
    return [
        plane
        for entry in project.images
        for plane in planes_of(entry)
        if project.runs.proposals_path(run.id, *plane).exists()
    ]


def settings_of(session: Session, run: RunInfo) -> SelectSettings:
    """Return the thresholds of a run; of the one that is shown those of the sliders, so that one saves what one sees.

    They are read in the window's thread; the rest of the work may be done elsewhere.
    """
    if session.proposals.run_id == run.id:
        shown: SelectSettings = session.proposals.settings
        return shown
    return select_of(run.fields.get("select") or {})


def choose(path: Path, settings: SelectSettings, shape: tuple[int, int] | None) -> NDArray[np.int32]:
    """Choose the cells of stored proposals, at the size of the image where that is known."""
    from cellseg1.prediction.candidates import Candidates
    from cellseg1.prediction.select import Selector

    from .proposals import choose_labels

    if shape is not None:
        return choose_labels(path, settings, shape)
    return Selector(Candidates.load(path)).select(settings).labels


def run_title(run: RunInfo, *, longest: int = 18) -> str:
    """Name a prediction for people: model and time; the model's name is shortened to fit beside the time."""
    model = run.fields.get("model")
    name = str(model).removesuffix(".cs1") if model else str(run.fields.get("backbone") or "tiny")
    if len(name) > longest:
        name = f"{name[: longest - 1]}…"
    return f"{name}, {when(run.created)}"


def when(created: str) -> str:
    """Write the time at which something was made (ISO 8601), in the time of this computer."""
    import datetime as dt

    try:
        moment = dt.datetime.fromisoformat(created)
    except ValueError:
        return created
    now = dt.datetime.now(dt.UTC).astimezone()
    if moment.tzinfo is not None:
        moment = moment.astimezone()
    if moment.date() == now.date():
        return moment.strftime("%H:%M")
    return moment.strftime("%d %b %H:%M" if moment.year == now.year else "%d %b %Y")
