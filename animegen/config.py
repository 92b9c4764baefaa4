"""What a run is asked to do: one frozen dataclass, the same for the command line and the Python call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from typing import Any, Literal

from animegen.errors import InvalidValue

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

    ``start`` and ``end`` are seconds of the source; ``max_people`` keeps those longest on screen; ``settings`` are
    ``KEY=VALUE`` options of the chosen style, pose backend or background.
    """

    style: str = "anime"
    pose: str = "blazepose"
    tracker: str = "oks"
    identity: str = "palette"
    background: str = "clean"
    start: Fraction | None = None
    end: Fraction | None = None
    max_people: int | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0
    settings: Mapping[str, str] = field(default_factory=dict)
    encode: EncodeConfig = field(default_factory=EncodeConfig)
    salvage: bool = False
    overwrite: bool = False
    keep: bool = False
    restart: bool = False

    def __post_init__(self) -> None:
        if self.start is not None and self.start < 0:
            raise InvalidValue(f"start must not be negative, got {float(self.start)} s", _TIMES)
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise InvalidValue(f"end ({float(self.end)} s) must come after start ({float(self.start)} s)", _TIMES)
        if self.max_people is not None and self.max_people < 1:
            raise InvalidValue(f"max_people must be at least 1, got {self.max_people}")

    def to_plain(self) -> dict[str, Any]:
        """The request as nested mappings of plain values, without what only says how to treat files that stand."""
        plain = asdict(self)
        for name in ("overwrite", "keep", "restart"):
            del plain[name]
        for name in ("start", "end"):
            plain[name] = None if plain[name] is None else str(plain[name])
        return plain

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ConvertConfig:
        """The request again from what :meth:`to_plain` gave; None and missing fields take their defaults."""
        known = {f.name: plain[f.name] for f in fields(cls) if plain.get(f.name) is not None}
        for name in ("start", "end"):
            if name in known:
                known[name] = Fraction(known[name])
        known["encode"] = EncodeConfig(**known.get("encode", {}))
        return cls(**known)
