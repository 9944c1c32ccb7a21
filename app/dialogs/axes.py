"""What the axes of an image mean, and how large its pixels are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QRadioButton,
    QWidget,
)

from app.dialogs.base import Dialog, Role, line, sentence, title_label
from app.theme import GAP, MARGIN, TIGHT, tabular

if TYPE_CHECKING:
    from collections.abc import Sequence


class AxesDialog(Dialog):
    """Shows the axes of an image, lets the user say what they are, and set the pixel size for one or all images.

    Parameters
    ----------
    name
        Of the image.
    shape, axes
        Lengths, and one letter each: T time, Z focal plane, C channel, Y row, X column, S colour.
    guessed
        Whether the file did not say and the program guessed.
    pixel_size
        Micrometres per pixel (y, x), None when unknown.
    by_hand
        Whether the axes were set by the user earlier; "Use what the file says" is then offered.
    images
        Number of images in the project, for the words of "all images".
    """

    def __init__(
        self,
        name: str,
        shape: Sequence[int],
        axes: str,
        parent: QWidget | None = None,
        *,
        guessed: bool = False,
        by_hand: bool = False,
        pixel_size: tuple[float, float] | None = None,
        images: int = 1,
    ) -> None:
        super().__init__(parent, self.tr("Axes and pixel size"), columns=64, scroll=True)
        if len(shape) != len(axes):
            msg = "one letter per axis"
            raise ValueError(msg)
        self._shape, self._first, self._by_hand = tuple(shape), axes, by_hand
        self._first_size = pixel_size
        self.body.addWidget(title_label(name, 1))
        if guessed:
            said = self.tr("The file does not name its axes; this is a guess. Is it right?")
        elif by_hand:
            said = self.tr("You have set these axes by hand.")
        else:
            said = self.tr("These are the axes that the file names.")
        self.body.addWidget(sentence(said, quiet=not guessed))
        self.body.addSpacing(GAP)
        self.combos: list[QComboBox] = []
        self.body.addLayout(self._axes(axes))
        self.as_file = QCheckBox(self.tr("Use what the file says"))
        self.as_file.setToolTip(self.tr("Forget the axes set by hand"))
        self.as_file.setVisible(by_hand)
        self.as_file.toggled.connect(self._check)
        self.body.addWidget(self.as_file)
        self._problem = sentence(" ")
        self._problem.setProperty("wrong", True)
        self.body.addWidget(self._problem)
        self.body.addWidget(line())
        self.body.addSpacing(GAP)
        self.body.addLayout(self._pixels(pixel_size, images))
        self.body.addStretch(1)
        self.apply_button = self.add_button(self.tr("Apply"), Role.AcceptRole, primary=True)
        self.add_button(self.tr("Cancel"), Role.RejectRole)
        self._check()

    # ---- parts

    def _words(self) -> dict[str, str]:
        return {
            "T": self.tr("Time points"),
            "Z": self.tr("Focal planes (z)"),
            "C": self.tr("Channels"),
            "Y": self.tr("Rows (y)"),
            "X": self.tr("Columns (x)"),
            "S": self.tr("Colour (red, green, blue)"),
        }

    def _axes(self, axes: str) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(MARGIN)
        grid.setVerticalSpacing(TIGHT)
        grid.setColumnStretch(2, 1)
        for number, (length, letter) in enumerate(zip(self._shape, axes, strict=True)):
            label = QLabel(self.tr("Axis {n}").format(n=number + 1))
            size = QLabel(self.locale().toString(length))
            size.setFont(tabular(size.font()))
            size.setProperty("secondary", True)
            combo = QComboBox()
            for one, text in self._words().items():
                # Only three or four samples can be the colours of a pixel.
                if one != "S" or length in (3, 4) or letter == "S":
                    combo.addItem(text, one)
            combo.setCurrentIndex(combo.findData(letter))
            combo.setAccessibleName(self.tr("Meaning of axis {n}, length {length}").format(n=number + 1, length=length))
            combo.currentIndexChanged.connect(self._check)
            label.setBuddy(combo)
            self.combos.append(combo)
            grid.addWidget(label, number, 0)
            grid.addWidget(size, number, 1)
            grid.addWidget(combo, number, 2)
        return grid

    def _pixels(self, size: tuple[float, float] | None, images: int) -> QGridLayout:
        self.known = QCheckBox(self.tr("The pixel size is known"))
        self.known.setChecked(size is not None)
        self.width_field = self._spin(self.tr("Width of a pixel"), size[1] if size else 1.0)
        self.height_field = self._spin(self.tr("Height of a pixel"), size[0] if size else 1.0)
        self.square = QCheckBox(self.tr("Square pixels"))
        self.square.setChecked(size is None or size[0] == size[1])
        self.for_one = QRadioButton(self.tr("for this image"))
        self.for_every = QRadioButton(self.tr("for all {n} images of the project").format(n=images))
        self.for_one.setChecked(True)
        self.for_every.setEnabled(images > 1)
        grid = QGridLayout()
        grid.setHorizontalSpacing(MARGIN)
        grid.setVerticalSpacing(GAP)
        grid.setColumnStretch(2, 1)
        grid.addWidget(title_label(self.tr("Pixel size")), 0, 0, 1, 3)
        grid.addWidget(self.known, 1, 0, 1, 3)
        for row, (text, field) in enumerate(
            ((self.tr("Width (x)"), self.width_field), (self.tr("Height (y)"), self.height_field)), 2
        ):
            label = QLabel(text)
            label.setBuddy(field)
            grid.addWidget(label, row, 0)
            grid.addWidget(field, row, 1)
        grid.addWidget(self.square, 2, 2)
        whom = QHBoxLayout()
        whom.setSpacing(MARGIN)
        whom.addWidget(self.for_one)
        whom.addWidget(self.for_every)
        whom.addStretch(1)
        grid.addLayout(whom, 4, 0, 1, 3)
        self.known.toggled.connect(self._sizes_changed)
        self.square.toggled.connect(self._sizes_changed)
        self.width_field.valueChanged.connect(self._sizes_changed)
        self._sizes_changed()
        return grid

    def _spin(self, name: str, value: float) -> QDoubleSpinBox:
        spin = QDoubleSpinBox()
        spin.setFont(tabular(spin.font()))
        spin.setDecimals(5)
        spin.setRange(0.00001, 100000)
        spin.setSingleStep(0.01)
        spin.setSuffix(" µm")
        spin.setValue(value)
        spin.setAccessibleName(name)
        return spin

    # ---- what it says

    def _sizes_changed(self) -> None:
        known, square = self.known.isChecked(), self.square.isChecked()
        self.width_field.setEnabled(known)
        self.square.setEnabled(known)
        self.height_field.setEnabled(known and not square)
        if square:
            self.height_field.setValue(self.width_field.value())

    def problem(self) -> str:
        """Return why the axes cannot be like this, empty when they can."""
        if self.as_file.isChecked():
            return ""
        letters = [str(combo.currentData()) for combo in self.combos]
        words = self._words()
        for letter in "YX":
            if letter not in letters:
                return self.tr("One axis must be: {what}.").format(what=words[letter])
        twice = next((letter for letter in letters if letters.count(letter) > 1), None)
        if twice is not None:
            return self.tr("Two axes cannot both be: {what}.").format(what=words[twice])
        return ""

    def _check(self) -> None:
        if not hasattr(self, "apply_button"):
            return
        for combo in self.combos:
            combo.setEnabled(not self.as_file.isChecked())
        problem = self.problem()
        self._problem.setText(problem or " ")
        self.apply_button.setEnabled(not problem)

    def axes(self) -> str:
        """Return the axes as chosen, one letter per axis; empty for "what the file says"."""
        return "" if self.as_file.isChecked() else "".join(str(combo.currentData()) for combo in self.combos)

    def axes_changed(self) -> bool:
        """Return whether the axes are to be read in another way than now."""
        return self.as_file.isChecked() or self.axes() != self._first

    def pixel_size(self) -> tuple[float, float] | None:
        """Return micrometres per pixel (y, x), None when it is not known."""
        if not self.known.isChecked():
            return None
        return self.height_field.value(), self.width_field.value()

    def pixel_size_changed(self) -> bool:
        """Return whether the pixel size is another than before, or is to be set for all images."""
        return self.for_all() or self.pixel_size() != self._first_size

    def for_all(self) -> bool:
        """Return whether the pixel size is meant for all images of the project."""
        return self.for_every.isChecked()
