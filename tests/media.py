"""Small synthetic clips for the tests: any codec, timing, rotation, colour, sound, subtitles and chapters.

Every picture carries its own number, so a test can ask a decoded picture which frame it is (:func:`index_of`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Literal, TypeAlias

import av
import numpy as np
from av.container import OutputContainer
from av.stream import Stream
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

Picture: TypeAlias = NDArray[np.uint8] | av.VideoFrame
PictureOf: TypeAlias = Callable[[int, int, int], Picture]

BITS = 12
"""Bits of the frame number in the upper quarter of every picture, the highest at the left."""

NTSC = Fraction(30000, 1001)
SAMPLE_RATE = 48000
_AUDIO_OF = {".webm": "libopus", ".ts": "mp2", ".avi": "mp3", ".gif": ""}
_SUBTITLES_OF = {".mp4": "mov_text", ".mov": "mov_text", ".mkv": "subrip", ".webm": "webvtt"}
_VIDEO_OF = {".webm": "libvpx-vp9", ".gif": "gif", ".avi": "mpeg4"}

_TAGS: dict[str, tuple[ColorPrimaries, ColorTrc, int, Colorspace]] = {
    "bt709": (ColorPrimaries.BT709, ColorTrc.BT709, 1, Colorspace.ITU709),
    "bt601": (ColorPrimaries.SMPTE170M, ColorTrc.SMPTE170M, 6, Colorspace.ITU601),
    "pq": (ColorPrimaries.BT2020, ColorTrc.SMPTE2084, 9, Colorspace.BT2020),
    "hlg": (ColorPrimaries.BT2020, ColorTrc.ARIB_STD_B67, 9, Colorspace.BT2020),
    "bt2020": (ColorPrimaries.BT2020, ColorTrc.BT2020_10, 9, Colorspace.BT2020),
}


def numbered(index: int, width: int, height: int) -> NDArray[np.uint8]:
    """A soft gradient with a bright square that moves, and the frame's number as black and white bars on top."""
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    image = np.stack(
        [40 + 160 * x / width, 40 + 160 * y / height, 200 - 80 * (x + y) / (width + height)], axis=-1
    ).astype(np.uint8)
    side = max(2, height // 6)
    left = (index * 5) % max(1, width - side)
    image[height // 2 : height // 2 + side, left : left + side] = (250, 220, 30)
    bits = (index >> np.arange(BITS - 1, -1, -1)) & 1
    image[: height // 4] = (bits[np.arange(width) * BITS // width] * 255).astype(np.uint8)[None, :, None]
    return image


def index_of(image: NDArray[np.uint8]) -> int:
    """The number that :func:`numbered` drew, read back from a decoded picture (upright, of any size)."""
    height, width = image.shape[:2]
    row = image[height // 16 : max(height // 16 + 1, 3 * height // 16)].mean(axis=(0, 2))
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    return int("".join("1" if row[x] > 127 else "0" for x in centres), 2)


def make_clip(
    path: Path,
    *,
    frames: int = 24,
    size: tuple[int, int] = (160, 96),
    rate: Fraction = NTSC,
    pts: Sequence[int] | None = None,
    time_base: Fraction | None = None,
    codec: str | None = None,
    pix_fmt: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    rotation: Literal[0, 90, 180, 270] = 0,
    mirrored: bool = False,
    colour: str | None = None,
    full_range: bool = False,
    audio: bool | str = False,
    subtitles: bool | str = False,
    chapters: Sequence[tuple[Fraction, Fraction, str]] = (),
    start_offset: int = 0,
    picture: PictureOf = numbered,
) -> Path:
    """Write a clip and return ``path``.

    ``pts``: the ticks of every frame in ``time_base`` (variable frame rate; ``frames`` is then their number); without
    it one frame every ``1 / rate``. ``start_offset`` ticks are added to all. ``rotation``: degrees clockwise by which
    a player turns the stored picture; ``mirrored``: and then mirrors it left to right; ``size`` and ``picture`` are
    as shown, the stored picture is turned the other way. ``colour``: None (no tags) or one of bt709, bt601, bt2020,
    pq, hlg. ``audio`` and ``subtitles``: True for what the container usually carries, or a codec's name.
    ``picture(index, width, height)`` returns RGB uint8 [H, W, 3], or a frame in ``pix_fmt`` that is stored as it is.
    """
    suffix = path.suffix.lower()
    base = time_base or 1 / rate
    ticks = [start_offset + t for t in (pts if pts is not None else range(frames))]
    end = (ticks[-1] + (ticks[-1] - ticks[-2] if len(ticks) > 1 else 1)) * base
    with av.open(str(path), "w", container_options=container_options or {}) as out:
        video = out.add_stream(codec or _VIDEO_OF.get(suffix, "libx264"), rate=rate, options=options or {})
        video.width, video.height = size[::-1] if rotation in (90, 270) else size
        video.pix_fmt = pix_fmt
        video.time_base = video.codec_context.time_base = base
        if rotation or mirrored:
            video.set_display_rotation(-rotation, hflip=mirrored)
        _tag(video.codec_context, colour, full_range)
        sound = _add_audio(out, suffix, audio)
        text_codec = _SUBTITLES_OF[suffix] if subtitles is True else subtitles
        text = _add_subtitles(out, text_codec) if text_codec else None
        if chapters:
            out.set_chapters([_chapter(number, *chapter) for number, chapter in enumerate(chapters)])
        for index, tick in enumerate(ticks):
            frame = _as_frame(_as_stored(picture(index, *size), rotation, mirrored), pix_fmt, colour, full_range)
            frame.pts, frame.time_base = tick, base
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if sound is not None:
            _write_sine(out, sound, ticks[0] * base, end)
        if text is not None:
            _write_subtitles(out, text, text_codec, ticks[0] * base, end)
    return path


def _tag(context: av.VideoCodecContext, colour: str | None, full_range: bool) -> None:
    if colour is not None:
        context.color_primaries, context.color_trc, context.colorspace = (int(tag) for tag in _TAGS[colour][:3])
    if full_range or colour is not None:
        context.color_range = int(ColorRange.JPEG if full_range else ColorRange.MPEG)


def _as_stored(picture: Picture, rotation: int, mirrored: bool) -> Picture:
    if isinstance(picture, av.VideoFrame):
        return picture
    return np.rot90(picture[:, ::-1] if mirrored else picture, rotation // 90)


def _as_frame(picture: Picture, pix_fmt: str, colour: str | None, full_range: bool) -> av.VideoFrame:
    if isinstance(picture, av.VideoFrame):
        return picture
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
        format=pix_fmt,
        dst_colorspace=_TAGS[colour or "bt601"][3],
        src_color_range=ColorRange.JPEG,
        dst_color_range=ColorRange.JPEG if full_range else ColorRange.MPEG,
    )


def _add_audio(out: OutputContainer, suffix: str, audio: bool | str) -> av.AudioStream | None:
    codec = _AUDIO_OF.get(suffix, "aac") if audio is True else audio
    return out.add_stream(codec, rate=SAMPLE_RATE, layout="stereo") if codec else None


def _write_sine(out: OutputContainer, stream: av.AudioStream, start: Fraction, end: Fraction) -> None:
    count = max(1024, round((end - start) * SAMPLE_RATE))
    wave = (0.2 * np.sin(2 * np.pi * 440 * np.arange(count) / SAMPLE_RATE)).astype(np.float32)
    resampler = av.AudioResampler(
        format=stream.format, layout="stereo", rate=SAMPLE_RATE, frame_size=stream.codec_context.frame_size or None
    )
    frame = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp", layout="stereo")
    frame.sample_rate, frame.time_base, frame.pts = SAMPLE_RATE, Fraction(1, SAMPLE_RATE), round(start * SAMPLE_RATE)
    for part in (*resampler.resample(frame), *resampler.resample(None), None):
        out.mux(stream.encode(part))


def _add_subtitles(out: OutputContainer, codec: str) -> Stream:
    stream = out.add_mux_stream(codec)
    stream.time_base = Fraction(1, 1000)
    return stream


def _write_subtitles(out: OutputContainer, stream: Stream, codec: str, start: Fraction, end: Fraction) -> None:
    """Two lines of text, one in each half of the clip, in the packet form of the stream's codec."""
    half = (end - start) / 2
    for number in range(2):
        text = f"line {number + 1}".encode()
        if codec == "mov_text":
            text = len(text).to_bytes(2, "big") + text
        if codec == "ass":
            text = f"{number},0,Default,,0,0,0,,".encode() + text
        packet = av.Packet(text)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = round((start + number * half) * 1000)
        packet.duration = round(half * 1000)
        out.mux(packet)


def _chapter(number: int, start: Fraction, end: Fraction, title: str) -> dict[str, object]:
    milli = Fraction(1, 1000)
    return {
        "id": number + 1,
        "start": round(start / milli),
        "end": round(end / milli),
        "time_base": milli,
        "metadata": {"title": title},
    }
