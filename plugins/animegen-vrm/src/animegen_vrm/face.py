"""Where eyes, nose, mouth and ears of an avatar are, from the geometry of its head at rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from animegen.types import Float32Array, Float64Array
from animegen_vrm.model import Avatar

_VOWELS = ("aa", "ih", "ou", "ee", "oh")
_GAZES = ("lookLeft", "lookRight")
_LIDS = ("blink", "blinkLeft", "blinkRight")

# Where there is neither mesh nor morph to go by, in parts of the head's height from its joint to its top.
_EYE_HEIGHT, _MOUTH_HEIGHT = 0.26, 0.07
_EYE_SIDE, _MOUTH_SIDE, _EAR_SIDE = 0.17, 0.05, 0.3
_NOSE_FORWARD = 0.05

_EAR_BESIDE_EYE = 1.3
"""Ears are at least so much farther to the side than the middles of the eyes; hair may hide the skin there."""


@dataclass(frozen=True, slots=True, eq=False)
class _Head:
    """The vertices that hang on the head: rest positions f64 [V, 3] with what their materials and morphs say."""

    positions: Float64Array
    parts: NDArray[np.str_]
    primitives: NDArray[np.int64]
    moved: dict[str, Float64Array]  # expression -> displacement f64 [V, 3]
    joint: Float64Array
    top: float

    @property
    def height(self) -> float:
        return self.top - float(self.joint[1])


def face_points(avatar: Avatar, rest: Float32Array) -> dict[str, Float64Array]:
    """The seven face points of AVATAR35 in the world at rest, f64 [3] metres each."""
    head = _head(avatar, rest)
    left_eye, right_eye = _mirrored(*_eyes(head))
    left_mouth, right_mouth = _mirrored(*_mouth(head))
    skin = _face_skin(head)
    left_ear, right_ear = _ears(head, skin, left_eye, left_mouth)
    return {
        "nose": _nose(head, skin, left_eye, left_mouth),
        "left_eye": left_eye, "right_eye": right_eye,
        "left_ear": left_ear, "right_ear": right_ear,
        "mouth_left": left_mouth, "mouth_right": right_mouth,
    }  # fmt: skip


def _mirrored(left: Float64Array, right: Float64Array) -> tuple[Float64Array, Float64Array]:
    """Two points made each other's mirror image: faces are even at rest, their meshes not always."""
    even = (left + right * (-1.0, 1.0, 1.0)) / 2.0
    return even, even * (-1.0, 1.0, 1.0)


def _head(avatar: Avatar, rest: Float32Array) -> _Head:
    """Gather the head's vertices, eyes and jaw included, hair on bones of its own left out."""
    nodes = [avatar.humanoid[bone] for bone in ("head", "leftEye", "rightEye", "jaw") if bone in avatar.humanoid]
    springs = {node for spring in avatar.springs for node in spring.nodes}
    mine = np.array([node for node in nodes if node not in springs])
    skinning = rest[avatar.joint_nodes].astype(np.float64) @ avatar.inverse_binds
    names = sorted({name for primitive in avatar.primitives for name in primitive.morphs})
    positions, parts, primitives = [np.zeros((0, 3))], [np.zeros(0, "U8")], [np.zeros(0, np.int64)]
    moved: dict[str, list[Float64Array]] = {name: [np.zeros((0, 3))] for name in names}
    for number, primitive in enumerate(avatar.primitives):
        strongest = np.take_along_axis(primitive.joints, primitive.weights.argmax(axis=1)[:, None], axis=1)[:, 0]
        kept = np.isin(avatar.joint_nodes[strongest], mine)
        blended = np.einsum("vj,vjab->vab", primitive.weights[kept], skinning[primitive.joints[kept]])
        positions.append(np.einsum("vab,vb->va", blended[:, :3, :3], primitive.positions[kept]) + blended[:, :3, 3])
        parts.append(np.full(int(kept.sum()), avatar.materials[primitive.material].part or ""))
        primitives.append(np.full(int(kept.sum()), number))
        for name in names:
            shift = primitive.morphs.get(name, np.zeros((len(primitive.positions), 3)))[kept]
            moved[name].append(np.einsum("vab,vb->va", blended[:, :3, :3], shift))
    joint = rest[avatar.humanoid["head"], :3, 3].astype(np.float64)
    places = np.concatenate(positions)
    top = float(places[:, 1].max()) if len(places) else float(joint[1]) * 1.15
    return _Head(
        places,
        np.concatenate(parts),
        np.concatenate(primitives),
        {name: np.concatenate(shifts) for name, shifts in moved.items()},
        joint,
        max(top, float(joint[1]) + 1e-3),
    )


def _movement(head: _Head, names: tuple[str, ...]) -> Float64Array:
    """How far each vertex moves at most under any of the expressions, f64 [V]."""
    lengths = [np.linalg.norm(head.moved[name], axis=1) for name in names if name in head.moved]
    return np.max(lengths, axis=0) if lengths else np.zeros(len(head.positions))


