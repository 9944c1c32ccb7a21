"""Click-to-segment: the canvas asks, the interactive engine answers, the canvas shows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Signal

from cellseg1.settings import DEFAULT_BACKBONE

from ..canvas.tools import ClickTool

if TYPE_CHECKING:
    from ..canvas.canvas import Canvas
    from ..canvas.viewport import Box
    from ..engine.jobs import ClickMask
    from .session import Session

#: Fewer drawn cells say nothing about the usual size.
_FEW = 3
#: Median diameter, in pixels of the network's input, that the bundled backbone knows best (decision 0013).
_KNOWN_DIAMETER = 28.0


class Clicks(QObject):
    """Prepares the shown plane for clicks while the click tool is chosen, and passes prompts on.

    `state_changed` carries ``idle``, ``preparing``, ``ready`` or ``failed``.
    """

    state_changed = Signal(str)

    def __init__(self, session: Session, canvas: Canvas) -> None:
        super().__init__(canvas)
        self._session = session
        self._canvas = canvas
        self._engine = session.engines.interactive
        self.state = "idle"
        self._key = ""
        self._asked: int | None = None
        canvas.assistant = self
        canvas.tool_changed.connect(self._prepare)
        session.image_changed.connect(self._prepare)
        session.model_changed.connect(self._prepare)
        self._engine.encoded.connect(self._encoded)
        self._engine.masks.connect(self._answered)
        self._engine.failed.connect(self._failed)

    def _set_state(self, state: str) -> None:
        if state != self.state:
            self.state = state
            self.state_changed.emit(state)

    def _current_key(self) -> str:
        session = self._session
        if session.project is None or session.image_id is None or session.plane is None:
            return ""
        model = "" if session.model is None else f"{session.model}:{session.model.stat().st_mtime_ns}"
        axes = session.image.info.axes if session.image is not None else ""
        where = f"{session.project.folder}|{session.image_id}|{session.z}|{session.t}|{axes}"
        return f"{where}|{model or session.backbone}|{self._scale()}"

    def _scale(self) -> float | None:
        """Scale at which the plain backbone sees the cells drawn so far at the size it knows; a model has its own.

        In steps of a quarter of an octave, so that not every cell that is drawn asks for another preparation.
        """
        document = self._session.document
        plain = self._session.model is None and self._session.backbone == DEFAULT_BACKBONE
        if not plain or document is None or len(document.cells) < _FEW:
            return None
        diameter = document.cells.median_diameter()
        if not diameter:
            return None
        return float(2 ** (round(4 * math.log2(_KNOWN_DIAMETER / diameter)) / 4))

    def _prepare(self) -> None:
        """Have the shown plane encoded, if clicks are wanted."""
        if not isinstance(self._canvas.tool, ClickTool):
            return
        key = self._current_key()
        if not key:
            self._key = ""
            self._set_state("idle")
            return
        if key == self._key and self._engine.is_known(key) and self.state in ("preparing", "ready"):
            return
        session = self._session
        assert session.image is not None
        assert session.plane is not None
        self._key = key
        self._asked = None
        self._set_state("preparing")
        center = self._canvas.view_state.center
        self._engine.encode(
            key,
            session.plane,
            session.model,
            backbone=session.backbone,
            raw=True,
            colour=session.image.is_colour,
            channel_names=tuple(session.image.info.channel_names),
            device=session.preferences.values.device,
            scale=self._scale(),
            at=(float(center[0]), float(center[1])),
        )

    def request(self, points: tuple[tuple[float, float, int], ...], box: Box | None) -> None:
        """Ask for the cell with these points and box; called by the click tool."""
        if not self._key or not self._engine.is_known(self._key):
            self._key = ""
            self._prepare()
        if not self._key:
            return
        around = None if box is None else (float(box[1]), float(box[0]), float(box[3]), float(box[2]))
        self._asked = self._engine.click(self._key, points, around)

    def _encoded(self, key: str, _seconds: float) -> None:
        if key == self._key:
            self._set_state("ready")

    def _answered(self, number: int, answer: ClickMask) -> None:
        tool = self._canvas.tools["click"]
        if number == self._asked and isinstance(tool, ClickTool):
            tool.offer(answer.mask, answer.box, answer.score)

    def _failed(self, sentence: str, details: str) -> None:
        self._key = ""
        self._set_state("failed")
        self._session.problem.emit(sentence, details)
