"""Between a run and its plugins: every call is checked, and what goes wrong is told under the plugin's name.

The pipeline calls plugins only through these guards. They check what costs nothing: types, shapes and counts. What
costs more, such as that rendering is a pure function, is left to the contract suites of :mod:`animegen.testing`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from numbers import Integral, Real
from types import MappingProxyType, SimpleNamespace
from typing import Any, TypeAlias

import numpy as np

from animegen.errors import InvalidValue
from animegen.plugins import blamed
from animegen.protocols import BackgroundRequest, PoseBackend
from animegen.types import Crop, Face, Frame, Identity, Pose, RenderRequest, Sprite, Track, Uint8Array

Check: TypeAlias = Callable[..., Any]
"""Is given what a method returned and what it was called with; returns the former or raises InvalidValue."""


def guarded(made: Any, kind: str, owner: str) -> Any:
    """The object that a plugin's factory made, behind guards: it has those methods of its protocols that ``made`` has.

    ``kind`` is the kind of plugin (:data:`animegen.plugins.KINDS`), ``owner`` the words with which errors begin. The
    methods raise PluginError where the plugin's raise anything but an AnimegenError, or return what does not fit.
    """
    if kind == "pose":
        return SimpleNamespace(skeleton=made.skeleton, estimate=_guarded_estimate(made, f"{owner}: estimate"))
    methods = {name: check for name, check in _CHECKS[kind].items() if hasattr(made, name)}
    return SimpleNamespace(
        **{name: _guarded(getattr(made, name), check, f"{owner}: {name}") for name, check in methods.items()}
    )


def _guarded(method: Callable[..., Any], check: Check, owner: str) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        with blamed(owner):
            return check(method(*arguments), *arguments)

    return call


def _guarded_estimate(backend: PoseBackend, owner: str) -> Callable[[Iterable[Frame]], Iterator[list[Pose]]]:
    """``estimate`` checked while it runs, since it takes frames and yields poses in turn."""

    def estimate(frames: Iterable[Frame]) -> Iterator[list[Pose]]:
        taken = given = 0

        def counted() -> Iterator[Frame]:
            nonlocal taken
            for frame in frames:
                taken += 1
                yield frame

        source = counted()
        with blamed(owner):
            for poses in backend.estimate(source):
                given += 1
                _require(given <= taken, "must yield one list of poses for each frame, got more")
                yield _poses(poses, backend)
            next(source, None)  # counts a frame that the backend left
            _require(given == taken, "must yield one list of poses for each frame, got fewer")

    return estimate


def _require(holds: bool, text: str) -> None:
    if not holds:
        raise InvalidValue(text)


def _list_of(wanted: type, found: Any) -> list[Any]:
    """What was returned as a list, all of whose items must be of one type."""
    fits = isinstance(found, Iterable)
    items = list(found) if fits else []
    _require(
        fits and all(isinstance(item, wanted) for item in items),
        f"must return a list of {wanted.__name__}, got {_brief(items if fits else found)}",
    )
    return items


def _brief(value: Any) -> str:
    """A value as an error shows it: plain ones as they are, arrays by dtype and shape, all else by type."""
    if isinstance(value, np.ndarray):
        return f"{value.dtype} {value.shape}"
    if isinstance(value, list):
        return f"a list of {', '.join(sorted({type(item).__name__ for item in value})) or 'nothing'}"
    return f"{value!r:.60}" if value is None or isinstance(value, (str, Real)) else f"a {type(value).__name__}"


def _poses(found: Any, backend: PoseBackend) -> list[Pose]:
    poses = _list_of(Pose, found)
    for pose in poses:
        same = pose.skeleton == backend.skeleton
        _require(same, f"the backend's skeleton is '{backend.skeleton.name}', but a pose's '{pose.skeleton.name}'")
    return poses


def _faces(found: Any, pictures: Sequence[Uint8Array]) -> list[list[Face]]:
    faces = [_list_of(Face, one) for one in found]
    _require(len(faces) == len(pictures), f"must return {len(pictures)} lists of faces, got {len(faces)}")
    return faces


def _track_ids(found: Any, frame_index: int, poses: Sequence[Pose]) -> list[int | None]:
    ids = list(found)
    known = [one for one in ids if one is not None]
    fits = len(ids) == len(poses) and len({*known}) == len(known) and all(isinstance(one, Integral) for one in known)
    _require(fits, f"must return {len(poses)} different ids or None, got {ids} in frame {frame_index}")
    return ids


def _identity(found: Any, track: Track, crops: Sequence[Crop]) -> Identity:  # noqa: ARG001
    _require(isinstance(found, Identity), f"must return an Identity, got {_brief(found)}")
    identity: Identity = found
    return identity


def _place(found: Any, identity: Identity, gallery: Sequence[Identity]) -> int | None:  # noqa: ARG001
    fits = found is None or found in range(len(gallery))
    _require(fits, f"must return a position in the gallery of {len(gallery)}, or None, got {_brief(found)}")
    place: int | None = found
    return place


def _difference(found: Any, a: Identity, b: Identity) -> float | None:  # noqa: ARG001
    fits = found is None or (isinstance(found, Real) and float(found) >= 0)
    _require(fits, f"must return a number from 0 on, or None, got {_brief(found)}")
    difference: float | None = found
    return difference


def _prepared(found: Any, *_: Any) -> Mapping[str, Any]:
    fits = isinstance(found, Mapping) and all(isinstance(name, str) for name in found)
    _require(fits, f"must return named arrays, got {_brief(found)}")
    for name, array in found.items():
        plain = isinstance(array, np.ndarray) and not array.dtype.hasobject
        _require(plain, f"'{name}' must be a NumPy array without objects, got {_brief(array)}")
    prepared: Mapping[str, Any] = found
    return prepared


def _sprites(found: Any, requests: Sequence[RenderRequest]) -> list[Sprite]:
    sprites = _list_of(Sprite, found)
    if len(sprites) != len(requests):
        frames = f"frames {requests[0].frame_index} to {requests[-1].frame_index}"
        raise InvalidValue(f"must return one sprite per request, got {len(sprites)} of {len(requests)} for {frames}")
    return sprites


def _avatars(found: Any, identities: Sequence[Identity]) -> list[str]:
    names = _list_of(str, found)
    _require(len(names) == len(identities), f"must return {len(identities)} names of avatars, got {len(names)}")
    return names


def _picture(found: Any, request: BackgroundRequest) -> Uint8Array:
    shape = request.frame.image.shape
    fits = isinstance(found, np.ndarray) and found.dtype == np.uint8 and found.shape == shape
    _require(fits, f"must return uint8 {shape}, got {_brief(found)}")
    picture: Uint8Array = found
    return picture


_CHECKS: Mapping[str, Mapping[str, Check]] = MappingProxyType(
    {
        "face": {"find": _faces},
        "tracker": {"update": _track_ids},
        "identity": {"enroll": _identity, "match": _place, "difference": _difference},
        "style": {"prepare": _prepared, "render": _sprites, "cast": _avatars},
        "background": {"render": _picture},
    }
)
"""By kind of plugin and method, what its results are checked with."""
