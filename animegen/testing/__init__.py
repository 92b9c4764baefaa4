"""Contract suites for plugin authors: what every implementation must do, ours and yours alike.

Each ``check_...`` raises AssertionError saying what is wrong, and needs no test framework::

    from animegen.testing import check_style

    def test_contract():
        check_style(make_style(Options(), PluginContext()))
"""

from __future__ import annotations

from animegen.testing.backgrounds import check_background
from animegen.testing.faces import check_face_backend
from animegen.testing.identities import check_identity_preserver
from animegen.testing.poses import check_pose_backend
from animegen.testing.styles import check_style
from animegen.testing.synthetic import (
    synthetic_crop,
    synthetic_frame,
    synthetic_identity,
    synthetic_pose,
    synthetic_track,
)
from animegen.testing.trackers import check_tracker

__all__ = [
    "check_background",
    "check_face_backend",
    "check_identity_preserver",
    "check_pose_backend",
    "check_style",
    "check_tracker",
    "synthetic_crop",
    "synthetic_frame",
    "synthetic_identity",
    "synthetic_pose",
    "synthetic_track",
]
