"""The description of a backbone before it is loaded: file, settings, cost.  Imports no torch.

A new backbone is one subclass of `BackboneKind`, registered through the entry-point group ``cellseg1.backbones`` or,
in this package, in `cellseg1.sam.registry`.
"""

from __future__ import annotations

import abc
import pkgutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from cellseg1.sam.interface import Backbone


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """One backbone file, recognised by its size and hash.

    Attributes
    ----------
    name
        Name in settings and model files.
    filename
        Name of the file in the backbone folder.
    size_bytes, sha256
        Size and hash of the complete, undamaged file.
    url
        Where it can be downloaded; None when it is shipped with the program.
    """

    name: str
    filename: str
    size_bytes: int
    sha256: str
    url: str | None
    licence: str
    description: str

    @property
    def bundled(self) -> bool:
        """Whether the file is shipped with the program."""
        return self.url is None


@dataclass(frozen=True, kw_only=True)
class BackboneKind(abc.ABC):
    """One backbone.

    Attributes
    ----------
    name
        Name in settings, model files and options.
    title
        Name in lists.
    builder
        The function that builds it, as ``module:function``; called with the name, the weights file and the side of the
        input.  Imported only then, because it needs torch.
    about
        One sentence that helps to choose.
    bundled
        Whether its file comes with the package that defines it and needs no download.
    published
        Whether the research code supports it, so that its adapters can be saved as ``.pth``.
    own_batch
        Whether it keeps the batch of its own settings on every computer; otherwise the free memory decides.
    settings
        Settings that differ from those of a recipe, by recipe.
    untrained
        Settings for use without training.
    seconds_per_tile
        Rough training time of a tile of 256 x 256 pixels on one processor core.
    """

    name: str
    title: str
    builder: str
    about: str = ""
    bundled: bool = False
    published: bool = False
    own_batch: bool = False
    settings: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    untrained: Mapping[str, object] = field(default_factory=dict)
    seconds_per_tile: float = 22.0

    @abc.abstractmethod
    def spec(self) -> BackboneSpec:
        """Return the description of its file.

        Raises
        ------
        BackboneError
            When the file of a bundled backbone is missing in this installation.
        """

    def build(self, weights: Path, image_size: int) -> Backbone:
        """Build it on the CPU, in evaluation mode.

        Parameters
        ----------
        weights
            Its file.
        image_size
            Side of the square model input, a multiple of 16; a backbone that takes any size ignores it.

        Raises
        ------
        BackboneError
            When the file does not hold exactly this backbone.
        """
        build = pkgutil.resolve_name(self.builder)
        built: Backbone = build(self.name, weights, image_size)
        return built

    def shipped_file(self) -> Path | None:
        """Return the file that comes with its package; None when there is none."""
        return None
