"""Decides what happens to the streams beside the picture: copied, re-made, or left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from av.container import InputContainer
from av.stream import Discard, Disposition, Stream

from animegen.config import EncodeConfig
from animegen.errors import OutputError
from animegen.video.containers import Container, carries, first_to_carry

Action: TypeAlias = Literal["copy", "attach", "reencode", "convert", "drop"]

TEXT_SUBTITLES = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"})


@dataclass(frozen=True, slots=True)
class StreamPlan:
    """What happens to one stream of the source beside its picture. ``encoder`` is set where it is re-made."""

    index: int
    type: str
    codec: str
    action: Action
    encoder: str = ""

    @property
    def label(self) -> str:
        """How messages call the stream."""
        return f"{self.type} stream {self.index} ({self.codec})"


def plan_streams(
    media: InputContainer, picture: int, container: Container, codec: str, encode: EncodeConfig
) -> tuple[list[StreamPlan], list[str]]:
    """The plan of every stream but ``picture``, and what to warn of.

    Raises OutputError for sound or subtitles that ``container`` cannot carry where no flag allows another way.
    """
    plans: list[StreamPlan] = []
    warnings: list[str] = []
    for stream in media.streams:
        if stream.index == picture:
            if stream.metadata.get("alpha_mode") == "1":
                warnings.append(f"the transparency of its {_codec_name(stream)} video is not read: what it hides shows")
            continue
        plan = StreamPlan(stream.index, stream.type, _codec_name(stream), "copy")
        if encode.alpha or container.kind != "film":
            plan = replace(plan, action="drop")
            if stream.type == "audio":
                why = "avatars alone are written without sound" if encode.alpha else f"{container.name} has no sound"
                warnings.append(f"{plan.label} is left out: {why}")
        elif stream.type in {"audio", "subtitle"}:
            if not carries(container, stream):
                plan = _rescue(plan, media, container, codec, encode)
        elif not carries(container, stream) or not (stream.type == "attachment" or _takes_cover(container, stream)):
            plan = replace(plan, action="drop")
            if stream.discard is not Discard.all:  # a chapter track says again what the chapters say
                warnings.append(f"{plan.label} is left out: it is not carried over to {container.name}")
        elif container.name == "mkv" and is_cover(stream):
            plan = replace(plan, action="attach")  # Matroska keeps pictures among its attached files
        plans.append(plan)
    return plans, warnings


def sound_and_text(media: InputContainer) -> list[Stream]:
    """The streams that an output has to carry beside the picture."""
    return [stream for stream in media.streams if stream.type in {"audio", "subtitle"}]


def is_cover(stream: Stream) -> bool:
    """Whether a video stream is one attached picture, such as cover art."""
    return Disposition.attached_pic in stream.disposition


def _takes_cover(container: Container, stream: Stream) -> bool:
    """Whether a stream is a cover and stays one: QuickTime's form of mp4 has no place for it."""
    return is_cover(stream) and container.name in {"mp4", "mkv"}


def _rescue(
    plan: StreamPlan, media: InputContainer, container: Container, codec: str, encode: EncodeConfig
) -> StreamPlan:
    """The plan for a stream that ``container`` cannot carry as it is."""
    is_text = plan.codec in TEXT_SUBTITLES
    if plan.type == "audio" and encode.reencode_audio:
        return replace(plan, action="reencode", encoder=container.audio_encoder)
    if is_text and encode.convert_subtitles:
        return replace(plan, action="convert", encoder=container.subtitle_encoder)
    if encode.drop_streams:
        return replace(plan, action="drop")
    raise OutputError(f"{container.name} cannot carry {plan.label}", _ways_out(plan, sound_and_text(media), codec))


def _ways_out(plan: StreamPlan, streams: Sequence[Stream], codec: str) -> str:
    able = first_to_carry(streams, codec) or first_to_carry(streams, "h264")
    ways = [f"write {able.suffixes[0]}, which carries every stream"] if able else []
    if plan.type == "audio":
        ways.append("--reencode-audio")
    elif plan.codec in TEXT_SUBTITLES:
        ways.append("--convert-subtitles")
    return ", ".join([*ways, "or --drop-streams"])


def _codec_name(stream: Stream) -> str:
    if stream.codec_context is not None:
        return stream.codec_context.codec.canonical_name
    return stream.name or "unknown"
