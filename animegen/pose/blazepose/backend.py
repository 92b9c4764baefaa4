"""Several people in every frame: found by the detector, followed from frame to frame by their regions."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from animegen.errors import WeightsError
from animegen.pose.blazepose.crops import Silhouette, share_of
from animegen.pose.blazepose.details import Details
from animegen.pose.blazepose.detector import Detector
from animegen.pose.blazepose.face import FaceModel
from animegen.pose.blazepose.faces import FaceDetector
from animegen.pose.blazepose.hand import HandModel
from animegen.pose.blazepose.landmarks import LandmarkModel, Landmarks
from animegen.pose.blazepose.options import BlazePoseOptions
from animegen.pose.blazepose.regions import Region, tiles
from animegen.pose.blazepose.segmenter import Segmenter
from animegen.pose.skeletons import BLAZEPOSE33, BLAZEPOSE75
from animegen.protocols import PluginContext
from animegen.types import Frame, Pose, Uint8Array

_SCALES = (1.0, 1.5, 2.5)
"""Tiles of these scales find people who fill the picture as well as those a quarter as high."""

_SAME_POINTS = 0.5
"""Two looks whose points are more alike than this show one person."""

_SAME_PLACE = 0.6
"""A silhouette of which a larger part belongs to people seen better is no further person."""

_AGREE = 0.8
"""A newcomer's points in two looks are at least this alike: those of a thing taken for a person jump about."""

_PATIENCE = 24
"""Frames for which a person of whom nothing shows is looked for around the last place."""

_HIDDEN = 150
"""Frames for which a person of whom something shows is looked for."""

_LINGER = 3
"""Looks in which the same parts of a hidden person are taken away: the segmentation misses some at times."""

_UPRIGHT = 1.0
"""Radians by which a newcomer beside somebody may be turned: parts of people and cushions are taken for people who lie
or stand on their heads, and somebody half hidden who does so cannot be told from them."""

_TINY = 0.4
"""Size of a newcomer, over that of somebody beside, below which it is the gap between legs rather than a person."""

_NEW = 12
"""Frames for which a newcomer belongs to the mask of whoever is in front as well: a track as short as this is dropped
later on, and the person would show."""

_SURE = 6
"""Frames after which a newcomer is followed backwards: what is no person is lost again sooner as a rule."""

_MISSED = 2
"""Frames in a row in which somebody followed backwards may be missed: who is cut by the edge is seen now and then."""

_BACK = 16
_BACK_BYTES = 64 * 2**20
"""Frames that wait for people of later frames, and how much memory they may take."""

_HEADLONG, _CERTAIN, _UPRIGHT_TOO = math.pi / 2, 0.9, 0.6
"""Radians from which somebody's head is below; the quality from which a newcomer is believed to be so; and how well,
over that quality, any other must be seen upright to be upright: few people stand on their heads, and half a person seen
from behind looks like one who does."""

_NOSE = BLAZEPOSE33.index("nose")
_AT_FACE = 0.3
"""Sides of a face's region within which the nose of whose face it is lies around its middle."""

_SEEN = 0.3
"""Quality below which the points in the picture say too little to be a pose."""

_CROWDED = 0.1
"""Who has others in a larger share of their region than this is looked at once more, without them."""

_WIDER = 1.2
"""Side of the region of that look over that of the person's: with others in it, it was chosen too small for raised
arms."""

_MORE = 0.5
"""The look counts where the scores of the arms' points add up to this much more."""

_ARMS = slice(BLAZEPOSE33.index("left_elbow"), BLAZEPOSE33.index("right_thumb") + 1)


