"""Poses: backends, skeletons, smoothing, drawing, files."""
