"""The registry of measurements; other packages add some through the entry-point group ``cellseg1.measurements``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cellseg1.measurement.cells import Measurement
from cellseg1.measurement.shape import Area, Box, Centre, Diameter
from cellseg1.plugins import Registry, name_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def _own() -> Iterable[Measurement]:
    return (Area(), Centre(), Diameter(), Box())


#: All measurements by name, the program's own first.
MEASUREMENTS: Registry[Measurement] = Registry("cellseg1.measurements", _own, name_of(Measurement))
#: Names of the measurements of this package.
OWN = frozenset(one.name for one in _own())
