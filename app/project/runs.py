"""The part of a project that knows its runs: trainings and predictions with their settings and results."""

from __future__ import annotations

import contextlib
import re
import shutil
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from cellseg1.files import describe_os_error

from ..annotation.steps import plain
from ..base.errors import ProjectError
from ..base.foreign import boundary
from ..base.names import is_image_id, is_run_id, make_folder, within
from ..base.processes import lives
from ..base.run_files import read_status
from .content import now, usable_time
from .files.sealed import dump, read_sealed, seal, write_sealed
from .store import gone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from .images import ProjectImages
    from .store import ProjectStore

_FILE = "run.json"
_KIND = "cellseg1 studio run"
_SCHEMA = 1
_PLACE = re.compile(r"([0-9]{1,6}),([0-9]{1,6})")
_PROPOSALS = re.compile(r"([0-9a-f]{8})_z([0-9]{3,6})_t([0-9]{3,6})")


@dataclass(slots=True)
class RunInfo:
    """A training or prediction.

    Attributes
    ----------
    id
        Name of its folder, such as ``0007-train``.
    kind
        ``train`` or ``predict``.
    state
        ``running``, ``finished``, ``stopped``, ``failed`` or ``interrupted`` (its process is dead).
    fields
        All stored values: settings, request, ``images`` (by image id), result, pid and pid_started.
    """

    id: str
    kind: str
    folder: Path
    state: str
    created: str
    fields: dict[str, Any] = field(default_factory=dict)

    def alive(self) -> bool:
        """Whether the process that computes it runs (as far as this computer knows)."""
        status = read_status(self.folder)
        if status is not None and status.pid:
            return status.alive()
        known = self.fields
        return lives(known.get("pid"), known.get("pid_started"), known.get("pid_created"))


