"""The style ``flat`` for animegen: a paper doll in the person's colours."""

from __future__ import annotations

from collections.abc import Iterable

from animegen.hookspecs import hookimpl
from animegen.protocols import StyleSpec
from animegen_style_flat.options import FlatOptions


@hookimpl
def animegen_styles() -> Iterable[StyleSpec]:
    """Announces ``flat``."""
    yield StyleSpec(
        name="flat",
        summary="a flat-coloured paper doll with large eyes, in the person's colours",
        factory="animegen_style_flat.style:make_style",
        options=FlatOptions,
    )
