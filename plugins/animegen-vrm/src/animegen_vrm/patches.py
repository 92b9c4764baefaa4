"""Parts told by look: patches of touching triangles of like colour, by the bones they hang on and their colours."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from animegen.colour import rgb_to_lab
from animegen.types import PARTS, Float32Array, Float64Array
from animegen_vrm.model import Avatar, Primitive
from animegen_vrm.regions import FOOT, HAND, HEAD, LEG, hangs_on, joint_regions, triangle_regions
from animegen_vrm.rig import rest_matrices
from animegen_vrm.surface import lit_colours

OWN = len(PARTS)
"""Label of a triangle that keeps its own colours; smaller ones are places in PARTS."""

_WELD = 1e-4  # metres: corners nearer than this touch
_LIKE = 20.0  # CIELAB distance up to which touching triangles belong to one patch
_SKIN_HUES = (0.0, 90.0)  # degrees in CIELAB
_SKIN_CHROMA = (4.0, 48.0)
_CHROMATIC = 12.0  # an iris has at least this CIELAB chroma
_NEAR_HAIR = 30.0  # CIELAB a-b distance
_THIGH = 0.2  # leg lengths below the hips' joint: sewn to an upper garment there is a hem, begun below is a stocking
_BOOT = 0.08  # share of a patch's area on the feet from which it is a shoe

_PAINTED = 0.3  # share of skin in a patch on the head from which it is painted skin: an eye drawn on the face

_SPOTS = np.array([[1, 1, 1], [2.2, 0.4, 0.4], [0.4, 2.2, 0.4], [0.4, 0.4, 2.2]]) / 3
"""Where in a triangle its colours are read: weights of its corners. The middle comes first."""

_HAIR, _SKIN, _EYES, _UPPER, _LOWER, _SHOES = range(6)


@dataclass(frozen=True, slots=True, eq=False)
class _Soup:
    """Loose triangles."""

    corners: Float64Array  # [T, 3, 3] metres
    spots: Float32Array  # [T, 4, 3] CIELAB at the places of _SPOTS
    region: NDArray[np.int64]  # [T]
    gaze: NDArray[np.bool_]  # [T]
    crossed: Float64Array  # [T, 3] normals, twice the area long

    @property
    def lab(self) -> Float32Array:
        """CIELAB in the middle of each triangle, [T, 3]."""
        return self.spots[:, 0]

    @property
    def area(self) -> Float64Array:
        area: Float64Array = np.linalg.norm(self.crossed, axis=1) / 2 + 1e-12
        return area


def tell_by_patches(avatar: Avatar, chosen: Sequence[int], places: Sequence[Float64Array]) -> list[NDArray[np.int64]]:
    """A label for each triangle of the chosen primitives: i64 [T] each. ``places``: rest positions of all."""
    primitives = [avatar.primitives[i] for i in chosen]
    joints = joint_regions(avatar)
    eyes = hangs_on(avatar, ("leftEye", "rightEye"))
    corners = np.concatenate([places[i][avatar.primitives[i].triangles] for i in chosen])
    soup = _Soup(
        corners=corners,
        spots=np.concatenate([_colours(avatar, primitive) for primitive in primitives]),
        region=np.concatenate([triangle_regions(primitive, joints) for primitive in primitives]),
        gaze=np.concatenate([_moved_by_gaze(primitive, eyes) for primitive in primitives]),
        crossed=np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]),
    )
    one, other = _touching(soup)
    patch = _patches(soup, one, other)
    labels = _label(soup, patch)[patch]
    rest = rest_matrices(avatar.nodes)[:, 1, 3]
    hips, foot = (rest[avatar.humanoid[bone]] for bone in ("hips", "leftFoot"))
    thigh = hips - _THIGH * (hips - foot)
    _sew_hems(soup, labels, one, other, thigh)
    _keep_stockings(soup, labels, one, other, thigh)
    return np.split(labels, np.cumsum([len(primitive.triangles) for primitive in primitives])[:-1])


def _colours(avatar: Avatar, primitive: Primitive) -> Float32Array:
    """Lit colours of each triangle at the places of _SPOTS, CIELAB f32 [T, 4, 3]."""
    spots = np.einsum("sk,tkx->tsx", _SPOTS, primitive.uvs[primitive.triangles]).astype(np.float32)
    rgba = lit_colours(avatar, avatar.materials[primitive.material], spots.reshape(-1, 2))
    return rgb_to_lab(rgba[:, :3]).reshape(-1, len(_SPOTS), 3)


def _moved_by_gaze(primitive: Primitive, eyes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which triangles follow the gaze: on the eyes' bones, or moved by the expressions that look aside."""
    moved = (eyes[primitive.joints] * primitive.weights).sum(axis=1) > 0.5
    for name in ("lookUp", "lookDown", "lookLeft", "lookRight"):
        if name in primitive.morphs:
            moved |= np.abs(primitive.morphs[name]).max(axis=1) > 1e-5
    follow: NDArray[np.bool_] = moved[primitive.triangles].all(axis=1)
    return follow


