"""Measures what distinguishes people beside colours: hair, sleeves, what is worn on the legs, size of the head."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from animegen.identity.colours import Lab, apart, near
from animegen.identity.regions import View
from animegen.types import Palette, Trait, Traits

_SAME = 18.0
_DISTINCT = 12.0
"""CIEDE2000 from which on two parts can be told apart by their colours."""
_LEAST_PIXELS = 8
_SURE = 0.2
"""Confidence from which on a part's colour is used to recognise the part in other pixels."""
_ENOUGH_VIEWS = 5.0
_TO_THE_KNEES = 0.45
"""How far shorts and skirts mostly reach, from the hips (0) to the ankles (1)."""
_CLEAR = 0.2
"""By how much more than half of what is seen below the knees is of one kind."""
_LEAST_HEIGHTS = 2  # where both thighs show cloth: shorts may close the gap at one
_APART = 0.45
"""How far apart knees stand, in thighs, where it can be told whether there is a gap between the legs."""


def measure_traits(views: Sequence[View], palette: Palette) -> Traits:
    """Every trait; where too little is seen, the default at confidence 0."""
    default = Traits()
    return Traits(
        hair_length=_trait([_hair_length(view, palette) for view in views], default.hair_length),
        sleeves=_trait([_sleeves(view, palette) for view in views], default.sleeves),
        skirt=_trait([_skirt(view, palette) for view in views], default.skirt),
        trousers=_trait([_trousers(view, palette) for view in views], default.trousers),
        head_to_height=_trait([_head_to_height(view) for view in views], default.head_to_height),
    )


def _trait(values: Sequence[float | None], default: Trait) -> Trait:
    """The median of what the views show; surer the more there are and the better they agree."""
    seen = np.array([value for value in values if value is not None])
    if not len(seen):
        return default
    middle = float(np.median(seen))
    agree = float(np.mean(np.abs(seen - middle) <= 0.2))
    return Trait(round(middle, 3), round(agree * min(1.0, len(seen) / _ENOUGH_VIEWS), 3))


def _share(view: View, part: str, colour: Lab) -> float | None:
    """Share of a part's pixels that have a colour."""
    pixels = view.pixels(part)
    return float(near(pixels, colour, _SAME).mean()) if len(pixels) >= _LEAST_PIXELS else None


def _tell_apart(palette: Palette, first: str, second: str) -> bool:
    a, b = getattr(palette, first), getattr(palette, second)
    return min(a.confidence, b.confidence) >= _SURE and apart(a.lab, b.lab) >= _DISTINCT


def _hair_length(view: View, palette: Palette) -> float | None:
    """0.2 where hair ends at the neck, 0.5 where it falls beside it, 1 where it covers the shoulders."""
    if not (_tell_apart(palette, "hair", "upper") and _tell_apart(palette, "hair", "skin")):
        return None
    beside = _share(view, "beside", palette.hair.lab)
    below = _share(view, "back", palette.hair.lab)
    if below is None:
        return None
    if below > 0.15:
        return 1.0
    return 0.5 if beside is not None and beside > 0.3 else 0.2


def _sleeves(view: View, palette: Palette) -> float | None:
    """0 for bare arms, 0.4 for short sleeves, 1 for sleeves to the wrist."""
    if not _tell_apart(palette, "upper", "skin"):
        return None
    forearm, upper_arm = _share(view, "forearm", palette.skin.lab), _share(view, "upper_arm", palette.skin.lab)
    if forearm is None or upper_arm is None:
        return None
    if forearm < 0.4:
        return 1.0
    return 0.0 if upper_arm > 0.5 else 0.4


def _skirt(view: View, palette: Palette) -> float | None:
    """How far cloth closes the gap between legs that stand apart: 1 for a skirt, 0 for trousers and shorts.

    It is looked for as far down as both thighs show it, and between the shins, too, where they show it: trousers leave
    a gap somewhere, if not between thighs that touch.
    """
    hips, knees = view.body.pair("hip"), view.body.pair("knee")
    if hips is None or knees is None or palette.lower.confidence < _SURE:
        return None
    thigh = 0.5 * float(np.linalg.norm(hips[0] - knees[0]) + np.linalg.norm(hips[1] - knees[1]))
    covered, bare = (_share(view, "shin", colour.lab) for colour in (palette.lower, palette.skin))
    if covered is None or bare is None or float(np.linalg.norm(knees[0] - knees[1])) < _APART * thigh:
        return None
    if max(covered, bare) < 0.5 and not _tell_apart(palette, "lower", "upper"):
        return None  # a coat's colour, maybe, and trousers under it
    thighs, shins = (near(view.pixels(name), palette.lower.lab, _SAME).reshape(-1, 3) for name in ("thighs", "shins"))
    worn = thighs[:, 0] & thighs[:, 2]
    if worn.sum() < _LEAST_HEIGHTS or (covered >= 0.5 and not len(shins)):
        return None
    closed = float(thighs[worn, 1].mean())
    return closed if covered < 0.5 else min(closed, float(shins[:, 1].mean()))


def _trousers(view: View, palette: Palette) -> float | None:
    """1 where cloth goes on below the knees, ``_TO_THE_KNEES`` where they are bare, whatever socks are worn."""
    pixels = view.pixels("knee")
    if len(pixels) < _LEAST_PIXELS or not _tell_apart(palette, "lower", "skin"):
        return None
    off = np.stack([np.linalg.norm(pixels - colour.lab, axis=1) for colour in (palette.lower, palette.skin)])
    known = off.min(axis=0) <= _SAME
    covered = float((off[0] < off[1])[known].mean()) if known.mean() >= 0.5 else 0.5
    if abs(covered - 0.5) < _CLEAR:
        return None
    return 1.0 if covered > 0.5 else _TO_THE_KNEES


def _head_to_height(view: View) -> float | None:
    """The height of the head over that of the body, measured from crown to ankles along a standing body."""
    head, ankles = view.body.head, view.body.middle("ankle")
    hips, knees = view.body.middle("hip"), view.body.middle("knee")
    if head is None or ankles is None or hips is None or knees is None or abs(head.facing) < 0.3:
        return None
    crown = head.eyes + 0.5 * head.height * head.up
    way = [crown, hips, knees, ankles]
    tall = sum(float(np.linalg.norm(b - a)) for a, b in pairwise(way))
    straight = float(np.linalg.norm(ankles - crown))
    return head.height / tall if straight > 0.93 * tall else None
