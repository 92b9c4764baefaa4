"""Pictures of a training: sample grids and curves, as PNG."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from torch import Tensor

from animegen.jobs import artefact
from animegen.types import Uint8Array

_GREY = 128
_CURVES = ("psnr", "iou")
_PLOT = (640, 240)
_MARGIN = 40
_INK = (30, 30, 30)


def pairs(truth: Tensor, drawn: Tensor) -> list[tuple[Uint8Array, Uint8Array]]:
    """Truth and drawing, f32 [B, 4, s, s] premultiplied RGBA in 0..1, as pictures for :func:`write_grid`."""
    both = [(rgba.permute(0, 2, 3, 1) * 255).round().byte().cpu().numpy() for rgba in (truth, drawn)]
    return list(zip(*both, strict=True))


def write_grid(folder: Path, images: int, pairs: Sequence[tuple[Uint8Array, Uint8Array]]) -> None:
    """Write truth above drawing, eight pairs a row, over grey. Pictures uint8 [s, s, 4] premultiplied."""
    folder.mkdir(parents=True, exist_ok=True)
    columns = [np.concatenate([_over_grey(truth), _over_grey(drawn)]) for truth, drawn in pairs]
    rows = [np.concatenate(columns[i : i + 8], axis=1) for i in range(0, len(columns) - len(columns) % 8, 8)]
    sheet = np.concatenate(rows or [np.concatenate(columns, axis=1)])
    with artefact(folder / f"{images:08d}.png") as part:
        Image.fromarray(sheet).save(part, "png")


def write_curves(path: Path, log: Path) -> None:
    """Draw the validation's curves of a log, each over the number of images."""
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    width, height = _PLOT
    sheet = Image.new("RGB", (width, height * len(_CURVES)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, name in enumerate(_CURVES):
        points = [(line["images"], line["terms"][name]) for line in lines if name in line["terms"]]
        if points:
            _plot(draw, name, points, row * height)
    with artefact(path) as part:
        sheet.save(part, "png")


def _plot(draw: ImageDraw.ImageDraw, name: str, points: Sequence[tuple[float, float]], top: int) -> None:
    width, height = _PLOT
    low, high = min(y for _, y in points), max(y for _, y in points)
    last, span = max(x for x, _ in points) or 1, (high - low) or 1
    line = [
        (_MARGIN + x / last * (width - 2 * _MARGIN), top + height - _MARGIN - (y - low) / span * (height - 2 * _MARGIN))
        for x, y in points
    ]
    if len(line) > 1:
        draw.line(line, fill=_INK, width=2)
    draw.text((_MARGIN, top + 10), f"{name}: {points[-1][1]:.3f} after {points[-1][0]:,} images", fill=_INK)
    draw.text((4, top + _MARGIN), f"{high:.2f}", fill=_INK)
    draw.text((4, top + height - _MARGIN), f"{low:.2f}", fill=_INK)


def _over_grey(rgba: Uint8Array) -> Uint8Array:
    alpha = rgba[..., 3:].astype(np.float32) / 255
    return np.clip(rgba[..., :3] + (1 - alpha) * _GREY, 0, 255).astype(np.uint8)
