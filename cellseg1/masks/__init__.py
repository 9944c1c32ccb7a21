"""Label images: numbering, editing, reading and writing mask files, pairing them with images, checking them.

Never imports torch or Qt.
"""

from __future__ import annotations

from cellseg1.masks.check import cell_areas, look_at_labels, look_at_masks, median_cell_diameter
from cellseg1.masks.edit import (
    Box,
    Selector,
    box_of,
    clean,
    delete,
    erase,
    fill_holes,
    merge,
    paint,
    split,
    union,
)
from cellseg1.masks.ids import components, relabel_sequential, remap_colours
from cellseg1.masks.kinds import PIECES, Pieces
from cellseg1.masks.pairing import (
    Listing,
    Pairing,
    list_folder,
    list_images,
    list_masks,
    name_key,
    natural_key,
    pair_by_name,
    plain_stem,
)
from cellseg1.masks.read import Mask, MaskFile, open_mask, read_mask
from cellseg1.masks.write import write_label_image
from cellseg1.masks.writers import WRITERS, LabelWriter, fitting_writer, writer_of

__all__ = [
    "PIECES",
    "WRITERS",
    "Box",
    "LabelWriter",
    "Listing",
    "Mask",
    "MaskFile",
    "Pairing",
    "Pieces",
    "Selector",
    "box_of",
    "cell_areas",
    "clean",
    "components",
    "delete",
    "erase",
    "fill_holes",
    "fitting_writer",
    "list_folder",
    "list_images",
    "list_masks",
    "look_at_labels",
    "look_at_masks",
    "median_cell_diameter",
    "merge",
    "name_key",
    "natural_key",
    "open_mask",
    "paint",
    "pair_by_name",
    "plain_stem",
    "read_mask",
    "relabel_sequential",
    "remap_colours",
    "split",
    "union",
    "write_label_image",
    "writer_of",
]
