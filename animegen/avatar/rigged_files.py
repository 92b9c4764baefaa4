"""Rigged avatars as safetensors: numbers in as few bits as can be seen, what is told of the avatars as metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from animegen.avatar.armature import Armature
from animegen.avatar.checkpoint import load_tensors, save_tensors
from animegen.avatar.directions import decode_normals, encode_normals
from animegen.avatar.rigged import MATERIAL_FIELDS, MOST_VERTICES, Morph, RiggedAvatar
from animegen.avatar.springs import FARTHEST, Springs, Swing
from animegen.errors import InvalidValue, WeightsError
from animegen.types import Float32Array, Skeleton

FORMAT = "animegen-rigged-1"

_PLAIN = ("bones", "weights", "shades", "fixed", "materials")
"""Fields that are bytes already."""

_Layout: TypeAlias = Mapping[str, tuple[str, tuple[str | int, ...]]]
_LAYOUT: _Layout = MappingProxyType(
    {
        "positions": ("uint16", ("vertices", 3)), "box": ("float32", (2, 3)), "normals": ("int8", ("vertices", 2)),
        "bones": ("uint8", ("vertices", 3)), "weights": ("uint8", ("vertices", 3)), "shades": ("uint8", ("vertices",)),
        "fixed": ("uint8", ("vertices", 3)), "corners": ("uint16", ("facets", 3)), "materials": ("uint8", ("facets",)),
        "table": ("float32", ("materials", len(MATERIAL_FIELDS))), "parents": ("int64", ("bones",)),
        "pivots": ("float32", ("bones", 3)), "point_bones": ("int64", ("points",)),
        "points": ("float32", ("points", 3)),
    }
)  # fmt: skip
"""Of each of an avatar's tensors: its dtype, and its shape in numbers and in what there are so many of."""

_SPRINGS: _Layout = MappingProxyType(
    {
        "bones": ("int64", ("springs",)), "tails": ("float32", ("springs", 3)), "stiffness": ("float32", ("springs",)),
        "gravity": ("float32", ("springs", 3)), "drag": ("float32", ("springs",)),
        "carriers": ("int64", ("colliders",)), "ends": ("float32", ("colliders", 2, 3)),
        "reach": ("float32", ("springs", "colliders")),
    }
)  # fmt: skip
"""The same of an avatar's springs, which it may lack."""


def save_rigged(
    path: Path, avatars: Sequence[RiggedAvatar], skeleton: Skeleton, notes: Mapping[str, str] | None = None
) -> None:
    """Write avatars whose points are those of ``skeleton``, whole or not at all; ``notes`` are further metadata.

    Places are kept to 1/65535 of the avatar's box, directions to a degree, what expressions move to 1/127 of the
    farthest. Raises InvalidValue for an avatar with no vertices or too many.
    """
    tensors: dict[str, Tensor] = {}
    for number, avatar in enumerate(avatars):
        if not 1 <= len(avatar.positions) <= MOST_VERTICES:
            raise InvalidValue(f"an avatar has 1 to {MOST_VERTICES} vertices, got {len(avatar.positions)}")
        arrays = _arrays(avatar)
        # Copies, as avatars may share arrays, and tensors of a file no memory.
        tensors |= {f"{number}.{name}": torch.from_numpy(np.array(a, order="C")) for name, a in arrays.items()}
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
        if not isinstance(told, list) or not told:
            raise ValueError("it holds no avatar")
        avatars = [_avatar(entry, _own(number, tensors), len(skeleton)) for number, entry in enumerate(told)]
    except (KeyError, TypeError, ValueError, OverflowError, InvalidValue) as error:
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
    if len(avatar.springs):
        arrays |= {f"springs.{name}": getattr(avatar.springs, name) for name in _SPRINGS}
    return arrays | {name: getattr(avatar, name) for name in _PLAIN}


