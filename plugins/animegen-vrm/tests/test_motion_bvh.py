"""BVH files are read in either convention; damaged ones get an error that names the line."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from animegen_vrm import quaternions as q
from animegen_vrm.motion import read_motion
from animegen_vrm.motion.bvh import read_bvh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from stick_avatar import places

from animegen.errors import AnimegenError, InputError

SAME = 1e-4  # of quaternions, from degrees written with six digits

_TREE = {
    "Hips": ("", "hips"), "Spine": ("Hips", "spine"), "Spine1": ("Spine", "upperChest"), "Neck": ("Spine1", "neck"),
    "Head": ("Neck", "head"),
}  # fmt: skip
for _side in ("Left", "Right"):
    _low = _side.lower()
    _TREE |= {
        f"{_side}Shoulder": ("Spine1", f"{_low}Shoulder"), f"{_side}Arm": (f"{_side}Shoulder", f"{_low}UpperArm"),
        f"{_side}ForeArm": (f"{_side}Arm", f"{_low}LowerArm"), f"{_side}Hand": (f"{_side}ForeArm", f"{_low}Hand"),
        f"{_side}UpLeg": ("Hips", f"{_low}UpperLeg"), f"{_side}Leg": (f"{_side}UpLeg", f"{_low}LowerLeg"),
        f"{_side}Foot": (f"{_side}Leg", f"{_low}Foot"), f"{_side}ToeBase": (f"{_side}Foot", f"{_low}Toes"),
    }  # fmt: skip


def write_bvh(path: Path, frames: int = 5, *, z_up: bool = False, seed: int = 0) -> Path:
    """The stick avatar's skeleton in slow random movement; ``z_up``: the same with Z up, facing -Y."""
    axes = q.about((1.0, 0.0, 0.0), np.radians(90.0)) if z_up else np.array(q.IDENTITY)
    where = places()
    children = {name: [child for child, (parent, _) in _TREE.items() if parent == name] for name in _TREE}
    lines = ["HIERARCHY"]

    def add(name: str, depth: int) -> None:
        parent, bone = _TREE[name]
        offset = q.rotate(axes, where[bone] - where[_TREE[parent][1]] if parent else np.zeros(3))
        position = "" if parent else "Xposition Yposition Zposition "
        lines.append(("JOINT " if parent else "ROOT ") + name)
        lines.append("{\nOFFSET " + " ".join(f"{value:.6f}" for value in offset))
        lines.append(f"CHANNELS {3 if parent else 6} {position}Zrotation Xrotation Yrotation")
        for child in children[name]:
            add(child, depth + 1)
        if not children[name]:
            end = q.rotate(axes, (0.0, 0.0, 0.1) if "Toe" in name else (0.0, 0.0, 0.0))
            lines.append("End Site\n{\nOFFSET " + " ".join(f"{value:.6f}" for value in end) + "\n}")
        lines.append("}")

    add("Hips", 0)
    lines += ["MOTION", f"Frames: {frames}", "Frame Time: 0.033333"]
    order = [line.split()[1] for line in lines if line.startswith(("ROOT", "JOINT"))]
    for frame in range(frames):
        rng = np.random.default_rng(seed)
        values = [f"{value:.6f}" for value in q.rotate(axes, (0.1 * frame, 0.95, 0.0))]
        for _ in order:
            turn = q.about(q.unit(rng.normal(size=3)), np.radians(8.0) * (1 + frame / 4))
            matrix = q.to_matrices(q.multiply(q.multiply(axes, turn), q.inverse(axes)))
            x = np.arcsin(np.clip(matrix[2, 1], -1.0, 1.0))  # of R = Rz Rx Ry
            z, y = np.arctan2(-matrix[0, 1], matrix[1, 1]), np.arctan2(-matrix[2, 0], matrix[2, 2])
            values += [f"{value:.6f}" for value in np.degrees((z, x, y))]
        lines.append(" ".join(values))
    path.write_text("\n".join(lines) + "\n")
    return path


def test_angles_are_applied_in_the_order_of_the_channels(tmp_path: Path) -> None:
    path = tmp_path / "one.bvh"
    path.write_text(
        "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 3 Zrotation Yrotation Xrotation\n"
        "End Site\n{\nOFFSET 0 1 0\n}\n}\n"
        "MOTION\nFrames: 1\nFrame Time: 0.1\n90 0 90\n"
    )
    np.testing.assert_allclose(q.rotate(read_bvh(path).rotations()[0, 0], (0.0, 1.0, 0.0)), (0, 0, 1), atol=1e-9)


