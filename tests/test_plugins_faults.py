"""What a plugin's code does wrong during a run is told under its package's name, with a way out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from animegen.config import ConvertConfig
from animegen.errors import AnimegenError, Cancelled, InputError, PluginError
from animegen.guards import guarded
from animegen.pipeline.adapters import hand_over, opened
from animegen.pipeline.stages import resolve
from animegen.plugins import PluginHost
from animegen.pose.skeletons import COCO17
from animegen.protocols import BackgroundRequest, CastingStyle, ComparingPreserver
from animegen.testing import synthetic_frame, synthetic_identity, synthetic_pose, synthetic_track
from animegen.types import RenderRequest, Sprite
from animegen.video.drawing import write_film

OWNER = "style 'mine' of package my-pack 1.0"
POSE = synthetic_pose()
TRACK = synthetic_track()
PERSON = synthetic_identity(1)
FRAMES = [synthetic_frame(index=index) for index in range(4)]
REQUEST = RenderRequest(PERSON, {}, POSE, 0, Fraction(0), 200.0)
BACKGROUND = BackgroundRequest(FRAMES[0], (), lambda: FRAMES[0].image)
PICTURE = FRAMES[0].image


def sprite(rgba: np.ndarray | None = None, shift: float = 0.0) -> Sprite:
    affine = np.array([[1.0, 0.0, shift], [0.0, 1.0, 0.0]])
    return Sprite(np.zeros((4, 4, 4), np.uint8) if rgba is None else rgba, affine, 0.0)


class Thing:
    """A plugin's object whose method of a name does what a test wants."""

    skeleton = POSE.skeleton

    def __init__(self, **methods: Callable[..., Any]) -> None:
        vars(self).update(methods)


FAULTS: Mapping[str, tuple[str, str, tuple[Any, ...], Callable[..., Any], str]] = {
    "render raises": ("style", "render", ([REQUEST],), lambda _: 1 / 0, " failed: ZeroDivisionError: division by zero"),
    "render takes nothing": ("style", "render", ([REQUEST],), lambda: [], " failed: TypeError"),
    "a sprite of floats": (
        *("style", "render", ([REQUEST],), lambda _: [sprite(np.zeros((4, 4, 4)))]),
        ": Sprite.rgba must be uint8, got float64",
    ),
    "a sprite nowhere": (
        *("style", "render", ([REQUEST],), lambda _: [sprite(shift=np.nan)]),
        ": Sprite.affine holds a value that is not finite",
    ),
    "a picture for a sprite": (
        *("style", "render", ([REQUEST],), lambda _: [PICTURE]),
        ": must return a list of Sprite, got a list of ndarray",
    ),
    "no sprites": ("style", "render", ([REQUEST],), lambda _: None, ": must return a list of Sprite, got None"),
    "a sprite short": (
        *("style", "render", ([REQUEST, REQUEST],), lambda _: [sprite()]),
        ": must return one sprite per request, got 1 of 2 for frames 0 to 0",
    ),
    "nothing prepared": (
        "style",
        "prepare",
        (PERSON, TRACK, ()),
        lambda *_: None,
        ": must return named arrays, got None",
    ),
    "an object prepared": (
        *("style", "prepare", (PERSON, TRACK, ()), lambda *_: {"who": [1, 2]}),
        ": 'who' must be a NumPy array without objects, got a list of int",
    ),
    "an avatar short": ("style", "cast", ([PERSON],), lambda _: [], ": must return 1 names of avatars, got 0"),
    "a pose for a list": (
        *("pose", "estimate", (FRAMES,), lambda frames: (POSE for _ in frames)),
        ": must return a list of Pose, got a Pose",
    ),
    "a frame left": (
        *("pose", "estimate", (FRAMES,), lambda frames: ([] for _, _ in zip(range(3), frames, strict=False))),
        ": must yield one list of poses for each frame, got fewer",
    ),
    "a frame passed over": (
        *("pose", "estimate", (FRAMES,), lambda frames: ([] for frame in frames if frame.index)),
        ": must yield one list of poses for each frame, got fewer",
    ),
    "two lists for a frame": (
        *("pose", "estimate", (FRAMES,), lambda frames: ([] for _ in frames for _ in range(2))),
        ": must yield one list of poses for each frame, got more",
    ),
    "another skeleton": (
        *("pose", "estimate", (FRAMES,), lambda frames: ([synthetic_pose(COCO17)] for _ in frames)),
        ": the backend's skeleton is 'blazepose33', but a pose's 'coco17'",
    ),
    "faces of one picture": ("face", "find", ([PICTURE] * 2,), lambda _: [[]], ": must return 2 lists of faces, got 1"),
    "a number for a face": (
        "face",
        "find",
        ([PICTURE],),
        lambda _: [[1]],
        ": must return a list of Face, got a list of int",
    ),
    "an id for two": (
        *("tracker", "update", (7, [POSE, POSE]), lambda *_: [1, 1]),
        ": must return 2 different ids or None, got [1, 1] in frame 7",
    ),
    "an id short": (
        "tracker",
        "update",
        (7, [POSE, POSE]),
        lambda *_: [1],
        ": must return 2 different ids or None, got [1]",
    ),
    "nobody enrolled": ("identity", "enroll", (TRACK, ()), lambda *_: None, ": must return an Identity, got None"),
    "a place beyond": (
        *("identity", "match", (PERSON, [PERSON]), lambda *_: 1),
        ": must return a position in the gallery of 1, or None, got 1",
    ),
    "a difference in words": (
        *("identity", "difference", (PERSON, PERSON), lambda *_: "far"),
        ": must return a number from 0 on, or None, got 'far'",
    ),
    "a background of floats": (
        *("background", "render", (BACKGROUND,), lambda request: request.clean() / 255),
        ": must return uint8 (240, 320, 3), got float64 (240, 320, 3)",
    ),
    "no background": (
        "background",
        "render",
        (BACKGROUND,),
        lambda _: None,
        ": must return uint8 (240, 320, 3), got None",
    ),
}
"""By what goes wrong: kind of plugin, method, arguments, what the method does, and what is said of it."""


