"""Files of poses: our lossless ``.npz``, COCO JSON and OpenPose JSON, read and written by :func:`load_poses` and
:func:`save_poses`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Literal, TypeAlias, cast, get_args

from animegen.errors import InputError, OutputError, UsageError
from animegen.jobs import artefact
from animegen.pose.clip import PoseClip
from animegen.pose.files.coco import load_coco, save_coco
from animegen.pose.files.npz import PackedMask, PackedPoses, load_npz, open_npz, save_npz
from animegen.pose.files.openpose import load_openpose, save_openpose

__all__ = [
    "PackedMask", "PackedPoses", "PoseFormat", "check_target", "load_npz", "load_poses", "open_npz", "save_npz",
    "save_poses",
]  # fmt: skip

PoseFormat: TypeAlias = Literal["npz", "coco", "openpose"]

_SUFFIXES: Mapping[str, PoseFormat] = MappingProxyType({".npz": "npz", ".json": "coco", "": "openpose"})


def save_poses(clip: PoseClip, path: Path, format: str | None = None, *, overwrite: bool = False) -> None:
    """Write a clip, whole or not at all.

    ``format`` is ``npz`` (everything), ``coco`` (one JSON file) or ``openpose`` (a folder of JSON files); without
    it the name decides: ``.npz``, ``.json``, or no suffix. COCO gets 17 points and OpenPose 25, whatever the clip's
    skeleton, and both the hands of a clip that has them, and expressions. Raises as :func:`check_target` does, and
    OutputError where the file cannot be written.
    """
    chosen = check_target(path, format, overwrite=overwrite)
    if chosen == "openpose":
        save_openpose(clip, path)
        return
    with artefact(path) as part:
        (save_npz if chosen == "npz" else save_coco)(clip, part)


def check_target(path: Path, format: str | None = None, *, overwrite: bool = False) -> PoseFormat:
    """The format in which :func:`save_poses` would write ``path``; to be asked before long work.

    Raises UsageError for an unknown format and OutputError where something stands under that name already; only a
    file can be overwritten, a folder never.
    """
    if format is None:
        format = _SUFFIXES.get(path.suffix.lower())
    if format not in get_args(PoseFormat):
        what = f"'{format}' is no pose format" if format else f"'{path.name}' does not tell the pose format"
        raise UsageError(what, "choose --format npz, coco or openpose")
    if path.is_dir() or (path.exists() and format == "openpose"):
        raise OutputError(f"{path} exists already", "choose another name, or remove it first")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already", "choose another name, or add --overwrite")
    return cast(PoseFormat, format)


def load_poses(path: Path) -> PoseClip:
    """Read a clip in any of the formats, told by its content.

    Raises InputError that names the file and what is wrong with it.
    """
    if path.is_dir():
        return load_openpose(path)
    try:
        with path.open("rb") as file:
            start = file.read(2)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", "check its path and rights") from error
    if start == b"PK":
        return load_npz(path)
    return load_coco(path)
