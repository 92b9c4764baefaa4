"""Writes a clip again through the whole writing half, frame by frame unchanged, in short segments."""

from __future__ import annotations

from pathlib import Path

from animegen.config import EncodeConfig
from animegen.video import OutputPlan, SegmentWriter, open_video, plan_output, write_output

SEGMENT_FRAMES = 7


def rewrite(
    source: Path,
    output: Path | None,
    encode: EncodeConfig | None = None,
    *,
    start: int = 0,
    stop: int | None = None,
    overwrite: bool = False,
    segment_frames: int = SEGMENT_FRAMES,
    salvage: bool = False,
) -> OutputPlan:
    """Plan, encode in segments of ``segment_frames`` and join; returns the plan."""
    with open_video(source, salvage=salvage) as video:
        plan = plan_output(video, output, encode or EncodeConfig(), start=start, stop=stop, overwrite=overwrite)
        folder = plan.output.parent / "segments"
        segments = []
        for first in range(plan.start, plan.stop, segment_frames):
            segments.append(folder / f"{first:05d}")
            with SegmentWriter(plan, segments[-1]) as writer:
                for frame in video.frames(first, min(first + segment_frames, plan.stop)):
                    writer.write(frame)
    write_output(plan, segments)
    for path in segments:
        path.unlink()
    folder.rmdir()
    return plan
