"""What moves an avatar: motions from files and random poses."""

from animegen_vrm.motion.clip import Motion
from animegen_vrm.motion.reading import read_motion

__all__ = ["Motion", "read_motion"]
