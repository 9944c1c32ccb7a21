"""Figures 1, 3a, 3b and 4: scores of methods on the data sets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import numpy as np

from cellseg1.paper import facts
from cellseg1.paper.data_sets import DATA_SETS, FIVE, TISSUES
from cellseg1.paper.figures import content as shown
from cellseg1.paper.figures.parts import bars, both, colours, legend, lines, new_figure

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from cellseg1.paper.figures.content import Content

_METHODS: Final = ("cellseg1", "cellpose-cyto2", "cellpose-scratch", "stardist")
#: Fewest different values for a violin.
_LEAST_VALUES: Final = 3


def figure_1a(content: Content) -> Figure:
    """Methods on the five sets; CellSeg1 with the best training image."""
    figure, (axes,) = new_figure(2.6)
    bars(axes, FIVE, both(facts.scores("1a"), shown.best_of_each_set(content.rows)))
    legend(figure, [axes])
    return figure


def figure_1b(content: Content) -> Figure:
    """Methods on the groups of TissueNet that they were not trained on."""
    figure, (axes,) = new_figure(2.6)
    bars(axes, TISSUES, both(facts.scores("1b"), shown.on_other_tissues(content.rows)))
    legend(figure, [axes])
    return figure


def figure_3a(content: Content) -> Figure:
    """Distribution over single training images: one violin per method and set, with its points."""
    figure, every = new_figure(2.8, columns=len(FIVE), sharey=True)
    for axes, short in zip(every, FIVE, strict=True):
        published = facts.one_image(short)
        values = {f"{method} (published)": published[method] for method in _METHODS}
        values |= {label: [row.ap for row in rows] for label, rows in shown.one_image_rows(content.rows, short).items()}
        _violins(axes, values)
        axes.set_title(short)
    every[0].set_ylabel("AP@0.5")
    legend(figure, every)
    return figure


def _violins(axes: Axes, values: dict[str, list[float]]) -> None:
    colour = colours(list(values))
    for place, (label, some) in enumerate(values.items()):
        if len(set(some)) >= _LEAST_VALUES:
            parts = axes.violinplot([some], [place], widths=0.9, showextrema=False, showmedians=True)
            # The type hints of matplotlib declare one body instead of a list.
            for body in cast("list[Artist]", parts["bodies"]):
                body.set(facecolor=colour[label])
        # Spread sideways by a fixed pattern, so that equal values stay visible and the figure is reproducible.
        spread = 0.12 * np.sin(np.arange(len(some)) * 2.4)
        axes.plot(place + spread, some, ".", markersize=1.5, color=colour[label], label=label)
    axes.set_xticks([])


def figure_3b(content: Content) -> Figure:
    """Scores against the number of cells in the training image."""
    figure, every = new_figure(2.2, columns=len(FIVE), sharey=True)
    for axes, short in zip(every, FIVE, strict=True):
        published = facts.one_image(short)
        points = {"cellseg1 (published)": (published["cells"], published["cellseg1"])}
        for label, rows in shown.one_image_rows(content.rows, short).items():
            known = [row for row in rows if row.train_cell_num is not None]
            points[label] = ([float(row.train_cell_num or 0) for row in known], [row.ap for row in known])
        colour = colours(list(points))
        for label, (cells, scores) in points.items():
            axes.plot(cells, scores, "o", markersize=2, alpha=0.6, color=colour[label], label=label)
        axes.set_title(short)
        axes.set_xlabel("training cells")
    every[0].set_ylabel("AP@0.5")
    legend(figure, every)
    return figure


def figure_4a(content: Content) -> Figure:
    """Scores against the number of training images."""
    figure, every = new_figure(2.4, columns=len(FIVE), sharey=True)
    published = facts.series("4a")
    for axes, short in zip(every, FIVE, strict=True):
        found = {f"{method} (published)": sets[short] for method, sets in published.items()}
        lines(axes, {**found, **shown.by_number(content.rows, short)})
        axes.set_xscale("log")
        axes.minorticks_off()
        axes.set_xticks([1, 5, 10, _all_of(short)], ["1", "5", "10", "all"])
        axes.set_title(short)
        axes.set_xlabel("training images")
    every[0].set_ylabel("AP@0.5")
    legend(figure, every)
    return figure


def _all_of(short: str) -> int:
    published = DATA_SETS[short].published
    return published[0] if published else 1


def figure_4b(content: Content) -> Figure:
    """Methods against the size of their training set: means over the five sets, and all images of CPG."""
    figure, (left, right) = new_figure(2.8, columns=2)
    found = {f"{method} (published)": shown.mean_by_step(dict(sets)) for method, sets in facts.series("4a").items()}
    numbers = {short: shown.by_number(content.rows, short) for short in FIVE}
    for label in sorted({label for values in numbers.values() for label in values}):
        found[label] = shown.mean_by_step({short: values.get(label, {}) for short, values in numbers.items()})
    lines(left, found, places=shown.STEPS)
    left.set_xlabel("training images")
    left.set_ylabel("AP@0.5, mean of the five sets")
    ours = {
        label: {"CPG": values["CPG"]} for label, values in shown.of_generalist(content.rows).items() if "CPG" in values
    }
    bars(right, ("CPG",), both(facts.scores("4b"), ours))
    right.set_title("all training images of CPG")
    legend(figure, [left, right])
    return figure
