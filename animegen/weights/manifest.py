"""Which weight files there are: the packaged manifest, and what plugins announce."""

from __future__ import annotations

import dataclasses
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from animegen.errors import WeightsError
from animegen.protocols import WeightSpec
from animegen.weights.locations import shipped

SHIPPED = "shipped"
WHEEL_PREFIX = "wheel:"
_KEYS = {field.name for field in dataclasses.fields(WeightSpec)} - {"name"}
_WHEEL = re.compile(r"wheel:[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!_-]+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def filename(spec: WeightSpec) -> str:
    """The name under which the file lies on disk."""
    return spec.filename or PurePosixPath(spec.member).name or spec.name


def requirement(spec: WeightSpec) -> str | None:
    """``PROJECT==VERSION`` of the wheel that holds the file, or None where it comes from no wheel."""
    return spec.source.removeprefix(WHEEL_PREFIX) if spec.source.startswith(WHEEL_PREFIX) else None


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
        except TypeError as error:
            raise WeightsError(f"{path}: [{name}] is incomplete: {error}") from error
    return specs


def known(extra: Iterable[WeightSpec] | None = None) -> dict[str, WeightSpec]:
    """Every known weight file by name: the packaged manifest first, then ``extra`` (what plugins announce).

    Raises WeightsError when a spec is malformed or when two different ones claim the same name.
    """
    specs: dict[str, WeightSpec] = {}
    for spec in (*read_manifest(shipped("weights") / "manifest.toml"), *(extra or ())):
        _check(spec)
        if specs.setdefault(spec.name, spec) != spec:
            raise WeightsError(
                f"two different weight files are named '{spec.name}': {specs[spec.name].source} and {spec.source}",
                "uninstall or rename one of the plugins that announce it",
            )
    return specs


def _check(spec: WeightSpec) -> None:
    """Raise WeightsError, naming the value, unless the spec can be fetched and checked."""
    label = f"weights '{spec.name}'"
    if spec.source != SHIPPED and not _WHEEL.fullmatch(spec.source):
        raise WeightsError(f"{label}: source must be 'shipped' or 'wheel:PROJECT==VERSION', got {spec.source!r}")
    if requirement(spec) and not spec.member:
        raise WeightsError(f"{label}: a file from {spec.source} needs 'member', its path inside the wheel")
    if not _SHA256.fullmatch(spec.sha256):
        raise WeightsError(f"{label}: sha256 must be 64 lower-case hex digits, got {spec.sha256!r}")
    if spec.bytes < 1:
        raise WeightsError(f"{label}: bytes must be positive, got {spec.bytes}")
    if Path(filename(spec)).name != filename(spec):
        raise WeightsError(f"{label}: filename must be a plain file name, got {filename(spec)!r}")
