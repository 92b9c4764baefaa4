"""What no frame shows is filled from around it: walls stay walls beside what hangs on them."""

from __future__ import annotations

import cv2
import numpy as np

from animegen.composite import inpaint

HEIGHT, WIDTH = 240, 320
WALL, PANEL = (205, 212, 204), (40, 110, 160)
EDGE = 240
"""Where the panel begins, left of which there is wall."""
MOST_MORE = 0.06
"""Share of the hole that a panel may grow by, at whose edge it gnaws."""


def room() -> np.ndarray:
    """A wall that is lit unevenly, and a panel on the right, uint8 [h, w, 3]."""
    rng = np.random.default_rng(0)
    light = 1.0 - 0.15 * np.linspace(0, 1, WIDTH)[None, :] * np.linspace(0.3, 1, HEIGHT)[:, None]
    picture = np.array(WALL) * light[..., None]
    picture[40:180, EDGE:] = PANEL
    return np.clip(picture + rng.normal(0, 1.5, picture.shape), 0, 255).astype(np.uint8)


def somebody(reach: int) -> np.ndarray:
    """The hole of somebody before the wall, whose elbow reaches so many pixels into the panel, uint8 [h, w]."""
    hole = np.zeros((HEIGHT, WIDTH), np.uint8)
    cv2.ellipse(hole, (160, 50), (36, 40), 0, 0, 360, 255, -1)
    outline = [(110, 90), (215, 90), (EDGE - 4, 120), (EDGE + reach, 165), (EDGE - 12, 185), (225, 240), (95, 240)]
    cv2.fillPoly(hole, [np.array([*outline, (80, 170), (90, 120)])], 255)
    return hole


def test_a_wall_stays_a_wall_beside_a_panel_that_is_partly_hidden() -> None:
    picture, hole = room(), somebody(6)
    filled = inpaint(picture, hole)
    assert np.array_equal(filled[hole == 0], picture[hole == 0])
    wall = (hole > 0) & (np.arange(WIDTH) < EDGE)[None]
    blue = np.abs(filled.astype(int) - PANEL).max(axis=2) < np.abs(filled.astype(int) - WALL).max(axis=2)
    assert blue[wall].mean() < MOST_MORE
