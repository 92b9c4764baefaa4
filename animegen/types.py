"""The data types that all parts of animegen and its plugins exchange.

They are frozen dataclasses over NumPy arrays. Each checks the shapes and dtypes of its arrays when it is made, and
raises InvalidValue naming the field that does not fit.

Pictures are ``uint8`` [H, W, 3], RGB. Positions are in pixels, x to the right and y down, and (0, 0) is the centre of
the top-left pixel. Boxes are ``xyxy``: left, top, right, bottom. An ``affine`` f64 [2, 3] maps (x, y, 1) to (x, y).
Times are in seconds, exact as :class:`fractions.Fraction`. Scores and confidences run from 0, unknown, to 1, certain.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, field
from fractions import Fraction
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InvalidValue

Uint8Array: TypeAlias = NDArray[np.uint8]
Float32Array: TypeAlias = NDArray[np.float32]
Float64Array: TypeAlias = NDArray[np.float64]

Part: TypeAlias = Literal["hair", "skin", "eyes", "upper", "lower", "shoes"]

PARTS: tuple[Part, ...] = ("hair", "skin", "eyes", "upper", "lower", "shoes")
"""The six parts of a person that have a colour of their own, wherever colours are measured, drawn or trained on."""

FACE_POINTS: tuple[str, ...] = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")
"""The five landmarks of a face: centres of the eyes, tip of the nose, corners of the mouth. Right is the person's own,
so ``right_eye`` is on the left of a picture that shows the face from the front. insightface, facexlib and RetinaFace
have the same order."""


def _check(array: NDArray[Any], name: str, shape: tuple[int | None, ...], dtype: type[np.generic], owner: str) -> None:
    fits = array.ndim == len(shape) and all(
        want is None or have == want for have, want in zip(array.shape, shape, strict=True)
    )
    if not fits:
        wanted = "(" + ", ".join("any" if n is None else str(n) for n in shape) + ")"
        raise InvalidValue(f"{name} must be {wanted}{owner}, got {array.shape}")
    if array.dtype != np.dtype(dtype):
        raise InvalidValue(f"{name} must be {np.dtype(dtype).name}{owner}, got {array.dtype.name}")


def _check_finite(kind: str, owner: str = "", **arrays: NDArray[Any] | None) -> None:
    for name, array in arrays.items():
        if array is not None and not np.isfinite(array).all():
            raise InvalidValue(f"{kind}.{name} holds a value that is not finite{owner}")


@dataclass(frozen=True, slots=True)
class Colour:
    """The colour space of a video's samples, in FFmpeg's names (``bt709``, ``smpte2084``, ...).

    ``range``: ``tv`` is limited range (16..235 of 8 bits), ``pc`` full range.
    """

    primaries: str = "bt709"
    transfer: str = "bt709"
    matrix: str = "bt709"
    range: Literal["tv", "pc"] = "tv"
    bit_depth: int = 8

    @property
    def is_hdr(self) -> bool:
        """Whether the transfer is PQ (SMPTE ST 2084) or HLG (ARIB STD-B67)."""
        return self.transfer in {"smpte2084", "arib-std-b67"}


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """What a video's header tells, before a frame is decoded.

    ``width`` and ``height`` in pixels are those of the upright picture, after ``rotation`` (degrees) was applied.
    ``time_base`` is the unit of timestamps in seconds, ``rate`` the nominal frames per second, ``frame_count`` None
    where the header does not say. ``interlaced``: the file's frames hold two fields, of two moments; one is read.
    """

    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    frame_count: int | None
    rotation: int = 0
    has_audio: bool = False
    colour: Colour = field(default_factory=Colour)
    interlaced: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One frame of a video: ``index`` from 0, ``pts`` its time in seconds, ``image`` uint8 [H, W, 3] RGB."""

    index: int
    pts: Fraction
    image: Uint8Array

    def __post_init__(self) -> None:
        _check(self.image, "Frame.image", (None, None, 3), np.uint8, "")

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.image.shape[1], self.image.shape[0]


@dataclass(frozen=True, slots=True)
class Skeleton:
    """What the points of a pose are.

    ``points`` are their names, such as ``left_wrist``, in the order of the arrays of a :class:`Pose`; left and right
    are the person's own. ``edges`` are the limbs and ``flip_pairs`` the left and right points that are exchanged when a
    picture is mirrored, both as pairs of indices into ``points``.
    """

    name: str
    points: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    flip_pairs: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        count = len(self.points)
        if len(set(self.points)) != count:
            raise InvalidValue(f"skeleton '{self.name}' names a point twice")
        for a, b in (*self.edges, *self.flip_pairs):
            if not (0 <= a < count and 0 <= b < count and a != b):
                raise InvalidValue(f"skeleton '{self.name}' joins points {a} and {b}, but has {count} points")

    def __len__(self) -> int:
        return len(self.points)

    def index(self, point: str) -> int:
        """Position of a named point; raises InvalidValue for a name the skeleton does not have."""
        try:
            return self.points.index(point)
        except ValueError:
            raise InvalidValue(f"skeleton '{self.name}' has no point '{point}'") from None


