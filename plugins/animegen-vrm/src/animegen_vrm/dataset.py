"""Training data: avatars in poses from motions and from chance, seen by random cameras, rendered as shade layers.

Sample ``i`` depends on the recipe and ``i`` alone, so samples may be made in any order by any number of processes, a
run that was stopped goes on with the same bytes, and any beginning of a dataset is a fair sample of the whole.
"""

from __future__ import annotations

import copy
import os
import re
import signal
import time
from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess
from pathlib import Path
from typing import TypeAlias

import numpy as np

from animegen.avatar.config import EXPRESSION
from animegen.avatar.data import (
    FRAMINGS,
    AvatarEntry,
    ClipEntry,
    DatasetWriter,
    Header,
    Sample,
    Shard,
    Split,
    write_shard,
)
from animegen.errors import AnimegenError, InputError, UsageError
from animegen.events import Listener, Progress, StageFinished, StageStarted, ignore
from animegen.pose.skeletons import AVATAR35
from animegen.types import PARTS, Expression, Float32Array
from animegen_vrm import quaternions
from animegen_vrm.camera import Camera
from animegen_vrm.framing import crown_of, frame, random_view
from animegen_vrm.keypoints import Keypoints
from animegen_vrm.model import Avatar, Posed
from animegen_vrm.motion import Motion, random_look, random_pose, read_motion
from animegen_vrm.proportions import measure, measure_traits
from animegen_vrm.read import read_avatar
from animegen_vrm.recolour import reference_palette
from animegen_vrm.regions import triangles_on
from animegen_vrm.render import LIGHT, Renderer
from animegen_vrm.rig import BodyPose, Rig, vrm_expressions
from animegen_vrm.springs import settle

_Task: TypeAlias = tuple[int, int, int]
"""A shard to make: its number, its first sample, how many."""

SHARD = 256
"""Samples in a shard."""

RANDOM, RANDOM_VALIDATION = "random", "random-validation"
"""The clips that random poses count as."""

CHANCES: Mapping[str, float] = {"train": 0.533, RANDOM: 0.42, "validation": 0.017, RANDOM_VALIDATION: 0.03}
"""How often a sample that is no test sample comes from each."""

VALIDATION_CLIPS = 2

FILM_RATE = 30
"""Frames a second of films."""

_VOWELS = ("aa", "ih", "ou", "ee", "oh")
_CALM_LIDS, _SPEAKING = 0.88, 0.35
_LIGHT_SPREAD = 0.06

_FINGER = re.compile("Thumb|Index|Middle|Ring|Little")
_SWAY: Mapping[str, float] = {
    "spine": 3.0, "neck": 5.0, "head": 7.0,
    **{f"{side}{bone}": degrees for side in ("left", "right")
       for bone, degrees in (("UpperArm", 7.0), ("LowerArm", 6.0), ("Hand", 10.0))},
}  # fmt: skip
"""By how much (standard deviation, degrees) a motion's pose is changed, so that no two samples show the same."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides the samples but their number.

    Samples 0 .. ``tests`` show the motions named in ``hold_out``; all further ones show the others. Every ``film``
    samples are consecutive frames of one motion, seen by one camera, the hips held in their place. ``framing`` is what
    all of them show; None: all but faces and hands, by chance.
    """

    avatars: tuple[Path, ...]
    motions: tuple[Path, ...]
    size: int
    seed: int = 0
    hold_out: tuple[str, ...] = ()
    tests: int = 0
    film: int = 1
    framing: str | None = None

    def __post_init__(self) -> None:
        for paths, what in ((self.avatars, "avatar"), (self.motions, "motion")):
            names = [path.stem for path in paths]
            twice = sorted({name for name in names if names.count(name) > 1})
            if not names or twice:
                fault = f"two are named {', '.join(twice)}" if twice else "there is none"
                raise UsageError(f"a dataset needs {what}s of different names: {fault}", "name their files")
        if self.film < 1 or self.tests % self.film:
            raise UsageError(
                f"films of {self.film} samples do not fill {self.tests} test samples", "choose a multiple of --film"
            )
        unknown = sorted(set(self.hold_out) - {path.stem for path in self.motions})
        if unknown:
            raise UsageError(f"no motion is named {', '.join(unknown)}", "--hold-out takes names of files, no suffix")
        if self.tests and not self.hold_out:
            raise UsageError("test samples need motions that are held out", "name some with --hold-out")
        if len(self.motions) - len(self.hold_out) <= VALIDATION_CLIPS:
            raise UsageError(
                f"{len(self.motions)} motions of which {len(self.hold_out)} are held out leave none to train on",
                f"{VALIDATION_CLIPS} more are kept for validation",
            )

    def clips(self) -> tuple[ClipEntry, ...]:
        """Every clip with its split: the two of random poses, then the motions."""
        names = [path.stem for path in self.motions]
        free = [name for name in names if name not in self.hold_out]
        chosen = np.random.default_rng(self.seed).choice(free, VALIDATION_CLIPS, replace=False).tolist()
        splits: dict[str, Split] = dict.fromkeys(names, "train")
        splits |= dict.fromkeys(self.hold_out, "test")
        splits |= dict.fromkeys(chosen, "validation")
        return (
            ClipEntry(RANDOM, "train"),
            ClipEntry(RANDOM_VALIDATION, "validation"),
            *(ClipEntry(name, split) for name, split in splits.items()),
        )


