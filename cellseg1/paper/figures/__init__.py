"""Every figure of the published paper from a results table, as PDF and PNG, beside the published numbers."""

from __future__ import annotations

from cellseg1.paper.figures.content import Content, NothingToDrawError
from cellseg1.paper.figures.draw import FIGURES, Drawn, draw_figures

__all__ = ["FIGURES", "Content", "Drawn", "NothingToDrawError", "draw_figures"]
