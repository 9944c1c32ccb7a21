"""Clicks in an engine: an image is encoded once, then every click takes milliseconds.  Never imports Qt."""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from cellseg1.errors import CellSeg1Error, ImageError

from ..arrays import pack
from ..messages import Click, Done, Encode, Encoded, Masks, Skipped
from .answers import answer
from .failure import explain, is_memory_error

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from cellseg1.images import Image
    from cellseg1.masks import Box
    from cellseg1.model import Model
    from cellseg1.prediction.views import View
    from cellseg1.sam.interface import Decoded, Embedding

    from ..messages import Answer, EngineOptions, Request
    from .channel import Channel

#: Images that stay prepared, parts of each of them, and models that stay loaded.
KEPT_IMAGES, KEPT_PARTS, KEPT_MODELS = 4, 16, 2
#: Kinds of prompt points, as SAM numbers them.
_OUTSIDE, _INSIDE, _TOP_LEFT, _BOTTOM_RIGHT = 0, 1, 2, 3


def serve(channel: Channel, options: EngineOptions) -> None:
    """Answer requests until there are no more."""
    from cellseg1.sam.device import quiet_cpu

    quiet_cpu(options.threads)
    clicks = Clicks()
    while (entry := channel.next()) is not None:
        number, request = entry
        if is_overtaken(request, channel.waiting()):
            channel.send(number, Skipped())
            continue
        try:
            channel.send(number, _answer(clicks, request))
        except Exception as error:  # noqa: BLE001 - whatever it is, the window must hear of it
            channel.send(number, explain(error))


def is_overtaken(request: Request, later: list[Request]) -> bool:
    """Tell whether later requests make this one pointless: a newer click, or an image that was left."""
    if isinstance(request, Click):
        return any(isinstance(one, Click) and one.key == request.key for one in later)
    if isinstance(request, Encode):
        wanted = any(isinstance(one, Click | Encode) and one.key == request.key for one in later)
        return not wanted and any(isinstance(one, Encode) for one in later)
    return False


def _answer(clicks: Clicks, request: Request) -> Answer:
    match request:
        case Encode():
            return clicks.encode(request)
        case Click():
            return clicks.click(request)
    return Done(answer(request))


class Prepared:
    """One image, ready for clicks.

    Attributes
    ----------
    pixels
        (h, w, 3) uint8, at the model's scale.
    shape
        (H, W) of the image.
    views
        The parts that the network looks at, each encoded when it is first needed.
    """

    def __init__(self, model: Model, image: NDArray[np.uint8], scale: float) -> None:
        import cv2
        import numpy as np

        from cellseg1.images import resize_image
        from cellseg1.prediction.views import plan_views

        self.model = model
        self.shape = (image.shape[0], image.shape[1])
        if model.settings.data.resize_size is not None:
            image = np.asarray(resize_image(image, model.settings.data.resize_size), dtype=np.uint8)
        if scale != 1.0:
            size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
            way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
            image = np.asarray(cv2.resize(image, size, interpolation=way), dtype=np.uint8)
        self.pixels = image
        # Crops of a pyramid see nothing that its windows do not.
        self.views = plan_views((image.shape[0], image.shape[1]), model.settings.replace(crop_n_layers=0))
        self.zoom = (image.shape[1] / self.shape[1], image.shape[0] / self.shape[0])
        self._parts: OrderedDict[int, Embedding] = OrderedDict()

    def part_at(self, x: float, y: float) -> tuple[View, Embedding]:
        """Return the part in which a place of the image lies deepest, and what the encoder made of it."""
        import torch

        from cellseg1.prediction.decode import view_pixels

        u, v = x * self.zoom[0], y * self.zoom[1]
        depth = [min(u - x0, x1 - u, v - y0, y1 - v) for x0, y0, x1, y1 in (view.box for view in self.views)]
        number = max(range(len(depth)), key=depth.__getitem__)
        view = self.views[number]
        if number not in self._parts:
            with torch.no_grad(), _cast(self.model):
                pixels = view_pixels(self.pixels, view).to(self.model.backbone.device_of())
                self._parts[number] = self.model.backbone.encode(pixels)
            while len(self._parts) > KEPT_PARTS:
                self._parts.popitem(last=False)
        self._parts.move_to_end(number)
        return view, self._parts[number]


