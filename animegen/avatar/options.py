"""Options of the style ``anime``; light, so that listing the styles imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class AnimeOptions:
    """Who plays whom, and by which weights.

    ``avatar``: names of avatars, given to the people by their time on the screen, the longest first. Everyone else gets
    the free avatar that is most like them. ``weights``: a file that `animegen train avatar` wrote, in the place of the
    weights that come with animegen. ``heads``: one that `animegen train avatar --config anime-head` wrote, which draws
    the heads of the same avatars, in the place of the one that comes with them. ``hand_weights``: likewise one of their
    hands, by `--config anime-hand`.
    """

    avatar: tuple[str, ...] = ()
    weights: Path | None = None
    heads: Path | None = None
    hand_weights: Path | None = None
