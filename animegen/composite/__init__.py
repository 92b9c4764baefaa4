"""Mattes of people, the background behind them, and sprites laid over a picture."""

from __future__ import annotations

from animegen.composite.hide import pixelated
from animegen.composite.inpaint import inpaint
from animegen.composite.layer import compose, compose_alpha, cut_out, depth_order, faded
from animegen.composite.matte import Matte, body_height, frame_matte, own_matte, person_matte
from animegen.composite.observe import Observation, PlateObserver
from animegen.composite.plate import PlateSet, build_plates
from animegen.composite.threads import one_thread_per_call

__all__ = [
    "Matte",
    "Observation",
    "PlateObserver",
    "PlateSet",
    "body_height",
    "build_plates",
    "compose",
    "compose_alpha",
    "cut_out",
    "depth_order",
    "faded",
    "frame_matte",
    "inpaint",
    "one_thread_per_call",
    "own_matte",
    "person_matte",
    "pixelated",
]