class Clicks:
    """The prepared images and loaded models."""

    def __init__(self) -> None:
        self._images: OrderedDict[str, tuple[tuple[Any, ...], Prepared]] = OrderedDict()
        self._models: OrderedDict[tuple[Any, ...], Model] = OrderedDict()

    def encode(self, request: Encode) -> Encoded:
        """Prepare an image, unless it already is."""
        started = time.monotonic()
        identity = (
            *(request.model, _changed(request), request.backbone, request.device),
            *(request.scale, request.channels, request.channel_names),
        )
        known = self._images.get(request.key)
        if known is not None and known[0] == identity:
            self._images.move_to_end(request.key)
            return Encoded(request.key, 0.0, cached=True)
        try:
            prepared = self._prepare(request, request.device)
        except (RuntimeError, MemoryError, CellSeg1Error) as error:
            # The GPU may be full of a training; the processor is slow for an image, but quick for a click.
            if not is_memory_error(error) or request.device == "cpu":
                raise
            prepared = self._prepare(request, "cpu")
        self._images[request.key] = (identity, prepared)
        self._images.move_to_end(request.key)
        while len(self._images) > KEPT_IMAGES:
            self._images.popitem(last=False)
        return Encoded(request.key, time.monotonic() - started)

    def _prepare(self, request: Encode, device: str) -> Prepared:
        import numpy as np

        from cellseg1.images import plane_input

        model = self._model(request, device).with_channels(request.channels or None)
        if request.pixels is None:
            raise ImageError("There is no image to prepare; open one first.")
        plane = request.pixels.read()
        if request.raw:
            plane = plane_input(_as_image(plane, request), model.input).pixels
        if plane.dtype != np.uint8 or plane.ndim != 3 or plane.shape[2] != 3:
            raise ImageError(f"An image of shape {plane.shape} and type {plane.dtype} cannot be prepared for clicks.")
        prepared = Prepared(model, plane, model.scale if request.scale is None else request.scale)
        x, y = request.at or (plane.shape[1] / 2, plane.shape[0] / 2)
        prepared.part_at(x, y)
        return prepared

    def _model(self, request: Encode, device: str) -> Model:
        from .predict import make_model

        key = (request.model, _changed(request), request.backbone, device)
        if key not in self._models:
            self._models[key] = make_model(request.model, request.backbone, device, {})
            while len(self._models) > KEPT_MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(key)
        return self._models[key]

    def click(self, request: Click) -> Masks:
        """Find the cell at the places of a click."""
        import numpy as np

        started = time.monotonic()
        known = self._images.get(request.key)
        if known is None:
            raise ImageError("This image is not prepared for clicks any more; click again.")
        self._images.move_to_end(request.key)
        prepared = known[1]
        inside = [(x, y) for x, y, kind in request.points if kind]
        if not inside and request.box is None:
            return Masks(request.key, (0, 0, 0, 0), pack(np.zeros((0, 0), bool)), 0.0)
        if request.box is not None:
            top, left, bottom, right = request.box
            middle = ((left + right) / 2, (top + bottom) / 2)
        else:
            middle = (sum(x for x, _ in inside) / len(inside), sum(y for _, y in inside) / len(inside))
        view, embedding = prepared.part_at(*middle)
        decoded = _decode(prepared, view, embedding, request.points, request.box)
        mask, box = read_mask(decoded, view, prepared.zoom, prepared.shape)
        for x, y, kind in request.points:
            if not kind and _holds(mask, box, x, y):
                # The network did not believe it: what it takes for the cell at that place is taken away.
                other = _decode(prepared, view, embedding, ((x, y, 1),), None)
                mask = _carved(mask, box, read_mask(other, view, prepared.zoom, prepared.shape), (x, y), inside)
        mask, box = _one_piece(mask, box, inside, outside=any(not kind for *_, kind in request.points))
        score = min(1.0, max(0.0, float(decoded.scores[0])))
        return Masks(request.key, box, pack(mask), score, time.monotonic() - started)


