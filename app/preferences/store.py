"""What the user prefers, kept in one small file of the platform's configuration folder."""

from __future__ import annotations

import base64
import binascii
import json
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from PySide6.QtCore import QCoreApplication, QObject, QTimer, Signal

from cellseg1.errors import OutputError, SettingsError
from cellseg1.files import atomic_write
from cellseg1.regular import read_regular

from ..base.foreign import boundary, parse_json
from .fields import TABLE, Preferences

SCHEMA: Final = 1
HOME_VARIABLE: Final = "CELLSEG1_STUDIO_HOME"
FILE_NAME: Final = "preferences.json"
#: A brush that is resized with the wheel changes many times a second; the file is written when it comes to rest.
_REST_MS: Final = 400
_LONGEST: Final = 4 << 20
_NO_SCHEMA: Final = 1_000_000

_log = logging.getLogger(__name__)


def config_folder() -> Path:
    """Return the folder of the program's own files (``CELLSEG1_STUDIO_HOME`` moves it)."""
    if home := os.environ.get(HOME_VARIABLE):
        return Path(home) / "config"
    import platformdirs

    return Path(platformdirs.user_config_dir("CellSeg1 Studio", appauthor=False))


class PreferencesStore(QObject):
    """The preferences of this user: read once, written whenever they change.

    A file that is damaged, or written by a newer version, is never overwritten: before the first write it is
    renamed, and `notes` says so.
    """

    #: The name of a preference that has another value now.
    changed = Signal(str)
    #: A sentence: the file could not be written.  The values hold for this session and are tried again.
    problem = Signal(str)

    def __init__(self, path: Path | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.path = path or config_folder() / FILE_NAME
        #: Sentences about what could not be read, to be shown once.
        self.notes: list[str] = []
        self._values = Preferences()
        self._foreign: dict[str, Any] = {}
        self._aside = ""
        self._dirty = False
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_REST_MS)
        self._timer.timeout.connect(self.flush)
        self._read()
        if (app := QCoreApplication.instance()) is not None:
            app.aboutToQuit.connect(self.flush)

    @property
    def values(self) -> Preferences:
        """The preferences as they are now."""
        return self._values

    def set(self, name: str, value: Any) -> None:
        """Change one preference (see `update`)."""
        self.update(**{name: value})

    def update(self, **changes: Any) -> None:
        """Change preferences; `changed` is emitted for each one that differs, after all are set.

        Raises
        ------
        SettingsError
            When there is no such preference or the value does not fit; nothing is changed then.
        """
        for name, value in changes.items():
            if name not in TABLE:
                raise SettingsError(f"There is no preference {name!r}.")
            if not TABLE[name].good(value):
                raise SettingsError(f"The preference {name} cannot be {value!r}: it must be {TABLE[name].wanted}.")
        differing = {name: value for name, value in changes.items() if getattr(self._values, name) != value}
        if not differing:
            return
        self._values = replace(self._values, **differing)
        self._dirty = True
        self._timer.start()
        for name in differing:
            self.changed.emit(name)

    def reset(self, *names: str) -> None:
        """Give these preferences their default values; all but the layouts when none is named."""
        plain = Preferences()
        chosen = names or tuple(name for name in TABLE if name != "layouts")
        self.update(**{name: getattr(plain, name) for name in chosen})

    def set_layout(self, name: str, state: bytes) -> None:
        """Remember a geometry or splitter position, as Qt's ``saveGeometry`` and ``saveState`` give it."""
        text = base64.b64encode(state).decode("ascii")
        self.update(layouts={**self._values.layouts, name: text})

    def layout(self, name: str) -> bytes:
        """Return what `set_layout` remembered, empty when there is nothing or it is damaged."""
        try:
            return base64.b64decode(self._values.layouts.get(name, ""), validate=True)
        except (binascii.Error, ValueError):
            return b""

    def flush(self) -> bool:
        """Write the file now if anything changed; False when it could not be written."""
        self._timer.stop()
        if not self._dirty:
            return True
        content = {**self._foreign, **{name: getattr(self._values, name) for name in TABLE}}
        content["layouts"] = dict(self._values.layouts)
        text = json.dumps({"schema": SCHEMA, "values": content}, indent=2, ensure_ascii=False)
        try:
            if self._aside and self.path.exists():
                self.path.rename(_free(self.path, self._aside))
            with atomic_write(self.path) as stream:
                stream.write(text.encode("utf-8", "surrogatepass"))
        except (OutputError, OSError) as error:
            _log.warning("preferences not saved: %s", error)
            self.problem.emit(
                self.tr("Your preferences cannot be saved now. They hold until the program is closed. ({0})").format(
                    error
                )
            )
            return False
        self._aside = ""
        self._dirty = False
        return True

    def _read(self) -> None:
        try:
            data = read_regular(self.path, _LONGEST)
            with boundary(SettingsError, self.path):
                content = parse_json(data, _LONGEST)
                schema, values = min(int(content["schema"]), _NO_SCHEMA), dict(content["values"])
        except FileNotFoundError:
            return
        except (OSError, SettingsError) as error:
            _log.warning("preferences not read: %s", error)
            self._aside = "damaged"
            self.notes.append(
                self.tr("Your preferences could not be read; the usual ones are used and the old file is kept.")
            )
            return
        if schema > SCHEMA:
            self._aside = f"version-{schema}"
            self.notes.append(self.tr("Your preferences were saved by a newer version; what is known of them is used."))
        good = {name: value for name, value in values.items() if name in TABLE and TABLE[name].good(value)}
        # What an equally old but extended version wrote is handed on, so that both can be used side by side.
        self._foreign = {name: value for name, value in values.items() if name not in TABLE}
        bad = sorted(name for name in values if name in TABLE and name not in good)
        if bad:
            self.notes.append(
                self.tr("Some preferences could not be used and have their usual values: {0}.").format(", ".join(bad))
            )
        self._values = replace(self._values, **good)


def _free(path: Path, suffix: str) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.{suffix}-{number}")).exists():
        number += 1
    return aside
