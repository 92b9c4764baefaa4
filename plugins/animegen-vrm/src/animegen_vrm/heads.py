"""Pictures of avatars' heads, cut out as the faces of FFHQ are: what small generators of faces are trained on.

Picture ``i`` depends on the recipe and ``i`` alone, and shows the same head under the same light in every look, so that
generators of two looks learn the same heads.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from math import atan2, cos, radians, sin
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from PIL import Image

from animegen.avatar.layers import colour_layers
from animegen.colour import palette_rgb
from animegen.errors import UsageError
from animegen.events import Listener, ignore
from animegen.identity.natural import draw_palette
from animegen.jobs import artefact
from animegen.jobs.artefacts import write_text
from animegen.pipeline.progress import stage
from animegen.pose.skeletons import AVATAR35
from animegen.types import Float32Array, Float64Array, Uint8Array
from animegen_vrm import quaternions as q
from animegen_vrm.camera import Camera, look_at
from animegen_vrm.film import over
from animegen_vrm.keypoints import Keypoints
from animegen_vrm.model import Avatar, Posed
from animegen_vrm.motion import random_expression, random_look
from animegen_vrm.read import read_avatar
from animegen_vrm.render import LIGHT, Renderer
from animegen_vrm.rig import BodyPose, Rig
from animegen_vrm.springs import settle

Look: TypeAlias = Literal["soft", "toon"]

_SAMPLES = 16
_X, _Y, _Z = np.eye(3)
_POINTS = [AVATAR35.index(name) for name in ("right_eye", "left_eye", "mouth_left", "mouth_right")]
"""The eyes as the picture shows them from left to right, and the mouth."""

_HANGING = 75.0
_HEAD, _CAMERA = ((9.0, 25.0), (6.0, 15.0), (5.0, 12.0)), ((10.0, 25.0), (5.0, 12.0))
"""Standard deviations and limits, in degrees, of the head's turning, nodding and tilting, and the camera's of two."""
_DISTANCES = (0.8, 2.5)
_LIGHT_SPREAD = 0.3
_SOFT_SHADE = 0.25
"""Linear light in the shade of the soft look, as a share of that on the lit side."""
_EXPOSURES, _TINT = (0.8, 1.1), 0.05
_MEASURING_FOV = 20.0


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """Everything that decides the pictures but their number.

    ``soft``: matt surfaces without outlines, under a light of some strength and tint. ``toon``: two tones and outlines,
    as the avatars' materials say.
    """

    avatars: tuple[Path, ...]
    look: Look
    size: int
    seed: int = 0


class HeadStudio:
    """Everything that makes a recipe's pictures. Raises InputError for an avatar that cannot be read."""

    def __init__(self, recipe: HeadRecipe) -> None:
        self._recipe = recipe
        self._renderer = Renderer(recipe.size, samples=_SAMPLES)
        self.avatars = [read_avatar(path) for path in recipe.avatars]
        shown = [softened(avatar) if recipe.look == "soft" else avatar for avatar in self.avatars]
        self._models = [self._renderer.load(avatar) for avatar in shown]
        self._rigs = [Rig(avatar) for avatar in self.avatars]
        self._keypoints = [Keypoints(avatar) for avatar in self.avatars]

    def picture(self, index: int) -> Uint8Array:
        """Picture ``index``: uint8 [size, size, 3] sRGB. The avatars take turns."""
        rng, who = np.random.default_rng((self._recipe.seed, index)), index % len(self.avatars)
        posed = _posed(self._rigs[who], rng)
        yaw, pitch = _angles(_CAMERA, rng)
        toward = np.array((sin(yaw) * cos(pitch), sin(pitch), cos(yaw) * cos(pitch)))
        features = self._keypoints[who].points(posed)[_POINTS].astype(np.float64)
        camera = face_camera(features, toward * rng.uniform(*_DISTANCES), self._recipe.size)
        x, y, z = LIGHT + rng.normal(0.0, _LIGHT_SPREAD, 3)
        layers = self._renderer.layers(self._models[who], posed, camera, (x, y, z))
        rgba = colour_layers(layers, palette_rgb(draw_palette(int(rng.integers(2**32)))))
        tint = rng.uniform(*_EXPOSURES) * (1.0 + rng.normal(0.0, _TINT, 3))
        if self._recipe.look == "soft":
            rgba[..., :3] = np.minimum(np.rint(rgba[..., :3] * tint), rgba[..., 3:])
        return over(rgba, _ground(self._recipe.size, rng))


