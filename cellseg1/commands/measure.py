"""``cellseg1 measure``: a table of the cells."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Callable

from cellseg1.commands.common import Commands, add_pieces, command, path_of, say_to, tell_result


def add(commands: Commands) -> None:
    """Add the command and its options."""
    parser = command(commands, "measure", "Measure the cells of images: a table with one row per cell.", _measure)
    parser.add_argument("images", type=path_of, metavar="IMAGE_OR_FOLDER")
    parser.add_argument("--masks", type=path_of, required=True, help="folder of label images with the images' names")
    parser.add_argument("--out", type=path_of, required=True, metavar="FILE", help="the table, FILE.csv or FILE.tsv")
    add_pieces(parser)


def _measure(options: argparse.Namespace, stop: Callable[[], bool]) -> int:
    from cellseg1.measurement.job import check_table, measure_files, write_table

    check_table(options.out)
    measured = measure_files(options.images, options.masks, pieces=options.mask_pieces, say=say_to(options), stop=stop)
    write_table(options.out, measured)
    planes = [{"image": one.image, "z": one.z, "t": one.t, "cells": len(one.table)} for one in measured]
    cells = sum(len(one.table) for one in measured)
    counts: Counter[str] = Counter()
    for one in measured:
        counts[one.image] += len(one.table)
    lines = [f"{name}: {count} cells" for name, count in counts.items()]
    values = {"table": str(options.out), "cells": cells, "planes": planes}
    tell_result(options, values, "\n".join([*lines, f"Table of {cells} cells: {options.out}"]))
    return 0
