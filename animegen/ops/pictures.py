"""The ops on pictures: NumPy arrays in, NumPy arrays out, without torch."""

from __future__ import annotations

from animegen.ops.composite import composite, composite_reference

__all__ = ["composite", "composite_reference"]
