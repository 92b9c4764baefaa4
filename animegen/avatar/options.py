"""Options of the style ``anime``; light, so that listing the styles imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, slots=True)
class AnimeOptions:
    """Who plays whom, and what draws them.

    ``avatar``: names of avatars, given to the people by their time on the screen, the longest first. Everyone else gets
    the free avatar that is most like them. ``weights``: avatars in the place of those that come with animegen: rigged
    ones that `animegen vrm rigged` made, or a network that `animegen train avatar` trained. ``heads``: a network that
    `animegen train avatar --config anime-head` trained, which draws the heads of the same avatars once more, larger.
    ``hand_weights``: likewise one of their hands, by `--config anime-hand`. ``ears``: ``own`` draws the ears of rigged
    avatars as they are made, ``round`` as people have them, where an avatar knows how that is.
    """

    avatar: tuple[str, ...] = ()
    weights: Path | None = None
    heads: Path | None = None
    hand_weights: Path | None = None
    ears: Literal["round", "own"] = "round"