def files(place: Path, suffixes: Collection[str]) -> tuple[Path, ...]:
    """The files of these endings in a folder, by name, or the file that ``place`` is. Raises InputError for none."""
    found = sorted(place.iterdir()) if place.is_dir() else [place] if place.is_file() else []
    wanted = tuple(path for path in found if path.suffix.lower() in suffixes)
    if not wanted:
        raise InputError(f"{place} holds no {' or '.join(suffixes)} file", "check the name and the folder")
    return wanted


def describe(recipe: Recipe) -> Header:
    """What all samples of a recipe share. Raises InputError for an avatar that cannot be read."""
    return Header(
        size=recipe.size,
        skeleton=AVATAR35,
        avatars=tuple(entry_of(read_avatar(path)) for path in recipe.avatars),
        clips=recipe.clips(),
        made_by={
            "seed": recipe.seed,
            "tests": recipe.tests,
            **({"film": recipe.film} if recipe.film > 1 else {}),
            **({"framing": recipe.framing} if recipe.framing else {}),
        },
    )


def entry_of(avatar: Avatar) -> AvatarEntry:
    """What a dataset says of an avatar."""
    licence, own = avatar.licence, reference_palette(avatar)
    return AvatarEntry(
        name=avatar.name,
        licence=licence.licence,
        credit=", ".join(filter(None, (licence.title, *licence.authors))),
        palette=tuple(own.get(part) for part in PARTS),
        proportions=measure(avatar),
        traits={**measure_traits(avatar), "crown": crown_of(avatar, Keypoints(avatar))},
    )


