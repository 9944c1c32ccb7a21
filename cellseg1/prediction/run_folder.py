"""The folder of a run, with a record from the start."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cellseg1._version import __version__
from cellseg1.errors import ImageError
from cellseg1.files import claim_folder, free_folder, write_bytes
from cellseg1.prediction.inputs import fitting_name, result_name
from cellseg1.prediction.tasks import PlaneFiles, PlaneRecord
from cellseg1.settings import acts_in
from cellseg1.text import json_text

if TYPE_CHECKING:
    from cellseg1.model import Model

#: The record of a run, in its folder from the start.
RECORD = "run.json"
#: Interval of its updates in seconds, so that a killed run has a record too.
_RECORD_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class FolderFiles:
    """Names of results in the folder of a run, after their images.

    Attributes
    ----------
    suffix
        Suffix of the label images, ``.png`` or ``.tif``.
    overlays, candidates
        Whether overlays and proposals are written.
    """

    folder: Path
    suffix: str = ".png"
    overlays: bool = True
    candidates: bool = True
    _taken: set[str] = field(default_factory=set)

    def files_of(self, path: Path, end: str) -> tuple[PlaneFiles, str]:
        """Return the files of a plane; too long names are shortened.

        Raises
        ------
        ImageError
            When another image has that name.
        """
        wanted = result_name(path) + end
        name = fitting_name(wanted, end)
        if name.casefold() in self._taken:
            raise ImageError(f"{path} would be saved as {name}, as another image was; rename it.")
        self._taken.add(name.casefold())
        remark = "" if name == wanted else f"The name of {path.name} is too long; its results are called {name}."
        files = PlaneFiles(
            self.folder / f"{name}{self.suffix}",
            self.folder / "candidates" / f"{name}.npz" if self.candidates else None,
            self.folder / "overlays" / f"{name}.png" if self.overlays else None,
        )
        return files, remark


class RunFolder:
    """One run with its own folder.

    Parameters
    ----------
    out
        The folder; when it is not empty, a new one beside it.
    describe
        Returns the content of the record apart from the state and the planes.
    """

    def __init__(self, out: Path, describe: Callable[[], dict[str, Any]]) -> None:
        self.planes: list[PlaneRecord] = []
        self._describe = describe
        self._recorded = time.monotonic()
        wanted = free_folder(out)
        made = [folder for folder in (wanted, *wanted.parents) if not folder.exists()]
        self.folder = claim_folder(out, RECORD)
        self._made = made if self.folder == wanted else [self.folder]

    def add(self, plane: PlaneRecord) -> None:
        """Add the record of a plane, or of an image without a result."""
        self.planes.append(plane)
        if time.monotonic() - self._recorded > _RECORD_SECONDS:
            self.write("running")

    def write(self, state: Literal["running", "finished", "stopped", "failed"]) -> None:
        """Write ``run.json``: model, settings, inputs and results."""
        record = {
            "schema": 1,
            "program_version": __version__,
            **self._describe(),
            "state": state,
            "stopped": state != "finished",
            "planes": [plane.to_dict() for plane in self.planes],
        }
        write_bytes(self.folder / RECORD, json_text(record, indent=1).encode())
        self._recorded = time.monotonic()

    def abandon(self) -> None:
        """Keep finished work with its record; a run without results leaves no folder."""
        with contextlib.suppress(OSError):
            if self.planes:
                self.write("failed")
                return
            (self.folder / RECORD).unlink(missing_ok=True)
        for folder in self._made:
            with contextlib.suppress(OSError):  # the system refuses to remove a folder with something in it
                folder.rmdir()


def describe_run(model: Model, paths: Sequence[Path]) -> dict[str, Any]:
    """Return the description of a run (model, settings, device, inputs) as plain JSON values."""
    card = model.card
    return {
        "model": {
            "file": None if model.file is None else str(model.file),
            "sha256": model.file_sha256,
            "recipe": card.recipe,
            "backbone": card.backbone,
            "created": card.created,
            "adapter": model.adapter_enabled,
        },
        "device": str(model.backbone.device_of()),
        "settings": {name: value for name, value in model.settings.to_dict().items() if acts_in(name, "predict")},
        "input": model.input.to_dict(),
        "scale": model.scale,
        "inputs": [os.path.abspath(path) for path in paths],  # noqa: PTH100 - a link keeps its own name
    }
