"""Who a track is: palette and recognition."""

from __future__ import annotations

from animegen.identity.appearance import describe, distance
from animegen.identity.cast import read_cast, write_cast
from animegen.identity.crops import load_crops, save_crops, take_crop
from animegen.identity.palette import person_key

__all__ = ["describe", "distance", "load_crops", "person_key", "read_cast", "save_crops", "take_crop", "write_cast"]
