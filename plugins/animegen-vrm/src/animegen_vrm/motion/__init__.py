"""What moves an avatar: motions from files and random poses."""

from animegen_vrm.motion.clip import Motion
from animegen_vrm.motion.random_poses import random_expression, random_look, random_pose
from animegen_vrm.motion.reading import read_motion

__all__ = ["Motion", "random_expression", "random_look", "random_pose", "read_motion"]
