"""File to `Image` (array, axes, pixel size, channel names) to model input; tiles.

Never imports torch or Qt.  Decoding libraries are imported when they are first needed.
"""

from __future__ import annotations

from cellseg1.images.convert import InputRule, pick_channels, to_model_input
from cellseg1.images.image import Image, ImageInfo
from cellseg1.images.read import IMAGE_SUFFIXES, read_image, recognise
from cellseg1.images.specification import InputSpecification, PlaneChoice, parse_channels, plane_input
from cellseg1.images.tiles import (
    TileRule,
    make_tiles,
    resize_image,
    resize_mask,
    resize_to_short_edge,
    tile_starts,
)

__all__ = [
    "IMAGE_SUFFIXES",
    "Image",
    "ImageInfo",
    "InputRule",
    "InputSpecification",
    "PlaneChoice",
    "TileRule",
    "make_tiles",
    "parse_channels",
    "pick_channels",
    "plane_input",
    "read_image",
    "recognise",
    "resize_image",
    "resize_mask",
    "resize_to_short_edge",
    "tile_starts",
    "to_model_input",
]
