"""The style anime-face, with a pair of tiny generators that nobody trained."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.data import astronaut
from stylegan2_numbers import Case

import animegen
from animegen.builtin import animegen_styles
from animegen.composite import compose
from animegen.config import ConvertConfig, EncodeConfig
from animegen.errors import Cancelled, UsageError, WeightsError
from animegen.events import Progress, StageStarted, Warned
from animegen.face.options import ANIME, BASE, AnimeFaceOptions
from animegen.identity import take_crop
from animegen.jobs import JobFolder, load_arrays
from animegen.pipeline import anime_face
from animegen.pipeline.anime_face import make_style
from animegen.pipeline.pictures import ClipCrops
from animegen.pipeline.stages import resolve
from animegen.pose.skeletons import COCO17
from animegen.protocols import PluginContext
from animegen.stylegan2.checkpoint import Checkpoint, save_checkpoint
from animegen.testing import check_style, synthetic_crop, synthetic_identity, synthetic_pose, synthetic_track
from animegen.types import Face, Frame, Pose, RenderRequest, Skeleton, Track
from animegen.video import open_video
from animegen.video.drawing import write_film

WEIGHTS = Path(__file__).parent.parent / "weights"
RATE = Fraction(12)
AS_FILMED = 38.0
"""dB: what encoding leaves of a picture that nobody drew on."""
DRAWN = 30.0
"""dB below which the face is another."""
SIXTEEN_BITS = 35.0
"""dB between what is drawn after a search in bfloat16 and after one in float32; after 300 steps it is more than 50."""
SAME_SKIN = 12
"""Grey levels of the mean colour: contrasts are matched too, and what sRGB cannot show is clipped."""
FACE = (slice(85, 150), slice(195, 260))
"""Rows and columns in which the astronaut's face lies in the first frame."""
QUICK = {"steps": 2}


class Middle:
    """Takes for granted that a face looks out of the middle of every picture."""

    def find(self, pictures):
        return [[self.face(picture)] for picture in pictures]

    def face(self, picture):
        middle, side = np.array(picture.shape[1::-1], np.float32) / 2, np.float32(min(picture.shape[:2]))
        shares = [[-0.16, -0.1], [0.16, -0.1], [0.0, 0.04], [-0.12, 0.17], [0.12, 0.17]]
        box = np.concatenate([middle - side / 4, middle + side / 4])
        return Face(box, 0.9, middle + side * np.array(shares, np.float32))


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pair")
    generator = Case(64, base=512, most=16).generator()
    save_checkpoint(folder / "base.safetensors", Checkpoint(generator))
    with torch.no_grad():
        for name, parameter in generator.named_parameters():
            if "synthesis" in name:
                parameter.add_(0.1)
    save_checkpoint(folder / "anime.safetensors", Checkpoint(generator))
    return {BASE: folder / "base.safetensors", ANIME: folder / "anime.safetensors"}


def made(pair, faces=Middle, **options):
    return make_style(AnimeFaceOptions(**{**QUICK, **options}), PluginContext(weights=pair, faces=faces))


def drawn(style, track, prepared):
    who = synthetic_identity(1)
    frames = zip(track.frame_indices, track.poses, strict=True)
    return style.render([RenderRequest(who, prepared, pose, i, Fraction(i, 25), 200.0, float(i)) for i, pose in frames])


def test_the_contract(pair):
    check_style(made(pair, steps=1))


def test_it_is_announced_with_what_it_asks_for():
    spec = next(spec for spec in animegen_styles() if spec.name == "anime-face")
    assert spec.options is AnimeFaceOptions
    assert spec.weights == (BASE, ANIME)
    assert spec.over_source
    assert spec.needs_faces
    assert spec.clip_side > 0


def test_two_files_of_ones_own_take_the_place_of_the_demo_pair(pair, face_weights):
    own = {"style.base": str(pair[BASE]), "style.anime": str(pair[ANIME])}
    stages = resolve(ConvertConfig(style="anime-face", settings=own), print, kinds=("style",))
    assert {name: stages.context.weights[name] for name in pair} == pair
    assert stages.specs["face"].name == "facemesh"
    assert set(stages.fingerprint("style")["weights"]) == {BASE, ANIME, *face_weights}
    stages.style()