class ProjectRuns:
    """The runs of a project, the oldest first."""

    def __init__(self, store: ProjectStore, images: ProjectImages) -> None:
        self._store = store
        self._images = images
        self._runs: dict[str, RunInfo] = {}
        self._dirty: set[str] = set()
        self._save_lock = threading.Lock()
        store.writes(self.save)
        self._read_all()

    def __len__(self) -> int:
        """Return the number of runs."""
        return len(self._runs)

    def __iter__(self) -> Iterator[RunInfo]:
        """Iterate over a snapshot of all runs."""
        return iter(self._sorted())

    def __reversed__(self) -> Iterator[RunInfo]:
        """Iterate with the newest run first."""
        return reversed(self._sorted())

    def __getitem__(self, place: int) -> RunInfo:
        """Return a run by position; -1 is the newest."""
        return self._sorted()[place]

    def _sorted(self) -> list[RunInfo]:
        return [self._runs[name] for name in sorted(self._runs, key=_number)]

    def get(self, run_id: str) -> RunInfo:
        """Return a run.

        Raises
        ------
        ProjectError
            When there is none of that id.
        """
        try:
            return self._runs[run_id]
        except KeyError:
            raise ProjectError(f"The run {run_id} is not in the project any more.") from None

    def new(self, kind: Literal["train", "predict"], **fields: Any) -> Path:
        """Begin a run; returns its new folder.

        Raises
        ------
        ProjectError
            When the project is read-only or the folder cannot be made.
        """
        self._store.require_writable()
        number = max((_number(name) for name in self._run_names()), default=0) + 1
        folder = self._store.runs_folder / f"{number:04d}-{kind}"
        try:
            make_folder(self._store.folder, "runs")
            folder.mkdir()
            info = RunInfo(folder.name, kind, folder, "running", now(), {"images": {}, **plain(fields)})
            write_sealed(folder / _FILE, _sealed(info))
        except OSError as error:
            if not (folder / _FILE).exists():
                shutil.rmtree(folder, ignore_errors=True)
            cause = error.__cause__ if isinstance(error.__cause__, OSError) else error
            raise ProjectError(
                f"The run cannot be stored in {folder}: {describe_os_error(cause)}. Free some space, or save the "
                "project elsewhere."
            ) from error
        self._runs[folder.name] = info
        return folder

    def update(self, run_id: str, **fields: Any) -> None:
        """Change what is stored with a run; ``state`` and any JSON values."""
        info = self.get(run_id)
        with self._store.content.lock:
            state = fields.pop("state", None)
            if state is not None:
                info.state = str(state)
            info.fields.update(plain(fields))
        self._changed(info, now=state is not None)

    def add_result(
        self, run_id: str, image_id: str, z: int, t: int, *, cells: int | None = None, error: str | None = None
    ) -> None:
        """Note that a plane was predicted, or why not."""
        info = self.get(run_id)
        with self._store.content.lock:
            planes = info.fields.setdefault("images", {}).setdefault(image_id, {})
            planes[f"{z},{t}"] = {"cells": cells, "error": error}
        self._changed(info)
        if not error:
            self._images.note_plane(image_id, z, t, {"predicted": True})

    def proposals_path(self, run_id: str, image_id: str, z: int, t: int) -> Path:
        """Return where the proposals of a plane are, or go."""
        return within(self._store.folder, "runs", run_id, "proposals", f"{image_id}_z{z:03d}_t{t:03d}.npz")

    def latest_prediction(self, image_id: str, z: int = 0, t: int = 0) -> RunInfo | None:
        """Return the newest run that has proposals of a plane."""
        for info in reversed(self):
            if info.kind == "predict" and self.proposals_path(info.id, image_id, z, t).is_file():
                return info
        return None

    def interrupted(self) -> list[RunInfo]:
        """Return runs that neither ended nor run any more; one that was dealt with gets another state."""
        for info in self:
            if info.state == "running" and not info.alive():
                self._settle(info)
        return [info for info in self if info.state == "interrupted"]

    def running(self) -> list[RunInfo]:
        """Return runs whose process is alive."""
        return [info for info in self if info.state == "running" and info.alive()]

    # ---- files

    def moved(self) -> None:
        """Follow the project's folder to its new place."""
        for info in self._runs.values():
            info.folder = self._store.runs_folder / info.id

    def write_all_again(self) -> None:
        """Write every run the next time, changed or not."""
        with self._store.content.lock:
            self._dirty |= self._runs.keys()

    def _run_names(self) -> list[str]:
        try:
            return [path.name for path in self._store.runs_folder.iterdir() if is_run_id(path.name)]
        except OSError:
            return []

    def _read_all(self) -> None:
        for name in self._run_names():
            with contextlib.suppress(ProjectError):
                info = self._read_run(within(self._store.folder, "runs", name))
                if info is not None:
                    self._runs[name] = info

    def _read_run(self, folder: Path) -> RunInfo | None:
        kind = folder.name.rsplit("-", 1)[1]
        try:
            values = read_sealed(
                folder / _FILE, _KIND, _SCHEMA, {}, self._store.damage, repair=not self._store.read_only
            )
            with boundary(lambda why: ProjectError(f"{folder.name} is not understood ({why})."), folder):
                fields = _usable_fields(dict(values["fields"]))
                return RunInfo(folder.name, kind, folder, str(values["state"]), usable_time(values["created"]), fields)
        except (ProjectError, OSError):
            if not folder.is_dir() or all(path.name.startswith(".") for path in folder.iterdir()):
                return None
            # Its results are still there.
            return RunInfo(folder.name, kind, folder, "running", "", {"images": {}})

    def recount(self) -> None:
        """Update the list with results stored after it was written."""
        for info in self:
            for image_id, planes in info.fields["images"].items() if info.kind == "predict" else ():
                for place, result in planes.items():
                    match = _PLACE.fullmatch(place)
                    if match is not None and isinstance(result, dict) and not result.get("error"):
                        self._images.note_plane(
                            image_id, int(match[1]), int(match[2]), {"predicted": True}, write=False
                        )

    def sweep(self) -> None:
        """Remove folders of runs that never started, and incomplete files of dead engines."""
        for name in self._run_names():
            with contextlib.suppress(ProjectError, OSError):
                folder = within(self._store.folder, "runs", name)
                if name not in self._runs:
                    folder.rmdir()  # an empty one
        left: list[Path] = [] if self.running() else list(self._store.models_folder.glob(".*.part"))
        for info in self:
            # An engine without any message may still be starting.
            status = read_status(info.folder)
            if status is not None and not status.alive():
                left += [*info.folder.glob(".*.part"), *info.folder.glob("proposals/.*.part")]
        for path in left:
            with contextlib.suppress(OSError):
                path.unlink()

    def _settle(self, info: RunInfo) -> None:
        """Find out how a run ended that this program was not there to see."""
        status = read_status(info.folder)
        state = status.state if status is not None and status.state != "running" else "interrupted"
        fields: dict[str, Any] = {}
        if status is not None and status.state != "running":
            fields["result"] = {**status.result, **({"sentence": status.sentence} if status.sentence else {})}
        if info.kind == "predict":
            for path in sorted((info.folder / "proposals").glob("*.npz")):
                match = _PROPOSALS.fullmatch(path.stem)
                if match is not None and match[1] in self._store.content.images:
                    z, t = int(match[2]), int(match[3])
                    if f"{z},{t}" not in info.fields.get("images", {}).get(match[1], {}):
                        self.add_result(info.id, match[1], z, t)
        self.update(info.id, state=state, **fields)

    def _changed(self, info: RunInfo, *, now: bool = False) -> None:
        if self._store.read_only or self._store.closed:
            return
        with self._store.content.lock:
            self._dirty.add(info.id)
        if not now or not self.save():
            self._store.writer.wake()

    def save(self) -> bool:
        """Write changed runs; False when that is not possible."""
        with self._save_lock:
            with self._store.content.lock:
                due = {run_id: _sealed(self._runs[run_id]) for run_id in self._dirty}
                self._dirty.clear()
            for run_id, data in due.items():
                try:
                    if not self._store.is_there():
                        raise gone(self._store.folder)
                    write_sealed(self._store.runs_folder / run_id / _FILE, data)
                except OSError as error:
                    with self._store.content.lock:
                        self._dirty |= due.keys()
                    self._store.report(_FILE, error)
                    return False
        if due:
            self._store.report(_FILE, None)
        return True


def _usable_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the stored values of a run, without results of invalid image ids."""
    images = fields.get("images")
    found = images.items() if isinstance(images, dict) else ()
    return {**fields, "images": {key: one for key, one in found if is_image_id(key) and isinstance(one, dict)}}


def _sealed(info: RunInfo) -> bytes:
    values = {"kind": info.kind, "state": info.state, "created": info.created, "fields": info.fields}
    return seal(_KIND, _SCHEMA, dump(values)[1:])


def _number(name: str) -> int:
    return int(name.split("-", 1)[0])
