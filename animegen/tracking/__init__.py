"""Which pose of this frame is which person of the frames before."""

from __future__ import annotations

from animegen.tracking.clip import Appearance, keep_longest
from animegen.tracking.hidden import fill_hidden
from animegen.tracking.join import join_tracks, track_clip

__all__ = ["Appearance", "fill_hidden", "join_tracks", "keep_longest", "track_clip"]
