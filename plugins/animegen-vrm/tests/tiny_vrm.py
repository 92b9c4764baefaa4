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
        self.json["bufferViews"].append({"buffer": 0, "byteOffset": len(self.binary), "byteLength": len(data), **more})
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
    file["skins"] = [{"joints": [NUMBERS["hips"], NUMBERS["head"]], "inverseBindMatrices": writer.accessor(binds)}]
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
            "springs": [{"joints": [{"node": node, "stiffness": 0.7} for node in TAIL_NODES], "colliderGroups": [0]}],
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


BLOCKS: dict[str, tuple[str, tuple[float, ...], tuple[float, ...], tuple[int, int, int]]] = {
    "face": ("head", (0.0, 1.60, 0.03), (0.08, 0.10, 0.05), (245, 215, 195)),
    "hair": ("head", (0.0, 1.64, -0.06), (0.11, 0.14, 0.03), (60, 40, 120)),
    "shirt": ("spine", (0.0, 1.25, 0.0), (0.15, 0.18, 0.08), (200, 40, 40)),
    "sleeve": ("leftUpperArm", (0.3, 1.4, 0.0), (0.15, 0.05, 0.05), (200, 40, 40)),
    "hand": ("leftHand", (0.7, 1.4, 0.0), (0.06, 0.02, 0.04), (245, 215, 195)),
    "trousers": ("leftUpperLeg", (0.1, 0.55, 0.0), (0.07, 0.33, 0.07), (40, 90, 50)),
    "shoe": ("leftFoot", (0.1, 0.05, 0.05), (0.05, 0.05, 0.12), (30, 30, 30)),
}
"""Blocks of a person: the bone each hangs on, its middle, half its size, its colour in the atlas."""


def block_vrm(material: str = "everything") -> Writer:
    """A person of blocks, one mesh with one material whose texture is an atlas of flat colours."""
    writer = tiny_vrm()
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], np.float32)
    faces = np.array([[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]])
    box = np.concatenate([faces[:, [0, 1, 2]], faces[:, [0, 2, 3]]])
    count = len(BLOCKS)
    middles, halves = (np.array([block[i] for block in BLOCKS.values()], np.float32)[:, None] for i in (1, 2))
    joints = np.zeros((count, 8, 4), np.uint8)
    joints[:, :, 0] = np.array([NUMBERS[block[0]] for block in BLOCKS.values()])[:, None]
    uvs = np.full((count, 8, 2), 0.5, np.float32)
    uvs[:, :, 0] = (np.arange(count)[:, None] + 0.5) / count
    binds = np.tile(np.eye(4, dtype=np.float32), (len(BONES), 1, 1))
    for name, number in NUMBERS.items():
        binds[number, 3, :3] = -_place(name)
    writer.json["skins"] = [{"joints": list(NUMBERS.values()), "inverseBindMatrices": writer.accessor(binds)}]
    attributes = {
        "POSITION": writer.accessor((middles + corners * halves).reshape(-1, 3)),
        "TEXCOORD_0": writer.accessor(uvs.reshape(-1, 2)),
        "JOINTS_0": writer.accessor(joints.reshape(-1, 4)),
        "WEIGHTS_0": writer.accessor(np.array([[1, 0, 0, 0]] * count * 8, np.float32)),
    }
    triangles = (box[None] + 8 * np.arange(count)[:, None, None]).astype(np.uint16)
    indices = writer.accessor(triangles.reshape(-1))
    writer.json["meshes"] = [{"primitives": [{"attributes": attributes, "indices": indices, "material": 0}]}]
    writer.json["materials"][0]["name"] = material
    writer.json["extensions"]["VRMC_vrm"]["expressions"] = {}
    atlas = Image.new("RGB", (count, 1))
    atlas.putdata([block[3] for block in BLOCKS.values()])
    held = io.BytesIO()
    atlas.save(held, "PNG")
    writer.json["images"] = [{"bufferView": writer.view(held.getvalue())}]
    return writer


def _place(bone: str) -> NDArray[np.float32]:
    parent, offset = BONES[bone]
    return np.array(offset, np.float32) + (_place(parent) if parent else 0)
