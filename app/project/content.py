"""What ``project.json`` holds: the project's name and settings, and one entry per image."""

from __future__ import annotations

import dataclasses
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from app.project.sealed import DamagedError, dump, read_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "project.json"
KIND = "cellseg1 studio project"
SCHEMA = 1
#: Older schema -> function that brings a file's content to the next one.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


def now() -> str:
    """Return the time as it is stored."""
    return datetime.now(UTC).isoformat(timespec="seconds")


@dataclass(slots=True)
class ProjectImage:
    """One image of a project.  To be changed only by the project.

    Attributes
    ----------
    id
        Short and never used twice; names the folder of its drawings.
    name
        File name for people.
    file
        Of a copy: its path in the project, with ``/``; of a linked image: its absolute path.
    nearby
        Of a linked image: its path relative to the project, for when both are moved together.
    fingerprint
        ``size``, ``mtime_ns``, ``ends`` (SHA-256 of first and last 64 KiB), and ``sha256`` once it was made.
    shape, axes, dtype, n_z, n_t, n_channels, channel_names, axes_guessed, notes
        What the file says; empty until the image was opened the first time.
    axes_by_hand
        Whether the user chose `axes`.
    pixel_size_um
        Height and width of a pixel, None when unknown.
    display
        Contrast and colours, as the canvas stores them.
    planes
        By ``"z,t"``: ``cells``, ``training``, ``checked``, ``predicted``, and the ``revision`` of the drawing.
    """

    id: str
    name: str
    file: str
    linked: bool
    fingerprint: dict[str, Any] = field(default_factory=dict)
    nearby: str = ""
    shape: tuple[int, ...] = ()
    axes: str = ""
    dtype: str = ""
    n_z: int = 0
    n_t: int = 0
    n_channels: int = 0
    channel_names: tuple[str, ...] = ()
    axes_guessed: bool = False
    axes_by_hand: bool = False
    notes: tuple[str, ...] = ()
    pixel_size_um: tuple[float, float] | None = None
    pixel_size_by_hand: bool = False
    display: dict[str, Any] = field(default_factory=dict)
    planes: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def plane_shape(self) -> tuple[int, int] | None:
        """Height and width of its planes, None until it was opened the first time."""
        if not self.shape or len(self.shape) != len(self.axes):
            return None
        return self.shape[self.axes.index("Y")], self.shape[self.axes.index("X")]

    @property
    def cells(self) -> int:
        """Cells drawn on all planes."""
        return sum(int(plane.get("cells", 0)) for plane in self.planes.values())

    @property
    def state(self) -> str:
        """``new``, ``annotated``, ``training``, ``predicted`` or ``checked``."""
        planes = self.planes.values()
        worked_on = [plane for plane in planes if plane.get("cells") or plane.get("predicted") or plane.get("checked")]
        if worked_on and all(plane.get("checked") for plane in worked_on):
            return "checked"
        if any(plane.get("training") for plane in planes):
            return "training"
        if any(plane.get("predicted") for plane in planes):
            return "predicted"
        return "annotated" if self.cells else "new"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ProjectImage:
        """Reverse `to_dict`; what is unknown is left out."""
        known = {item.name: values[item.name] for item in dataclasses.fields(cls) if item.name in values}
        for name in ("shape", "channel_names", "notes", "pixel_size_um"):
            if known.get(name) is not None:
                known[name] = tuple(known[name])
        return cls(**known)


_FIELDS = tuple(item.name for item in dataclasses.fields(ProjectImage))


@dataclass
class Content:
    """What a project consists of; `lock` is held while it is changed or written down."""

    uid: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: str = field(default_factory=now)
    settings: dict[str, Any] = field(default_factory=dict)
    images: dict[str, ProjectImage] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _lines: dict[str, str] = field(default_factory=dict)

    def touch(self, image_id: str) -> None:
        """Note that an entry changed; the lines of all others are written as they were."""
        self._lines.pop(image_id, None)

    def sealed(self) -> bytes:
        """Return the bytes of the file: one line per image."""
        with self.lock:
            for image_id, image in self.images.items():
                if image_id not in self._lines:
                    self._lines[image_id] = dump(image.to_dict())
            head = dump({"uid": self.uid, "created": self.created, "settings": self.settings})
            lines = ",\n".join(self._lines[image_id] for image_id in self.images)
        return seal(KIND, SCHEMA, f'"project":{head},\n"images":[\n{lines}\n]}}\n')

    @classmethod
    def read(cls, folder: Path, damage: list[str], *, repair: bool) -> Content:
        """Read a project's file (see `read_sealed`)."""
        path = folder / FILE
        values = read_sealed(path, KIND, SCHEMA, MIGRATIONS, damage, repair=repair)
        try:
            head = values["project"]
            images = [ProjectImage.from_dict(one) for one in values["images"]]
            return cls(str(head["uid"]), str(head["created"]), dict(head["settings"]), {one.id: one for one in images})
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedError(f"{path} is not understood ({error}). Nothing was changed.") from error
