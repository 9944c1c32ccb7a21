"""The registry of backbones, and the places of their files.  Imports no torch.

Other packages add backbones through the entry-point group ``cellseg1.backbones``, see `cellseg1.sam.kind`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import platformdirs

from cellseg1.errors import BackboneError
from cellseg1.plugins import Registry, name_of
from cellseg1.sam.kind import BackboneKind, BackboneSpec

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Environment variable that moves the program's data folder (backbones, caches) elsewhere.
DATA_DIR_VARIABLE = "CELLSEG1_DATA_DIR"
#: Other names that settings of the research code use.
ALIASES = {"default": "vit_h"}


def _own() -> Iterable[BackboneKind]:
    from cellseg1.sam.backbones.sam_vit import SAM_VITS
    from cellseg1.sam.backbones.tiny import TINY

    return (TINY, *SAM_VITS)


#: All backbones by name, the program's own first.
BACKBONES: Registry[BackboneKind] = Registry("cellseg1.backbones", _own, name_of(BackboneKind))


def backbone_names() -> tuple[str, ...]:
    """Return the names of all backbones, in the order of lists."""
    return BACKBONES.names()


def canonical_name(name: str) -> str:
    """Return the canonical name of a backbone.

    Raises
    ------
    BackboneError
        When no backbone has that name.
    """
    return get_kind(name).name


def get_kind(name: str) -> BackboneKind:
    """Return the description of backbone `name` ("default" is vit_h).

    Raises
    ------
    BackboneError
        When no backbone has that name.
    """
    name = ALIASES.get(name, name)
    kind = BACKBONES.get(name)
    if kind is None:
        raise BackboneError(f"There is no backbone called {name!r}; choose one of {', '.join(backbone_names())}.")
    return kind


def get_spec(name: str) -> BackboneSpec:
    """Return the description of the file of backbone `name` ("default" is vit_h).

    Raises
    ------
    BackboneError
        When the name is unknown, or the file of a bundled backbone is missing in this installation.
    """
    return get_kind(name).spec()


def fetched_specs() -> tuple[BackboneSpec, ...]:
    """Return the files of the backbones that are downloaded or imported, not bundled."""
    return tuple(kind.spec() for kind in BACKBONES.all() if not kind.bundled)


def is_published(name: str) -> bool:
    """Tell whether the research code supports backbone `name`."""
    kind = BACKBONES.get(name)
    return kind is not None and kind.published


def data_dir() -> Path:
    """Return the folder of the program's own data, or what CELLSEG1_DATA_DIR says."""
    if asked := os.environ.get(DATA_DIR_VARIABLE):
        return Path(asked).expanduser()
    return Path(platformdirs.user_data_dir("CellSeg1", appauthor=False))


def models_dir() -> Path:
    """Return the folder in which imported and downloaded backbones are kept (it may not exist yet)."""
    return data_dir() / "backbones"
