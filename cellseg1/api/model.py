"""Trained models and their results."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellseg1.api.checks import as_path
from cellseg1.errors import ImageError, ModelFileError
from cellseg1.files import PathLike
from cellseg1.images import Image, ImageLike, PlaneChoice, as_image
from cellseg1.masks import write_label_image
from cellseg1.measurement import CellTable, measure_cells
from cellseg1.model import Model as LoadedModel
from cellseg1.model import load_model
from cellseg1.prediction.candidates import Candidates
from cellseg1.prediction.overlay import overlay_picture
from cellseg1.prediction.pipeline import labels_pixel_size, write_overlay
from cellseg1.prediction.plane import fitted_labels, predict_plane
from cellseg1.prediction.select import select, select_settings
from cellseg1.settings import Settings

if TYPE_CHECKING:
    from cellseg1.images.specification import ChannelWish, PlaneWish


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Segmentation:
    """The cells of one plane.

    Attributes
    ----------
    labels
        (H, W) int32, 0 is background, the cells are 1..n without gaps.
    candidates
        All proposals of the network, including those that were not chosen.
    scores
        (n,) float32, the score that the network gives each cell; 1 is best.
    pixels
        (H, W, 3) uint8, what the network saw.
    notes
        Sentences about the image and its conversion to the network's input.
    pixel_size_um
        Height and width (y, x) of a pixel of the labels in micrometres; None when unknown.
    settings
        The settings that the cells were chosen with.

    Examples
    --------
    >>> import cellseg1
    >>> result = cellseg1.load("nuclei.cs1").segment("cells.png")
    >>> result.labels.shape == result.pixels.shape[:2]
    True
    >>> len(result) == int(result.labels.max()) == len(result.scores)
    True
    """

    labels: NDArray[np.int32]
    candidates: Candidates
    scores: NDArray[np.float32]
    pixels: NDArray[np.uint8]
    notes: tuple[str, ...]
    pixel_size_um: tuple[float, float] | None
    settings: Settings

    def __repr__(self) -> str:
        """Return one line; the arrays are in the attributes."""
        height, width = self.labels.shape
        return f"<Segmentation: {len(self)} cells in {height} x {width} pixels, {len(self.candidates)} proposals>"

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.scores)

    def choose(self, **thresholds: Any) -> Segmentation:
        """Choose cells again from the same proposals, without running the network.

        Parameters
        ----------
        thresholds
            Settings of the selection by name, such as ``pred_iou_thresh``, ``min_area`` or ``crop_nms_thresh``.

        Raises
        ------
        SettingsError
            When a setting is unknown or its value is out of range.

        Examples
        --------
        >>> import cellseg1
        >>> result = cellseg1.load("nuclei.cs1").segment("cells.png")
        >>> len(result.choose(pred_iou_thresh=0.99)) <= len(result)
        True
        """
        settings = self.settings.replace(**thresholds)
        selection = select(self.candidates, select_settings(settings))
        labels, kept = fitted_labels(selection, (self.pixels.shape[0], self.pixels.shape[1]), settings)
        return dataclasses.replace(self, labels=labels, scores=selection.score[kept], settings=settings)

    def measure(self) -> CellTable:
        """Measure every cell, see `cellseg1.measure`."""
        return measure_cells(self.labels, self.pixel_size_um)

    def overlay(self) -> NDArray[np.uint8]:
        """Return the network's input with the cell outlines drawn on it, (H, W, 3) uint8.

        Raises
        ------
        ImageError
            When labels and picture differ in size, as with the setting ``output_size="upstream"``.
        """
        if self.labels.shape != self.pixels.shape[:2]:
            raise ImageError(
                "The labels have another size than the image; save the overlay, which brings them together."
            )
        return overlay_picture(self.pixels, self.labels)

    def save(self, path: PathLike) -> None:
        """Write the cells; the suffix chooses the format.

        Parameters
        ----------
        path
            ``.png`` or ``.tif``: the label image (PNG up to 65,535 cells; TIFF keeps the pixel size).  ``.npz``: all
            proposals.  ``.jpg`` is refused, because it changes values.  An existing file is replaced in one step.

        Raises
        ------
        MaskError
            When the format is unknown or cannot hold the cells.
        OutputError
            When the file cannot be written.

        Examples
        --------
        >>> import cellseg1
        >>> result = cellseg1.load("nuclei.cs1").segment("cells.png")
        >>> result.save("cells_labels.tif")
        >>> bool((cellseg1.read_mask("cells_labels.tif").labels == result.labels).all())
        True
        """
        path = as_path(path, "The file to save")
        if path.suffix.lower() == ".npz":
            self.candidates.save(path)
        else:
            write_label_image(path, self.labels, pixel_size_um=self.pixel_size_um)

    def save_overlay(self, path: PathLike) -> None:
        """Write a PNG of the image with the cell outlines."""
        write_overlay(as_path(path, "The picture to save"), self.pixels, self.labels)


@dataclass(frozen=True, slots=True, repr=False)
class Model(LoadedModel):
    """A trained model, made by `load` or `train`.

    Attributes
    ----------
    card
        The record of its training: images with their hashes, cell size, settings, ``ap_training``.
    settings
        Settings of the training, with the caller's changes.
    input
        The input specification: channels, and how grey values are scaled.
    scale
        Factor by which an image is enlarged before the network sees it.
    file
        The model file; None when the model was never saved.
    """

    def __repr__(self) -> str:
        """Return one line; torch's own text has thousands."""
        ap = "" if self.card.ap_training is None else f", AP@0.5 {self.card.ap_training:.2f} on its training images"
        return f"<Model: {self.card.backbone}, {self.file or 'not saved'}{ap}>"

    def segment(
        self,
        image: ImageLike,
        *,
        channels: ChannelWish | None = None,
        plane: PlaneWish | None = None,
        axes: str | None = None,
        scale: float | None = None,
        progress: Callable[[float], None] | None = None,
        stop: Callable[[], bool] | None = None,
    ) -> Segmentation:
        """Find the cells of one plane.

        Parameters
        ----------
        image
            A file, a NumPy array, or what `read_image` returned.
        channels
            One to three channels for the network, by name or number (from 0); None: those of the training.
        plane
            Plane of a stack: ``"z=3"``, ``"z=3,t=0"`` or ``{"z": 3}``, counted from 0.
        axes
            One letter per axis of the array, such as ``"ZCYX"``; None: from the file, else guessed.
        scale
            Factor by which the image is enlarged before the network sees it; None takes the model's.
        progress
            Called with the finished share, 0 to 1.
        stop
            Called often; True ends the work with `StoppedError`.

        Raises
        ------
        ImageError
            When the image cannot be used, or has several planes and none was named.
        TypeError
            When `image` is neither a file nor an array.

        Examples
        --------
        >>> import cellseg1
        >>> model = cellseg1.load("nuclei.cs1")
        >>> pixels = cellseg1.read_image("cells.png").array
        >>> model.segment(pixels).labels.shape == pixels.shape[:2]
        True
        """
        opened = as_image(image, axes)
        z, t = _one_plane(opened, plane)
        used = self.with_channels(channels)
        found = predict_plane(used, opened, z=z, t=t, scale=scale, progress=progress, stop=stop)
        size = labels_pixel_size(found.labels, found.pixels, opened.info.pixel_size_um)
        notes = (*opened.info.notes, *found.notes)
        return Segmentation(found.labels, found.candidates, found.scores, found.pixels, notes, size, self.settings)

    def save(self, path: PathLike) -> None:
        """Write the model as ``.cs1``, or as ``.pth`` in the published format; an existing file is not replaced.

        Raises
        ------
        ModelFileError
            When the file exists.
        OutputError
            When the name has another suffix, or the file cannot be written.

        Examples
        --------
        >>> import cellseg1
        >>> cellseg1.load("nuclei.cs1").save("copy.cs1")
        >>> cellseg1.load("copy.cs1").card.backbone
        'tiny'
        """
        from cellseg1.training.plan import check_model_name
        from cellseg1.training.record import save_trained

        path = as_path(path, "The model file")
        check_model_name(path)
        try:
            save_trained(path, self.module, self.card, new=True)
        except FileExistsError as error:
            raise ModelFileError(f"{path} exists and is not replaced; give another name.") from error


