"""Where weight files come from: manifests, sources, hashes, cache."""