def call(kind: str, method: str, arguments: tuple[Any, ...], does: Callable[..., Any]) -> Any:
    thing = guarded(Thing(**{method: does}), kind, OWNER)
    result = getattr(thing, method)(*(iter(a) if method == "estimate" else a for a in arguments))
    return list(result) if method == "estimate" else result


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_told_with_its_owner_and_a_way_out(case):
    kind, method, arguments, does, text = FAULTS[case]
    with pytest.raises(PluginError) as caught:
        call(kind, method, arguments, does)
    assert str(caught.value).startswith(f"{OWNER}: {method}{text}")
    assert "ANIMEGEN_TRACEBACK=1" in caught.value.hint


@pytest.mark.parametrize(
    ("kind", "method", "arguments", "result"),
    [
        ("style", "render", ([REQUEST],), [sprite()]),
        ("style", "prepare", (PERSON, TRACK, ()), {"colours": np.zeros(3)}),
        ("style", "cast", ([PERSON, PERSON],), ["a", "b"]),
        ("pose", "estimate", (FRAMES,), [[POSE], [], [POSE, POSE], []]),
        ("tracker", "update", (0, [POSE, POSE, POSE]), [np.int64(1), None, None]),
        ("identity", "enroll", (TRACK, ()), PERSON),
        ("identity", "match", (PERSON, [PERSON]), 0),
        ("identity", "difference", (PERSON, PERSON), np.float32(0.5)),
        ("background", "render", (BACKGROUND,), PICTURE),
    ],
)
def test_what_is_right_passes_as_it_is(kind, method, arguments, result):
    does = (lambda frames: (result[frame.index] for frame in frames)) if method == "estimate" else lambda *_: result
    found = call(kind, method, arguments, does)
    assert found == result if isinstance(result, list) else found is result