def _as_image(plane: NDArray[Any], request: Encode) -> Image:
    """Return a plane as an image, with the window's metadata."""
    import numpy as np

    from cellseg1.images import Image, ImageInfo

    colour = request.colour if request.colour is not None else plane.ndim == 3 and plane.dtype == np.uint8
    colour = bool(colour) and plane.ndim == 3 and plane.shape[2] == 3
    axes = "YX" if plane.ndim == 2 else "YXS" if colour else "CYX"
    array = np.moveaxis(plane, 2, 0) if axes == "CYX" else plane
    info = ImageInfo(None, "", axes, array.shape, str(array.dtype), request.channel_names)
    return Image(array, info)


def _changed(request: Encode) -> tuple[int, int] | None:
    """Time and size of the model's file: a training that was resumed writes the same name again."""
    if request.model is None or not request.model.exists():
        return None
    stat = request.model.stat()
    return stat.st_mtime_ns, stat.st_size


def _cast(model: Model) -> Any:
    import torch

    from cellseg1.sam.precision import autocast_dtype

    device = model.backbone.device_of()
    kind = autocast_dtype(device) if model.settings.environment.precision == "auto" else None
    return torch.autocast(device.type, dtype=kind or torch.bfloat16, enabled=kind is not None)


def _decode(
    prepared: Prepared,
    view: View,
    embedding: Embedding,
    prompts: tuple[tuple[float, float, int], ...],
    around: tuple[float, float, float, float] | None,
) -> Decoded:
    """Ask the decoder for one mask; the prompts go from pixels of the image to pixels of the model input."""
    import torch

    entries = [(x, y, _INSIDE if kind else _OUTSIDE) for x, y, kind in prompts]
    if around is not None:
        top, left, bottom, right = around
        entries += [(left, top, _TOP_LEFT), (right, bottom, _BOTTOM_RIGHT)]
    x0, y0, x1, y1 = view.box
    across, down = view.size[1] / (x1 - x0), view.size[0] / (y1 - y0)
    # The network counts from the centre of the first pixel.
    places = [
        ((x * prepared.zoom[0] - x0) * across - 0.5, (y * prepared.zoom[1] - y0) * down - 0.5) for x, y, _ in entries
    ]
    backbone = prepared.model.backbone
    device = backbone.device_of()
    points = torch.tensor([places], dtype=torch.float32, device=device)
    labels = torch.tensor([[kind for _, _, kind in entries]], dtype=torch.int64, device=device)
    index = torch.zeros(1, dtype=torch.int64, device=device)
    with torch.no_grad(), _cast(prepared.model):
        return backbone.decode(embedding, points, labels, index)


