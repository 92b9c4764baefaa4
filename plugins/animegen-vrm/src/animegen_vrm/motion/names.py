"""Which joint of a foreign skeleton is which humanoid bone, by its name."""

from __future__ import annotations

import re
from collections.abc import Sequence

_LIMB_NAMES: dict[str, tuple[str, ...]] = {
    "Shoulder": ("collar", "clavicle", "clavicula", "shoulder"),
    "UpperArm": ("arm", "upperarm", "uparm", "shldr", "shoulder", "humerus"),
    "LowerArm": ("forearm", "lowerarm", "loarm", "elbow", "radius"),
    "Hand": ("hand", "wrist"),
    "UpperLeg": ("upleg", "upperleg", "thigh", "hip", "femur"),
    "LowerLeg": ("leg", "lowerleg", "lowleg", "shin", "calf", "knee", "tibia"),
    "Foot": ("foot", "ankle"),
    "Toes": ("toebase", "toe", "toes", "ball"),
}
"""Names of a limb's joint without its side, the surest first. A shoulder is a collar where an arm follows."""

_FINGER_NAMES = {"thumb": "Thumb", "index": "Index", "mid": "Middle", "middle": "Middle", "ring": "Ring",
                 "pinky": "Little", "little": "Little"}  # fmt: skip
_SEGMENTS = ("Proximal", "Intermediate", "Distal")
_THUMB_SEGMENTS = ("Metacarpal", "Proximal", "Distal")

_CENTRE_NAMES = {
    "hips": ("hips", "hip", "pelvis", "root"),
    "neck": ("neck", "neck1", "lowerneck"),
    "head": ("head",),
}

_SIDE_PATTERNS = (
    r"^((?i:left|right))[ _.-]?(?=.)", r"[ _.-]?((?i:left|right))$", r"^([LRlr])[ _.-]?(?=[A-Z])",
    r"^([LRlr])[_.-](?=.)", r"[ _.-]([LRlr])$", r"^([lr])(?=hand$)",
)  # fmt: skip


def _split(name: str) -> tuple[str, str]:
    """Side ("left", "right" or "") and the rest of a joint's name: mixamorig:LeftArm, rShldr, upper_arm.L, LThumb."""
    plain = re.split(r"[:|]", name)[-1].strip()
    side = ""
    for pattern in _SIDE_PATTERNS:
        match = re.search(pattern, plain)
        if match:
            side = "left" if match.group(1)[0].lower() == "l" else "right"
            plain = plain[: match.start()] + plain[match.end() :]
            break
    return side, re.sub(r"[^a-z0-9]", "", plain.lower())


def match_bones(names: Sequence[str], parents: Sequence[int]) -> dict[str, int]:
    """Humanoid bones to joints: hips, neck, head, limbs and fingers. Structure tells the spine, not names."""
    split = [_split(name) for name in names]
    first: dict[tuple[str, str], int] = {}
    for i, key in enumerate(split):
        first.setdefault(key, i)
    found = {
        bone: first["", name]
        for bone, synonyms in _CENTRE_NAMES.items()
        for name in reversed(synonyms)
        if ("", name) in first
    }
    for side in ("left", "right"):
        for bone, synonyms in _LIMB_NAMES.items():
            taken = set(found.values())
            for name in synonyms:
                joint = first.get((side, name))
                if joint is not None and joint not in taken:
                    found[side + bone] = joint
                    break
        _correct_shoulder(found, side, parents)
        found |= _fingers(split, side)
    return found


def _correct_shoulder(found: dict[str, int], side: str, parents: Sequence[int]) -> None:
    """Where no arm hangs on the joint that is named shoulder but a forearm does, the shoulder is the upper arm."""
    shoulder, lower = found.get(f"{side}Shoulder"), found.get(f"{side}LowerArm")
    if f"{side}UpperArm" not in found and shoulder is not None and lower is not None and parents[lower] == shoulder:
        found[f"{side}UpperArm"] = found.pop(f"{side}Shoulder")


def _fingers(split: Sequence[tuple[str, str]], side: str) -> dict[str, int]:
    """The joints of one hand's fingers: names such as LeftHandIndex1, lThumb2."""
    found: dict[str, int] = {}
    for joint, (joint_side, name) in enumerate(split):
        match = re.fullmatch(r"(?:hand)?(thumb|index|middle|mid|ring|pinky|little)([123])", name)
        if match and joint_side == side:
            finger = _FINGER_NAMES[match.group(1)]
            segments = _THUMB_SEGMENTS if finger == "Thumb" else _SEGMENTS
            found.setdefault(f"{side}{finger}{segments[int(match.group(2)) - 1]}", joint)
    return found