def _own(number: int, tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """The arrays of one avatar."""
    prefix = f"{number}."
    return {name.removeprefix(prefix): t.numpy() for name, t in tensors.items() if name.startswith(prefix)}


def _avatar(entry: Mapping[str, Any], own: Mapping[str, NDArray[Any]], points: int) -> RiggedAvatar:
    """Raises KeyError, TypeError, ValueError or InvalidValue for what drawing would fail at."""
    bones, about = tuple(map(str, entry["bones"])), entry["about"]
    horizontal, vertical = map(float, entry["gaze"])
    if not isinstance(about, dict) or not isinstance(about.get("name"), str):
        raise TypeError(f"nothing is told of an avatar but {about!r}")
    if not np.isfinite((horizontal, vertical)).all():
        raise ValueError(f"a gaze turns eyes by {entry['gaze']}")
    vertices, facets, materials = (len(own[name]) for name in ("positions", "corners", "table"))
    counts = {"vertices": vertices, "facets": facets, "materials": materials, "bones": len(bones), "points": points}
    _check(own, counts)
    low, step = own["box"]
    positions: Float32Array = (own["positions"].astype(np.float32) * step + low).astype(np.float32)
    prefix, suffix = "morph.", ".vertices"
    names = [n[len(prefix) : -len(suffix)] for n in own if n.startswith(prefix) and n.endswith(suffix)]
    armature = Armature(bones, own["parents"], own["pivots"], own["point_bones"], own["points"])
    return RiggedAvatar(
        about=about,
        armature=armature,
        positions=positions,
        normals=decode_normals(own["normals"]),
        corners=own["corners"].astype(np.int32),
        table=own["table"],
        morphs={name: _morph(own, f"{prefix}{name}.", vertices) for name in names},
        gaze=(horizontal, vertical),
        springs=_springs(own, armature),
        **{name: own[name] for name in _PLAIN},
    )


def _morph(own: Mapping[str, NDArray[Any]], prefix: str, vertices: int) -> Morph:
    moved = own[f"{prefix}vertices"].astype(np.int32)
    layout: _Layout = {"vertices": ("uint16", ("moved",)), "offsets": ("int8", ("moved", 3)), "step": ("float32", (1,))}
    _fit({name: own[prefix + name] for name in layout}, layout, {"moved": len(moved)})
    if moved.max(initial=0) >= vertices:
        raise ValueError(f"the expression '{prefix}' moves vertices that are not there")
    return Morph(moved, own[f"{prefix}offsets"].astype(np.float32) * own[f"{prefix}step"])


def _springs(own: Mapping[str, NDArray[Any]], armature: Armature) -> Springs:
    prefix = "springs."
    mine = {name.removeprefix(prefix): values for name, values in own.items() if name.startswith(prefix)}
    if not mine:
        return Springs.none()
    _fit(mine, _SPRINGS, {"springs": len(mine["bones"]), "colliders": len(mine["carriers"])})
    springs = Springs(**{name: mine[name] for name in _SPRINGS})
    Swing(armature, springs)  # raises InvalidValue where they hang on what they cannot
    return springs


def _skeleton(entry: Mapping[str, Any]) -> Skeleton:
    return Skeleton(
        entry["name"],
        tuple(entry["points"]),
        tuple((a, b) for a, b in entry["edges"]),
        tuple((a, b) for a, b in entry["flip_pairs"]),
    )


def _check(own: Mapping[str, NDArray[Any]], counts: Mapping[str, int]) -> None:
    """What drawing relies on, so that a damaged file is an error here and not a crash there."""
    _fit(own, _LAYOUT, counts)
    if not counts["vertices"]:
        raise ValueError("an avatar has no vertices")
    low, step = own["box"].astype(np.float64)
    for name, places in (
        ("box", low),
        ("box", low + 65535 * step),
        ("pivots", own["pivots"]),
        ("points", own["points"]),
    ):
        if not (np.abs(places) <= FARTHEST).all():
            raise ValueError(f"its {name} lie farther than {FARTHEST:g} m away")
    if not np.ptp(own["points"], axis=0).all():
        raise ValueError("its points lie in a plane")
    for name, count in (
        ("bones", counts["bones"]),
        ("materials", counts["materials"]),
        ("corners", counts["vertices"]),
    ):
        if own[name].max(initial=0) >= count:
            raise ValueError(f"{name} are up to {own[name].max(initial=0)}, of {count}")
    if (own["weights"].sum(axis=1) != 255).any():
        raise ValueError("the weights of bones do not add up to 255")


def _fit(
    own: Mapping[str, NDArray[Any]],
    layout: _Layout,
    counts: Mapping[str, int],
) -> None:
    """Raises ValueError for an array of another dtype or shape, or one that is not finite; KeyError where one lacks."""
    for name, (dtype, letters) in layout.items():
        found, shape = own[name], tuple(n if isinstance(n, int) else counts[n] for n in letters)
        if found.dtype != dtype or found.shape != shape:
            raise ValueError(f"{name} must be {dtype} {shape}, got {found.dtype} {found.shape}")
        if not np.isfinite(found).all():
            raise ValueError(f"{name} are not finite")
