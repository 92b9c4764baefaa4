"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from animegen.config import ConvertConfig

F = TypeVar("F", bound=Callable[..., Any])


class Seconds(click.ParamType[Fraction]):
    """A time: seconds (``12.5``), or ``MM:SS`` and ``HH:MM:SS`` with fractions of a second."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Fraction:
        """Parse a time into exact seconds."""
        if isinstance(value, Fraction):
            return value
        try:
            parts = [Fraction(part) for part in str(value).split(":")]
        except (ValueError, ZeroDivisionError):
            parts = []
        if not 1 <= len(parts) <= 3 or any(part < 0 for part in parts):
            self.fail(f"'{value}' is no time: write seconds, MM:SS or HH:MM:SS", param, ctx)
        total = Fraction(0)
        for part in parts:
            total = total * 60 + part
        return total


class Source(click.ParamType[str]):
    """A video file, or what a plugin's source is called: text as it was given, since a path would change addresses."""

    name = "video"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Refuse what cannot be meant: a path would take no name at all for the folder one stands in."""
        if not value:
            self.fail("a name is empty; is a variable of the shell not set?", param, ctx)
        if value == "-":
            self.fail("standard input is no file, and a video is read more than once", param, ctx)
        return str(value)


def _settings(ctx: click.Context, param: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"'{pair}' is not KEY=VALUE", ctx, param)
        settings[key] = value
    return settings


SETTINGS_OPTION = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    callback=_settings,
    help="An option of the style (see `animegen styles`), a backend or the background; several allowed.",
)
"""``--set``, of every command that converts or measures a conversion."""

_CONVERT_OPTIONS = (
    click.option(
        "-o",
        "--output",
        type=click.Path(path_type=Path),
        help="Output file, or a folder for PNG pictures; default: IN-anime beside the input.",
    ),
    click.option("--style", default="anime", show_default=True, help="How people are drawn; see `animegen styles`."),
    click.option(
        "--cast",
        type=click.Path(path_type=Path),
        help="Follow a cast file of `animegen cast`: who is drawn how, who is left or hidden.",
    ),
    click.option("--pose", default="blazepose", show_default=True, help="How poses are found; see `animegen plugins`."),
    click.option(
        "--face", default="facemesh", show_default=True, help="How faces are found, for styles that draw them."
    ),
    click.option("--tracker", default="oks", show_default=True, help="Who is who from frame to frame."),
    click.option(
        "--identity", default="appearance", show_default=True, help="How people are recognised who come back."
    ),
    click.option(
        "--background",
        default="clean",
        show_default=True,
        help="clean (people removed), keep, blur, anime, color:#rrggbb, or the path of a picture or video.",
    ),
    click.option("--start", type=Seconds(), help="Begin here: seconds, MM:SS or HH:MM:SS."),
    click.option("--end", type=Seconds(), help="End here: seconds, MM:SS or HH:MM:SS."),
    click.option("--max-people", type=click.IntRange(min=1), help="Draw only those longest on screen."),
    click.option(
        "--on-lost",
        type=click.Choice(["interpolate", "hold", "fade", "source"]),
        default="interpolate",
        show_default=True,
        help="Where a pose fails: interpolate, then fade; hold; fade; or show the source, and so the person.",
    ),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where networks run.",
    ),
    click.option("--seed", type=int, default=0, show_default=True, help="Seed of all that is drawn by chance."),
    SETTINGS_OPTION,
    click.option("--codec", help="h264, hevc, vp9, av1 or prores; default: what is usual for the output."),
    click.option("--crf", type=click.IntRange(0, 63), help="Quality; smaller is better. Default: 16 to 22, by codec."),
    click.option("--preset", help="Encoder preset, such as fast or slow."),
    click.option("--alpha", is_flag=True, help="Only the avatars, on a transparent background."),
    click.option("--reencode-audio", is_flag=True, help="Re-encode sound that the output cannot carry."),
    click.option("--convert-subtitles", is_flag=True, help="Convert subtitles that the output cannot carry."),
    click.option("--drop-streams", is_flag=True, help="Leave out streams that the output cannot carry."),
    click.option("--salvage", is_flag=True, help="Convert the readable part of a damaged input."),
    click.option(
        "--segment-frames",
        type=click.IntRange(min=1),
        default=240,
        show_default=True,
        help="About how many frames are worked on and stored together.",
    ),
    click.option("--threads", type=click.IntRange(min=1), help="Threads that one network may use; default: up to 4."),
    click.option(
        "--engine",
        type=click.Choice(["local", "ray"]),
        default="local",
        show_default=True,
        help="Where segments are worked on: here, or by Ray workers.",
    ),
    click.option("--workers", type=click.IntRange(min=1), help="How many Ray workers; default: one for each thread."),
    click.option("--address", metavar="ADDRESS", help="A Ray cluster; default: one that is started on this machine."),
    click.option("--overwrite", is_flag=True, help="Replace a finished file under the output's name."),
    click.option(
        "--keep", is_flag=True, help="Keep encoded segments in the job folder too: a changed cast then costs less."
    ),
    click.option("--discard-job", is_flag=True, help="Remove the job folder when the output is finished."),
    click.option("--restart", is_flag=True, help="Throw the job folder away and begin anew."),
    click.option("--json", "as_json", is_flag=True, help="One event a line, as JSON."),
    click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors."),
)

ENCODE_OPTIONS = ("codec", "crf", "preset", "alpha", "reencode_audio", "convert_subtitles", "drop_streams")


def convert_options(function: F) -> F:
    """Add every option that shapes a conversion."""
    for option in reversed(_CONVERT_OPTIONS):
        function = option(function)
    return function


def config_of(values: dict[str, Any]) -> ConvertConfig:
    """The request from the options' values. Raises UsageError where they contradict each other."""
    from animegen.config import ConvertConfig, EncodeConfig
    from animegen.errors import InvalidValue, UsageError

    try:
        encode = EncodeConfig(**{name: values.pop(name) for name in ENCODE_OPTIONS if name in values})
        return ConvertConfig(encode=encode, **values)
    except InvalidValue as error:
        raise UsageError(str(error), error.hint) from error
