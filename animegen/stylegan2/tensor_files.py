"""Files of tensors as torch, NumPy and NVIDIA's tools pickle them, read as plain data.

Three containers are known: a bare pickle (NVIDIA's ``.pkl``), torch's archive (a zip of one pickle and raw storages),
and torch's older stream (five pickles, then raw storages). Whatever a pickle names is answered by the table of builders
below or refused; source text that a pickle carries along is dropped unread.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from animegen.errors import WeightsError
from animegen.stylegan2.pickles import BrokenPickle, Builder, Name, Record, RefusedPickle, Stateful, read_pickle

STREAM_MAGIC, STREAM_PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
"""What torch's older stream begins with, as its first two pickles."""

_ZIP_MAGIC = b"PK\x03\x04"
_PICKLE_STARTS = (b"\x80", b"(", b"c", b"}", b"]")
"""The opcode of the protocol, or what a container begins with in the oldest one."""
_MOST_DIMENSIONS = 16

_DTYPES: Mapping[str, torch.dtype] = MappingProxyType(
    {
        "torch.FloatStorage": torch.float32,
        "torch.DoubleStorage": torch.float64,
        "torch.HalfStorage": torch.float16,
        "torch.BFloat16Storage": torch.bfloat16,
        "torch.LongStorage": torch.int64,
        "torch.IntStorage": torch.int32,
        "torch.ShortStorage": torch.int16,
        "torch.CharStorage": torch.int8,
        "torch.ByteStorage": torch.uint8,
        "torch.BoolStorage": torch.bool,
        "torch.storage.UntypedStorage": torch.uint8,
    }
)


@dataclass(slots=True, eq=False, repr=False)
class Storage:
    """Numbers in a row; ``data`` may come after everything that refers to it."""

    dtype: torch.dtype
    count: int
    data: bytes | None = None

    def numbers(self, start: int, stop: int) -> Tensor:
        """Some of the numbers, in memory of their own. Raises BrokenPickle where bytes are missing."""
        width = self.dtype.itemsize
        if self.data is None or len(self.data) != self.count * width:
            raise BrokenPickle(f"a storage of {self.count * width} bytes has {len(self.data or b'')}")
        if start == stop:
            return torch.empty(0, dtype=self.dtype)
        return torch.frombuffer(bytearray(memoryview(self.data)[start * width : stop * width]), dtype=self.dtype)


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class StoredTensor:
    """A tensor as a view of a storage, checked when it is asked for."""

    storage: Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]

    def tensor(self) -> Tensor:
        """The tensor, contiguous. Raises BrokenPickle where it does not lie inside its storage."""
        numbers = (self.offset, *self.size, *self.stride)
        if (
            any(type(n) is not int or n < 0 for n in numbers)
            or not len(self.size) == len(self.stride) <= _MOST_DIMENSIONS
        ):
            raise BrokenPickle("a tensor's shape is nonsense")
        count = math.prod(self.size)
        span = 1 + sum((n - 1) * step for n, step in zip(self.size, self.stride, strict=True)) if count else 0
        if count > self.storage.count or self.offset + span > self.storage.count:
            raise BrokenPickle(f"a tensor reaches beyond its storage of {self.storage.count} numbers")
        return self.storage.numbers(self.offset, self.offset + span).as_strided(self.size, self.stride).contiguous()


