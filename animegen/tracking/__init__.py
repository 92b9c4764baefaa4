"""From the poses of all frames to one track for each person; the beginning of a conversion's second pass.

:func:`track_clip` does all of it but the last step:

- ``oks``, the built-in tracker, gives the poses of each frame to people. A plugin can take its place.
- ``clip`` runs a tracker over the frames of a shot, and drops tracks that are no person.
- ``crossings`` exchanges tracks that were swapped where two people passed each other.
- ``join`` joins the tracks of a person who was away in between.
- ``hidden`` puts poses where somebody was behind another.

They compare poses by ``similarity``, and looks by an :data:`Appearance` that the caller hands in.
"""

from __future__ import annotations

from animegen.tracking.clip import Appearance, keep_longest
from animegen.tracking.hidden import fill_hidden
from animegen.tracking.join import join_tracks, track_clip

__all__ = ["Appearance", "fill_hidden", "join_tracks", "keep_longest", "track_clip"]