class Studio:
    """Everything that makes a recipe's samples: avatars on the GPU, motions in memory."""

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._renderer = Renderer(recipe.size)
        self._hands = recipe.framing == "hand"
        self._figures = [_Figure(read_avatar(path), self._renderer, hands=self._hands) for path in recipe.avatars]
        self._motions = {path.stem: read_motion(path) for path in recipe.motions}
        self._clips = recipe.clips()
        self._framing = None if recipe.framing is None else FRAMINGS.index(recipe.framing)

    def sample(self, index: int) -> Sample:
        """Make sample ``index``."""
        film, frame_number = divmod(index, self._recipe.film)
        rng = np.random.default_rng((self._recipe.seed, film))
        avatar = film % len(self._figures)
        figure = self._figures[avatar]
        clip = self._choose_clip(rng, test=index < self._recipe.tests)
        first, pose = self._poses(self._motions.get(self._clips[clip].name), frame_number, rng)
        face = random_face(rng)
        posed = figure.posed(pose, face)
        points = figure.keypoints.points(posed)
        view = random_view(rng, self._framing)
        framed = points if frame_number == 0 else figure.keypoints.points(figure.posed(first, face))
        camera = frame(view, framed, figure.crown, self._recipe.size)
        x, y, z = LIGHT + rng.normal(0.0, _LIGHT_SPREAD, 3)
        xy, depth = seen(points, camera)
        return Sample(
            layers=self._renderer.layers(figure.model, posed, camera, (x, y, z), figure.whole),
            xy=xy,
            z=depth,
            visible=np.ones(len(xy), np.float32) if self._hands else _inside(xy, self._recipe.size),
            expression=np.array([getattr(face, name) for name in EXPRESSION], np.float32),
            avatar=avatar,
            clip=clip,
            framing=view.framing,
        )

    def _poses(self, motion: Motion | None, frame_number: int, rng: np.random.Generator) -> tuple[BodyPose, BodyPose]:
        """The pose of a film's first frame, and that of another one; chance decides where in the motion it begins."""
        if motion is None:
            pose = random_pose(rng)
            return pose, pose
        start = int(rng.integers(max(1, len(motion) - round((self._recipe.film - 1) / FILM_RATE * motion.rate))))
        same = copy.deepcopy(rng)  # all frames of a film are changed alike
        first = perturbed(motion[start], rng)
        pose = perturbed(motion.at(start / motion.rate + frame_number / FILM_RATE), same) if frame_number else first
        return first, replace(pose, hips=first.hips)

    def _choose_clip(self, rng: np.random.Generator, *, test: bool) -> int:
        """A clip's number: each kind of motion equally often, then each clip of the kind."""
        source = "test" if test else str(rng.choice(list(CHANCES), p=list(CHANCES.values())))
        if self._recipe.film > 1:  # random poses do not move
            source = {RANDOM: "train", RANDOM_VALIDATION: "validation"}.get(source, source)
        if source in (RANDOM, RANDOM_VALIDATION):
            return [clip.name for clip in self._clips].index(source)
        kinds: dict[str, list[int]] = {}
        for number, clip in enumerate(self._clips):
            if clip.split == source and clip.name in self._motions:
                kinds.setdefault(_kind(clip.name), []).append(number)
        return int(rng.choice(kinds[str(rng.choice(sorted(kinds)))]))


class _Figure:
    """An avatar with all that poses and draws it; of ``hands`` the right one with its forearm, where it is seen."""

    def __init__(self, avatar: Avatar, renderer: Renderer, *, hands: bool) -> None:
        self.avatar = avatar
        self.rig = Rig(avatar)
        self.keypoints = Keypoints(avatar)
        self.crown = crown_of(avatar, self.keypoints)
        self.whole = renderer.load(avatar) if hands else None
        self.model = renderer.load(avatar, triangles_on(avatar, ("rightLowerArm",)) if hands else None)

    def posed(self, pose: BodyPose, face: Expression) -> Posed:
        """The avatar in a pose and with a face, its hair and skirt at rest under gravity."""
        weights = vrm_expressions(face, self.avatar)
        return settle(self.rig, self.rig.apply(pose, weights, (face.gaze_x, face.gaze_y)))


def seen(points: Float32Array, camera: Camera) -> tuple[Float32Array, Float32Array]:
    """Points f32 [35, 3] (metres) as a camera sees them: pixels f32 [35, 2], and depth f32 [35] as ``Pose.z``."""
    xy, distance = camera.project(points)
    hips = points[[AVATAR35.index("left_hip"), AVATAR35.index("right_hip")]].mean(axis=0)
    _, nearness = camera.project(hips[None])
    z = (distance - nearness) * camera.pixels_per_metre(hips)
    return xy, z.astype(np.float32)


def _inside(xy: Float32Array, size: int) -> Float32Array:
    """1 for points f32 [35, 2] that lie on the picture, 0 for others."""
    inside = ((xy >= -0.5) & (xy < size - 0.5)).all(axis=1)
    return np.where(inside, np.float32(1), np.float32(0))


def perturbed(pose: BodyPose, rng: np.random.Generator) -> BodyPose:
    """A pose of a motion, changed a little; motions rarely know fingers, so theirs are drawn."""
    rotations = dict(pose.rotations)
    for bone, degrees in _SWAY.items():
        axis = quaternions.unit(rng.normal(size=3))
        turn = quaternions.about(axis, np.radians(rng.normal(0.0, degrees)))
        rotations[bone] = quaternions.multiply(rotations.get(bone, quaternions.IDENTITY), turn).astype(np.float32)
    rotations |= {bone: turn for bone, turn in random_pose(rng).rotations.items() if _FINGER.search(bone)}
    return replace(pose, rotations=rotations)