@dataclass(frozen=True, slots=True)
class _Lost:
    """A person out of view: where to look, the frames of the segment when they were missed and last showed, and
    what showed of them lately beside somebody in front of them."""

    region: Region
    since: int
    shown: int
    traces: tuple[Silhouette, ...] = ()

    def sought(self, i: int) -> bool:
        """Whether the person may still come into view again in frame ``i``."""
        return i - self.shown < _PATIENCE and i - self.since < _HIDDEN

    def after(self, i: int, trace: Silhouette) -> _Lost:
        """The same person after frame ``i``: the place moves along with the trace, if anything shows in it."""
        traces = (trace, *self.traces[: _LINGER - 1])
        if trace.area == 0:
            return replace(self, traces=traces)
        x, y = trace.middle
        return replace(self, region=replace(self.region, x=x, y=y), shown=i, traces=traces)


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A frame whose people are not told yet: a newcomer of a later frame may be among them.

    ``behind`` has for each of the people what shows behind them.
    """

    frame: Frame
    people: list[Landmarks]
    behind: list[list[Silhouette]]

    def poses(self) -> list[Pose]:
        """The poses of the frame."""
        return [one.pose(*self.frame.size, behind) for one, behind in zip(self.people, self.behind, strict=True)]


def load_backend(options: BlazePoseOptions, context: PluginContext) -> BlazePose:
    """The backend with its models loaded; raises WeightsError when one is missing or no such model."""

    def path(name: str) -> Path:
        try:
            return context.weights[name]
        except KeyError:
            raise WeightsError(f"the weights '{name}' were not given", "fetch them: `animegen weights pull`") from None

    detector = Detector(path("blazepose-detector"), context.threads)
    faces = FaceDetector(path("face-detector"), context.threads)
    landmarks = LandmarkModel(path("blazepose-landmark-full"), context.threads)
    segmenter = Segmenter(path("selfie-segmentation"), context.threads)
    face = FaceModel(path("face-landmark"), path("iris-landmark"), context.threads) if options.face else None
    hand = HandModel(path("hand-landmark-full"), context.threads) if options.hands else None
    return BlazePose(detector, faces, landmarks, segmenter, options, face=face, hand=hand)


class BlazePose:
    """A pose backend (see :class:`animegen.protocols.PoseBackend`).

    The first frame of a segment is searched in all tiles. Each later frame is searched in one square, the next tile
    or the surroundings of somebody, so that newcomers are found at an even cost. People are looked at from the
    best seen to the worst, each without those before: so someone half hidden is not mistaken for the one in front.
    Whoever stands in a crowd is looked at again without any of the others, whose arms and bodies draw the points.
    What shows of somebody lost beside the person in front of them belongs to that person's mask. Newcomers are
    followed backwards to where they came into view, so frames are told a little later than they are taken. Faces and
    hands are looked at when a frame is told.
    """

    def __init__(
        self,
        detector: Detector,
        faces: FaceDetector,
        landmarks: LandmarkModel,
        segmenter: Segmenter,
        options: BlazePoseOptions,
        *,
        face: FaceModel | None = None,
        hand: HandModel | None = None,
    ) -> None:
        self.skeleton = BLAZEPOSE33 if hand is None else BLAZEPOSE75
        self._detector, self._faces = detector, faces
        self._landmarks = landmarks
        self._segmenter = segmenter
        self._options = options
        self._face, self._hand = face, hand

    def estimate(self, frames: Iterable[Frame]) -> Iterator[list[Pose]]:
        """Yield the poses of each frame of one segment, those longest in view first.

        The faces and hands of a frame are looked at while bodies are followed through the next.
        """
        details = Details(self._face, self._hand)
        before: Future[list[Pose]] | None = None
        with ThreadPoolExecutor(1, "animegen-details") as beside:
            for one in self._people(frames):
                told = before
                before = beside.submit(details.add, one.frame.image, one.poses())
                if told is not None:
                    yield told.result()
            if before is not None:
                yield before.result()

    def _people(self, frames: Iterable[Frame]) -> Iterator[_Waiting]:
        """The bodies of the people of each frame of one segment."""
        people: list[Landmarks] = []
        first: list[tuple[int, Landmarks]] = []
        lost: list[_Lost] = []
        waiting: deque[_Waiting] = deque()
        for i, frame in enumerate(frames):
            seen = self._follow(frame.image, people)
            gone = [person.next for k, person in enumerate(people) if k not in seen]
            people, first = [seen[k] for k in sorted(seen)], [first[k] for k in sorted(seen)]
            lost = [_Lost(region, i, i) for region in gone] + [one for one in lost if one.sought(i)]
            found = self._find(frame.image, self._squares(i, frame.size, people, lost), people)
            found = [look for look in found if not _doubtful(look, people)]
            lost = [one for one in lost if not any(one.region.near(look.next) for look in found)]
            people = (people + found)[: self._options.max_people]
            first = (first + [(i, look) for look in found])[: len(people)]
            people = self._alone(frame.image, people)
            new = [k for k, (since, _) in enumerate(first) if since and i - since < _NEW]
            lost = self._trace(frame.image, lost, i, people)
            for newcomer in [look for since, look in first if since == i - _SURE]:
                self._follow_back(newcomer, list(waiting)[:-_SURE])
            waiting.append(_Waiting(frame, [*people], [_behind(k, people, lost, new) for k in range(len(people))]))
            if len(waiting) > min(_BACK, _BACK_BYTES // frame.image.nbytes):
                yield waiting.popleft()
        yield from waiting

    def _squares(
        self, i: int, size: tuple[int, int], people: Sequence[Landmarks], lost: Sequence[_Lost]
    ) -> list[Region]:
        """Where frame ``i`` of a segment is searched: everywhere at first, then in one square at a time.

        Whoever was lost in this frame is looked for at once. Every second frame is searched around somebody lost or
        somebody in view, from behind whom people come forth.
        """
        places = [one.region.surroundings for one in lost if one.since == i]
        turn, rest = divmod(i, self._options.detect_every)
        if places or rest:
            return places
        around = [one.region for one in lost] + [person.next for person in people]
        half, odd = divmod(turn, 2)
        if around and odd:
            return [around[half % len(around)].surroundings]
        every = [tile for scale in _SCALES for tile in tiles(*size, scale)]
        return [every[(half if around else turn) % len(every)]] if turn else every

    def _follow(self, image: Uint8Array, people: Sequence[Landmarks]) -> dict[int, Landmarks]:
        """The people still in view by their position."""
        seen: dict[int, Landmarks] = {}
        for k in sorted(range(len(people)), key=lambda k: -people[k].quality):
            look = self._look(image, people[k].next, list(seen.values()))
            if look is not None:
                seen[k] = look
        return seen

    def _alone(self, image: Uint8Array, people: Sequence[Landmarks]) -> list[Landmarks]:
        """The same people; who stands in a crowd as seen without all others, where that shows more of their arms.

        From the best seen to the worst: an arm that one turns out to have raised is not taken for the next one's.
        """
        alone = list(people)
        for k in sorted(range(len(people)), key=lambda k: -people[k].quality):
            person, others = people[k], [one for j, one in enumerate(alone) if j != k]
            if share_of(person.next, [one.silhouette for one in others]) < _CROWDED:
                continue
            look = self._look(image, replace(person.next, side=_WIDER * person.next.side), others)
            if look is not None and look.likeness(person) > _SAME_POINTS and _arms(look) - _arms(person) > _MORE:
                alone[k] = look
        return alone

    def _follow_back(self, newcomer: Landmarks, waiting: Sequence[_Waiting]) -> None:
        """Add a newcomer to the frames before, from the last on, as far back as the person is seen."""
        person, missed = newcomer, 0
        for one in reversed(waiting):
            look = self._look(one.frame.image, person.next, one.people)
            missed = missed + 1 if look is None else 0
            if missed > _MISSED or len(one.people) == self._options.max_people:
                return
            if look is not None:
                one.people.append(look)
                one.behind.append([])
                person = look

    def _trace(self, image: Uint8Array, lost: Sequence[_Lost], i: int, people: Sequence[Landmarks]) -> list[_Lost]:
        """The lost people with what shows of them in frame ``i``; each is looked for in every second frame."""
        known = [person.silhouette for person in people]
        fronts = [None if (i - one.since) % 2 else _front(one, people) for one in lost]
        traces = {k: self._segmenter.beside(image, known[k], known) for k in fronts if k is not None}
        return [one if k is None else one.after(i, traces[k]) for one, k in zip(lost, fronts, strict=True)]

    def _find(self, image: Uint8Array, squares: Sequence[Region], known: Sequence[Landmarks]) -> list[Landmarks]:
        """People seen in the squares who are not among the known ones, best seen first.

        The detector misses many who stand close together or raise their arms; a face that is nobody's tells of them.
        Each is looked at twice: the landmark model refines the region, and only what it sees alike both times is a
        person.
        """
        hidden = [one.silhouette for one in known]
        faces = self._faces.detect_in(image, squares, hidden)
        regions = self._detector.detect(image, squares, self._options.min_detection, hidden)
        seen = [self._look_twice(image, region, known) for region in regions]
        whose = [*known, *(look for look in seen if look is not None)]
        seen += [self._look_below(image, face, known) for face in faces if not any(_has(one, [face]) for one in whose)]
        there = [look for look in seen if look is not None]
        found: list[Landmarks] = []
        for look in sorted(there, key=lambda look: (_has(look, faces), _evidence(look)), reverse=True):
            again = self._look_twice(image, look.next, [*known, *found]) if self._same(look, found) else look
            if again is not None:
                found.append(self._upright(image, again, [*known, *found]))
        return found

    def _upright(self, image: Uint8Array, look: Landmarks, better: Sequence[Landmarks]) -> Landmarks:
        """The same newcomer the right way up, where that is seen nearly as well."""
        if abs(look.next.angle) < _HEADLONG or look.quality >= _CERTAIN:
            return look
        other = self._look_twice(image, replace(look.next, angle=0.0), better)
        if other is None or abs(other.next.angle) >= _HEADLONG or other.quality < _UPRIGHT_TOO * look.quality:
            return look
        return other

    def _look_below(self, image: Uint8Array, face: Region, known: Sequence[Landmarks]) -> Landmarks | None:
        """The newcomer with a face, whose body is where that tells: roughly, so one more look leads there.

        A face may be left over of somebody known: a look that has it not is no newcomer.
        """
        first = self._look(image, face.body, known)
        look = first and self._look_twice(image, first.next, known)
        return look if look and _has(look, [face]) else None

    def _look_twice(self, image: Uint8Array, region: Region, better: Sequence[Landmarks]) -> Landmarks | None:
        """The second of two looks for a person who is none of those seen better, or None where they disagree."""
        first = self._look(image, region, better)
        second = first and self._look(image, first.next, better)
        return second if first and second and first.likeness(second) > _AGREE else None

    def _look(self, image: Uint8Array, region: Region, better: Sequence[Landmarks]) -> Landmarks | None:
        """The person in a region who is none of those seen better, or None."""
        look = self._landmarks.look(image, region, [other.silhouette for other in better])
        there = look.presence >= self._options.min_presence and look.quality >= _SEEN
        return look if there and not self._same(look, better) else None

    def _same(self, look: Landmarks, others: Sequence[Landmarks]) -> bool:
        """Whether a look shows one of the others or a part of them."""
        return (
            any(look.likeness(other) > _SAME_POINTS for other in others)
            or look.silhouette.share_in([other.silhouette for other in others]) > _SAME_PLACE
        )


def _arms(look: Landmarks) -> float:
    """How much is seen of a person's arms and hands."""
    return float(look.score[_ARMS].sum())


