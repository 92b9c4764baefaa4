"""The built-ins keep the contracts that third-party implementations are held to."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from animegen.plugins import PluginHost
from animegen.protocols import PluginContext
from animegen.testing import (
    check_background,
    check_identity_preserver,
    check_pose_backend,
    check_style,
    check_tracker,
    synthetic_identity,
    synthetic_pose,
)
from animegen.types import Sprite


@pytest.fixture(scope="module")
def host() -> PluginHost:
    return PluginHost.load()


def make(host: PluginHost, kind: str, name: str, options=None, weights=None):
    return host.create(host.find(kind, name), options, PluginContext(weights=weights or {}))


def test_style_skeleton(host):
    check_style(make(host, "style", "skeleton"))


def test_tracker_oks(host):
    check_tracker(lambda: make(host, "tracker", "oks"))


def test_identity_palette(host):
    check_identity_preserver(make(host, "identity", "palette"))


def test_pose_blazepose(host, blazepose_weights):
    check_pose_backend(make(host, "pose", "blazepose", weights=blazepose_weights))


@pytest.mark.parametrize("name", ["clean", "keep", "blur", "color", "anime"])
def test_background(host, name):
    check_background(make(host, "background", name))


def test_background_picture(host, tmp_path: Path):
    from PIL import Image

    path = tmp_path / "hills.png"
    Image.fromarray(np.full((30, 50, 3), 90, np.uint8)).save(path)
    options = host.find("background", "picture").options(path)
    check_background(make(host, "background", "picture", options))


class Square:
    """A style that keeps its contract; the tests below break it in one way each."""

    def prepare(self, identity, track, crops):
        return {"colour": np.zeros(3, np.uint8)}

    def render(self, requests):
        return [self.draw(request) for request in requests]

    def draw(self, request):
        left, top, right, bottom = request.pose.bbox.astype(np.float64)
        affine = np.array([[(right - left) / 4, 0, left], [0, (bottom - top) / 4, top]])
        return Sprite(np.full((4, 4, 4), 255, np.uint8), affine, request.order)


def test_a_plain_style_passes():
    check_style(Square())


def broken(**changes) -> Square:
    return type("Broken", (Square,), changes)()


def _shared_memory(self, requests, seen=[]):  # noqa: B006
    seen.extend(requests)
    sprites = Square.render(self, requests)
    return [dataclasses.replace(s, rgba=np.full_like(s.rgba, 255 - len(seen) % 100)) for s in sprites]


def _not_premultiplied(self, request):
    return dataclasses.replace(Square.draw(self, request), rgba=np.full((4, 4, 4), (200, 0, 0, 9), np.uint8))


def _far_away(self, request):
    return dataclasses.replace(Square.draw(self, request), affine=np.array([[1.0, 0, 900], [0, 1, 900]]))


def _writes(self, request):
    request.pose.xy[:] = 0
    return Square.draw(self, request)


BREACHES = {
    "needs a batch": (
        {"render": lambda self, requests: [self.draw(r) for r in requests[:1]] * len(requests)},
        "order must be",
    ),
    "remembers": ({"render": _shared_memory}, "differs"),
    "straight alpha": ({"draw": _not_premultiplied}, "colour above alpha"),
    "elsewhere": ({"draw": _far_away}, "outside their box"),
    "nothing": (
        {"draw": lambda self, r: dataclasses.replace(Square.draw(self, r), rgba=np.zeros((4, 4, 4), np.uint8))},
        "nothing is drawn",
    ),
    "prepares an object": ({"prepare": lambda self, *_: {"x": np.array([object()])}}, "named array"),
    "flat": (
        {"draw": lambda self, r: dataclasses.replace(Square.draw(self, r), affine=np.zeros((2, 3)))},
        "invertible",
    ),
}


@pytest.mark.parametrize("name", BREACHES)
def test_a_breach_is_named(name):
    changes, text = BREACHES[name]
    with pytest.raises(AssertionError, match=text):
        check_style(broken(**changes))


def test_a_style_that_writes_to_the_pose_is_caught():
    with pytest.raises(ValueError, match="read-only"):
        check_style(broken(draw=_writes))


class Counter:
    """A tracker that gives a new id to everybody, always."""

    def __init__(self):
        self.count = 0

    def update(self, frame_index, poses):
        self.count += len(poses)
        return [self.count + i for i in range(len(poses))]


def test_a_tracker_that_loses_people_is_caught():
    with pytest.raises(AssertionError, match="must keep one"):
        check_tracker(Counter)


class Gloom:
    def render(self, request):
        return request.frame.image[:10] // 2


def test_a_background_of_another_size_is_caught():
    with pytest.raises(AssertionError, match=r"must give uint8 \(240, 320, 3\)"):
        check_background(Gloom())


def test_synthetic_people_are_the_same_every_time():
    assert np.array_equal(synthetic_pose(seed=3).xy, synthetic_pose(seed=3).xy)
    assert not np.array_equal(synthetic_pose(seed=3).xy, synthetic_pose(seed=4).xy)
    assert synthetic_identity(3).palette == synthetic_identity(3).palette
    assert synthetic_identity(3).palette != synthetic_identity(4).palette


def test_synthetic_people_turn():
    def shoulders(facing):
        pose = synthetic_pose(facing=facing)
        left, right = (pose.skeleton.index(f"{side}_shoulder") for side in ("left", "right"))
        return float(pose.xy[left, 0] - pose.xy[right, 0])

    assert shoulders("front") > 20, "a person's left is on the viewer's right when they face the viewer"
    assert shoulders("back") < -20
    assert abs(shoulders("left")) < 1
    nose = synthetic_pose(facing="left")
    assert nose.xy[nose.skeleton.index("nose"), 0] > nose.xy[nose.skeleton.index("left_ear"), 0]
