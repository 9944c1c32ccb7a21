"""The real window, with an observer that writes what can be seen in it ten times a second; it never acts.

``python observed.py STATE.json [argument ...]`` runs ``app.__main__.main(arguments)``.
"""

from __future__ import annotations

import faulthandler
import gc
import json
import os
import sys
import tempfile
import threading
import time
import traceback
import zlib
from pathlib import Path

# The engines import this file again (multiprocessing spawn): nothing of Qt may be imported at the top.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

_EVERY_MS = 100
#: Look at no widget: whoever holds one, or its children, changes when it ends.
_BLIND = os.environ.get("CELLSEG1_E2E_BLIND") == "1"


def _rect(widget, inside=None):
    """Return [left, top, width, height] on the screen of what can be seen of a widget (or a part of it)."""
    region = widget.visibleRegion().boundingRect()
    if inside is not None:
        region = region.intersected(inside)
    if region.isEmpty():
        return None
    corner = widget.mapToGlobal(region.topLeft())
    return [corner.x(), corner.y(), region.width(), region.height()]


def _kind(widget):
    """Name Qt's own class of a widget, whatever the program made of it."""
    return next(one.__name__ for one in type(widget).__mro__ if one.__module__.startswith("PySide6"))


class Wrong:
    """What went wrong that nobody may see: messages of Qt, exceptions that nobody caught."""

    def __init__(self):
        from PySide6.QtCore import qInstallMessageHandler

        self.found = []
        qInstallMessageHandler(self._message)
        sys.unraisablehook = self._unraisable
        self._hooks = (sys.excepthook, threading.excepthook)

    def watch_hooks(self):
        """Hear of what reaches the hooks; again after the program has set its own."""
        if sys.excepthook is not self._hear:
            self._hooks = (sys.excepthook, self._hooks[1])
            sys.excepthook = self._hear
        if threading.excepthook is not self._hear_thread:
            self._hooks = (self._hooks[0], threading.excepthook)
            threading.excepthook = self._hear_thread

    def _hear(self, kind, error, trace):
        self.found.append("".join(traceback.format_exception(kind, error, trace)))
        self._hooks[0](kind, error, trace)

    def _hear_thread(self, raised):
        self.found.append("".join(traceback.format_exception(raised.exc_value)))
        self._hooks[1](raised)

    def _unraisable(self, raised):
        self.found.append(f"{raised.err_msg} {raised.object!r}: {raised.exc_value!r}")
        sys.__unraisablehook__(raised)

    def _message(self, kind, _context, text):
        sys.stderr.write(f"{text}\n")
        if kind.name not in ("QtDebugMsg", "QtInfoMsg"):
            self.found.append(f"{kind.name}: {text}")


class Watcher(threading.Thread):
    """Looks whether the window's thread comes round; where it stays for too long, its stack is kept.

    A busy computer may leave the window without its turn: only time that the thread worked itself counts, or time in
    which this one had its turns and the window's thread still did not come round (it waited for something).
    """

    LONG = 0.2
    _TURN = 0.02

    def __init__(self):
        super().__init__(name="watcher", daemon=True)
        self.main = threading.main_thread().ident
        self.clock = time.pthread_getcpuclockid(self.main) if hasattr(time, "pthread_getcpuclockid") else None
        self.beat = (time.monotonic(), 0.0)
        self.file = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the program
        self.stalls = []

    def _worked(self):
        return 0.0 if self.clock is None else time.clock_gettime(self.clock)

    def _stack(self):
        """Return where the window's thread is; to hold a frame would keep alive what is in it, such as painters."""
        self.file.seek(0)
        self.file.truncate()
        faulthandler.dump_traceback(self.file, all_threads=True)
        self.file.seek(0)
        parts = self.file.read().decode(errors="replace").split("\n\n")
        mine = [part for part in parts if f"0x{self.main:016x}" in part]
        return "\n".join(mine[0].splitlines()[:14]) if mine else ""

    def come_round(self):
        """Called by the window's thread again and again."""
        self.beat = (time.monotonic(), self._worked())

    def run(self):
        last, late, stack, begun = time.monotonic(), 0.0, "", None
        while True:
            time.sleep(self._TURN)
            now = time.monotonic()
            late, last = late + max(0.0, now - last - 2 * self._TURN), now
            beat = self.beat
            if begun is not None and beat is not begun:
                gap, worked = beat[0] - begun[0], beat[1] - begun[1]
                counted = max(worked, gap - late)
                if counted > self.LONG:
                    self.stalls.append({"seconds": round(counted, 2), "gap": round(gap, 2), "stack": stack})
                begun = None
            if begun is None:
                begun, late, stack = beat, 0.0, ""
            if now - beat[0] > self.LONG and not stack:
                stack = self._stack()


