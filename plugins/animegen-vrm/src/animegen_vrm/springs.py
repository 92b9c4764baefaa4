"""Hair and skirts in motion, or where they come to rest under a pose."""

from __future__ import annotations

import numpy as np

from animegen.errors import InvalidValue
from animegen.types import Float32Array
from animegen_vrm.model import Posed
from animegen_vrm.rig import Rig


class SpringSimulation:
    """The springs of one avatar in time: ``step`` once per picture, ``reset`` when it jumps."""

    def __init__(self, rig: Rig) -> None:
        self._chains = rig.chains
        self._tails: tuple[Float32Array, Float32Array] | None = None

    def reset(self) -> None:
        """Forget all movement: the next step starts at rest."""
        self._tails = None

    @property
    def tails(self) -> Float32Array:
        """Where the springs' tails are, f32 [S, 3]: with the pose, all that :func:`hold` needs to draw them again."""
        return self._tails[0] if self._tails else np.zeros((self._chains.count, 3), np.float32)

    def step(self, posed: Posed, dt: float) -> Posed:
        """The avatar in a pose ``dt`` seconds (0 < dt <= 1) after the last. Raises InvalidValue for another dt."""
        if not 0.0 < dt <= 1.0:
            raise InvalidValue(f"a spring's time step must be above 0 and at most 1 s, got {dt:g}")
        if self._tails is None:
            posed, tails = self._chains.settle(posed)
            self._tails = tails, tails
            return posed
        now, before = self._tails
        posed, tails = self._chains.swing(posed, now, before, dt)
        self._tails = tails, now
        return posed


def hold(rig: Rig, posed: Posed, tails: Float32Array) -> Posed:
    """The pose with its springs as a simulation left them in it."""
    return rig.chains.hold(posed, tails)


def settle(rig: Rig, posed: Posed) -> Posed:
    """The pose with its springs where they come to rest: depends on the pose alone."""
    return rig.chains.settle(posed)[0]
