"""The streams that travel beside the picture: sound, subtitles, cover art and attachments of the source."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from fractions import Fraction
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import av
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.stream import Stream
from av.subtitles.stream import SubtitleStream

from animegen.video.beside import StreamPlan, is_cover
from animegen.video.decoding import open_container
from animegen.video.plan import OutputPlan
from animegen.video.segments import AnyPacket
from animegen.video.ticks import nearest_tick

if TYPE_CHECKING:
    from av.container.core import Chapter

Carrier: TypeAlias = "Callable[[AnyPacket | None], Iterator[AnyPacket]]"
"""Turns each packet of a source stream into the packets to be written; None asks for what is still held back."""

VOLATILE_TAGS = frozenset(
    {"creation_time", "encoder", "major_brand", "minor_version", "compatible_brands", "vendor_id", "rotate", "timecode"}
    | {"duration", "number_of_frames", "number_of_bytes", "bps", "alpha_mode"}
)
"""Tags that describe the source's file, not the film, or that hold a date."""

SUBTITLE_TICK = Fraction(1, 1000)
OPUS_RATE = 48000
AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000})
BITS_PER_CHANNEL = 96_000


def lasting_tags(tags: dict[str, str]) -> dict[str, str]:
    """The tags worth carrying over."""
    return {key: value for key, value in tags.items() if not _is_volatile(key.lower())}


def _is_volatile(key: str) -> bool:
    return key.startswith("_statistics") or key.partition("-")[0] in VOLATILE_TAGS  # Matroska: BPS-eng


def add_streams(out: OutputContainer, media: InputContainer, plan: OutputPlan) -> dict[int, Carrier]:
    """Add every stream of the plan to ``out``; the carrier of each by its index in the source."""
    makers = {"copy": _copy, "attach": _attach, "reencode": _reencode, "convert": _convert}
    carriers: dict[int, Carrier] = {}
    for item in plan.streams:
        if item.action == "drop":
            continue
        source = media.streams[item.index]
        target, carrier = makers[item.action](out, source, item, plan)
        target.metadata.update(lasting_tags(source.metadata))
        if item.action != "attach":
            target.disposition = source.disposition
        carriers[item.index] = carrier
    return carriers


def carried_packets(media: InputContainer, carriers: dict[int, Carrier]) -> Iterator[AnyPacket]:
    """Every packet to be written beside the picture, roughly in order of time."""
    streams = [media.streams[index] for index in carriers if media.streams[index].type != "attachment"]
    if not streams:
        return
    for packet in _until_damage(media.demux(*streams)):
        if packet.size:
            if packet.pts is None:
                packet.pts = 0 if is_cover(media.streams[packet.stream_index]) else packet.dts
            yield from carriers[packet.stream_index](packet)
    for stream in streams:
        yield from carriers[stream.index](None)


def _until_damage(packets: Iterable[AnyPacket]) -> Iterator[AnyPacket]:
    """The packets before the place where a source that is being salvaged ends in damage."""
    with suppress(av.InvalidDataError):
        yield from packets


def chapters(media: InputContainer, plan: OutputPlan) -> list[Chapter]:
    """The source's chapters on the output's clock; those outside the written range are left out."""
    length = plan.end - plan.origin
    kept: list[Chapter] = []
    for entry in media.chapters():
        base = entry["time_base"] or Fraction(1)
        first, last = entry["start"] * base - plan.origin, entry["end"] * base - plan.origin
        if plan.is_trimmed:
            first, last = max(first, Fraction(0)), min(last, length)
        if first < last:
            start, end = nearest_tick(first, base), nearest_tick(last, base)
            kept.append(
                {"id": len(kept) + 1, "start": start, "end": end, "time_base": base, "metadata": entry["metadata"]}
            )
    return kept


def _within(plan: OutputPlan, begins: Fraction, over: Fraction, *, cut: bool) -> tuple[Fraction, Fraction] | None:
    """When something of the source begins and is over, in the source's seconds; None: outside the written range.

    ``cut`` shortens what reaches beyond the range at either side; else what begins in the range is kept whole.
    """
    if plan.cut_end and begins >= plan.end:
        return None
    if plan.cut_start and begins < plan.origin and (not cut or over <= plan.origin):
        return None
    if cut:
        begins = max(begins, plan.origin) if plan.cut_start else begins
        over = min(over, plan.end) if plan.cut_end else over
    return begins, over