def read_mask(
    decoded: Decoded, view: View, zoom: tuple[float, float], shape: tuple[int, int]
) -> tuple[NDArray[np.bool_], Box]:
    """Threshold the first mask of an answer at the resolution of the image; returns it with its place.

    Parameters
    ----------
    zoom
        Pixels of the scaled image per pixel of the image, in x and y.
    shape
        (H, W) of the image.
    """
    import cv2
    import numpy as np

    nothing = np.zeros((0, 0), bool), (0, 0, 0, 0)
    if not len(decoded.kept):
        return nothing
    logits = decoded.logits[0].float().cpu().numpy()
    rows, columns = np.flatnonzero((logits > 0).any(axis=1)), np.flatnonzero((logits > 0).any(axis=0))
    if not len(rows):
        return nothing
    x0, y0, x1, y1 = view.box
    corner = decoded.origin[0].tolist()
    spans = []
    for axis, (found, low, high, size) in enumerate(((columns, x0, x1, view.size[1]), (rows, y0, y1, view.size[0]))):
        # Values of the grid of logits per pixel of the image, and the place of the image's origin on that grid.
        input_per_scaled = size / (high - low)
        step = zoom[axis] * input_per_scaled / decoded.stride
        origin = (-low * input_per_scaled - corner[axis]) / decoded.stride
        # One value more on every side: the enlarged mask reaches half a value beyond the last positive one.
        first = (found[0] - 1 - origin) / step
        last = (found[-1] + 2 - origin) / step
        limit = shape[1 - axis]
        start = max(0, math.floor(max(first, low / zoom[axis])))
        end = min(limit, math.ceil(min(last, high / zoom[axis])))
        spans.append((start, end, step, (start + 0.5) * step + origin - 0.5))
    (left, right, step_x, start_x), (top, bottom, step_y, start_y) = spans
    if right <= left or bottom <= top:
        return nothing
    fine = cv2.warpAffine(
        logits,
        np.array([[step_x, 0, start_x], [0, step_y, start_y]]),
        (right - left, bottom - top),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(fine > 0), (top, left, bottom, right)


def _holds(mask: NDArray[np.bool_], box: Box, x: float, y: float) -> bool:
    """Tell whether a place of the image lies in a mask."""
    row, column = math.floor(y) - box[0], math.floor(x) - box[1]
    return 0 <= row < mask.shape[0] and 0 <= column < mask.shape[1] and bool(mask[row, column])


def _carved(
    mask: NDArray[np.bool_],
    box: Box,
    other: tuple[NDArray[np.bool_], Box],
    away: tuple[float, float],
    inside: list[tuple[float, float]],
) -> NDArray[np.bool_]:
    """Take another cell out of a mask.

    Pixels that belong to both stay with the nearest place: `away`, which must not be in the mask, or one of `inside`.
    """
    import numpy as np

    top, left, bottom, right = box
    rows, columns = np.mgrid[top:bottom, left:right] + 0.5
    distance = (columns - away[0]) ** 2 + (rows - away[1]) ** 2
    nearer = np.ones(mask.shape, bool)
    for x, y in inside:
        nearer &= distance < (columns - x) ** 2 + (rows - y) ** 2
    taken = np.zeros(mask.shape, bool)
    found, (first, start, last, end) = other
    y0, y1, x0, x1 = max(top, first), min(bottom, last), max(left, start), min(right, end)
    if y1 > y0 and x1 > x0:
        taken[y0 - top : y1 - top, x0 - left : x1 - left] = found[y0 - first : y1 - first, x0 - start : x1 - start]
    # The place itself goes in any case, with its surroundings.
    taken |= distance <= 4
    return mask & ~(taken & nearer)


def _one_piece(
    mask: NDArray[np.bool_], box: Box, inside: list[tuple[float, float]], *, outside: bool
) -> tuple[NDArray[np.bool_], Box]:
    """Keep the pieces that were clicked, else the largest one, without holes, in a tight box."""
    import cv2
    import numpy as np
    from scipy.ndimage import binary_fill_holes

    count, pieces = cv2.connectedComponents(mask.astype(np.uint8), connectivity=4) if mask.size else (0, mask)
    if count < 2:
        return np.zeros((0, 0), bool), (0, 0, 0, 0)
    clicked: set[int] = set()
    for x, y in inside:
        if _holds(mask, box, x, y):
            clicked.add(int(pieces[math.floor(y) - box[0], math.floor(x) - box[1]]))
    if not clicked:
        clicked = {1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))}
    kept = np.isin(pieces, sorted(clicked))
    # A hole that was asked for stays.
    kept = binary_fill_holes(kept) if not outside else kept
    rows, columns = np.flatnonzero(kept.any(axis=1)), np.flatnonzero(kept.any(axis=0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    tight = np.ascontiguousarray(kept[top:bottom, left:right])
    return tight, (box[0] + top, box[1] + left, box[0] + bottom, box[1] + right)
