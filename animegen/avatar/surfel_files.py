"""Avatars of surfels as safetensors: numbers in as few bits as can be seen, what is told of the avatars as metadata."""

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
_FARTHEST = 100.0
"""Metres from the origin beyond which nothing of an avatar lies."""
_PARTLESS = 6
_PLAIN = ("bones", "weights", "parts", "shades", "fixed", "materials")
"""Fields that are bytes already."""

_Layout: TypeAlias = Mapping[str, tuple[str, tuple[str | int, ...]]]
_LAYOUT: _Layout = MappingProxyType(
    {
        "positions": ("uint16", ("surfels", 3)), "box": ("float32", (2, 3)), "normals": ("int8", ("surfels", 2)),
        "shading_normals": ("int8", ("surfels", 2)), "borders": ("int8", ("surfels", 2, 2)),
        "radii": ("uint8", ("surfels",)), "table": ("float32", ("materials", len(MATERIAL_FIELDS))),
        "parents": ("int64", ("bones",)), "pivots": ("float32", ("bones", 3)), "point_bones": ("int64", ("points",)),
        "points": ("float32", ("points", 3)), "bones": ("uint8", ("surfels", 3)), "weights": ("uint8", ("surfels", 3)),
        "parts": ("uint8", ("surfels",)), "shades": ("uint8", ("surfels",)), "fixed": ("uint8", ("surfels", 3)),
        "materials": ("uint8", ("surfels",)),
    }
)  # fmt: skip
"""Of each of an avatar's tensors: its dtype, and its shape in numbers and in what there are so many of."""


def save_surfels(
    path: Path, avatars: Sequence[SurfelAvatar], skeleton: Skeleton, notes: Mapping[str, str] | None = None
) -> None:
    """Write avatars whose points are those of ``skeleton``, whole or not at all; ``notes`` are further metadata.

    Places are kept to 1/65535 of the avatar's box, directions to a degree, radii to 1.7% (between 0.05 mm and 20 cm),
    borders to 3% of the radii, what expressions move to 1/127 of the farthest.
    Raises InvalidValue for an avatar with no surfels or too many.
    """
    tensors: dict[str, Tensor] = {}
    for number, avatar in enumerate(avatars):
        if not 1 <= len(avatar.positions) <= _MOST_SURFELS:
            raise InvalidValue(f"an avatar has 1 to {_MOST_SURFELS} surfels, got {len(avatar.positions)}")
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
        if not isinstance(told, list) or not told:
            raise ValueError("it holds no avatar")
        avatars = [_avatar(entry, _own(number, tensors), len(skeleton)) for number, entry in enumerate(told)]
    except (KeyError, TypeError, ValueError, OverflowError, InvalidValue) as error:
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


def _own(number: int, tensors: Mapping[str, Tensor]) -> dict[str, NDArray[Any]]:
    """The arrays of one avatar."""
    prefix = f"{number}."
    return {name.removeprefix(prefix): t.numpy() for name, t in tensors.items() if name.startswith(prefix)}


def _avatar(entry: Mapping[str, Any], own: Mapping[str, NDArray[Any]], points: int) -> SurfelAvatar:
    """Raises KeyError, TypeError, ValueError or InvalidValue for what drawing would fail at."""
    bones, about = tuple(map(str, entry["bones"])), entry["about"]
    horizontal, vertical = map(float, entry["gaze"])
    if not isinstance(about, dict) or not isinstance(about.get("name"), str):
        raise TypeError(f"nothing is told of an avatar but {about!r}")
    if not np.isfinite((horizontal, vertical)).all():
        raise ValueError(f"a gaze turns eyes by {entry['gaze']}")
    counts = {"surfels": len(own["positions"]), "materials": len(own["table"]), "bones": len(bones), "points": points}
    _check(own, counts)
    low, step = own["box"]
    normals, radii = decode_normals(own["normals"]), decode_radii(own["radii"])
    positions: Float32Array = (own["positions"].astype(np.float32) * step + low).astype(np.float32)
    prefix, suffix = "morph.", ".surfels"
    names = [n[len(prefix) : -len(suffix)] for n in own if n.startswith(prefix) and n.endswith(suffix)]
    return SurfelAvatar(
        about=about,
        armature=Armature(bones, own["parents"], own["pivots"], own["point_bones"], own["points"]),
        positions=positions,
        normals=normals,
        shading_normals=decode_normals(own["shading_normals"]),
        radii=radii,
        borders=decode_ways(own["borders"], normals, radii),
        table=own["table"],
        morphs={name: _morph(own, f"{prefix}{name}.", counts["surfels"]) for name in names},
        gaze=(horizontal, vertical),
        **{name: own[name] for name in _PLAIN},
    )


def _morph(own: Mapping[str, NDArray[Any]], prefix: str, surfels: int) -> Morph:
    moved = own[f"{prefix}surfels"].astype(np.int32)
    layout: _Layout = {"surfels": ("uint16", ("moved",)), "offsets": ("int8", ("moved", 3)), "step": ("float32", (1,))}
    _fit({name: own[prefix + name] for name in layout}, layout, {"moved": len(moved)})
    if moved.max(initial=0) >= surfels:
        raise ValueError(f"the expression '{prefix}' moves surfels that are not there")
    return Morph(moved, own[f"{prefix}offsets"].astype(np.float32) * own[f"{prefix}step"])


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
    if not counts["surfels"]:
        raise ValueError("an avatar has no surfels")
    low, step = own["box"].astype(np.float64)
    for name, places in (
        ("box", low),
        ("box", low + 65535 * step),
        ("pivots", own["pivots"]),
        ("points", own["points"]),
    ):
        if not (np.abs(places) <= _FARTHEST).all():
            raise ValueError(f"its {name} lie farther than {_FARTHEST:g} m away")
    if not np.ptp(own["points"], axis=0).all():
        raise ValueError("its points lie in a plane")
    if own["bones"].max() >= counts["bones"] or own["materials"].max(initial=0) >= counts["materials"]:
        raise ValueError("a surfel has a bone or a material that is not there")
    if own["parts"].max() > _PARTLESS or (own["weights"].sum(axis=1) != 255).any():
        raise ValueError("a surfel has a part that is not there, or bones whose weights do not add up to 255")


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
