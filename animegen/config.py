"""What a conversion is asked to do: the options of ``animegen convert``, and of :func:`animegen.convert` in Python.

The first module that a request passes: everything after it takes a :class:`ConvertConfig` whose values are in range.
Whether the plugins it names exist, and their own options, :mod:`animegen.pipeline.stages` checks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal, TypeAlias

from animegen.errors import InvalidValue

OnLost: TypeAlias = Literal["interpolate", "hold", "fade", "source"]

ON_LOST: tuple[OnLost, ...] = ("interpolate", "hold", "fade", "source")
"""What may be done in frames where a person's pose cannot be found; see :class:`ConvertConfig`."""

SEGMENT_FRAMES = 240
"""About how many frames a segment has: 8 to 10 seconds. The segments of a clip differ by one frame at most."""

_TIMES = "start and end are times of the source, from 0 to its length"


@dataclass(frozen=True, slots=True)
class EncodeConfig:
    """How the output is encoded.

    ``codec``, ``crf`` (0..63, smaller is better) and ``preset`` are the encoder's; None takes what is usual for the
    container, such as H.264 in mp4. ``alpha`` writes the avatars alone on a transparent background. ``reencode_audio``,
    ``convert_subtitles`` and ``drop_streams`` say what may be done with streams that the container cannot carry;
    without them such a stream is an error.
    """

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
    """All options of a conversion. Raises InvalidValue for a value out of range.

    What is drawn:

    - ``style``, ``pose``, ``face``, ``tracker``, ``identity``, ``background``: names of plugins; ``face`` is used by
      styles that need a face backend. ``background`` may have a value behind a colon, or be the path of a picture.
    - ``settings``: options of these plugins, as ``--set KEY=VALUE`` gives them.
    - ``cast``: a cast file, which says who is in the clip and how each is drawn. ``style`` draws everyone for whom it
      names no other.
    - ``start``, ``end``: the part of the source to convert, in seconds.
    - ``max_people``: only so many are drawn, those who are longest on screen.
    - ``on_lost``: what is done where a person's pose cannot be found. ``interpolate`` bridges short gaps and fades the
      avatar out over long ones, ``hold`` keeps the last pose, ``fade`` fades at once, and ``source`` shows the source,
      and so the person.
    - ``seed``: for everything that is drawn at random.
    - ``encode``, and ``salvage``: the readable part of a damaged input is converted.

    How it is computed:

    - ``device`` of the networks, and ``threads`` that each may use; None: as many as speed it up.
    - ``segment_frames``: about how many frames are worked on and stored together.
    - ``engine``: segments are worked on in this process (``local``) or by ``workers`` processes of Ray, in the cluster
      at ``address`` or in one that is started here. These three change no pixel of the result.

    What happens to files: ``overwrite`` replaces a finished output, ``keep`` and ``discard_job`` keep everything or
    nothing of the job folder when it is finished, and ``restart`` throws it away before beginning.
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
        """The request as plain values for the job folder's record, without where it runs and what becomes of files."""
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
