"""Wrong and hostile files: each is refused by an error that names the file, the fault and its values."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from animegen_vrm.read import read_avatar
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tiny_vrm import MESH_NODE, NUMBERS, Json, Writer, glb, png, save, tiny_vrm

from animegen.errors import AnimegenError, InputError

Change = Callable[[Writer], object]


def _refused(path: Path, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        read_avatar(path)
    assert path.name in str(caught.value)
    assert caught.value.hint


def _primitive(writer: Writer) -> Json:
    primitive: Json = writer.json["meshes"][0]["primitives"][0]
    return primitive


def _accessor(writer: Writer, key: str) -> Json:
    primitive = _primitive(writer)
    number = primitive["indices"] if key == "indices" else primitive["attributes"][key]
    accessor: Json = writer.json["accessors"][number]
    return accessor


def _change(key: str, **values: object) -> Change:
    """A change of an accessor."""
    return lambda writer: _accessor(writer, key).update(values)


def _fill(key: str, values: np.ndarray) -> Change:
    """Other numbers for an accessor."""
    return lambda writer: _accessor(writer, key).update(bufferView=writer.view(values.tobytes()))


def _draw(**values: object) -> Change:
    """A change of the primitive."""
    return lambda writer: _primitive(writer).update(values)


def _floats_for_joints(writer: Writer) -> None:
    attributes = _primitive(writer)["attributes"]
    attributes["JOINTS_0"] = attributes["WEIGHTS_0"]


def _headless(writer: Writer) -> None:
    del writer.json["extensions"]["VRMC_vrm"]["humanoid"]["humanBones"]["head"]


def _scale_all(writer: Writer) -> None:
    for node in writer.json["nodes"]:
        node["scale"] = [1e5] * 3


def _shift_view(writer: Writer) -> None:
    writer.json["bufferViews"][0].update(byteOffset=64, byteLength=len(writer.binary))


def _zeros_by_the_billion(writer: Writer) -> None:
    accessor = _accessor(writer, "POSITION")
    accessor["count"] = 10**9
    del accessor["bufferView"]


def _put(*path: str | int, value: object) -> Change:
    """A change of one value deep in the JSON."""

    def change(writer: Writer) -> None:
        held = writer.json
        for key in path[:-1]:
            held = held[key]
        held[path[-1]] = value

    return change


def _image(data: bytes) -> Change:
    def change(writer: Writer) -> None:
        writer.json["images"][0] = {"bufferView": writer.view(data)}

    return change


def _bomb(width: int, height: int) -> bytes:
    """A small PNG that says it is large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = zlib.compress(bytes(1 << 20))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


HUGE = 1 << 40
NODES = ("nodes",)
VRM_1 = ("extensions", "VRMC_vrm")
SPRING = ("extensions", "VRMC_springBone", "springs", 0)

