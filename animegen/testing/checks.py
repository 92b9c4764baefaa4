"""What every contract suite is written with."""

from __future__ import annotations

from dataclasses import replace

from animegen.types import Pose


def require(holds: bool, text: str) -> None:
    """Raise AssertionError with ``text`` unless the condition holds; works under ``python -O`` too."""
    if not holds:
        raise AssertionError(text)


def frozen(pose: Pose) -> Pose:
    """The same pose over arrays that refuse to be written to, so that an implementation cannot change its input."""
    copy = replace(pose, xy=pose.xy.copy(), score=pose.score.copy(), bbox=pose.bbox.copy())
    for array in (copy.xy, copy.score, copy.bbox):
        array.flags.writeable = False
    return copy
