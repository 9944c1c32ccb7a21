"""Drawn cells for the modalities that the annotated data lack.

Shapes (rods, touching round cells, irregular cells, a mosaic of membranes, rings as in cross-cut fibres) are placed
without overlap and rendered in several looks (fluorescence, phase contrast with halos, dark walls, bright
membranes).  Nothing here imitates a particular data set; the aim is variety.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Float = NDArray[np.float32]
Labels = NDArray[np.int32]

_SHAPES = ("rods", "round", "round", "irregular", "mosaic", "rings")


def synthetic_crop(rng: Rng, size: int) -> tuple[NDArray[np.uint8], Labels]:
    """Draw one crop: (size, size, 3) uint8 and its labels (size, size) int32."""
    shape = str(rng.choice(_SHAPES))
    diameter = 28.0 * 2.0 ** rng.uniform(-1, 0.9)
    labels = mosaic(rng, size, diameter) if shape == "mosaic" else scatter(rng, size, diameter, shape)
    image = _render(rng, labels, diameter, shape)
    return np.repeat(image[..., None], 3, axis=2), labels


def noise(rng: Rng, size: int, scale: float) -> Float:
    """Smooth noise of zero mean and unit deviation with features of about `scale` pixels."""
    coarse = max(2, int(np.ceil(size / scale)) + 1)
    field = cv2.resize(
        rng.standard_normal((coarse, coarse)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC
    )
    return np.asarray((field - field.mean()) / (field.std() + 1e-6), dtype=np.float32)


def _outline(rng: Rng, shape: str, diameter: float) -> NDArray[np.float64]:
    """Polygon (n, 2) of one cell around the origin."""
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    radius = diameter / 2 * rng.lognormal(0, 0.18)
    if shape == "rods":
        width = radius * rng.uniform(0.45, 0.7)
        length = width * rng.uniform(1.2, 4.0)
        side = np.sign(np.cos(angle)) * length
        points = np.stack([side + width * np.cos(angle), width * np.sin(angle)], 1)
        points[:, 1] += rng.uniform(-0.35, 0.35) * (points[:, 0] / (length + width)) ** 2 * length
    else:
        wobble = {"round": 0.03, "rings": 0.08, "irregular": 0.22}[shape]
        r = np.ones_like(angle)
        for order in range(2, 6):
            r += wobble / (order - 1) * rng.standard_normal() * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
        stretch = rng.uniform(1.0, 1.15 if shape == "round" else 1.8)
        points = (
            radius
            * np.clip(r, 0.3, 2)[:, None]
            * np.stack([np.sqrt(stretch) * np.cos(angle), np.sin(angle) / np.sqrt(stretch)], 1)
        )
    turn = rng.uniform(0, 2 * np.pi)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    return np.asarray(points @ rotation.T)


def stamp(size: int, polygon: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return 1 inside of a polygon (n, 2) of points (x, y), 0 elsewhere."""
    filled = np.zeros((size, size), np.uint8)
    cv2.fillPoly(filled, [np.round(polygon * 8).astype(np.int32)], 1, shift=3)
    return filled


def place(labels: Labels, cell: NDArray[np.uint8], number: int, share: float) -> bool:
    """Write a cell where nothing is, if at least this share of it is free; tell whether it was written."""
    area = int(np.count_nonzero(cell))
    free = (cell > 0) & (labels == 0)
    if area < 12 or np.count_nonzero(free) < share * area:
        return False
    labels[free] = number
    return True


