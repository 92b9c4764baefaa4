"""The first pass of a conversion: decodes the clip and finds poses; ``cast``, the second, finds out whose they are.

For each segment it writes four artefacts: ``shots`` (where cuts are), ``poses`` with their masks, ``crops`` (pictures
of the people, by which they are recognised) and ``scene`` (what the background plates are built from). Decoding, pose
estimation, and collecting all of this run in threads of their own. Since the artefacts are written when a segment is
done, memory does not grow with the clip.
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import partial
from itertools import islice
from pathlib import Path

from animegen.composite import PlateObserver, one_thread_per_call
from animegen.config import ConvertConfig
from animegen.events import Listener, ignore
from animegen.identity import save_crops, take_crop
from animegen.jobs import JobFolder
from animegen.pipeline.adapters import opened
from animegen.pipeline.flow import ahead
from animegen.pipeline.progress import stage
from animegen.pipeline.run import QUEUE_FRAMES, Run, Segment, segments_of, unfinished
from animegen.pipeline.shots import ShotWatch, joined_shots
from animegen.pipeline.stages import resolve
from animegen.plugins import PluginHost
from animegen.pose.clip import PoseClip, join_clips
from animegen.pose.files import PackedMask, save_npz
from animegen.protocols import PoseBackend
from animegen.tracking import track_clip
from animegen.types import Crop, Frame, Pose


def estimate(backend: PoseBackend, frames: Iterable[Frame]) -> Iterator[tuple[Frame, list[Pose]]]:
    """Each of ``frames`` with its poses; the backend may take several frames before it yields poses for the first."""
    waiting: deque[Frame] = deque()

    def taken() -> Iterator[Frame]:
        for frame in frames:
            waiting.append(frame)
            yield frame

    for poses in backend.estimate(taken()):
        yield waiting.popleft(), poses


def estimate_shots(
    backend: PoseBackend, frames: Iterable[Frame], watch: ShotWatch
) -> Iterator[tuple[Frame, list[Pose]]]:
    """The same, with a call of the backend for each shot, so that nobody is followed across a cut."""
    for shot in watch.shots(frames):
        yield from estimate(backend, shot)


@dataclass(slots=True)
class _Found:
    """What was found so far in a segment. The ``poses`` have no masks: these are in ``masks``, in the same order."""

    watch: ShotWatch
    frame_indices: list[int] = field(default_factory=list)
    times: list[Fraction] = field(default_factory=list)
    poses: list[tuple[Pose, ...]] = field(default_factory=list)
    masks: list[PackedMask | None] = field(default_factory=list)
    crops: list[Crop] = field(default_factory=list)

    def add(self, frame: Frame, poses: Sequence[Pose], *, crop: bool) -> None:
        self.frame_indices.append(frame.index)
        self.times.append(frame.pts)
        self.poses.append(tuple(replace(pose, mask=None) for pose in poses))
        self.masks += [PackedMask.of(pose.mask) if pose.mask else None for pose in poses]
        if crop:
            self.crops += [take_crop(frame, pose) for pose in poses]

    def clip(self, size: tuple[int, int], backend: PoseBackend) -> PoseClip:
        nobody: tuple[tuple[None, ...], ...] = tuple((None,) * len(poses) for poses in self.poses)
        return PoseClip(size, backend.skeleton, tuple(self.frame_indices), tuple(self.times), tuple(self.poses), nobody)


def analyse(run: Run) -> None:
    """Analyse every segment whose artefacts are not there yet."""
    with run.stage("analyse", run.frame_count) as advance:
        run.engine.analyse(run, unfinished(run.segments, partial(is_analysed, run), advance), advance)


@one_thread_per_call()
def analyse_segments(run: Run, todo: Sequence[Segment], advance: Callable[[int], None]) -> None:
    """Write the artefacts of consecutive segments; ``advance`` is called with the number of frames that are done."""
    backend = run.stages.pose_backend()
    with (
        closing(ahead(run.video.frames(todo[0].start, todo[-1].stop), run.queue)) as frames,
        ThreadPoolExecutor(1, "animegen-write") as writer,
    ):
        writing = writer.submit(lambda: None)
        for segment in todo:
            observer = PlateObserver(run.size, run.video.info.rate) if run.needs_clean else None
            found = _Found(ShotWatch(segment.start))
            own = islice(frames, len(segment))
            with closing(ahead(estimate_shots(backend, own, found.watch), run.queue)) as people:
                for frame, poses in people:
                    run.check()
                    found.add(frame, poses, crop=frame.index % run.crop_interval == 0)
                    if observer is not None:
                        observer.observe(frame, poses)
                    advance(1)
            writing.result()
            writing = writer.submit(_write, run.job, segment, found, found.clip(run.size, backend), observer)
        writing.result()


def is_analysed(run: Run, segment: Segment) -> bool:
    """Whether all artefacts of a segment are there; ``scene`` is not needed once the plates are built."""
    kinds = ["shots", "poses", "crops", *(["scene"] if run.needs_clean and not run.stands(run.job.plates) else [])]
    return all(run.stands(run.job.segment(kind, segment.index)) for kind in kinds)


def _write(job: JobFolder, segment: Segment, found: _Found, clip: PoseClip, observer: PlateObserver | None) -> None:
    """Write one segment's artefacts."""
    with job.artefact(job.segment("shots", segment.index)) as part:
        found.watch.found().save(part)
    if observer is not None:
        with job.artefact(job.segment("scene", segment.index)) as part:
            observer.finish().save(part)
    with job.artefact(job.segment("crops", segment.index)) as part:
        save_crops(part, found.crops)
    with job.artefact(job.segment("poses", segment.index)) as part:
        save_npz(clip, part, found.masks)


def extract_poses(source: Path | str, *, pose: str = "blazepose", on_event: Listener = ignore) -> PoseClip:
    """Every person's poses in a video, a still or a plugin's source, with track ids and without masks.

    Nothing stays written. Raises what ``convert`` would raise before it begins.
    """
    host, config = PluginHost.load(), ConvertConfig(pose=pose)
    stages = resolve(config, on_event, kinds=("pose", "tracker"), host=host)
    with (
        tempfile.TemporaryDirectory(prefix="animegen-poses-") as folder,
        opened(host, source, Path(folder) / "poses", config) as asked,
    ):
        video = asked.video
        backend, count = stages.pose_backend(), len(video.timeline)
        size = (video.info.width, video.info.height)
        clips, shots = [], []
        with stage("poses", count, on_event) as advance:
            for segment in segments_of(0, count):
                found = _Found(ShotWatch(segment.start))
                with closing(ahead(video.frames(segment.start, segment.stop), QUEUE_FRAMES)) as frames:
                    for frame, poses in estimate_shots(backend, frames, found.watch):
                        found.add(frame, [replace(pose, mask=None) for pose in poses], crop=False)
                        advance(1)
                clips.append(found.clip(size, backend))
                shots.append(found.watch.found())
    clip = join_clips(clips)
    frames_and_poses = zip(clip.frame_indices, clip.poses, strict=True)
    tracks = track_clip(frames_and_poses, stages.tracker, shots=joined_shots(shots, count), width=size[0])
    return clip.with_tracks(tracks)
