"""Pixel sizes and channel names from the metadata that microscopy programs put into TIFF files."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tifffile import TiffFile, TiffPage

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
NOT_UNDERSTOOD = (KeyError, TypeError, ValueError, AttributeError, IndexError, ArithmeticError)
"""What damaged notes of another program raise; they must not keep the picture beside them from being read."""
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
    kind = page.tags.valueof("ResolutionUnit", default=1)
    unit = {2: 25400.0, 3: 10000.0}.get(kind) if isinstance(kind, int) else None
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
    return (names if len(names) == n_channels and any(names) else ()), size


def ome_metadata(xml: str) -> tuple[tuple[str, ...], tuple[float, float] | None]:
    """Return channel names and pixel size (y, x) in micrometres of the first image of an OME description."""
    root = _ome_root(xml)
    if root is None:
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
            return (names if any(names) else ()), None
        sizes.append(value)
    return (names if any(names) else ()), (sizes[0], sizes[1])


def ome_planes(xml: str) -> int | None:
    """Return the number of planes that an OME description declares for all its images; None when it is ignored."""
    root = _ome_root(xml)
    if root is None:
        return None
    # As tolerant as the reader of the planes.
    images = [element for element in root.iter() if str(element.tag).endswith("Pixels")]
    try:
        return sum(abs(math.prod(int(image.get(f"Size{letter}", "1")) for letter in "ZCT")) for image in images)
    except ValueError:
        return None


def _ome_root(xml: str) -> ET.Element | None:
    """Parse an OME description; None when it is damaged or defines XML entities, which can fill the memory."""
    if "<!DOCTYPE" in xml or "<!ENTITY" in xml:
        return None
    try:
        return ET.fromstring(xml.encode("utf-8"))  # noqa: S314 - entities are refused above
    except ET.ParseError:
        return None


def program_metadata(tif: TiffFile) -> tuple[tuple[str, ...], tuple[float, float] | None]:
    """Return channel names and pixel size (y, x) in micrometres as other microscopy programs write them."""
    try:
        if tif.is_micromanager:
            return _micromanager(tif.micromanager_metadata or {})
        if tif.is_stk:
            values = tif.stk_metadata or {}
            unit = _MICROMETRES.get(str(values.get("CalibrationUnits", "")).lower().strip("\0 ") or "?")
            return (), _plausible(unit, values.get("YCalibration"), values.get("XCalibration"))
        if tif.is_lsm:
            values = tif.lsm_metadata or {}
            return (), _plausible(1e6, values.get("VoxelSizeY"), values.get("VoxelSizeX"))
        if tif.is_svs:
            found = re.search(r"MPP = ([0-9.]+)", tif.pages.first.description or "")
            return (), _plausible(1.0, found[1], found[1]) if found else None
    except NOT_UNDERSTOOD:
        return (), None
    return (), None


def _micromanager(metadata: Mapping[str, Any]) -> tuple[tuple[str, ...], tuple[float, float] | None]:
    summary = metadata.get("Summary") or {}
    names = summary.get("ChNames") or ()
    size = summary.get("PixelSize_um")
    return tuple(str(name) for name in names) if isinstance(names, list) else (), _plausible(1.0, size, size)


def _plausible(unit: float | None, y: object, x: object) -> tuple[float, float] | None:
    """Return a pixel size in micrometres, or None when it is no positive number."""
    if unit is None or not isinstance(y, int | float | str) or not isinstance(x, int | float | str):
        return None
    sizes = float(y) * unit, float(x) * unit
    return sizes if all(math.isfinite(size) and size > 0 for size in sizes) else None


def scanimage_channels(tif: TiffFile) -> int:
    """Return the number of channels that ScanImage wrote as consecutive pages; 0 for files of other programs."""
    text = str(tif.pages.first.tags.valueof("Software", default=""))
    found = re.search(r"SI\.hChannels\.channelSave = \[?([0-9; ]+)\]?", text[:200_000])
    return len(found[1].replace(";", " ").split()) if found else 0


def micromanager_planes(tif: TiffFile) -> int:
    """Return the number of planes that Micro-Manager planned for this position; 0 when unknown."""
    if not tif.is_micromanager:
        return 0
    try:
        summary = (tif.micromanager_metadata or {}).get("Summary") or {}
    except NOT_UNDERSTOOD:
        return 0
    counts: list[Any] = [summary.get(name) for name in ("Frames", "Slices", "Channels")]
    return int(math.prod(counts)) if all(isinstance(count, int) and count > 0 for count in counts) else 0