def scatter(rng: Rng, size: int, diameter: float, shape: str) -> Labels:
    """Cells of one shape at random places, or in clusters, that touch but do not cover each other."""
    labels = np.zeros((size, size), np.int32)
    wanted = int(rng.uniform(0.1, 0.9) * size * size / (diameter * diameter)) + 1
    clusters = rng.uniform(0, size, (max(1, wanted // 6), 2))
    clustered = rng.random() < 0.5
    number = 0
    for _ in range(wanted * 3):
        if number >= wanted:
            break
        centre = rng.uniform(-diameter / 3, size + diameter / 3, 2)
        if clustered:
            centre = clusters[rng.integers(len(clusters))] + rng.standard_normal(2) * diameter * 1.3
        cell = stamp(size, _outline(rng, shape, diameter) + centre)
        # Touching is wanted, covering is not: a cell may lose a little of its edge to its neighbours.
        number += place(labels, cell, number + 1, 0.93)
    return labels


def mosaic(rng: Rng, size: int, diameter: float) -> Labels:
    """Cells that fill the plane (Voronoi), some of them left out."""
    count = max(4, int(size * size / diameter**2 * 1.4))
    seeds = rng.uniform(-diameter, size + diameter, (count * 2, 2)).astype(np.float32)
    yy, xx = np.mgrid[:size, :size].astype(np.float32)
    warp = rng.uniform(0, 0.15) * diameter
    xx = xx + warp * noise(rng, size, diameter)
    yy = yy + warp * noise(rng, size, diameter)
    from scipy.spatial import cKDTree

    nearest = cKDTree(seeds).query(np.stack([xx.ravel(), yy.ravel()], 1))[1].reshape(size, size)
    labels = np.asarray(nearest, dtype=np.int32) + 1
    missing = rng.random(len(seeds) + 1) < rng.choice([0.0, 0.1, 0.4])
    labels[missing[labels]] = 0
    return labels


def _boundary(labels: Labels) -> NDArray[np.bool_]:
    """Pixels that differ from a right or lower neighbour."""
    edge = np.zeros(labels.shape, bool)
    edge[:, 1:] |= labels[:, 1:] != labels[:, :-1]
    edge[1:] |= labels[1:] != labels[:-1]
    return edge


def _render(rng: Rng, labels: Labels, diameter: float, shape: str) -> NDArray[np.uint8]:
    size = labels.shape[0]
    edge = _boundary(labels)
    inside = labels > 0
    depth = cv2.distanceTransform((~edge & inside).astype(np.uint8), cv2.DIST_L2, 5)
    outside = cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5)
    per_cell = rng.normal(1, rng.uniform(0.05, 0.35), int(labels.max()) + 1).astype(np.float32)[labels]
    texture = 1 + rng.uniform(0, 0.25) * noise(rng, size, rng.uniform(2, diameter / 2))
    ground = rng.uniform(0, 0.15) * noise(rng, size, rng.uniform(diameter, size))
    wall = rng.uniform(0.04, 0.14) * diameter
    rim = np.exp(-((depth / wall) ** 2)) * inside
    look = (
        "fibre"
        if shape == "rings" and rng.random() < 0.7
        else str(rng.choice(_LOOKS["mosaic" if shape == "mosaic" else "cells"]))
    )
    if look == "fluorescence":
        body = np.sqrt(np.clip(depth / (0.25 * diameter), 0, 1)) * per_cell * texture * inside
        picture = body + 0.4 * rng.random() * ground
    elif look == "phase":
        # Dark body in a bright halo on grey ground, as positive phase contrast shows it.
        halo = np.exp(-((outside / (wall * 1.5)) ** 2)) * ~inside
        picture = 0.5 + ground + rng.uniform(0.2, 0.6) * halo - rng.uniform(0.1, 0.4) * per_cell * texture * inside
        picture = picture - rng.uniform(0, 0.4) * rim
    elif look == "walled":
        # Grey cells with a dark wall, a bright halo around and a slightly bright middle (yeast and the like).
        halo = np.exp(-((outside / wall) ** 2)) * ~inside
        picture = 0.5 + ground + rng.uniform(0.1, 0.5) * halo - rng.uniform(0.3, 0.6) * rim
        picture = picture + rng.uniform(-0.1, 0.3) * np.clip(depth / (0.4 * diameter), 0, 1) * texture
    elif look == "bright rim":
        picture = 0.3 + ground + rng.uniform(0.3, 0.6) * rim * per_cell + rng.uniform(-0.1, 0.15) * texture * inside
    elif look == "membrane":
        picture = np.exp(-((cv2.distanceTransform((~edge).astype(np.uint8), cv2.DIST_L2, 5) / wall) ** 2)) * texture
        picture = picture * per_cell + 0.2 * ground + rng.uniform(0, 0.2) * inside
    else:  # a ring around a paler middle
        middle = np.clip((depth - rng.uniform(0.1, 0.25) * diameter) / (0.05 * diameter), 0, 1)
        picture = 0.5 + ground + inside * (-rng.uniform(0.3, 0.6) + rng.uniform(0.3, 0.7) * middle) * texture
    sign = -1.0 if rng.random() < 0.1 else 1.0
    picture = (picture - picture.min()) / (np.ptp(picture) + 1e-6) * sign
    picture = picture - picture.min()
    return np.asarray(np.clip(picture * 255, 0, 255), dtype=np.uint8)


_LOOKS = {
    "cells": ("fluorescence", "fluorescence", "phase", "phase", "walled", "walled", "bright rim"),
    "mosaic": ("membrane", "membrane", "walled", "fluorescence"),
}
