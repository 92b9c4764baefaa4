"""Writes small VRM files of both versions, right ones and, with a change to their JSON or bytes, wrong ones."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Json = dict[str, Any]

SIDES = ("left", "right")
BONES: dict[str, tuple[str, tuple[float, float, float]]] = {
    "hips": ("", (0.0, 0.9, 0.0)),
    "spine": ("hips", (0.0, 0.2, 0.0)),
    "head": ("spine", (0.0, 0.4, 0.0)),
}
for _side, _x in (("left", 1.0), ("right", -1.0)):
    BONES |= {
        f"{_side}UpperArm": ("spine", (0.15 * _x, 0.3, 0.0)),
        f"{_side}LowerArm": (f"{_side}UpperArm", (0.25 * _x, 0.0, 0.0)),
        f"{_side}Hand": (f"{_side}LowerArm", (0.25 * _x, 0.0, 0.0)),
        f"{_side}UpperLeg": ("hips", (0.1 * _x, -0.05, 0.0)),
        f"{_side}LowerLeg": (f"{_side}UpperLeg", (0.0, -0.4, 0.0)),
        f"{_side}Foot": (f"{_side}LowerLeg", (0.0, -0.4, 0.0)),
    }
"""Parent and offset of each bone of an avatar that faces +Z."""

NUMBERS = {name: i for i, name in enumerate(BONES)}
MESH_NODE = len(BONES)
TAIL_NODES = (len(BONES) + 1, len(BONES) + 2)

_COMPONENTS = {"int8": 5120, "uint8": 5121, "int16": 5122, "uint16": 5123, "uint32": 5125, "float32": 5126}
_KINDS = {(): "SCALAR", (2,): "VEC2", (3,): "VEC3", (4,): "VEC4", (4, 4): "MAT4"}


class Writer:
    """Collects the binary chunk and the JSON that describes it."""

    def __init__(self) -> None:
        self.json: Json = {"asset": {"version": "2.0"}, "bufferViews": [], "accessors": [], "buffers": [{}]}
        self.binary = b""

    def view(self, data: bytes, **more: Any) -> int:
        self.binary += bytes(-len(self.binary) % 4)
        self.json["bufferViews"].append(
            {"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data), **more}
        )
        self.binary += data
        return len(self.json["bufferViews"]) - 1

    def accessor(self, values: NDArray[Any], **more: Any) -> int:
        view = self.view(np.ascontiguousarray(values).tobytes())
        kind, component = _KINDS[values.shape[1:]], _COMPONENTS[values.dtype.name]
        self.json["accessors"].append(
            {"bufferView": view, "componentType": component, "count": len(values), "type": kind, **more}
        )
        return len(self.json["accessors"]) - 1


def glb(content: Json | bytes, binary: bytes) -> bytes:
    """A glTF binary file of the given JSON (or its text) and buffer."""
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    text += b" " * (-len(text) % 4)
    binary += bytes(-len(binary) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks


def png(colour: tuple[int, int, int] = (200, 150, 120), size: tuple[int, int] = (4, 4)) -> bytes:
    held = io.BytesIO()
    Image.new("RGB", size, colour).save(held, "PNG")
    return held.getvalue()


def tiny_vrm(version: str = "1.0", colour: tuple[int, int, int] = (200, 150, 120)) -> Writer:
    """One square with a skin, a texture, a morph target that opens the mouth, a spring and a collider."""
    writer = Writer()
    turn = 1.0 if version == "1.0" else -1.0  # VRM 0.x faces -Z
    file = writer.json
    file["nodes"] = [
        {"name": name, "translation": [x * turn, y, z * turn], "children": []} for name, (_, (x, y, z)) in BONES.items()
    ]
    for name, (parent, _) in BONES.items():
        if parent:
            file["nodes"][NUMBERS[parent]]["children"].append(NUMBERS[name])
    file["nodes"] += [
        {"name": "body", "mesh": 0, "skin": 0},
        {"name": "tail1", "translation": [0, 0, -0.1 * turn], "children": [TAIL_NODES[1]]},
        {"name": "tail2", "translation": [0, -0.1, 0]},
    ]
    file["nodes"][NUMBERS["head"]]["children"].append(TAIL_NODES[0])
    square = np.array([[-0.1, 1.4, 0.1], [0.1, 1.4, 0.1], [0.1, 1.6, 0.1], [-0.1, 1.6, 0.1], [9, 9, 9]], np.float32)
    square *= (turn, 1.0, turn)
    binds = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    for i, height in enumerate((0.9, 1.5)):
        binds[i, 3, 1] = -height  # columns first
    moved = np.zeros((5, 3), np.float32)
    moved[:2, 1] = -0.02
    attributes = {
        "POSITION": writer.accessor(square),
        "NORMAL": writer.accessor(np.tile(np.array([0, 0, turn], np.float32), (5, 1))),
        "TEXCOORD_0": writer.accessor(np.array([[0, 1], [1, 1], [1, 0], [0, 0], [0, 0]], np.float32)),
        "JOINTS_0": writer.accessor(np.array([[0, 1, 0, 0]] * 5, np.uint8)),
        "WEIGHTS_0": writer.accessor(np.array([[0.25, 0.75, 0, 0]] * 5, np.float32)),
    }
    file["meshes"] = [
        {
            "name": "body",
            "primitives": [
                {
                    "attributes": attributes,
                    "indices": writer.accessor(np.array([0, 1, 2, 0, 2, 3], np.uint16)),
                    "material": 0,
                    "targets": [{"POSITION": writer.accessor(moved)}],
                }
            ],
        }
    ]
    file["skins"] = [
        {"joints": [NUMBERS["hips"], NUMBERS["head"]], "inverseBindMatrices": writer.accessor(binds)}
    ]
    file["images"] = [{"bufferView": writer.view(png(colour)), "mimeType": "image/png"}]
    file["textures"] = [{"source": 0}]
    file["materials"] = [{"name": "N00_Face_SKIN", "pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}]
    (_describe_1 if version == "1.0" else _describe_0x)(file)
    return writer


def _describe_1(file: Json) -> None:
    file["materials"][0]["extensions"] = {
        "VRMC_materials_mtoon": {
            "shadeColorFactor": [0.5, 0.4, 0.3],
            "shadingShiftFactor": -0.1,
            "shadingToonyFactor": 0.95,
            "outlineWidthMode": "worldCoordinates",
            "outlineWidthFactor": 0.002,
        }
    }
    file["extensions"] = {
        "VRMC_vrm": {
            "specVersion": "1.0",
            "meta": {"name": "Tiny", "authors": ["Nobody"], "creditNotation": "unnecessary"},
            "humanoid": {"humanBones": {name: {"node": node} for name, node in NUMBERS.items()}},
            "expressions": {"preset": {"aa": {"morphTargetBinds": [{"node": MESH_NODE, "index": 0, "weight": 0.5}]}}},
            "lookAt": {"type": "bone", "rangeMapHorizontalInner": {"outputScale": 8.0}},
        },
        "VRMC_springBone": {
            "colliders": [{"node": NUMBERS["head"], "shape": {"sphere": {"offset": [0, 0.1, 0.02], "radius": 0.1}}}],
            "colliderGroups": [{"colliders": [0]}],
            "springs": [
                {"joints": [{"node": node, "stiffness": 0.7} for node in TAIL_NODES], "colliderGroups": [0]}
            ],
        },
    }


def _describe_0x(file: Json) -> None:
    file["extensions"] = {
        "VRM": {
            "meta": {"title": "Tiny", "author": "Nobody", "licenseName": "CC0"},
            "humanoid": {"humanBones": [{"bone": name, "node": node} for name, node in NUMBERS.items()]},
            "blendShapeMaster": {
                "blendShapeGroups": [{"presetName": "a", "binds": [{"mesh": 0, "index": 0, "weight": 50}]}]
            },
            "firstPerson": {"lookAtTypeName": "Bone", "lookAtHorizontalInner": {"yRange": 8.0}},
            "materialProperties": [
                {
                    "shader": "VRM/MToon",
                    "floatProperties": {
                        "_ShadeToony": 0.9,
                        "_ShadeShift": 0.0,
                        "_OutlineWidth": 0.2,
                        "_OutlineWidthMode": 1,
                        "_BlendMode": 2,
                        "_CullMode": 0,
                    },
                    "vectorProperties": {"_Color": [0.5, 1, 1, 1], "_MainTex": [0.25, 0, 0.5, 0.5]},
                    "textureProperties": {"_MainTex": 0},
                    "renderQueue": 3001,
                }
            ],
            "secondaryAnimation": {
                "boneGroups": [{"bones": [TAIL_NODES[0]], "stiffiness": 0.7, "colliderGroups": [0]}],
                "colliderGroups": [
                    {"node": NUMBERS["head"], "colliders": [{"offset": {"x": 0, "y": 0.1, "z": 0.02}, "radius": 0.1}]}
                ],
            },
        }
    }


def save(folder: Path, writer: Writer, name: str = "tiny.vrm") -> Path:
    """Write an avatar to a file."""
    path = folder / name
    path.write_bytes(glb(writer.json, writer.binary))
    return path