@dataclass(frozen=True, slots=True, eq=False)
class Mask:
    """A soft silhouette: ``alpha`` uint8 [h, w], 255 inside; ``affine`` f64 [2, 3] from its pixels to the frame's.

    A mask usually covers a part of the frame, at a resolution of its own.
    """

    alpha: Uint8Array
    affine: Float64Array

    def __post_init__(self) -> None:
        _check(self.alpha, "Mask.alpha", (None, None), np.uint8, "")
        _check(self.affine, "Mask.affine", (2, 3), np.float64, "")


@dataclass(frozen=True, slots=True)
class Expression:
    """The expression of a face, by VRM's blend shapes.

    ``blink_l`` and ``blink_r`` 0 (open) .. 1 (closed); mouth shapes ``aa``, ``ih``, ``ou``, ``ee``, ``oh`` 0..1;
    ``brow`` -1 (lowered) .. 1 (raised); ``gaze_x`` -1 .. 1 (to the person's own left), ``gaze_y`` -1 .. 1 (up).
    """

    blink_l: float = 0.0
    blink_r: float = 0.0
    aa: float = 0.0
    ih: float = 0.0
    ou: float = 0.0
    ee: float = 0.0
    oh: float = 0.0
    brow: float = 0.0
    gaze_x: float = 0.0
    gaze_y: float = 0.0
    confidence: float = 0.0

    def calmed(self) -> Expression:
        """The expression to draw: with a confidence below 0.5, it fades towards the neutral face in proportion."""
        sure = min(self.confidence / 0.5, 1.0)
        return Expression(*(sure * value for value in astuple(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """The pose of one person in one frame, with K points as the ``skeleton`` names them.

    ``xy`` f32 [K, 2] are their positions in frame pixels and ``score`` f32 [K] their scores, 0 where a point is not
    known. ``bbox`` f32 [4] xyxy encloses the whole person. Where the backend measures them: ``z`` f32 [K] is the depth
    of the points in pixels relative to the hips (smaller is nearer), ``mask`` the person's silhouette, ``expression``
    that of the face.
    """

    skeleton: Skeleton
    xy: Float32Array
    score: Float32Array
    bbox: Float32Array
    z: Float32Array | None = None
    mask: Mask | None = None
    expression: Expression | None = None

    def __post_init__(self) -> None:
        count, owner = len(self.skeleton), f" for skeleton '{self.skeleton.name}'"
        _check(self.xy, "Pose.xy", (count, 2), np.float32, owner)
        _check(self.score, "Pose.score", (count,), np.float32, owner)
        _check(self.bbox, "Pose.bbox", (4,), np.float32, "")
        if self.z is not None:
            _check(self.z, "Pose.z", (count,), np.float32, owner)
        _check_finite("Pose", owner, xy=self.xy, score=self.score, bbox=self.bbox, z=self.z)

    @property
    def confidence(self) -> float:
        """Mean score of the points, 0..1."""
        return float(self.score.mean())


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face in a picture.

    ``bbox`` f32 [4] xyxy reaches from the brows to the chin, ``score`` 0..1 says how certainly it is a face, and
    ``points`` f32 [5, 2] are its landmarks in the order of :data:`FACE_POINTS`, all in the picture's pixels. Where the
    backend has them: ``mask`` is the soft outline of the face, with an affine to the picture's pixels; ``embedding``
    f32 [D] is a vector of length 1, whose dot product with another tells how alike the faces are.
    """

    bbox: Float32Array
    score: float
    points: Float32Array
    mask: Mask | None = None
    embedding: Float32Array | None = None

    def __post_init__(self) -> None:
        _check(self.bbox, "Face.bbox", (4,), np.float32, "")
        _check(self.points, "Face.points", (len(FACE_POINTS), 2), np.float32, "")
        if self.embedding is not None:
            _check(self.embedding, "Face.embedding", (None,), np.float32, "")
        _check_finite("Face", bbox=self.bbox, points=self.points, embedding=self.embedding)


@dataclass(frozen=True, slots=True)
class PartColour:
    """The colour of one part of a person in CIELAB (D65, L 0..100), with its confidence 0..1."""

    lab: tuple[float, float, float]
    confidence: float


@dataclass(frozen=True, slots=True)
class Palette:
    """The six part colours of one person."""

    hair: PartColour
    skin: PartColour
    eyes: PartColour
    upper: PartColour
    lower: PartColour
    shoes: PartColour

    def part(self, name: Part) -> PartColour:
        """The colour of a part by its name in :data:`PARTS`."""
        colour: PartColour = getattr(self, name)
        return colour


@dataclass(frozen=True, slots=True)
class Trait:
    """One measured property of a person, with its confidence 0..1."""

    value: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Traits:
    """Properties of a person by which a similar avatar is chosen.

    ``hair_length``, ``sleeves`` and ``trousers`` run from 0 (none) to 1 (long), ``skirt`` from 0 (legs apart) to 1 (one
    cloth around both), whose length ``trousers`` tells as well; ``head_to_height`` is the height of the head over that
    of the body.
    """

    hair_length: Trait = Trait(0.5, 0.0)
    sleeves: Trait = Trait(0.5, 0.0)
    skirt: Trait = Trait(0.0, 0.0)
    head_to_height: Trait = Trait(0.14, 0.0)
    trousers: Trait = Trait(1.0, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Latent:
    """A latent code, and by the SHA-256 of its weights the StyleGAN2 generator for which alone it means something."""

    space: Literal["z", "w", "w+"]
    values: Float32Array
    generator_sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """The poses of one person through a clip: ``poses[i]`` is that in frame ``frame_indices[i]``.

    The indices rise; frames in which the person was not found are left out.
    """

    id: int
    frame_indices: tuple[int, ...]
    poses: tuple[Pose, ...]

    def __post_init__(self) -> None:
        if len(self.frame_indices) != len(self.poses):
            raise InvalidValue(f"track {self.id} has {len(self.frame_indices)} frames and {len(self.poses)} poses")
        if any(b <= a for a, b in zip(self.frame_indices, self.frame_indices[1:], strict=False)):
            raise InvalidValue(f"track {self.id}: frame indices must rise")


@dataclass(frozen=True, slots=True, eq=False)
class Crop:
    """A person cut out of one frame with some surroundings: ``image`` uint8 [h, w, 3] RGB.

    ``pose``, with its mask, is in the pixels of ``image``, not of the frame.
    """

    frame_index: int
    image: Uint8Array
    pose: Pose

    def __post_init__(self) -> None:
        _check(self.image, "Crop.image", (None, None, 3), np.uint8, "")


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """Who the person of a track is, and how they are drawn.

    ``key`` names the person in the cast file, such as ``person-1``. ``palette`` and ``traits`` are what was measured of
    their looks; ``embedding`` f32 [D] and ``latent``, where there are any, are what an identity preserver or a style
    knows them by. ``style`` is the name of the style that draws them, ``seed`` what it draws at random with, and
    ``avatar`` the one of its avatars that plays them: empty where the style has none, or none was chosen yet.
    """

    key: str
    palette: Palette
    traits: Traits
    style: str
    seed: int
    embedding: Float32Array | None = None
    latent: Latent | None = None
    avatar: str = ""


Prepared: TypeAlias = Mapping[str, NDArray[Any]]
"""What :meth:`animegen.protocols.Style.prepare` computed for a person: named arrays, saved in the job folder."""


@dataclass(frozen=True, slots=True, eq=False)
class RenderRequest:
    """Asks a style to draw one person in one frame.

    ``prepared`` is what the style's ``prepare`` returned for the person. ``pose`` is in frame pixels; ``time`` is that
    of the frame in seconds; ``size_px`` is the height of the person's box in pixels. ``order`` says who stands in
    front of whom (larger is nearer), and becomes that of the sprite. ``frame_crop`` is the source around the person,
    where the style's spec sets ``needs_crop``.
    """

    identity: Identity
    prepared: Prepared
    pose: Pose
    frame_index: int
    time: Fraction
    size_px: float
    order: float = 0.0
    frame_crop: Crop | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """The picture of one person for one frame, as a style returns it.

    ``rgba`` uint8 [h, w, 4] has premultiplied alpha: no colour is larger than its alpha (:meth:`from_straight`
    multiplies). ``affine`` f64 [2, 3] maps its pixels to those of the frame. Sprites are blended by rising ``order``.
    """

    rgba: Uint8Array
    affine: Float64Array
    order: float

    def __post_init__(self) -> None:
        _check(self.rgba, "Sprite.rgba", (None, None, 4), np.uint8, "")
        _check(self.affine, "Sprite.affine", (2, 3), np.float64, "")
        _check_finite("Sprite", affine=self.affine)

    @classmethod
    def from_straight(cls, rgba: Uint8Array, affine: Float64Array, order: float) -> Sprite:
        """A sprite from RGBA with straight alpha (colours not yet multiplied by it), as Pillow draws it."""
        alpha = rgba[..., 3:].astype(np.uint16)
        premultiplied = rgba.copy()
        premultiplied[..., :3] = (rgba[..., :3] * alpha + 127) // 255
        return cls(premultiplied, affine, order)
