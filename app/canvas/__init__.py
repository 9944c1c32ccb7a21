"""The canvas: shows a plane and its cells, and the tools that change them."""

from app.annotation.proposal_layer import ProposalLayer
from app.canvas.canvas import Canvas
from app.canvas.input.pointer import Pointed
from app.canvas.layers.cells import Overlay
from app.canvas.layers.decor import Mark
from app.canvas.layers.proposals import score_colour
from app.canvas.viewport import ViewState
from app.project.display import ChannelView, Display, auto_display, histogram

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
