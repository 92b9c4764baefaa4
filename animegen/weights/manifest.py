"""Which weight files there are: the packaged manifest, and what plugins announce."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path

from animegen.errors import InvalidValue, WeightsError
from animegen.protocols import WeightSpec
from animegen.weights.locations import shipped

_KEYS = {field.name for field in dataclasses.fields(WeightSpec)} - {"name"}


def read_manifest(path: Path) -> list[WeightSpec]:
    """The specs of one TOML manifest, in its order: one table per weight file, titled with its name.

    Raises WeightsError naming the file and the entry that does not fit.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise WeightsError(f"cannot read the weights manifest {path}: {error}") from error
    specs = []
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise WeightsError(f"{path}: '{name}' must be a table, got {table!r}")
        if unknown := sorted(set(table) - _KEYS):
            raise WeightsError(f"{path}: [{name}] has unknown keys {unknown}", f"known keys: {sorted(_KEYS)}")
        try:
            specs.append(WeightSpec(name=name, **table))
        except (TypeError, InvalidValue) as error:
            raise WeightsError(f"{path}: [{name}] cannot be used: {error}") from error
    return specs


def known(extra: Iterable[WeightSpec] | None = None) -> dict[str, WeightSpec]:
    """Every known weight file by name: the packaged manifest first, then ``extra`` (what plugins announce).

    Raises WeightsError when two different ones claim the same name.
    """
    specs: dict[str, WeightSpec] = {}
    for spec in (*read_manifest(shipped("weights") / "manifest.toml"), *(extra or ())):
        if specs.setdefault(spec.name, spec) != spec:
            raise WeightsError(
                f"two different weight files are named '{spec.name}': {specs[spec.name].source} and {spec.source}",
                "uninstall or rename one of the plugins that announce it",
            )
    return specs


def lookup(name: str, specs: Mapping[str, WeightSpec]) -> WeightSpec:
    """The spec of that name. Raises WeightsError listing the known ones."""
    if name not in specs:
        raise WeightsError(
            f"no weights are named '{name}': this installation knows {', '.join(specs)}",
            "they come with another release of animegen or with a plugin",
        )
    return specs[name]
