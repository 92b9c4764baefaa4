"""Random cameras for training pictures: where people film people from, and what of them the picture shows."""

from __future__ import annotations

from dataclasses import dataclass
from math import atan, cos, degrees, radians, sin, tan

import numpy as np

from animegen.avatar.data import FRAMINGS
from animegen.pose.canvas import hand_ends, head_ends
from animegen.pose.skeletons import AVATAR35
from animegen.types import Float32Array, Float64Array
from animegen_vrm.camera import Camera, look_at
from animegen_vrm.keypoints import Keypoints
from animegen_vrm.model import Avatar, Posed
from animegen_vrm.rig import bound_vertices, rest_matrices

CHANCES = (0.50, 0.25, 0.15, 0.10, 0.0, 0.0)
"""How often each of ``FRAMINGS`` is drawn where none is asked for: faces and hands have generators of their own."""

FRONT = 60.0
FRONT_CHANCES = (0.60, 0.65, 0.80, 0.60, 0.70, 0.65)
"""People in videos mostly face the camera, the more the closer they are: how often each framing is drawn from within
so many degrees of the front; the rest from anywhere else."""

_MARGINS = {"loose": (0.15, 0.6), "face": (0.12, 0.28), "hand": (0.22, 0.38)}
_USUAL_MARGINS = (0.08, 0.25)

_UP = np.array([0.0, 1.0, 0.0])
_LEVEL = 0.2
"""A body whose left points up or down so much that less than this part of it is level lies on its side."""

_SHORTEST_NECK = 0.01  # metres

_STEPS = 8
"""Aiming and zooming in turn; each step leaves a few percent of the error, so eight leave far less than a pixel."""


@dataclass(frozen=True, slots=True)
class View:
    """A camera as it is drawn, before it knows whom it sees.

    Degrees: ``yaw`` from the person's front (positive: from their left), ``pitch`` from above, ``roll``, and ``fov``,
    the field of view that the whole body would fill: nearer cameras have a larger one. ``framing`` indexes FRAMINGS.
    ``margin`` is left free on each side, in sides of the box around what is framed (of a face, in its length from crown
    to mouth, and of a hand, in its own, however they are turned); ``shift`` moves the picture in the same unit.
    ``knees``: half a figure reaches down to the knees instead of the hips.
    """

    framing: int
    yaw: float
    pitch: float
    roll: float
    fov: float
    margin: float
    shift: tuple[float, float]
    knees: bool = False


def random_view(rng: np.random.Generator, framing: int | None = None) -> View:
    """Draw a view, of one framing where it is given."""
    drawn = int(rng.choice(len(FRAMINGS), p=CHANCES))
    framing = drawn if framing is None else framing
    loose = FRAMINGS[framing] == "loose"
    yaw = rng.uniform(-FRONT, FRONT) if rng.random() < FRONT_CHANCES[framing] else rng.uniform(FRONT, 360 - FRONT)
    margin = rng.uniform(*_MARGINS.get(FRAMINGS[framing], _USUAL_MARGINS))
    reach = margin if loose else 0.3 * margin
    return View(
        framing,
        yaw=float(yaw),
        pitch=float(rng.uniform(-10, 25)),
        roll=float(rng.uniform(-10, 10)),
        fov=float(rng.uniform(15, 40)),
        margin=float(margin),
        shift=(float(rng.uniform(-reach, reach)), float(rng.uniform(-reach, reach))),
        knees=bool(rng.random() < 0.5),
    )


