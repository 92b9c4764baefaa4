"""An evaluation as files: the figures as JSON, a page with pictures that needs no other file, and a contact sheet."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from html import escape
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from animegen.avatar.data import FRAMINGS
from animegen.errors import OutputError
from animegen.jobs import artefact, write_text
from animegen.measure.pictures import difference, foreground_psnr, over_grey, scaled
from animegen.pipeline.avatar_pairs import Pair, Pairs
from animegen.pipeline.evaluate_avatar import Evaluation
from animegen.pipeline.page import image_tag, number, page, plain, table

JSON_NAME, PAGE_NAME, SHEET_NAME = "report.json", "report.html", "contact-sheet.png"

SHEET_AVATARS, SHEET_POSES, SHEET_SIDE = 8, 8, 192
"""Rows and columns of the contact sheet, and the side of each of its pictures in pixels."""

SHEET_FRAMINGS: Mapping[str, int] = MappingProxyType({"full": 6, "half": 1, "head": 1})
"""How many poses of each framing a row shows, as far as there are such."""


def check_report_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise OutputError where a report stands already and may not be replaced, or a file has the folder's name."""
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"{folder} is a file", "name a folder with -o")
    if not overwrite and any((folder / name).exists() for name in (JSON_NAME, PAGE_NAME, SHEET_NAME)):
        raise OutputError(f"a report stands in {folder} already", "pass --overwrite, or name another folder with -o")


def write_report(evaluation: Evaluation, folder: Path) -> None:
    """Write ``report.json``, ``report.html`` and ``contact-sheet.png`` into a folder, which is made if need be."""
    sheet = contact_sheet(evaluation.pairs, evaluation.figures["seed"])
    folder.mkdir(parents=True, exist_ok=True)
    with artefact(folder / SHEET_NAME) as part:
        sheet.save(part, format="PNG")
    write_text(folder / PAGE_NAME, _page(evaluation, sheet))
    write_text(folder / JSON_NAME, json.dumps(plain(evaluation.figures), indent=1, ensure_ascii=False) + "\n")


def contact_sheet(pairs: Pairs, seed: int) -> Image.Image:
    """Eight poses of each of eight avatars in their own colours: the truth, and the output to its right.

    Mostly whole figures, each of another clip as far as the clips go round; the last ones show them from nearer.
    """
    records = pairs.data.records
    avatars = [avatar for avatar in range(len(pairs.names)) if (records["avatar"][pairs.indices] == avatar).any()]
    chosen = [_poses(pairs, avatar, seed) for avatar in avatars[:SHEET_AVATARS]]
    width = max(map(len, chosen))
    sheet = Image.new("RGB", (width * (2 * SHEET_SIDE + 8) - 8, len(chosen) * (SHEET_SIDE + 8) - 8), "white")
    for row, indices in enumerate(chosen):
        drawn = pairs.drawn(indices, [pairs.own_palette(index) for index in indices])
        for column, pair in enumerate(drawn):
            for k, picture in enumerate((pair.truth, pair.output)):
                small = Image.fromarray(over_grey(scaled(picture, SHEET_SIDE)))
                sheet.paste(small, (column * (2 * SHEET_SIDE + 8) + k * SHEET_SIDE, row * (SHEET_SIDE + 8)))
        ImageDraw.Draw(sheet).text((4, row * (SHEET_SIDE + 8) + 2), pairs.names[avatars[row]], fill="white")
    return sheet


def _poses(pairs: Pairs, avatar: int, seed: int) -> list[int]:
    """Positions of the samples of one avatar that the contact sheet shows: by framing, then each of another clip."""
    records = pairs.data.records
    own = pairs.indices[records["avatar"][pairs.indices] == avatar]
    own = np.random.default_rng((seed, avatar)).permutation(own)
    own = own[np.argsort(_turns(records["clip"][own]), kind="stable")]
    turns = _turns(records["framing"][own])
    wanted = np.array([SHEET_FRAMINGS.get(FRAMINGS[framing], 0) for framing in records["framing"][own]])
    chosen = own[np.argsort(turns >= wanted, kind="stable")][:SHEET_POSES]
    ordered: list[int] = chosen[np.argsort(records["framing"][chosen], kind="stable")].tolist()
    return ordered


def _turns(labels: NDArray[np.integer[Any]]) -> NDArray[np.int64]:
    """For each label, how many equal ones stand before it."""
    return np.array([np.count_nonzero(labels[:k] == label) for k, label in enumerate(labels)], np.int64)


def _page(evaluation: Evaluation, sheet: Image.Image) -> str:
    """The whole report as one HTML document."""
    figures = evaluation.figures
    parts = [
        "<h1>Avatar generator</h1>",
        _heading(figures),
        "<h2>Pictures</h2>",
        _metric_table(figures["metrics"]),
        "<h3>By avatar</h3>",
        _group_table(figures["metrics"], "avatars"),
        "<h3>By framing</h3>",
        _group_table(figures["metrics"], "framings"),
        "<h2>Part colours</h2>",
        table(("CIEDE2000", "mean", "median", "worst", "pictures"), _summaries(figures["part_colours"])),
        "<h2>Keypoints</h2>",
        _keypoints(figures["keypoints"]),
        "<h2>Steadiness</h2>",
        _steadiness(figures["steadiness"], figures["films"]),
        "<h2>Feature sets</h2>",
        _feature_lines(figures["features"]),
        *_samples(evaluation),
        "<h2>Contact sheet</h2>",
        '<p class="note">One avatar a row, in its own colours; in each pair the truth is left, the output right.</p>',
        image_tag(sheet),
    ]
    return page("Avatar generator", "\n".join(parts))


