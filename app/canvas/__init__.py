"""The canvas: shows a plane and its cells, and the tools that change them."""

from app.canvas.canvas import Canvas, Pointed
from app.canvas.decor import Mark
from app.canvas.display import ChannelView, Display, auto_display, histogram
from app.canvas.label_layer import Overlay
from app.canvas.layers import ProposalLayer
from app.canvas.proposal_layer import score_colour
from app.canvas.viewport import ViewState

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
