"""Reads back the segment files that :class:`animegen.video.encode.SegmentWriter` wrote."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import av
from av.packet import Packet
from av.stream import Stream

from animegen.errors import OutputError
from animegen.video.encode import FRAME_TICK
from animegen.video.local import local_url
from animegen.video.ticks import nearest_tick

AnyPacket: TypeAlias = "Packet[Stream]"


@dataclass(frozen=True, slots=True)
class SegmentOrder:
    """``shown``: for every packet, in decoding order, which frame of the segment it shows; ``header``: extradata."""

    shown: tuple[int, ...]
    header: bytes


def shown_frame(packet: AnyPacket) -> int:
    """Which frame of its segment a packet shows, from 0."""
    assert packet.pts is not None
    return nearest_tick(packet.pts * packet.time_base, FRAME_TICK)


def segment_packets(path: Path) -> Iterator[AnyPacket]:
    """The encoded packets of one segment in decoding order."""
    with av.open(local_url(path)) as container:
        yield from (packet for packet in container.demux(container.streams[0]) if packet.size)


def scan(segments: Sequence[Path], frames: int) -> list[SegmentOrder]:
    """The order of packets in each segment; OutputError unless together they hold ``frames`` frames of one kind."""
    orders = []
    for path in segments:
        try:
            with av.open(local_url(path)) as container:
                stream = container.streams[0]
                shown = tuple(shown_frame(packet) for packet in container.demux(stream) if packet.size)
                orders.append(SegmentOrder(shown, stream.codec_context.extradata or b""))
        except (av.FFmpegError, IndexError) as error:
            raise OutputError(
                f"the segment {path} cannot be read", "remove it and run the same command again"
            ) from error
    held = sum(len(order.shown) for order in orders)
    if held != frames:
        raise OutputError(f"the segments hold {held} frames, but {frames} are to be written")
    if len({order.header for order in orders}) != 1:
        raise OutputError("the segments were not encoded alike", "run the same command again with --restart")
    return orders


def packet_sizes(segments: Sequence[Path]) -> tuple[list[int], list[int]]:
    """Bytes of every key frame of some segments, and of every other frame."""
    packets = [packet for path in segments for packet in segment_packets(path)]
    return [p.size for p in packets if p.is_keyframe], [p.size for p in packets if not p.is_keyframe]
