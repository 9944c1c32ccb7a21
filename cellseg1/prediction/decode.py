"""Asking the network: views of an image -> proposals (`Candidates`).

Everything that is decided here is fixed for a run and recorded with it; what the user may change afterwards (score,
stability, overlap, size) is decided in `cellseg1.prediction.select`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cellseg1.prediction.candidates import Candidates, MaskPacker
from cellseg1.prediction.sparing import SparingPrompts
from cellseg1.prediction.views import View, plan_views
from cellseg1.sam.interface import Backbone, Decoded
from cellseg1.sam.memory import exhausted, is_out_of_memory
from cellseg1.sam.precision import autocast_dtype
from cellseg1.settings import Settings

#: Masks that come nearer than this (pixels) to an inner edge of their view are left to another view (SAM's value).
EDGE_TOLERANCE = 20.0

Pixels = NDArray[np.uint8]
Crop = tuple[NDArray[np.bool_], tuple[int, int]]


@dataclass(slots=True)
class _Found:
    masks: MaskPacker
    score: list[float]
    stability: list[float]
    point: list[tuple[float, float]]
    view: list[int]


def find_candidates(
    model: Backbone,
    image: Pixels,
    settings: Settings,
    *,
    scale: float = 1.0,
    progress: Callable[[float], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Candidates | None:
    """Ask the network everywhere in one image.

    Parameters
    ----------
    image
        (H, W, 3) uint8 model input of any size.
    scale
        Factor by which the image is enlarged before the network sees it; results are in pixels of `image`.
    progress
        Called with the share done, 0 to 1.
    stop
        Asked before every view; True gives None.

    Raises
    ------
    ResourceExhaustedError
        When memory is not enough even for a few prompts at a time.
    """
    shape = (image.shape[0], image.shape[1])
    scaled = _scaled(image, scale)
    views = plan_views((scaled.shape[0], scaled.shape[1]), settings)
    floor = min(
        settings.prediction.candidate_floor,
        settings.selection.pred_iou_thresh,
        settings.selection.stability_score_thresh,
    )
    found = _Found(MaskPacker(), [], [], [], [])
    tiles = settings.prediction.view_plan == "tiles"
    module = model
    assert isinstance(module, nn.Module)
    was_training = module.training
    module.eval()
    autocast = autocast_dtype(model.device_of()) if settings.environment.precision == "auto" else None
    try:
        for number, view in enumerate(views):
            if stop is not None and stop():
                return None
            for numbers, decoded in _decode_view(model, scaled, view, settings, floor, autocast):
                reader = _window_masks if tiles else _full_masks
                for mask in reader(decoded, numbers, view, settings, floor, shape, scaled.shape[:2]):
                    found.masks.add(*mask[0])
                    found.stability.append(mask[1])
                    found.score.append(mask[2])
                    found.point.append(mask[3])
                    # In the tiles plan the windows are one view of one image; nothing is seen twice on purpose.
                    found.view.append(0 if tiles else number)
            if progress is not None:
                progress((number + 1) / len(views))
    finally:
        module.train(was_training)
    boxes = [[0, 0, shape[1], shape[0]]] if tiles else [list(view.box) for view in views]
    fixed = {
        "floor": floor,
        "stability_score_offset": settings.selection.stability_score_offset,
        "view_plan": settings.prediction.view_plan,
        "scale": scale,
    }
    return Candidates.from_masks(
        found.masks,
        shape,
        score=found.score,
        stability=found.stability,
        point_xy=np.array(found.point, np.float32).reshape(-1, 2),
        view=found.view,
        view_boxes=boxes,
        settings=fixed,
    )


def _scaled(image: Pixels, scale: float) -> Pixels:
    if scale == 1.0:
        return image
    height, width = image.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(image, size, interpolation=way), dtype=np.uint8)


def view_pixels(image: Pixels, view: View) -> Tensor:
    """Cut a view out of an image and scale it to the model input: (1, 3, h, w) float 0..255.

    The antialiased bilinear filter of Pillow, as SAM's predictor uses it.
    """
    from PIL import Image

    x0, y0, x1, y1 = view.box
    part = image[y0:y1, x0:x1]
    if part.shape[:2] != view.size:
        part = np.asarray(
            Image.fromarray(part).resize((view.size[1], view.size[0]), Image.Resampling.BILINEAR), dtype=np.uint8
        )
    return torch.from_numpy(np.array(part)).permute(2, 0, 1)[None].float()


def _decode_view(
    model: Backbone, image: Pixels, view: View, settings: Settings, floor: float, autocast: torch.dtype | None
) -> Iterator[tuple[NDArray[np.int64], Decoded]]:
    """Encode a view and decode its prompts, batch by batch; a batch that does not fit into memory is halved.

    Yields the numbers of the batch's prompts with their answers.
    """
    device = model.device_of()
    batch = settings.prediction.points_per_batch

    def cast() -> torch.autocast:
        return torch.autocast(device.type, dtype=autocast or torch.bfloat16, enabled=autocast is not None)

    try:
        with torch.no_grad(), cast():
            embedding = model.encode(view_pixels(image, view).to(device))
    except (RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise exhausted(device, "this prediction") from error
        raise
    sparing = SparingPrompts(view.prompts) if settings.prediction.prompt_rule == "sparing" else None
    waiting = np.arange(len(view.prompts)) if sparing is None else sparing.first()
    while len(waiting):
        numbers = waiting[:batch]
        points = view.prompts[numbers]
        prompts = torch.from_numpy(points.astype(np.float32)).to(device)[:, None]
        labels = torch.ones(prompts.shape[:2], dtype=torch.int64, device=device)
        index = torch.zeros(len(points), dtype=torch.int64, device=device)
        try:
            with torch.no_grad(), cast():
                decoded = model.decode(embedding, prompts, labels, index, min_score=floor)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            if batch == 1:
                raise exhausted(device, "this prediction") from error
            batch = max(1, batch // 2)
            if device.type == "cuda":
                torch.cuda.empty_cache()
            continue
        yield numbers, decoded
        waiting = waiting[len(numbers) :]
        if sparing is not None:
            sparing.note(numbers, decoded)
            if not len(waiting):
                waiting = sparing.rest()


_Mask = tuple[Crop, float, float, tuple[float, float]]


def _full_masks(
    decoded: Decoded,
    numbers: NDArray[np.int64],
    view: View,
    settings: Settings,
    floor: float,
    shape: tuple[int, int],
    scaled_shape: tuple[int, ...],
) -> Iterator[_Mask]:
    """Masks of a backbone that decodes the whole view, read as SAM reads them.

    Logits are enlarged to the model's square input, the padding is cut off, and the rest is brought to the size of
    the view; stability and thresholds are taken there.
    """
    x0, y0, x1, y1 = view.box
    height, width = y1 - y0, x1 - x0
    if not len(decoded.kept):
        return
    kept = decoded.kept.cpu().numpy()
    scores = decoded.scores.float().cpu().numpy()
    in_image = view.prompts_in_image()
    offset = settings.selection.stability_score_offset
    # A few at a time: a full-size mask of logits is a megabyte and more.
    for start in range(0, len(kept), 16):
        logits = _whole_view_logits(decoded, slice(start, start + 16), view)
        logits = F.interpolate(logits[:, None], (height, width), mode="bilinear", align_corners=False)[:, 0]
        inner = (logits > offset).sum((1, 2)).float()
        outer = (logits > -offset).sum((1, 2)).float()
        # No pixel at all is 0/0: never stable, as upstream (nan >= threshold is false).
        stability = torch.where(outer > 0, inner / outer.clamp(min=1), torch.zeros_like(inner)).cpu().numpy()
        masks = (logits > 0).cpu().numpy()
        for mask, steady, which in zip(masks, stability, kept[start : start + 16], strict=True):
            if steady < floor:
                continue
            if _touches_inner_edge(mask, view.box, (scaled_shape[0], scaled_shape[1])):
                continue
            crop = _to_image(mask, (x0, y0), (scaled_shape[0], scaled_shape[1]), shape)
            px, py = in_image[numbers[which]] * (shape[1] / scaled_shape[1], shape[0] / scaled_shape[0])
            yield crop, float(steady), float(scores[which]), (float(px), float(py))


def _whole_view_logits(decoded: Decoded, part: slice, view: View) -> Tensor:
    """Logits (K, h, w) at one value per pixel of the view's model input."""
    logits = decoded.logits[part].float()
    stride = decoded.stride
    if bool((decoded.origin[part] == 0).all()) and logits.shape[-1] * stride >= max(view.size):
        full = (logits.shape[-2] * stride, logits.shape[-1] * stride)
        enlarged = F.interpolate(logits[:, None], full, mode="bilinear", align_corners=False)[:, 0]
        return enlarged[:, : view.size[0], : view.size[1]]
    # A backbone that decodes in windows: outside its window a mask is certainly not there.
    side = logits.shape[-1] * stride
    enlarged = F.interpolate(logits[:, None], (side, side), mode="bilinear", align_corners=False)[:, 0]
    canvas = enlarged.new_full((len(logits), *view.size), -20.0)
    for row, (corner, window) in enumerate(zip(decoded.origin[part].tolist(), enlarged, strict=True)):
        x, y = corner
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + side, view.size[1]), min(y + side, view.size[0])
        if right > left and bottom > top:
            canvas[row, top:bottom, left:right] = window[top - y : bottom - y, left - x : right - x]
    return canvas


