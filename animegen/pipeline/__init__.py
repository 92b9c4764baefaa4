"""Joins the stages into whole jobs. Stages (video, pose, tracking, ...) never import each other; they meet here.

A conversion, :mod:`animegen.pipeline.convert`, goes through these modules in this order:

- ``adapters`` opens the source, ``stages`` finds the plugins with their options and weights, ``prepare`` refuses what
  cannot be done and claims the job folder. What comes out is a ``run.Run``.
- ``analyse``, the first pass, decodes the clip. It writes, for each segment, the poses, the shots (``shots``), pictures
  of the people, and what the background is made from.
- ``cast``, the second pass, reads these and decodes nothing. Poses become tracks, ``who`` finds out whose they are,
  ``presence`` decides in which frames everyone is drawn, the styles prepare, and the background plates are built.
- ``render``, the third pass, decodes again, draws, composes and encodes each segment; then the segments are joined.

Words: a *segment* is some 240 frames that are worked on and stored together, a *shot* the frames between two cuts, an
*artefact* a file of the job folder that stands under its name only when it is whole. ``engine`` and ``engine_ray`` say
where segments are worked on, ``flow`` how the steps of a pass overlap. The other modules are commands of their own
(``preview``, ``casting``, ``plan``, ``report``, ``demo``, ...), the styles that join several stages (``anime``,
``anime_face``), evaluations and benches.
"""
