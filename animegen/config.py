"""What a run is asked to do: one frozen dataclass, the same for the command line and the Python call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeAlias

from animegen.errors import InvalidValue

OnLost: TypeAlias = Literal["interpolate", "hold", "fade", "source"]

ON_LOST: tuple[OnLost, ...] = ("interpolate", "hold", "fade", "source")
"""What may be done with a person whose pose fails."""

SEGMENT_FRAMES = 240
"""Frames of one segment, about: 8 to 10 seconds. The segments of a clip are equally long to a frame."""

_TIMES = "start and end are times of the source, from 0 to its length"


@dataclass(frozen=True, slots=True)
class EncodeConfig:
    """How the output is written. ``codec`` None: what the container is usually given (H.264 in mp4)."""

    codec: str | None = None
    crf: int | None = None
    preset: str | None = None
    alpha: bool = False
    reencode_audio: bool = False
    convert_subtitles: bool = False
    drop_streams: bool = False

    def __post_init__(self) -> None:
        if self.crf is not None and not 0 <= self.crf <= 63:
            raise InvalidValue(
                f"crf must be 0..63, got {self.crf}", "smaller is better and larger in bytes; 18 is fine"
            )


@dataclass(frozen=True, slots=True)
class ConvertConfig:
    """Everything that shapes a conversion.

    ``cast`` is a file that says who is in the clip and how everyone is drawn; ``style`` draws those to whom it gives no
    other. ``start`` and ``end`` are seconds of the source; ``max_people`` keeps those longest on screen; ``on_lost``
    says what is done where a pose fails: short gaps are interpolated and long ones fade, or the last pose is held, or
    the avatar fades at once, or the source shows the person, which it never does unasked. ``face`` is the
    face backend of styles that need one; ``settings`` are ``KEY=VALUE`` options of the chosen plugins.

    ``segment_frames`` is about how many frames are worked on and stored together, ``threads`` how many one worker's
    networks use (None: as many as serve). ``engine`` says where segments are worked on: in this process, or by
    ``workers`` Ray workers, of the cluster at ``address`` where one is named. None of these three changes a pixel.
    """

    style: str = "anime"
    cast: Path | None = None
    pose: str = "blazepose"
    face: str = "facemesh"
    tracker: str = "oks"
    identity: str = "appearance"
    background: str = "clean"
    start: Fraction | None = None
    end: Fraction | None = None
    max_people: int | None = None
    on_lost: OnLost = "interpolate"
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    encode: EncodeConfig = field(default_factory=EncodeConfig)
    salvage: bool = False
    segment_frames: int = SEGMENT_FRAMES
    threads: int | None = None
    engine: Literal["local", "ray"] = "local"
    workers: int | None = None
    address: str | None = None
    overwrite: bool = False
    keep: bool = False
    discard_job: bool = False
    restart: bool = False

    def __post_init__(self) -> None:
        if self.start is not None and self.start < 0:
            raise InvalidValue(f"start must not be negative, got {float(self.start)} s", _TIMES)
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise InvalidValue(f"end ({float(self.end)} s) must come after start ({float(self.start)} s)", _TIMES)
        if self.max_people is not None and self.max_people < 1:
            raise InvalidValue(f"max_people must be at least 1, got {self.max_people}")
        for name in ("segment_frames", "threads", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidValue(f"{name} must be at least 1, got {value}")
        if self.engine == "local" and (self.workers is not None or self.address is not None):
            raise InvalidValue("workers and an address are Ray's, but the engine is 'local'", "add --engine ray")
        if self.on_lost not in ON_LOST:
            raise InvalidValue(f"on_lost must be one of {', '.join(ON_LOST)}, got '{self.on_lost}'")

    def to_plain(self) -> dict[str, Any]:
        """The request as nested mappings of plain values, without what changes no pixel."""
        plain = asdict(self)
        for name in ("engine", "workers", "address", "overwrite", "keep", "discard_job", "restart"):
            del plain[name]
        for name in ("cast", "start", "end"):
            plain[name] = None if plain[name] is None else str(plain[name])
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ConvertConfig:
        """The request again from what :meth:`to_plain` gave; None and missing fields take their defaults."""
        known = {f.name: plain[f.name] for f in fields(cls) if plain.get(f.name) is not None}
        for name in ("start", "end"):
            if name in known:
                known[name] = Fraction(known[name])
        if "cast" in known:
            known["cast"] = Path(known["cast"])
        known["encode"] = EncodeConfig(**known.get("encode", {}))
        return cls(**known)