def _copy(out: OutputContainer, source: Stream, item: StreamPlan, plan: OutputPlan) -> tuple[Stream, Carrier]:
    target = out.add_stream_from_template(source, opaque=True)
    base = source.time_base or SUBTITLE_TICK
    target.time_base = base
    shift = nearest_tick(plan.origin, base)
    cover = is_cover(source)
    latest: int | None = None

    def carry(packet: AnyPacket | None) -> Iterator[AnyPacket]:
        nonlocal latest
        if packet is None or packet.pts is None:
            return
        if item.codec == "mov_text" and bytes(packet)[:2] == b"\0\0":
            return  # an empty text fills the time between two lines; the muxer writes its own
        if cover:
            packet.dts = packet.pts
        else:
            if plan.is_trimmed:
                is_text = item.type == "subtitle"
                whole = packet.pts * base, (packet.pts + (packet.duration or 0)) * base
                kept = _within(plan, *whole, cut=is_text)
                if kept is None:
                    return
                if is_text and kept != whole:
                    packet.pts = packet.dts = nearest_tick(kept[0], base)
                    packet.duration = nearest_tick(kept[1] - kept[0], base)
            packet.dts = (packet.pts if packet.dts is None else packet.dts) - shift
            packet.pts -= shift
            if item.type == "audio":  # where files were glued together it may step back, which no muxer takes
                latest = packet.dts = packet.dts if latest is None else max(packet.dts, latest + 1)
                packet.pts = max(packet.pts, latest)
        packet.stream = target
        yield packet

    return target, carry


def _attach(out: OutputContainer, source: Stream, item: StreamPlan, plan: OutputPlan) -> tuple[Stream, Carrier]:
    kind = {"mjpeg": "jpeg"}.get(item.codec, item.codec)
    with open_container(plan.source) as media:
        picture = bytes(next(media.demux(media.streams[item.index])))
    target = out.add_attachment(source.metadata.get("filename", f"cover.{kind}"), f"image/{kind}", picture)
    return target, lambda _packet: iter(())


def _convert(out: OutputContainer, source: Stream, item: StreamPlan, plan: OutputPlan) -> tuple[Stream, Carrier]:
    target = out.add_stream(item.encoder)
    assert isinstance(source, SubtitleStream) and isinstance(target, SubtitleStream)
    decoder, encoder = source.codec_context, target.codec_context
    decoder.open(strict=False)  # only then does it know the styles that the encoder needs
    encoder.time_base = target.time_base = SUBTITLE_TICK
    encoder.subtitle_header = decoder.subtitle_header

    def carry(packet: AnyPacket | None) -> Iterator[AnyPacket]:
        if packet is None or packet.pts is None:
            return
        over = (packet.pts + (packet.duration or 0)) * packet.time_base
        kept = _within(plan, packet.pts * packet.time_base, over, cut=True)
        lines = decoder.decode2(packet) if kept else None
        if not kept or lines is None or not len(lines):
            return
        text: AnyPacket = encoder.encode_subtitle(lines)
        text.stream, text.time_base = target, SUBTITLE_TICK
        text.pts = text.dts = nearest_tick(kept[0] - plan.origin, SUBTITLE_TICK)
        text.duration = nearest_tick(kept[1] - kept[0], SUBTITLE_TICK)
        yield text

    return target, carry


def _reencode(out: OutputContainer, source: Stream, item: StreamPlan, plan: OutputPlan) -> tuple[Stream, Carrier]:
    assert isinstance(source, AudioStream)
    rate = source.rate if item.encoder == "aac" and source.rate in AAC_RATES else OPUS_RATE
    bits = BITS_PER_CHANNEL * source.codec_context.channels
    target = out.add_stream(item.encoder, rate=rate, layout=source.codec_context.layout.name, bit_rate=bits)
    assert isinstance(target, AudioStream)
    target.time_base = Fraction(1, rate)
    encoder = target.codec_context
    encoder.thread_count = 1

    @cache
    def resampler() -> av.AudioResampler:  # made when the encoder is open and knows its frame size
        return av.AudioResampler(encoder.format, encoder.layout, rate, frame_size=encoder.frame_size or None)

    def encoded(frames: Iterable[av.AudioFrame | None]) -> Iterator[AnyPacket]:
        for frame in frames:
            for packet in encoder.encode(frame):
                made: AnyPacket = packet
                made.stream = target
                yield made

    def carry(packet: AnyPacket | None) -> Iterator[AnyPacket]:
        decoded: list[av.AudioFrame] = []
        with suppress(av.InvalidDataError):  # a damaged packet is a gap in the sound, as in any player
            decoded = source.codec_context.decode(packet)
        for frame in decoded:
            if frame.pts is None or frame.time_base is None:
                continue
            begins = frame.pts * frame.time_base
            if _within(plan, begins, begins, cut=False):
                frame.pts -= nearest_tick(plan.origin, frame.time_base)
                yield from encoded(resampler().resample(frame))
        if packet is None:
            yield from encoded([*resampler().resample(None), None])

    return target, carry
