"""Joins encoded segments into the output without encoding again, beside the source's sound and subtitles."""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import accumulate, chain
from pathlib import Path

import av
from av.container import InputContainer, OutputContainer
from av.stream import Disposition

from animegen.errors import OutputError
from animegen.jobs.artefacts import write_hint
from animegen.video.carry import add_streams, carried_packets, chapters, lasting_tags
from animegen.video.containers import container_named
from animegen.video.decoding import open_container
from animegen.video.encode import BITEXACT
from animegen.video.local import local_url
from animegen.video.pictures import write_gif, write_pictures
from animegen.video.plan import IMAGE, OutputPlan
from animegen.video.segments import AnyPacket, SegmentOrder, scan, segment_packets, shown_frame
from animegen.video.ticks import decode_ticks, reorder_delay, rescale

MAX_TIMESCALE = 2**31 - 1


def write_output(
    plan: OutputPlan, segments: Sequence[Path], on_whole: Callable[[dict[Path, Path]], None] | None = None
) -> Path:
    """Join ``segments`` and put the output under its name only when it is whole; returns ``plan.output``.

    ``on_whole`` gets the finished files by the names that they are about to take. Raises OutputError, leaving nothing
    behind, when the output cannot be written.
    """
    try:
        _remove(plan.part)
        join(plan, segments, plan.part)
        if on_whole is not None:
            on_whole(_final_names(plan, plan.part))
        publish(plan, plan.part)
    finally:
        _remove(plan.part)
    return plan.output


def join(plan: OutputPlan, segments: Sequence[Path], part: Path) -> None:
    """Write the whole output to ``part``: a file, or a folder where the output is a sequence of pictures.

    ``segments`` hold the plan's frames in order. Raises OutputError when they do not, or when writing fails.
    """
    orders = scan(segments, plan.frame_count)
    kind = container_named(plan.container).kind
    with _writing(part):
        if kind == "pictures":
            write_pictures(plan, segments, part)
        elif kind == "gif":
            write_gif(plan, segments, part)
        else:
            _join_film(plan, segments, orders, part)


def publish(plan: OutputPlan, part: Path) -> None:
    """Move a finished ``part`` to the output's own name or names."""
    with _writing(plan.output):
        if not part.is_dir():
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(plan.output)
        elif plan.is_pattern or plan.output.exists():
            for final, picture in _final_names(plan, part).items():
                picture.replace(final)
        else:
            part.replace(plan.output)


def _final_names(plan: OutputPlan, part: Path) -> dict[Path, Path]:
    """The files of a finished ``part`` by the names that they will have."""
    if not part.is_dir():
        return {plan.output: part}
    folder = plan.output.parent if plan.is_pattern else plan.output
    return {folder / picture.name: picture for picture in sorted(part.iterdir())}


def _remove(part: Path) -> None:
    if part.is_dir():
        for picture in part.iterdir():
            picture.unlink()
        part.rmdir()
    else:
        part.unlink(missing_ok=True)


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}", write_hint(error)) from error
    except av.FFmpegError as error:
        raise OutputError(
            f"cannot write {path}: {error.strerror}", "another container may take it: mkv takes nearly everything"
        ) from error


def _join_film(plan: OutputPlan, segments: Sequence[Path], orders: Sequence[SegmentOrder], part: Path) -> None:
    muxer = container_named(plan.container).muxer
    with ExitStack() as stack:
        media = None
        if plan.picture_stream != IMAGE:
            media = stack.enter_context(open_container(plan.source))
        first = stack.enter_context(av.open(local_url(segments[0])))
        out = stack.enter_context(
            av.open(local_url(part), "w", format=muxer, container_options=_muxer_options(plan, media))
        )
        out.flags |= BITEXACT
        video = _add_video(out, first.streams.video[0], plan)
        packets = [_film_packets(plan, segments, orders, video)]
        if media is not None:
            video.metadata.update(lasting_tags(media.streams[plan.picture_stream].metadata))
            packets.append(carried_packets(media, add_streams(out, media, plan)))
            out.metadata.update(lasting_tags(media.metadata))
            out.set_chapters(chapters(media, plan))
        out.start_encoding()  # settles the time bases that the packets are made for
        for packet in heapq.merge(*packets, key=_moment):
            out.mux(packet)


def _add_video(out: OutputContainer, encoded: av.VideoStream, plan: OutputPlan) -> av.VideoStream:
    video = out.add_stream_from_template(encoded, opaque=True)
    video.time_base = plan.time_base
    video.disposition = Disposition.default
    if plan.codec == "hevc" and plan.container in {"mp4", "mov"}:
        video.codec_context.codec_tag = "hvc1"  # the form that Apple's players know
    if plan.alpha and plan.codec == "vp9":
        video.metadata["alpha_mode"] = "1"
    return video


def _muxer_options(plan: OutputPlan, media: InputContainer | None) -> dict[str, str]:
    if plan.container not in {"mp4", "mov"}:
        # Sound may start with a packet before zero that only primes its decoder; nothing may move because of it.
        return {"default_mode": "passthrough", "avoid_negative_ts": "disabled"}
    timescale = plan.time_base.denominator
    rates = [] if media is None else [stream.rate for stream in media.streams.audio]
    movie = math.lcm(timescale, *rates)
    # Edit lists count in the movie's timescale: only a common multiple states every stream's start exactly.
    if movie > MAX_TIMESCALE:
        movie = timescale
    return {"movflags": "+faststart", "video_track_timescale": str(timescale), "movie_timescale": str(movie)}


def _film_packets(
    plan: OutputPlan, segments: Sequence[Path], orders: Sequence[SegmentOrder], video: av.VideoStream
) -> Iterator[AnyPacket]:
    base = video.time_base
    assert base is not None
    pts = rescale(plan.ticks, plan.time_base, base, origin=plan.origin)
    ends = rescale(plan.ticks + plan.durations, plan.time_base, base, origin=plan.origin)
    offsets = list(accumulate((len(order.shown) for order in orders[:-1]), initial=0))
    shown = list(chain.from_iterable((offset + s for s in o.shown) for offset, o in zip(offsets, orders, strict=True)))
    durations = [max(1, end - begin) for begin, end in zip(pts, ends, strict=True)]
    delay = reorder_delay(shown)
    # mp4 states how long a film is by its decoding times: this lead makes it end with its last frame.
    lead = pts[-1] + durations[-1] - pts[-1 - delay] - durations[shown[-1]]
    decoded = iter(decode_ticks(pts, delay, lead))
    for path, offset in zip(segments, offsets, strict=True):
        for packet in segment_packets(path):
            frame = offset + shown_frame(packet)
            packet.time_base = base
            packet.pts, packet.dts, packet.duration = pts[frame], next(decoded), durations[frame]
            packet.stream = video
            yield packet


def _moment(packet: AnyPacket) -> Fraction:
    return (packet.dts if packet.dts is not None else packet.pts or 0) * packet.time_base
