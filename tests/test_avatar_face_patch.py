"""Faces' patches: they lie where the pose has the face, fade out with it, and are blurred where they get small."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from figures import pose

from animegen.avatar.conditioning import PoseBatch
from animegen.avatar.config import EXPRESSION, FACE, AvatarConfig
from animegen.avatar.face_patch import FaceFrame, laid
from animegen.avatar.network import Generator
from animegen.pose.skeletons import AVATAR35

EYES = {"left_eye": (0.3, -0.1), "right_eye": (-0.3, -0.1)}
MOUTH = {"mouth_left": (0.1, 0.3), "mouth_right": (-0.1, 0.3)}
PATCH = {8: 8, 16: 8}


def face(*, turned: float = 0.0, size: float = 0.5, aside: float = 1.0) -> PoseBatch:
    """A face in the middle of the picture, ``turned`` by radians in it, its width times ``aside``."""
    xy = torch.from_numpy(pose(np.random.default_rng(0)))[None]
    rotation = np.array([[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]])
    for name, place in {**EYES, **MOUTH, "nose": (0.0, 0.1)}.items():
        point = 0.5 + size * rotation @ (np.array(place) * (aside, 1))
        xy[0, AVATAR35.index(name)] = torch.from_numpy(point.astype(np.float32))
    return PoseBatch(xy, torch.zeros(1, 35), torch.ones(1, 35))


@pytest.mark.parametrize("turned", [0.0, 0.4, -2.0])
def test_a_patch_lies_where_the_face_is(turned: float) -> None:
    asked = face(turned=turned)
    frame = FaceFrame.of(asked, AVATAR35)
    places = frame.grid(256)[0]
    for name, sign in {"left_eye": 1, "right_eye": -1}.items():
        x, y = (asked.xy[0, AVATAR35.index(name)] * 256).long().tolist()
        # an eye is half the eyes' distance from the middle, and half the way to the mouth above it
        assert places[y, x].tolist() == pytest.approx([sign / 2.2, -0.5 / 1.3], abs=0.03)


def test_who_looks_away_shows_no_face() -> None:
    shown = [FaceFrame.of(face(aside=aside), AVATAR35).shown.item() for aside in (1.0, 0.15, 0.02, -1.0)]
    assert shown[0] == 1
    assert 0 < shown[1] < 1
    assert shown[2:] == [0, 0]
    hidden = face()
    hidden.score[0, AVATAR35.index(FACE[0])] = 0
    assert FaceFrame.of(hidden, AVATAR35).shown.item() == 0


def test_a_small_patch_keeps_its_mean() -> None:
    """Stripes of single cells become grey and no pattern of their own."""
    stripes = torch.zeros(1, 1, 64, 64)
    stripes[..., ::2] = 1
    small = laid(stripes, FaceFrame.of(face(size=0.15), AVATAR35), 64)
    inside = small[0, 0, 30:35, 30:35]
    assert inside.min() > 0.45
    assert inside.max() < 0.55
    large = laid(stripes, FaceFrame.of(face(size=1.0), AVATAR35), 256)
    assert large.max() > 0.9


def test_a_patch_changes_the_face_alone() -> None:
    torch.manual_seed(0)
    config = AvatarConfig(AVATAR35, 1, {4: 8, 8: 8, 16: 8, 32: 8}, largest_stage=64, latent=4, width=8, patch=PATCH)
    generator = Generator(config)
    latent, calm = generator.avatars(torch.tensor([0])), torch.zeros(1, len(EXPRESSION))

    def drawn(asked: PoseBatch) -> torch.Tensor:
        with torch.inference_mode():
            return generator(asked, latent, calm, [64])[64]

    seen, away = face(size=0.3), face(aside=-1.0)
    before = drawn(seen), drawn(away)
    torch.nn.init.normal_(generator.grids[-1].face.weight)
    torch.nn.init.normal_(generator.face.texture.bias)
    assert torch.equal(drawn(away), before[1])
    difference = (drawn(seen) - before[0]).abs().amax(dim=1)[0]
    assert difference[28:36, 28:36].min() > 0
    assert difference[:4].max() == 0


def test_older_configurations_have_no_patch() -> None:
    values = json.loads(AvatarConfig(AVATAR35, 1).to_json())
    del values["patch"]
    config = AvatarConfig.from_json(json.dumps(values))
    assert config == AvatarConfig(AVATAR35, 1, patch={})
    assert config.faces == ()
