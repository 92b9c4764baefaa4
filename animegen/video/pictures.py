"""Outputs that are no film: sequences of pictures, stills, and GIF."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
from av.filter import Graph

from animegen.video.encode import BITEXACT
from animegen.video.local import local_url
from animegen.video.plan import OutputPlan
from animegen.video.segments import segment_packets
from animegen.video.ticks import rescale

GIF_TICK = Fraction(1, 100)
GIF_SHORTEST = 2
"""Hundredths of a second: browsers show anything shorter for a tenth of a second instead."""


def write_pictures(plan: OutputPlan, segments: Sequence[Path], part: Path) -> None:
    """Write each encoded picture as a file: into the folder ``part``, or one picture to ``part`` itself."""
    packets = chain.from_iterable(segment_packets(path) for path in segments)
    if plan.output.suffix and not plan.is_pattern:
        part.write_bytes(bytes(next(packets)))
        return
    part.mkdir()
    pattern = plan.output.name if plan.is_pattern else "%06d.png"
    for number, packet in enumerate(packets):
        (part / (pattern % number)).write_bytes(bytes(packet))


def write_gif(plan: OutputPlan, segments: Sequence[Path], part: Path) -> None:
    """Write an endless GIF with one palette for the whole clip; delays are the nearest hundredths, without drift."""
    ticks = rescale(plan.ticks, plan.time_base, GIF_TICK, origin=plan.origin, step=GIF_SHORTEST)
    last = rescale(plan.durations[-1:], plan.time_base, GIF_TICK)[0]
    palette = _palette(segments)
    options = {"loop": "0", "final_delay": str(max(last, GIF_SHORTEST))}
    with av.open(local_url(part), "w", format="gif", container_options=options) as out:
        out.flags |= BITEXACT
        stream = out.add_stream("gif", rate=plan.rate, width=plan.width, height=plan.height)
        assert isinstance(stream, av.VideoStream)
        stream.pix_fmt = "pal8"
        stream.codec_context.time_base = GIF_TICK
        for tick, picture in zip(ticks, _with_palette(segments, palette), strict=True):
            picture.pts, picture.time_base = tick, GIF_TICK
            out.mux(stream.encode(picture))
        out.mux(stream.encode(None))


def _frames(segments: Sequence[Path]) -> Iterator[av.VideoFrame]:
    number = 0
    for path in segments:
        with av.open(local_url(path)) as container:
            for frame in container.decode(video=0):
                frame.pts, frame.time_base = number, Fraction(1, 25)
                yield frame
                number += 1


def _source(graph: Graph, frame: av.VideoFrame) -> av.filter.FilterContext:
    return graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 25), name=None
    )


def _palette(segments: Sequence[Path]) -> av.VideoFrame:
    graph = Graph()
    first = next(_frames(segments))
    source = _source(graph, first)
    chooser, sink = graph.add("palettegen", "reserve_transparent=0"), graph.add("buffersink")
    source.link_to(chooser)
    chooser.link_to(sink)
    graph.configure()
    for frame in _frames(segments):
        source.push(frame)
    source.push(None)
    palette = sink.pull()
    assert isinstance(palette, av.VideoFrame)
    return palette


def _with_palette(segments: Sequence[Path], palette: av.VideoFrame) -> Iterator[av.VideoFrame]:
    graph = Graph()
    source, colours = _source(graph, next(_frames(segments))), _source(graph, palette)
    painter, sink = graph.add("paletteuse"), graph.add("buffersink")
    source.link_to(painter, 0, 0)
    colours.link_to(painter, 0, 1)
    painter.link_to(sink)
    graph.configure()
    colours.push(palette)
    colours.push(None)
    for frame in _frames(segments):
        source.push(frame)
        yield from _ready(sink)
    source.push(None)
    yield from _ready(sink)


def _ready(sink: av.filter.FilterContext) -> Iterator[av.VideoFrame]:
    while True:
        try:
            picture = sink.pull()
        except (av.BlockingIOError, av.EOFError):
            return
        assert isinstance(picture, av.VideoFrame)
        yield picture