def test_generators_that_do_not_fit_are_refused(pair, tmp_path):
    save_checkpoint(tmp_path / "other.safetensors", Checkpoint(Case(64, base=1024, most=16).generator()))
    with pytest.raises(UsageError, match="other configurations"):
        made({**pair, ANIME: tmp_path / "other.safetensors"})
    save_checkpoint(tmp_path / "rgba.safetensors", Checkpoint(Case(64, base=512, most=16, channels=4).generator()))
    with pytest.raises(UsageError, match=r"rgba\.safetensors draws no RGB"):
        made({**pair, BASE: tmp_path / "rgba.safetensors"})
    with pytest.raises(UsageError, match="one of 8, 16, 32, 64 px, got 24"):
        made(pair, swap=24)
    with pytest.raises(WeightsError, match=r"none\.safetensors"):
        made({**pair, ANIME: tmp_path / "none.safetensors"})


@pytest.mark.parametrize("setting", ["steps=0", "likeness=1.5"])
def test_options_without_a_meaning_are_refused(setting, pair):
    key, value = setting.split("=")
    own = {"style.base": str(pair[BASE]), "style.anime": str(pair[ANIME]), f"style.{key}": value}
    with pytest.raises(UsageError, match=key):
        resolve(ConvertConfig(style="anime-face", settings=own), print, kinds=("style",))


def test_every_face_has_latents_of_its_own_that_change_smoothly(pair):
    style, track = made(pair, steps=8), synthetic_track(length=12, height=220.0)
    crops = [synthetic_crop(pose, synthetic_identity(0), i) for i, pose in enumerate(track.poses)]
    prepared = style.prepare(synthetic_identity(0), track, crops)
    assert prepared["frame_indices"].tolist() == list(range(12))
    assert np.allclose(np.diff(prepared["squares"][:, 0]), 6.0, atol=0.5)
    ws = prepared["ws"]
    assert np.abs(np.diff(ws, axis=0)).max() < np.abs(ws).max()
    assert len(drawn(style, track, prepared)) == 12
    again = style.prepare(synthetic_identity(0), track, crops)
    assert all(np.array_equal(prepared[name], again[name]) for name in prepared)


def test_without_likeness_everybody_has_the_mean_face(pair):
    style, track = made(pair, likeness=0.0), synthetic_track(length=3, height=220.0)
    crops = [synthetic_crop(pose, synthetic_identity(0), i) for i, pose in enumerate(track.poses)]
    ws = style.prepare(synthetic_identity(0), track, crops)["ws"]
    assert np.array_equal(ws, np.broadcast_to(ws[:1, :1], ws.shape))


def test_nothing_is_drawn_of_whom_no_face_is_found(pair):
    class Nobody:
        def find(self, pictures):
            return [[] for _ in pictures]

    for faces, pose in ((Nobody, synthetic_pose()), (Middle, synthetic_pose(COCO17, score=0.0))):
        told = []
        context = PluginContext(weights=pair, faces=faces, on_event=told.append)
        style = make_style(AnimeFaceOptions(**QUICK), context)
        track = synthetic_track(length=1)
        prepared = style.prepare(synthetic_identity(0), track, [synthetic_crop(pose, synthetic_identity(0))])
        (sprite,) = drawn(style, track, prepared)
        assert not sprite.rgba.any()
        (warning,) = (event.message for event in told if isinstance(event, Warned))
        assert warning.startswith(f"no face of {synthetic_identity(0).key}")


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """An astronaut who is moved by two pixels a frame."""
    path = tmp_path_factory.mktemp("clip") / "astronaut.mp4"
    image = astronaut()
    frames = (Frame(i, i / RATE, np.ascontiguousarray(np.roll(image, 2 * i, axis=1)[:384])) for i in range(8))
    write_film(path, frames, RATE, lossless=True)
    return path


def psnr(a, b):
    return float(10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2)))


@pytest.mark.usefixtures("face_weights", "blazepose_weights")
@pytest.mark.parametrize("background", ["keep", "clean"])
def test_the_face_changes_and_the_person_stays_as_filmed(background, clip, pair, tmp_path):
    own = {"base": str(pair[BASE]), "anime": str(pair[ANIME]), "steps": "2"}
    config = ConvertConfig(
        style="anime-face", settings=own, threads=1, background=background, keep=True, encode=EncodeConfig(crf=8)
    )
    output = tmp_path / "out.mp4"
    result = animegen.convert(clip, output, config)
    with open_video(clip) as video:
        before = [frame.image for frame in video.frames()]
        track = synthetic_track(length=3)
        crops = ClipCrops(video, track, 100)
        assert [crop.frame_index for crop in crops] == [0, 1, 2]
        assert np.array_equal(crops[1].image, list(crops)[1].image)
        assert len(crops[1:]) == 2
    with open_video(output) as video:
        after = [frame.image for frame in video.frames()]
    face = np.zeros(before[0].shape[:2], bool)
    face[60:190, 160:300] = True
    assert len(after) == len(before) == result.frames
    assert psnr(before[0][FACE], after[0][FACE]) < DRAWN
    assert psnr(before[0][~face], after[0][~face]) > AS_FILMED
    (prepared,) = (load_arrays(path) for path in JobFolder(result.job).root.glob("prepared/*.npz"))
    assert len(prepared["squares"]) == len(before)
    assert np.allclose(np.diff(prepared["squares"][:, 0]), 2.0, atol=0.4)


