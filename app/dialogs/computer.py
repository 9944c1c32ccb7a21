"""The computer check: what the program computes on, and why not on something faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QStandardItemModel
from PySide6.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QProgressBar,
    QStackedWidget,
    QVBoxLayout,
    QWidget,
)

from ..theme import GAP, MARGIN, TIGHT, WIDE, tabular
from ..widgets.dialog import Dialog, Role, scrolling, sentence, title_label
from ..widgets.empty_state import Sign
from ..widgets.plain import Label

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

AUTOMATIC = "auto"


def report_text(report: Mapping[str, Any]) -> str:
    """Write a report as plain text, for a message to someone who can help.  Always English."""

    def value(name: str) -> object:
        return report.get(name, "?")

    program = f"CellSeg1 Studio {value('program')}, Python {value('python')}, torch {value('torch')}"
    lines = [
        f"{program} (CUDA {report.get('cuda_build') or 'none'}), {value('system')}",
        f"Computes on: {value('chosen_device')} ({value('precision')}), {value('threads')} of {value('cores')} threads",
        f"Memory: {value('memory_free_gib')} of {value('memory_gib')} GiB free",
        f"Disk: {value('disk_free_gib')} GiB free in {value('data_folder')}",
    ]
    if report.get("driver"):
        lines.append(f"Driver: {report['driver']}")
    if report.get("why_no_gpu"):
        lines.append(f"Why not a GPU: {report['why_no_gpu']}")
    for device in report.get("devices", ()):
        memory = f", {device['memory_gib']} GiB" if device.get("memory_gib") is not None else ""
        state = "usable" if device.get("usable") else f"not used: {device.get('reason', '')}"
        lines.append(f"Device {device['name']}: {device.get('label', '')}{memory}, {state}")
    for backbone in report.get("backbones", ()):
        state = str(backbone.get("path")) if backbone.get("usable") else backbone.get("problem") or "not installed"
        lines.append(f"Backbone {backbone['name']}: {state}")
    return "\n".join(lines)


class ComputerCheckDialog(Dialog):
    """Shows the values of the computer check; they come later, through `set_report`.

    ``check_wanted()`` is sent by "Check again", ``device_chosen(str)`` when the user takes another device
    (`AUTOMATIC`, "cpu", "cuda:0" ...).
    """

    check_wanted = Signal()
    device_chosen = Signal(str)

    def __init__(self, parent: QWidget | None = None, *, device: str = AUTOMATIC) -> None:
        super().__init__(parent, self.tr("Computer check"), columns=88, rows=44)
        self._report: dict[str, Any] = {}
        self._report_of_failure = ""
        self._device = device
        self.pages = QStackedWidget()
        self.pages.addWidget(self._waiting())
        self._inside = QWidget()
        self._column = QVBoxLayout(self._inside)
        self._column.setContentsMargins(0, 0, GAP, 0)
        self._column.setSpacing(WIDE)
        self.area = scrolling(self._inside, self.tr("Result of the computer check"))
        self.pages.addWidget(self.area)
        self.body.addWidget(self.pages, 1)
        self.again = self.add_button(self.tr("Check again"), Role.ActionRole, self.check_again)
        self.copy = self.add_copy_button(self.text)
        self.add_close_button()
        self._ready(False)

    def _waiting(self) -> QWidget:
        page = QWidget()
        column = QVBoxLayout(page)
        column.addStretch(1)
        self.status = sentence(self.tr("Looking at this computer. The first time this takes some seconds."))
        self.status.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.busy = QProgressBar()
        self.busy.setRange(0, 0)
        self.busy.setTextVisible(False)
        self.busy.setAccessibleName(self.tr("Checking"))
        row = QHBoxLayout()
        row.addStretch(1)
        row.addWidget(self.busy, 1)
        row.addStretch(1)
        column.addWidget(self.status)
        column.addSpacing(GAP)
        column.addLayout(row)
        column.addStretch(1)
        return page

    def _ready(self, ready: bool) -> None:
        self.pages.setCurrentIndex(1 if ready else 0)
        self.copy.setEnabled(ready)
        self.again.setEnabled(ready)

    def check_again(self) -> None:
        """Show that it is looking, and ask for a new report."""
        self.status.setText(self.tr("Looking at this computer."))
        self.busy.show()
        self._ready(False)
        self.check_wanted.emit()

    def text(self) -> str:
        """Return what "Copy" copies."""
        return self._report_of_failure or report_text(self._report)

    def set_problem(self, text: str, details: str = "") -> None:
        """Say why there is no report; the details go with "Copy" only."""
        self._report_of_failure = f"{text}\n\n{details}".strip()
        self.status.setText(text)
        self.busy.hide()
        self._ready(False)
        self.again.setEnabled(True)
        self.copy.setEnabled(True)

    def set_report(self, report: Mapping[str, Any]) -> None:
        """Show the values of `cellseg1.doctor.examine`."""
        self._report = dict(report)
        self._report_of_failure = ""
        self.copy.setText(self.tr("Copy"))
        while self._column.count():
            item = self._column.takeAt(0)
            old = item.widget() if item is not None else None
            if old is not None:
                # Hidden at once: deleted only when control is back in the event loop.
                old.hide()
                old.deleteLater()
        self._column.addWidget(self._summary())
        self._column.addWidget(self._facts())
        self._column.addWidget(self._devices())
        self._column.addWidget(self._backbones())
        self._column.addStretch(1)
        self._ready(True)

    # ---- parts

    def _group(self, title: str) -> tuple[QWidget, QVBoxLayout]:
        box = QWidget()
        column = QVBoxLayout(box)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(GAP)
        if title:
            column.addWidget(title_label(title))
        return box, column

    def _label_of(self, name: str) -> str:
        device = next((one for one in self._report.get("devices", ()) if one["name"] == name), None)
        return str(device["label"]) if device is not None and device.get("label") else name

    def _summary(self) -> QWidget:
        box, column = self._group("")
        chosen = str(self._report.get("chosen_device", ""))
        column.addWidget(title_label(self.tr("Computes on: {device}").format(device=self._label_of(chosen)), 1))
        if why := self._report.get("why_no_gpu"):
            column.addWidget(sentence(self.tr("Why not a GPU: {why}").format(why=why), selectable=True))
        row = QHBoxLayout()
        row.setSpacing(GAP)
        name = Label(self.tr("&Device"))
        self.device = QComboBox()
        self.device.setAccessibleName(self.tr("Device"))
        self.device.setToolTip(self.tr("What trainings and predictions run on from now on"))
        name.setBuddy(self.device)
        self.device.addItem(self.tr("Automatic (the fastest that works)"), AUTOMATIC)
        for device in self._report.get("devices", ()):
            label = str(device.get("label") or device["name"])
            if not device.get("usable"):
                label = self.tr("{device} (not usable)").format(device=label)
            self.device.addItem(label, device["name"])
            if not device.get("usable"):
                model = self.device.model()
                assert isinstance(model, QStandardItemModel)  # what a combo box makes itself
                model.item(self.device.count() - 1).setEnabled(False)
        place = self.device.findData(self._device)
        if place < 0:
            self.device.addItem(self.tr("{device} (not in this computer)").format(device=self._device), self._device)
            place = self.device.count() - 1
        self.device.setCurrentIndex(place)
        self.device.activated.connect(self._choose)
        row.addWidget(name)
        row.addWidget(self.device)
        row.addStretch(1)
        column.addLayout(row)
        return box

    def _choose(self, place: int) -> None:
        device = self.device.itemData(place)
        if device != self._device:
            self._device = device
            self.device_chosen.emit(device)

    def _facts(self) -> QWidget:
        report = self._report
        box, column = self._group(self.tr("This computer"))
        rows = [
            (
                self.tr("Memory"),
                self.tr("{free} of {all} GiB free").format(
                    free=report.get("memory_free_gib", "?"), all=report.get("memory_gib", "?")
                ),
            ),
            (
                self.tr("Disk"),
                self.tr("{free} GiB free in {folder}").format(
                    free=report.get("disk_free_gib", "?"), folder=report.get("data_folder", "?")
                ),
            ),
            (
                self.tr("Processor"),
                self.tr("{threads} threads on {cores} cores").format(
                    threads=report.get("threads", "?"), cores=report.get("cores", "?")
                ),
            ),
            (self.tr("Precision"), str(report.get("precision", "?"))),
            (self.tr("Driver"), str(report["driver"]) if report.get("driver") else ""),
            (
                self.tr("Program"),
                self.tr("{program}, Python {python}, torch {torch}, {cuda}").format(
                    program=report.get("program", "?"),
                    python=report.get("python", "?"),
                    torch=report.get("torch", "?"),
                    cuda=self.tr("CUDA {version}").format(version=report["cuda_build"])
                    if report.get("cuda_build")
                    else self.tr("without CUDA"),
                ),
            ),
            (self.tr("System"), str(report.get("system", "?"))),
        ]
        column.addLayout(self._grid([(name, text) for name, text in rows if text]))
        return box

    def _grid(self, rows: Sequence[tuple[str, str]]) -> QGridLayout:
        grid = QGridLayout()
        grid.setHorizontalSpacing(MARGIN)
        grid.setVerticalSpacing(TIGHT)
        grid.setColumnMinimumWidth(0, self.fontMetrics().averageCharWidth() * 14)
        grid.setColumnStretch(1, 1)
        for number, (name, text) in enumerate(rows):
            value = sentence(text, selectable=True)
            value.setFont(tabular(value.font()))
            value.setAccessibleName(f"{name}: {text}")
            grid.addWidget(sentence(name, quiet=True), number, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(value, number, 1)
        return grid

    def _states(self, rows: Sequence[tuple[bool, str, str]]) -> QGridLayout:
        """Lay out (usable, name, what there is to say) with a sign in front."""
        grid = QGridLayout()
        grid.setHorizontalSpacing(GAP)
        grid.setVerticalSpacing(TIGHT)
        grid.setColumnStretch(2, 1)
        grid.setColumnMinimumWidth(1, self.fontMetrics().averageCharWidth() * 14)
        for number, (usable, name, text) in enumerate(rows):
            sign = Sign("check" if usable else "minus", 16, "text" if usable else "secondary")
            value = sentence(text, quiet=True, selectable=True)
            value.setAccessibleName(f"{name}: {text}")
            top = Qt.AlignmentFlag.AlignTop
            grid.addWidget(sign, number, 0, top)
            title = Label(name)
            grid.addWidget(title, number, 1, top)
            grid.addWidget(value, number, 2)
        return grid

    def _devices(self) -> QWidget:
        box, column = self._group(self.tr("Devices"))
        rows = []
        for device in self._report.get("devices", ()):
            memory = self.tr("{n} GiB").format(n=device["memory_gib"]) if device.get("memory_gib") is not None else ""
            text = ", ".join(part for part in (str(device.get("label") or ""), memory) if part)
            if not device.get("usable"):
                text = "\n".join(part for part in (text, str(device.get("reason") or "")) if part)
            rows.append((bool(device.get("usable")), str(device["name"]), text))
        column.addLayout(self._states(rows))
        return box

    def _backbones(self) -> QWidget:
        box, column = self._group(self.tr("Backbones"))
        rows = []
        for backbone in self._report.get("backbones", ()):
            usable = bool(backbone.get("usable"))
            text = str(backbone.get("path") or "") if usable else backbone.get("problem") or self.tr("not installed")
            rows.append((usable, str(backbone["name"]), str(text)))
        column.addLayout(self._states(rows))
        return box
