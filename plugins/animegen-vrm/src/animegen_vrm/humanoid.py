"""What VRM says beyond glTF: humanoid bones, expressions, gaze and licence, of 0.x under the names of 1.0."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from animegen_vrm.gltf import MAX_ENTRIES, Gltf
from animegen_vrm.model import Licence, LookAt
from animegen_vrm.rig import BONES

_LIMBS = ("UpperArm", "LowerArm", "Hand", "UpperLeg", "LowerLeg", "Foot")
REQUIRED = ("hips", "spine", "head", *(f"{side}{bone}" for side in ("left", "right") for bone in _LIMBS))
"""The bones without which VRM calls nothing a humanoid."""

MAX_EXPRESSIONS = 256
MAX_BINDS = 4096  # of one expression

_BONES_0X = {
    f"{side}Thumb{old}": f"{side}Thumb{new}"
    for side in ("left", "right")
    for old, new in (("Proximal", "Metacarpal"), ("Intermediate", "Proximal"))
}
_EXPRESSIONS_0X = {
    "a": "aa",
    "i": "ih",
    "u": "ou",
    "e": "ee",
    "o": "oh",
    "blink_l": "blinkLeft",
    "blink_r": "blinkRight",
    "joy": "happy",
    "sorrow": "sad",
    "fun": "relaxed",
    "lookup": "lookUp",
    "lookdown": "lookDown",
    "lookleft": "lookLeft",
    "lookright": "lookRight",
}

Binds = Mapping[str, list[tuple[int, int, float]]]
"""For each expression the morph targets it moves: (node of the mesh, target, weight at 1)."""


def is_vrm_1(gltf: Gltf) -> bool:
    """Whether a file is VRM 1.0 (else 0.x); raises InputError for a glTF file that is no VRM."""
    extensions = gltf.root.child("extensions")
    if "VRMC_vrm" in extensions:
        return True
    if "VRM" not in extensions:
        raise gltf.root.fault("is glTF, but has neither 'VRMC_vrm' nor 'VRM': it is no avatar", "Export it as VRM.")
    return False


def read_bones(gltf: Gltf, node_count: int) -> dict[str, int]:
    """Node in the file of each humanoid bone, by its name in VRM 1.0; all required ones are there.

    Names that VRM does not know are left out.
    """
    extensions = gltf.root.child("extensions")
    bones: dict[str, int] = {}
    if is_vrm_1(gltf):
        humanoid = extensions.child("VRMC_vrm").child("humanoid")
        for name, entry in humanoid.named("humanBones", 256).items():
            bones[name] = entry.index("node", node_count, "nodes")
    else:
        humanoid = extensions.child("VRM").child("humanoid")
        for entry in humanoid.children("humanBones", 256):
            name = entry.text("bone")
            if entry.optional_index("node", node_count, "nodes") is not None:
                bones[_BONES_0X.get(name, name)] = entry.index("node", node_count, "nodes")
    missing = [name for name in REQUIRED if name not in bones]
    if missing:
        raise humanoid.fault(f"lacks the bone '{missing[0]}' ({len(missing)} of {len(REQUIRED)} required ones lack)")
    return {name: bones[name] for name in BONES if name in bones}


def read_expressions(gltf: Gltf, mesh_nodes: Mapping[int, list[int]]) -> Binds:
    """The morph targets of each expression. ``mesh_nodes``: the nodes in the file that show each mesh."""
    return _expressions_1(gltf) if is_vrm_1(gltf) else _expressions_0x(gltf, mesh_nodes)


def _expressions_1(gltf: Gltf) -> Binds:
    node_count = len(gltf.root.sequence("nodes", MAX_ENTRIES))
    groups = gltf.root.child("extensions").child("VRMC_vrm").child("expressions")
    entries = {**groups.named("custom", MAX_EXPRESSIONS), **groups.named("preset", MAX_EXPRESSIONS)}
    return {
        name: [
            (
                bind.index("node", node_count, "nodes"),
                bind.whole("index", 0, MAX_ENTRIES),
                bind.number("weight", 1.0),
            )
            for bind in entry.children("morphTargetBinds", MAX_BINDS)
        ]
        for name, entry in entries.items()
    }


def _expressions_0x(gltf: Gltf, mesh_nodes: Mapping[int, list[int]]) -> Binds:
    master = gltf.root.child("extensions").child("VRM").child("blendShapeMaster")
    mesh_count = len(gltf.root.sequence("meshes", MAX_ENTRIES))
    found: dict[str, list[tuple[int, int, float]]] = {}
    for entry in master.children("blendShapeGroups", MAX_EXPRESSIONS):
        preset = entry.text("presetName", "unknown").lower()
        name = entry.text("name") if preset in ("", "unknown") else _EXPRESSIONS_0X.get(preset, preset)
        found[name] = [
            (node, bind.whole("index", 0, MAX_ENTRIES), bind.number("weight", 100.0) / 100)
            for bind in entry.children("binds", MAX_BINDS)
            for node in mesh_nodes.get(bind.index("mesh", mesh_count, "meshes"), [])
        ]
    return found


def read_look_at(gltf: Gltf) -> LookAt:
    """How the eyes turn; the mean of inwards and outwards, of up and down."""
    extensions = gltf.root.child("extensions")
    if is_vrm_1(gltf):
        look, prefix, scale, kind = extensions.child("VRMC_vrm").child("lookAt"), "rangeMap", "outputScale", "type"
    else:
        look, prefix, scale, kind = extensions.child("VRM").child("firstPerson"), "lookAt", "yRange", "lookAtTypeName"
    by: Literal["bone", "expression"] = "bone" if look.text(kind, "bone").lower() == "bone" else "expression"
    if by == "expression":
        return LookAt(by)

    def degrees(one: str, other: str, default: float) -> float:
        return sum(look.child(prefix + side).number(scale, default) for side in (one, other)) / 2

    return LookAt(by, degrees("HorizontalInner", "HorizontalOuter", 10.0), degrees("VerticalUp", "VerticalDown", 8.0))


def read_licence(gltf: Gltf) -> Licence:
    """What the file says of its rights; credit counts as required where it says nothing else."""
    extensions = gltf.root.child("extensions")
    if is_vrm_1(gltf):
        meta = extensions.child("VRMC_vrm").child("meta")
        return Licence(
            title=meta.text("name").strip(),
            authors=tuple(meta.texts("authors", 256)),
            licence=meta.text("otherLicenseUrl") or meta.text("licenseUrl"),
            credit_required=meta.text("creditNotation", "required") != "unnecessary",
        )
    meta = extensions.child("VRM").child("meta")
    name, url = meta.text("licenseName"), meta.text("otherLicenseUrl") or meta.text("otherPermissionUrl")
    return Licence(
        title=meta.text("title").strip(),
        authors=(meta.text("author"),) if meta.text("author") else (),
        licence=url if name in ("", "Other") else name,
        credit_required=name != "CC0" and "credit=unnecessary" not in url,
    )
