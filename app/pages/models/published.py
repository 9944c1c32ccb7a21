"""The question about a published adapter file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtWidgets import QComboBox, QDialogButtonBox, QFormLayout, QWidget

from cellseg1.sam.registry import backbone_names, is_published

from ...widgets.dialog import Dialog, sentence
from ..shared.backbone_names import backbone_title

_SIZES = (256, 512, 1024)


class PublishedDialog(Dialog):
    """Asks what a published adapter file may not say: image size and network."""

    def __init__(self, path: Path, parent: QWidget | None = None) -> None:
        super().__init__(parent, self.tr("Import a published adapter"), columns=56)
        self.body.addWidget(
            sentence(
                self.tr("{file} is tried with its network and becomes a model of this program.").format(file=path.name)
            )
        )
        form = QFormLayout()
        self.image_size = QComboBox()
        self.image_size.setAccessibleName(self.tr("Image size"))
        self.image_size.setToolTip(self.tr("The image size the adapter was trained with"))
        self.image_size.addItem(self.tr("As the file's name says, else 512 px"), None)
        for size in _SIZES:
            self.image_size.addItem(f"{size} px", size)
        self.network = QComboBox()
        self.network.setAccessibleName(self.tr("Network"))
        self.network.setToolTip(self.tr("The network the adapter belongs to; it must be on this computer"))
        self.network.addItem(self.tr("As the file says"), None)
        for name in filter(is_published, backbone_names()):
            self.network.addItem(backbone_title(name), name)
        form.addRow(self.tr("Image size"), self.image_size)
        form.addRow(self.tr("Network"), self.network)
        self.body.addLayout(form)
        self.body.addStretch(1)
        role = QDialogButtonBox.ButtonRole
        self.add_button(self.tr("Cancel"), role.RejectRole)
        self.add_button(self.tr("Import"), role.AcceptRole, primary=True)

    def overrides(self) -> dict[str, Any]:
        """Return the settings that the user gave."""
        values = {"sam_image_size": self.image_size.currentData(), "vit_name": self.network.currentData()}
        return {name: value for name, value in values.items() if value is not None}
