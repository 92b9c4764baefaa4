"""The identity preserver: two people in the same clothes are kept apart by their faces, in one video and the next."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from animegen_insightface.options import DETECTOR, EMBEDDER, IdentityOptions
from animegen_insightface.preserver import make_preserver
from click.testing import CliRunner
from stage import standing
from stand_ins import Who, paint_face

from animegen.cli import cli
from animegen.identity import read_cast, take_crop
from animegen.identity.preserver import make_preserver as make_appearance
from animegen.jobs import JobFolder
from animegen.protocols import ComparingPreserver, PluginContext
from animegen.testing import check_identity_preserver, synthetic_frame, synthetic_identity
from animegen.types import Crop, Frame, Identity, Pose, Track
from animegen.video import open_video
from animegen.video.drawing import write_film

RATE = Fraction(12)
FRAMES = 8
SIZE = (400, 240)
SIDES: tuple[tuple[Who, Who], ...] = (("left", "right"), ("right", "left"))
"""Who stands on the picture's left and who on its right, on either day."""
COLOURS: Mapping[Who, str] = {"left": "#ff0000", "right": "#0000ff"}
"""What the user has the two wear from the first day on."""
CLOTHES = synthetic_identity(3)
"""What everybody wears."""
FACE = 17.0
"""Radius of a face in pixels."""
ENCODED = 40
"""Levels by which encoding and blending may change a colour."""


def frame_with(index: int, noses: Mapping[Who, float], *, seen: bool = True) -> tuple[Frame, dict[Who, Pose]]:
    """A frame with people whose noses are at these columns, all in the same clothes."""
    poses = {who: standing((x, 55.0)) for who, x in noses.items()}
    image = synthetic_frame([(pose, CLOTHES) for pose in poses.values()], size=SIZE, index=index).image.copy()
    if seen:
        for who, x in noses.items():
            paint_face(image, (x, 55.0), FACE, who)
    return Frame(index, index / RATE, image), poses


def person(who: Who, *, seen: bool = True, id: int = 0) -> tuple[Track, list[Crop]]:
    """Somebody alone, walking."""
    made = [frame_with(i, {who: 100.0 + 10 * i}, seen=seen) for i in range(4)]
    track = Track(id, tuple(range(4)), tuple(poses[who] for _, poses in made))
    return track, [take_crop(frame, poses[who]) for frame, poses in made]


@pytest.fixture
def preserver(context: PluginContext) -> ComparingPreserver:
    made = make_preserver(None, context)
    assert isinstance(made, ComparingPreserver)
    return made


def enrolled(preserver: ComparingPreserver, who: Who, *, seen: bool = True, id: int = 0) -> Identity:
    return preserver.enroll(*person(who, seen=seen, id=id))


def difference(preserver: ComparingPreserver, a: Identity, b: Identity) -> float:
    told = preserver.difference(a, b)
    assert told is not None
    return told


def test_contract(preserver: ComparingPreserver) -> None:
    check_identity_preserver(preserver)


def test_faces_tell_apart_who_looks_alike(preserver: ComparingPreserver, context: PluginContext) -> None:
    one, again, other = (
        enrolled(preserver, "left"),
        enrolled(preserver, "left", id=1),
        enrolled(preserver, "right", id=2),
    )
    assert difference(preserver, one, again) < 0.2
    assert difference(preserver, one, other) > 1
    assert preserver.match(again, [other, one]) == 1
    assert preserver.match(again, [other]) is None
    by_look = make_appearance(None, context)
    assert isinstance(by_look, ComparingPreserver)
    assert difference(by_look, enrolled(by_look, "left"), enrolled(by_look, "right")) < 0.5


