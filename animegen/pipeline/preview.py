"""``animegen convert --preview``: converts a few frames spread over the clip, to PNGs and a contact sheet."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from math import ceil, sqrt
from pathlib import Path

import numpy as np
from PIL import Image

from animegen.config import ConvertConfig
from animegen.errors import OutputError
from animegen.events import Finished, Listener
from animegen.jobs import artefact, beside
from animegen.pipeline.convert import find_people
from animegen.pipeline.prepare import begun
from animegen.pipeline.render import scene_of
from animegen.pipeline.run import Run
from animegen.pose.files import open_npz
from animegen.types import Frame, Pose, Uint8Array

SHEET_WIDTH = 1920
"""Width of the contact sheet in pixels."""


def preview(
    source: Path | str,
    output: Path | None,
    config: ConvertConfig,
    count: int,
    on_event: Listener | None = None,
    *,
    cancel: threading.Event | None = None,
) -> Path:
    """Write ``count`` frames spread over the clip to a folder beside the output, ``OUT-preview``, and return it.

    The whole clip is analysed, as identities and the background need it; the conversion itself then goes on from
    the same job folder, and an output that stands is left alone. Raises OutputError where the folder exists, unless
    ``config.overwrite``.
    """
    with begun(source, output, replace(config, overwrite=True), on_event, cancel) as run:
        folder = beside(output or run.plan.output, "preview")
        if folder.exists() and not config.overwrite:
            raise OutputError(f"{folder} exists already", "choose another name with -o, or add --overwrite")
        for old in folder.glob("frame_*.png"):
            old.unlink()
        scene = scene_of(find_people(run), run.stages)
        pictures = []
        with run.stage("preview", count) as advance:
            for index in spread(run.segments[0].start, run.segments[-1].stop, count):
                frame = next(iter(run.video.frames(index, index + 1)))
                (drawn,) = scene.draw([frame], {index: _raw(run, index)})
                picture = scene.compose(drawn)
                _save(folder / f"frame_{index:06d}.png", picture.image)
                pictures.append(picture)
                advance(1)
        _save(folder / "contact.png", contact_sheet(pictures))
        run.on_event(Finished(str(folder)))
        return folder


def spread(start: int, stop: int, count: int) -> list[int]:
    """At most ``count`` frame indices of ``start .. stop - 1``, evenly apart, each in the middle of its share."""
    count = min(count, stop - start)
    return [start + (2 * i + 1) * (stop - start) // (2 * count) for i in range(count)]


def contact_sheet(pictures: Sequence[Frame]) -> Uint8Array:
    """The pictures in rows, scaled down to a sheet :data:`SHEET_WIDTH` pixels wide."""
    columns = ceil(sqrt(len(pictures)))
    width, height = pictures[0].size
    tile = (SHEET_WIDTH // columns, max(1, round(SHEET_WIDTH / columns * height / width)))
    sheet = Image.new("RGB", (tile[0] * columns, tile[1] * ceil(len(pictures) / columns)))
    for i, picture in enumerate(pictures):
        small = Image.fromarray(picture.image).resize(tile, Image.Resampling.LANCZOS)
        sheet.paste(small, (i % columns * tile[0], i // columns * tile[1]))
    return np.asarray(sheet)


def _raw(run: Run, index: int) -> Sequence[Pose]:
    segment = next(s for s in run.segments if s.start <= index < s.stop)
    return open_npz(run.job.segment("poses", segment.index))[index]


def _save(path: Path, image: Uint8Array) -> None:
    with artefact(path) as part:
        Image.fromarray(image).save(part, format="PNG")
