"""Crops: pictures of single people, cut from frames by the first pass, and the file that keeps them for the second."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.errors import InvalidValue
from animegen.jobs import load_arrays, reading, save_arrays, skeleton_array, skeleton_of
from animegen.types import Crop, Float64Array, Frame, Mask, Pose, Skeleton, Uint8Array

_MARGIN = 0.12
"""Margin around a pose's box, as a share of its longer side: hair and shoes reach beyond the points."""
_JPEG_QUALITY = 92
_IDENTITY = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def take_crop(frame: Frame, pose: Pose, max_side: int = 256) -> Crop:
    """Cut a person with some margin out of a frame; the longer side gets at most ``max_side`` pixels.

    What lies outside of the frame is cut off. Larger crops are scaled down by averaging, small ones are never enlarged.
    Pose and mask are in the crop's pixels; the mask has the crop's size and an identity affine.
    """
    if max_side < 1:
        raise InvalidValue(f"max_side must be at least 1, got {max_side}")
    left, top, right, bottom = _window(pose, frame.size)
    width, height = right - left, bottom - top
    scale = min(1.0, max_side / max(width, height))
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = frame.image[top:bottom, left:right]
    if scale < 1.0:
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    sx, sy = size[0] / width, size[1] / height
    # Pixel centres are whole numbers, so a picture's corner lies at (-0.5, -0.5) before and after.
    to_crop = np.array([[sx, 0.0, (0.5 - left) * sx - 0.5], [0.0, sy, (0.5 - top) * sy - 0.5]])
    return Crop(frame.index, np.ascontiguousarray(image), _moved(pose, to_crop, size))


def _window(pose: Pose, size: tuple[int, int]) -> tuple[int, int, int, int]:
    x0, y0, x1, y1 = (float(value) for value in pose.bbox)
    margin = _MARGIN * max(x1 - x0, y1 - y0)
    left = int(np.clip(np.floor(x0 - margin), 0, size[0] - 1))
    top = int(np.clip(np.floor(y0 - margin), 0, size[1] - 1))
    right = int(np.clip(np.ceil(x1 + margin), left + 1, size[0]))
    bottom = int(np.clip(np.ceil(y1 + margin), top + 1, size[1]))
    return left, top, right, bottom


def _moved(pose: Pose, to_crop: Float64Array, size: tuple[int, int]) -> Pose:
    scale = np.array([to_crop[0, 0], to_crop[1, 1]])
    shift = to_crop[:, 2]
    mask = None
    if pose.mask is not None:
        to_mask = cv2.invertAffineTransform(np.vstack([to_crop, [0, 0, 1]])[:2] @ _square(pose.mask.affine))
        alpha = cv2.warpAffine(pose.mask.alpha, to_mask, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        mask = Mask(np.asarray(alpha, np.uint8), _IDENTITY.copy())
    return replace(
        pose,
        xy=(pose.xy * scale + shift).astype(np.float32),
        bbox=(pose.bbox * np.tile(scale, 2) + np.tile(shift, 2)).astype(np.float32),
        z=None if pose.z is None else (pose.z * scale.mean()).astype(np.float32),
        mask=mask,
    )


def _square(affine: Float64Array) -> Float64Array:
    return np.vstack([affine, [0.0, 0.0, 1.0]])


def save_crops(path: Path, crops: Sequence[Crop]) -> None:
    """Write crops of one skeleton as an npz of JPEG pictures and PNG masks; the same crops give the same bytes.

    Expressions are not kept. ``path`` is written as it is named, whatever its suffix.
    """
    skeletons = sorted({crop.pose.skeleton.name for crop in crops})
    if len(skeletons) > 1:
        raise InvalidValue(f"crops of one file have one skeleton, got {' and '.join(skeletons)}")
    poses = [crop.pose for crop in crops]
    arrays: dict[str, NDArray[Any]] = {
        "skeleton": skeleton_array(poses[0].skeleton) if poses else np.zeros(0, np.uint8),
        "frame_index": np.array([crop.frame_index for crop in crops], np.int64),
        "xy": np.array([pose.xy for pose in poses], np.float32),
        "score": np.array([pose.score for pose in poses], np.float32),
        "bbox": np.array([pose.bbox for pose in poses], np.float32),
        "has_z": np.array([pose.z is not None for pose in poses], np.bool_),
        "z": np.array([np.zeros_like(pose.score) if pose.z is None else pose.z for pose in poses], np.float32),
        "mask_affine": np.array([_IDENTITY if p.mask is None else p.mask.affine for p in poses], np.float64),
    }
    pictures = [_encode(".jpg", crop.image[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY) for crop in crops]
    masks = [b"" if p.mask is None else _encode(".png", p.mask.alpha, cv2.IMWRITE_PNG_COMPRESSION, 6) for p in poses]
    for name, blobs in (("picture", pictures), ("mask", masks)):
        arrays[name] = np.frombuffer(b"".join(blobs), np.uint8)
        arrays[f"{name}_end"] = np.cumsum([len(blob) for blob in blobs], dtype=np.int64)
    save_arrays(path, arrays)


def load_crops(path: Path) -> list[Crop]:
    """The crops of a file written by :func:`save_crops`; raises InputError naming the file when it is damaged."""
    with reading(path, "remove it; the next run makes it anew"):
        data = load_arrays(path)
        count = len(data["frame_index"])
        if count == 0:
            return []
        skeleton = skeleton_of(data["skeleton"])
        pictures, masks = _blobs(data, "picture"), _blobs(data, "mask")
        return [_crop(data, k, skeleton, pictures[k], masks[k]) for k in range(count)]


def _crop(data: dict[str, NDArray[Any]], k: int, skeleton: Skeleton, picture: Uint8Array, mask: Uint8Array) -> Crop:
    image = np.ascontiguousarray(_decode(picture, cv2.IMREAD_COLOR)[..., ::-1])
    alpha = None
    if len(mask):
        alpha = Mask(_decode(mask, cv2.IMREAD_GRAYSCALE), data["mask_affine"][k])
    z = data["z"][k] if data["has_z"][k] else None
    pose = Pose(skeleton, data["xy"][k], data["score"][k], data["bbox"][k], z, alpha)
    return Crop(int(data["frame_index"][k]), image, pose)


def _encode(suffix: str, image: Uint8Array, setting: int, value: int) -> bytes:
    done, data = cv2.imencode(suffix, np.ascontiguousarray(image), [setting, value])
    if not done:
        raise InvalidValue(f"a crop of {image.shape[1]}x{image.shape[0]} pixels cannot be written as {suffix[1:]}")
    return bytes(data)


def _decode(data: Uint8Array, flags: int) -> Uint8Array:
    image = cv2.imdecode(data, flags) if len(data) else None
    if image is None:
        raise ValueError("a picture in it is damaged")
    return np.asarray(image, np.uint8)


def _blobs(data: dict[str, NDArray[Any]], name: str) -> list[Uint8Array]:
    return np.split(data[name], data[f"{name}_end"][:-1])
