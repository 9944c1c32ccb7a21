"""Figure 5: generalization across the groups of TissueNet."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellseg1.paper import facts
from cellseg1.paper.data_sets import FIVE, TISSUES
from cellseg1.paper.figures import content as shown
from cellseg1.paper.figures.parts import WIDTH, both, heat_map, legend, new_figure, radar

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cellseg1.paper.figures.content import Content


def figure_5a(content: Content) -> Figure:
    """Scores on the training group."""
    figure, (axes,) = new_figure(4.6, subplot_kw={"projection": "polar"})
    radar(axes, TISSUES, both(facts.scores("5a"), shown.on_same_tissue(content.rows)))
    legend(figure, [axes])
    return figure


def figure_5b(content: Content) -> Figure:
    """Scores of the model of CPG on every set."""
    figure, (axes,) = new_figure(4.6, subplot_kw={"projection": "polar"})
    radar(axes, (*FIVE, *TISSUES), both(facts.scores("5b"), shown.of_generalist(content.rows)))
    legend(figure, [axes])
    return figure


def figure_5c(content: Content) -> Figure:
    """Scores of every training group on every test group, one map per method."""
    maps = {f"{method} (published)": matrix for method, matrix in facts.matrix().items()}
    maps |= shown.across(content.rows)
    rows = -(-len(maps) // 3)
    figure, every = new_figure(WIDTH / 3 * 1.05 * rows, rows=rows, columns=3)
    for axes, (title, matrix) in zip(every, maps.items(), strict=False):
        heat_map(axes, TISSUES, matrix, title)
    for axes in every[len(maps) :]:
        axes.remove()
    return figure
