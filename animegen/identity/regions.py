"""Finds the pixels of a crop that show each part of the person: hair, skin, eyes, clothes, shoes.

Between ``body``, which knows where the parts are, and ``palette`` and ``traits``, which measure their colours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animegen.colour import rgb_to_lab
from animegen.identity.body import Body, Head, between, capsule, inside, polygon
from animegen.types import Crop, Float32Array, Float64Array

Region = NDArray[np.bool_]

_LEAST_HEAD = 10.0
"""Height of a head in pixels under which hair and face cannot be told apart."""
_LEAST_HEAD_FOR_EYES = 60.0
_PIXELS_PER_CROP = 400
_THIGHS, _SHINS = (0.5, 0.6, 0.7, 0.8), (0.3, 0.5, 0.7)
"""Where it is looked whether the gap between the legs is open: between hips (0) and knees (1), knees and ankles."""
_HAIRLINE = 0.22
"""How far hair above the forehead reaches down from the crown, in heights of the head."""
_LEAST_TOP, _HIGHEST_HAIR = 0.48, 0.8
"""How far above the eyes hair reaches, in heights of the head; higher up it is an arm or another person."""


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """What one crop shows: the body, and for each part that can be seen a few hundred of its pixels, evenly spread.

    They are colours f32 [n, 3] in CIELAB. Beside the six parts of a palette there are ``upper_arm``, ``forearm``,
    ``knee`` (below it) and ``shin``, by which bare skin and cloth are told apart; ``beside`` (the neck) and ``back``
    (below the shoulders), by which the length of hair is measured; and ``thighs`` and ``shins``, by which skirts are
    told: from the top down three pixels each, on the left leg, between the legs and on the right one, NaN where they
    are not the person's.
    """

    body: Body
    colours: Mapping[str, Float32Array]

    def pixels(self, name: str) -> Float32Array:
        """Colours [n, 3] of a part; empty where the part is absent."""
        return self.colours.get(name, np.empty((0, 3), np.float32))


def view_of(crop: Crop) -> View:
    """The colours of the parts of the person in a crop, each inside the silhouette."""
    body, silhouette = Body(crop), inside(crop)
    parts: dict[str, Region] = {}
    head = body.head
    if head is not None and head.height >= _LEAST_HEAD:
        parts |= _head_parts(body, head, silhouette)
    arms, before = _arms(body)
    parts |= arms | _torso(body, arms, before) | _legs(body, before)
    lab = rgb_to_lab(crop.image)
    colours = {name: _thinned(lab[part & silhouette]) for name, part in parts.items()}
    own = np.where(silhouette[..., None], lab, np.float32(np.nan))
    for name, ends, heights in (("thighs", ("hip", "knee"), _THIGHS), ("shins", ("knee", "ankle"), _SHINS)):
        colours[name] = _across(body, own, ends, heights)
    return View(body, colours)


def _thinned(pixels: Float32Array) -> Float32Array:
    """A few hundred of the pixels of each part, copied, so that the whole arrays need not be kept in memory."""
    return pixels[:: max(1, len(pixels) // _PIXELS_PER_CROP)].copy()


def _head_parts(body: Body, head: Head, silhouette: Region) -> dict[str, Region]:
    rows, columns = np.mgrid[: body.shape[0], : body.shape[1]]
    dx, dy = columns - head.eyes[0], rows - head.eyes[1]
    up = (dx * head.up[0] + dy * head.up[1]) / head.height
    side = np.abs(dx * head.across[0] + dy * head.across[1]) / head.height
    top = _top(up[(side < 0.12) & silhouette])
    crown = (up > max(0.32, top - _HAIRLINE)) & (up < top) & (side < 0.3)
    temples = (up > -0.3) & (up <= 0.33) & (side > 0.4) & (side < 0.5)
    parts = {"hair": crown | temples, "beside": (up < -0.52) & (up > -0.92) & (side > 0.22) & (side < 0.55)}
    if head.facing < -0.25:
        parts["hair"] = (up > -0.25) & (up < 0.5) & (side < 0.3)
        return parts
    cheeks = (up < -0.06) & (up > -0.25) & (side < 0.22)
    forehead = (up > 0.13) & (up < 0.23) & (side < 0.15)
    parts["skin"] = cheeks | forehead
    eyes = body.pair("eye")
    if eyes is not None and head.facing > 0.3 and head.height >= _LEAST_HEAD_FOR_EYES:
        discs = [capsule(body.shape, (eye, eye), 0.026 * head.height) for eye in eyes]
        parts["eyes"] = discs[0] | discs[1]
    return parts


def _top(up: Float64Array) -> float:
    """Where the head ends, from the heights of the silhouette's pixels above the eyes.

    Proportions would not do: hair may stand up, and children have high foreheads.
    """
    above = up[(up > 0.2) & (up < _HIGHEST_HAIR)]
    return max(_LEAST_TOP, float(np.quantile(above, 0.95))) if len(above) else _LEAST_TOP


def _arms(body: Body) -> tuple[dict[str, Region], Region]:
    """The masks of both arms by part; and that of forearms and hands, widened, which may hide what is behind them."""
    torso = body.torso
    before = np.zeros(body.shape, np.bool_)
    if torso is None:
        return {}, before
    parts = {name: np.zeros(body.shape, np.bool_) for name in ("upper_arm", "forearm")}
    for side in ("left", "right"):
        shoulder, elbow, wrist = (body.point(f"{side}_{name}") for name in ("shoulder", "elbow", "wrist"))
        if shoulder is not None and elbow is not None:
            parts["upper_arm"] |= capsule(body.shape, between(shoulder, elbow, 0.3, 0.8), 0.05 * torso)
        if elbow is not None and wrist is not None:
            parts["forearm"] |= capsule(body.shape, between(elbow, wrist, 0.25, 0.85), 0.045 * torso)
            before |= capsule(body.shape, between(elbow, wrist, 0.1, 1.45), 0.14 * torso)
    return parts, before


def _torso(body: Body, arms: Mapping[str, Region], before: Region) -> dict[str, Region]:
    """Trunk and upper arms without the forearms and hands that are held before them."""
    shoulders, hips, torso = body.pair("shoulder"), body.middle("hip"), body.torso
    if shoulders is None or torso is None:
        return {}
    top = 0.5 * (shoulders[0] + shoulders[1])
    bottom = hips if hips is not None else top + np.array([0.0, torso])
    half = 0.5 * (shoulders[0] - shoulders[1])
    least = 0.12 * torso
    if np.linalg.norm(half) < least:
        half = np.array([least, 0.0])
    a, b = between(top, bottom, 0.12, 0.88)
    corners = np.array([a - 1.05 * half, a + 1.05 * half, b + 0.95 * half, b - 0.95 * half])
    trunk = polygon(body.shape, corners)
    a, b = between(top, bottom, 0.05, 0.45)
    back = polygon(body.shape, np.array([a - half, a + half, b + half, b - half]))
    return {"upper": (trunk | arms["upper_arm"]) & ~before, "back": back & ~before}


def _legs(body: Body, before: Region) -> dict[str, Region]:
    parts: dict[str, Region] = {}

    def add(name: str, region: Region) -> None:
        parts[name] = parts[name] | region if name in parts else region

    for side in ("left", "right"):
        hip, knee, ankle = (body.point(f"{side}_{name}") for name in ("hip", "knee", "ankle"))
        if hip is not None and knee is not None:
            length = float(np.linalg.norm(hip - knee))
            add("lower", capsule(body.shape, between(hip, knee, 0.2, 0.8), 0.12 * length))
        if knee is not None and ankle is not None:
            length = float(np.linalg.norm(knee - ankle))
            add("shin", capsule(body.shape, between(knee, ankle, 0.3, 0.75), 0.08 * length))
            add("knee", capsule(body.shape, between(knee, ankle, 0.05, 0.2), 0.08 * length))
            toe, heel = body.point(f"{side}_foot_index"), body.point(f"{side}_heel")
            if toe is not None:
                back = heel if heel is not None else ankle
                add("shoes", capsule(body.shape, between(back, toe, 0.1, 0.95), 0.07 * length))
    if "lower" in parts:
        parts["lower"] = parts["lower"] & ~before
    return parts


def _across(body: Body, own: Float32Array, ends: tuple[str, str], heights: Sequence[float]) -> Float32Array:
    """The colours f32 [3 n, 3] on the left leg, between the legs and on the right one, at n heights between two joints.

    ``own`` f32 [h, w, 3] is NaN where the person is not. Empty where a joint is not seen.
    """
    upper, lower = body.pair(ends[0]), body.pair(ends[1])
    if upper is None or lower is None:
        return np.empty((0, 3), np.float32)
    sides = [start + np.outer(heights, end - start) for start, end in zip(upper, lower, strict=True)]
    places = np.stack([sides[0], (sides[0] + sides[1]) / 2, sides[1]], axis=1).reshape(-1, 2)
    columns, rows = np.minimum(np.rint(places).astype(np.intp), (body.shape[1] - 1, body.shape[0] - 1)).T
    colours: Float32Array = own[rows, columns]
    return colours
