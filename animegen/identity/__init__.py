"""Who a track is: palette and recognition."""

from __future__ import annotations

from animegen.identity.appearance import describe, distance
from animegen.identity.cast import read_cast, write_cast
from animegen.identity.crops import load_crops, save_crops, take_crop
from animegen.identity.members import CastFile, Drawing, Member, Seen, Treatment, free_keys, split_keys
from animegen.identity.palette import person_key
from animegen.identity.recognise import recognise

__all__ = [
    "CastFile",
    "Drawing",
    "Member",
    "Seen",
    "Treatment",
    "describe",
    "distance",
    "free_keys",
    "load_crops",
    "person_key",
    "read_cast",
    "recognise",
    "save_crops",
    "split_keys",
    "take_crop",
    "write_cast",
]
