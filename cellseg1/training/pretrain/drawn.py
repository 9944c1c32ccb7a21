"""Synthetic cells for the second architecture: more shapes and appearances than `cellseg1.training.pretrain.synthetic`.

No particular data set is imitated; the aim is variety that the annotated data lack: rods in chains, cells with
protrusions, spindles and threads; halos, relief (DIC), defocus, domes of very different height, membranes and stained
tissue; and objects that are no cells (debris, walls, scratches, uneven light).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cellseg1.sam.tiny2 import TARGET_DIAMETER_2
from cellseg1.training.pretrain.dense import relative_depth
from cellseg1.training.pretrain.synthetic import mosaic, noise, place, scatter, stamp

Rng = np.random.Generator
Float = NDArray[np.float32]
Labels = NDArray[np.int32]
Picture = NDArray[np.floating]

_SHAPES = ("rods", "chains", "round", "irregular", "arms", "spindles", "mosaic", "rings", "chains", "arms")
_LOOKS = {
    "mosaic": ("membrane", "membrane", "walled", "tissue", "relief"),
    "rings": ("ring", "ring", "membrane", "walled"),
    "arms": ("phase", "phase", "dome", "relief", "fringe", "fluorescence"),
    "spindles": ("phase", "phase", "dome", "relief", "fluorescence", "tissue"),
}
_ANY_LOOK = ("fluorescence", "phase", "walled", "relief", "fringe", "dome", "tissue", "phase", "rim")


def draw_cells(rng: Rng, size: int) -> tuple[NDArray[np.uint8], Labels]:
    """Draw one crop: (size, size, 3) uint8 and its labels (size, size) int32."""
    shape = str(rng.choice(_SHAPES))
    diameter = TARGET_DIAMETER_2 * 2.0 ** rng.uniform(-1, 0.9)
    if shape == "mosaic":
        labels = mosaic(rng, size, diameter)
    elif shape == "chains":
        labels = _chains(rng, size, diameter)
    elif shape in {"arms", "spindles"}:
        labels = _bodies(rng, size, diameter, shape)
    else:
        labels = scatter(rng, size, diameter, shape)
    look = str(rng.choice(_LOOKS.get(shape, _ANY_LOOK)))
    picture = _render(rng, labels, diameter, look)
    if look == "tissue":
        return _stained(rng, picture), labels
    low, high = np.percentile(picture, (rng.uniform(0, 0.5), rng.uniform(99.5, 100)))
    grey = np.clip((picture - low) / max(float(high - low), 1e-3), 0, 1)
    return np.repeat((grey * 255).astype(np.uint8)[..., None], 3, axis=2), labels


# ---- shapes


def _chains(rng: Rng, size: int, diameter: float) -> Labels:
    """Rods end to end along bent lines, and side by side in patches: as bacteria divide."""
    labels = np.zeros((size, size), np.int32)
    width = diameter * rng.uniform(0.35, 0.65)
    number = 0
    for _ in range(int(rng.integers(1, 7))):
        start = rng.uniform(0, size, 2)
        turn = rng.uniform(0, 2 * np.pi)
        lanes = int(rng.choice([1, 1, 2, 4]))
        for lane in range(lanes):
            along = np.array([np.cos(turn), np.sin(turn)])
            end = start + lane * width * rng.uniform(1.0, 1.25) * np.array([-along[1], along[0]])
            end = end - along * width * rng.uniform(0, 3)
            angle = turn
            for _cell in range(int(rng.integers(2, 8))):
                length = width * rng.uniform(1.3, 5.0)
                angle += rng.normal(0, 0.22)
                step = np.array([np.cos(angle), np.sin(angle)])
                polygon = _rod(rng, end, step, length, width * rng.lognormal(0, 0.06))
                number += place(labels, stamp(size, polygon), number + 1, 0.8)
                end = end + step * length * rng.uniform(1.0, 1.06)
    return labels


def _rod(
    rng: Rng, start: NDArray[np.float64], along: NDArray[np.float64], length: float, width: float
) -> NDArray[np.float64]:
    """Return a capsule (n, 2) that begins at `start`, a little bent."""
    angle = np.linspace(0, 2 * np.pi, 32, endpoint=False)
    half = max(length - width, 0.1) / 2
    x = np.sign(np.cos(angle)) * half + width / 2 * np.cos(angle)
    y = width / 2 * np.sin(angle) + rng.normal(0, 0.06) * x**2 / max(half + width / 2, 1)
    across = np.array([-along[1], along[0]])
    return np.asarray(start + along * (length / 2) + x[:, None] * along + y[:, None] * across)


def _bodies(rng: Rng, size: int, diameter: float, shape: str) -> Labels:
    """Cells on a dish: bodies with arms or drawn out to spindles, single or crowded."""
    labels = np.zeros((size, size), np.int32)
    crowded = rng.random() < 0.5
    wanted = int(rng.uniform(0.15, 1.1 if crowded else 0.5) * size * size / diameter**2) + 1
    main = rng.uniform(0, np.pi)
    number = 0
    for _ in range(wanted * 2):
        if number >= wanted:
            break
        centre = rng.uniform(-diameter / 3, size + diameter / 3, 2)
        radius = diameter / 2 * rng.lognormal(0, 0.3)
        angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
        reach = np.ones_like(angle)
        for order in range(2, 7):
            reach += 0.25 / order * rng.standard_normal() * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
        if shape == "arms":
            for _arm in range(int(rng.integers(1, 5))):
                at, wide = rng.uniform(0, 2 * np.pi), rng.uniform(0.08, 0.3)
                away = np.angle(np.exp(1j * (angle - at)))
                reach += rng.uniform(0.3, 1.6) * np.exp(-((away / wide) ** 2))
            stretch = rng.uniform(1, 1.6)
        else:
            stretch = rng.uniform(1.8, 5)
        ring = np.clip(reach, 0.25, 3)[:, None] * np.stack([np.cos(angle), np.sin(angle)], 1)
        ring = radius * ring * (np.sqrt(stretch), 1 / np.sqrt(stretch))
        turn = main + rng.normal(0, 0.3) if crowded else rng.uniform(0, 2 * np.pi)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        number += place(labels, stamp(size, ring @ rotation.T + centre), number + 1, 0.6 if crowded else 0.9)
    return labels


# ---- looks


@dataclass(frozen=True, slots=True, eq=False)
class _Parts:
    """What the looks are mixed of; all (size, size) but `wall`, the width of a cell's wall, and `diameter`, in pixels.

    Attributes
    ----------
    inside, outside
        1 in cells; distance to the nearest cell.
    depth, rim
        0 at the edge of a cell to 1 in its middle; 1 at the edge, fading inwards.
    each
        Brightness of each cell.
    grain, ground
        Fine and coarse noise.
    organs
        See `_organs`.
    """

    inside: Float
    outside: Float
    depth: Float
    rim: Float
    each: Float
    grain: Float
    ground: Float
    organs: Float
    wall: float
    diameter: float

    @property
    def size(self) -> int:
        """Side of the picture in pixels."""
        return len(self.inside)


def _render(rng: Rng, labels: Labels, diameter: float, look: str) -> Float:
    parts = _parts(rng, labels, diameter)
    picture = _PAINTERS[look](rng, parts).astype(np.float32)
    if rng.random() < 0.4:
        picture = _no_cells(rng, picture, parts.outside, diameter)
    if rng.random() < 0.5:
        return np.asarray(cv2.GaussianBlur(picture, (0, 0), rng.uniform(0.4, 1.8)), dtype=np.float32)
    return picture


def _parts(rng: Rng, labels: Labels, diameter: float) -> _Parts:
    # The order of the draws is part of what a seed means.
    size = labels.shape[0]
    inside = (labels > 0).astype(np.float32)
    outside = np.asarray(cv2.distanceTransform(1 - inside.astype(np.uint8), cv2.DIST_L2, 5), dtype=np.float32)
    depth = relative_depth(labels)
    spread = rng.uniform(0.05, 0.5)
    each = rng.lognormal(0, spread, int(labels.max()) + 1).astype(np.float32)[labels]
    grain = noise(rng, size, rng.uniform(2, diameter / 2)) * rng.uniform(0, 0.25)
    ground = noise(rng, size, rng.uniform(diameter, 2 * size)) * rng.uniform(0, 0.15)
    wall = rng.uniform(0.05, 0.16) * diameter
    rim = np.exp(-((depth * diameter / 2 / wall) ** 2)) * inside
    organs = _organs(rng, labels, depth, diameter)
    return _Parts(
        inside=inside,
        outside=outside,
        depth=depth,
        rim=rim,
        each=each,
        grain=grain,
        ground=ground,
        organs=organs,
        wall=wall,
        diameter=diameter,
    )


def _fluorescence(rng: Rng, parts: _Parts) -> Picture:
    """Bright bodies with haze around them."""
    body = np.clip(parts.depth / rng.uniform(0.2, 1.0), 0, 1) ** 0.5 * parts.each * (1 + parts.grain) * parts.inside
    haze = cv2.GaussianBlur(body, (0, 0), rng.uniform(0.3, 1.0) * parts.diameter)
    return np.asarray(body + rng.uniform(0, 0.6) * haze + 0.4 * parts.ground)


def _phase(rng: Rng, parts: _Parts) -> Picture:
    """Phase contrast: dark bodies with bright halos."""
    halo = np.exp(-((parts.outside / (parts.wall * rng.uniform(0.8, 2.5))) ** 2)) * (1 - parts.inside)
    shade = cv2.GaussianBlur(parts.inside, (0, 0), rng.uniform(0.2, 0.7) * parts.diameter)
    picture = 0.5 + parts.ground + rng.uniform(0.15, 0.7) * halo + parts.organs * rng.uniform(0, 0.35)
    # Large cells fade to the ground's grey in their middle ("shade-off").
    body = parts.inside * rng.uniform(0.05, 0.45) * parts.each - rng.uniform(0, 0.3) * shade * parts.inside
    return np.asarray(
        picture - body * (1 + parts.grain) + rng.uniform(-0.45, 0.35) * parts.rim + rng.uniform(0, 0.15) * parts.grain
    )


def _relief(rng: Rng, parts: _Parts) -> Picture:
    """Differential interference contrast: lit from one side."""
    bodies = (parts.depth**0.5 + parts.organs * rng.uniform(0, 0.6)) * parts.each * parts.inside
    rough = bodies + rng.uniform(0, 0.4) * parts.grain
    height = cv2.GaussianBlur(rough, (0, 0), rng.uniform(0.6, 2.0))
    turn = rng.uniform(0, 2 * np.pi)
    along = np.cos(turn) * cv2.Sobel(height, cv2.CV_32F, 1, 0) + np.sin(turn) * cv2.Sobel(height, cv2.CV_32F, 0, 1)
    return np.asarray(0.5 + parts.ground + along * rng.uniform(0.3, 1.0) + rng.uniform(-0.05, 0.05) * parts.inside)


def _fringe(rng: Rng, parts: _Parts) -> Picture:
    """Bright field away from focus: alternating fringes on both sides of the edge."""
    away = np.where(parts.inside > 0, -parts.depth * parts.diameter / 2, parts.outside)
    wave = np.cos(2 * np.pi * away / (parts.diameter * rng.uniform(0.15, 0.5)) + rng.uniform(0, 2 * np.pi))
    fade = np.exp(-np.abs(away) / (parts.diameter * rng.uniform(0.08, 0.3)))
    picture = (
        0.5
        + parts.ground
        + rng.uniform(0.2, 0.6) * wave * fade
        + rng.uniform(-0.15, 0.15) * parts.inside * (1 + parts.grain)
    )
    return np.asarray(picture + parts.organs * rng.uniform(-0.2, 0.2))


def _dome(rng: Rng, parts: _Parts) -> Picture:
    """Thickness as quantitative phase shows it: dim cells beside bright ones."""
    picture = (
        parts.depth ** rng.uniform(0.4, 1.2) * parts.each**2 + parts.organs * rng.uniform(0, 0.5) * parts.each
    ) * parts.inside
    return np.asarray(picture * (1 + parts.grain) + 0.3 * parts.ground)


def _walled(rng: Rng, parts: _Parts) -> Picture:
    """Dark walls, light around them."""
    halo = np.exp(-((parts.outside / parts.wall) ** 2)) * (1 - parts.inside)
    picture = 0.5 + parts.ground + rng.uniform(0.1, 0.5) * halo - rng.uniform(0.3, 0.6) * parts.rim
    return np.asarray(
        picture + rng.uniform(-0.1, 0.3) * parts.depth * (1 + parts.grain) + parts.organs * rng.uniform(-0.2, 0.2)
    )


def _membrane(rng: Rng, parts: _Parts) -> Picture:
    """Bright membranes, also between cells."""
    edge = np.exp(-((parts.depth * parts.diameter / 2 / parts.wall) ** 2)) * parts.inside
    edge = edge + (parts.inside == 0) * rng.uniform(0, 0.6)
    broken = np.clip(1 + rng.uniform(0, 1.0) * noise(rng, parts.size, parts.diameter / 3), 0, 2)
    return np.asarray(
        edge * broken * parts.each**0.5 + 0.3 * parts.ground + rng.uniform(0, 0.2) * parts.inside * (1 + parts.organs)
    )


def _ring(rng: Rng, parts: _Parts) -> Picture:
    """Dark rings with light middles."""
    middle = np.clip((parts.depth - rng.uniform(0.2, 0.5)) / 0.1, 0, 1)
    return np.asarray(
        0.5
        + parts.ground
        + parts.inside * (1 + parts.grain) * (-rng.uniform(0.3, 0.6) + rng.uniform(0.3, 0.7) * middle)
    )


def _tissue(rng: Rng, parts: _Parts) -> Picture:
    """Absorption of cells between fibres."""
    fibres = noise(rng, parts.size, rng.uniform(3, parts.diameter)) * rng.uniform(0.05, 0.25)
    picture = 0.25 + fibres + parts.ground + parts.inside * rng.uniform(0.15, 0.6) * parts.each * (1 + 2 * parts.grain)
    return np.asarray(picture + parts.organs * rng.uniform(-0.1, 0.3) + rng.uniform(-0.05, 0.2) * parts.rim)


def _rim(rng: Rng, parts: _Parts) -> Picture:
    """Bright edges."""
    return np.asarray(
        0.3
        + parts.ground
        + rng.uniform(0.3, 0.6) * parts.rim * parts.each
        + rng.uniform(-0.1, 0.15) * (1 + parts.grain) * parts.inside
    )


_PAINTERS = {
    "fluorescence": _fluorescence,
    "phase": _phase,
    "relief": _relief,
    "fringe": _fringe,
    "dome": _dome,
    "walled": _walled,
    "membrane": _membrane,
    "ring": _ring,
    "tissue": _tissue,
    "rim": _rim,
}


def _organs(rng: Rng, labels: Labels, depth: Float, diameter: float) -> Float:
    """Nuclei and granules inside a cell, which are no cells (-1 to 1)."""
    size = labels.shape[0]
    result = np.zeros(labels.shape, np.float32)
    if rng.random() < 0.5:
        result += np.clip((depth - rng.uniform(0.4, 0.75)) / 0.15, 0, 1) * rng.choice([-1.0, 1.0])
    if rng.random() < 0.5:
        grains = noise(rng, size, rng.uniform(2.0, max(2.5, diameter / 6)))
        result += np.clip(grains - rng.uniform(0.5, 1.5), 0, 1) * (depth > 0.2) * rng.choice([-1.0, 1.0])
    return np.asarray(np.clip(result, -1, 1), dtype=np.float32)


def _no_cells(rng: Rng, picture: Float, outside: Float, diameter: float) -> Float:
    """Add things that are no cells: specks and dirt on the ground, scratches, the walls of a chip."""
    size = picture.shape[0]
    contrast = float(picture.std()) + 0.05
    added = np.zeros_like(picture)
    kind = int(rng.integers(3))
    if kind == 0:
        for _ in range(int(rng.integers(2, 25))):
            x, y = rng.uniform(0, size, 2)
            radius = rng.uniform(0.5, 0.14 * diameter)
            strength = float(rng.uniform(-3, 3) * contrast)
            cv2.circle(added, (int(x * 8), int(y * 8)), max(4, int(radius * 8)), strength, -1, cv2.LINE_AA, 3)
        # Dirt is only placed beside cells.
        added *= outside > 1
    elif kind == 1:
        for _ in range(int(rng.integers(1, 4))):
            ends = rng.integers(-size // 4, size + size // 4, 4)
            strength = float(rng.uniform(-2, 2) * contrast)
            cv2.line(added, (int(ends[0]), int(ends[1])), (int(ends[2]), int(ends[3])), strength, 1, cv2.LINE_AA)
    else:
        step = int(rng.uniform(1.5, 4) * diameter)
        wide = max(2, int(step * rng.uniform(0.2, 0.6)))
        first = int(rng.integers(step))
        strength = float(rng.uniform(-2.5, 2.5) * contrast)
        blocks = (np.arange(size) + first) % step < wide
        grid = blocks[None, :] & blocks[:, None] if rng.random() < 0.5 else np.repeat(blocks[None, :], size, 0)
        relief = cv2.GaussianBlur(grid.astype(np.float32), (0, 0), rng.uniform(0.5, 1.5)) * strength
        added = relief * (outside > 2)
    return np.asarray(picture + added, dtype=np.float32)


def _stained(rng: Rng, picture: Float) -> NDArray[np.uint8]:
    """Colour a picture of absorption as two dyes on a bright ground."""
    amount = np.clip(picture, 0, 1.5)
    first = np.array([0.65, 0.70, 0.29]) + rng.normal(0, 0.12, 3)
    second = np.array([0.07, 0.99, 0.11]) + rng.normal(0, 0.12, 3)
    other = np.clip(0.3 + rng.uniform(0.1, 0.4) * noise(rng, len(picture), rng.uniform(4, 60)), 0, 1.5)
    light = amount[..., None] * np.clip(first, 0, 1.2) * rng.uniform(1, 2.2) + other[..., None] * np.clip(
        second, 0, 1.2
    )
    return np.asarray(np.clip(np.exp(-light) * rng.uniform(0.9, 1.05), 0, 1) * 255, dtype=np.uint8)