def test_frames_are_taken_one_by_one():
    taken = []

    def frames() -> Iterator[Any]:
        for frame in FRAMES:
            taken.append(frame)
            yield frame

    backend = guarded(Thing(estimate=lambda frames: ([] for _ in frames)), "pose", OWNER)
    next(backend.estimate(frames()))
    assert len(taken) == 1
    assert backend.skeleton is POSE.skeleton


@pytest.mark.parametrize("error", [Cancelled("stopped"), InputError("no camera", "plug it in")])
def test_errors_raised_on_purpose_pass(error: AnimegenError):
    def render(_: object) -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        call("style", "render", ([REQUEST],), render)
    assert caught.value is error


def test_what_a_plugin_can_do_beyond_its_protocol_is_known():
    def nothing(*_: object) -> None: ...

    full = guarded(Thing(enroll=nothing, match=nothing, difference=nothing), "identity", OWNER)
    assert isinstance(full, ComparingPreserver)
    assert not isinstance(guarded(Thing(enroll=nothing, match=nothing), "identity", OWNER), ComparingPreserver)
    assert isinstance(guarded(Thing(prepare=nothing, render=nothing, cast=nothing), "style", OWNER), CastingStyle)
    assert not isinstance(guarded(Thing(prepare=nothing, render=nothing), "style", OWNER), CastingStyle)


STYLE = """
from animegen.hookspecs import hookimpl
from animegen.protocols import StyleSpec

@hookimpl
def animegen_styles():
    return [StyleSpec("mine", "a test", "my_pack:make")]

class Style:
    def prepare(self, identity, track, crops): return {}
    def render(self, requests): return requests[0].no_such_thing

def make(options, context): return Style()
"""


def test_a_run_guards_the_plugins_it_uses(install: Callable[..., Path]):
    install("my-pack", "1.0", {"my": "my_pack"}, {"my_pack": STYLE})
    style = resolve(ConvertConfig(style="mine"), lambda _: None, kinds=("style",)).style()
    with pytest.raises(PluginError, match=r"style 'mine' of package my-pack 1\.0: render failed: AttributeError"):
        style.render([REQUEST])


SOURCE = """
from fractions import Fraction
import numpy as np
from animegen.hookspecs import hookimpl
from animegen.protocols import VideoSinkSpec, VideoSourceSpec
from animegen.types import Frame

@hookimpl
def animegen_video_sources():
    return [VideoSourceSpec("grey", "a test", "my_pack:make_source")]

@hookimpl
def animegen_video_sinks():
    return [VideoSinkSpec("raw", "a test", "my_pack:make_sink", suffixes=(".raw",))]

def make_source(options, context): return frames

def make_sink(options, context): return lambda path, frames: None

def frames(location):
    picture = np.zeros((32, 32, 3), np.uint8)
    yield Frame(0, Fraction(0), picture)
    yield {"grey:floats": Frame}[location](1, Fraction(1), picture / 2)
"""


@pytest.mark.parametrize(
    ("location", "text"), [("grey:floats", ": Frame.image must be uint8"), ("grey:other", " failed: KeyError")]
)
def test_a_faulty_source_is_told_and_leaves_no_film(location, text, install: Callable[..., Path], tmp_path: Path):
    install("my-pack", "1.0", {"my": "my_pack"}, {"my_pack": SOURCE})
    with (
        pytest.raises(PluginError, match=rf"^source 'grey' of package my-pack 1\.0{text}"),
        opened(PluginHost.load(), Path(location), tmp_path / "out.mp4", ConvertConfig()),
    ):
        pass
    assert not list(tmp_path.glob("*.mp4"))


def test_a_sink_that_writes_nothing_is_told(install: Callable[..., Path], tmp_path: Path):
    install("my-pack", "1.0", {"my": "my_pack"}, {"my_pack": SOURCE})
    write_film(tmp_path / "film.mp4", FRAMES, Fraction(25))
    with pytest.raises(PluginError, match=r"^sink 'raw' of package my-pack 1\.0: wrote no file .*out\.raw\.part"):
        hand_over(PluginHost.load(), tmp_path / "film.mp4", tmp_path / "out.raw")
