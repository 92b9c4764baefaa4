"""The streams that travel beside the picture: sound, subtitles, cover art and attachments of the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TypeAlias

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Disposition, Stream

from animegen.video.plan import OutputPlan, StreamPlan
from animegen.video.ticks import nearest_tick

Carrier: TypeAlias = Callable[[Packet | None], Iterator[Packet]]
"""Turns each packet of a source stream into the packets to be written; None asks for what is still held back."""

VOLATILE_TAGS = frozenset(
    "creation_time encoder major_brand minor_version compatible_brands vendor_id duration number_of_frames "
    "number_of_bytes bps rotate timecode alpha_mode _statistics_tags _statistics_writing_app "
    "_statistics_writing_date_utc".split()
)
"""Tags that describe the source's file, not the film, or that hold a date."""

SUBTITLE_TICK = Fraction(1, 1000)


def lasting_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags worth carrying over."""
    return {key: value for key, value in tags.items() if key.lower().split("-")[0] not in VOLATILE_TAGS}


def add_streams(out: OutputContainer, media: InputContainer, plan: OutputPlan) -> dict[int, Carrier]:
    """Add every stream of the plan to ``out``; the carrier of each by its index in the source."""
    makers = {"copy": _copy, "reencode": _reencode, "convert": _convert}
    carriers: dict[int, Carrier] = {}
    for item in plan.streams:
        if item.action == "drop":
            continue
        source = media.streams[item.index]
        target, carrier = makers[item.action](out, source, item, plan)
        target.metadata.update(lasting_tags(source.metadata))
        target.disposition = source.disposition
        carriers[item.index] = carrier
    return carriers


def carried_packets(media: InputContainer, carriers: dict[int, Carrier]) -> Iterator[Packet]:
    """Every packet to be written beside the picture, roughly in order of time."""
    streams = [media.streams[index] for index in carriers if media.streams[index].type != "attachment"]
    if not streams:
        return
    for packet in media.demux(*streams):
        if packet.size:
            yield from carriers[packet.stream_index](packet)
    for stream in streams:
        yield from carriers[stream.index](None)


def chapters(media: InputContainer, plan: OutputPlan) -> list[dict[str, object]]:
    """The source's chapters on the output's clock; those outside the written range are left out."""
    length = plan.end - plan.origin
    kept: list[dict[str, object]] = []
    for entry in media.chapters():
        base = entry["time_base"] or Fraction(1)
        first, last = entry["start"] * base - plan.origin, entry["end"] * base - plan.origin
        if plan.is_trimmed:
            first, last = max(first, Fraction(0)), min(last, length)
        if first < last:
            ticks = {"start": nearest_tick(first, base), "end": nearest_tick(last, base)}
            kept.append({**entry, **ticks, "id": len(kept) + 1, "time_base": base})
    return kept


def _copy(out: OutputContainer, source: Stream, item: StreamPlan, plan: OutputPlan) -> tuple[Stream, Carrier]:
    target = out.add_stream_from_template(source, opaque=True)
    base = source.time_base or SUBTITLE_TICK
    target.time_base = base
    shift = nearest_tick(plan.origin, base)
    still = Disposition.attached_pic in source.disposition
    first, last = plan.origin, plan.end

    def carry(packet: Packet | None) -> Iterator[Packet]:
        if packet is None or packet.pts is None:
            return
        if item.codec == "mov_text" and bytes(packet)[:2] == b"\0\0":
            return  # an empty text fills the time between two lines; the muxer writes its own
        if not still:
            begins = packet.pts * base
            over = begins + (packet.duration or 0) * base
            if plan.cut_end and begins >= last:
                return
            if plan.cut_start and begins < first:
                if item.type != "subtitle" or over <= first:
                    return
                packet.pts = packet.dts = shift  # a line on screen when the range begins
                packet.duration = nearest_tick(over - first, base)
            packet.pts -= shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
        packet.stream = target
        yield packet

    return target, carry


def _convert(out: OutputContainer, source: Stream, item: StreamPlan, plan: OutputPlan) -> tuple[Stream, Carrier]:
    decoder = source.codec_context
    decoder.open(strict=False)
    target = out.add_stream(item.encoder)
    encoder = target.codec_context
    encoder.time_base = target.time_base = SUBTITLE_TICK
    encoder.subtitle_header = decoder.subtitle_header

    def carry(packet: Packet | None) -> Iterator[Packet]:
        if packet is None or packet.pts is None:
            return
        begins = max(packet.pts * packet.time_base, plan.origin) if plan.cut_start else packet.pts * packet.time_base
        over = (packet.pts + (packet.duration or 0)) * packet.time_base
        if over <= begins or (plan.cut_end and begins >= plan.end):
            return
        lines = decoder.decode2(packet)
        if lines is None or not len(lines):
            return
        text = encoder.encode_subtitle(lines)
        text.stream, text.time_base = target, SUBTITLE_TICK
        text.pts = text.dts = nearest_tick(begins - plan.origin, SUBTITLE_TICK)
        text.duration = nearest_tick(over - begins, SUBTITLE_TICK)
        yield text

    return target, carry


def _reencode(out: OutputContainer, source: Stream, item: StreamPlan, plan: OutputPlan) -> tuple[Stream, Carrier]:
    assert isinstance(source, av.AudioStream)
    rate = 48000 if item.encoder == "libopus" or source.rate not in _AAC_RATES else source.rate
    target = out.add_stream(
        item.encoder, rate=rate, layout=source.layout.name, bit_rate=96000 * max(2, source.channels)
    )
    target.time_base = Fraction(1, rate)
    target.codec_context.thread_count = 1
    resampler: list[av.AudioResampler] = []

    def encode(frame: av.AudioFrame | None) -> Iterator[Packet]:
        context = target.codec_context
        if not resampler:
            resampler.append(
                av.AudioResampler(context.format, context.layout, rate, frame_size=context.frame_size or None)
            )
        for piece in resampler[0].resample(frame):
            for packet in context.encode(piece):
                packet.stream = target
                yield packet

    def carry(packet: Packet | None) -> Iterator[Packet]:
        for frame in source.codec_context.decode(packet):
            if frame.pts is None:
                continue
            time = frame.pts * frame.time_base
            if (plan.cut_start and time < plan.origin) or (plan.cut_end and time >= plan.end):
                continue
            frame.pts -= nearest_tick(plan.origin, frame.time_base)
            yield from encode(frame)
        if packet is None:
            yield from encode(None)
            for last in target.codec_context.encode(None):
                last.stream = target
                yield last

    return target, carry


_AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000})