def _evidence(look: Landmarks) -> float:
    """How much of the picture a look explains, and how well: a whole person comes before a limb taken for one."""
    return look.quality**2 * look.silhouette.area


def _has(look: Landmarks, faces: Sequence[Region]) -> bool:
    """Whether a look has one of the faces: two people taken for one mostly have none."""
    x, y = look.xy[_NOSE].tolist()
    return any(math.hypot(face.x - x, face.y - y) < _AT_FACE * face.side for face in faces)


def _front(lost: _Lost, people: Sequence[Landmarks]) -> int | None:
    """Position of the person behind whom a lost one may be: the nearest whose region holds the lost one's place."""
    near = [(one.next.distance(lost.region) / one.next.side, k) for k, one in enumerate(people)]
    away, nearest = min(near, default=(math.inf, 0))
    return nearest if away < 0.5 else None


def _doubtful(look: Landmarks, people: Sequence[Landmarks]) -> bool:
    """Whether a newcomer is beside or behind somebody in view, but not upright, or tiny against them."""
    beside = [one.next.side for one in people if one.next.distance(look.next) < one.next.side / 2]
    return bool(beside) and (abs(look.next.angle) > _UPRIGHT or look.next.side < _TINY * max(beside))


def _behind(k: int, people: Sequence[Landmarks], lost: Sequence[_Lost], new: Sequence[int]) -> list[Silhouette]:
    """What shows behind the person at position ``k``: lost people, and new ones who may soon be lost again."""
    traces = [trace for one in lost if one.traces and _front(one, people) == k for trace in one.traces]
    front = people[k].next
    beside = [people[j] for j in new if j != k and front.distance(people[j].next) < front.side / 2]
    return traces + [person.silhouette for person in beside]
