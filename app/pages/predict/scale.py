"""Whether a model fits the scale of images, and by how much to rescale them if it does not.  Nothing of Qt."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from cellseg1.errors import CellSeg1Error, SettingsError
from cellseg1.images import InputSpecification
from cellseg1.lora.header import load_card
from cellseg1.settings import DEFAULT_BACKBONE, DEFAULT_RECIPE, TABLE, make_settings

from ...session.run_requests import scale_difference

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from cellseg1.lora.card import Card

    from ...project.content import ProjectImage

#: The median of fewer cells says little about an image.
_FEW = 5


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """Facts about a model from its card.

    Attributes
    ----------
    diameter
        Median diameter of the cells it was trained on, in pixels of its images; None when unknown.
    pixel_size
        Micrometres per pixel of its training images; None when unknown.
    scale
        Network pixels per pixel of its training images.
    settings
        Its stored settings.
    channels
        Input channels: names, or numbers from 0; empty when none were chosen.
    problem
        The error in the file; empty when it is valid.
    """

    name: str
    backbone: str = DEFAULT_BACKBONE
    recipe: str = DEFAULT_RECIPE
    diameter: float | None = None
    pixel_size: float | None = None
    scale: float = 1.0
    images: int = 0
    ap_training: float | None = None
    settings: Mapping[str, Any] | None = None
    channels: tuple[str, ...] = ()
    problem: str = ""


def facts_of(path: Path | None, backbone: str = DEFAULT_BACKBONE) -> ModelFacts:
    """Read what a model says about itself; None is the backbone as it is."""
    if path is None:
        # It was made for cells of this size, at the scale of the image; the large ones for any.
        return ModelFacts(
            backbone, backbone=backbone, diameter=make_settings(DEFAULT_RECIPE, backbone).data.target_diameter
        )
    if path.suffix.lower() != ".cs1":
        return ModelFacts(path.stem, recipe="paper")
    try:
        card = load_card(path)
    except CellSeg1Error as error:
        return ModelFacts(path.stem, problem=str(error))
    known = {key: value for key, value in card.settings.items() if key in TABLE}
    return ModelFacts(
        path.stem,
        backbone=card.backbone or DEFAULT_BACKBONE,
        recipe=card.recipe,
        diameter=card.median_cell_diameter_px,
        pixel_size=card.pixel_size_um,
        scale=card.scale or 1.0,
        images=len(card.training_images),
        ap_training=card.ap_training,
        settings=known,
        channels=_channels_of(card),
    )


def _channels_of(card: Card) -> tuple[str, ...]:
    try:
        chosen = InputSpecification.from_dict(card.input).channels if card.input else None
    except SettingsError:
        return ()
    return tuple(str(one) for one in chosen or ())


@dataclass(frozen=True, slots=True)
class Misfit:
    """An image whose cells are `ratio` times as large, in pixels, as those the model knows, and how that is known."""

    image_id: str
    ratio: float
    by: Literal["diameter", "pixel_size"]


def misfits(facts: ModelFacts, images: Iterable[ProjectImage], diameters: Mapping[str, float]) -> list[Misfit]:
    """Find the images whose scale differs too much from the model's.

    Parameters
    ----------
    images
        Images of the project.
    diameters
        By image id the median diameter of the drawn cells, where there are enough (see `enough_cells`).  It is
        better than the pixel size: it says how large the cells are, whatever the microscope was.
    """
    found = []
    for image in images:
        ratio = scale_difference(facts.diameter, diameters.get(image.id))
        if image.id in diameters and facts.diameter:
            if ratio is not None:
                found.append(Misfit(image.id, ratio, "diameter"))
            continue
        size = image.pixel_size_um
        if facts.pixel_size and size:
            # The same cell has more pixels where a pixel is smaller.
            ratio = scale_difference((size[0] * size[1]) ** 0.5, facts.pixel_size)
            if ratio is not None:
                found.append(Misfit(image.id, ratio, "pixel_size"))
    return found


def enough_cells(count: int) -> bool:
    """Whether the median diameter of so many cells can be relied on."""
    return count >= _FEW


def rescaling(facts: ModelFacts, found: Iterable[Misfit]) -> dict[str, float]:
    """Return by image id the network pixels per image pixel at which its cells look as large as the model's."""
    return {one.image_id: facts.scale / one.ratio for one in found}
