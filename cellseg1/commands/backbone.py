"""``cellseg1 backbone``: list, import or download backbones."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from cellseg1.commands.common import Bar, Commands, command, path_of, tell_result
from cellseg1.plugins import listed
from cellseg1.sam.registry import fetched_specs


def add(commands: Commands) -> None:
    """Add the command and its options."""
    group = commands.add_parser("backbone", help="List, import or download backbones.")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    command(actions, "list", "List the backbones and which are installed.", _backbone_list)
    take = command(actions, "import", "Copy a SAM weights file that you have into the data folder.", _backbone_import)
    take.add_argument("file", type=path_of)
    load = command(actions, "download", "Download SAM weights (resumable, verified).", _backbone_download)
    load.add_argument("name", help=listed(spec.name for spec in fetched_specs()))


def _backbone_list(options: argparse.Namespace, _stop: Callable[[], bool]) -> int:
    from cellseg1.sam.store import list_backbones

    values = [
        {
            "name": status.name,
            "installed": status.installed,
            "usable": status.usable,
            "path": None if status.path is None else str(status.path),
            "size_bytes": status.size_bytes,
            "problem": status.problem,
        }
        for status in list_backbones()
    ]
    lines = [f"{v['name']:<8}{v['path'] if v['usable'] else v['problem'] or 'not installed'}" for v in values]
    tell_result(options, values, "\n".join(lines))
    return 0


def _backbone_import(options: argparse.Namespace, _stop: Callable[[], bool]) -> int:
    from cellseg1.sam.store import import_file

    name = import_file(options.file)
    tell_result(options, {"name": name}, f"Imported: {name}")
    return 0


def _backbone_download(options: argparse.Namespace, _stop: Callable[[], bool]) -> int:
    from cellseg1.sam.fetch import download

    bar = Bar(options, "B")
    try:
        path = download(
            options.name, lambda done, total: bar.show(done, total, f"{done / 1e6:.0f} of {total / 1e6:.0f} MB")
        )
    finally:
        bar.close()
    tell_result(options, {"name": options.name, "path": str(path)}, f"Downloaded and verified: {path}")
    return 0
