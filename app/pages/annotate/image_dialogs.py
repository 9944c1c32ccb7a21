"""Questions about an image: what its axes are, and how large a pixel is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDialogButtonBox,
    QFormLayout,
    QRadioButton,
    QWidget,
)

from ...widgets.dialog import Dialog, sentence
from ...widgets.number_field import NumberField
from ...widgets.plain import Label, plain_tip

if TYPE_CHECKING:
    from cellseg1.images import Image

    from ...project.project import ProjectImage

_translate = QCoreApplication.translate

Role = QDialogButtonBox.ButtonRole
_LETTERS = "TZCYXS"
#: More than red, green, blue and opacity are not the samples of a colour.
_MOST_SAMPLES = 4
_LARGEST_PIXEL = 10_000.0


def axis_title(letter: str) -> str:
    """Return what an axis is called."""
    titles = {
        "T": _translate("Axes", "Time points"),
        "Z": _translate("Axes", "Focal planes"),
        "C": _translate("Axes", "Channels"),
        "Y": _translate("Axes", "Rows"),
        "X": _translate("Axes", "Columns"),
        "S": _translate("Axes", "Red, green, blue"),
    }
    return titles.get(letter, letter)


def describe_axes(axes: str, shape: tuple[int, ...]) -> str:
    """Say what an array consists of: "12 focal planes, 512 rows, 640 columns"."""
    return ", ".join(
        f"{length} {axis_title(letter).lower()}" if letter != "S" else axis_title(letter).lower()
        for letter, length in zip(axes, shape, strict=False)
    )


def fault_in_axes(axes: str, shape: tuple[int, ...]) -> str:
    """Return what is wrong with naming the axes so; empty when nothing is."""
    if len(set(axes)) != len(axes):
        return _translate("Axes", "Every meaning can be given once only.")
    if "Y" not in axes or "X" not in axes:
        return _translate("Axes", "Rows and columns are needed: they make the picture.")
    if "S" in axes and shape[axes.index("S")] > _MOST_SAMPLES:
        return _translate("Axes", "Red, green and blue are three values, not {n}.").format(n=shape[axes.index("S")])
    return ""


class AxesDialog(Dialog):
    """Asks what each axis of a file means.

    Parameters
    ----------
    axes, shape
        As it is read now, in the order of the file.
    by_hand
        Whether the user gave these before; then they can be taken back.
    cells
        Whether cells are drawn on the image.
    """

    def __init__(
        self,
        parent: QWidget | None,
        axes: str,
        shape: tuple[int, ...],
        *,
        by_hand: bool = False,
        cells: bool = False,
    ) -> None:
        super().__init__(parent, self.tr("Axes of the image"), columns=56)
        self._shape = tuple(shape)
        self.reset = False
        self.body.addWidget(sentence(self.tr("The file holds these axes. What does each of them mean?")))
        form = QFormLayout()
        self.fields: list[QComboBox] = []
        for number, (letter, length) in enumerate(zip(axes, shape, strict=True), start=1):
            field = QComboBox()
            for one in _LETTERS:
                field.addItem(axis_title(one), one)
            field.setCurrentIndex(field.findData(letter))
            label = self.tr("Axis {n}: {length} entries").format(n=number, length=length)
            field.setAccessibleName(label)
            field.setToolTip(plain_tip(label))
            field.currentIndexChanged.connect(lambda _index: self._check())
            form.addRow(label, field)
            self.fields.append(field)
        self.body.addLayout(form)
        self.problem = Label()
        self.problem.setWordWrap(True)
        self.problem.setProperty("wrong", True)
        self.body.addWidget(self.problem)
        if cells:
            self.body.addWidget(
                sentence(
                    self.tr("Cells that are drawn stay with their plane; where its size changes they are not shown."),
                    quiet=True,
                )
            )
        self.body.addStretch(1)
        if by_hand:
            self.add_button(self.tr("As the file says"), Role.ResetRole, self._reset)
        self.add_button(self.tr("Cancel"), Role.RejectRole)
        self.ok = self.add_button(self.tr("Use these axes"), Role.AcceptRole, primary=True)
        self._check()

    def axes(self) -> str | None:
        """Return the letters in the order of the file; None: as the file says."""
        return None if self.reset else "".join(field.currentData() for field in self.fields)

    def _reset(self) -> None:
        self.reset = True
        self.accept()

    def _check(self) -> None:
        fault = fault_in_axes("".join(field.currentData() for field in self.fields), self._shape)
        self.problem.setText(fault)
        self.ok.setEnabled(not fault)


class PixelSizeDialog(Dialog):
    """Asks for the size of a pixel, for this image or for all.

    Parameters
    ----------
    size
        (y, x) in micrometres as it is now, None when unknown.
    images
        Number of images in the project.
    """

    def __init__(self, parent: QWidget | None, size: tuple[float, float] | None, images: int = 1) -> None:
        super().__init__(parent, self.tr("Pixel size"), columns=52)
        self.unknown = False
        self.body.addWidget(sentence(self.tr("How many micrometres is one pixel? The microscope's software knows it.")))
        form = QFormLayout()
        self.across = self._field(self.tr("Width of a pixel"))
        self.down = self._field(self.tr("Height of a pixel"))
        self.square = QCheckBox(self.tr("Pixels are square"))
        self.square.setToolTip(self.tr("Height and width are the same"))
        form.addRow(self.tr("Width"), self.across)
        form.addRow(self.tr("Height"), self.down)
        form.addRow("", self.square)
        self.body.addLayout(form)
        self.body.addWidget(self.across.hint)
        self.body.addWidget(self.down.hint)
        self.this_image = QRadioButton(self.tr("For this image"))
        self.all_images = QRadioButton(self.tr("For all {n} images").format(n=images))
        self.this_image.setChecked(True)
        if images > 1:
            self.body.addWidget(self.this_image)
            self.body.addWidget(self.all_images)
        self.body.addStretch(1)
        if size is not None:
            self.down.setValue(size[0])
            self.across.setValue(size[1])
            self.add_button(self.tr("Unknown"), Role.ResetRole, self._forget)
        self.square.setChecked(size is None or abs(size[0] - size[1]) < 1e-9)
        self.add_button(self.tr("Cancel"), Role.RejectRole)
        self.ok = self.add_button(self.tr("Use this size"), Role.AcceptRole, primary=True)
        self.square.toggled.connect(self._check)
        self.across.valueChanged.connect(self._check)
        self.down.valueChanged.connect(self._check)
        self.across.readable_changed.connect(self._check)
        self.down.readable_changed.connect(self._check)
        self._check()
        self.across.setFocus()
        self.across.selectAll()

    def _field(self, name: str) -> NumberField:
        # Pixels of electron microscopes can be below a nanometre.
        field = NumberField(trim=True)
        field.setDecimals(9)
        field.setRange(0.0, _LARGEST_PIXEL)
        field.setSingleStep(0.01)
        field.setSuffix(" µm")
        field.setAccessibleName(name)
        field.setToolTip(plain_tip(name))
        return field

    def pixel_size(self) -> tuple[float, float] | None:
        """Return (y, x) in micrometres; None: unknown."""
        if self.unknown:
            return None
        x = self.across.value()
        return (x if self.square.isChecked() else self.down.value()), x

    def for_all(self) -> bool:
        """Whether the size is that of all images."""
        return self.all_images.isChecked()

    def _forget(self) -> None:
        self.unknown = True
        self.accept()

    def _check(self) -> None:
        self.down.setEnabled(not self.square.isChecked())
        if self.square.isChecked() and (self.down.value() != self.across.value() or not self.down.readable):
            self.down.setValue(self.across.value())
        readable = self.across.readable and self.down.readable
        self.ok.setEnabled(readable and self.across.value() > 0 and self.down.value() > 0)


def raw_axes(entry: ProjectImage, image: Image) -> tuple[str, tuple[int, ...]]:
    """Return letters and lengths in the order in which the file is read, also where the user named the axes."""
    shown = dict(zip(image.info.axes, image.array.shape, strict=True))
    axes = entry.axes if entry.axes_by_hand and sorted(entry.axes or "") == sorted(shown) else image.info.axes
    return axes, tuple(int(shown[letter]) for letter in axes)