def make_heads(recipe: HeadRecipe, folder: Path, count: int, on_event: Listener = ignore) -> None:
    """Write ``count`` pictures as PNG, or what is still missing of them, and whose heads they are as ``heads.json``.

    Raises UsageError where the folder holds the pictures of another recipe.
    """
    studio = HeadStudio(recipe)
    credits = [
        {"name": avatar.name, "licence": avatar.licence.licence, "authors": [*avatar.licence.authors]}
        for avatar in studio.avatars
    ]
    told = {"look": recipe.look, "size": recipe.size, "seed": recipe.seed, "avatars": credits}
    text, described = json.dumps(told, indent=1, ensure_ascii=False) + "\n", folder / "heads.json"
    if described.exists() and described.read_text(encoding="utf-8") != text:
        raise UsageError(f"{folder} holds heads that were made otherwise", "name another folder with -o")
    write_text(described, text)
    with stage("render", count, on_event) as advance:
        for index in range(count):
            path = folder / f"{index:06d}.png"
            if not path.exists():
                with artefact(path) as part:
                    Image.fromarray(studio.picture(index)).save(part, "png")
            advance(1)


def softened(avatar: Avatar) -> Avatar:
    """An avatar of matt surfaces without outlines: light falls off evenly from what faces it to what faces away."""
    materials = tuple(
        replace(
            material,
            shading_shift=0.0,
            shading_toony=0.0,
            shade=(_SOFT_SHADE * material.lit[0], _SOFT_SHADE * material.lit[1], _SOFT_SHADE * material.lit[2]),
            shade_texture=material.lit_texture,
            outline_width=0.0,
        )
        for material in avatar.materials
    )
    return replace(avatar, materials=materials)


def face_camera(features: Float64Array, away: Float64Array, size: int) -> Camera:
    """The camera, ``away`` f64 [3] from the eyes' middle, whose picture is the square that FFHQ cuts out around a face.

    ``features`` f64 [4, 3]: the eyes as seen from left to right, and the corners of the mouth; metres, Y up.
    """
    target = features[:2].mean(axis=0)
    level = look_at(target + away, target, _Y, _MEASURING_FOV, size)
    _, (across, below) = ffhq_square(level.project(features)[0].astype(np.float64))
    roll, (right, up) = atan2(below, across), level.view[:2, :3]
    camera = look_at(target + away, target, cos(roll) * up + sin(roll) * right, _MEASURING_FOV, size)
    centre, half = ffhq_square(camera.project(features)[0].astype(np.float64))
    x, y = ((centre + 0.5) / size * 2.0 - 1.0) * (1.0, -1.0)
    zoom = size / 2.0 / float(np.linalg.norm(half))
    projection = camera.projection.copy()
    projection[:2] = zoom * (projection[:2] - np.outer((x, y), projection[3]))
    return Camera(camera.view, projection, camera.size)


def ffhq_square(points: Float64Array) -> tuple[Float64Array, Float64Array]:
    """The square around a face, f64 [2] pixels each: its centre, and the way from it to its right side.

    ``points`` f64 [4, 2]: the eyes from left to right, and the corners of the mouth. The square lies as the eyes do and
    as the mouth lies below them, and is four eye distances wide, or 3.6 times as wide as the mouth is below the eyes
    where that is more. Source: Karras et al. 2019, arXiv 1812.04948, appendix A, and the published tool's formula.
    """
    eyes, mouth = points[:2].mean(axis=0), points[2:].mean(axis=0)
    across, down = points[1] - points[0], mouth - eyes
    along = across + np.array((down[1], -down[0]))
    half = max(2.0 * float(np.linalg.norm(across)), 1.8 * float(np.linalg.norm(down)))
    return eyes + 0.1 * down, along / max(float(np.linalg.norm(along)), 1e-9) * half


def _posed(rig: Rig, rng: np.random.Generator) -> Posed:
    """Arms hanging, the head turned a little, any face; hair at rest."""
    yaw, pitch, roll = _angles(_HEAD, rng)
    turn = q.multiply(q.about(_Y, yaw), q.multiply(q.about(_X, pitch), q.about(_Z, roll)))
    half = q.blend(q.IDENTITY, turn, 0.5)
    turns = {"neck": half, "head": half} | {
        f"{side}UpperArm": q.about(_Z, radians(angle)) for side, angle in (("left", -_HANGING), ("right", _HANGING))
    }
    pose = BodyPose({bone: turned.astype(np.float32) for bone, turned in turns.items()})
    return settle(rig, rig.apply(pose, random_expression(rng), random_look(rng)))


def _angles(ranges: tuple[tuple[float, float], ...], rng: np.random.Generator) -> list[float]:
    """Angles drawn from normal distributions of these standard deviations, held within these limits; in radians."""
    return [radians(np.clip(rng.normal(0.0, spread), -most, most)) for spread, most in ranges]


def _ground(size: int, rng: np.random.Generator) -> Float32Array:
    """A colour that changes evenly into a similar one, f32 [size, size, 3] sRGB 0..255."""
    first, second = np.clip(rng.uniform(30.0, 230.0) + rng.normal(0.0, 25.0, (2, 3)), 0.0, 255.0)
    angle = rng.uniform(0.0, 2.0 * np.pi)
    rows, columns = np.mgrid[:size, :size] / size - 0.5
    share = np.clip(0.5 + cos(angle) * columns + sin(angle) * rows, 0.0, 1.0)[..., None]
    ground: Float32Array = ((1.0 - share) * first + share * second).astype(np.float32)
    return ground