def _touching(soup: _Soup) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of triangles that share an edge: two i64 [E]."""
    points = np.rint(soup.corners.reshape(-1, 3) / _WELD).astype(np.int64)
    _, welded = np.unique(points, axis=0, return_inverse=True)
    ends = welded.reshape(-1, 3)[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    _, edge = np.unique(np.sort(ends, axis=1), axis=0, return_inverse=True)
    order = np.argsort(edge, kind="stable")
    meet = np.diff(edge[order]) == 0
    return order[:-1][meet] // 3, order[1:][meet] // 3


def _patches(soup: _Soup, one: NDArray[np.int64], other: NDArray[np.int64]) -> NDArray[np.int64]:
    """The patch of each triangle, i64 [T]: triangles that share an edge and look alike."""
    alike = np.linalg.norm(soup.lab[one] - soup.lab[other], axis=1) < _LIKE
    alike &= soup.gaze[one] == soup.gaze[other]
    return _joined(len(soup.lab), one, other, alike)


def _sew_hems(
    soup: _Soup, labels: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64], below: float
) -> None:
    """Call upper what is called lower but is sewn to an upper garment below the given height: the hem of a coat."""
    cloth = (labels == _LOWER) | (labels == _UPPER)
    low = soup.corners[:, :, 1].mean(axis=1) < below
    garment = _joined(len(labels), one, other, cloth[one] & cloth[other] & (low[one] | low[other]))
    upper = np.unique(garment[labels == _UPPER])
    labels[(labels == _LOWER) & np.isin(garment, upper)] = _UPPER


def _keep_stockings(
    soup: _Soup, labels: NDArray[np.int64], one: NDArray[np.int64], other: NDArray[np.int64], below: float
) -> None:
    """Let what is called lower keep its own colours where it begins below the given height."""
    lower = labels == _LOWER
    garment = _joined(len(labels), one, other, lower[one] & lower[other])
    tops = np.full(int(garment.max()) + 1, -np.inf)
    np.maximum.at(tops, garment, soup.corners[:, :, 1].max(axis=1))
    labels[lower & (tops[garment] < below)] = OWN


def _joined(
    count: int, one: NDArray[np.int64], other: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Number of the connected group of each of ``count`` things under the chosen pairs: i64 [count]."""
    links = coo_array((np.ones(int(chosen.sum())), (one[chosen], other[chosen])), (count, count))
    _, group = connected_components(links, directed=False)
    numbers: NDArray[np.int64] = group.astype(np.int64)
    return numbers


