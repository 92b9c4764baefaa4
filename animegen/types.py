"""The words every room shares: frozen dataclasses over NumPy arrays, checked when made.

Pictures are RGB ``uint8`` everywhere. Positions are in pixels with x to the right and y down; the centre of
the top-left pixel is (0, 0). Boxes are ``xyxy``. Times are exact: :class:`fractions.Fraction` seconds.
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
"""The six parts whose colours make a person's look: measured, drawn, trained on and conditioned alike."""

FACE_POINTS: tuple[str, ...] = ("right_eye", "left_eye", "nose", "mouth_right", "mouth_left")
"""The five points of a face, the person's own right first, as insightface, facexlib and RetinaFace order them: the
middles of the eyes, the tip of the nose, the corners of the mouth."""


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
    """How the samples of a video are to be understood, in FFmpeg's names (``bt709``, ``smpte2084``, ``tv`` ...)."""

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
    """What is known of a video before a frame is decoded. Width and height are as shown, after rotation."""

    width: int
    height: int
    time_base: Fraction
    rate: Fraction
    frame_count: int | None
    rotation: int = 0
    has_audio: bool = False
    colour: Colour = field(default_factory=Colour)


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a video: ``index`` from 0, ``pts`` in seconds (exact), ``image`` uint8 [H, W, 3] RGB."""

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
    """The meaning of a pose's points: their names, the limbs between them, and which swap in a mirror."""

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
    """A soft silhouette: ``alpha`` uint8 [h, w] (255 inside), ``affine`` f64 [2, 3] from mask to frame pixels."""

    alpha: Uint8Array
    affine: Float64Array

    def __post_init__(self) -> None:
        _check(self.alpha, "Mask.alpha", (None, None), np.uint8, "")
        _check(self.affine, "Mask.affine", (2, 3), np.float64, "")


@dataclass(frozen=True, slots=True)
class Expression:
    """Face state in VRM's names: lids and mouth shapes 0..1, ``brow`` and gaze -1..1, confidence 0..1."""

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
        """The face as a style may show it: as measured from a confidence of 0.5 on, below that the calmer the less."""
        sure = min(self.confidence / 0.5, 1.0)
        return Expression(*(sure * value for value in astuple(self)))


@dataclass(frozen=True, slots=True, eq=False)
class Pose:
    """One person in one frame.

    ``xy`` f32 [K, 2] frame pixels, ``score`` f32 [K] 0..1 (0: unknown), ``bbox`` f32 [4] xyxy pixels of the
    person, ``z`` f32 [K] depth in pixels relative to the hips (smaller is nearer) where the backend has it.
    Raises InvalidValue naming the field when a shape or dtype does not fit the skeleton.
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

    ``bbox`` f32 [4] xyxy pixels from brows to chin, ``score`` 0..1 how surely it is a face, ``points`` f32 [5, 2]
    pixels in the order of :data:`FACE_POINTS`. Where the backend has them: ``mask`` the soft outline of the face,
    its affine leading to the picture's pixels; ``embedding`` f32 [D] of unit length, by whose cosine people are known.
    Raises InvalidValue naming the field when a shape or dtype does not fit, or a value is not finite.
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
    """A colour of one part in CIELAB (D65, L 0..100) and how sure it is, 0..1."""

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
    """One measured property of a person and how sure it is, 0..1."""

    value: float
    confidence: float


@dataclass(frozen=True, slots=True)
class Traits:
    """What chooses an avatar: hair length and sleeves 0 (none) .. 1 (long), skirt 0..1, head-to-height ratio."""

    hair_length: Trait = Trait(0.5, 0.0)
    sleeves: Trait = Trait(0.5, 0.0)
    skirt: Trait = Trait(0.0, 0.0)
    head_to_height: Trait = Trait(0.14, 0.0)


@dataclass(frozen=True, slots=True, eq=False)
class Latent:
    """A latent that belongs to one generator, named by the SHA-256 of its weights."""

    space: Literal["z", "w", "w+"]
    values: Float32Array
    generator_sha256: str


@dataclass(frozen=True, slots=True, eq=False)
class Track:
    """One person through a clip: ``frame_indices`` rising, ``poses`` aligned with them."""

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
    """A person's surroundings in one frame: ``image`` uint8 [h, w, 3] RGB, ``pose`` and ``mask`` in crop pixels."""

    frame_index: int
    image: Uint8Array
    pose: Pose

    def __post_init__(self) -> None:
        _check(self.image, "Crop.image", (None, None, 3), np.uint8, "")


@dataclass(frozen=True, slots=True, eq=False)
class Identity:
    """Who a track is: its key in the cast, its look, and the style and seed that draw it.

    ``avatar`` names which of the style's avatars plays the person; empty: the style has none, or has not chosen yet.
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
"""What a style computed once for a person, as named arrays: saved as one ``.npz`` artefact of the job."""


@dataclass(frozen=True, slots=True, eq=False)
class RenderRequest:
    """Draw one person in one frame.

    ``pose`` is in frame pixels, ``time`` in seconds, ``size_px`` the person's height in the frame, ``order`` the
    depth order to hand on in the sprite (larger is nearer), ``frame_crop`` the source around the person where the
    style's spec asks for it.
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
    """What a style returns for one person in one frame.

    ``rgba`` uint8 [h, w, 4] with premultiplied alpha, ``affine`` f64 [2, 3] from sprite to frame pixels,
    ``order``: sprites are blended from the smallest to the largest.
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
        """A sprite from straight (not premultiplied) RGBA, as Pillow draws it."""
        alpha = rgba[..., 3:].astype(np.uint16)
        premultiplied = rgba.copy()
        premultiplied[..., :3] = (rgba[..., :3] * alpha + 127) // 255
        return cls(premultiplied, affine, order)
