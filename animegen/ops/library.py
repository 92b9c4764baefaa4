"""Finds, checks and calls the native libraries; decides once whether they or the references compute.

``ANIMEGEN_OPS`` says what computes: ``auto`` (native where a library is here), ``native`` (an error where none is) or
``reference``. A library is looked for in the folder that ``ANIMEGEN_OPS_FOLDER`` names, in the installed package, and
where ``animegen ops build`` put it. One of another ABI, or built from other sources, is refused.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import struct
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal, cast

from platformdirs import user_cache_path

from animegen.errors import OpsError, UsageError
from animegen.ops.build import Kind, library_name, source_digest
from animegen.weights.locations import shipped

Mode = Literal["auto", "native", "reference"]

ABI_VERSION = 3
"""The version of ``animegen_ops.h`` that this package speaks."""

MODE_VARIABLE = "ANIMEGEN_OPS"
FOLDER_VARIABLE = "ANIMEGEN_OPS_FOLDER"
BUILD_HINT = "`animegen ops build` builds one; until then the reference computes, only slower"

MAX_DIMS = 6
UINT8, FLOAT32, FLOAT16, BFLOAT16, FLOAT64, INT64 = range(1, 7)
"""The dtypes of the C ABI."""

_TENSOR = struct.Struct(f"@Pii{2 * MAX_DIMS}q")
_PLACE = struct.Struct("@iiP")
_PADDING = tuple((0,) * (MAX_DIMS - n) for n in range(MAX_DIMS + 1))

ABSENT = bytes(_TENSOR.size)
"""A tensor that is not there."""

CPU_DEVICE = -1

_log = logging.getLogger("animegen.ops")

_by_reference = ContextVar("by_reference", default=False)


def tensor(address: int, dtype: int, sizes: Sequence[int], strides: Sequence[int]) -> bytes:
    """An ``ag_tensor``: where its first element lies, and its sizes and strides in elements (6 dimensions at most)."""
    padding = _PADDING[len(sizes)]
    return _TENSOR.pack(address, dtype, len(sizes), *sizes, *padding, *strides, *padding)


@lru_cache(maxsize=64)
def place(device: int = CPU_DEVICE, threads: int = 1, stream: int = 0) -> bytes:
    """An ``ag_place``: -1 for the CPU with its threads (0: OpenMP's choice), or a CUDA device and its stream."""
    return _PLACE.pack(device, threads, stream)


class Library:
    """An open library. Raises OpsError where it cannot be loaded, has another ABI, or is of other sources."""

    def __init__(self, path: Path, sources_digest: str) -> None:
        try:
            self._library = ctypes.CDLL(str(path))
            abi = self._text_or_number("ag_abi_version", ctypes.c_int32)
        except (OSError, AttributeError) as error:
            raise OpsError(f"{path} does not load: {error}", BUILD_HINT) from error
        if abi != ABI_VERSION:
            raise OpsError(f"{path} has ABI {abi}, this animegen needs {ABI_VERSION}", BUILD_HINT)
        if self._text("ag_source_digest") != sources_digest:
            raise OpsError(f"{path} was built from other sources than those here", BUILD_HINT)
        self.path = path
        self.target = self._text("ag_target")
        self._functions: dict[str, Callable[..., int]] = {}
        self._status_text = self._library.ag_status_text
        self._status_text.argtypes, self._status_text.restype = [ctypes.c_int32], ctypes.c_char_p

    def call(self, op: str, tensors: Sequence[bytes], options: bytes, where: bytes) -> None:
        """Call ``ag_OP`` with packed tensors, options and place. Raises OpsError in the library's own words."""
        function = self._functions.get(op) or self._bound(op)
        status = function(b"".join(tensors), len(tensors), options, where)
        if status:
            words = self._status_text(status).decode()
            raise OpsError(f"{op}: {words} (status {status & 0xFF}, detail {status >> 8})")

    def _bound(self, op: str) -> Callable[..., int]:
        function = getattr(self._library, f"ag_{op}")
        function.argtypes = [ctypes.c_char_p, ctypes.c_int64, ctypes.c_char_p, ctypes.c_char_p]
        function.restype = ctypes.c_int32
        self._functions[op] = cast("Callable[..., int]", function)
        return self._functions[op]

    def _text(self, name: str) -> str:
        return cast("bytes", self._text_or_number(name, ctypes.c_char_p)).decode()

    def _text_or_number(self, name: str, result: type[ctypes.c_int32] | type[ctypes.c_char_p]) -> object:
        function = getattr(self._library, name)
        function.argtypes, function.restype = [], result
        return function()


@dataclass(frozen=True, slots=True)
class Choice:
    """What computes one kind of op: a library, or (None) the reference; and which libraries were refused, and why."""

    mode: Mode
    library: Library | None
    refused: tuple[str, ...]

    def __str__(self) -> str:
        if self.library is not None:
            return f"native, {self.library.target}: {self.library.path}"
        if self.mode == "reference":
            return f"reference, as {MODE_VARIABLE} asks"
        return f"reference: {'; '.join(self.refused) or 'there is no library here'}"


@cache
def choice(kind: Kind) -> Choice:
    """What computes the ops of a kind, decided at the first call and told once in the log."""
    wanted = mode()
    if wanted == "reference":
        return Choice(wanted, None, ())
    refused: list[str] = []
    digest = source_digest(shipped("ops"))
    for path in candidates(kind):
        if not path.exists():
            continue
        try:
            return Choice(wanted, Library(path, digest), tuple(refused))
        except OpsError as error:
            refused.append(str(error))
    found = Choice(wanted, None, tuple(refused))
    _log.log(logging.WARNING if refused else logging.INFO, "%s ops: %s", kind, found)
    return found


def native(kind: Kind) -> Library | None:
    """The library that computes the ops of a kind; None: their references do.

    Raises OpsError where ``ANIMEGEN_OPS=native`` asks for a library and there is none.
    """
    if _by_reference.get():
        return None
    found = choice(kind)
    if found.library is None and found.mode == "native":
        raise OpsError(f"{MODE_VARIABLE} asks for native ops, but: {found}", BUILD_HINT)
    return found.library


@contextmanager
def references() -> Iterator[None]:
    """Has the references compute meanwhile, whatever was chosen: a bench compares with them."""
    token = _by_reference.set(True)
    try:
        yield
    finally:
        _by_reference.reset(token)


def mode() -> Mode:
    """What ``ANIMEGEN_OPS`` asks for. Raises UsageError for a word that it does not have."""
    value = os.environ.get(MODE_VARIABLE) or "auto"
    if value not in {"auto", "native", "reference"}:
        raise UsageError(f"{MODE_VARIABLE} is '{value}'", "it is one of auto, native, reference")
    return cast("Mode", value)


def candidates(kind: Kind) -> list[Path]:
    """Where a library of a kind may lie, in the order in which it is looked for."""
    named = os.environ.get(FOLDER_VARIABLE)
    folders = [Path(named)] if named else []
    return [folder / library_name(kind) for folder in (*folders, shipped("ops") / "lib", local_folder())]


def local_folder() -> Path:
    """Where ``animegen ops build`` builds: in the user's cache, by the folder that the sources lie in."""
    here = hashlib.sha256(str(shipped("ops").resolve()).encode()).hexdigest()[:12]
    return user_cache_path("animegen", appauthor=False) / "ops" / here
