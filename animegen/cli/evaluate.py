"""``animegen evaluate``: how good what was trained is, on what it was not trained on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

if TYPE_CHECKING:
    from collections.abc import Mapping

_PATH = click.Path(path_type=Path)


@click.group(name="evaluate")
def command() -> None:
    """Measure how good a generator is on what it was not trained on."""


@command.command()
@click.argument("weights", type=_PATH)
@click.argument("data", type=_PATH)
@click.option("-o", "--output", "report", metavar="REPORT", required=True, type=_PATH, help="Folder of the report.")
@click.option("--split", type=click.Choice(["train", "validation", "test"]), default="test", show_default=True)
@click.option("--size", type=click.IntRange(16, 1024), default=256, show_default=True, help="Side in pixels.")
@click.option("--count", type=click.IntRange(min=1), default=200, show_default=True, help="Most samples measured.")
@click.option("--seed", default=0, show_default=True, help="Draws the samples and the palettes.")
@click.option("--pose-backend", default="blazepose", show_default=True, help="Looks for keypoints; none: nobody does.")
@click.option("--features", metavar="FILE", type=_PATH, help="FID's Inception (.pth, .safetensors) or a .tflite.")
@click.option("--films", metavar="DATA", type=_PATH, help="Dataset of consecutive frames, for the warp error.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--fail-under", "limits", multiple=True, metavar="METRIC=VALUE", help="Exit with 1 where it is worse.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
@click.option("--overwrite", is_flag=True, help="Replace a report that stands there.")
def avatar(weights: Path, data: Path, report: Path, limits: tuple[str, ...], **values: Any) -> None:
    """Compare an avatar generator's pictures with the renders of DATA, and write a report with pictures.

    DATA is a dataset as `animegen vrm dataset` makes it; its test split holds the motions that are never trained on.
    """
    from animegen.avatar.loading import load_drawing
    from animegen.cli import console
    from animegen.cli.progress import listener
    from animegen.pipeline.avatar_report import check_report_folder, write_report
    from animegen.pipeline.evaluate_avatar import EvaluationOptions, evaluate_avatar
    from animegen.pipeline.stages import chosen_device

    wanted = _limits(limits)
    check_report_folder(report, overwrite=values.pop("overwrite"))
    as_json, pose, device = (values.pop(name) for name in ("as_json", "pose_backend", "device"))
    options = EvaluationOptions(pose="" if pose == "none" else pose, device=chosen_device(device), **values)
    generator = load_drawing(weights, device=options.device)
    with listener() as tell:
        evaluation = evaluate_avatar(generator, data, options, weights, tell)
    write_report(evaluation, report)
    if as_json:
        console.print_json(evaluation.figures)
    else:
        _print(evaluation.figures, report)
    failed = evaluation.worse_than(wanted)
    for line in failed:
        console.fail(line)
    if failed:
        click.get_current_context().exit(1)


@command.command()
@click.argument("real", type=_PATH)
@click.argument("generated", type=_PATH)
@click.option("--count", type=click.IntRange(min=4), default=1000, show_default=True, help="Most pictures of each.")
@click.option("--size", type=click.IntRange(16, 1024), default=256, show_default=True, help="Side, of two folders.")
@click.option("--seed", default=0, show_default=True, help="First seed a generator draws.")
@click.option("--trunc", "psi", default=1.0, show_default=True, help="Truncation.")
@click.option("--features", metavar="FILE", type=_PATH, help="FID's Inception (.pth, .safetensors) or a .tflite.")
@click.option("--lpips", metavar="FILE", type=_PATH, help="VGG16 weights (.pth, .safetensors) for the path length.")
@click.option("--paths", type=click.IntRange(min=1), default=200, show_default=True, help="Samples of path length.")
@click.option("--faces", default="", metavar="NAME", help="Face backend with embeddings; compares same-named pictures.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def gan(real: Path, generated: Path, *, device: Literal["auto", "cpu", "cuda"], as_json: bool, **values: Any) -> None:
    """Compare pictures of a generator with REAL ones: FID, KID, precision, recall, path length, identity.

    GENERATED is a folder of pictures or a StyleGAN2 checkpoint. Figures of different feature networks cannot be
    compared; without --features, a small network of random weights tells them, which no other tool has.
    """
    from animegen.cli import console
    from animegen.cli.progress import listener
    from animegen.pipeline.evaluate_gan import GanOptions, evaluate_gan
    from animegen.pipeline.stages import chosen_device

    with listener() as tell:
        figures = evaluate_gan(real, generated, GanOptions(**values), chosen_device(device), tell)
    if as_json:
        console.print_json(figures)
    else:
        _print_gan(figures)


def _print_gan(figures: Mapping[str, Any]) -> None:
    features, lengths, identity = (figures[name] for name in ("features", "path_length", "identity"))
    real, generated = figures["real"], figures["generated"]
    click.echo(
        f"{generated['pictures']} pictures of {generated['name']} at {figures['size']} px, beside "
        f"{real['pictures']} of {real['folder']}"
    )
    click.echo(
        f"FID {features['fid']:.4g}, KID {features['kid']:.4g}, precision {features['precision']:.3f}, recall "
        f"{features['recall']:.3f} by {features['model']} (SHA-256 {features['sha256']})"
    )
    click.echo(
        f"path length {lengths['value']:.4g} over {lengths['samples']} samples, by {lengths['distance']}"
        if lengths["measured"]
        else f"path length: not measured, {lengths['why']}"
    )
    click.echo(
        f"identity: cosine {identity['cosine']:.3f} by {identity['backend']}, over {identity['pairs']} of "
        f"{identity['of']} pairs"
        if identity["measured"]
        else f"identity: not measured, {identity['why']}"
    )


def _limits(pairs: tuple[str, ...]) -> dict[str, float]:
    from animegen.pipeline.evaluate_avatar import LIMITS

    limits = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        if name not in LIMITS:
            raise click.BadParameter(
                f"there is no metric '{name}'; there are {', '.join(LIMITS)}", param_hint="--fail-under"
            )
        try:
            limits[name] = float(value)
        except ValueError:
            raise click.BadParameter(f"'{pair}' is not METRIC=NUMBER", param_hint="--fail-under") from None
    return limits


def _print(figures: Mapping[str, Any], report: Path) -> None:
    click.echo(f"{figures['samples']} samples at {figures['size']} px, drawn at stage {figures['stage']}")
    click.echo(f"{'':<28}{'mean':>10}{'median':>10}{'worst':>10}")
    for metric in figures["metrics"].values():
        title = f"{metric['title']} {metric['unit']}".strip()
        click.echo(f"{title:<28}" + "".join(_number(metric["overall"][key]) for key in ("mean", "median", "worst")))
    for way, found in figures["keypoints"].items():
        if found["ratio"] is None:
            click.echo(f"keypoints ({way}): nobody was found in both of any of {found['pictures']} pairs")
            continue
        click.echo(
            f"keypoints ({way}): error {found['output_error']:.4f} of the height, on the truth "
            f"{found['truth_error']:.4f}, ratio {found['ratio']:.3f} (of the medians {found['ratio_of_medians']:.3f}); "
            f"found in {found['output_detected']:.0%} of the outputs, {found['truth_detected']:.0%} of the truths"
        )
    for move, steady in figures["steadiness"]["moves"].items():
        click.echo(
            f"pose moved by {move}: {_plain(steady['mean']['mean'])} of 255 mean, {_plain(steady['max']['worst'])} at "
            f"most; the move itself changes {_plain(steady['change']['mean'])}"
        )
    films, features = figures["films"], figures["features"]
    click.echo(
        f"warp error along films: {_plain(films['output'])}, the render's own {_plain(films['truth'])}"
        if films["measured"]
        else f"warp error along films: not measured, {films['why']}"
    )
    click.echo(
        f"FID {features['fid']:.4g}, KID {features['kid']:.4g} by {features['model']} (SHA-256 {features['sha256']})"
        if features["measured"]
        else f"FID, KID: not measured, {features['why']}"
    )
    click.echo(report)


def _number(value: float | None) -> str:
    return f"{_plain(value):>10}"


def _plain(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
