"""VRM animations: rotations since rest, hips, expressions and gaze; damaged files get an error."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from animegen_vrm import quaternions as q
from animegen_vrm.motion import read_motion
from animegen_vrm.rig import BONES, Rig, ancestors
from stick_avatar import places, stick_avatar

from animegen.errors import InputError

SAME = 1e-4
TIMES = np.array((0.0, 0.5, 1.0), np.float32)
RAISED = q.about((0.0, 0.0, 1.0), np.radians(90.0))


def write_vrma(path: Path, change: Any = None, interpolation: str = "LINEAR") -> Path:
    """The stick avatar raises its left arm within half a second and steps aside, smiles and looks to its left."""
    where = places()
    bones = [bone for bone in BONES if bone in where]
    nodes: list[dict[str, Any]] = []
    for bone in bones:
        parent = next(ancestors(bone), None)
        offset = where[bone] - (where[parent] if parent else np.zeros(3))
        nodes.append({"name": bone, "translation": offset.tolist(), "children": []})
        if parent:
            nodes[bones.index(parent)]["children"].append(len(nodes) - 1)
    for node in nodes:
        if not node["children"]:
            del node["children"]
    nodes += [{"name": "happy"}, {"name": "lookAt"}]
    arm = np.stack([np.array(q.IDENTITY), RAISED, RAISED])
    gaze = np.stack([q.about((0.0, 1.0, 0.0), np.radians(a)) for a in (0.0, 45.0, 45.0)])
    step = where["hips"] + [(0.0, 0.0, 0.0), (0.19, 0.0, 0.0), (0.19, 0.0, 0.0)]
    smile = np.array([(0.0, 0, 0), (1.0, 0, 0), (1.0, 0, 0)])
    data = [TIMES, arm, step, smile, gaze]
    blob, views, accessors = b"", [], []
    for values in data:
        raw = np.asarray(values, np.float32).tobytes()
        views.append({"buffer": 0, "byteOffset": len(blob), "byteLength": len(raw)})
        kind = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[1 if values.ndim == 1 else values.shape[1]]
        accessors.append({"bufferView": len(views) - 1, "componentType": 5126, "count": len(values), "type": kind})
        blob += raw
    targets = [
        (bones.index("leftUpperArm"), "rotation"), (0, "translation"), (len(bones), "translation"),
        (len(bones) + 1, "rotation"),
    ]  # fmt: skip
    root: dict[str, Any] = {
        "asset": {"version": "2.0"}, "buffers": [{"byteLength": len(blob)}], "bufferViews": views,
        "accessors": accessors, "nodes": nodes, "scenes": [{"nodes": [0, len(bones), len(bones) + 1]}],
        "animations": [{
            "samplers": [{"input": 0, "output": i + 1, "interpolation": interpolation} for i in range(4)],
            "channels": [{"sampler": i, "target": {"node": n, "path": p}} for i, (n, p) in enumerate(targets)],
        }],
        "extensions": {"VRMC_vrm_animation": {
            "specVersion": "1.0",
            "humanoid": {"humanBones": {bone: {"node": i} for i, bone in enumerate(bones)}},
            "expressions": {"preset": {"happy": {"node": len(bones)}}},
            "lookAt": {"node": len(bones) + 1},
        }},
    }  # fmt: skip
    if change:
        change(root)
    text = json.dumps(root).encode()
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text + struct.pack("<II", len(blob), 0x004E4942) + blob
    path.write_bytes(b"glTF" + struct.pack("<II", 2, 12 + len(body)) + body)
    return path


def test_arm_hips_smile_and_gaze_move_as_the_file_says(tmp_path: Path) -> None:
    motion = read_motion(write_vrma(tmp_path / "raise.vrma"))
    assert len(motion) == 61
    avatar = stick_avatar()
    posed = Rig(avatar).apply(motion[60])
    np.testing.assert_allclose(posed.globals[avatar.humanoid["leftHand"], :3, 3], (0.12 + 0.19, 1.88, 0.0), atol=5e-3)
    half = motion[15].rotations["leftUpperArm"]
    assert abs(float(half @ q.about((0.0, 0.0, 1.0), np.radians(45.0)))) == pytest.approx(1.0, abs=SAME)
    assert motion.expressions_at(15) == {"happy": pytest.approx(0.5, abs=SAME)}
    assert motion.look is not None
    np.testing.assert_allclose(motion.look[30], (0.5, 0.0), atol=SAME)


def test_steps_jump_at_their_keys(tmp_path: Path) -> None:
    motion = read_motion(write_vrma(tmp_path / "raise.vrma", interpolation="STEP"))
    assert motion.expressions["happy"][29] == 0.0
    assert motion.expressions["happy"][30] == 1.0


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda root: root.pop("extensions"), "no VRM animation"),
        (lambda root: root.pop("animations"), "has no animation"),
        (lambda root: root["animations"][0].pop("channels"), "moves nothing"),
        (lambda root: root["animations"][0]["samplers"][0].update(output=99), "output"),
        (lambda root: root["animations"][0]["samplers"][0].update(input=1), "SCALAR"),
        (lambda root: root["animations"][0]["samplers"][0].update(interpolation="WILD"), "WILD"),
        (lambda root: root["animations"][0]["samplers"][0].update(interpolation="CUBICSPLINE"), "3 values for 3 keys"),
        (lambda root: root["animations"][0]["channels"][0]["target"].update(node=999), "node"),
        (lambda root: root["accessors"][0].update(count=4), r"accessors\[0\]"),
        (lambda root: root["nodes"][1].update(children=[0]), "circle|already"),
        (lambda root: root["extensions"]["VRMC_vrm_animation"]["humanoid"]["humanBones"].pop("hips"), "lacks the"),
    ],
)
def test_damaged_files_get_an_error_that_names_the_file(tmp_path: Path, change: Any, fault: str) -> None:
    with pytest.raises(InputError, match=fault) as caught:
        read_motion(write_vrma(tmp_path / "broken.vrma", change))
    assert "broken.vrma" in str(caught.value)


def test_cut_files_get_an_error(tmp_path: Path) -> None:
    path = write_vrma(tmp_path / "cut.vrma")
    whole = path.read_bytes()
    for length in range(0, len(whole), 397):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"cut\.vrma"):
            read_motion(path)
