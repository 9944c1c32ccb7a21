"""Makes a pack of official SAM weights for installing without a network: ``python -m installer.packs.make_pack``.

The pack is a folder of files to put beside the installer, or anywhere from where they are imported: the official file
(or its numbered parts, where it is above the limit of release assets), ``NAME.cs1pack`` that describes it, and
``SHA256SUMS``.  `cellseg1/sam/packs.py` reads it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from cellseg1.errors import CellSeg1Error
from cellseg1.sam.packs import SUFFIX
from cellseg1.sam.registry import fetched_specs, get_spec
from cellseg1.sam.store import hash_file, verify_file
from installer.packs.split import LIMIT, PartsError, read_parts, split_file

if TYPE_CHECKING:
    from cellseg1.sam.kind import BackboneSpec


def make_pack(weights: Path, name: str, out: Path, *, limit: int = LIMIT) -> list[Path]:
    """Make the pack of backbone `name` in the folder `out`.

    Parameters
    ----------
    weights
        The official file; it is verified.
    limit
        Most bytes of one file.

    Returns
    -------
    list
        The files of the pack.

    Raises
    ------
    BackboneError
        When `weights` is not that backbone's official file.
    OSError
        When something cannot be written.
    """
    spec = get_spec(name)
    verify_file(weights, spec, again=True)
    out.mkdir(parents=True, exist_ok=True)
    copy = out / spec.filename
    if not copy.exists():
        try:
            os.link(weights, copy)
        except OSError:
            shutil.copyfile(weights, copy)
    made = split_file(copy, limit=limit, remove=True)
    card = out / f"CellSeg1-backbone-{name}{SUFFIX}"
    card.write_text(json.dumps(_card(spec, made), indent=1) + "\n", encoding="utf-8", newline="\n")
    files = [card, *(path for path in made if path.suffix != ".parts")]
    for path in set(made) - set(files):
        path.unlink()  # the card has the list of parts
    sums = out / f"CellSeg1-backbone-{name}.SHA256SUMS"
    sums.write_text("".join(f"{hash_file(path)}  {path.name}\n" for path in files), encoding="utf-8", newline="\n")
    return [*files, sums]


def _card(spec: BackboneSpec, made: list[Path]) -> dict[str, object]:
    if len(made) == 1:
        parts = [{"name": spec.filename, "size_bytes": spec.size_bytes, "sha256": spec.sha256}]
    else:
        pieces = read_parts(made[-1]).parts
        parts = [{"name": one.name, "size_bytes": one.size, "sha256": one.sha256} for one in pieces]
    return {
        "schema": 1,
        "backbone": spec.name,
        "filename": spec.filename,
        "size_bytes": spec.size_bytes,
        "sha256": spec.sha256,
        "licence": spec.licence,
        "source": spec.url,
        "parts": parts,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="installer.packs.make_pack", description="Pack official SAM weights.")
    parser.add_argument("backbone", choices=[spec.name for spec in fetched_specs()])
    parser.add_argument("weights", type=Path, help="the official file")
    parser.add_argument("--out", type=Path, required=True, help="folder for the pack")
    parser.add_argument("--limit", type=int, default=LIMIT, help="most bytes of one file")
    options = parser.parse_args(arguments)
    try:
        made = make_pack(options.weights, options.backbone, options.out, limit=options.limit)
    except (CellSeg1Error, PartsError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    print("\n".join(map(str, made)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