def random_face(rng: np.random.Generator) -> Expression:
    """A face: mostly calm, often speaking, at times with the lids down, the eyes anywhere but mostly ahead.

    Both lids move alike, since few avatars can wink; brows move nothing, and what reads them learns so.
    """
    lids = float(rng.uniform(0.0, 0.15) if rng.random() < _CALM_LIDS else rng.uniform(0.3, 1.0))
    mouth = dict.fromkeys(_VOWELS, 0.0)
    if rng.random() < _SPEAKING:
        mouth[str(rng.choice(_VOWELS))] = float(rng.uniform(0.2, 1.0))
    gaze_x, gaze_y = random_look(rng)
    brow = float(np.clip(rng.normal(0.0, 0.3), -1.0, 1.0))
    return Expression(blink_l=lids, blink_r=lids, **mouth, brow=brow, gaze_x=gaze_x, gaze_y=gaze_y)


def _kind(name: str) -> str:
    """What a clip's name says without its numbers: takes of one motion differ in nothing else."""
    return re.sub(r"[\d_]+", "_", name).strip("_")


def generate(recipe: Recipe, folder: Path, count: int, processes: int, on_event: Listener = ignore) -> None:
    """Make ``count`` samples, test samples first, or what is still missing of them.

    Raises InvalidValue where the folder holds another dataset. Progress counts samples, shard by shard.
    """
    writer = DatasetWriter(folder, describe(recipe))
    plan = [(first, min(SHARD, count - first)) for first in range(0, count, SHARD)]
    done = writer.shards
    for shard, (_, samples) in zip(done, plan, strict=False):
        if shard.samples != samples:
            raise UsageError(
                f"{folder} ends with a shard of {shard.samples} samples, so no more can be added",
                "make a new dataset; one that is to grow needs a count that 256 divides",
            )
    tasks = [(number, *plan[number]) for number in range(len(done), len(plan))]
    total = sum(samples for *_, samples in tasks)
    finished, started = 0, time.perf_counter()
    on_event(StageStarted("render", total))
    with closing(_shards(recipe, writer.header, folder, tasks, processes)) as shards:
        for shard in shards:
            writer.add(shard)
            finished += shard.samples
            on_event(Progress("render", finished, total))
    on_event(StageFinished("render", finished, time.perf_counter() - started))


def _shards(recipe: Recipe, header: Header, folder: Path, tasks: Sequence[_Task], processes: int) -> Generator[Shard]:
    """The shards of ``tasks`` as processes finish them, in any order; leaving the generator ends the processes."""
    spawn = SpawnContext()
    workers: dict[Connection, SpawnProcess] = {}
    try:
        for first in range(min(processes, len(tasks))):
            results, sender = spawn.Pipe(duplex=False)
            worker = spawn.Process(
                target=_work, args=(recipe, header, folder, tasks[first::processes], sender), daemon=True
            )
            worker.start()
            sender.close()
            workers[results] = worker
        running = set(workers)
        while running:
            for ready in wait(running):
                assert isinstance(ready, Connection)
                try:
                    result = ready.recv()
                except EOFError:
                    running.remove(ready)
                    _check_end(workers[ready])
                    continue
                if isinstance(result, AnimegenError):
                    raise result
                yield result
    finally:
        for worker in workers.values():
            worker.terminate()
            worker.join()


def _check_end(worker: SpawnProcess) -> None:
    worker.join()
    if worker.exitcode:
        raise AnimegenError(
            f"a process that renders ended with code {worker.exitcode}",
            "run the same command again: it goes on where it stopped",
        )


def _work(recipe: Recipe, header: Header, folder: Path, tasks: Sequence[_Task], results: Connection) -> None:
    """What a process does: make its shards and tell of each. The parent alone hears Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ.setdefault("LP_NUM_THREADS", "0")  # Mesa's software renderer: the processes use the cores already
    try:
        studio = Studio(recipe)
        for number, first, samples in tasks:
            results.send(write_shard(folder, number, header, [studio.sample(first + i) for i in range(samples)]))
    except AnimegenError as error:
        results.send(error)
    except BrokenPipeError:
        pass  # whoever asked for the shards is gone