def _touches_inner_edge(mask: NDArray[np.bool_], box: tuple[int, int, int, int], shape: tuple[int, int]) -> bool:
    """Tell whether a mask's box comes within `EDGE_TOLERANCE` of a view's edge that is not an edge of the image."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    x0, y0 = box[:2]
    own = (
        (columns[0] + x0, rows[0] + y0, columns[-1] + x0, rows[-1] + y0)
        if len(rows)
        # SAM gives an empty mask the box of a single corner.
        else (x0, y0, x0, y0)
    )
    image = (0, 0, shape[1], shape[0])
    return any(
        abs(edge - inner) <= EDGE_TOLERANCE and abs(edge - outer) > EDGE_TOLERANCE
        for edge, inner, outer in zip(own, box, image, strict=True)
    )


def _to_image(
    mask: NDArray[np.bool_], corner: tuple[int, int], scaled: tuple[int, int], shape: tuple[int, int]
) -> Crop:
    """Bring a mask of the rescaled image back to the pixels of the image."""
    if scaled == shape:
        return mask, corner
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return np.zeros((0, 0), bool), (0, 0)
    factor_y, factor_x = shape[0] / scaled[0], shape[1] / scaled[1]
    top, left = rows[0] + corner[1], columns[0] + corner[0]
    bottom, right = rows[-1] + 1 + corner[1], columns[-1] + 1 + corner[0]
    y0, x0 = int(top * factor_y), int(left * factor_x)
    y1, x1 = min(shape[0], int(np.ceil(bottom * factor_y))), min(shape[1], int(np.ceil(right * factor_x)))
    from_y = ((np.arange(y0, y1) + 0.5) / factor_y - corner[1]).astype(int).clip(0, mask.shape[0] - 1)
    from_x = ((np.arange(x0, x1) + 0.5) / factor_x - corner[0]).astype(int).clip(0, mask.shape[1] - 1)
    return mask[np.ix_(from_y, from_x)], (x0, y0)


def _window_masks(
    decoded: Decoded,
    numbers: NDArray[np.int64],
    view: View,
    settings: Settings,
    floor: float,
    shape: tuple[int, int],
    scaled_shape: tuple[int, ...],
) -> Iterator[_Mask]:
    """Masks of the tiles plan: each is read in its own box, directly at the resolution of the image."""
    kept = decoded.kept.cpu().numpy()
    scores = decoded.scores.float().cpu().numpy()
    logits = decoded.logits.float().cpu().numpy()
    origin = decoded.origin.cpu().numpy()
    offset = settings.selection.stability_score_offset
    x0, y0 = view.box[:2]
    # Model-input pixels per image pixel; 1 in both directions when the image was not rescaled.
    zoom = (scaled_shape[1] / shape[1], scaled_shape[0] / shape[0])
    for row, which in enumerate(kept):
        corner = (origin[row, 0] + x0, origin[row, 1] + y0)
        found = _read_window(logits[row], corner, decoded.stride, zoom, shape, offset, view, scaled_shape)
        if found is None or found[1] < floor:
            continue
        x, y = view.prompts[numbers[which]]
        px = (x + x0 + 0.5) / zoom[0] - 0.5
        py = (y + y0 + 0.5) / zoom[1] - 0.5
        yield found[0], found[1], float(scores[which]), (float(px), float(py))


def _read_window(
    logits: NDArray[np.float32],
    corner: tuple[int, int],
    stride: int,
    zoom: tuple[float, float],
    shape: tuple[int, int],
    offset: float,
    view: View,
    scaled_shape: tuple[int, ...],
) -> tuple[Crop, float] | None:
    """Threshold one window of logits at the image's resolution; None when it holds nothing or leaves its view."""
    near = logits > -offset
    rows, columns = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
    if not len(rows):
        return None
    if _leaves_view(logits > 0, corner, stride, view, scaled_shape):
        return None
    # One value more on every side: the enlarged mask reaches half a value beyond the last positive one.
    top, bottom = max(rows[0] - 1, 0), min(rows[-1] + 2, logits.shape[0])
    left, right = max(columns[0] - 1, 0), min(columns[-1] + 2, logits.shape[1])
    x_from = max(0, int(np.floor((corner[0] + left * stride) / zoom[0])))
    x_to = min(shape[1], int(np.ceil((corner[0] + right * stride) / zoom[0])))
    y_from = max(0, int(np.floor((corner[1] + top * stride) / zoom[1])))
    y_to = min(shape[0], int(np.ceil((corner[1] + bottom * stride) / zoom[1])))
    if x_to <= x_from or y_to <= y_from:
        return None
    # Centre of image pixel X lies at ((X + 0.5) * zoom - corner) / stride - 0.5 of the grid of logits.
    step_x, step_y = zoom[0] / stride, zoom[1] / stride
    start_x = ((x_from + 0.5) * zoom[0] - corner[0]) / stride - 0.5
    start_y = ((y_from + 0.5) * zoom[1] - corner[1]) / stride - 0.5
    matrix = np.array([[step_x, 0, start_x], [0, step_y, start_y]])
    fine = cv2.warpAffine(
        logits,
        matrix,
        (x_to - x_from, y_to - y_from),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    outer = np.count_nonzero(fine > -offset)
    if outer == 0:
        return None
    stability = np.count_nonzero(fine > offset) / outer
    return (np.asarray(fine > 0), (x_from, y_from)), float(stability)


def _leaves_view(
    mask: NDArray[np.bool_], corner: tuple[int, int], stride: int, view: View, scaled_shape: tuple[int, ...]
) -> bool:
    """Tell whether a mask reaches an inner edge of its tile; a neighbouring tile then sees it whole."""
    x0, y0, x1, y1 = view.box
    if (x0, y0, x1, y1) == (0, 0, scaled_shape[1], scaled_shape[0]):
        return False
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return False
    left, right = corner[0] + columns[0] * stride, corner[0] + (columns[-1] + 1) * stride
    top, bottom = corner[1] + rows[0] * stride, corner[1] + (rows[-1] + 1) * stride
    return bool(
        (x0 > 0 and left <= x0)
        or (y0 > 0 and top <= y0)
        or (x1 < scaled_shape[1] and right >= x1)
        or (y1 < scaled_shape[0] and bottom >= y1)
    )
