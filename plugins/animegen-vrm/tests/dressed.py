"""A dressed avatar: tubes of cloth and skin on bones, for tests of garments."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from animegen_vrm.model import Avatar, Material, Primitive
from stick_avatar import places, stick_avatar

FLAT = 1e-5  # metres: float32
TROUSERS, SHIRT, SKIN = (0.02, 0.05, 0.3), (0.6, 0.6, 0.6), (0.8, 0.5, 0.4)
LEG = 0.07  # metres: half a trouser leg's width
RINGS, SIDES = 24, 16


def tube(bone: int, middle: tuple[float, float], radius: float, span: tuple[float, float], material: int) -> Primitive:
    """An upright tube that hangs on one joint."""
    turn = 2 * np.pi * np.arange(SIDES) / SIDES
    heights = np.linspace(*span, RINGS)
    around = np.stack([np.sin(turn), np.zeros(SIDES), np.cos(turn)], axis=1)
    positions = radius * np.tile(around, (RINGS, 1, 1)) + np.array((middle[0], 0.0, middle[1]))
    positions[..., 1] = heights[:, None]
    number = np.arange(RINGS * SIDES).reshape(RINGS, SIDES)
    beside = np.roll(number, -1, axis=1)
    a, b, c, d = number[:-1], beside[:-1], beside[1:], number[1:]
    triangles = np.stack([a, b, c, a, c, d], axis=-1).reshape(-1, 3)
    count = RINGS * SIDES
    return Primitive(
        "tube",
        positions.reshape(-1, 3).astype(np.float32),
        np.tile(around, (RINGS, 1, 1)).reshape(-1, 3).astype(np.float32),
        np.zeros((count, 2), np.float32),
        np.full((count, 4), bone, np.uint16),
        np.tile(np.array((1, 0, 0, 0), np.float32), (count, 1)),
        triangles.astype(np.uint32),
        material,
        {},
    )


Piece = tuple[str, tuple[float, float], float, tuple[float, float], int]
"""A tube: its bone, where its middle is on the floor, its radius, from where to where up, and its material."""

JACKET, CLOTH, BARE, TIE = 1, 2, 3, 4
"""Materials of pieces."""


def wearing(*pieces: Piece) -> Avatar:
    """A stick avatar in some pieces."""
    bare = stick_avatar()
    bones = ("hips", "spine", "leftUpperLeg", "rightUpperLeg", "leftLowerLeg", "rightLowerLeg", "head")
    binds = np.tile(np.eye(4, dtype=np.float32), (len(bones), 1, 1))
    binds[:, :3, 3] = -np.array([places()[bone] for bone in bones])
    joint = {bone: len(bare.joint_nodes) + i for i, bone in enumerate(bones)}
    named = (("jacket", SHIRT, "upper"), ("trousers", TROUSERS, "lower"), ("skin", SKIN, "skin"))
    return replace(
        bare,
        joint_nodes=np.append(bare.joint_nodes, [bare.humanoid[bone] for bone in bones]).astype(np.int32),
        inverse_binds=np.concatenate([bare.inverse_binds, binds]),
        primitives=(*bare.primitives, *(tube(joint[bone], *rest) for bone, *rest in pieces)),
        materials=(
            Material("plain"),
            *(
                Material(name, lit=(*colour, 1.0), shade=colour, part=part, outline_width=0.001)
                for name, colour, part in named
            ),
            Material("Accessory_Tie_01"),
        ),
    )


def dressed(*, tie: bool = False) -> Avatar:
    """Someone in a jacket that ends below the hips, trousers, and with bare hands."""
    sides = (("left", 0.09), ("right", -0.09))
    return wearing(
        ("spine", (0.0, 0.0), 0.13, (0.8, 1.4), JACKET),
        ("hips", (0.0, 0.0), 0.12, (0.85, 1.0), CLOTH),
        *((f"{side}UpperLeg", (x, 0.0), LEG, (0.48, 0.9), CLOTH) for side, x in sides),
        *((f"{side}LowerLeg", (x, 0.0), LEG, (0.06, 0.48), CLOTH) for side, x in sides),
        ("head", (0.0, 0.0), 0.1, (1.5, 1.7), BARE),
        *([("spine", (0.0, 0.14), 0.01, (1.1, 1.4), TIE)] if tie else []),
    )