@dataclass(slots=True, eq=False, repr=False)
class StoredDtype(Stateful):
    """A NumPy number type, such as ``<f4``."""

    code: str

    def set_state(self, state: Any) -> None:
        """Take the byte order out of the state of ``numpy.dtype``."""
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise BrokenPickle("a number type has a strange state")
        self.code = (state[1] if state[1] != "=" else "<") + self.code.lstrip("<>|=")

    def dtype(self) -> np.dtype[Any]:
        """The type; raises RefusedPickle for everything but plain numbers."""
        kind = self.code.lstrip("<>|=")
        if kind not in {"f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "b1"}:
            raise RefusedPickle(f"the NumPy type {kind[:20]!r}")
        return np.dtype(self.code)


@dataclass(slots=True, eq=False, repr=False)
class StoredArray(Stateful):
    """A NumPy array, filled by the state that follows it."""

    shape: tuple[int, ...] = (0,)
    code: StoredDtype | None = None
    fortran: bool = False
    data: bytes = b""

    def set_state(self, state: Any) -> None:
        """Take the state of ``numpy.ndarray``: version, shape, type, order, bytes."""
        if not isinstance(state, tuple) or len(state) != 5 or not isinstance(state[2], StoredDtype):
            raise BrokenPickle("an array has a strange state")
        if not isinstance(state[4], bytes):
            raise RefusedPickle("a NumPy array of objects")
        self.shape, self.code, self.fortran, self.data = state[1], state[2], bool(state[3]), state[4]

    def array(self) -> NDArray[Any]:
        """The array; raises BrokenPickle where shape and bytes do not agree."""
        if self.code is None:
            raise BrokenPickle("an array has no state")
        flat: NDArray[Any] = np.frombuffer(self.data, self.code.dtype())
        return flat.reshape(self.shape, order="F" if self.fortran else "C")


def read_tensors(path: Path, hint: str) -> dict[str, Tensor]:
    """The tensors of a file by their names, read as plain data. Raises WeightsError."""
    if path.suffix == ".safetensors":
        try:
            return load_file(path)
        except (OSError, SafetensorError) as error:
            raise WeightsError(f"cannot read {path}: {error}", hint) from error
    data = load_plain(path)
    stored = data if isinstance(data, dict) else {}
    return {str(name): tensor.tensor() for name, tensor in stored.items() if isinstance(tensor, StoredTensor)}


def load_plain(path: Path) -> Any:
    """What a checkpoint file holds, as plain data; nothing in it is executed.

    Tensors are :class:`StoredTensor`, NumPy arrays :class:`StoredArray`, objects :class:`Record`, and everything else
    dictionaries, lists, tuples, numbers and texts. Raises WeightsError naming the file: for a name that is refused,
    for a damaged file, and for one that is no checkpoint.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror or error}", "give the path of a checkpoint") from error
    try:
        return _read_archive(data) if data.startswith(_ZIP_MAGIC) else _read_pickles(data, BUILDERS)
    except WeightsError as error:
        raise WeightsError(f"cannot read {path}: {error}", error.hint) from error


def _read_archive(data: bytes) -> Any:
    """torch's zip: ``NAME/data.pkl`` and ``NAME/data/KEY`` for every storage, all of them stored as they are."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return _read_members(archive, len(data))
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise BrokenPickle(f"the archive is damaged: {error}") from error


def _read_members(archive: zipfile.ZipFile, most: int) -> Any:
    members = {member.filename: member for member in archive.infolist()}
    if any(member.compress_type != zipfile.ZIP_STORED for member in members.values()):
        raise BrokenPickle("the archive is compressed, which torch's never are")
    if sum(member.file_size for member in members.values()) > most:
        raise BrokenPickle("the archive's parts are larger than the archive")
    pickles = [name for name in members if name.endswith("/data.pkl") or name == "data.pkl"]
    if len(pickles) != 1:
        raise BrokenPickle(f"the archive has {len(pickles)} data.pkl")
    folder = pickles[0].removesuffix("data.pkl")
    if f"{folder}byteorder" in members and archive.read(f"{folder}byteorder") != b"little":
        raise BrokenPickle("the archive's numbers are big-endian")

    def data_of(key: str) -> bytes:
        if f"{folder}data/{key}" not in members:
            raise BrokenPickle(f"the archive lacks the storage {key[:40]}")
        return archive.read(f"{folder}data/{key}")

    return read_pickle(io.BytesIO(archive.read(pickles[0])), BUILDERS, _Storages(data_of))


def _read_pickles(data: bytes, allowed: Mapping[str, Builder]) -> Any:
    if data[:1] not in _PICKLE_STARTS:
        raise BrokenPickle("it begins like none")
    file = io.BytesIO(data)
    first = read_pickle(file, allowed)
    return _read_stream(file, allowed) if isinstance(first, int) and first == STREAM_MAGIC else first


def _read_stream(file: BinaryIO, allowed: Mapping[str, Builder]) -> Any:
    """The rest of torch's older stream: protocol, system, value, keys of storages, then each with its length."""
    protocol, _system = read_pickle(file, allowed), read_pickle(file, allowed)
    if protocol != STREAM_PROTOCOL:
        raise BrokenPickle("the stream's protocol is unknown")
    storages = _Storages()
    value = read_pickle(file, allowed, storages)
    keys = read_pickle(file, allowed)
    for key in keys if isinstance(keys, list) else ():
        storage = storages.known.get(key)
        count = int.from_bytes(file.read(8), "little", signed=True)
        if storage is None or count != storage.count:
            raise BrokenPickle("the stream's storages do not fit what refers to them")
        storage.data = file.read(count * storage.dtype.itemsize)
    return value


class _Storages:
    """Answers persistent ids: ``("storage", type, key, device, count[, view])``."""

    def __init__(self, data_of: Callable[[str], bytes] | None = None) -> None:
        self.known: dict[str, Storage] = {}
        self._data_of = data_of

    def __call__(self, identity: Any) -> Storage:
        if not (isinstance(identity, tuple) and len(identity) in (5, 6) and identity[0] == "storage"):
            raise RefusedPickle("a persistent id that is no storage")
        _, kind, key, _, count = identity[:5]
        dtype = _DTYPES.get(kind.name) if isinstance(kind, Name) else None
        if dtype is None or not isinstance(key, str) or type(count) is not int or count < 0:
            raise BrokenPickle("a storage has a strange description")
        if len(identity) == 6 and identity[5] is not None:
            raise RefusedPickle("a view of a storage")
        if key not in self.known:
            data = self._data_of(key) if self._data_of else None
            self.known[key] = Storage(dtype, count, data)
        return self.known[key]


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> StoredTensor:
    if not isinstance(storage, Storage) or not isinstance(size, tuple) or not isinstance(stride, tuple):
        raise BrokenPickle("a tensor has a strange description")
    return StoredTensor(storage, offset, size, stride)


def _parameter(data: Any, *_: Any) -> StoredTensor:
    if not isinstance(data, StoredTensor):
        raise BrokenPickle("a parameter is no tensor")
    return data


def _nested_storage(data: Any) -> Storage:
    """A storage that was pickled by itself: a whole stream inside a byte string, which holds no further one."""
    storage = _read_pickles(data, _INNER) if isinstance(data, bytes) else None
    if not isinstance(storage, Storage):
        raise BrokenPickle("a nested storage is none")
    return storage


def _persistent(meta: Any) -> Record:
    """An object that NVIDIA's tools pickle together with its source text, of which only the fields are kept."""
    if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict) or meta.get("type") != "class":
        raise BrokenPickle("a persistent object has a strange description")
    return Record(str(meta.get("class_name"))[:80], dict(meta["state"]))


