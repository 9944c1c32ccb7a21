"""Distances of the 8-pixel grid, in device-independent pixels."""

from __future__ import annotations

from typing import Final

#: Between things that belong together, such as a label and its field.
TIGHT: Final = 4
#: Between neighbours.
GAP: Final = 8
#: Around the content of a panel, and between its groups.
MARGIN: Final = 16
#: Between parts of a page that have little to do with each other.
WIDE: Final = 24
#: Side of an icon in a button.
ICON: Final = 20
#: Side of an icon that stands alone above a sentence.
BIG_ICON: Final = 48
#: Usual width of a panel at the side of the canvas.
PANEL_WIDTH: Final = 304
#: Rounding of buttons, fields and cards.
RADIUS: Final = 6
