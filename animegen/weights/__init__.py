"""Where weight files come from: manifests, sources, hashes, cache."""

from animegen.weights.manifest import known, lookup
from animegen.weights.store import Found, fetch, find, pull_from

__all__ = ["Found", "fetch", "find", "known", "lookup", "pull_from"]
