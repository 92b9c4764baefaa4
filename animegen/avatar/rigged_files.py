"""Rigged avatars as safetensors: numbers in as few bits as can be seen, what is told of the avatars as metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animegen.avatar.armature import Armature
from animegen.avatar.checkpoint import load_tensors, save_tensors
from animegen.avatar.directions import decode_normals, encode_normals
from animegen.avatar.rigged import MATERIAL_FIELDS, Morph, RiggedAvatar
from animegen.errors import InvalidValue, WeightsError
from animegen.types import Float32Array, Skeleton

FORMAT = "animegen-rigged-1"

_MOST = 1 << 16  # vertices, so that 16 bits number them
_PLAIN = ("bones", "weights", "shades", "fixed", "materials")
"""Fields that are bytes already."""


def save_rigged(
    path: Path, avatars: Sequence[RiggedAvatar], skeleton: Skeleton, notes: Mapping[str, str] | None = None
) -> None:
    """Write avatars whose points are those of ``skeleton``, whole or not at all; ``notes`` are further metadata.

    Places are kept to 1/65535 of the avatar's box, directions to half a degree, what expressions move to 1/127 of the
    farthest. Raises InvalidValue for an avatar with too many vertices.
    """
    tensors: dict[str, Tensor] = {}
    for number, avatar in enumerate(avatars):
        if len(avatar.positions) > _MOST:
            raise InvalidValue(f"an avatar has at most {_MOST} vertices, got {len(avatar.positions)}")
        arrays = _arrays(avatar)
        tensors |= {f"{number}.{name}": torch.from_numpy(np.ascontiguousarray(a)) for name, a in arrays.items()}
    told = [{"about": dict(avatar.about), "bones": avatar.armature.bones, "gaze": avatar.gaze} for avatar in avatars]
    metadata = {
        "format": FORMAT,
        "skeleton": json.dumps(
            {
                "name": skeleton.name, "points": skeleton.points, "edges": skeleton.edges,
                "flip_pairs": skeleton.flip_pairs,
            }
        ),
        "fields": json.dumps(MATERIAL_FIELDS),
        "avatars": json.dumps(told, ensure_ascii=False),
        **(notes or {}),
    }  # fmt: skip
    save_tensors(path, tensors, metadata)


def load_rigged(path: Path) -> tuple[list[RiggedAvatar], Skeleton]:
    """The avatars of a file and the skeleton that drives them. Raises WeightsError naming what is wrong with it."""
    tensors, metadata = load_tensors(path)
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} holds no rigged avatars: its format is {metadata.get('format')!r}, expected {FORMAT!r}",
            "`animegen vrm rigged` writes such a file",
        )
    try:
        if tuple(json.loads(metadata["fields"])) != MATERIAL_FIELDS:
            raise ValueError(f"materials have the fields {metadata['fields']}")
        told = json.loads(metadata["avatars"])
        skeleton = _skeleton(json.loads(metadata["skeleton"]))
        avatars = [_avatar(entry, number, tensors) for number, entry in enumerate(told)]
        _check(avatars, skeleton)
    except (KeyError, TypeError, ValueError, IndexError, InvalidValue) as error:
        raise WeightsError(f"{path} is damaged: {error!r}", "fetch or make it again") from error
    return avatars, skeleton


def _arrays(avatar: RiggedAvatar) -> dict[str, NDArray[Any]]:
    low, high = avatar.positions.min(axis=0), avatar.positions.max(axis=0)
    step = np.maximum(high - low, 1e-6) / 65535
    armature = avatar.armature
    arrays: dict[str, NDArray[Any]] = {
        "positions": np.rint((avatar.positions - low) / step).astype(np.uint16),
        "box": np.stack([low, step]).astype(np.float32),
        "normals": encode_normals(avatar.normals),
        "corners": avatar.corners.astype(np.uint16),
        "table": avatar.table.astype(np.float32),
        "parents": armature.parents,
        "pivots": armature.pivots,
        "point_bones": armature.point_bones,
        "points": armature.points,
    }
    for name, morph in avatar.morphs.items():
        farthest = max(float(np.abs(morph.offsets).max(initial=0)), 1e-9)
        arrays[f"morph.{name}.vertices"] = morph.vertices.astype(np.uint16)
        arrays[f"morph.{name}.offsets"] = np.rint(morph.offsets * (127 / farthest)).astype(np.int8)
        arrays[f"morph.{name}.step"] = np.array([farthest / 127], np.float32)
    return arrays | {name: getattr(avatar, name) for name in _PLAIN}


def _avatar(entry: Mapping[str, Any], number: int, tensors: Mapping[str, Tensor]) -> RiggedAvatar:
    prefix = f"{number}."
    own = {name.removeprefix(prefix): t.numpy() for name, t in tensors.items() if name.startswith(prefix)}
    low, step = own["box"]
    morphs = {
        name.split(".")[1]: Morph(
            vertices.astype(np.int32),
            own[name.replace("vertices", "offsets")].astype(np.float32) * own[name.replace("vertices", "step")],
        )
        for name, vertices in own.items()
        if name.startswith("morph.") and name.endswith(".vertices")
    }
    horizontal, vertical = entry["gaze"]
    positions: Float32Array = (own["positions"].astype(np.float32) * step + low).astype(np.float32)
    return RiggedAvatar(
        about=entry["about"],
        armature=Armature(tuple(entry["bones"]), own["parents"], own["pivots"], own["point_bones"], own["points"]),
        positions=positions,
        normals=decode_normals(own["normals"]),
        corners=own["corners"].astype(np.int32),
        table=own["table"],
        morphs=morphs,
        gaze=(float(horizontal), float(vertical)),
        **{name: own[name] for name in _PLAIN},
    )


def _skeleton(entry: Mapping[str, Any]) -> Skeleton:
    return Skeleton(
        entry["name"],
        tuple(entry["points"]),
        tuple((a, b) for a, b in entry["edges"]),
        tuple((a, b) for a, b in entry["flip_pairs"]),
    )


def _check(avatars: Sequence[RiggedAvatar], skeleton: Skeleton) -> None:
    """What drawing relies on, so that a damaged file is an error here and not a crash there."""
    if not avatars:
        raise ValueError("it holds no avatar")
    for avatar in avatars:
        count, facets, bones = len(avatar.positions), len(avatar.corners), len(avatar.armature.bones)
        threes = ("positions", "normals", "bones", "weights", "fixed")
        shapes = {"shades": (count,), **dict.fromkeys(threes, (count, 3))}
        shapes |= {"corners": (facets, 3), "materials": (facets,), "table": (len(avatar.table), len(MATERIAL_FIELDS))}
        for name, shape in shapes.items():
            if getattr(avatar, name).shape != shape:
                raise ValueError(f"{name} are {getattr(avatar, name).shape}, expected {shape}")
        if len(avatar.armature.points) != len(skeleton):
            raise ValueError(f"{len(avatar.armature.points)} points for a skeleton of {len(skeleton)}")
        _check_range("bones", avatar.bones, bones)
        _check_range("materials", avatar.materials, len(avatar.table))
        _check_range("corners", avatar.corners, count)
        if not (np.isfinite(avatar.positions).all() and np.isfinite(avatar.table).all()):
            raise ValueError("it holds numbers that are none")
        for name, morph in avatar.morphs.items():
            if morph.offsets.shape != (len(morph.vertices), 3):
                raise ValueError(f"the expression '{name}' moves {morph.vertices.shape} by {morph.offsets.shape}")
            _check_range(f"vertices of '{name}'", morph.vertices, count)


def _check_range(name: str, numbers: NDArray[Any], count: int) -> None:
    if numbers.size and not 0 <= int(numbers.min()) <= int(numbers.max()) < count:
        raise ValueError(f"{name} are from {numbers.min()} to {numbers.max()}, of {count}")