def test_of_a_long_clip_some_frames_are_searched_and_the_others_lie_between(pair, monkeypatch):
    monkeypatch.setattr("animegen.pipeline.anime_face.MOST_FRAMES", 4)
    style, track = made(pair, steps=4), synthetic_track(length=10, height=220.0)
    crops = [synthetic_crop(pose, synthetic_identity(0), i) for i, pose in enumerate(track.poses)]
    ws = style.prepare(synthetic_identity(0), track, crops)["ws"]
    assert len(ws) == 10
    assert np.allclose(ws[1:3], ws[:1] + (ws[3:4] - ws[:1]) * np.array([1, 2])[:, None, None] / 3, atol=1e-5)


def test_the_search_has_the_precision_that_is_quickest(monkeypatch):
    """And draws hardly anything else."""
    demo = {name: WEIGHTS / f"{name}.safetensors" for name in (BASE, ANIME)}
    track = synthetic_track(length=2, height=220.0)
    crops = [synthetic_crop(pose, synthetic_identity(0), i) for i, pose in enumerate(track.poses)]
    found, tried = [], []
    for half in (None, torch.bfloat16):
        monkeypatch.setattr(anime_face, "precision", lambda name, device, half=half: tried.append(name) or half)
        style = made(demo, steps=20)
        prepared = style.prepare(synthetic_identity(0), track, crops)
        found.append(drawn(style, track, prepared)[0].rgba)
    assert tried == ["auto", "auto"]
    assert not np.array_equal(*found)
    assert psnr(*found) > SIXTEEN_BITS


def test_the_search_stops_when_the_user_asks_to(pair):
    def check():
        raise Cancelled("stopped")

    context = PluginContext(weights=pair, faces=Middle, check=check)
    style, track = make_style(AnimeFaceOptions(**QUICK), context), synthetic_track(length=1)
    with pytest.raises(Cancelled):
        style.prepare(synthetic_identity(0), track, [synthetic_crop(track.poses[0], synthetic_identity(0))])


def test_it_tells_how_far_the_search_has_come(pair):
    told = []
    context = PluginContext(weights=pair, faces=Middle, on_event=told.append)
    style, track = make_style(AnimeFaceOptions(steps=3), context), synthetic_track(length=2, height=220.0)
    crops = [synthetic_crop(pose, synthetic_identity(0), i) for i, pose in enumerate(track.poses)]
    style.prepare(synthetic_identity(0), track, crops)
    assert told[:2] == [StageStarted("faces", 2), Progress("faces", 2, 2)]
    assert told[3:7] == [StageStarted("latents", 3), *(Progress("latents", done, 3) for done in (1, 2, 3))]


@pytest.mark.usefixtures("face_weights")
def test_the_demo_pair_draws_a_photograph_in_its_place_and_colours():
    style = resolve(
        ConvertConfig(style="anime-face", threads=1, settings={"steps": "20"}), print, kinds=("style",)
    ).style()
    image = astronaut()
    points = np.array([[222, 131], [246, 103], [203, 101]], np.float32)
    head = Skeleton("head", ("nose", "left_eye", "right_eye"), (), ())
    pose = Pose(head, points, np.ones(3, np.float32), np.array([100, 20, 340, 320], np.float32))
    track = Track(0, (0,), (pose,))
    prepared = style.prepare(synthetic_identity(0), track, [take_crop(Frame(0, Fraction(0), image), pose, 512)])
    (sprite,) = drawn(style, track, prepared)
    laid = compose(image, [sprite])
    changed = np.abs(laid.astype(int) - image).max(axis=2) > 0
    rows, columns = np.nonzero(changed)
    assert np.allclose([columns.mean(), rows.mean()], [224, 125], atol=10)
    assert psnr(image[changed], laid[changed]) < DRAWN
    assert np.allclose(image[changed].mean(axis=0), laid[changed].mean(axis=0), atol=SAME_SKIN)
