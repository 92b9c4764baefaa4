"""``animegen cast``: runs the first pass and tracking, and writes who the people are, as a file and as pictures."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from animegen.colour import palette_rgb
from animegen.config import ConvertConfig
from animegen.errors import OutputError
from animegen.events import Finished, Listener, Warned, ignore
from animegen.identity import CastFile, Member, Seen, write_cast
from animegen.jobs import artefact, write_text
from animegen.memory import share_one_heap
from animegen.pipeline.analyse import analyse
from animegen.pipeline.cast import find_who
from animegen.pipeline.page import image_tag, page
from animegen.pipeline.prepare import begun
from animegen.pipeline.who import Known, cast_of
from animegen.types import PARTS, Crop

THUMBNAILS = 6
"""Most pictures of one person, spread over the clip."""

_THUMBNAIL = (132, 176)
_TEXT_WIDTH = 280
_PAD = 12
_GROUND, _INK, _FAINT = (250, 250, 250), (30, 30, 30), (110, 110, 110)


@dataclass(frozen=True, slots=True)
class CastFiles:
    """What stands after a cast was made: the file to edit, a contact sheet, a page, and each person's pictures.

    ``job`` is the folder with the analysis, from which the conversion goes on.
    """

    cast: Path
    sheet: Path
    page: Path
    pictures: Path
    job: Path = Path()
    people: tuple[str, ...] = ()


def make_cast(
    source: Path | str,
    output: Path | None = None,
    config: ConvertConfig | None = None,
    on_event: Listener | None = None,
    cancel: threading.Event | None = None,
    *,
    target: Path | None = None,
) -> CastFiles:
    """Analyse a video once and write ``output`` (a cast file), and beside it a sheet, a page and pictures of everyone.

    Without ``output`` the file is named after the source, or after ``target`` where that is no file, and stands beside
    it. The analysis stays in the job folder of ``target``, by default that of the conversion that gets no output's
    name, so that this conversion goes on from it. ``config.cast`` is a cast of other videos whose people are recognised
    and kept. Raises AnimegenError; nothing of the user's is replaced unless ``config.overwrite``.
    """
    share_one_heap()
    config, on_event = config or ConvertConfig(), on_event or ignore
    path = Path(source)
    output = output or _beside(path if path.exists() or target is None else target)
    files = CastFiles(
        output,
        output.with_suffix(".png"),
        output.with_suffix(".html"),
        output.with_name(f"{output.stem}-pictures"),
    )
    if output.suffix != ".toml":
        raise OutputError(f"{output} is no name of a cast file", "use -o NAME.toml")
    if not config.overwrite:
        for path in (files.cast, files.sheet, files.page, files.pictures):
            if path.exists():
                raise OutputError(f"{path} exists already", "choose another name with -o, or add --overwrite")
    wanted = replace(config, overwrite=True)
    with begun(source, target, wanted, on_event, cancel, record=config.cast is not None) as claimed:
        # without a cast to go by, who is in the clip is found out anew, whatever its job says of them
        run = claimed if config.cast is not None else replace(claimed, known=CastFile(style=config.style))
        analyse(run)
        with run.stage("cast"):
            people = find_who(run)
        if not people:
            on_event(Warned("nobody was found in this clip: the cast is empty"))
        found = cast_of(run, people)
    _write(files, found, people, path.name if path.exists() else str(source))
    on_event(Finished(str(output)))
    return replace(files, job=claimed.job.root, people=tuple(person.member.key for person in people))


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.stem}-cast.toml")


def _write(files: CastFiles, cast: CastFile, people: Sequence[Known], title: str) -> None:
    strips = {person.identity.key: _thumbnails(person.crops) for person in people}
    files.pictures.mkdir(parents=True, exist_ok=True)
    for key, thumbnails in strips.items():
        with artefact(files.pictures / f"{key}.png") as part:
            _strip(thumbnails).save(part, format="PNG")
    members = tuple(
        _with_pictures(member, files.pictures) if member.key in strips else member for member in cast.members
    )
    rows = [(member, strips[member.key], palette) for member, palette in _rows(members, people)]
    with artefact(files.sheet) as part:
        _sheet([_row(member, thumbnails, palette) for member, thumbnails, palette in rows]).save(part, format="PNG")
    write_text(files.page, _page(rows, title, files.cast.name))
    with artefact(files.cast) as part:
        write_cast(part, replace(cast, members=members))


def _with_pictures(member: Member, folder: Path) -> Member:
    if member.seen is None:
        return member
    return replace(member, seen=replace(member.seen, pictures=f"{folder.name}/{member.key}.png"))


def _rows(members: Sequence[Member], people: Sequence[Known]) -> list[tuple[Member, list[tuple[int, int, int]]]]:
    palettes = {person.identity.key: palette_rgb(person.identity.palette) for person in people}
    colours = {key: [(int(r), int(g), int(b)) for r, g, b in np.rint(255 * rgb)] for key, rgb in palettes.items()}
    return [(member, colours[member.key]) for member in members if member.key in colours]


def _thumbnails(crops: Sequence[Crop]) -> list[Image.Image]:
    """A few pictures of a person, spread evenly over those there are."""
    places = np.unique(np.linspace(0, len(crops) - 1, THUMBNAILS).round().astype(int)) if crops else ()
    return [ImageOps.pad(Image.fromarray(crops[i].image), _THUMBNAIL, color=_GROUND) for i in places]


def _strip(thumbnails: Sequence[Image.Image]) -> Image.Image:
    width, height = _THUMBNAIL
    strip = Image.new("RGB", (max(1, len(thumbnails)) * width, height), _GROUND)
    for i, picture in enumerate(thumbnails):
        strip.paste(picture, (i * width, 0))
    return strip


def _facts(member: Member) -> list[str]:
    """What is told of a person beside the pictures."""
    seen = member.seen or Seen(0, 0, 0.0)
    facts = [f"frames {seen.first_frame} to {seen.last_frame}, {seen.seconds:.1f} s on screen"]
    facts.append({"draw": f"style {member.style}", "skip": "left as in the source", "blur": "hidden"}[member.treatment])
    return facts + ([f"avatar {member.avatar}"] if member.avatar else [])


def _row(member: Member, thumbnails: Sequence[Image.Image], colours: Sequence[tuple[int, int, int]]) -> Image.Image:
    width = _TEXT_WIDTH + THUMBNAILS * _THUMBNAIL[0] + 2 * _PAD
    row = Image.new("RGB", (width, _THUMBNAIL[1] + 2 * _PAD), _GROUND)
    draw = ImageDraw.Draw(row)
    title = f"{member.key}  {member.name}".strip()
    draw.text((_PAD, _PAD), title, _INK, ImageFont.load_default(22))
    for i, fact in enumerate(_facts(member)):
        draw.text((_PAD, _PAD + 36 + 20 * i), fact, _FAINT, ImageFont.load_default(14))
    side = (_TEXT_WIDTH - 2 * _PAD) // len(PARTS)
    for i, (part, colour) in enumerate(zip(PARTS, colours, strict=True)):
        left, top = _PAD + i * side, row.height - _PAD - 46
        draw.rectangle((left, top, left + side - 4, top + 26), colour, (160, 160, 160))
        draw.text((left, top + 30), part, _FAINT, ImageFont.load_default(11))
    row.paste(_strip(thumbnails), (_TEXT_WIDTH + _PAD, _PAD))
    return row


def _sheet(rows: Sequence[Image.Image]) -> Image.Image:
    if not rows:
        return Image.new("RGB", (_TEXT_WIDTH, _THUMBNAIL[1]), _GROUND)
    sheet = Image.new("RGB", (rows[0].width, sum(row.height for row in rows)), _GROUND)
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _page(
    rows: Sequence[tuple[Member, Sequence[Image.Image], Sequence[tuple[int, int, int]]]], title: str, cast: str
) -> str:
    """The same as the sheet, as one HTML page that needs no other file."""
    body = [f"<h1>{escape(title)}</h1>"]
    body.append(
        f'<p class="note">Edit <code>{escape(cast)}</code>, then run '
        f"<code>animegen convert {escape(title)} --cast {escape(cast)}</code>.</p>"
    )
    for member, thumbnails, colours in rows:
        name = f" {escape(member.name)}" if member.name else ""
        body.append(f"<h2><code>{escape(member.key)}</code>{name}</h2><p>{escape('; '.join(_facts(member)))}</p>")
        body.append("<p>" + " ".join(_swatch(part, c) for part, c in zip(PARTS, colours, strict=True)) + "</p>")
        body.append("".join(f"<figure>{image_tag(picture, 'JPEG')}</figure>" for picture in thumbnails))
    return page(f"The cast of {title}", "\n".join(body))


def _swatch(part: str, colour: tuple[int, int, int]) -> str:
    code = "#{:02x}{:02x}{:02x}".format(*colour)
    return f'<span class="colour" style="background:{code}"></span> {part} <code>{code}</code>'
