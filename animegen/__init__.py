"""animegen: every person of a real video becomes an anime avatar of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from animegen.pipeline.convert import convert as convert
    from animegen.pipeline.prepare import Result as Result

__version__ = "0.1.0"
__all__ = ["Result", "__version__", "convert"]


def __getattr__(name: str) -> Any:
    """Load the Python call on first use, so that importing animegen costs nothing."""
    if name in {"convert", "Result"}:
        from animegen.pipeline import convert as module

        return getattr(module, name)
    raise AttributeError(f"module 'animegen' has no attribute '{name}'")
