"""Sliders for the planes of a stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QVBoxLayout, QWidget

from ...theme import GAP
from ...widgets.slider_field import SliderField

if TYPE_CHECKING:
    from ...session.session import Session

#: Planes are loaded at most this often while a slider moves.
_PLANE_MS = 60


class PlaneSliders(QWidget):
    """Sliders for focal planes and time points, where the image has several."""

    def __init__(self, session: Session, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._session = session
        self.z = SliderField(self.tr("Focal plane"), 1, 2, tip=self.tr("Focal plane (Ctrl+wheel)"))
        self.t = SliderField(self.tr("Time point"), 1, 2, tip=self.tr("Time point (Ctrl+wheel, without focal planes)"))
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(GAP)
        layout.addWidget(self.z)
        layout.addWidget(self.t)
        self._go = QTimer(self, interval=_PLANE_MS, singleShot=True)
        self._go.timeout.connect(self._show_plane)
        self.z.value_changed.connect(lambda _value: self._wish())
        self.t.value_changed.connect(lambda _value: self._wish())
        session.image_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the current plane."""
        image = self._session.image
        sizes = (1, 1) if image is None else (image.n_z, image.n_t)
        for field, size, at in ((self.z, sizes[0], self._session.z), (self.t, sizes[1], self._session.t)):
            field.setVisible(size > 1)
            if size > 1:
                field.set_range(1, size)
                field.spin.setSuffix(f" / {size}")
                # The plane of an earlier request must not replace a pending one.
                if not self._go.isActive():
                    field.set_value(at + 1)
        self.setVisible(max(sizes) > 1)

    def _wish(self) -> None:
        if not self._go.isActive():
            self._go.start()

    def _show_plane(self) -> None:
        image = self._session.image
        if image is None:
            return
        z = round(self.z.value) - 1 if image.n_z > 1 else 0
        t = round(self.t.value) - 1 if image.n_t > 1 else 0
        if (z, t) != (self._session.z, self._session.t):
            self._session.set_plane(z=z, t=t)