def frame(view: View, points: Float32Array, crown: float, size: int) -> Camera:
    """The camera that sees ``points`` f32 [35, 3] (metres) as ``view`` says, in a square picture of ``size`` pixels.

    ``crown`` as :func:`top_of_head` takes it. The camera stands as far away as the whole body asks for, whatever is
    framed: a picture of a head is taken by zooming in.
    """
    body = points.astype(np.float64)
    whole = np.concatenate([body, [top_of_head(body, crown)]])
    centre = (whole.min(axis=0) + whole.max(axis=0)) / 2
    radius = np.linalg.norm(whole - centre, axis=1).max()
    toward, up = _directions(view, facing(body))
    eye = centre + toward * radius / tan(radians(view.fov) / 2)
    ends = {"face": head_ends(body, crown), "hand": hand_ends(body)}.get(FRAMINGS[view.framing])
    framed = whole[_framed(view)] if ends is None else ends
    target, slope = centre, tan(radians(view.fov) / 2)
    camera = look_at(eye, target, up, view.fov, size)
    for _ in range(_STEPS):
        pixels, _ = camera.project(framed)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        box = float((high - low).max()) if ends is None else _length(ends) * camera.pixels_per_metre(ends.mean(axis=0))
        miss = (low + high) / 2 - (size - 1) / 2 - box * np.array(view.shift)
        forward = target - eye
        right = _unit(np.cross(forward, up))
        down = _unit(np.cross(forward, right))
        pixel = 2 * slope * float(np.linalg.norm(forward)) / size
        target = target + pixel * (miss[0] * right + miss[1] * down)
        slope *= box * (1 + 2 * view.margin) / size
        camera = look_at(eye, target, up, float(degrees(2 * atan(slope))), size)
    return camera


def top_of_head(points: Float64Array, crown: float) -> Float64Array:
    """The top of the head f64 [3], hair included, which the skeleton has no point for.

    ``crown``: how far above the ears it lies, in distances from the shoulders' middle to the ears'.
    """
    ears = _middle(points, "ear")
    return ears + crown * (ears - _middle(points, "shoulder"))


def crown_of(avatar: Avatar, keypoints: Keypoints) -> float:
    """How far the top of an avatar's head lies above its ears at rest, as :func:`top_of_head` takes it."""
    rest = rest_matrices(avatar.nodes)
    points = keypoints.points(Posed(rest, {})).astype(np.float64)
    ears, shoulders = _middle(points, "ear")[1], _middle(points, "shoulder")[1]
    below = {avatar.humanoid["head"]}
    for node, parent in enumerate(avatar.nodes.parents):
        if parent in below:
            below.add(node)
    highest = bound_vertices(avatar, rest, below)[:, 1].max(initial=ears)
    return float((highest - ears) / max(ears - shoulders, _SHORTEST_NECK))


def facing(points: Float64Array) -> Float64Array:
    """Where a body faces, level with the ground: f64 [3] of length 1; one that lies flat on its side faces +Z."""
    left = sum((_side(points, joint) for joint in ("shoulder", "hip")), np.zeros(3))
    front = np.array([-left[2], 0.0, left[0]])
    return _unit(front) if np.linalg.norm(front) > _LEVEL * np.linalg.norm(left) else np.array([0.0, 0.0, 1.0])


def _directions(view: View, front: Float64Array) -> tuple[Float64Array, Float64Array]:
    """From the body toward the camera, and the camera's up; both of length 1."""
    yaw, pitch, roll = radians(view.yaw), radians(view.pitch), radians(view.roll)
    beside = np.array([front[2], 0.0, -front[0]])
    level = cos(yaw) * front + sin(yaw) * beside
    toward = cos(pitch) * level + sin(pitch) * _UP
    right = np.cross(_UP, level)
    return toward, cos(roll) * np.cross(toward, right) + sin(roll) * right


def _framed(view: View) -> list[int]:
    """Which points the picture is to hold; the crown is the last."""
    if FRAMINGS[view.framing] in ("full", "loose"):
        return list(range(len(AVATAR35) + 1))
    names = ["nose", "ear", "shoulder"]
    if FRAMINGS[view.framing] == "half":
        names += ["hip", "knee"] if view.knees else ["hip"]
    return [i for i, point in enumerate(AVATAR35.points) if point.split("_")[-1] in names] + [len(AVATAR35)]


def _length(ends: Float64Array) -> float:
    return float(np.linalg.norm(ends[0] - ends[1]))


def _middle(points: Float64Array, joint: str) -> Float64Array:
    middle: Float64Array = (points[AVATAR35.index(f"left_{joint}")] + points[AVATAR35.index(f"right_{joint}")]) / 2
    return middle


def _side(points: Float64Array, joint: str) -> Float64Array:
    side: Float64Array = points[AVATAR35.index(f"left_{joint}")] - points[AVATAR35.index(f"right_{joint}")]
    return side


def _unit(vector: Float64Array) -> Float64Array:
    unit: Float64Array = vector / np.linalg.norm(vector)
    return unit