CHANGES: dict[str, tuple[Change, str]] = {
    # Sizes that the file does not have
    "view past the end": (_put("bufferViews", 0, "byteLength", value=HUGE), "byteLength"),
    "view starts past the end": (_put("bufferViews", 0, "byteOffset", value=10**7), "byteOffset"),
    "view ends past the end": (_shift_view, "ends at byte"),
    "a billion positions": (_change("POSITION", count=10**9), "'count' = 1000000000"),
    "a billion zeros": (_zeros_by_the_billion, "'count' = 1000000000"),
    "more positions than bytes": (_change("POSITION", count=6), "needs 72 bytes for 6 elements"),
    "offset in the view": (_change("POSITION", byteOffset=8), "needs 68 bytes"),
    "a negative count": (_change("POSITION", count=-5), "'count' = -5"),
    "a negative offset": (_put("bufferViews", 0, "byteOffset", value=-4), "'byteOffset' = -4"),
    "a stride below the element": (_put("bufferViews", 0, "byteStride", value=4), "stride of 4"),
    "a huge stride": (_put("bufferViews", 0, "byteStride", value=HUGE), "byteStride"),
    "a huge sparse count": (_change("POSITION", sparse={"count": 10**9}), "'count' = 1000000000"),
    # Graphs that are no forest
    "a circle of nodes": (_put(*NODES, NUMBERS["head"], "children", value=[NUMBERS["hips"]]), "circle of nodes"),
    "its own child": (_put(*NODES, MESH_NODE, "children", value=[MESH_NODE]), "which has a parent already"),
    "two parents": (_put(*NODES, MESH_NODE, "children", value=[NUMBERS["head"]]), "which has a parent already"),
    "the same child twice": (_put(*NODES, NUMBERS["head"], "children", value=[MESH_NODE] * 2), "has a parent already"),
    "no nodes": (_put("nodes", value=[]), "no nodes"),
    "too many nodes": (_put("nodes", value=[{}] * 20_000), "20000 entries in 'nodes'"),
    # Indices out of range
    "a vertex that is not there": (_fill("indices", np.full(6, 9, np.uint16)), "names vertex 9 of 5"),
    "signed indices": (_change("indices", componentType=5122), "not unsigned integers"),
    "a joint that is not there": (_fill("JOINTS_0", np.full((5, 4), 7, np.uint8)), "names joint 7 of a skin with 2"),
    "joints of floats": (_floats_for_joints, "JOINTS_0"),
    "a skin's node": (_put("skins", 0, "joints", value=[0, 99]), "'joints' = 99"),
    "an empty skin": (_put("skins", 0, "joints", value=[]), "no joints"),
    "a material": (_draw(material=3), "'material' = 3"),
    "an accessor": (_draw(indices=99), "'indices' = 99"),
    "a buffer view": (_change("POSITION", bufferView=99), "'bufferView' = 99"),
    "a mesh": (_put(*NODES, MESH_NODE, "mesh", value=5), "'mesh' = 5"),
    "a child": (_put(*NODES, 0, "children", value=[77]), "'children' = 77"),
    "a texture": (_put("materials", 0, "pbrMetallicRoughness", "baseColorTexture", "index", value=4), "'index' = 4"),
    "an image": (_put("textures", 0, "source", value=4), "'source' = 4"),
    "a texture without images": (_put("images", value=[]), "has no images"),
    "a humanoid bone": (_put(*VRM_1, "humanoid", "humanBones", "hips", "node", value=400), "'node' = 400"),
    "a morph target": (_put(*VRM_1, "expressions", "preset", "aa", "morphTargetBinds", 0, "index", value=8), "moves 8"),
    "a spring's node": (_put(*SPRING, "joints", 0, "node", value=-2), "'node' = -2"),
    "a collider group": (_put(*SPRING, "colliderGroups", value=[3]), "= 3"),
    # Numbers that are none
    "positions that are not finite": (_fill("POSITION", np.full((5, 3), np.nan, np.float32)), "not finite"),
    "weights that are not finite": (_fill("WEIGHTS_0", np.full((5, 4), np.inf, np.float32)), "not finite"),
    "positions beyond all bounds": (_fill("POSITION", np.full((5, 3), 1e30, np.float32)), "beyond 1e\\+06"),
    "a translation beyond all bounds": (_put(*NODES, 0, "translation", value=[0, 1e300, 0]), "1e\\+300"),
    "scales that multiply": (_scale_all, "passes 1e\\+06 metres"),
    "a rotation of no length": (_put(*NODES, 0, "rotation", value=[0, 0, 0, 0]), "rotation of length 0"),
    "a flat matrix": (_put(*NODES, 0, "matrix", value=[0] * 16), "flattens"),
    "a short vector": (_put(*NODES, 0, "translation", value=[1, 2]), "a list of 3 numbers"),
    "a huge whole number": (_put(*NODES, 0, "translation", value=[10**400, 0, 0]), "more than 30 digits"),
    # Things of another kind
    "nodes that are text": (_put("nodes", value="none"), "'nodes' = 'none'"),
    "a node that is a number": (_put("nodes", 0, value=3), "an object is expected"),
    "a name that is a list": (_put("nodes", 0, "name", value=[]), "a text is expected"),
    "true for an index": (_draw(material=True), "'material' = True"),
    "half an index": (_draw(material=0.5), "'material' = 0.5"),
    "an unknown alpha mode": (_put("materials", 0, "alphaMode", value="GLASS"), "GLASS"),
    "lines for triangles": (_draw(mode=1), "mode 1"),
    "two thirds of a triangle": (_change("indices", count=5), "5 indices"),
    "normals of another count": (_change("NORMAL", count=4), "4 rows of 'NORMAL' for 5"),
    "positions of two numbers": (_change("POSITION", type="VEC2"), "VEC2"),
    "components of an unknown kind": (_change("POSITION", componentType=5130), "5130"),
    "no positions": (_draw(attributes={}), "no POSITION"),
    "no mesh": (_put("meshes", value=[{"primitives": []}]), "no mesh with a triangle"),
    # Not what is read
    "no VRM": (_put("extensions", value={}), "no avatar"),
    "a bone lacks": (_headless, "lacks the bone 'head'"),
    "no bones": (_put(*VRM_1, "humanoid", value={}), "15 of 15"),
    "glTF 1": (_put("asset", "version", value="1.0"), "version '1.0'"),
    "no version": (_put("asset", value={}), "version 'none'"),
    "compressed": (_put("extensionsRequired", value=["KHR_draco_mesh_compression"]), "KHR_draco_mesh_compression"),
    "compressed otherwise": (_put("extensionsRequired", value=["EXT_meshopt_compression"]), "EXT_meshopt_compression"),
    "another file's buffer": (_put("bufferViews", 0, "buffer", value=1), "another file"),
    "another file's picture": (_put("images", 0, value={"uri": "/etc/passwd"}), "another file"),
    # Pictures
    "a bomb": (_image(_bomb(60_000, 60_000)), "60000x60000 pixels|decompression bomb"),
    "a long bomb": (_image(_bomb(1 << 30, 1)), "cannot be decoded|pixels"),
    "a picture cut short": (_image(png(size=(64, 64))[:60]), "cannot be decoded"),
    "no picture": (_image(b"GIF89a nothing of the kind"), "cannot be decoded"),
    "a picture of no data": (_image(b""), "cannot be decoded"),
}  # fmt: skip


