"""Label images of single planes, as a prediction of a stack writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cellseg1.masks.pairing import name_key

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

_PLANE = re.compile(r"(?P<stem>.+)_t(?P<t>\d+)_z(?P<z>\d+)")


@dataclass(frozen=True, slots=True)
class StackPlanes:
    """A stack and the label images of its planes, each with its plane (z, t)."""

    stack: Path
    planes: dict[Path, tuple[int, int]] = field(default_factory=dict)


def planes_of_stacks(files: Sequence[Path], stacks: Sequence[Path]) -> list[StackPlanes]:
    """Find the label images of single planes (``a_t000_z003.png`` of ``a.tif``).

    Stacks with a file of their own name have none.
    """
    whole = {name_key(path) for path in files}
    groups = {key: StackPlanes(path) for path in stacks if (key := name_key(path)) not in whole}
    for path in files:
        match = _PLANE.fullmatch(name_key(path))
        if match is not None and match["stem"] in groups:
            groups[match["stem"]].planes[path] = int(match["z"]), int(match["t"])
    return [group for group in groups.values() if group.planes]
