"""Building blocks of the HTML pages of reports: tables, numbers, embedded pictures, and values for JSON."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from PIL import Image

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem; padding: 0 1rem; color: #222; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .8rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; }
img { max-width: 100%; image-rendering: auto; }
figure { display: inline-block; margin: .3rem; }
figcaption, .note { color: #666; font-size: 13px; }
.colour { display: inline-block; width: 2.2rem; height: 1rem; border: 1px solid #aaa; vertical-align: middle; }
"""


def page(title: str, body: str) -> str:
    """A whole HTML page that needs no other file."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n{body}\n</body></html>\n"
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts."""
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def number(value: float | int | None) -> str:
    """A figure in four digits; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return "-"
    return str(value) if isinstance(value, int) else f"{value:.4g}"


def image_tag(picture: Image.Image, form: str = "PNG") -> str:
    """An ``<img>`` tag with the picture itself inside it."""
    buffer = io.BytesIO()
    picture.save(buffer, format=form)
    return f'<img alt="" src="data:image/{form.lower()};base64,{base64.b64encode(buffer.getvalue()).decode()}">'


def plain(value: Any) -> Any:
    """Values that JSON can hold: NaN and infinity become null."""
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
