"""Times on the grid of a container: nearest ticks, and decoding times for packets that are shown in another order."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InvalidValue


def nearest_tick(time: Fraction, time_base: Fraction) -> int:
    """The tick of ``time_base`` nearest to ``time`` seconds; a half goes up."""
    ratio = time / time_base
    return _nearest(ratio.numerator, ratio.denominator)


def _nearest(numerator: int, denominator: int) -> int:
    return (2 * numerator + denominator) // (2 * denominator)


def rescale(
    ticks: NDArray[np.int64], source: Fraction, target: Fraction, *, origin: Fraction = Fraction(0), step: int = 1
) -> list[int]:
    """Rising ticks in units of ``source`` seconds as the nearest ticks of ``target``, counted from ``origin``.

    Each is at least ``step`` after the one before, so frames that fall on one tick stay apart; the rounding of
    one tick never shifts the next.
    """
    ratio, before = source / target, origin / target
    each, first = ratio.numerator * before.denominator, before.numerator * ratio.denominator
    denominator = ratio.denominator * before.denominator
    out: list[int] = []
    for tick in ticks.tolist():  # in whole numbers: a film has a million of them
        nearest = _nearest(tick * each - first, denominator)
        out.append(nearest if not out else max(nearest, out[-1] + step))
    return out


def reorder_delay(order: Sequence[int]) -> int:
    """How many frames decoding runs ahead of showing: ``order`` is each packet's place in showing order.

    Raises InvalidValue unless ``order`` names every place once.
    """
    if sorted(order) != list(range(len(order))):
        raise InvalidValue("packets must show every frame once")
    return max((position - shown for position, shown in enumerate(order)), default=0)


def decode_ticks(pts: Sequence[int], delay: int, lead: int) -> list[int]:
    """Decoding ticks, strictly rising and never after a packet's own showing tick.

    ``pts`` are the strictly rising ticks of showing. Packet i of the decoding order may be decoded when frame
    i - ``delay`` is shown; the first ``delay`` packets are spread over the ``lead`` >= ``delay`` ticks before that.
    """
    before = [pts[0] - lead * (delay - i) // delay for i in range(delay)]
    return before + list(pts[: len(pts) - delay])
