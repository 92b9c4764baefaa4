"""The doll's head: a ball that turns, with hair around it and a face on it.

Places on the head are (angle, height): radians from the middle of the face, and -1 (chin) .. 1 (crown).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from animegen.types import Expression, Float64Array
from animegen_style_flat.canvas import Canvas, Ink, Rgb, ellipse, smooth, taper
from animegen_style_flat.figure import Figure, across

CUTS = ("short", "bob", "long", "ponytail", "twintails")
_HEAD = 0.43
"""Half the head's height as a share of the torso's length: half as large again as a real one."""
_FACE_EDGE = math.radians(66)
_FRINGE = 7
_WHITE: Rgb = (255, 255, 255)
_SMALL = 7.0
"""Half height in pixels below which a face is two dots."""


@dataclass(frozen=True)
class Head:
    """Where the head is, which way it turns, and what colours it has."""

    centre: Float64Array
    radius: float
    right: Float64Array
    up: Float64Array
    yaw: float
    pitch: float
    cut: str
    inks: Mapping[str, Ink]
    expression: Expression

    @classmethod
    def of(
        cls, figure: Figure, size: float, cut: str, inks: Mapping[str, Ink], expression: Expression | None
    ) -> Head | None:
        """The head of a figure, its chin where the person's is; None where nothing tells where that would be."""
        radius = _HEAD * size * figure.unit
        up = figure.crown
        if figure.skull is not None:
            chin = figure.skull - 0.28 * figure.unit * up
        elif figure.shoulders is not None:
            chin = figure.shoulders + 0.12 * figure.unit * up
        else:
            return None
        centre = chin + 0.93 * radius * up
        known = expression or Expression()
        return cls(centre, radius, across(up), up, figure.yaw, figure.pitch, cut, inks, known)

    @property
    def faces_away(self) -> bool:
        """Whether no face is to be seen."""
        return abs(self.yaw) > math.pi / 2 + _FACE_EDGE * 0.8

    def at(self, u: float, v: float) -> Float64Array:
        """A place in the plane of the head: ``u`` to the right and ``v`` up, in radii."""
        return self.centre + self.radius * (u * self.right + v * self.up)

    def on(self, angle: float, height: float, grow: float = 1.0) -> Float64Array:
        """A place on the turned ball; what lies behind the edge comes to lie on the edge."""
        turned = max(-math.pi / 2, min(math.pi / 2, self.yaw + angle))
        lean = 0.1 * self.pitch * math.cos(turned)
        chin = 0.14 * math.sin(self.yaw) * max(0.0, -height) if not self.faces_away else 0.0
        return self.at(grow * _width(height) * math.sin(turned) + chin, grow * height + lean)

    def sees(self, angle: float) -> float:
        """How squarely a place is turned to the viewer: 1 in the middle, 0 at the edge and behind."""
        return max(0.0, math.cos(self.yaw + angle))

    def reach(self) -> list[Float64Array]:
        """Corners around all that is drawn, hair included."""
        wide, low = {"ponytail": (2.3, -1.8), "twintails": (1.9, -2.0), "long": (1.9, -2.6)}.get(self.cut, (1.5, -1.3))
        return [self.at(u, v) for u in (-wide, wide) for v in (low, 1.2)]

    def draw_back(self, canvas: Canvas) -> None:
        """The hair that falls behind the neck, where the face is turned to the viewer."""
        if not self.faces_away:
            hair = self.inks["hair"]
            canvas.shape(self._fall(), hair, colour=hair.flat if self.cut in {"ponytail", "twintails"} else hair.shade)

    def draw(self, canvas: Canvas) -> None:
        """Skull and hair, and the face where it is turned this way."""
        hair = self.inks["hair"]
        skull = smooth(np.array([self.at(1.08 * x, y) for x, y in _SKULL]))
        if self.faces_away:
            canvas.shape([*self._fall(), skull], hair)
            self._strands(canvas)
            return
        canvas.shape([skull], hair)
        self._face(canvas)
        self._fringe(canvas)
        self._shine(canvas)

    def _fall(self) -> list[Float64Array]:
        """The outlines of the hair behind, swung away from where the face looks."""
        swing = -math.sin(self.yaw)
        if self.cut == "ponytail":
            tail = [self.at(0.75 * swing, 0.55), self.at(1.6 * swing + 0.3, -0.2), self.at(1.8 * swing + 0.2, -1.5)]
            return self._lock(*tail)
        if self.cut == "twintails":
            sides = [side * math.cos(self.yaw) for side in (-1.0, 1.0)]
            tails = ([self.at(0.85 * x, 0.5), self.at(1.5 * x, -0.3), self.at(1.35 * x, -1.7)] for x in sides)
            return [outline for tail in tails for outline in self._lock(*tail)]
        bottom = {"bob": -1.05, "long": -2.0}.get(self.cut)
        if bottom is None:
            return []
        lean = 0.3 * swing
        right = [(1.0, 0.5), (1.12, -0.2), (1.08 + lean, 0.55 * bottom), (0.75 + 1.4 * lean, bottom)]
        left = [(-x + 2 * lean * (y < -0.4), y) for x, y in reversed(right)]
        low = (1.4 * lean, 1.08 * bottom)
        return [smooth(np.array([self.at(x, y) for x, y in (*right, low, *left)]))]

    def _lock(self, root: Float64Array, middle: Float64Array, tip: Float64Array) -> list[Float64Array]:
        wide = 0.3 * self.radius
        return [taper(root, middle, 0.6 * wide, wide), taper(middle, tip, wide, 0.12 * wide)]

    def _face(self, canvas: Canvas) -> None:
        skin = self.inks["skin"]
        heights = (0.4, 0.15, -0.15, -0.5, -0.8, -0.97)
        sides = [[self.on(edge, v) for v in heights] for edge in (_FACE_EDGE, -_FACE_EDGE)]
        canvas.shape([smooth(np.array([*sides[0], *reversed(sides[1]), self.on(0.0, 0.62)]))], skin)
        if self.radius < _SMALL:
            for angle in (-0.42, 0.42):
                if self.sees(angle) > 0.2:
                    spot = self.on(angle, -0.2)
                    canvas.shape([self._oval(spot, 0.14, 0.2)], self.inks["eyes"], line=False, colour=skin.line)
            return
        for angle, blink in ((0.45, self.expression.blink_l), (-0.45, self.expression.blink_r)):
            if self.sees(angle) > 0.12:
                self._blush(canvas, angle)
                self._eye(canvas, angle, blink)
        self._mouth(canvas)

    def _oval(self, centre: Float64Array, wide: float, high: float) -> Float64Array:
        return ellipse(centre, wide * self.radius * self.right, high * self.radius * self.up)

    def _blush(self, canvas: Canvas, angle: float) -> None:
        skin = self.inks["skin"]
        spot = self.on(angle * 1.5, -0.5)
        canvas.shape([self._oval(spot, 0.13 * self.sees(angle * 1.5), 0.055)], skin, line=False, colour=skin.shade)

    def _eye(self, canvas: Canvas, angle: float, blink: float) -> None:
        eyes, skin = self.inks["eyes"], self.inks["skin"]
        wide, high = 0.2 * self.sees(angle) ** 0.7, 0.27
        centre = self.on(angle, -0.18)
        lid = np.array([centre + self.radius * (x * wide * self.right + _lid(x) * self.up) for x in _LID])
        if blink > 0.6:
            canvas.stroke(lid - 0.3 * self.radius * self.up, eyes.line, 0.07 * self.radius)
            return
        canvas.shape([self._oval(centre, wide, high)], eyes, line=False, colour=_WHITE)
        look = 0.05 * self.radius * (self.expression.gaze_x + math.sin(self.yaw + angle)) * self.right
        iris = centre + look - 0.02 * self.radius * self.up
        canvas.shape([self._oval(iris, wide * 0.82, high * 0.9)], eyes, line=False, colour=eyes.line)
        canvas.shape([self._oval(iris - 0.05 * self.radius * self.up, wide * 0.68, high * 0.7)], eyes, line=False)
        canvas.shape([self._oval(iris, wide * 0.32, high * 0.42)], eyes, line=False, colour=eyes.line)
        for u, v, size in ((-0.3, 0.4, 0.36), (0.35, -0.35, 0.2)):
            spot = iris + self.radius * (u * wide * self.right + v * high * self.up)
            canvas.shape([self._oval(spot, wide * size, high * size * 0.8)], eyes, line=False, colour=_WHITE)
        canvas.stroke(lid, eyes.line, 0.075 * self.radius)
        if self.sees(angle) < 0.5:
            return
        canvas.stroke(
            np.array([self.on(angle - 0.12, -0.48), self.on(angle + 0.12, -0.48)]), skin.shade, 0.025 * self.radius
        )

    def _mouth(self, canvas: Canvas) -> None:
        skin = self.inks["skin"]
        seen = self.sees(0.0)
        if seen < 0.15:
            return
        opened = max(self.expression.aa, self.expression.oh)
        centre = self.on(0.0, -0.64)
        if opened > 0.2:
            canvas.shape([self._oval(centre, 0.1 * seen, 0.12 * opened)], skin, colour=(176, 72, 80))
            return
        arc = [self.on(angle, -0.64 - 0.035 * math.cos(angle * 6)) for angle in np.linspace(-0.2, 0.2, 7)]
        canvas.stroke(np.array(arc), skin.line, 0.04 * self.radius)

    def _fringe(self, canvas: Canvas) -> None:
        """The front hair: a row of tips over the forehead, and a lock at each temple, with the brows over it."""
        hair = self.inks["hair"]
        lock = {"short": 0.0, "ponytail": -0.35}.get(self.cut, -0.75)
        tips = [
            (math.asin(x), 0.17 + 0.3 * (i % 2) + 0.05 * x) for i, x in enumerate(np.linspace(-0.72, 0.72, _FRINGE))
        ]
        edge = [(-1.22, lock), (-0.92, 0.42), *tips, (0.92, 0.42), (1.22, lock)]
        row = np.array([self.on(angle, height, 1.04) for angle, height in edge])
        crown = [self._crown(angle) for angle in np.linspace(0.92, -0.92, 7)]
        # Filled in three parts: seen from the side they fold onto each other, and one outline would cancel itself.
        rings = [np.array([*row[1:-1], *crown])]
        for side, tip, gap in ((-1, row[0], row[1]), (1, row[-1], row[-2])):
            outer = [self.on(side * math.pi / 2, height, 1.06) for height in np.linspace(0.5, lock, 5)]
            rings.append(np.array([tip, gap, self._crown(side * 0.92), self._crown(side * 1.4), *outer]))
        canvas.shape(rings, hair, line=False)
        canvas.stroke(row, hair.line, 0.06 * self.radius)
        if self.radius < _SMALL:
            return
        for angle in (0.45, -0.45):
            if self.sees(angle) > 0.3:
                raised = 0.27 + 0.08 * self.expression.brow
                places = ((angle * (0.6 + 0.2 * i), raised + 0.025 * (i * (4 - i))) for i in range(5))
                canvas.stroke(np.array([self.on(a, v) for a, v in places]), hair.line, 0.035 * self.radius)

    def _crown(self, angle: float) -> Float64Array:
        """Where the hair over an angle of the forehead begins."""
        return self.on(angle, 0.6 + 0.42 * math.cos(angle), 1.04)

    def _shine(self, canvas: Canvas) -> None:
        """The band of light around the crown."""
        band = [self.on(angle, 0.7 + 0.05 * math.cos(5 * angle), 1.0) for angle in np.linspace(-0.9, 0.9, 13)]
        light = tuple(round(c + 0.35 * (255 - c)) for c in self.inks["hair"].flat)
        canvas.stroke(np.array(band), (light[0], light[1], light[2]), 0.07 * self.radius)

    def _strands(self, canvas: Canvas) -> None:
        """A few lines down the back of the head."""
        length = {"long": 2.1, "bob": 1.4}.get(self.cut, 0.9)
        for x in (-0.5, 0.0, 0.5):
            strand = [self.at(x * (0.7 + 0.5 * t), 0.6 - length * t) for t in (0.0, 0.3, 0.6, 0.9)]
            canvas.stroke(np.array(strand), self.inks["hair"].shade, 0.05 * self.radius)


_SKULL = (
    (0.0, 1.1), (0.5, 1.0), (0.85, 0.68), (0.98, 0.2), (0.93, -0.25), (0.7, -0.6), (0.3, -0.78),
    (-0.3, -0.78), (-0.7, -0.6), (-0.93, -0.25), (-0.98, 0.2), (-0.85, 0.68), (-0.5, 1.0),
)  # fmt: skip
_LID = (-1.15, -0.8, -0.3, 0.3, 0.8, 1.15)


def _lid(x: float) -> float:
    return 0.3 - 0.16 * x * x


def _width(height: float) -> float:
    """Half width of the head at a height: round above, narrowing to the chin."""
    return float(np.interp(height, (-1.0, -0.8, -0.5, -0.15, 0.3, 0.7, 1.0), (0.12, 0.42, 0.74, 0.9, 0.94, 0.75, 0.1)))
