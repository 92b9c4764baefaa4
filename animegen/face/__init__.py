"""Faces: cut out aligned, followed through a clip, and put back without a seam."""
