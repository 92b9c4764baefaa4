"""Who the person of a track is: what they look like, whether they are known, and what the cast file says of them.

``crops`` cuts out pictures of people in a conversion's first pass; the rest happens in its second pass, after tracking:

- ``body`` finds the parts of a body in a crop and ``regions`` the pixels that show each.
- ``palette`` measures six colours from these pixels, with ``colours`` and ``skin``, and ``natural`` draws those that no
  picture shows; ``traits`` measures hair length, sleeves and the like; ``appearance`` describes the look as a whole.
- ``palette`` and ``preserver`` are the built-in identity preservers. A plugin can take their place.
- ``recognise`` matches the people of a clip with people known from elsewhere.
- ``members`` is what a cast file says, and ``cast`` reads and writes the file.
"""

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