def _dictionary(pairs: Any = ()) -> dict[Any, Any]:
    if not isinstance(pairs, (list, tuple)):
        raise BrokenPickle("a dictionary is filled with something else")
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], str) for pair in pairs):
        raise BrokenPickle("a dictionary's keys are no texts")
    return dict(pairs)


def _members(values: Any = ()) -> set[Any]:
    if not isinstance(values, list) or not all(isinstance(value, (str, int)) for value in values):
        raise BrokenPickle("a set holds strange members")
    return set(values)


def _bytes(text: Any = "", encoding: Any = "latin1") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise BrokenPickle("bytes have a strange description")
    return text.encode("latin-1")


def _array(*_: Any) -> StoredArray:
    return StoredArray()


def _dtype(code: Any, *_: Any) -> StoredDtype:
    return StoredDtype(str(code)[:20])


def _scalar(code: Any, data: Any) -> int | float | bool:
    if not isinstance(code, StoredDtype) or not isinstance(data, bytes):
        raise BrokenPickle("a number has a strange description")
    return np.frombuffer(data, code.dtype())[0].item()  # type: ignore[no-any-return]


def _size(values: Any = ()) -> tuple[Any, ...]:
    return tuple(values) if isinstance(values, (list, tuple)) else ()


def _text(value: Any, *_: Any) -> str:
    return str(value)[:80] if isinstance(value, (str, int)) else ""


def _label_only(*_: Any) -> None:
    """A name that stands in a file as a label, such as a storage's type, and builds nothing."""
    raise RefusedPickle("a call of a label")


def _record(kind: str) -> Callable[[], Record]:
    return lambda: Record(kind)


_INNER: Mapping[str, Builder] = MappingProxyType(
    {
        **dict.fromkeys(_DTYPES, _label_only),
        **dict.fromkeys(
            (f"torch.{d}" for d in ("float32", "float64", "float16", "bfloat16", "int64", "uint8")), _label_only
        ),
        "torch._utils._rebuild_tensor": _tensor,
        "torch._utils._rebuild_tensor_v2": _tensor,
        "torch._utils._rebuild_parameter": _parameter,
        "torch.nn.parameter.Parameter": _parameter,
        "torch.Size": _size,
        "torch.device": _text,
        "collections.OrderedDict": _dictionary,
        "builtins.set": _members,
        "__builtin__.set": _members,
        "builtins.dict": _dictionary,
        "_codecs.encode": _bytes,
        "builtins.bytes": _bytes,
        "__builtin__.bytes": _bytes,
        "numpy.ndarray": _label_only,
        "numpy.dtype": _dtype,
        "numpy.core.multiarray._reconstruct": _array,
        "numpy._core.multiarray._reconstruct": _array,
        "numpy.core.multiarray.scalar": _scalar,
        "numpy._core.multiarray.scalar": _scalar,
        "argparse.Namespace": _record("argparse.Namespace"),
        "dnnlib.util.EasyDict": _dictionary,
        "dnnlib.EasyDict": _dictionary,
        "dnnlib.tflib.network.Network": _record("dnnlib.tflib.network.Network"),
        "torch_utils.persistence._reconstruct_persistent_obj": _persistent,
    }
)
BUILDERS: Mapping[str, Builder] = MappingProxyType({**_INNER, "torch.storage._load_from_bytes": _nested_storage})
"""Every name a checkpoint may ask for, and what is built instead of it."""
