"""Poses as pictures: skeletons on a plain ground or over their video, written as a film or a folder of PNGs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from animegen.errors import InputError, OutputError, UsageError
from animegen.jobs import artefact_folder
from animegen.pose.clip import PoseClip
from animegen.pose.draw import draw_pose
from animegen.types import Frame
from animegen.video import open_video
from animegen.video.drawing import write_film

GROUND = (30, 31, 38)
"""RGB behind skeletons that are not drawn over a video."""


def draw_clip(clip: PoseClip, output: Path, over: Path | None = None, *, overwrite: bool = False) -> None:
    """Draw every frame of a clip into ``output``: an mp4, or a folder of PNGs where the name has no suffix.

    ``over`` is the video the poses were taken from. Raises as :func:`check_drawing` does, InputError where ``over``
    does not have the clip's frames, and OutputError where the output cannot be written.
    """
    check_drawing(output, overwrite=overwrite)
    if not len(clip):
        raise InputError(
            "there is no frame to draw in these poses", "`animegen pose extract` writes one for each frame"
        )
    with ExitStack() as stack:
        if over is None:
            grounds = _plain(clip)
        else:
            video = stack.enter_context(open_video(over))
            grounds = _wanted(video.frames(), clip, over)
        frames = (_drawn(ground, clip, i) for i, ground in enumerate(grounds))
        if output.suffix:
            write_film(output, frames, clip.rate)
        else:
            _write_pictures(output, frames)


def check_drawing(output: Path, *, overwrite: bool = False) -> None:
    """Whether :func:`draw_clip` may write ``output``; to be asked before long work.

    Raises UsageError for a name that is neither, and OutputError where something stands there already; only a film
    can be overwritten, a folder never.
    """
    if output.suffix.lower() not in {".mp4", ""}:
        raise UsageError(f"{output.name} is neither an mp4 nor a folder", "use -o NAME.mp4 or -o FOLDER")
    if output.is_dir() or (output.exists() and not output.suffix):
        raise OutputError(f"{output} exists already", "choose another name, or remove it first")
    if output.exists() and not overwrite:
        raise OutputError(f"{output} exists already", "choose another name, or add --overwrite")


def _plain(clip: PoseClip) -> Iterator[Frame]:
    width, height = clip.size
    ground = np.full((height, width, 3), GROUND, np.uint8)
    first = clip.times[0]
    for index, time in zip(clip.frame_indices, clip.times, strict=True):
        yield Frame(index, Fraction(time - first), ground)


def _wanted(frames: Iterable[Frame], clip: PoseClip, over: Path) -> Iterator[Frame]:
    """The video's frames that the clip has poses of, in step with the clip."""
    wanted = iter(clip.frame_indices)
    index = next(wanted, None)
    for frame in frames:
        if index is None:
            return
        if frame.index == index:
            if frame.size != clip.size:
                raise InputError(
                    f"{over} is {frame.size[0]}x{frame.size[1]}, the poses are of {clip.size[0]}x{clip.size[1]}",
                    "give the video they were taken from",
                )
            yield frame
            index = next(wanted, None)
    if index is not None:
        raise InputError(f"{over} ends before frame {index}, which has poses", "give the video they were taken from")


def _drawn(ground: Frame, clip: PoseClip, position: int) -> Frame:
    image = ground.image.copy()
    for pose in clip.poses[position]:
        draw_pose(image, pose)
    return Frame(ground.index, ground.pts, image)


def _write_pictures(folder: Path, frames: Iterable[Frame]) -> None:
    with artefact_folder(folder) as part:
        for frame in frames:
            Image.fromarray(frame.image).save(part / f"{frame.index:06d}.png")
