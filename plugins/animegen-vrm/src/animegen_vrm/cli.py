"""``animegen vrm``: what an avatar file holds, avatars in motion as films, and training data."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from animegen.cli import console

if TYPE_CHECKING:
    from animegen.types import Part
    from animegen_vrm.model import Avatar

Rgb = tuple[float, float, float]
"""sRGB 0..1."""

_PATH = click.Path(path_type=Path)
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace an output that exists.")
_PROCESSES = click.option(
    "--processes",
    type=click.IntRange(1, 64),
    default=lambda: os.cpu_count() or 1,
    show_default="one for each processor",
    help="How many render side by side.",
)
_QUIET = click.option("--quiet", is_flag=True, help="Say nothing but warnings and errors.")


class _Colour(click.ParamType[Rgb]):
    """A colour ``#rrggbb`` as sRGB 0..1."""

    name = "#rrggbb"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Rgb:
        """Parse a colour."""
        if not re.fullmatch("#[0-9a-fA-F]{6}", str(value)):
            self.fail(f"'{value}' is no colour: write #rrggbb", param, ctx)
        red, green, blue = (int(value[i : i + 2], 16) / 255 for i in (1, 3, 5))
        return red, green, blue


def _palette(ctx: click.Context, param: click.Parameter, pairs: tuple[str, ...]) -> dict[Part, Rgb]:
    """``PART=#rrggbb``, several times or separated by commas."""
    from animegen.types import PARTS

    colours: dict[Part, Rgb] = {}
    for pair in (piece for text in pairs for piece in text.split(",")):
        name, equals, colour = pair.partition("=")
        part = next((part for part in PARTS if part == name.strip()), None)
        if part is None or not equals:
            raise click.BadParameter(f"'{pair}' is not PART=#rrggbb; the parts are {', '.join(PARTS)}", ctx, param)
        colours[part] = _Colour().convert(colour.strip(), param, ctx)
    return colours


def _names(ctx: click.Context, param: click.Parameter, text: str) -> tuple[str, ...]:  # noqa: ARG001
    return tuple(name.strip() for name in text.split(",") if name.strip())


@click.group()
def vrm() -> None:
    """Look into VRM avatars, render them, and make training data of them."""


@vrm.command()
@click.argument("avatar", type=_PATH)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def info(avatar: Path, *, as_json: bool) -> None:
    """Say what an avatar file holds."""
    from animegen_vrm.read import read_avatar

    told = _described(read_avatar(avatar))
    if as_json:
        console.print_json(told)
        return
    for name, value in told.items():
        if name == "materials":
            click.echo("materials")
            for material in value:
                click.echo(f"  {material['name']}: {material['part'] or 'keeps its colours'}, {material['alpha']}")
        elif isinstance(value, dict):
            click.echo(f"{name}\n" + "\n".join(f"  {key}: {each:.4g}" for key, each in value.items()))
        else:
            click.echo(f"{name}: {', '.join(value) if isinstance(value, list) else value}")


def _described(avatar: Avatar) -> dict[str, Any]:
    from animegen_vrm.proportions import measure

    licence = avatar.licence
    return {
        "name": avatar.name,
        "version": avatar.version,
        "title": licence.title,
        "authors": list(licence.authors),
        "licence": licence.licence,
        "credit": "required" if licence.credit_required else "not required",
        "triangles": sum(len(primitive.triangles) for primitive in avatar.primitives),
        "images": len(avatar.images),
        "bones": sorted(avatar.humanoid),
        "expressions": list(avatar.expressions),
        "springs": len(avatar.springs),
        "spring bones": sum(len(spring.nodes) for spring in avatar.springs),
        "look at": avatar.look_at.by,
        "materials": [
            {"name": material.name, "part": material.part, "alpha": material.alpha_mode}
            for material in avatar.materials
        ],
        "proportions": {name: float(value) for name, value in measure(avatar).items()},
    }