def test_both_conventions_tell_the_same_motion(tmp_path: Path) -> None:
    one, other = read_motion(write_bvh(tmp_path / "a.bvh")), read_motion(write_bvh(tmp_path / "a2.bvh", z_up=True))
    body = [bone for bone in one.bones if not re.search("Thumb|Index|Middle|Ring|Little", bone)]
    assert len(one) == len(other) == 5
    for bone in body:
        a, b = one.rotations[:, one.bones.index(bone)], other.rotations[:, other.bones.index(bone)]
        np.testing.assert_allclose(np.abs((a * b).sum(axis=1)), 1.0, atol=SAME)
    np.testing.assert_allclose(one.hips, other.hips, atol=SAME)
    np.testing.assert_allclose(one.clearance, other.clearance, atol=SAME)


def test_a_motion_ends_where_it_ends(tmp_path: Path) -> None:
    motion = read_motion(write_bvh(tmp_path / "a.bvh"))
    assert motion.duration == pytest.approx(4 * 0.033333)
    with pytest.raises(AnimegenError, match="no pose 5"):
        motion[5]
    np.testing.assert_array_equal(motion.at(99.0).rotations["head"], motion[4].rotations["head"])
    between = motion.at(0.5 * 0.033333).rotations["leftUpperArm"]
    ends = motion.rotations[:2, motion.bones.index("leftUpperArm")]
    np.testing.assert_allclose(between, q.slerp(ends[0], ends[1], 0.5), atol=SAME)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda text: "", r"line 0: the file ends where 'HIERARCHY' should follow"),
        (lambda text: text.replace("HIERARCHY", "SOMETHING"), r"line 1: 'HIERARCHY' should stand here"),
        (lambda text: text[:200], r"line \d+: "),
        (lambda text: text[: text.index("MOTION")], r"'MOTION' should follow"),
        (lambda text: text.replace("OFFSET 0", "OFFSET x", 1), r"line 4: OFFSET needs numbers, got 'x"),
        (lambda text: text.replace("OFFSET 0.000000 ", "OFFSET ", 1), r"line 4: OFFSET needs 3 numbers, got 2"),
        (lambda text: text.replace("OFFSET 0.000000", "OFFSET nan", 1), r"line 4: OFFSET holds a number that is not"),
        (lambda text: text.replace("CHANNELS 6", "CHANNELS 7", 1), r"line 5: CHANNELS of joint 'Hips' do not fit"),
        (lambda text: text.replace("Zrotation", "Wrotation", 1), r"line 5: CHANNELS of joint 'Hips' do not fit"),
        (lambda text: text.replace("Frames: 5", "Frames: 99999999999"), r"ends before its 99999999999 frames"),
        (lambda text: text.replace("Frames: 5", "Frames: 0"), r"'Frames: NUMBER' should stand here"),
        (lambda text: text.replace("0.033333", "-1"), r"a frame time of -1 s is out of range"),
        (lambda text: text.rstrip().rsplit(" ", 1)[0], r"frame 5 of 5 needs \d+ numbers, got"),
        (lambda text: text.replace("JOINT Spine\n", "ROOT Spine\n"), r"a ROOT may not stand here"),
    ],
)
def test_damaged_files_get_an_error_that_names_the_line(tmp_path: Path, change: object, fault: str) -> None:
    path = write_bvh(tmp_path / "a.bvh")
    path.write_text(change(path.read_text()))  # type: ignore[operator]
    with pytest.raises(InputError, match=fault) as caught:
        read_motion(path)
    assert str(path) in str(caught.value)
    assert caught.value.hint


def test_endless_nesting_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.bvh"
    path.write_text("HIERARCHY\nROOT a\n{\n" + "JOINT b\n{\n" * 5000)
    with pytest.raises(InputError, match="more than 1024 joints"):
        read_motion(path)


def test_joints_whose_names_say_nothing_are_refused(tmp_path: Path) -> None:
    path = write_bvh(tmp_path / "a.bvh")
    path.write_text(path.read_text().replace("LeftForeArm", "Bone12"))
    with pytest.raises(InputError, match="no joint looks like leftLowerArm"):
        read_motion(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'\.fbx' is no motion format"):
        read_motion(tmp_path / "a.fbx")
    with pytest.raises(InputError, match="cannot read"):
        read_motion(tmp_path / "absent.bvh")


@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_damage_does_more_than_an_error(tmp_path: Path, data: st.DataObject) -> None:
    text = bytearray(write_bvh(tmp_path / "a.bvh", frames=2).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text) - 1))
        text[at : at + data.draw(st.integers(0, 30))] = data.draw(st.binary(max_size=8))
    (tmp_path / "b.bvh").write_bytes(text)
    try:
        motion = read_motion(tmp_path / "b.bvh")
    except AnimegenError:
        return
    assert np.isfinite(motion.rotations).all()
