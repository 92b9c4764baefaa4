"""Expressions in JSON files of people, under VRM's names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from animegen.types import Expression, Pose

_KEY = "expression"
_DECIMALS = 4


def expression_entry(pose: Pose) -> dict[str, Any]:
    """What the entry of a person gets for their expression; nothing where there is none."""
    if pose.expression is None:
        return {}
    return {_KEY: {name: round(value, _DECIMALS) for name, value in asdict(pose.expression).items()}}


def expression_of(person: Mapping[str, Any]) -> Expression | None:
    """The expression of a person's entry; raises TypeError or ValueError for one that is none."""
    entry = person.get(_KEY)
    if entry is None:
        return None
    return Expression(**{name: float(value) for name, value in dict(entry).items()})