def _face_primitives(head: _Head) -> NDArray[np.bool_]:
    """Vertices of the meshes of which the vowels move a part, the lips, and not the whole, as they do teeth."""
    movement = _movement(head, _VOWELS)
    chosen = np.zeros(len(movement), bool)
    if not movement.any():
        return chosen
    moving = movement > 0.1 * movement.max()
    for number in np.unique(head.primitives):
        mine = head.primitives == number
        if 0.0 < moving[mine].mean() < 0.5:
            chosen |= mine
    return chosen


def _face_skin(head: _Head) -> Float64Array:
    """Vertices of the face's skin, f64 [V, 3]: of the mesh with the lips, else of the skin, else all."""
    for chosen in (_face_primitives(head), head.parts == "skin", head.parts != "hair"):
        if chosen.sum() >= 3:
            return head.positions[chosen]
    return head.positions


def _eyes(head: _Head) -> tuple[Float64Array, Float64Array]:
    """Centres of the left and the right eye: of what gaze moves, of its own mesh, of what lids pass over."""
    for points in (_swept(head, _GAZES), head.positions[head.parts == "eyes"], _swept(head, _LIDS)):
        left, right = points[points[:, 0] > 0.0], points[points[:, 0] < 0.0]
        if len(left) >= 3 and len(right) >= 3:
            return _middle(left), _middle(right)
    return _guess(head, _EYE_SIDE, _EYE_HEIGHT)


def _swept(head: _Head, names: tuple[str, ...]) -> Float64Array:
    """Where vertices that expressions move far are before and after, f64 [V, 3]."""
    movement = _movement(head, names)
    far = movement > 0.5 * movement.max(initial=0.0)
    places = [head.positions[far]]
    if names == _LIDS:  # upper lids fall onto lower ones: the eye is between
        places += [head.positions[far] + head.moved[name][far] for name in names if name in head.moved]
    return np.concatenate(places)


def _middle(points: Float64Array) -> Float64Array:
    """Middle of a box around points, at their front."""
    low, high = points.min(axis=0), points.max(axis=0)
    return np.array(((low[0] + high[0]) / 2.0, (low[1] + high[1]) / 2.0, np.quantile(points[:, 2], 0.75)))


def _mouth(head: _Head) -> tuple[Float64Array, Float64Array]:
    """The lips' left and right corners: farthest to the sides of what vowels move."""
    movement = _movement(head, _VOWELS) * _face_primitives(head)
    if not movement.any():
        return _guess(head, _MOUTH_SIDE, _MOUTH_HEIGHT)
    lips = head.positions[movement > 0.35 * movement.max()]
    width = np.ptp(lips[:, 0])
    left = lips[lips[:, 0] >= lips[:, 0].max() - 0.1 * width].mean(axis=0)
    right = lips[lips[:, 0] <= lips[:, 0].min() + 0.1 * width].mean(axis=0)
    return left, right


def _guess(head: _Head, side: float, height: float) -> tuple[Float64Array, Float64Array]:
    """A pair of points on the front of the head by proportion alone."""
    y = head.joint[1] + height * head.height
    x = side * head.height
    near = head.positions[(np.abs(head.positions[:, 1] - y) < 0.1 * head.height)
                          & (np.abs(head.positions[:, 0]) < 1.5 * x + 0.02)]  # fmt: skip
    z = float(near[:, 2].max()) if len(near) else float(head.joint[2]) + 0.4 * head.height
    return np.array((x, y, z)), np.array((-x, y, z))


def _nose(head: _Head, skin: Float64Array, eyes: Float64Array, mouth: Float64Array) -> Float64Array:
    """The foremost point between eyes and mouth, given the left ones."""
    apart = abs(float(eyes[1] - mouth[1]))
    low, high = mouth[1] + 0.2 * apart, eyes[1] - 0.15 * apart
    band = skin[(skin[:, 1] > low) & (skin[:, 1] < high) & (np.abs(skin[:, 0]) < 0.5 * apart)]
    if not len(band):
        return np.array((0.0, (low + high) / 2.0, max(eyes[2], mouth[2]) + _NOSE_FORWARD * head.height))
    tip = band[band[:, 2].argmax()]
    return np.array((0.0, tip[1], tip[2]))


def _ears(
    head: _Head, skin: Float64Array, eyes: Float64Array, mouth: Float64Array
) -> tuple[Float64Array, Float64Array]:
    """Where the ears begin: as far back as the skin's widest points, as far out as the cheeks (ears may be long)."""
    margin = 0.5 * abs(float(eyes[1] - mouth[1]))
    y = eyes[1] - 0.25 * margin
    band = skin[(skin[:, 1] > mouth[1]) & (skin[:, 1] < eyes[1] + margin)]
    if not len(band):
        width, z = _EAR_SIDE * head.height, float(head.joint[2])
    else:
        z = float(band[band[:, 0].argmax(), 2] + band[band[:, 0].argmin(), 2]) / 2.0
        cheeks = band[band[:, 2] > z + 0.15 * (band[:, 2].max() - z)]
        width = float(np.ptp(cheeks[:, 0] if len(cheeks) else band[:, 0])) / 2.0
    width = max(width, _EAR_BESIDE_EYE * abs(float(eyes[0])))
    return np.array((width, y, z)), np.array((-width, y, z))
