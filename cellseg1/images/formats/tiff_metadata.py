"""Pixel sizes and channel names from the metadata that microscopy programs put into TIFF files."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tifffile import TiffPage

_MICROMETRES = {
    "": 1.0,
    "µm": 1.0,
    "μm": 1.0,
    "um": 1.0,
    "micron": 1.0,
    "microns": 1.0,
    "micrometer": 1.0,
    "\\u00b5m": 1.0,
    "nm": 1e-3,
    "å": 1e-4,
    "mm": 1e3,
    "cm": 1e4,
    "m": 1e6,
    "inch": 25400.0,
}
_LARGEST_PLAUSIBLE_UM = 10.0
"""Plain TIFF resolutions are mostly print settings (72 to 1200 dots per inch, above 20 um); those are not believed."""


def _ratio(value: object) -> float:
    """Return a TIFF rational (or number) as a float; 0 when it is none."""
    if isinstance(value, tuple) and len(value) == 2:
        return float(value[0]) / float(value[1]) if value[1] else 0.0
    return float(value) if isinstance(value, int | float) else 0.0


def _pixels_per_unit(page: TiffPage) -> tuple[float, float]:
    """(y, x) from the resolution tags; 0 where missing."""
    tags = page.tags
    return _ratio(tags.valueof("YResolution", default=0)), _ratio(tags.valueof("XResolution", default=0))


def _size(unit_um: float, per_unit: tuple[float, float]) -> tuple[float, float] | None:
    y, x = per_unit
    return (unit_um / y, unit_um / x) if y > 0 and x > 0 else None


def resolution_um(page: TiffPage) -> tuple[float, float] | None:
    """Pixel size (y, x) in micrometres from plain TIFF tags, when they look like a microscope's and not a printer's."""
    unit = {2: 25400.0, 3: 10000.0}.get(int(page.tags.valueof("ResolutionUnit", default=1)))
    size = _size(unit, _pixels_per_unit(page)) if unit else None
    return size if size and max(size) <= _LARGEST_PLAUSIBLE_UM else None


def imagej_metadata(
    metadata: Mapping[str, Any], page: TiffPage, n_channels: int, axes: str
) -> tuple[tuple[str, ...], tuple[float, float] | None]:
    """Channel names and pixel size (y, x) in micrometres as ImageJ writes them.

    ImageJ labels planes, not channels; the labels of the first `n_channels` planes are the names when the channel
    is the axis that changes fastest.
    """
    unit = _MICROMETRES.get(str(metadata.get("unit", "pixel")).lower())
    size = _size(unit, _pixels_per_unit(page)) if unit and metadata.get("unit") else None
    labels = metadata.get("Labels") or ()
    if isinstance(labels, str):
        labels = (labels,)
    names = tuple(str(label) for label in labels[:n_channels]) if "CYX" in axes or "C" not in axes else ()
    return (names if len(names) == n_channels and all(names) else ()), size


def ome_metadata(xml: str) -> tuple[tuple[str, ...], tuple[float, float] | None]:
    """Channel names and pixel size (y, x) in micrometres of the first image of an OME description.

    A description that is damaged, or that defines XML entities (which can be made to fill the memory), is ignored.
    """
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        return (), None
    try:
        root = ET.fromstring(xml.encode("utf-8"))  # noqa: S314 - entities are refused above
    except ET.ParseError:
        return (), None
    pixels = root.find("{*}Image/{*}Pixels")
    if pixels is None:
        return (), None
    names = tuple(channel.get("Name") or "" for channel in pixels.findall("{*}Channel"))
    sizes: list[float] = []
    for letter in "YX":
        unit = _MICROMETRES.get(pixels.get(f"PhysicalSize{letter}Unit", "µm").lower())
        try:
            value = float(pixels.get(f"PhysicalSize{letter}", "0")) * (unit or 0.0)
        except ValueError:
            value = 0.0
        if not (math.isfinite(value) and value > 0):
            return (names if all(names) else ()), None
        sizes.append(value)
    return (names if all(names) else ()), (sizes[0], sizes[1])
