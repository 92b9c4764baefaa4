"""``--style anime-face``: people as they were filmed, with the face that an anime generator draws of theirs.

Where the stages face and stylegan2 meet: a face is followed through the clip and cut out aligned, its latents are
sought in a generator of faces, another that shares its base draws them, and the result is laid over the frame in the
colours and the outline of the face that was there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.ndimage import uniform_filter1d

from animegen.errors import PluginError, UsageError
from animegen.events import Warned
from animegen.face.align import cut_square, moved_face, moved_square, steady
from animegen.face.course import Course, follow
from animegen.face.options import ANIME, BASE, AnimeFaceOptions
from animegen.face.paste import (
    LIGHT_SIDE,
    MASK_SIDE,
    blended,
    colours_of,
    drawn_mask,
    face_mask,
    in_colours,
    layer,
    light_of,
    softened,
    usual_mask,
)
from animegen.pipeline.flow import batched
from animegen.pipeline.progress import stage
from animegen.protocols import FaceBackend, PluginContext, Style
from animegen.stylegan2.blend import blend_files
from animegen.stylegan2.inversion import InversionOptions, w_statistics
from animegen.stylegan2.model import StyleGan2, to_image, to_picture
from animegen.stylegan2.training import precision
from animegen.stylegan2.video_inversion import RATE, VideoOptions, invert_video
from animegen.types import (
    Crop,
    Face,
    Float32Array,
    Float64Array,
    Identity,
    Pose,
    Prepared,
    RenderRequest,
    Sprite,
    Track,
    Uint8Array,
)

MOST_FRAMES, MOST_BYTES = 480, 2**30
"""Frames of a person in which latents are sought at most, and the memory that their pictures may take; of longer clips
so many, spread evenly, and between them the latents change evenly."""

_LOOKED_AT = 16
"""Heads that are handed to the face backend at once."""
_HEAD_SIDE = 5.0
"""Side of a head's picture over the distance of the body's outermost point of the head from the middle of all."""
_NEAR = 0.2
"""How far the middle of a face may lie from that of these points, in sides of the head's picture."""
_MASK_FRAMES = 5
"""Frames over which outlines are averaged."""
_MEAN_WEIGHT = 0.03
"""Of the search for latents: what no face of the generator has is not to be sought with latents that none of its faces
has."""
_NO_MOVE = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])


def make_style(options: AnimeFaceOptions | None, context: PluginContext) -> Style:
    """The style with the pair of generators of the context.

    Raises WeightsError where one cannot be read, UsageError where they are no pair or draw something else than faces in
    RGB.
    """
    options = options or AnimeFaceOptions()
    base = StyleGan2.load(context.weights[BASE], context.device, threads=context.threads)
    if base.config.channels != 3 or base.config.c_dim:
        raise UsageError(f"{context.weights[BASE]} draws no RGB, or several classes", "name a generator of faces")
    pair = blend_files(context.weights[BASE], context.weights[ANIME], options.swap)
    if context.faces is None:
        raise PluginError("the style anime-face was made without a face backend")
    anime = StyleGan2(pair.generator, "", device=context.device)
    return AnimeFaceStyle(base, anime, context.faces, options, context)


@dataclass(frozen=True, slots=True, eq=False)
class _Cut:
    """The faces of a course: ``masks`` uint8 [N, S, S] their outlines, soft, ``colours`` f32 [N, 2, 3] and ``lights``
    f32 [N, L, L, 3] as :func:`colours_of` and :func:`light_of` tell them, and of some, the ``chosen``, aligned
    ``pictures`` uint8 [M, r, r, 3]."""

    masks: Uint8Array
    colours: Float32Array
    lights: Float32Array
    chosen: tuple[int, ...]
    pictures: Uint8Array


