"""A quality report as files: the figures as JSON, and a page with the worst frames that needs no other file."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from animegen.colour import lab_to_rgb
from animegen.composite import compose, pixelated
from animegen.errors import OutputError
from animegen.events import Listener, ignore
from animegen.jobs import write_text
from animegen.pipeline.page import image_tag, number, page, plain, table
from animegen.pipeline.report import LIMITS, SAMPLES, SCORE, Look, Pictures, Report, report_folder, report_job
from animegen.pose.draw import draw_pose
from animegen.types import PARTS, Frame, Palette, PartColour, Pose, Uint8Array
from animegen.video import VideoFile, open_video

JSON_NAME, PAGE_NAME = "report.json", "report.html"

WORST = 3
"""Frames shown of each person by pose, and as many by flicker."""

_HEIGHT = 220
"""Height in pixels of each picture of a worst frame."""
_AROUND = 0.2
"""Surroundings of a person that are shown, as a share of the box's longer side."""


def check_report_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise OutputError where a report stands already and may not be replaced, or a file has the folder's name."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file", "name a folder with -o")
    if not overwrite and any((folder / name).exists() for name in (JSON_NAME, PAGE_NAME)):
        raise OutputError(f"a report stands in {folder} already", "pass --overwrite, or name another folder with -o")


def write_report(report: Report, pictures: Pictures, folder: Path) -> None:
    """Write ``report.json`` and ``report.html`` into a folder, which is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / PAGE_NAME, page("Quality of a conversion", "\n".join(_body(report, pictures))))
    write_text(folder / JSON_NAME, json.dumps(plain(report.figures), indent=1, ensure_ascii=False) + "\n")


def write_job_report(job: Path, folder: Path, *, samples: int = SAMPLES, on_event: Listener = ignore) -> Report:
    """Measure the finished conversion of a job and write its report into a folder; raises what measuring does."""
    with report_job(job, samples=samples, on_event=on_event) as (report, pictures):
        write_report(report, pictures, folder)
    return report


def report_results(jobs: Sequence[Path], on_event: Listener) -> list[Path]:
    """Measure finished jobs and write each one's report where :func:`report_folder` says; returns the folders."""
    folders = []
    for job in jobs:
        write_job_report(job, report_folder(job), on_event=on_event)
        folders.append(report_folder(job))
    return folders


def _body(report: Report, pictures: Pictures) -> Iterator[str]:
    figures = report.figures
    yield "<h1>Quality of a conversion</h1>"
    yield f"<p>{escape(figures['output'])} from {escape(figures['source'])}, {figures['frames']} frames</p>"
    yield f"<p>Score: {number(figures['score'])} of 100</p>"
    yield table(
        ("", *LIMITS, "frames", "samples"),
        [
            (
                _title(person),
                *(number(person["limits"][name]) for name in LIMITS),
                str(person["frames"]),
                str(person["samples"]),
            )
            for person in figures["people"]
        ],
    )
    notes = "; ".join(f"{name}: {limit.title}" for name, limit in LIMITS.items())
    yield f'<p class="note">{escape(notes)}. {SCORE}</p>'
    if pictures.hidden:
        yield '<p class="note">Whom the cast hides is under a mosaic in the pictures of the source, too.</p>'
    with open_video(pictures.source) as source, open_video(pictures.output) as output:
        for person in figures["people"]:
            yield f"<h2>{escape(_title(person))}</h2>"
            yield from _details(person, *report.palettes[person["key"]])
            yield from _worst(report.looks[person["key"]], pictures, person["key"], source, output)


def _title(person: Mapping[str, Any]) -> str:
    return f"{person['key']}, {person['avatar'] or person['style']}"


