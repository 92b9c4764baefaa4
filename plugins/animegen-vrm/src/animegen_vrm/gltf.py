"""The container of a VRM file: glTF 2.0 binary. Everything is checked against the file's real size before it is used.

Khronos Group, "glTF 2.0 Specification", sections 3.6 (binary data) and 4 (GLB file format).
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InputError
from animegen_vrm.fields import EXPORT_AGAIN, Fields

MAX_FILE = 1 << 30  # bytes
MAX_JSON = 1 << 24  # bytes
MAX_ENTRIES = 1 << 16  # accessors, views and the like
MAX_COUNT = 1 << 22  # elements of one accessor
MAX_VALUES = 1 << 27  # numbers that are read or made in all: many accessors may share one short buffer

_JSON_CHUNK, _BIN_CHUNK = 0x4E4F534A, 0x004E4942
_KINDS: dict[int, type[np.generic]] = {
    5120: np.int8,
    5121: np.uint8,
    5122: np.int16,
    5123: np.uint16,
    5125: np.uint32,
    5126: np.float32,
}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_READABLE = {
    "VRM",
    "VRMC_vrm",
    "VRMC_materials_mtoon",
    "VRMC_springBone",
    "VRMC_vrm_animation",
    "KHR_materials_unlit",
    "KHR_materials_emissive_strength",
    "KHR_mesh_quantization",
    "KHR_texture_transform",
    "EXT_texture_webp",
}


class Gltf:
    """One glTF binary file: its JSON as checked fields, and its buffer."""

    def __init__(self, source: str, root: Fields, binary: bytes) -> None:
        self.source = source
        self.root = root
        self.binary = binary
        self.accessors = root.children("accessors", MAX_ENTRIES)
        self.views = root.children("bufferViews", MAX_ENTRIES)
        self._read: dict[int, NDArray[Any]] = {}
        self._budget = MAX_VALUES

    def spend(self, values: int) -> None:
        """Count numbers that are about to be held in memory; InputError where a file would take too many."""
        self._budget -= values
        if self._budget < 0:
            raise InputError(
                f"{self.source}: the meshes hold more than {MAX_VALUES} numbers",
                "Export the avatar with fewer vertices.",
            )

    def view(self, index: int) -> tuple[memoryview, int]:
        """The bytes of a buffer view and its byte stride (0: tightly packed)."""
        view = self.views[index]
        if view.whole("buffer", 0, MAX_ENTRIES) != 0:
            raise view.fault("lies in another file, which is not read", "Export it as one .vrm file.")
        size = len(self.binary)
        offset = view.whole("byteOffset", 0, size)
        length = view.whole("byteLength", 0, size)
        if offset + length > size:
            raise view.fault(f"ends at byte {offset + length}, but the buffer has {size} bytes")
        stride = view.whole("byteStride", 0, 252)
        return memoryview(self.binary)[offset : offset + length], stride

    def accessor(self, index: int, kind: str) -> NDArray[Any]:
        """The elements of an accessor of the given kind (SCALAR, VEC3, ...): [N] or [N, width], read-only.

        Normalised integers come as float32 in -1..1; floats are finite. Raises InputError for anything out of range.
        """
        if index not in self._read:
            self._read[index] = self._decode(self.accessors[index])
            self._read[index].flags.writeable = False
        found = self.accessors[index].text("type")
        if found != kind:
            raise self.accessors[index].fault(f"is of type '{found}', where {kind} is expected")
        return self._read[index]

    def _decode(self, accessor: Fields) -> NDArray[Any]:
        number = accessor.whole("componentType", -1, 1 << 16)
        kind = accessor.text("type")
        if number not in _KINDS or kind not in _WIDTHS:
            raise accessor.fault(f"has componentType {number} and type '{kind}', which no avatar's mesh uses")
        dtype, width = np.dtype(_KINDS[number]).newbyteorder("<"), _WIDTHS[kind]
        count = accessor.whole("count", -1, MAX_COUNT)
        self.spend(count * width)
        if "bufferView" in accessor:
            values = self._elements(accessor, count, width, dtype)
        else:
            values = np.zeros((count, width), dtype)
        if "sparse" in accessor:
            values = self._sparse(accessor.child("sparse"), values)
        if np.issubdtype(dtype, np.floating):
            if not np.isfinite(values).all():
                raise accessor.fault("holds a number that is not finite")
        elif accessor.flag("normalized", False):
            values = np.maximum(values.astype(np.float32) / np.iinfo(dtype).max, -1.0)
        values = values.astype(values.dtype.newbyteorder("="))
        return values[:, 0] if kind == "SCALAR" else values

    def _elements(self, place: Fields, count: int, width: int, dtype: np.dtype[Any]) -> NDArray[Any]:
        """``count`` rows of ``width`` numbers from the buffer view that ``place`` names: a copy."""
        data, stride = self.view(place.index("bufferView", len(self.views), "buffer views"))
        size = dtype.itemsize * width
        stride = stride or size
        offset = place.whole("byteOffset", 0, len(data))
        if stride < size:
            raise place.fault(f"has elements of {size} bytes at a stride of {stride}")
        end = offset + (count - 1) * stride + size if count else offset
        if end > len(data):
            raise place.fault(f"needs {end} bytes for {count} elements, but its buffer view has {len(data)}")
        rows = np.ndarray((count, width), dtype, data, offset, (stride, dtype.itemsize))
        return rows.copy()

    def _sparse(self, sparse: Fields, values: NDArray[Any]) -> NDArray[Any]:
        count = sparse.whole("count", -1, len(values))
        places, replaced = sparse.child("indices"), sparse.child("values")
        number = places.whole("componentType", -1, 1 << 16)
        if number not in (5121, 5123, 5125):
            raise places.fault(f"has componentType {number}, where an unsigned integer is expected")
        indices = self._elements(places, count, 1, np.dtype(_KINDS[number]).newbyteorder("<"))
        if count and int(indices.max()) >= len(values):
            raise places.fault(f"names element {int(indices.max())} of {len(values)}")
        rows = self._elements(replaced, count, values.shape[1], values.dtype)
        values[indices[:, 0]] = rows
        return values


def read_gltf(path: Path) -> Gltf:
    """Read a glTF binary file (.glb, .vrm); raises InputError naming the file and its fault."""
    source = path.name
    try:
        size = path.stat().st_size
        if size > MAX_FILE:
            raise InputError(
                f"{source} has {size} bytes; at most {MAX_FILE} are read", "Export it with smaller textures."
            )
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}", "Check the path.") from error
    text, binary = _chunks(source, data)
    root = Fields(source, "file", _parse(source, text))
    version = root.child("asset").text("version", "none")
    if version.split(".")[0] != "2":
        raise InputError(f"{source} is glTF version '{version}'; version 2 is read", EXPORT_AGAIN)
    for name in root.texts("extensionsRequired", 256):
        if name not in _READABLE:
            raise InputError(f"{source} requires the extension '{name}', which is not read", "Export it without that.")
    return Gltf(source, root, binary)


def _chunks(source: str, data: bytes) -> tuple[bytes, bytes]:
    """The JSON chunk and the binary chunk (empty where there is none)."""
    if len(data) < 12 or data[:4] != b"glTF":
        raise InputError(f"{source} is no glTF binary file: it begins with {data[:4]!r}", "Give a .vrm file.")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise InputError(f"{source} is a glTF binary file of version {version}; version 2 is read", EXPORT_AGAIN)
    if length > len(data):
        raise InputError(f"{source} is cut short: {len(data)} bytes of {length}", "Fetch the file again.")
    chunks: dict[int, bytes] = {}
    at = 12
    while at + 8 <= length:
        size, kind = struct.unpack_from("<II", data, at)
        if at + 8 + size > length:
            raise InputError(f"{source} is damaged: a chunk of {size} bytes at {at} passes the end", EXPORT_AGAIN)
        chunks.setdefault(kind, data[at + 8 : at + 8 + size])
        at += 8 + size
    if _JSON_CHUNK not in chunks:
        raise InputError(f"{source} is damaged: it has no JSON chunk", EXPORT_AGAIN)
    return chunks[_JSON_CHUNK], chunks.get(_BIN_CHUNK, b"")


def _parse(source: str, text: bytes) -> dict[str, Any]:
    def refuse(name: str) -> NoReturn:
        raise ValueError(f"the number {name}")

    if len(text) > MAX_JSON:
        raise InputError(f"{source} has {len(text)} bytes of JSON; at most {MAX_JSON} are read", EXPORT_AGAIN)
    try:
        root = json.loads(text.decode("utf-8"), parse_constant=refuse)
    except RecursionError:
        raise InputError(f"{source} is damaged: its JSON is nested too deep", EXPORT_AGAIN) from None
    except ValueError as error:
        raise InputError(f"{source} is damaged: its JSON cannot be read ({error})", EXPORT_AGAIN) from error
    if not isinstance(root, dict):
        raise InputError(f"{source} is damaged: its JSON is a {type(root).__name__}, not an object", EXPORT_AGAIN)
    return root