class Observer:
    def __init__(self, out):
        from PySide6.QtCore import QTimer

        self.out = out
        self.window = None
        self.number = 0
        self.planes = {}
        self.settled = {}
        self.timer = QTimer(interval=_EVERY_MS)
        self.timer.timeout.connect(self.write)
        self.timer.start()
        self.wrong = Wrong()
        self.watcher = Watcher()
        self.watcher.start()
        self.beats = QTimer(interval=20)
        self.beats.timeout.connect(self.watcher.come_round)
        self.beats.start()

    def write(self):
        # What is made here must not change when and in which thread the program's garbage is collected.
        collecting = gc.isenabled()
        gc.disable()
        try:
            self._write()
        finally:
            if collecting:
                gc.enable()

    def _write(self):
        import shiboken6
        from PySide6.QtWidgets import QApplication

        self.number += 1
        if self.window is None or not _BLIND:
            tops = [one for one in QApplication.topLevelWidgets() if shiboken6.isValid(one)]
            self.window = next((one for one in tops if type(one).__name__ == "MainWindow"), None)
        window = self.window
        if window is None:
            # Nobody waits for a window that is not there yet.
            self.watcher.stalls.clear()
        state = {"number": self.number, "time": time.time(), "pid": os.getpid()}
        state |= {"things": [], "dialogs": [], "popup": None}
        self.wrong.watch_hooks()
        state |= {"wrong": self.wrong.found, "stalls": self.watcher.stalls}
        if _BLIND:
            if window is not None and window.is_complete:
                state |= self._facts(window)
            self._put(state)
            return
        state["things"] = [thing for top in tops if top.isVisible() for thing in self._things(top)]
        state["dialogs"] = [self._dialog(top) for top in tops if top.isVisible() and top.inherits("QDialog")]
        # Closed, and still there: they are freed with the next turn of the event loop.
        state["hidden"] = sorted(type(top).__name__ for top in tops if not top.isVisible() and top.inherits("QDialog"))
        popup = QApplication.activePopupWidget()
        state["popup"] = None if popup is None else popup.metaObject().className()
        if window is not None and window.is_complete:
            state |= self._facts(window)
        self._put(state)

    def _put(self, state):
        # Beside and then over: whoever reads never meets half a file.
        beside = self.out.with_suffix(".new")
        beside.write_text(json.dumps(state), encoding="utf-8")
        beside.replace(self.out)

    # ---- what is seen

    def _dialog(self, dialog):
        from PySide6.QtWidgets import QLabel

        texts = [label.text() for label in dialog.findChildren(QLabel) if label.isVisible()]
        return {"kind": type(dialog).__name__, "title": dialog.windowTitle(), "texts": texts}

    def _things(self, top):
        from PySide6.QtWidgets import QAbstractButton, QComboBox, QLabel, QLineEdit, QListView, QMenu, QTabBar, QWidget

        if isinstance(top, QMenu):
            yield from self._actions(top)
            return
        focused = top.focusWidget() if top.isActiveWindow() else None
        for widget in top.findChildren(QWidget):
            if not widget.isVisible():
                continue
            if isinstance(widget, QListView) and type(widget).__name__ == "_View":
                yield from self._rows(widget)
            elif isinstance(widget, QTabBar):
                for index in range(widget.count()):
                    rect = _rect(widget, widget.tabRect(index))
                    checked = index == widget.currentIndex()
                    yield {"kind": "tab", "name": widget.tabText(index), "checked": checked, "rect": rect}
            elif isinstance(widget, QLabel):
                if widget.text():
                    yield {"kind": "text", "name": widget.text(), "rect": _rect(widget)}
            elif isinstance(widget, (QAbstractButton, QComboBox, QLineEdit)):
                thing = {
                    "kind": _kind(widget),
                    "own": type(widget).__name__,
                    "name": widget.accessibleName() or getattr(widget, "text", str)(),
                    "object": widget.objectName(),
                    "enabled": widget.isEnabled(),
                    "focus": widget is focused,
                    "rect": _rect(widget),
                }
                if isinstance(widget, QAbstractButton):
                    thing |= {"text": widget.text(), "checked": widget.isChecked()}
                elif isinstance(widget, QLineEdit):
                    thing["text"] = widget.text()
                else:
                    thing["text"] = widget.currentText()
                    thing["options"] = [widget.itemText(index) for index in range(widget.count())]
                yield thing

    def _rows(self, view):
        model = view.model()
        for row, image_id in enumerate(model.shown):
            index = model.index(row, 0)
            yield {
                "kind": "row",
                "name": next(one.name for one in model.rows if one.id == image_id),
                "object": image_id,
                "checked": view.selectionModel().isSelected(index),
                "rect": _rect(view.viewport(), view.visualRect(index)),
            }

    def _actions(self, menu):
        for action in menu.actions():
            if action.text():
                rect = _rect(menu, menu.actionGeometry(action))
                yield {"kind": "action", "name": action.text(), "enabled": action.isEnabled(), "rect": rect}

    # ---- what the window knows

    def _facts(self, window):
        session, canvas = window.session, window.canvas
        project, document = session.project, session.document
        state = {
            "window": window.isVisible(),
            "active": window.isActiveWindow(),
            "page": "start" if project is None else window.step(),
            "canvas": self._canvas(canvas),
            "panel": _rect(window.area.panels),
            "clicks": window.clicks.state,
            "jobs": [self._job(job.handle) for job in session.jobs.running],
            "model": None if session.model is None else session.model.name,
            "offered": len(session.proposals.offered),
            "choosing": session.proposals.busy,
            "run": session.proposals.run_id,
            "project": None,
        }
        if project is None:
            return state
        if document is not None:
            checksum = zlib.crc32(document.labels.tobytes())
            self.planes[session.image_id] = {
                "cells": len(document.cells),
                "undo": document.undo_count,
                "redo": document.redo_count,
                "checksum": checksum,
                "training": bool(document.attributes.get("training")),
            }
            if not canvas.tool.busy:
                # Without the stroke that is being drawn, which is in the labels already.
                self.settled[session.image_id] = self.planes[session.image_id]
        images = project.images
        return state | {
            "project": str(project.folder),
            "read_only": project.read_only,
            "images": {image.name: image.id for image in images},
            "counts": {image.id: project.images.get(image.id).cells for image in images},
            "runs": [{"id": run.id, "kind": run.kind, "state": run.state} for run in project.runs],
            "image": session.image_id,
            "name": None if session.image_id is None else project.images.get(session.image_id).name,
            "document": None if document is None else self.planes[session.image_id],
            "planes": self.planes,
            "settled": self.settled,
            "accuracy": len(window.area.measure.accuracy.results),
        }

    def _canvas(self, canvas):
        from PySide6.QtCore import QPoint

        corner = canvas.to_widget(0, 0)
        origin = canvas.mapToGlobal(QPoint(0, 0))
        click = canvas.tools["click"]
        return {
            "origin": [origin.x() + corner.x(), origin.y() + corner.y()],
            "zoom": canvas.zoom / canvas.devicePixelRatioF(),
            "shape": list(canvas.shape),
            "rect": _rect(canvas) if canvas.isVisible() else None,
            "tool": canvas.tool.name,
            "busy": canvas.tool.busy,
            "preview": click.preview is not None,
            "brush": canvas.brush_size,
            "selection": sorted(canvas.selection),
            "proposals": canvas.proposals is not None,
            "overlay": canvas.overlay.mode,
            "focus": canvas.hasFocus(),
        }

    def _job(self, job):
        detail = job.last_progress.detail if job.last_progress is not None else {}
        steps = {"step": detail.get("step", 0), "steps": detail.get("steps", 0)}
        return {"kind": job.kind, "state": job.state, "pid": job.pid, **steps}


def main():
    from PySide6.QtWidgets import QApplication

    application = QApplication([sys.argv[0]])
    observer = Observer(Path(sys.argv[1]))
    from app.__main__ import main as start

    code = start(sys.argv[2:])
    observer.timer.stop()
    observer.beats.stop()
    del observer, application
    return code


if __name__ == "__main__":
    sys.exit(main())