def _heading(figures: Mapping[str, Any]) -> str:
    weights, data = figures["weights"], figures["data"]
    lines = [
        f"Weights: {weights['file']}, SHA-256 {weights['sha256']}" if weights else "Weights: not from a file",
        f"Data: the {data['split']} split of {data['folder']}, {figures['samples']} of {figures['of']} samples, "
        f"of the motions {', '.join(data['clips'])}",
        f"Pictures: {figures['size']} px, drawn at stage {figures['stage']}; palettes drawn at random, "
        f"seed {figures['seed']}",
    ]
    if figures["left_out"]:
        lines.append(f"Left out: {figures['left_out']} samples of avatars that the generator does not draw")
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _metric_table(metrics: Mapping[str, Any]) -> str:
    rows = []
    for metric in metrics.values():
        title = f"{metric['title']}, {metric['unit']}" if metric["unit"] else metric["title"]
        rows.append((title, *_numbers(metric["overall"])))
    return table(("", "mean", "median", "worst", "values"), rows) + (
        '<p class="note">A figure is where coverage is one half or more. PSNR and SSIM are over the pixels of either '
        "figure, on grey. A part's colour is the median over its pixels in the truth; values are parts of pictures."
        "</p>"
    )


def _group_table(metrics: Mapping[str, Any], groups: str) -> str:
    """Mean, median and worst of each metric over the samples of each avatar or framing."""
    names = next(iter(metrics.values()))[groups]
    columns = [f"{name} {statistic}" for name in metrics for statistic in _STATISTICS]
    rows = [
        (name, *(number(metric[groups][name][key]) for metric in metrics.values() for key in _STATISTICS))
        for name in names
    ]
    return table(("", *columns), rows)


_STATISTICS = ("mean", "median", "worst")


def _keypoints(ways: Mapping[str, Mapping[str, Any]]) -> str:
    if not ways:
        return "<p>Not measured: no pose backend was asked for.</p>"
    columns = (
        "truth_error", "output_error", "ratio", "truth_median", "output_median", "ratio_of_medians", "between",
        "truth_detected", "output_detected", "compared",
    )  # fmt: skip
    rows = [(name, *(number(way.get(column)) for column in columns)) for name, way in ways.items()]
    return table(("", *(column.replace("_", " ") for column in columns)), rows) + (
        '<p class="note">Distance of the backend\'s points from those asked for, in heights of the figure, on the '
        "pictures where it finds somebody in both; between: from its points on the truth to those on the output.</p>"
    )


def _steadiness(moves: Mapping[str, Any], films: Mapping[str, Any]) -> str:
    rows = [
        (name, *(number(move[key][statistic]) for key, statistic in _MOVE_COLUMNS))
        for name, move in moves["moves"].items()
    ]
    rows_html = table(("pose moved by", "mean", "worst mean", "largest", "the move itself", "resampling"), rows)
    note = (
        '<p class="note">|output of the moved pose - moved output| over the figure, in steps of 0..255. Along a way '
        f"of one pixel in quarters, the largest step is {number(moves['steps']['mean'])} times the mean one "
        f"(worst {number(moves['steps']['worst'])}); {moves['samples']} samples.</p>"
    )
    if not films["measured"]:
        return rows_html + note + f"<p>Along films: not measured, {escape(films['why'])}.</p>"
    return (
        rows_html
        + note
        + (
            f"<p>Along {films['films']} films, {films['neighbours']} neighbouring frames: warp error "
            f"{number(films['output'])}, the render's own {number(films['truth'])}, "
            f"ratio {number(films['ratio'])}.</p>"
        )
    )


_MOVE_COLUMNS = (("mean", "mean"), ("mean", "worst"), ("max", "worst"), ("change", "mean"), ("resampling", "mean"))


def _feature_lines(features: Mapping[str, Any]) -> str:
    if not features["measured"]:
        return f"<p>FID and KID: not measured, {escape(features['why'])}.</p>"
    return (
        f"<p>FID {number(features['fid'])}, KID {number(features['kid'])} over {features['pictures']} pictures, by "
        f"{features['dimensions']} features of {escape(features['model'])}, output {escape(features['output'])}, "
        f"SHA-256 {features['sha256']}.</p>"
    )


def _samples(evaluation: Evaluation) -> Iterable[str]:
    """The best, median and worst samples as strips of truth, output and difference."""
    seed = evaluation.figures["seed"]
    for title, indices in evaluation.ranked().items():
        yield f"<h2>{title.capitalize()} samples by PSNR</h2>"
        yield '<p class="note">Truth, output, difference (twice enlarged).</p>'
        for pair in evaluation.pairs.drawn(indices, [evaluation.pairs.random_palette(i, seed) for i in indices]):
            psnr = foreground_psnr(pair.truth, pair.output)
            caption = f"{evaluation.pairs.names[pair.avatar]}, sample {pair.index}: {psnr:.1f} dB"
            yield f"<figure>{image_tag(_strip(pair))}<figcaption>{escape(caption)}</figcaption></figure>"


def _strip(pair: Pair) -> Image.Image:
    pictures = (over_grey(pair.truth), over_grey(pair.output), difference(pair.truth, pair.output))
    return Image.fromarray(np.concatenate(pictures, axis=1))


def _summaries(summaries: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [(name, *_numbers(summary)) for name, summary in summaries.items()]


def _numbers(summary: Mapping[str, Any]) -> tuple[str, ...]:
    return (*(number(summary[key]) for key in _STATISTICS), str(summary["count"]))