@vrm.command()
@click.argument("avatar", type=_PATH)
@click.argument("motion", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help=".mp4, .webm, .mov, .gif, .png, or a folder of PNGs.")
@click.option("--size", type=click.IntRange(16, 4096), default=512, show_default=True, help="Side in pixels.")
@click.option("--transparent", is_flag=True, help="Without a ground; for .webm, .mov, .png and folders.")
@click.option("--ground", type=_Colour(), default="#e8e6ef", show_default=True, help="Colour behind the avatar.")
@click.option(
    "--camera", type=click.Choice(["follow", "still"]), default="follow", show_default=True, help="How it moves."
)
@click.option("--yaw", default=20.0, show_default=True, help="Degrees from the front, to the avatar's left.")
@click.option("--pitch", type=click.FloatRange(-80, 80), default=8.0, show_default=True, help="Degrees from above.")
@click.option("--rate", type=click.IntRange(1, 240), default=30, show_default=True, help="Frames a second.")
@click.option(
    "--palette", multiple=True, metavar="PART=#rrggbb", callback=_palette, help="Colour a part, such as hair=#d04060."
)
@_OVERWRITE
@_QUIET
def render(output: Path, *, quiet: bool, **options: Any) -> None:
    """Render an avatar that moves as a BVH or VRMA motion says."""
    from animegen.cli.progress import listener
    from animegen_vrm.film import FilmRequest, render_film

    with listener(quiet=quiet) as tell:
        render_film(FilmRequest(output=output, **options), tell)
    click.echo(output)


