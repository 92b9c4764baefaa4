"""The third pass: decode again, draw everyone, lay them over the background, encode segment by segment.

Decoding, drawing, composing and encoding overlap, also from one segment to the next: while the encoder finishes one,
the first frames of the next are made. Composing runs in several threads; everything keeps the order of the frames.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Collection, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from animegen.composite import compose, compose_alpha, cut_out, faded, one_thread_per_call, pixelated
from animegen.identity import Drawing, Treatment, take_crop
from animegen.jobs import digest_of
from animegen.memory import give_back_memory, giving_back
from animegen.pipeline.cast import Cast, Person
from animegen.pipeline.flow import ahead, batched, ordered_map
from animegen.pipeline.run import BATCH_FRAMES, Run, Segment, unfinished
from animegen.pipeline.stages import Stages
from animegen.pose.files import open_npz
from animegen.protocols import Background, BackgroundRequest, Style
from animegen.types import Frame, Pose, RenderRequest, Sprite, Uint8Array
from animegen.video import SegmentWriter

MOST_COMPOSERS = 16
"""Threads that compose at most: each holds a few frames, and one encoder takes no more than these can give."""


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """A frame with its people's poses and sprites, before it is composed."""

    frame: Frame
    poses: tuple[Pose, ...]
    sprites: tuple[Sprite, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A person in a frame: what which style is asked for, how opaque its answer is, and whether the source shows.

    Who is to be hidden is neither drawn nor shown, but covered.
    """

    request: RenderRequest
    drawing: Drawing
    treatment: Treatment
    opacity: float
    shown: bool


class Scene:
    """Everything that turns a source frame into an output picture."""

    def __init__(
        self, cast: Cast, styles: Mapping[Drawing, Style], background: Background, needs_crop: Collection[Drawing]
    ) -> None:
        self._styles = styles
        self._background = background
        self._plates = cast.plates
        self._needs_crop = needs_crop
        self._by_frame: dict[int, list[tuple[Person, int]]] = {}
        for person in cast.people:
            for place, index in enumerate(person.track.frame_indices):
                self._by_frame.setdefault(index, []).append((person, place))

    def draw(self, frames: Iterable[Frame], raw: Mapping[int, Sequence[Pose]]) -> Iterator[Drawn]:
        """The frames with everyone drawn, in order. ``raw`` has the poses with masks by frame index."""
        for batch in batched(frames, BATCH_FRAMES):
            parts = [self._parts(frame, raw.get(frame.index, ())) for frame in batch]
            drawn = iter(self._sprites([part for people in parts for part in people if part.opacity > 0.0]))
            for frame, people in zip(batch, parts, strict=True):
                layers = [sprite for part in people for sprite in _layers(frame, part, people, drawn)]
                removed = tuple(part.request.pose for part in people if not part.shown)
                yield Drawn(frame, removed, tuple(layers))

    def _sprites(self, parts: Sequence[_Part]) -> list[Sprite]:
        """What the styles draw for the people, each in that of the person."""
        found: dict[int, Sprite] = {}
        for drawing, style in self._styles.items():
            places = [i for i, part in enumerate(parts) if part.drawing == drawing]
            sprites = style.render([parts[i].request for i in places]) if places else []
            found.update(zip(places, sprites, strict=True))
        return [found[i] for i in range(len(parts))]

    def _parts(self, frame: Frame, raw: Sequence[Pose]) -> list[_Part]:
        parts = []
        for person, place in self._by_frame.get(frame.index, ()):
            pose = person.masked(place, raw)
            request = RenderRequest(
                identity=person.identity,
                prepared=person.prepared,
                pose=pose,
                frame_index=frame.index,
                time=frame.pts,
                size_px=float(pose.bbox[3] - pose.bbox[1]),
                order=person.order[place],
                frame_crop=take_crop(frame, pose) if person.drawing in self._needs_crop else None,
            )
            drawn = person.treatment == "draw"
            opacity = person.opacity[place] if drawn else 0.0
            shown = person.shown[place] if drawn else person.treatment == "skip"
            parts.append(_Part(request, person.drawing, person.treatment, opacity, shown))
        return _covered(parts)

    def compose(self, drawn: Drawn) -> Frame:
        """The output picture of one frame."""
        request = BackgroundRequest(drawn.frame, drawn.poses, partial(self._clean, drawn))
        picture = compose(self._background.render(request), drawn.sprites)
        return Frame(drawn.frame.index, drawn.frame.pts, picture)

    def _clean(self, drawn: Drawn) -> Uint8Array:
        return drawn.frame.image if self._plates is None else self._plates.clean(drawn.frame, drawn.poses)


def _covered(parts: Sequence[_Part]) -> list[_Part]:
    """The people of a frame with the hidden before all whom the source shows: cut-outs have more in them than one."""
    front = max((part.request.order for part in parts if part.shown), default=None)
    if front is None:
        return list(parts)
    return [
        replace(part, request=replace(part.request, order=max(part.request.order, front + 1.0)))
        if part.treatment == "blur"
        else part
        for part in parts
    ]


def _layers(frame: Frame, part: _Part, people: Sequence[_Part], drawn: Iterator[Sprite]) -> Iterator[Sprite]:
    """The sprites of one person: the source where it shows, and over it the next that was drawn where any was."""
    pose, order = part.request.pose, part.request.order
    others = [other.request.pose for other in people if other is not part]
    if part.treatment == "blur":
        yield pixelated(frame.image, pose, order, others)
    if part.shown:
        yield cut_out(frame.image, pose, order, others)
    if part.opacity > 0.0:
        yield faded(next(drawn), part.opacity)


def scene_of(cast: Cast, stages: Stages) -> Scene:
    """The scene of a cast with the styles and the background of a run."""
    drawings = {person.drawing for person in cast.people if person.treatment == "draw"}
    own = {drawing: stages.of(drawing) for drawing in sorted(drawings)}
    needs_crop = {drawing for drawing, stage in own.items() if stage.specs["style"].needs_crop}
    styles = {drawing: stage.style() for drawing, stage in own.items()}
    return Scene(cast, styles, stages.background(), needs_crop)


def render(run: Run, cast: Cast) -> list[Path]:
    """Encode every segment that is not finished yet; returns the segments' files in order."""
    files = segment_files(run, cast)
    with run.stage("render", run.frame_count) as advance:
        todo = unfinished(run.segments, lambda segment: run.stands(files[segment.index]), advance)
        run.engine.render(run, cast, files, todo, advance)
    return files


@one_thread_per_call()
def render_segments(
    run: Run, scene: Scene, files: Sequence[Path], todo: Sequence[Segment], advance: Callable[[int], None]
) -> None:
    """Encode consecutive segments into those of ``files`` that their indices name; ``advance`` counts their frames."""
    with (
        closing(ahead(run.video.frames(todo[0].start, todo[-1].stop), run.queue)) as frames,
        closing(ahead(_drawn(run, scene, todo, frames), run.queue)) as drawn,
        closing(_composed(run, scene, drawn)) as pictures,
    ):
        for segment in todo:
            with SegmentWriter(run.plan, files[segment.index]) as writer:
                for picture in giving_back(islice(pictures, len(segment))):
                    run.check()
                    _write(writer, picture)
                    advance(1)
            run.job.seal(files[segment.index])
            give_back_memory()


def segment_files(run: Run, cast: Cast) -> list[Path]:
    """The file of every segment, named after all that its pixels depend on: what stands is what would be made.

    So a person whose entry in the cast changes costs the segments that show them, and no other.
    """
    looks = [
        digest_of(run.stages.of(p.drawing).fingerprint("style"), p.identity, p.treatment, p.prepared)
        for p in cast.people
    ]
    names, rendering = [], run.fingerprint["rendering"]
    for segment in run.segments:
        shown = [_within(person, segment) for person in cast.people]
        content = [(look, frames) for look, frames in zip(looks, shown, strict=True) if frames]
        names.append(run.job.segment("video", segment.index, f"-{digest_of(rendering, content)}"))
    return names


def _within(person: Person, segment: Segment) -> list[tuple[object, ...]]:
    """Everything of a person that changes from frame to frame, for the frames of a segment."""
    track = person.track
    first, last = (bisect_left(track.frame_indices, index) for index in (segment.start, segment.stop))
    whole = (track.frame_indices, track.poses, person.order, person.opacity, person.shown, person.slots)
    masks = (person.masks.get(place) for place in range(first, last))
    return list(zip(*(values[first:last] for values in whole), masks, strict=True))


def _drawn(run: Run, scene: Scene, segments: Iterable[Segment], frames: Iterator[Frame]) -> Iterator[Drawn]:
    """The frames of consecutive segments with everyone drawn; the next segment is drawn while one is finished."""
    for segment in segments:
        raw = open_npz(run.job.segment("poses", segment.index))
        yield from scene.draw(islice(frames, len(segment)), raw)


def _composed(run: Run, scene: Scene, drawn: Iterable[Drawn]) -> Generator[Frame | Uint8Array, None, None]:
    """The output pictures in order: frames, or for a transparent output the avatars alone as uint8 [H, W, 4]."""

    def compose(item: Drawn) -> Frame | Uint8Array:
        return compose_alpha(item.frame.size, item.sprites) if run.plan.alpha else scene.compose(item)

    workers = min(run.cores, MOST_COMPOSERS)
    return ordered_map(compose, drawn, workers, workers + 2)


def _write(writer: SegmentWriter, picture: Frame | Uint8Array) -> None:
    if isinstance(picture, Frame):
        writer.write(picture)
    else:
        writer.write_rgba(picture)
