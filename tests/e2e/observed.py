"""The real window, with an observer that writes what can be seen in it ten times a second; it never acts.

``python observed.py STATE.json [argument ...]`` runs ``app.__main__.main(arguments)``.
"""

from __future__ import annotations

import json
import os
import sys
import time
import zlib
from pathlib import Path

# The engines import this file again (multiprocessing spawn): nothing of Qt may be imported at the top.
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

_EVERY_MS = 100


def _rect(widget, inside=None):
    """Return [left, top, width, height] on the screen of what can be seen of a widget (or a part of it)."""
    region = widget.visibleRegion().boundingRect()
    if inside is not None:
        region = region.intersected(inside)
    if region.isEmpty():
        return None
    corner = widget.mapToGlobal(region.topLeft())
    return [corner.x(), corner.y(), region.width(), region.height()]


class Observer:
    def __init__(self, out):
        from PySide6.QtCore import QTimer

        self.out = out
        self.number = 0
        self.planes = {}
        self.settled = {}
        self.timer = QTimer(interval=_EVERY_MS)
        self.timer.timeout.connect(self.write)
        self.timer.start()

    def write(self):
        import shiboken6
        from PySide6.QtWidgets import QApplication

        self.number += 1
        tops = [one for one in QApplication.topLevelWidgets() if shiboken6.isValid(one)]
        window = next((one for one in tops if type(one).__name__ == "MainWindow"), None)
        state = {"number": self.number, "time": time.time(), "pid": os.getpid()}
        state["things"] = [thing for top in tops if top.isVisible() for thing in self._things(top)]
        state["dialogs"] = [self._dialog(top) for top in tops if top.isVisible() and top.inherits("QDialog")]
        popup = QApplication.activePopupWidget()
        state["popup"] = None if popup is None else popup.metaObject().className()
        if window is not None and window.is_complete:
            state |= self._facts(window)
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
                    "kind": type(widget).__name__,
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
            "panel": _rect(window.panels),
            "clicks": window.clicks.state,
            "jobs": [self._job(job) for job in session.jobs.running],
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
            "counts": {image.id: project.cell_count(image.id) for image in images},
            "runs": [{"id": run.id, "kind": run.kind, "state": run.state} for run in project.runs],
            "image": session.image_id,
            "name": None if session.image_id is None else project.image(session.image_id).name,
            "document": None if document is None else self.planes[session.image_id],
            "planes": self.planes,
            "settled": self.settled,
            "accuracy": len(window.measure.accuracy.results),
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
    del observer, application
    return code


if __name__ == "__main__":
    sys.exit(main())