def test_who_shows_no_face_is_known_by_the_look(preserver: ComparingPreserver) -> None:
    one, behind = enrolled(preserver, "left"), enrolled(preserver, "left", seen=False, id=1)
    assert one.embedding is not None and behind.embedding is not None
    assert len(one.embedding) == len(behind.embedding)
    assert difference(preserver, one, behind) < 1
    assert preserver.match(behind, [one]) == 0
    dressed = replace(behind, embedding=np.roll(behind.embedding, 2561))  # the colours of another part of the body
    assert difference(preserver, one, dressed) > difference(preserver, one, behind)


def test_faces_that_tell_nothing_are_left_out(context: PluginContext) -> None:
    for options, crops in (
        (IdentityOptions(min_face=500), person("left")[1]),
        (IdentityOptions(), [replace(c, pose=away(c.pose)) for c in person("left")[1]]),
        (IdentityOptions(), [replace(c, pose=replace(c.pose, score=0 * c.pose.score)) for c in person("left")[1]]),
    ):
        embedding = make_preserver(options, context).enroll(person("left")[0], crops).embedding
        assert embedding is not None
        assert not embedding[:512].any()
        assert embedding[512:].any()


def away(pose: Pose) -> Pose:
    """The same pose beside the picture's face: that face is somebody else's."""
    return replace(pose, xy=pose.xy + np.float32([0, 60]))


def test_embeddings_of_other_models_tell_nothing(preserver: ComparingPreserver) -> None:
    one = enrolled(preserver, "left")
    assert one.embedding is not None
    assert preserver.difference(one, replace(one, embedding=one.embedding[:-1])) is None
    assert preserver.difference(one, replace(one, embedding=None)) is None


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Installs the plugin of the tests, as pip would."""
    info = tmp_path / "site" / "stage-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: stage\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[animegen]\nstage = stage\n")
    monkeypatch.syspath_prepend(info.parent)


def convert(film: Path, out: Path, models: Mapping[str, Path], *more: str) -> None:
    chosen = ("--pose", "heads", "--style", "blocks", "--identity", "insightface", "--device", "cpu", "--keep")
    own = ("--set", f"detector={models[DETECTOR]}", "--set", f"embedder={models[EMBEDDER]}")
    done = CliRunner().invoke(cli, ["convert", str(film), "-o", str(out), "--threads", "1", *chosen, *own, *more])
    assert done.exit_code == 0, done.output


def test_two_people_keep_their_keys_in_another_video(
    stage: None, models: dict[str, Path], preserver: ComparingPreserver, tmp_path: Path
) -> None:
    """On the second day the two have changed sides, and nothing but their faces tells."""
    days = (tmp_path / "first.mp4", tmp_path / "second.mp4")
    for film, (here, there) in zip(days, SIDES, strict=True):
        noses = [{here: 90.0 + i, there: 310.0 - i} for i in range(FRAMES)]
        write_film(film, [frame_with(i, at)[0] for i, at in enumerate(noses)], RATE)
    convert(days[0], tmp_path / "first-out.mp4", models)
    cast = JobFolder.beside(tmp_path / "first-out.mp4").cast
    known = read_cast(cast)
    assert known.preserver == "insightface"
    people = [enrolled(preserver, who) for who in SIDES[0]]
    order = [preserver.match(member.identity(), people) for member in known.members]
    assert sorted(order, key=str) == [0, 1]
    upper = iter([COLOURS[SIDES[0][place]] for place in order if place is not None])
    named = tmp_path / "cast.toml"
    named.write_text(re.sub(r'upper = \[".*?"', lambda _: f'upper = ["{next(upper)}"', cast.read_text()))
    convert(days[1], tmp_path / "second-out.mp4", models, "--cast", str(named))
    with open_video(tmp_path / "second-out.mp4") as video:
        frames = [frame.image.astype(int) for frame in video.frames(0, FRAMES)]
    for column, who in zip((100, 300), SIDES[1], strict=True):
        wanted = [int(COLOURS[who][i : i + 2], 16) for i in (1, 3, 5)]
        assert max(np.abs(image[120, column] - wanted).max() for image in frames) <= ENCODED, who
