"""Short names for values, and SHA-256 sums of files: the same for the same content, on every machine."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from fractions import Fraction
from pathlib import Path

import numpy as np

DIGITS = 12
"""Hex digits of a short name."""


def digest(*parts: str) -> str:
    """A short name for a text: the first 12 hex digits of its SHA-256."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:DIGITS]


def digest_of(*values: object) -> str:
    """A short name for plain values, arrays, and mappings, sequences and dataclasses of them.

    Raises TypeError for a value of another kind, since nothing says what it consists of.
    """
    return _sum(_pieces(values, {})).hex()[:DIGITS]


def sum_of(path: Path) -> str:
    """SHA-256 of a file in hex; of a folder, that of the names and sums of everything in it."""
    if path.is_dir():
        inside = sorted(p for p in path.rglob("*") if p.is_file())
        names = (f"{p.relative_to(path).as_posix()}\0{sum_of(p)}" for p in inside)
        return hashlib.sha256("\n".join(names).encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def size_of(path: Path) -> int:
    """Bytes of a file, or of everything in a folder; what vanishes meanwhile counts nothing."""
    if not path.is_dir():
        return path.stat().st_size if path.exists() else 0
    return sum(size_of(inside) for inside in path.iterdir())


def _sum(pieces: Iterable[bytes | memoryview]) -> bytes:
    """SHA-256 of pieces, each with its length."""
    sha = hashlib.sha256()
    for piece in pieces:
        sha.update(len(piece).to_bytes(8, "little"))
        sha.update(piece)
    return sha.digest()


def _pieces(value: object, known: dict[int, bytes]) -> Iterable[bytes | memoryview]:
    """A value as bytes that no other value gives.

    ``known`` has the sums of dataclasses by their ids: what many share, as poses do a skeleton, is gone through once.
    """
    match value:
        case None | bool() | int() | float() | str() | bytes() | Fraction() | Path() | np.generic():
            yield f"{type(value).__name__} {value!r}".encode()
        case np.ndarray():
            yield f"array {value.dtype.str} {value.shape}".encode()
            yield np.ascontiguousarray(value).data.cast("B") if value.size else b""
        case Mapping():
            yield f"mapping {len(value)}".encode()
            for key in sorted(value, key=repr):
                yield from _pieces(key, known)
                yield from _pieces(value[key], known)
        case tuple() | list():
            yield f"sequence {len(value)}".encode()
            for item in value:
                yield from _pieces(item, known)
        case _ if dataclasses.is_dataclass(value):
            if id(value) not in known:
                fields = [getattr(value, field.name) for field in dataclasses.fields(value)]
                known[id(value)] = _sum(_pieces([type(value).__name__, fields], known))
            yield b"dataclass"
            yield known[id(value)]
        case _:
            raise TypeError(f"a {type(value).__name__} has no digest: {value!r}")
