"""Where weight files come from: manifests, sources, hashes, cache."""

from animegen.weights.store import fetch as fetch

__all__ = ["fetch"]
