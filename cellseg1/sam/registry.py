"""The backbones we know: names, files, sizes and hashes.  Imports no torch."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from cellseg1.bundled import resource_path
from cellseg1.errors import BackboneError

#: Environment variable that moves the program's data folder (backbones, caches) elsewhere.
DATA_DIR_VARIABLE = "CELLSEG1_DATA_DIR"
_SAM_URL = "https://dl.fbaipublicfiles.com/segment_anything/"
_TINY_CARD = "backbones/tiny.json"


@dataclass(frozen=True, slots=True)
class BackboneSpec:
    """One backbone file, recognised by its size and hash.

    Attributes
    ----------
    name
        How settings and model files call it.
    filename
        Name of the file in the backbone folder.
    size_bytes, sha256
        What a complete and undamaged file measures.
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


@dataclass(frozen=True, slots=True)
class VitShape:
    """What distinguishes one SAM image encoder from another.

    Attributes
    ----------
    global_blocks
        Indices of the blocks that attend to the whole image; the others attend within windows.
    window
        Side of a window in tokens of 16 x 16 pixels.
    """

    embed_dim: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    window: int = 14


#: Shapes of the published SAM encoders (Kirillov et al. 2023, arXiv 2304.02643).
VIT_SHAPES = {
    "vit_b": VitShape(768, 12, 12, (2, 5, 8, 11)),
    "vit_l": VitShape(1024, 24, 16, (5, 11, 17, 23)),
    "vit_h": VitShape(1280, 32, 16, (7, 15, 23, 31)),
}

#: The official SAM files.  Tests replace entries; use `get_spec` to read.
SAM_SPECS: dict[str, BackboneSpec] = {
    spec.name: spec
    for spec in (
        BackboneSpec(
            "vit_b",
            "sam_vit_b_01ec64.pth",
            375_042_383,
            "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912",
            _SAM_URL + "sam_vit_b_01ec64.pth",
            "Apache-2.0",
            "SAM ViT-B: the smallest official SAM (0.4 GB), for computers with little memory.",
        ),
        BackboneSpec(
            "vit_l",
            "sam_vit_l_0b3195.pth",
            1_249_524_607,
            "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622",
            _SAM_URL + "sam_vit_l_0b3195.pth",
            "Apache-2.0",
            "SAM ViT-L: the middle official SAM (1.2 GB).",
        ),
        BackboneSpec(
            "vit_h",
            "sam_vit_h_4b8939.pth",
            2_564_550_879,
            "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e",
            _SAM_URL + "sam_vit_h_4b8939.pth",
            "Apache-2.0",
            "SAM ViT-H: the largest official SAM (2.6 GB), most accurate, needs a GPU.",
        ),
    )
}

#: Other names that settings of the research code use.
ALIASES = {"default": "vit_h"}
NAMES = ("tiny", *SAM_SPECS)


def canonical_name(name: str) -> str:
    """Return the name a backbone is filed under.

    Raises
    ------
    BackboneError
        When no backbone has that name.
    """
    name = ALIASES.get(name, name)
    if name not in NAMES:
        raise BackboneError(f"There is no backbone called {name!r}; choose one of {', '.join(NAMES)}.")
    return name


def get_spec(name: str) -> BackboneSpec:
    """Return what is known about the file of backbone `name` ("default" is vit_h).

    Raises
    ------
    BackboneError
        When the name is unknown, or for "tiny" when this installation does not carry it.
    """
    name = canonical_name(name)
    return _tiny_spec() if name == "tiny" else SAM_SPECS[name]


def _tiny_spec() -> BackboneSpec:
    """Read the card that lies beside the shipped backbone, so that a new one needs no change here."""
    try:
        card = json.loads(resource_path(_TINY_CARD).read_text(encoding="utf-8"))
        return BackboneSpec(
            "tiny",
            "tiny.safetensors",
            int(card["size_bytes"]),
            str(card["sha256"]),
            None,
            str(card.get("licence", "Apache-2.0")),
            "Our own small SAM, shipped with the program: fast on a laptop, no download.",
        )
    except FileNotFoundError as error:
        raise BackboneError(
            "The bundled backbone tiny is missing from this installation; install CellSeg1 Studio again, "
            "or choose vit_b, vit_l or vit_h."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackboneError(
            "The description of the bundled backbone tiny is damaged; install CellSeg1 Studio again."
        ) from error


def data_dir() -> Path:
    """Return the folder of the program's own data, or what CELLSEG1_DATA_DIR says."""
    if asked := os.environ.get(DATA_DIR_VARIABLE):
        return Path(asked).expanduser()
    return Path(platformdirs.user_data_dir("CellSeg1", appauthor=False))


def models_dir() -> Path:
    """Return the folder in which imported and downloaded backbones are kept (it may not exist yet)."""
    return data_dir() / "backbones"
