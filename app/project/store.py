"""The base of a project: folder, lock, content of ``project.json``, and writing to disk."""

from __future__ import annotations

import contextlib
import errno
import threading
import time
from typing import TYPE_CHECKING, Any

from cellseg1.files import describe_os_error

from ..annotation.steps import plain
from ..base.errors import ProjectError
from .content import FILE, Content
from .files.sealed import write_sealed
from .files.writer import BackgroundWriter

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from .files.lock import Lock

FOLDERS = ("images", "annotations", "models", "runs", "trash", "thumbnails")


#: Pause before the next automatic write of ``project.json``, as a multiple of the time of the last write.
_REST = 20


def identity_of(folder: Path) -> tuple[int, int] | None:
    """Return an identifier of a folder that another one of the same name does not have; None when it is missing."""
    try:
        state = folder.stat()
    except OSError:
        return None
    return state.st_dev, state.st_ino


def gone(folder: Path) -> FileNotFoundError:
    """Return the error about a project that has disappeared; nothing is written that would make it again."""
    return FileNotFoundError(errno.ENOENT, "its folder was moved or deleted", str(folder))


class ProjectStore:
    """An open project folder; the base of the project's parts.

    Attributes
    ----------
    folder
        Where it is.
    read_only, why_read_only
        Whether changes are forbidden, and the reason for the user.
    damage
        Sentences about damage, also of drawings opened later.
    storage_problem
        Why changes cannot be written at the moment; None otherwise.
    """

    def __init__(
        self, folder: Path, content: Content, lock: Lock | None, why_read_only: str, damage: list[str]
    ) -> None:
        self.folder = folder
        self.content = content
        self.why_read_only = why_read_only
        self.damage = damage
        self.storage_problem: str | None = None
        self._lock = lock
        self._closed = False
        self._problems: dict[str, str] = {}
        self._problem_lock = threading.Lock()
        self._problem_callbacks: list[Callable[[str], None]] = []
        self._save_lock = threading.Lock()
        self._written = b""
        self._save_wanted = False
        self._saved_at, self._save_seconds = 0.0, 0.0
        self._root = identity_of(folder)
        self._parts: list[Callable[[], bool]] = []
        #: The thread that writes to disk.
        self.writer = BackgroundWriter(self._write_due)

    # ---- places

    @property
    def read_only(self) -> bool:
        """Whether nothing may be changed."""
        return bool(self.why_read_only)

    @property
    def models_folder(self) -> Path:
        """Where the project's models are."""
        return self.folder / "models"

    @property
    def runs_folder(self) -> Path:
        """Where the project's runs are."""
        return self.folder / "runs"

    def is_there(self) -> bool:
        """Tell whether the project's folder is still the one that was opened."""
        return self._root is not None and identity_of(self.folder) == self._root

    # ---- settings

    @property
    def settings(self) -> dict[str, Any]:
        """Return settings of this project; to be changed by `set_setting`."""
        return self.content.settings

    def set_setting(self, key: str, value: Any) -> None:
        """Remember a JSON value with the project; None removes it."""
        with self.content.lock:
            if value is None:
                self.content.settings.pop(key, None)
            else:
                self.content.settings[key] = plain(value)
        self.changed()

    # ---- writing

    @property
    def closed(self) -> bool:
        """Whether the project was closed, so that nothing more is written."""
        return self._closed

    @property
    def written(self) -> bool:
        """Whether ``project.json`` is up to date."""
        return not self._save_wanted

    def writes(self, part: Callable[[], bool]) -> None:
        """Call `part` whenever the project is written to disk; it returns whether it could write everything.

        It may be called from the background thread.
        """
        self._parts.append(part)

    def require_writable(self) -> None:
        """Raise ProjectError when nothing may be changed."""
        if self.read_only:
            raise ProjectError(self.why_read_only)
        if self._closed:
            raise ProjectError("The project is closed.")
        if not self.is_there():
            raise ProjectError(self._sentence(gone(self.folder)))

    def changed(self, *, now: bool = False) -> None:
        """Write ``project.json`` soon, or now where a file on disk depends on it."""
        if self.read_only or self._closed:
            return
        self._save_wanted = True
        if now:
            self.save()
        if not now or self.storage_problem is not None:
            self.writer.wake()

    def save(self) -> bool:
        """Write ``project.json`` now; on failure return False and set `storage_problem`."""
        start = time.monotonic()
        with self._save_lock:
            self._save_wanted = False
            data = self.content.sealed()
            if data == self._written:
                return True
            try:
                if not self.is_there():
                    raise gone(self.folder)
                write_sealed(self.folder / FILE, data)
            except OSError as error:
                self._save_wanted = True
                self._written = b""  # one of the two copies may have been written
                self.report(FILE, error)
                return False
            self._written = data
        self._saved_at, self._save_seconds = time.monotonic(), time.monotonic() - start
        self.report(FILE, None)
        return True

    def _save_if_wanted(self) -> bool:
        """Write ``project.json`` when it has changes that are stored nowhere else."""
        if not self._save_wanted:
            return True
        if time.monotonic() - self._saved_at < _REST * self._save_seconds:
            # With thousands of images it has megabytes, so it is not written all the time.
            self.writer.wake()
            return True
        return self.save()

    def _write_due(self) -> bool:
        """Bring everything to disk; called by the background thread."""
        # Every one is tried, also when another fails.
        return all([*[write() for write in self._parts], self._save_if_wanted()])

    def flush(self) -> None:
        """Bring everything to disk now.

        Raises
        ------
        ProjectError
            When that is not possible; nothing is lost as long as the program runs.
        """
        if self.read_only or self._closed:
            return
        if not all((self._write_due(), self.save())):
            self._save_wanted = True
            self.writer.wake()
            raise ProjectError(self.storage_problem or "The project could not be written. Nothing was lost.")

    # ---- problems

    def on_storage_problem(self, callback: Callable[[str], None]) -> Callable[[], None]:
        """Call `callback` with a sentence when changes cannot be written, and with "" when they can again.

        It may be called from another thread.  Returns a function that ends it.
        """
        self._problem_callbacks.append(callback)

        def stop() -> None:
            if callback in self._problem_callbacks:
                self._problem_callbacks.remove(callback)

        return stop

    def report(self, what: str, error: OSError | None) -> None:
        """Report that writing fails, or with None that it works again; from any thread."""
        with self._problem_lock:
            before = self.storage_problem
            if error is None:
                self._problems.pop(what, None)
            else:
                self._problems[what] = self._sentence(error)
            self.storage_problem = next(iter(self._problems.values()), None)
            changed = before != self.storage_problem
        if changed:
            for callback in tuple(self._problem_callbacks):
                callback(self.storage_problem or "")

    def _sentence(self, error: OSError) -> str:
        cause: BaseException = error.__cause__ if isinstance(error.__cause__, OSError) else error
        why = describe_os_error(cause) if isinstance(cause, OSError) else str(cause)
        what_to_do = "Free some space, or save the project elsewhere."
        if isinstance(cause, FileNotFoundError):
            why = "its folder was moved or deleted"
            what_to_do = "Move it back, open it at its new place, or save the project elsewhere."
        return (
            f"The project cannot be saved in {self.folder}: {why}. Your edits are kept in memory and can be undone; "
            f"nothing is lost while this window stays open. {what_to_do}"
        )

    # ---- the end

    def _release(self) -> None:
        """End the thread and give the lock back."""
        self.writer.close()
        self._closed = True
        if self._lock is not None:
            with contextlib.suppress(OSError):
                self._lock.release()
            self._lock = None