@pytest.mark.parametrize("name", CHANGES)
def test_wrong_content_is_refused(tmp_path: Path, name: str) -> None:
    change, message = CHANGES[name]
    writer = tiny_vrm()
    change(writer)
    _refused(save(tmp_path, writer), message)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no glTF binary file"),
        (b"PK\x03\x04" + bytes(100), "no glTF binary file"),
        (b"glTF" + struct.pack("<II", 1, 12), "version 1"),
        (b"glTF" + struct.pack("<II", 2, 12), "no JSON chunk"),
        (b"glTF" + struct.pack("<II", 2, 1 << 31) + bytes(20), "cut short: 32 bytes of 2147483648"),
        (b"glTF" + struct.pack("<IIII", 2, 24, 1 << 31, 0x4E4F534A) + bytes(4), "passes the end"),
        (glb(b"[" * 100_000, b""), "nested too deep|cannot be read"),
        (glb(b'{"a":' * 100_000 + b"1" + b"}" * 100_000, b""), "nested too deep|cannot be read"),
        (glb(b'{"asset":', b""), "cannot be read"),
        (glb(b"\xff\xfe{}", b""), "cannot be read"),
        (glb(b'{"asset": NaN}', b""), "the number NaN"),
        (glb(b"[]", b""), "a list, not an object"),
        (glb(b'{"asset": {"version": ' + b"9" * 5000 + b"}}", b""), "cannot be read"),
    ],
)
def test_a_wrong_container_is_refused(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "wrong.vrm"
    path.write_bytes(data)
    _refused(path, message)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
def test_a_file_cut_short_is_refused(tmp_path: Path, share: float) -> None:
    whole = save(tmp_path, tiny_vrm()).read_bytes()
    path = tmp_path / "cut.vrm"
    path.write_bytes(whole[: int(len(whole) * share)])
    _refused(path, "cut short|no glTF")


def test_a_missing_file_and_a_folder_are_refused(tmp_path: Path) -> None:
    _refused(tmp_path / "missing.vrm", "cannot be read")
    (tmp_path / "folder.vrm").mkdir()
    _refused(tmp_path / "folder.vrm", "cannot be read")


def test_many_views_of_the_same_bytes_do_not_fill_the_memory(tmp_path: Path) -> None:
    writer = tiny_vrm()
    moved = _primitive(writer)["targets"][0]["POSITION"]
    accessor = {**writer.json["accessors"][moved], "count": 1 << 22}
    del accessor["bufferView"]  # four million zeros, which cost the file nothing
    first = len(writer.json["accessors"])
    writer.json["accessors"] += [accessor] * 100
    _primitive(writer)["targets"] = [{"POSITION": first + i} for i in range(100)]
    binds = [{"node": MESH_NODE, "index": i} for i in range(100)]
    writer.json["extensions"]["VRMC_vrm"]["expressions"]["preset"]["aa"]["morphTargetBinds"] = binds
    _refused(save(tmp_path, writer), "displacements for 5 positions|more than")


def test_each_with_each_does_not_take_forever(tmp_path: Path) -> None:
    writer = tiny_vrm()
    held = writer.json["extensions"]["VRMC_springBone"]
    held["colliders"] *= 1000
    held["colliderGroups"] = [{"colliders": list(range(1000))}] * 100
    held["springs"] = [{**held["springs"][0], "colliderGroups": list(range(100))}] * 100
    _refused(save(tmp_path, writer), "more than")
    writer = tiny_vrm()
    primitive, preset = writer.json["meshes"][0]["primitives"], writer.json["extensions"]["VRMC_vrm"]["expressions"]
    primitive *= 4000
    preset["preset"]["aa"]["morphTargetBinds"] *= 1000
    _refused(save(tmp_path, writer), "more than")


def test_springs_in_a_circle_end(tmp_path: Path) -> None:
    writer = tiny_vrm("0.x")
    first = writer.json["extensions"]["VRM"]["secondaryAnimation"]["boneGroups"][0]["bones"][0]
    writer.json["nodes"][NUMBERS["head"]]["children"].remove(first)
    writer.json["nodes"][first + 1]["children"] = [first]
    _refused(save(tmp_path, writer), "circle of nodes")


@pytest.fixture(scope="module", params=["0.x", "1.0"])
def tiny_bytes(request: pytest.FixtureRequest) -> bytes:
    writer = tiny_vrm(request.param)
    return glb(writer.json, writer.binary)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_bytes_give_an_avatar_or_an_error(tmp_path: Path, tiny_bytes: bytes, data: st.DataObject) -> None:
    changed = bytearray(tiny_bytes)
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(changed) - 1))
        changed[place] = data.draw(st.integers(0, 255))
    path = tmp_path / "changed.vrm"
    path.write_bytes(bytes(changed))
    _read_or_refuse(path)


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 20),
    st.sampled_from([HUGE, -HUGE, 1e308, 5e-324, 65535, 5126, 10**40]),
    st.text(max_size=3),
    st.just([]),
    st.just({}),
    st.lists(st.integers(-1, 30), max_size=4),
)


