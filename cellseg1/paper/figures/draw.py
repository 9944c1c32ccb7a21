"""Drawing all figures into a folder."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg

from cellseg1.errors import SettingsError
from cellseg1.files import write_bytes
from cellseg1.paper.figures import extended, galleries, scores, tissues
from cellseg1.paper.figures.content import Content, NothingToDrawError
from cellseg1.paper.figures.parts import STYLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure

    from cellseg1.files import PathLike

#: All figures by name, in the order of the paper; ``e`` are the extended ones.
FIGURES: Final[dict[str, Callable[[Content], Figure]]] = {
    "1a": scores.figure_1a,
    "1b": scores.figure_1b,
    "3a": scores.figure_3a,
    "3b": scores.figure_3b,
    "3c": galleries.figure_3c,
    "4a": scores.figure_4a,
    "4b": scores.figure_4b,
    "5a": tissues.figure_5a,
    "5b": tissues.figure_5b,
    "5c": tissues.figure_5c,
    "e1": galleries.extended_figure_1,
    "e2": galleries.extended_figure_2,
    "e3": extended.extended_figure_3,
    "e4": extended.extended_figure_4,
    "e5": extended.extended_figure_5,
}


@dataclass(slots=True)
class Drawn:
    """The result of `draw_figures`: the files, and the reason for each figure left out."""

    files: list[Path] = field(default_factory=list)
    skipped: dict[str, str] = field(default_factory=dict)


def draw_figures(content: Content, out: PathLike, names: Sequence[str] = ()) -> Drawn:
    """Draw figures as PDF and PNG (300 dots per inch); equal content gives equal files.

    Parameters
    ----------
    content
        Rows of a results table, and folders of images for figures with images.
    out
        Folder; files of the same name are replaced.
    names
        Keys of `FIGURES`; none: all.

    Raises
    ------
    SettingsError
        When a figure is unknown.
    OutputError
        When a file cannot be written.
    """
    unknown = [name for name in names if name not in FIGURES]
    if unknown:
        raise SettingsError(f"There is no figure {unknown[0]!r}; choose one of {', '.join(FIGURES)}.")
    drawn = Drawn()
    for name in FIGURES if not names else dict.fromkeys(names):
        with mpl.rc_context():
            # A user's style of matplotlib does not change published figures.
            mpl.rcdefaults()
            mpl.rcParams.update(STYLE)
            try:
                figure = FIGURES[name](content)
            except NothingToDrawError as error:
                drawn.skipped[name] = str(error)
                continue
            drawn.files.extend(_written(figure, Path(out) / file_stem(name)))
    return drawn


def file_stem(name: str) -> str:
    """Return the name of a figure's files: ``figure_1a``, ``extended_figure_3``."""
    return f"extended_figure_{name[1:]}" if name.startswith("e") else f"figure_{name}"


def _written(figure: Figure, stem: Path) -> list[Path]:
    FigureCanvasAgg(figure)
    # Both files share one layout, which is computed once.
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    files = []
    # No date and no version of matplotlib, so that equal figures are equal files.
    for kind, metadata in (
        ("pdf", {"CreationDate": None, "Producer": None, "Creator": None}),
        ("png", {"Software": None}),
    ):
        data = io.BytesIO()
        figure.savefig(data, format=kind, metadata=metadata)
        path = stem.with_name(f"{stem.name}.{kind}")
        write_bytes(path, data.getvalue())
        files.append(path)
    return files
