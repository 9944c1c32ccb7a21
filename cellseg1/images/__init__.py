"""File to `Image` (array, axes, pixel size, channel names) to model input; tiles.

Never imports torch or Qt.  Decoding libraries are imported when they are first needed.
"""

from __future__ import annotations

from cellseg1.images.convert import InputRule, pick_channels, to_model_input
from cellseg1.images.formats import READERS, Reader, readable_suffixes, stack_suffixes
from cellseg1.images.image import Image, ImageInfo
from cellseg1.images.memory import ImageLike, as_image
from cellseg1.images.read import read_image, recognise
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
    "READERS",
    "Image",
    "ImageInfo",
    "ImageLike",
    "InputRule",
    "InputSpecification",
    "PlaneChoice",
    "Reader",
    "TileRule",
    "as_image",
    "make_tiles",
    "parse_channels",
    "pick_channels",
    "plane_input",
    "read_image",
    "readable_suffixes",
    "recognise",
    "resize_image",
    "resize_mask",
    "resize_to_short_edge",
    "stack_suffixes",
    "tile_starts",
    "to_model_input",
]
