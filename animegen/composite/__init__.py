"""What is behind and around the avatars: people are removed from the frames, and sprites laid over them.

The scene behind the people is reconstructed in all three passes of a conversion:

- First pass: ``observe`` keeps two frames a second (*samples*) with the people in them marked, and how the camera moves
  from each to the next (``align``).
- Second pass: ``windows`` groups samples that show about the same view, ``mosaic`` makes one picture without people of
  each *window*, a *plate*, and ``build`` fills its gaps from other plates (``fill``) or invents them (``inpaint``).
- Third pass: ``plate`` puts the plate where people are in a frame, by their *mattes* (``matte``, ``hair``).

``backgrounds`` are the built-in backgrounds, most of which start from that clean frame; ``layer`` lays the avatars over
a background, and ``hide`` covers those who must not be seen.
"""

from __future__ import annotations

from animegen.composite.hide import pixelated
from animegen.composite.inpaint import inpaint
from animegen.composite.layer import compose, compose_alpha, cut_out, depth_order, faded
from animegen.composite.matte import Matte, body_height, frame_matte, own_matte, person_matte
from animegen.composite.observe import Observation, PlateObserver
from animegen.composite.plate import PlateSet, build_plates
from animegen.composite.threads import one_thread_per_call

__all__ = [
    "Matte",
    "Observation",
    "PlateObserver",
    "PlateSet",
    "body_height",
    "build_plates",
    "compose",
    "compose_alpha",
    "cut_out",
    "depth_order",
    "faded",
    "frame_matte",
    "inpaint",
    "one_thread_per_call",
    "own_matte",
    "person_matte",
    "pixelated",
]
