"""What ``project.json`` holds: the project's name and settings, and one entry per image."""

from __future__ import annotations

import contextlib
import dataclasses
import re
import threading
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ..base.errors import ProjectError
from ..base.foreign import boundary
from ..base.names import is_image_id
from .files.sealed import DamagedError, both_are, dump, keep_copy, read_sealed, seal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "project.json"
#: The folder of copied images in a project.
IMAGES = "images"
#: Names of copies in progress, one per line, until the project is written with them.
ADDING = ".adding"
KIND = "cellseg1 studio project"
SCHEMA = 1
#: Older schema -> function that brings a file's content to the next one.
MIGRATIONS: dict[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}


def usable_time(value: object) -> str:
    """Return a stored time; empty when it is invalid."""
    with contextlib.suppress(ValueError, TypeError):
        return value if isinstance(value, str) and datetime.fromisoformat(value) else ""
    return ""


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
    def stored_name(self) -> str:
        """The name of a copy in the folder ``images``.

        Raises
        ------
        ProjectError
            When its entry points out of the project, which this program never writes.
        """
        folder, _, name = self.file.partition("/")
        if folder != IMAGES or not name or name in (".", "..") or "/" in name:
            raise ProjectError(f"The path of the image {self.name} points out of the project, so it is not used.")
        return name

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
        return {name: getattr(self, name) for name in _FIELDS}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ProjectImage:
        """Reverse `to_dict`; unknown keys are ignored.

        Raises
        ------
        ValueError
            When it is no entry of an image, or its path is not allowed.
        """
        if not is_image_id(values["id"]):
            raise ValueError(f"{str(values['id'])[:60]!r} is no id of an image")
        if not isinstance(values["linked"], bool):
            raise ValueError("it does not say whether it is linked")  # noqa: TRY004 - a value of a file
        name, file = values["name"], values["file"]
        if not (isinstance(name, str) and name and isinstance(file, str) and file and "\0" not in file + name):
            raise ValueError("it has no name or no file")
        known = {item: values[item] for item in _FIELDS if item in values and _usable(item, values[item])}
        for item in ("shape", "channel_names", "notes", "pixel_size_um"):
            if known.get(item) is not None:
                known[item] = tuple(known[item])
        if "planes" in known:
            known["planes"] = _usable_planes(known["planes"])
        image = cls(**known)
        if not values["linked"]:
            image.stored_name  # noqa: B018 - raises when it points out of the project
        if image.shape and (len(image.shape) != len(image.axes) or not {"Y", "X"} <= set(image.axes)):
            # It is described again when it is opened.
            image.shape, image.axes, image.axes_by_hand = (), "", False
        return image


_WORD = re.compile(r"[A-Za-z]{2,8}")
_PLANE = re.compile(r"(0|[1-9][0-9]{0,5}),(0|[1-9][0-9]{0,5})")
_HEX = re.compile(r"[0-9a-f]{64}")
#: Largest side of a picture and largest count.
_MOST = 1 << 31


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _MOST


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _are_texts(value: object) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)


def _is_shape(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) <= 8 and all(_is_count(side) and side > 0 for side in value)


def _is_pixel_size(value: object) -> bool:
    if value is None:
        return True
    if not isinstance(value, list | tuple) or len(value) != 2:
        return False
    return all(isinstance(side, int | float) and not isinstance(side, bool) and 0 < side < 1e12 for side in value)


def _is_fingerprint(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    numbers = [value.get(key, 0) for key in ("size", "mtime_ns")]
    whole = all(isinstance(one, int) and abs(one) < 1 << 63 for one in numbers)
    return whole and all(key not in value or _HEX.fullmatch(str(value[key])) for key in ("ends", "sha256"))


#: For every field of an entry: whether a stored value is valid; invalid ones get the default.
_CHECKS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("linked", "axes_guessed", "axes_by_hand", "pixel_size_by_hand"), _is_flag),
    **dict.fromkeys(("n_z", "n_t", "n_channels"), _is_count),
    **dict.fromkeys(("id", "name", "file", "dtype"), _is_text),
    **dict.fromkeys(("channel_names", "notes"), _are_texts),
    **dict.fromkeys(("display", "planes"), lambda value: isinstance(value, dict)),
    "nearby": lambda value: isinstance(value, str) and "\0" not in value,
    "axes": lambda value: isinstance(value, str) and (not value or _WORD.fullmatch(value) is not None),
    "shape": _is_shape,
    "pixel_size_um": _is_pixel_size,
    "fingerprint": _is_fingerprint,
}


def _usable(name: str, value: Any) -> bool:
    return _CHECKS[name](value)


def _usable_planes(planes: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the facts about planes, without invalid values."""
    kinds = {"cells": _is_count, "revision": _is_count, "bytes": _is_size}
    found = {}
    for place, values in planes.items():
        if _PLANE.fullmatch(place) and isinstance(values, dict):
            found[place] = {key: one for key, one in values.items() if kinds.get(key, _is_flag)(one)}
    return found


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


_FIELDS = tuple(item.name for item in dataclasses.fields(ProjectImage))
_UID = re.compile(r"[0-9a-f]{32}")


def _usable_settings(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the stored settings of a project, without invalid values."""
    shown = settings.get("shown", {})
    bad = {"train"} if not isinstance(settings.get("train", {}), dict | None) else set()
    if not isinstance(shown, dict) or not all(_is_count(shown.get(key, 0)) for key in ("z", "t")):
        bad.add("shown")
    return {key: value for key, value in settings.items() if key not in bad}


@dataclass
class Content:
    """What a project consists of; `lock` is held while it is changed or written down."""

    uid: str = field(default_factory=lambda: uuid.uuid4().hex)
    created: str = field(default_factory=now)
    settings: dict[str, Any] = field(default_factory=dict)
    images: dict[str, ProjectImage] = field(default_factory=dict)
    lock: threading.RLock = field(default_factory=threading.RLock)
    _lines: dict[str, str] = field(default_factory=dict)
    #: Whether both copies of the file hold exactly this content, in the current format.
    as_stored: bool = False

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
        with boundary(lambda why: DamagedError(f"{path} is not understood ({why}). Nothing was changed."), path):
            head, entries = values["project"], list(values["images"])
            uid = str(head["uid"])
            content = cls(
                # The id names a folder of the cache.
                uid if _UID.fullmatch(uid) else uuid.uuid4().hex,
                usable_time(head["created"]),
                _usable_settings(dict(head["settings"])),
            )
        left_out = content._take(entries)
        content.as_stored = not left_out and both_are(path, SCHEMA)
        if left_out:
            kept = keep_copy(path) if repair else ""
            damage.append(
                f"{len(left_out)} of {len(entries)} images of the project were left out, because what is stored of "
                f"them cannot be used ({left_out[0]}).{kept}"
            )
        return content

    def _take(self, entries: list[Any]) -> list[str]:
        """Take over the stored images; return the reasons for those left out."""
        left_out = []
        files: set[str] = set()
        for one in entries:
            try:
                with boundary(ValueError):
                    image = ProjectImage.from_dict(one)
            except (ValueError, ProjectError) as error:
                left_out.append(str(error))
                continue
            if image.id in self.images or (not image.linked and image.file in files):
                left_out.append(f"{image.name} is there twice")
                continue
            self.images[image.id] = image
            if not image.linked:
                files.add(image.file)
        return left_out
