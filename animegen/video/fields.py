"""Interlaced film: a frame holds two fields, of two moments, on every other line; one of them makes the picture."""

from __future__ import annotations

from fractions import Fraction

import av
from av.filter import Graph

LEAST_SIDE = 16
"""Pixels: the filter takes no picture that is narrower or lower, chroma at a quarter of the size included."""


def deinterlaced(before: av.VideoFrame | None, frame: av.VideoFrame, after: av.VideoFrame | None) -> av.VideoFrame:
    """The first field of ``frame`` in full height, its missing lines made of the fields around (bwdif, FFmpeg).

    ``before`` and ``after`` are the frames beside it, None at the ends of the film. Nothing else is looked at, so that
    a frame comes out alike from wherever reading began.
    """
    if min(frame.width, frame.height) < LEAST_SIDE:
        return frame
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base or Fraction(1, 1000)
    )
    graph.link_nodes(source, graph.add("bwdif", mode="send_frame", deint="all"), graph.add("buffersink")).configure()
    film = [near for near in (before, frame, after) if near is not None and _alike(near, frame)]
    for near in (*film, None) if len(film) > 1 else (frame, frame):  # of a frame at its end it would leave the combs
        graph.push(near)
    if film[0] is not frame:
        graph.vpull()
    return graph.vpull()


def _alike(a: av.VideoFrame, b: av.VideoFrame) -> bool:
    return (a.width, a.height, a.format.name) == (b.width, b.height, b.format.name)
