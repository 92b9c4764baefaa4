"""The identity preserver ``appearance``: part colours as ``palette`` measures them, recognition by the whole look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from animegen.identity.appearance import describe, distance
from animegen.identity.options import AppearanceOptions, PaletteOptions
from animegen.identity.palette import PalettePreserver
from animegen.identity.recognise import nearest
from animegen.protocols import IdentityPreserver, PluginContext
from animegen.types import Crop, Identity, Track


class AppearancePreserver:
    """Measures colours as ``palette`` does, and recognises people by the look that :func:`describe` returns.

    Implements :class:`animegen.protocols.ComparingPreserver`; the look is the embedding of an identity.
    """

    def __init__(self, options: AppearanceOptions, seed: int) -> None:
        self._options = options
        self._palette = PalettePreserver(PaletteOptions(), seed)

    def enroll(self, track: Track, crops: Sequence[Crop]) -> Identity:
        """The identity of a track with its palette, traits and look; without crops it has no look."""
        return replace(self._palette.enroll(track, crops), embedding=describe(crops) if crops else None)

    def difference(self, a: Identity, b: Identity) -> float | None:
        """Distance of the looks over the most that one person's may differ; None where one is not known."""
        if a.embedding is None or b.embedding is None or len(a.embedding) != len(b.embedding):
            return None
        return distance(a.embedding, b.embedding) / self._options.max_distance

    def match(self, identity: Identity, gallery: Sequence[Identity]) -> int | None:
        """Position of the likest person of ``gallery``, or None when none is like enough."""
        return nearest(self, identity, gallery)


def make_preserver(options: AppearanceOptions | None, context: PluginContext) -> IdentityPreserver:
    """Factory of the identity preserver ``appearance``."""
    return AppearancePreserver(options or AppearanceOptions(), context.seed)
