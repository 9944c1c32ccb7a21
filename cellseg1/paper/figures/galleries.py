"""Figures that show images: 3c and extended figures 1 and 2."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from cellseg1.errors import MaskError
from cellseg1.images import InputRule, read_image, to_model_input
from cellseg1.images.read import load
from cellseg1.paper import facts
from cellseg1.paper.conversion import as_labels
from cellseg1.paper.data_sets import DATA_SETS, FIVE, TISSUES, images_in
from cellseg1.paper.figures import content as shown
from cellseg1.paper.figures.content import NothingToDrawError
from cellseg1.paper.figures.parts import WIDTH, new_figure
from cellseg1.paper.statistics import mask_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cellseg1.paper.figures.content import Content

#: The published best and worst images of figure 3c, which were chosen by hand.
_PUBLISHED_CHOICE: Final = {"CPS": (60, 61), "CSB": (138, 35), "ECB": (6, 2), "BSF": (70, 37), "DSB": (435, 97)}
_YELLOW: Final = (255, 220, 0)


def figure_3c(content: Content) -> Figure:
    """Best and worst training image of each set, from the results table or the published choice.

    Raises
    ------
    NothingToDrawError
        When no data set is there.
    """
    figure, every = new_figure(3.2, rows=2, columns=len(FIVE))
    drawn = 0
    for place, short in enumerate(FIVE):
        images = [] if content.data is None else images_in(content.data / DATA_SETS[short].name / "train" / "images")
        for row, (number, score) in enumerate(_best_and_worst(content, short)):
            axes = every[row * len(FIVE) + place]
            if number < len(images):
                cells = show_cells(axes, images[number], mask_of(images[number]), "")
                axes.set_title(f"{short} {number}: AP {score:.2f}, {cells} cells", size=5)
                drawn += 1
            else:
                axes.set_axis_off()
    if not drawn:
        raise NothingToDrawError(
            "Figure 3c needs the training images that it is about: give --data with the prepared data sets."
        )
    return figure


def _best_and_worst(content: Content, short: str) -> list[tuple[int, float]]:
    for rows in shown.one_image_rows(content.rows, short).values():
        ranked = sorted(((row.ap, row.train_id[0]) for row in rows if row.train_id), reverse=True)
        return [(number, score) for score, number in (ranked[0], ranked[-1])]
    published = facts.one_image(short)
    scores = dict(zip(map(int, published["train_id"]), published["cellseg1"], strict=True))
    return [(number, scores[number]) for number in _PUBLISHED_CHOICE[short]]


def extended_figure_1(content: Content) -> Figure:
    """A test image of each of the five sets, its truth and its prediction."""
    return _gallery(content, (*FIVE, "CPG"), "Extended figure 1")


def extended_figure_2(content: Content) -> Figure:
    """A test image of each group of TissueNet, its truth and its prediction."""
    return _gallery(content, TISSUES, "Extended figure 2")


def _gallery(content: Content, shorts: Sequence[str], name: str) -> Figure:
    found = [(short, *files) for short in shorts if (files := _first_test_image(content, short)) is not None]
    if not found:
        raise NothingToDrawError(
            f"{name} needs test images and their predictions: give --data with the prepared data sets and "
            "--predictions with a folder of label images for each."
        )
    blocks = 2
    rows = -(-len(found) // blocks)
    figure, every = new_figure(WIDTH / 6 * rows + 0.3, rows=rows, columns=3 * blocks)
    for place, (short, image, truth, prediction) in enumerate(found):
        left, middle, right = every[place * 3 : place * 3 + 3]
        left.imshow(picture(image))
        left.set_title(short)
        left.set_axis_off()
        show_cells(middle, image, truth, "truth")
        show_cells(right, image, prediction, "prediction")
    for axes in every[len(found) * 3 :]:
        axes.set_axis_off()
    return figure


def _first_test_image(content: Content, short: str) -> tuple[Path, Path, Path] | None:
    """Return the first test image that has a prediction, with its mask and prediction."""
    if content.data is None or content.predictions is None:
        return None
    name = DATA_SETS[short].name
    for image in images_in(content.data / name / "test" / "images"):
        for suffix in (".png", ".tif"):
            prediction = content.predictions / name / f"{image.stem}{suffix}"
            if prediction.is_file():
                return image, mask_of(image), prediction
    return None


def picture_of(folder: Path | None, stem: str) -> Path:
    """Return the file of a folder with a certain stem and any suffix.

    Raises
    ------
    NothingToDrawError
        When there is none.
    """
    found = [] if folder is None else [path for path in images_in(folder) if path.stem == stem]
    if not found:
        raise NothingToDrawError(
            "Extended figure 3 needs pictures: give --nms with a folder that holds image, box and mask."
        )
    return found[0]


def picture(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Return the first plane of an image as (H, W, 3) uint8, with stretched contrast."""
    return to_model_input(read_image(path).plane(), InputRule(outliers="leave_out"))


def show_cells(axes: Axes, image: Path, mask: Path, title: str) -> int:
    """Draw the outlines of cells over an image and return their number.

    Raises
    ------
    MaskError
        When the two differ in size.
    """
    shown_picture, labels = picture(image).copy(), as_labels(load(mask, as_labels=True).plane())
    if shown_picture.shape[:2] != labels.shape:
        raise MaskError(
            f"{mask} has {labels.shape} pixels and {image} has {shown_picture.shape[:2]}; give the label image of it."
        )
    edge = np.zeros(labels.shape, bool)
    for axis in (0, 1):
        differ = np.diff(labels, axis=axis) != 0
        edge |= np.pad(differ, [(0, 1) if one == axis else (0, 0) for one in (0, 1)])
        edge |= np.pad(differ, [(1, 0) if one == axis else (0, 0) for one in (0, 1)])
    shown_picture[edge & (labels > 0)] = _YELLOW
    axes.imshow(shown_picture)
    axes.set_title(title)
    axes.set_axis_off()
    return int(labels.max(initial=0))
