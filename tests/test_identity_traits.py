"""Skirts told from trousers, shorts and coats, and shorts from trousers, on painted people."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import pytest

from animegen.identity.options import PaletteOptions
from animegen.identity.palette import make_preserver
from animegen.pose.skeletons import BLAZEPOSE33
from animegen.protocols import PluginContext
from animegen.types import Crop, Mask, Pose, Track, Trait, Traits

Point = tuple[float, float]

SKIN, BLUE, GREY, BROWN = (215, 160, 140), (60, 80, 160), (150, 150, 150), (110, 75, 50)
KHAKI = (170, 140, 110)  # not far from skin
VIEWS = 6  # enough to be sure of what they agree on
LIMB, THIGH = 20, 55  # pixels: how thick legs are, and how long thighs


@dataclass(frozen=True)
class Clothes:
    """Colours of the upper clothes, of what hangs on the legs and of the shins; how far down cloth goes.

    Down to ``hem`` on the thighs (0 hips, 1 knees); ``skirt``: in one piece, else on each leg, from ``crotch`` on.
    """

    upper: tuple[int, int, int] = GREY
    lower: tuple[int, int, int] = BLUE
    shins: tuple[int, int, int] = SKIN
    hem: float = 0.75
    skirt: bool = False
    crotch: float = 0.4


def seen(clothes: Clothes, apart: float) -> Crop:
    """A person who stands with knees ``apart`` pixels from each other, from the front."""
    places: dict[str, Point] = {"nose": (128, 40), "mouth_left": (132, 50), "mouth_right": (124, 50)}
    for side, sign in (("left", 1), ("right", -1)):
        knee = 128 + sign * apart / 2
        places |= {
            f"{side}_eye": (128 + 6 * sign, 35), f"{side}_ear": (128 + 14 * sign, 38),
            f"{side}_shoulder": (128 + 34 * sign, 75), f"{side}_elbow": (128 + 52 * sign, 110),
            f"{side}_wrist": (128 + 62 * sign, 145), f"{side}_hip": (128 + 18 * sign, 150),
            f"{side}_knee": (knee, 150 + THIGH), f"{side}_ankle": (knee + 4 * sign, 260),
            f"{side}_heel": (knee + 3 * sign, 266), f"{side}_foot_index": (knee + 8 * sign, 272),
        }  # fmt: skip
    image, alpha = np.full((288, 256, 3), 235, np.uint8), np.zeros((288, 256), np.uint8)

    def between(a: str, b: str, share: float) -> Point:
        (x, y), (u, v) = places[a], places[b]
        return x + share * (u - x), y + share * (v - y)

    def line(colour: tuple[int, int, int], a: Point, b: Point, width: int = LIMB) -> None:
        for canvas, ink in ((image, colour), (alpha, (255,))):
            cv2.line(canvas, *(tuple(round(v) for v in end) for end in (a, b)), ink, width)

    def fill(colour: tuple[int, int, int], corners: list[Point]) -> None:
        for canvas, ink in ((image, colour), (alpha, (255,))):
            cv2.fillPoly(canvas, [np.rint(corners).astype(np.int32)], ink)

    for side in ("left", "right"):
        line(SKIN, places[f"{side}_hip"], places[f"{side}_knee"])
        line(clothes.shins, places[f"{side}_knee"], places[f"{side}_ankle"])
        line(BROWN, places[f"{side}_heel"], places[f"{side}_foot_index"], 8)
        line(SKIN, places[f"{side}_elbow"], places[f"{side}_wrist"], 10)
        line(clothes.upper, places[f"{side}_shoulder"], places[f"{side}_elbow"], 12)
        end = between(f"{side}_hip", f"{side}_knee", clothes.hem - LIMB / 2 / THIGH)  # lines have round ends
        line(clothes.lower, places[f"{side}_hip"], end)
    fill(clothes.upper, [places[f"{s}_{j}"] for s, j in (("left", "shoulder"), ("right", "shoulder"),
                                                         ("right", "hip"), ("left", "hip"))])  # fmt: skip
    reach = clothes.hem if clothes.skirt else clothes.crotch
    hem = [between(f"{side}_hip", f"{side}_knee", reach) for side in ("right", "left")]
    fill(clothes.lower, [places["left_hip"], places["right_hip"], *hem])
    line(SKIN, (128, 32), (128, 50), 26)
    xy, score = np.zeros((33, 2), np.float32), np.zeros(33, np.float32)
    for name, place in places.items():
        xy[BLAZEPOSE33.index(name)], score[BLAZEPOSE33.index(name)] = place, 0.95
    pose = Pose(BLAZEPOSE33, xy, score, np.array([60, 15, 196, 280], np.float32), mask=Mask(alpha, np.eye(2, 3)))
    return Crop(0, image, pose)


def test_legs_at_the_edge_of_the_picture_are_looked_at() -> None:
    crop = seen(Clothes(), 60.0)
    edge = np.array(crop.image.shape[1::-1]) - 0.3
    for name, up in (("hip", 140), ("knee", 70), ("ankle", 0)):
        crop.pose.xy[BLAZEPOSE33.index(f"left_{name}")] = edge - (0, up)
    track = Track(0, (0,), (crop.pose,))
    assert make_preserver(PaletteOptions(), PluginContext()).enroll(track, [crop]).traits.skirt.value < 0.5


def traits_of(clothes: Clothes, apart: float = 60.0) -> Traits:
    crops = [seen(clothes, apart + shift) for shift in range(VIEWS)]
    track = Track(0, tuple(range(VIEWS)), tuple(crop.pose for crop in crops))
    return make_preserver(PaletteOptions(), PluginContext()).enroll(track, crops).traits


def skirt_of(clothes: Clothes, apart: float = 60.0) -> Trait:
    return traits_of(clothes, apart).skirt


@pytest.mark.parametrize(
    "clothes",
    [Clothes(skirt=True), Clothes(skirt=True, hem=0.65), Clothes(skirt=True, upper=BLUE),
     Clothes(skirt=True, shins=(30, 30, 30))],
    ids=["skirt", "short skirt", "dress", "stockings"],
)  # fmt: skip
def test_cloth_between_legs_that_stand_apart_is_a_skirt(clothes: Clothes) -> None:
    skirt = skirt_of(clothes)
    assert skirt.value > 0.9
    assert skirt.confidence > 0.9


@pytest.mark.parametrize(
    "clothes",
    [Clothes(hem=1.0, shins=BLUE), Clothes(hem=1.0, shins=BLUE, crotch=1.0), Clothes(hem=0.9)],
    ids=["trousers", "trousers whose thighs touch", "shorts"],
)
def test_trousers_and_shorts_are_none(clothes: Clothes) -> None:
    skirt = skirt_of(clothes)
    assert skirt.value < 0.4
    assert skirt.confidence > 0.9


@pytest.mark.parametrize(
    ("clothes", "apart"),
    [(Clothes(skirt=True, upper=BLUE, shins=(30, 30, 30)), 60.0), (Clothes(skirt=True), 18.0)],
    ids=["coat", "legs together"],
)
def test_what_may_be_either_is_not_told(clothes: Clothes, apart: float) -> None:
    """A long coat over trousers looks as a dress over stockings does; legs that touch leave no gap to look through."""
    assert skirt_of(clothes, apart).confidence == 0.0


@pytest.mark.parametrize(
    ("clothes", "length"),
    [
        (Clothes(hem=1.0, shins=BLUE), 1.0),
        (Clothes(hem=1.0, lower=KHAKI, shins=KHAKI), 1.0),
        (Clothes(hem=0.9), 0.45),
        (Clothes(hem=0.9, lower=KHAKI), 0.45),
        (Clothes(skirt=True), 0.45),
    ],
    ids=["trousers", "khaki trousers", "shorts", "khaki shorts", "skirt"],
)
def test_bare_knees_are_those_of_shorts_and_skirts(clothes: Clothes, length: float) -> None:
    trousers = traits_of(clothes).trousers
    assert trousers.value == length
    assert trousers.confidence > 0.9


def test_trousers_in_the_colour_of_skin_are_not_told() -> None:
    assert traits_of(Clothes(hem=1.0, lower=SKIN, shins=SKIN)).trousers.confidence == 0.0