def _label(soup: _Soup, patch: NDArray[np.int64]) -> NDArray[np.int64]:
    """The label of each patch."""
    area, count = soup.area, int(patch.max()) + 1
    shares = np.zeros((count, 5))
    np.add.at(shares, (patch, soup.region), area)
    areas = shares.sum(axis=1, keepdims=True)
    shares /= areas
    lab = np.zeros((count, 3))
    np.add.at(lab, patch, soup.lab * area[:, None])
    lab /= areas
    gaze = np.bincount(patch, soup.gaze * area, count) > 0.5 * areas[:, 0]

    head = shares[:, HEAD] > 0.5
    skin_colour = _skin_colour(soup)
    bare = _is_skin(soup.spots.reshape(-1, 3), skin_colour).reshape(-1, len(_SPOTS))
    painted = np.bincount(patch, bare.mean(axis=1) * area, count) > _PAINTED * areas[:, 0]
    skin = _is_skin(lab, skin_colour) | (head & painted)
    hair_colour = _hair_colour(soup, bare[:, 0])
    hair = head & (np.linalg.norm(lab[:, 1:] - hair_colour[1:], axis=1) < _NEAR_HAIR)
    if np.hypot(*hair_colour[1:]) > _CHROMATIC:
        # Coloured hair is told from white ribbons and black pupils by its chroma.
        hair &= np.hypot(lab[:, 1], lab[:, 2]) > np.hypot(*hair_colour[1:]) / 3
    labels = np.full(count, _UPPER)
    labels[shares[:, LEG] + shares[:, FOOT] > 0.5] = _LOWER
    labels[shares[:, FOOT] > _BOOT] = _SHOES
    labels[shares[:, HAND] > 0.5] = OWN
    labels[head] = OWN
    labels[hair] = _HAIR
    labels[skin & ~hair] = _SKIN
    # A file may name a lock of hair as its eye.
    gaze &= ~(hair | skin)
    labels[gaze] = np.where(np.hypot(lab[gaze, 1], lab[gaze, 2]) > _CHROMATIC, _EYES, OWN)
    return labels


def _skin_colour(soup: _Soup) -> Float64Array:
    """CIELAB of the skin: the middle one of skin-like colours on the lower front of the head, else anywhere."""
    heights = soup.corners[:, :, 1].mean(axis=1)
    chroma = np.hypot(soup.lab[:, 1], soup.lab[:, 2])
    like = _hue_between(soup.lab, *_SKIN_HUES) & (soup.lab[:, 0] > 30)
    like &= (chroma > _SKIN_CHROMA[0]) & (chroma < _SKIN_CHROMA[1])
    front = (soup.region == HEAD) & (soup.crossed[:, 2] > 0.3 * np.linalg.norm(soup.crossed, axis=1))
    if front.any():
        low, high = np.quantile(heights[front], (0.0, 0.6))
        front &= (heights >= low) & (heights <= high)
    chosen = front & like if (front & like).any() else like
    return weighted_median(soup.lab[chosen], soup.area[chosen]) if chosen.any() else np.array([75.0, 12.0, 16.0])


def _hair_colour(soup: _Soup, skin: NDArray[np.bool_]) -> Float64Array:
    """CIELAB of the hair: the middle colour of what on the head looks backwards and is no skin."""
    head = (soup.region == HEAD) & ~skin
    back = head & (soup.crossed[:, 2] < 0)
    chosen = back if back.any() else head
    return weighted_median(soup.lab[chosen], soup.area[chosen]) if chosen.any() else np.zeros(3)


def _is_skin(lab: Float32Array | Float64Array, skin: Float64Array) -> NDArray[np.bool_]:
    """Which colours are skin of the given colour in some light: of its hue, neither paler nor much more vivid."""
    chroma, own = np.hypot(lab[:, 1], lab[:, 2]), float(np.hypot(skin[1], skin[2]))
    hue = np.degrees(np.arctan2(skin[2], skin[1]))
    likeness: NDArray[np.bool_] = (
        _hue_between(lab, hue - 30, hue + 30)
        & (chroma > 0.45 * own)
        & (chroma < 1.8 * own + 6)
        & (lab[:, 0] > skin[0] - 40)
    )
    return likeness


def _hue_between(lab: Float32Array | Float64Array, low: float, high: float) -> NDArray[np.bool_]:
    hue = np.degrees(np.arctan2(lab[:, 2], lab[:, 1]))
    between: NDArray[np.bool_] = (hue - low) % 360 <= high - low
    return between


def weighted_median(values: NDArray[np.floating], weights: NDArray[np.floating]) -> Float64Array:
    """The median of each column of values [N, C] under weights [N]: f64 [C]."""
    medians = np.zeros(values.shape[1])
    for column in range(values.shape[1]):
        order = np.argsort(values[:, column], kind="stable")
        reached = np.cumsum(weights[order])
        medians[column] = values[order[np.searchsorted(reached, reached[-1] / 2)], column]
    return medians