def _places(held: object, path: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner = held.items() if isinstance(held, dict) else enumerate(held) if isinstance(held, list) else ()
    return [path, *(place for key, value in inner for place in _places(value, (*path, key)))]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), version=st.sampled_from(["0.x", "1.0"]))
def test_any_json_gives_an_avatar_or_an_error(tmp_path: Path, data: st.DataObject, version: str) -> None:
    writer = tiny_vrm(version)
    for _ in range(data.draw(st.integers(1, 3))):
        places = _places(writer.json)
        *inner, last = places[data.draw(st.integers(1, len(places) - 1))]
        held = writer.json
        for key in inner:
            held = held[key]
        held[last] = data.draw(_VALUES)
    path = tmp_path / "changed.vrm"
    path.write_bytes(glb(json.dumps(writer.json).encode(), writer.binary))
    _read_or_refuse(path)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_changed_bytes_of_a_real_avatar(tmp_path: Path, avatar_paths: dict[str, Path], data: st.DataObject) -> None:
    changed = bytearray(avatar_paths["korii_churo_credit"].read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "changed.vrm"
    path.write_bytes(bytes(changed))
    _read_or_refuse(path)


def _read_or_refuse(path: Path) -> None:
    try:
        avatar = read_avatar(path)
    except AnimegenError as error:
        assert path.name in str(error)
        return
    for primitive in avatar.primitives:
        assert np.isfinite(primitive.positions).all()
        assert np.isfinite(primitive.normals).all()
        assert primitive.triangles.max(initial=0) < max(len(primitive.positions), 1)
        assert primitive.joints.max(initial=0) < len(avatar.joint_nodes)
        assert primitive.material < len(avatar.materials)
