"""Extended figures 3 to 5: suppression of duplicates, size of the backbone, size of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cellseg1.paper import facts
from cellseg1.paper.data_sets import FIVE
from cellseg1.paper.figures import content as shown
from cellseg1.paper.figures.galleries import picture_of, show_cells
from cellseg1.paper.figures.parts import bars, legend, lines, new_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from cellseg1.paper.figures.content import Content

_COLUMNS: Final = {"ap": "AP@0.5", "train_seconds": "seconds of training", "peak_memory_mib": "GPU memory, MiB"}


def extended_figure_3(content: Content) -> Figure:
    """One image with duplicates suppressed by boxes and by masks, and the published time of each way.

    Raises
    ------
    NothingToDrawError
        When the three pictures were not given.
    """
    files = {name: picture_of(content.nms, name) for name in ("image", "box", "mask")}
    figure, (box, mask, time) = new_figure(2.6, columns=3)
    show_cells(box, files["image"], files["box"], "suppression by boxes")
    show_cells(mask, files["image"], files["mask"], "suppression by masks")
    seconds = facts.repeated("e3")
    for place, (method, values) in enumerate(seconds.items()):
        time.plot([place] * len(values), values, "o", markersize=3, label=method)
    time.set_yscale("log")
    time.set_xticks(range(len(seconds)), [name.replace("_", " ") for name in seconds])
    time.set_ylabel("seconds (published)")
    return figure


def extended_figure_4(content: Content) -> Figure:
    """Scores by backbone, and how many parameters each has."""
    figure, (left, right) = new_figure(2.8, columns=2, width_ratios=[3, 1])
    scores = {f"{name} (published)": values for name, values in facts.scores("e4").items()}
    for recipe, found in shown.by_backbone(content.rows).items():
        scores |= {f"ours: {', '.join(filter(None, (recipe, name)))}": dict(values) for name, values in found.items()}
    bars(left, FIVE, scores)
    legend(figure, [left])
    sizes = {name: values[""] / 1e6 for name, values in facts.scores("e4_parameters").items()}
    right.bar(range(len(sizes)), list(sizes.values()), color="#999999")
    right.set_xticks(range(len(sizes)), list(sizes))
    right.set_ylabel("million parameters")
    return figure


def extended_figure_5(content: Content) -> Figure:
    """Score, time and memory by batch size."""
    figure, every = new_figure(6.0, rows=3, columns=len(FIVE), sharex=True, sharey="row")
    published = facts.series("e5")
    for row, (column, label) in enumerate(_COLUMNS.items()):
        ours = shown.by_batch(content.rows, column)
        for place, short in enumerate(FIVE):
            axes = every[row * len(FIVE) + place]
            found = {"cellseg1 (published)": published[column][short]}
            lines(
                axes,
                {**found, **{name: dict(sorted(sets[short].items())) for name, sets in ours.items() if short in sets}},
            )
            axes.set_xticks([1, 2, 4])
            if row == 0:
                axes.set_title(short)
        every[row * len(FIVE)].set_ylabel(label)
    for axes in every[-len(FIVE) :]:
        axes.set_xlabel("batch size")
    legend(figure, every)
    return figure
