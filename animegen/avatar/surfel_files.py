"""Avatars of surfels as safetensors: numbers in as few bits as can be seen, what is told of the avatars as metadata."""

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
from animegen.avatar.surfel_coding import (
    decode_normals,
    decode_radii,
    decode_ways,
    encode_normals,
    encode_radii,
    encode_ways,
)
from animegen.avatar.surfels import MATERIAL_FIELDS, Morph, SurfelAvatar
from animegen.errors import InvalidValue, WeightsError
from animegen.types import Float32Array, Skeleton

FORMAT = "animegen-surfels-1"

_MOST_SURFELS = 1 << 16  # so that 16 bits number them
_PLAIN = ("bones", "weights", "parts", "shades", "fixed", "materials")
"""Fields that are bytes already."""


def save_surfels(
    path: Path, avatars: Sequence[SurfelAvatar], skeleton: Skeleton, notes: Mapping[str, str] | None = None
) -> None:
    """Write avatars whose points are those of ``skeleton``, whole or not at all; ``notes`` are further metadata.

    Places are kept to 1/65535 of the avatar's box, directions to half a degree, radii to 1.6%, what expressions move to
    1/127 of the farthest.
    Raises InvalidValue for an avatar with too many surfels.
    """
    tensors: dict[str, Tensor] = {}
    for number, avatar in enumerate(avatars):
        if len(avatar.positions) > _MOST_SURFELS:
            raise InvalidValue(f"an avatar has at most {_MOST_SURFELS} surfels, got {len(avatar.positions)}")
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


def load_surfels(path: Path) -> tuple[list[SurfelAvatar], Skeleton]:
    """The avatars of a file and the skeleton that drives them. Raises WeightsError naming what is wrong with it."""
    tensors, metadata = load_tensors(path)
    if metadata.get("format") != FORMAT:
        raise WeightsError(
            f"{path} holds no surfels: its format is {metadata.get('format')!r}, expected {FORMAT!r}",
            "`animegen vrm surfels` writes such a file",
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


def _arrays(avatar: SurfelAvatar) -> dict[str, NDArray[Any]]:
    low, high = avatar.positions.min(axis=0), avatar.positions.max(axis=0)
    step = np.maximum(high - low, 1e-6) / 65535
    normals, radii = encode_normals(avatar.normals), encode_radii(avatar.radii)
    armature = avatar.armature
    arrays: dict[str, NDArray[Any]] = {
        "positions": np.rint((avatar.positions - low) / step).astype(np.uint16),
        "box": np.stack([low, step]).astype(np.float32),
        "normals": normals,
        "shading_normals": encode_normals(avatar.shading_normals),
        "borders": encode_ways(avatar.borders, decode_normals(normals), decode_radii(radii)),
        "radii": radii,
        "table": avatar.table.astype(np.float32),
        "parents": armature.parents,
        "pivots": armature.pivots,
        "point_bones": armature.point_bones,
        "points": armature.points,
    }
    for name, morph in avatar.morphs.items():
        farthest = max(float(np.abs(morph.offsets).max(initial=0)), 1e-9)
        arrays[f"morph.{name}.surfels"] = morph.surfels.astype(np.uint16)
        arrays[f"morph.{name}.offsets"] = np.rint(morph.offsets * (127 / farthest)).astype(np.int8)
        arrays[f"morph.{name}.step"] = np.array([farthest / 127], np.float32)
    return arrays | {name: getattr(avatar, name) for name in _PLAIN}


def _avatar(entry: Mapping[str, Any], number: int, tensors: Mapping[str, Tensor]) -> SurfelAvatar:
    prefix = f"{number}."
    own = {name.removeprefix(prefix): t.numpy() for name, t in tensors.items() if name.startswith(prefix)}
    low, step = own["box"]
    normals, radii = decode_normals(own["normals"]), decode_radii(own["radii"])
    morphs = {
        name.split(".")[1]: Morph(
            surfels.astype(np.int32),
            own[name.replace("surfels", "offsets")].astype(np.float32) * own[name.replace("surfels", "step")],
        )
        for name, surfels in own.items()
        if name.startswith("morph.") and name.endswith(".surfels")
    }
    horizontal, vertical = entry["gaze"]
    positions: Float32Array = (own["positions"].astype(np.float32) * step + low).astype(np.float32)
    return SurfelAvatar(
        about=entry["about"],
        armature=Armature(tuple(entry["bones"]), own["parents"], own["pivots"], own["point_bones"], own["points"]),
        positions=positions,
        normals=normals,
        shading_normals=decode_normals(own["shading_normals"]),
        radii=radii,
        borders=decode_ways(own["borders"], normals, radii),
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


def _check(avatars: Sequence[SurfelAvatar], skeleton: Skeleton) -> None:
    """What drawing relies on, so that a damaged file is an error here and not a crash there."""
    if not avatars:
        raise ValueError("it holds no avatar")
    for avatar in avatars:
        count, bones = len(avatar.positions), len(avatar.armature.bones)
        alone = ("radii", "parts", "shades", "materials")
        threes = ("positions", "normals", "shading_normals", "bones", "weights", "fixed")
        shapes = {"borders": (count, 2, 3), **dict.fromkeys(alone, (count,)), **dict.fromkeys(threes, (count, 3))}
        for name, shape in shapes.items():
            if getattr(avatar, name).shape != shape:
                raise ValueError(f"{name} are {getattr(avatar, name).shape}, expected {shape}")
        if len(avatar.armature.points) != len(skeleton):
            raise ValueError(f"{len(avatar.armature.points)} points for a skeleton of {len(skeleton)}")
        if avatar.table.ndim != 2 or avatar.table.shape[1] != len(MATERIAL_FIELDS):
            raise ValueError(f"materials are {avatar.table.shape}")
        if count and not (avatar.bones.max() < bones and avatar.materials.max() < len(avatar.table)):
            raise ValueError("a surfel has a bone or a material that is not there")
        if count and avatar.parts.max() > 6:
            raise ValueError(f"a surfel has part {avatar.parts.max()}")
        for name, morph in avatar.morphs.items():
            if morph.offsets.shape != (len(morph.surfels), 3) or morph.surfels.max(initial=0) >= max(count, 1):
                raise ValueError(f"the expression '{name}' moves surfels that are not there")