def load(
    path: PathLike,
    *,
    device: str = "auto",
    settings: Mapping[str, Any] | None = None,
    backbone_weights: PathLike | None = None,
) -> Model:
    """Load a model.

    Parameters
    ----------
    path
        A ``.cs1`` file, or a published ``.pth`` adapter.
    device
        ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
    settings
        Settings by name that replace those stored in the model, such as ``{"pred_iou_thresh": 0.6}``.
    backbone_weights
        Weights file of the backbone; None: the installed one.

    Raises
    ------
    ModelFileError, BackboneError, SettingsError
        When a file is missing, damaged or does not fit.

    Examples
    --------
    >>> import cellseg1
    >>> model = cellseg1.load("nuclei.cs1", device="cpu", settings={"min_area": 5})
    >>> model.settings.selection.min_area
    5
    """
    weights = None if backbone_weights is None else as_path(backbone_weights, "The file of the backbone")
    path = as_path(path, "A model file")
    return usable(load_model(path, device=device, overrides=settings, backbone_weights=weights))


def usable(model: LoadedModel) -> Model:
    """Return a loaded model as a public `Model`."""
    if isinstance(model, Model):
        return model
    return Model(**{one.name: getattr(model, one.name) for one in dataclasses.fields(model)})


def as_model(model: LoadedModel | PathLike) -> Model:
    """Return a model; a path is loaded."""
    return usable(model) if isinstance(model, LoadedModel) else load(model)


def _one_plane(image: Image, wish: PlaneWish | None) -> tuple[int, int]:
    planes = PlaneChoice.parse(wish).of(image)
    if len(planes) > 1:
        where = image.info.path or "The image"
        sizes = [f"{name} = 0 to {count - 1}" for name, count in (("z", image.n_z), ("t", image.n_t)) if count > 1]
        raise ImageError(
            f"{where} has {len(planes)} planes to choose from ({', '.join(sizes)}); name one, for example plane='z=0', "
            "or segment all of a file with segment_folder."
        )
    return planes[0]
