"""Shared parts of the figures: sizes, colours, bars, lines, radar charts and heat maps."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from cellseg1.paper.facts import Scores

#: Width of a page of two columns: 180 mm.
WIDTH: Final = 7.09
#: The style of every figure.
STYLE: Final[Any] = {
    "font.size": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "legend.frameon": False,
    "pdf.fonttype": 42,
    "savefig.dpi": 300,
}
_PUBLISHED: Final = {
    "cellseg1": "#0072b2",
    "cellpose-cyto2": "#e69f00",
    "cellpose-scratch": "#f0e442",
    "stardist": "#009e73",
    "CellSAM": "#cc79a7",
    "SAM": "#999999",
    "vit_h": "#08519c",
    "vit_l": "#6baed6",
    "vit_b": "#c6dbef",
}
#: Fixed colours for the usual runs of a results table, so that all figures agree.
_OURS: Final = {
    "ours: paper, vit_h": "#d55e00",
    "ours: paper, vit_l": "#fd8d3c",
    "ours: paper, vit_b": "#fdbe85",
    "ours: studio, vit_h": "#882255",
    "ours: studio, vit_l": "#aa4499",
    "ours: studio, vit_b": "#cc99bb",
    "ours: studio, tiny": "#117733",
    "ours: paper, tiny": "#44aa99",
}
_OTHERS: Final = ("#000000", "#56b4e9", "#661100", "#332288", "#999933")


def new_figure(height: float, *, rows: int = 1, columns: int = 1, **options: Any) -> tuple[Figure, list[Axes]]:
    """Return a figure of `WIDTH` x `height` inches, and its axes row by row."""
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, **options)
    return figure, list(axes.ravel())


def both(published: Scores, ours: Scores) -> Scores:
    """Join published scores and those of a results table by name."""
    return {**{f"{method} (published)": values for method, values in published.items()}, **ours}


def colours(labels: Sequence[str]) -> dict[str, str]:
    """Return a colour per label: fixed for published and usual methods, from a cycle for the rest."""
    known = {**{f"{method} (published)": colour for method, colour in _PUBLISHED.items()}, **_OURS}
    rest = [label for label in labels if label not in known]
    return {label: known.get(label) or _OTHERS[rest.index(label) % len(_OTHERS)] for label in labels}


def bars(axes: Axes, names: Sequence[str], scores: Scores, *, label: str = "AP@0.5") -> None:
    """Draw a group of bars for each name; a method without a value has no bar there."""
    width = 0.84 / max(len(scores), 1)
    colour = colours(list(scores))
    for number, (method, values) in enumerate(scores.items()):
        there = [index for index, name in enumerate(names) if name in values]
        axes.bar(
            [index + (number - (len(scores) - 1) / 2) * width for index in there],
            [values[names[index]] for index in there],
            width,
            label=method,
            color=colour[method],
            hatch=None if method.endswith(" (published)") else "///",
            edgecolor="white",
            linewidth=0.3,
        )
    axes.set_xticks(range(len(names)), names)
    axes.set_ylabel(label)


def lines(axes: Axes, found: Mapping[str, Mapping[Any, float]], *, places: Sequence[Any] | None = None) -> None:
    """Draw one line per method over numbers, or over equally spaced `places`."""
    colour = colours(list(found))
    for method, values in found.items():
        x = [places.index(one) if places else one for one in values]
        published = method.endswith(" (published)")
        axes.plot(
            x,
            list(values.values()),
            marker="o" if published else "s",
            markersize=3,
            linewidth=1,
            linestyle="-" if published else "--",
            color=colour[method],
            label=method,
        )
    if places:
        axes.set_xticks(range(len(places)), [str(place) for place in places])


def radar(axes: Axes, names: Sequence[str], scores: Scores) -> None:
    """Draw one closed line per method around the polar axes; a missing value leaves a gap."""
    angles = [2 * math.pi * index / len(names) for index in range(len(names))]
    colour = colours(list(scores))
    for method, values in scores.items():
        around = [values.get(name, math.nan) for name in names]
        axes.plot(
            [*angles, angles[0]],
            [*around, around[0]],
            linewidth=1,
            marker=".",
            markersize=3,
            linestyle="-" if method.endswith(" (published)") else "--",
            color=colour[method],
            label=method,
        )
    axes.set_xticks(angles, names)
    axes.set_ylim(0, 1)


def heat_map(axes: Axes, names: Sequence[str], matrix: Mapping[str, Mapping[str, float]], title: str) -> None:
    """Draw scores by training set (rows) and test set (columns); missing values stay white."""
    values = [[matrix.get(train, {}).get(test, math.nan) for test in names] for train in names]
    axes.imshow(values, vmin=0, vmax=1, cmap="viridis")
    for row, line in enumerate(values):
        for column, value in enumerate(line):
            if not math.isnan(value):
                dark = value < 0.6
                axes.text(
                    column,
                    row,
                    f"{value:.2f}".removeprefix("0"),
                    ha="center",
                    va="center",
                    size=4,
                    color="white" if dark else "black",
                    in_layout=False,
                )
    short = [name.removeprefix("TSN-") for name in names]
    axes.set_xticks(range(len(names)), short)
    axes.set_yticks(range(len(names)), short)
    axes.set_title(title)
    axes.set_xlabel("tested on TSN-")
    axes.set_ylabel("trained on TSN-")


def legend(figure: Figure, every: Sequence[Axes]) -> None:
    """Put one common legend of several axes under the figure."""
    found: dict[str, Artist] = {}
    for axes in every:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            found.setdefault(label, handle)
    if found:
        figure.legend(list(found.values()), list(found), loc="outside lower center", ncols=4)
