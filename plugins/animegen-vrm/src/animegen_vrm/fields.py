"""JSON from a file nobody vouches for: every value is checked for its kind and range where it is taken out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from animegen.errors import InputError

MAX_NUMBER = 1e6
"""Larger numbers mean nothing in an avatar, and would overflow in the products of matrices."""

EXPORT_AGAIN = "Export the avatar again, or take another file."


class Fields:
    """One JSON object, which knows where it stands in which file, so that errors can say it."""

    def __init__(self, source: str, where: str, values: Mapping[str, Any]) -> None:
        self.source = source
        self.where = where
        self.values = values

    def fault(self, what: str, hint: str = EXPORT_AGAIN) -> InputError:
        """The error to raise for something wrong in this object."""
        return InputError(f"{self.source}: {self.where} {what}", hint)

    def __contains__(self, key: str) -> bool:
        return self.values.get(key) is not None

    def _wrong(self, key: str, value: object, wanted: str) -> InputError:
        return self.fault(f"has '{key}' = {_shown(value)}, where {wanted} is expected")

    def _object(self, key: str, value: object, place: str) -> Fields:
        if not isinstance(value, dict):
            raise self._wrong(key, value, "an object")
        return Fields(self.source, f"{self.where}.{place}".removeprefix("file."), value)

    def child(self, key: str) -> Fields:
        """The object under a key; an empty one where the key is absent."""
        return self._object(key, self.values.get(key) or {}, key)

    def children(self, key: str, limit: int) -> list[Fields]:
        """The objects of the list under a key, at most ``limit``; empty where the key is absent."""
        return [self._object(key, value, f"{key}[{i}]") for i, value in enumerate(self.sequence(key, limit))]

    def named(self, key: str, limit: int) -> dict[str, Fields]:
        """The objects that the object under a key holds, by name."""
        held = self.child(key)
        if len(held.values) > limit:
            raise self.fault(f"has {len(held.values)} entries in '{key}'; at most {limit} are read")
        return {name: held._object(name, value, name) for name, value in held.values.items()}

    def sequence(self, key: str, limit: int) -> list[Any]:
        """The list under a key, at most ``limit`` long; empty where the key is absent."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(key, value, "a list")
        if len(value) > limit:
            raise self.fault(f"has {len(value)} entries in '{key}'; at most {limit} are read")
        return value

    def number(self, key: str, default: float) -> float:
        """The finite number under a key, of at most MAX_NUMBER."""
        return self._number(key, self.values.get(key, default))

    def _number(self, key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(key, value, "a number")
        if not (isinstance(value, int) or math.isfinite(value)) or abs(value) > MAX_NUMBER:
            raise self._wrong(key, value, f"a finite number up to {MAX_NUMBER:g}")
        return float(value)

    def numbers(self, key: str, default: tuple[float, ...]) -> tuple[float, ...]:
        """As many finite numbers as the default has (a longer list is cut, as a colour with an alpha where none is)."""
        values = self.sequence(key, 4096)
        if not values:
            return default
        if len(values) < len(default):
            raise self._wrong(key, values, f"a list of {len(default)} numbers")
        return tuple(self._number(key, value) for value in values[: len(default)])

    def vector(self, key: str, default: tuple[float, float, float]) -> tuple[float, float, float]:
        """Three numbers, as a list or as an object with x, y and z."""
        if isinstance(self.values.get(key), dict):
            held = self.child(key)
            x, y, z = (held.number(axis, value) for axis, value in zip("xyz", default, strict=True))
        else:
            x, y, z = self.numbers(key, default)
        return x, y, z

    def whole(self, key: str, default: int, limit: int) -> int:
        """A whole number from 0 to ``limit``, both included."""
        return self._whole(key, self.values.get(key, default), limit)

    def _whole(self, key: str, value: object, limit: int) -> int:
        # Some exporters write 3.0 for 3.
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
            raise self._wrong(key, value, f"a whole number from 0 to {limit}")
        return value

    def index(self, key: str, count: int, of: str) -> int:
        """An index into ``count`` things named ``of``."""
        return self._index(key, self.values.get(key), count, of)

    def _index(self, key: str, value: object, count: int, of: str) -> int:
        if count == 0:
            raise self.fault(f"has '{key}' = {_shown(value)}, but the file has no {of}")
        return self._whole(key, value, count - 1)

    def optional_index(self, key: str, count: int, of: str) -> int | None:
        """An index, or None where the key is absent or -1 (as VRM 0.x writes it)."""
        value = self.values.get(key)
        return None if value is None or value == -1 else self._index(key, value, count, of)

    def indices(self, key: str, count: int, of: str, limit: int) -> list[int]:
        """A list of indices into ``count`` things named ``of``."""
        return [self._index(key, value, count, of) for value in self.sequence(key, limit)]

    def text(self, key: str, default: str = "") -> str:
        """The text under a key."""
        value = self.values.get(key, default)
        if not isinstance(value, str):
            raise self._wrong(key, value, "a text")
        return value

    def texts(self, key: str, limit: int) -> list[str]:
        """The texts of the list under a key."""
        values = self.sequence(key, limit)
        for value in values:
            if not isinstance(value, str):
                raise self._wrong(key, value, "a text")
        return values

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self._wrong(key, value, "true or false")
        return value


def _shown(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) > 10**30:
        return "a whole number of more than 30 digits"
    text = repr(value if not isinstance(value, list | dict) else type(value).__name__)
    return text if len(text) <= 60 else text[:57] + "..."