@vrm.command()
@click.argument("avatars", type=_PATH)
@click.argument("motions", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The dataset's folder.")
@click.option("--count", required=True, type=click.IntRange(min=1), help="Samples to train and validate on.")
@click.option("--size", type=click.Choice(["64", "128", "256", "512"]), default="256", show_default=True, help="Side.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Decides every sample.")
@_PROCESSES
@click.option("--hold-out", default="", metavar="NAME,...", callback=_names, help="Motions for testing only.")
@click.option("--test-count", type=click.IntRange(min=0), default=0, show_default=True, help="Samples of those.")
@click.option(
    "--film",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Consecutive frames in a row, for `animegen evaluate avatar --films`.",
)
@click.option(
    "--framing",
    type=click.Choice(["full", "half", "head", "loose", "face", "hand"]),
    help="What all pictures show; default: all but faces and hands, by chance.",
)
@_QUIET
def dataset(avatars: Path, motions: Path, output: Path, *, quiet: bool, **options: Any) -> None:
    """Render training data: every avatar of a folder in poses of every motion of a folder and in random ones.

    Run again, it goes on where it stopped, and makes a finished dataset larger where --count has grown.
    """
    from animegen.cli.progress import listener
    from animegen_vrm.dataset import Recipe, files, generate

    count, tests = options["count"], options["test_count"]
    recipe = Recipe(
        avatars=files(avatars, (".vrm",)),
        motions=files(motions, (".bvh", ".vrma")),
        size=int(options["size"]),
        seed=options["seed"],
        hold_out=options["hold_out"],
        tests=tests,
        film=options["film"],
        framing=options["framing"],
    )
    with listener(quiet=quiet) as tell:
        generate(recipe, output, tests + count, options["processes"], tell)
    click.echo(f"{output}: {count} samples to train and validate on, {tests} to test on")


@vrm.command()
@click.argument("avatars", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The pictures' folder.")
@click.option("--count", required=True, type=click.IntRange(min=1), help="Number of pictures.")
@click.option("--look", required=True, type=click.Choice(["soft", "toon"]), help="Matt, or two tones with outlines.")
@click.option("--size", type=click.IntRange(16, 1024), default=64, show_default=True, help="Side in pixels.")
@_QUIET
def heads(avatars: Path, output: Path, *, count: int, quiet: bool, **options: Any) -> None:
    """Render heads cut out as FFHQ's faces are, for `animegen stylegan2 train`.

    Picture N shows what the latent of seed N says, in both looks: `animegen stylegan2 fit` teaches a generator so. Run
    again, the command goes on where it stopped.
    """
    from animegen.cli.progress import listener
    from animegen_vrm.dataset import files
    from animegen_vrm.heads import HeadRecipe, make_heads

    with listener(quiet=quiet) as tell:
        make_heads(HeadRecipe(files(avatars, (".vrm",)), **options), output, count, tell)
    click.echo(f"{output}: {count} pictures")


@vrm.command()
@click.argument("avatars", type=_PATH)
@click.option("-o", "--output", required=True, type=_PATH, help="The .safetensors file.")
@click.option(
    "--count", type=click.IntRange(100, 75_000), default=50_000, show_default=True, help="About so many an avatar."
)
@click.option(
    "--skirt", default="", metavar="NAME,...", callback=_names, help="Write these in a skirt as well, as NAME-skirt."
)
@click.option(
    "--shorts",
    default="",
    metavar="NAME,...",
    callback=_names,
    help="Write these in shorts and without a tie as well, as NAME-shorts.",
)
@click.option("--no-tie", default="", metavar="NAME,...", callback=_names, help="Leave the ties of these off.")
@click.option("--round-ears", default="", metavar="NAME,...", callback=_names, help="Let these have round ears, too.")
@_OVERWRITE
@_QUIET
def rigged(
    avatars: Path, output: Path, *, count: int, skirt: tuple[str, ...], shorts: tuple[str, ...],
    no_tie: tuple[str, ...], round_ears: tuple[str, ...], overwrite: bool, quiet: bool,
) -> None:  # fmt: skip
    """Turn every avatar of a folder into small facets on bones, as the style anime draws them."""
    from animegen.avatar.rigged_files import save_rigged
    from animegen.cli.progress import listener
    from animegen.errors import OutputError, UsageError
    from animegen.pipeline.progress import stage
    from animegen.pose.skeletons import AVATAR35
    from animegen_vrm.dataset import files
    from animegen_vrm.garments import SHORTS_SUFFIX, SUFFIX, with_shorts, with_skirt, without_tie
    from animegen_vrm.hems import with_bound_hems
    from animegen_vrm.read import read_avatar
    from animegen_vrm.rigged import rigged_of

    if output.exists() and not overwrite:
        raise OutputError(f"{output} stands already", "choose another name with -o; --overwrite replaces it")
    paths, made = files(avatars, (".vrm",)), []
    names = [path.stem for path in paths]
    garments = (("--skirt", skirt, SUFFIX, with_skirt), ("--shorts", shorts, SHORTS_SUFFIX, with_shorts))
    changes = (("--skirt", skirt), ("--shorts", shorts), ("--no-tie", no_tie), ("--round-ears", round_ears))
    for option, told in changes:
        if unknown := sorted(set(told) - set(names)):
            raise UsageError(f"no avatar is named {', '.join(unknown)}", f"{option} takes some of {', '.join(names)}")
    for option, worn, suffix, _ in garments:
        if twice := sorted({name + suffix for name in worn} & set(names)):
            raise UsageError(
                f"{', '.join(twice)} would be there twice", f"rename that file, or leave it out of {option}"
            )
    with listener(quiet=quiet) as tell, stage("facets", len(paths), tell) as advance:
        for path in paths:
            avatar = with_bound_hems(read_avatar(path))
            looks = [without_tie(avatar) if path.stem in no_tie else avatar]
            looks += [dressed(avatar) for _, worn, _, dressed in garments if path.stem in worn]
            made += [rigged_of(look, count, round_ears=path.stem in round_ears) for look in looks]
            advance(1)
    save_rigged(output, made, AVATAR35)
    click.echo(f"{output}: {sum(len(each.corners) for each in made):,} facets of {len(made)} avatars")


@vrm.command()
@click.argument("avatars", type=_PATH, nargs=-1, required=True)
@click.option("--size", type=click.IntRange(16, 4096), default=256, show_default=True, help="Side in pixels.")
@click.option("--rounds", type=click.IntRange(min=1), default=5, show_default=True, help="Rounds of 32 pictures.")
@_PROCESSES
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def bench(avatars: tuple[Path, ...], size: int, rounds: int, processes: int, *, as_json: bool) -> None:
    """Time the rendering of training data: layers with outlines and anti-aliasing, masks and keypoints."""
    from dataclasses import asdict

    from animegen_vrm.bench import bench_vrm

    result = bench_vrm(avatars, size, rounds, processes)
    if as_json:
        console.print_json(asdict(result))
        return
    click.echo(f"{result.renderer}, {size} px, processes: {processes}; {result.machine}")
    for rate in result.rates:
        spread = f"{rate.slowest:.0f} to {rate.fastest:.0f}"
        click.echo(f"  {rate.avatar}: {rate.median:.0f} images/s ({spread}), {rate.triangles:,} triangles")


def check_rendering() -> tuple[bool, str]:
    """Whether avatars can be rendered here, for ``animegen doctor``."""
    from animegen.errors import AnimegenError
    from animegen_vrm.context import open_context

    try:
        context = open_context()
    except AnimegenError as error:
        return False, f"{error}; {error.hint}" if error.hint else str(error)
    told = f"OpenGL {context.version_code // 100}.{context.version_code // 10 % 10}, {context.info['GL_RENDERER']}"
    context.release()
    return True, told
