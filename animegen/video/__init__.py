"""Reads and writes video: timeline, rotation, colour, sound."""
