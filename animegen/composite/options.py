"""What can be set on the backgrounds; imports nothing heavy."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from animegen.errors import UsageError


@dataclass(frozen=True, slots=True)
class BlurOptions:
    """``radius``: how far the background is blurred, in percent of the frame's height."""

    radius: float = 3.0

    def __post_init__(self) -> None:
        if not 0.0 < self.radius <= 50.0:
            raise UsageError(
                f"blur radius must be above 0 and at most 50 percent of the height, got {self.radius}",
                "3 is soft, 10 is strong",
            )


@dataclass(frozen=True, slots=True)
class ColorOptions:
    """``value``: the colour as ``#rrggbb``."""

    value: str = "#00b140"

    def __post_init__(self) -> None:
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", self.value):
            raise UsageError(
                f"a colour is written #rrggbb, got '{self.value}'", "for example --background color:#00b140"
            )

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Red, green, blue, 0..255."""
        red, green, blue = bytes.fromhex(self.value[1:])
        return red, green, blue


@dataclass(frozen=True, slots=True)
class PictureOptions:
    """``value``: path of an image or a video."""

    value: Path = Path()

    def __post_init__(self) -> None:
        if self.value == Path():
            raise UsageError("the background picture has no path", "write --background picture:FILE")
