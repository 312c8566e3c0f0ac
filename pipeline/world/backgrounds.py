"""Drawn backgrounds: noise, sky over ground, patterns, light. Nothing in them has a name."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.float32]


def draw_background(rng: np.random.Generator, side: int) -> Pixels:
    """float32 RGB [side, side, 3] in 0..255."""
    families: tuple[Callable[[np.random.Generator, int], Pixels], ...] = (
        _noise,
        _sky_and_ground,
        _pattern,
        _light,
    )
    return families[rng.integers(len(families))](rng, side)


def smooth_noise(rng: np.random.Generator, side: int) -> Pixels:
    """float32 [side, side] in about 0..1: octaves of random grids, enlarged."""
    total = np.zeros((side, side), np.float32)
    weight = 1.0
    for cells in (3, 6, 12, 24):
        grid = (rng.random((cells, cells)) * 255).astype(np.uint8)
        layer = Image.fromarray(grid).resize((side, side), Image.Resampling.BICUBIC)
        total += weight * np.asarray(layer, np.float32) / 255
        weight *= 0.55
    return total / 2.0


def _colour(rng: np.random.Generator, low: int = 40, high: int = 235) -> Pixels:
    return rng.uniform(low, high, 3).astype(np.float32)


def _mix(where: Pixels, first: Pixels, second: Pixels) -> Pixels:
    amount = np.clip(where, 0, 1)[..., None]
    mixed: Pixels = (first * (1 - amount) + second * amount).astype(np.float32)
    return mixed


def _noise(rng: np.random.Generator, side: int) -> Pixels:
    return _mix(smooth_noise(rng, side), _colour(rng), _colour(rng))


def _sky_and_ground(rng: np.random.Generator, side: int) -> Pixels:
    rows = np.linspace(0, 1, side, dtype=np.float32)[:, None] * np.ones((1, side), np.float32)
    horizon = rng.uniform(0.35, 0.75)
    sky = _mix(rows / horizon, _colour(rng, 90), _colour(rng, 150))
    ground = _mix((rows - horizon) / (1 - horizon), _colour(rng, 40, 170), _colour(rng, 40, 170))
    ground += (smooth_noise(rng, side)[..., None] - 0.5) * 50
    below: NDArray[np.bool_] = (rows > horizon)[..., None]
    return np.where(below, ground, sky).astype(np.float32)


def _pattern(rng: np.random.Generator, side: int) -> Pixels:
    y, x = np.mgrid[0:side, 0:side].astype(np.float32)
    angle, period = rng.uniform(0, np.pi), rng.uniform(8, 40)
    along = (x * np.cos(angle) + y * np.sin(angle)) / period
    if rng.random() < 0.5:
        across = (y * np.cos(angle) - x * np.sin(angle)) / period
        where = (np.floor(along) + np.floor(across)) % 2
    else:
        where = np.floor(along) % 2
    base = _colour(rng)
    return _mix(where.astype(np.float32), base, np.clip(base + rng.uniform(-60, 60, 3), 0, 255))


def _light(rng: np.random.Generator, side: int) -> Pixels:
    y, x = np.mgrid[0:side, 0:side].astype(np.float32) / side
    centre = rng.uniform(0.1, 0.9, 2)
    distance = np.hypot(x - centre[0], y - centre[1])
    base = _colour(rng, 80)
    return _mix(distance, np.clip(base + 50, 0, 255), np.clip(base - 70, 0, 255))
