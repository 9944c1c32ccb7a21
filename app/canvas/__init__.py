"""The canvas: shows a plane and its cells, and the tools that change them."""

from ..annotation.proposal_layer import ProposalLayer
from ..project.display import ChannelView, Display, auto_display, histogram
from .canvas import Canvas
from .input.pointer import Pointed
from .layers.cells import Overlay
from .layers.decor import Mark
from .layers.proposals import score_colour
from .viewport import ViewState

__all__ = [
    "Canvas",
    "ChannelView",
    "Display",
    "Mark",
    "Overlay",
    "Pointed",
    "ProposalLayer",
    "ViewState",
    "auto_display",
    "histogram",
    "score_colour",
]