def _details(person: Mapping[str, Any], asked: Palette, found: Palette | None) -> Iterator[str]:
    rows = []
    for name in ("output", "source"):
        pose, unrest = person["pose"][name], person["flicker"][name]
        cells = [pose["oks"]["mean"], pose["oks"]["worst"], pose["degrees"]["mean"], pose["found"]]
        rows.append((name, *map(number, (*cells, unrest["mean"], unrest["worst"]))))
    columns = ("", "pose similarity", "worst", "limbs off, degrees", "found", "flicker", "worst")
    yield table(columns, rows)
    yield (
        '<p class="note">The pose is estimated again in single frames of the output, and in the same way of the '
        "source, and compared with the one that was asked for. Flicker is the change between two frames that motion "
        "does not explain, in steps of 0..255.</p>"
    )
    yield _colours(person["colour"]["parts"], asked, found)
    yield _lost(person["lost"])


def _colours(errors: Mapping[str, float], asked: Palette, found: Palette | None) -> str:
    rows = "".join(
        f"<tr><td>{part}</td><td>{_swatch(asked.part(part))}</td>"
        f"<td>{_swatch(found.part(part)) if found is not None and part in errors else '-'}</td>"
        f"<td>{number(errors.get(part))}</td></tr>"
        for part in PARTS
    )
    return f"<table><tr><th></th><th>asked</th><th>found</th><th>CIEDE2000</th></tr>{rows}</table>"


def _swatch(colour: PartColour) -> str:
    red, green, blue = (int(value) for value in lab_to_rgb(colour.lab))
    return f'<span class="colour" style="background:#{red:02x}{green:02x}{blue:02x}"></span>'


def _lost(lost: Mapping[str, Any]) -> str:
    if not lost["spans"]:
        return "<p>The pose was found in every frame.</p>"
    rows = [(f"{s['first']} - {s['last']}", s["why"], s["done"]) for s in lost["spans"]]
    return table(("frames", "why", "done"), rows)


def _worst(looks: Sequence[Look], pictures: Pictures, key: str, source: VideoFile, output: VideoFile) -> Iterator[str]:
    """The frames whose pose is farthest from the asked one, and those that flicker most."""
    ways: tuple[tuple[str, Callable[[Look], float], str], ...] = (
        ("pose", lambda look: 1.0 - look.output.oks, "similarity {:.2f}"),
        ("flicker", lambda look: look.output_flicker, "{:.1f} of 255"),
    )
    track = pictures.tracks[key]
    for name, badness, caption in ways:
        measured = [look for look in looks if math.isfinite(badness(look))]
        yield f"<h3>Worst frames by {name}</h3>"
        for look in sorted(measured, key=lambda look: (-badness(look), look.frame))[:WORST]:
            pose = track.poses[track.frame_indices.index(look.frame)]
            shown = look.frame - pictures.start
            images = [_covered(next(source.frames(look.frame, look.frame + 1)), pictures.hidden.get(look.frame, ()))]
            images.append(next(output.frames(shown, shown + 1)).image)
            value = look.output.oks if name == "pose" else look.output_flicker
            text = f"frame {look.frame}, {caption.format(value)}"
            strip = Image.fromarray(np.hstack([_around(image, pose) for image in images]))
            yield f"<figure>{image_tag(strip, 'JPEG')}<figcaption>{escape(text)}</figcaption></figure>"


def _covered(frame: Frame, hidden: Sequence[Pose]) -> Uint8Array:
    """A frame of the source without those who must not be seen: all of each, whoever stands before them."""
    return compose(frame.image, [pixelated(frame.image, pose, 0.0) for pose in hidden])


def _around(image: Uint8Array, pose: Pose) -> Uint8Array:
    """A person's part of a frame with the asked pose drawn in."""
    drawn = image.copy()
    draw_pose(drawn, pose)
    margin = _AROUND * float(np.ptp(pose.bbox.reshape(2, 2), axis=0).max())
    height, width = image.shape[:2]
    left, top = np.clip(np.floor(pose.bbox[:2] - margin), 0, (width - 1, height - 1)).astype(int)
    right, bottom = np.clip(np.ceil(pose.bbox[2:] + margin), (left + 1, top + 1), (width, height)).astype(int)
    window = Image.fromarray(drawn[top:bottom, left:right])
    return np.asarray(window.resize((max(1, round(window.width * _HEIGHT / window.height)), _HEIGHT)))