class AnimeFaceStyle:
    """Draws faces; implements :class:`animegen.protocols.Style`."""

    def __init__(
        self,
        base: StyleGan2,
        anime: StyleGan2,
        faces: Callable[[], FaceBackend],
        options: AnimeFaceOptions,
        context: PluginContext,
    ) -> None:
        self._base, self._anime, self._faces, self._options = base, anime, faces, options
        self._check, self._on_event = context.check, context.on_event

    def prepare(self, identity: Identity, track: Track, crops: Sequence[Crop]) -> Prepared:
        """The person's face in every frame of the pictures that shows it well enough: place, look and latents."""
        poses = dict(zip(track.frame_indices, track.poses, strict=True))
        frames = [crop.frame_index for crop in crops]
        found = self._find(poses, crops)
        course = follow(found, frames)
        if not course.places:
            self._on_event(Warned(f"no face of {identity.key} is seen well enough to be drawn: it stays as filmed"))
        cut = self._cut_out(poses, crops, found, course)
        return {
            "frame_indices": np.array([frames[place] for place in course.places], np.int64),
            "squares": course.squares,
            "strength": course.strength,
            "masks": cut.masks,
            "colours": cut.colours,
            "lights": cut.lights,
            "ws": self._latents(cut),
        }

    def render(self, requests: Sequence[RenderRequest]) -> list[Sprite]:
        """One sprite per request, the square of the face; nothing where no face can be drawn."""
        return [self._sprite(request) for request in requests]

    @cached_property
    def _mean(self) -> Float32Array:
        """The latents of the mean face, f32 [num_ws, w_dim]."""
        mean: Float32Array = w_statistics(self._base)[0].cpu().numpy()
        return np.repeat(mean[None], self._base.config.num_ws, axis=0)

    @cached_property
    def _drawn(self) -> Uint8Array:
        """Where the pictures that are laid over the frames show face: what lies around stays as it was filmed."""
        return drawn_mask(to_image(self._anime.draw(self._mean[None])[0]), self._options.longer)

    def _sprite(self, request: RenderRequest) -> Sprite:
        prepared = request.prepared
        places = np.flatnonzero(prepared["frame_indices"] == request.frame_index)
        if not places.size:
            return Sprite(np.zeros((1, 1, 4), np.uint8), _NO_MOVE.copy(), request.order)
        masks, squares, colours, lights, strength, ws = (
            prepared[name][places[0]] for name in ("masks", "squares", "colours", "lights", "strength", "ws")
        )
        picture = to_image(self._anime.draw(ws[None])[0])
        longer = self._options.longer
        rgba, to_frame = layer(picture, masks, squares, colours, lights, strength=float(strength), stretch=longer)
        return Sprite.from_straight(rgba, to_frame, request.order)

    def _find(self, poses: Mapping[int, Pose], crops: Sequence[Crop]) -> list[Face | None]:
        """The person's own face in every picture, in pixels of the frame."""
        backend, own = self._faces(), []
        with stage("faces", len(crops), self._on_event) as advance:
            for batch in batched(crops, _LOOKED_AT):
                self._check()
                heads = [_head(crop) for crop in batch]
                shown = [crop.image[head.window] for crop, head in zip(batch, heads, strict=True) if head]
                found = iter(backend.find(shown))
                for crop, head in zip(batch, heads, strict=True):
                    face = head.own(next(found)) if head else None
                    own.append(face and moved_face(face, _to_frame(crop, poses[crop.frame_index])))
                advance(len(batch))
        return own

    def _cut_out(
        self, poses: Mapping[int, Pose], crops: Sequence[Crop], found: Sequence[Face | None], course: Course
    ) -> _Cut:
        """The faces of a course, steadied; a frame in which none was found has the outline of the one before."""
        side, count, longer = self._base.config.resolution, len(course.places), self._options.longer
        most = min(MOST_FRAMES, MOST_BYTES // (12 * side**2))
        chosen = tuple(np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist())
        pictures = np.empty((len(chosen), side, side, 3), np.uint8)
        masks = np.empty((count, MASK_SIDE, MASK_SIDE), np.uint8)
        colours = np.empty((count, 2, 3), np.float32)
        lights = np.empty((count, LIGHT_SIDE, LIGHT_SIDE, 3), np.float32)
        rows = {place: row for row, place in enumerate(course.places)}
        for place, crop in enumerate(crops):
            if (row := rows.get(place)) is None:
                continue
            square, face = course.squares[row], found[place]
            to_crop = _inverted(_to_frame(crop, poses[crop.frame_index]))
            picture = cut_square(crop.image, moved_square(square, to_crop), side, longer)
            if row in chosen:
                pictures[chosen.index(row)] = picture
            masks[row] = masks[row - 1] if face is None else self._outline(face_mask(face, square, longer))
            colours[row], lights[row] = colours_of(picture, masks[row]), light_of(picture, masks[row])
        for part in course.stretches():
            colours[part], lights[part] = steady(colours[part]), steady(lights[part])
            masks[part] = uniform_filter1d(masks[part], _MASK_FRAMES, axis=0, mode="nearest")
        return _Cut(masks, colours, lights, chosen, pictures)

    def _outline(self, mask: Uint8Array) -> Uint8Array:
        """The outline of a filmed face, softened, as far as a face is drawn there."""
        return np.minimum(softened(mask), self._drawn)

    def _latents(self, cut: _Cut) -> Float32Array:
        """The latents of all faces, f32 [N, num_ws, w_dim], nearer to the mean face than they were found.

        What lies outside of a face is that of the mean face while they are sought, and the colours are its, so that the
        search has only the face to explain, as the generator could draw it.
        """
        mean, count = self._mean, len(cut.masks)
        if not count:
            return np.zeros((0, *mean.shape), np.float32)
        usual = to_image(self._base.draw(mean[None])[0])
        wanted = colours_of(usual, self._outline(usual_mask(self._options.longer)))
        targets = [
            to_picture(blended(in_colours(picture, cut.colours[row], wanted), usual, cut.masks[row]))
            for row, picture in zip(cut.chosen, cut.pictures, strict=True)
        ]
        found = self._sought(np.stack(targets))
        columns = found.reshape(len(found), -1).T
        ws = np.stack([np.interp(np.arange(count), cut.chosen, column) for column in columns], axis=1)
        near = mean + self._options.near * (ws.reshape(count, *mean.shape) - mean)
        return np.asarray(near, np.float32)

    def _sought(self, targets: Float32Array) -> Float32Array:
        """The latents with which the base draws pictures f32 [M, 3, r, r] most nearly, f32 [M, num_ws, w_dim]."""
        half = precision("auto", self._base.device)
        search = InversionOptions(steps=self._options.steps, learning_rate=RATE, half=half)
        options = VideoOptions(search=search, mean_weight=_MEAN_WEIGHT)
        with stage("latents", search.steps, self._on_event) as advance:

            def on_step(step: int, distance: float) -> None:  # noqa: ARG001
                self._check()
                advance(1)

            return invert_video(self._base, targets, options, on_step=on_step).ws


@dataclass(frozen=True, slots=True)
class _Head:
    """Where the body's points say that the head is in a crop: the square of ``side`` pixels around (``x``, ``y``)."""

    x: float
    y: float
    side: float

    @property
    def window(self) -> tuple[slice, slice]:
        """Rows and columns of the crop."""
        left, top = max(0, round(self.x - self.side / 2)), max(0, round(self.y - self.side / 2))
        return slice(top, top + round(self.side)), slice(left, left + round(self.side))

    def own(self, faces: Sequence[Face]) -> Face | None:
        """The face in the window that is the head's own, in pixels of the crop."""
        rows, columns = self.window
        placed = [moved_face(face, np.array([[1.0, 0.0, columns.start], [0.0, 1.0, rows.start]])) for face in faces]
        near = [
            (self._apart(face), place) for place, face in enumerate(placed) if self._apart(face) < _NEAR * self.side
        ]
        return placed[min(near)[1]] if near else None

    def _apart(self, face: Face) -> float:
        x, y = face.points.mean(axis=0).tolist()
        return float(np.hypot(x - self.x, y - self.y))


def _head(crop: Crop) -> _Head | None:
    """The head of a crop's person, or None where its pose knows too little of it or it lies outside of the picture."""
    words = {"nose", "eye", "ear", "mouth"}
    names = crop.pose.skeleton.points
    known = [i for i, name in enumerate(names) if words & set(name.split("_")) and crop.pose.score[i] > 0]
    if len(known) < 2:
        return None
    points = crop.pose.xy[known]
    x, y = points.mean(axis=0).tolist()
    side = _HEAD_SIDE * float(np.hypot(*(points - [x, y]).T).max())
    head = _Head(x, y, side)
    return head if crop.image[head.window].size else None


def _to_frame(crop: Crop, pose: Pose) -> Float64Array:
    """f64 [2, 3] from a crop's pixels to the frame's, by the person's box in both."""
    inner, outer = (box.astype(np.float64).reshape(2, 2) for box in (crop.pose.bbox, pose.bbox))
    scale = (outer[1] - outer[0]) / np.maximum(inner[1] - inner[0], 1e-6)
    return np.column_stack([np.diag(scale), outer[0] - scale * inner[0]])


def _inverted(affine: Float64Array) -> Float64Array:
    turn = np.linalg.inv(affine[:, :2])
    return np.column_stack([turn, -turn @ affine[:, 2]])
