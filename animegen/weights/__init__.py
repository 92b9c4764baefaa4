"""Where weight files come from: manifests, sources, hashes, cache."""

from animegen.weights.manifest import known, lookup
from animegen.weights.store import Found, fetch, find, pull_from, sha256_of

__all__ = ["Found", "fetch", "find", "known", "lookup", "pull_from", "sha256_of"]
