"""Opening a video: what it is, when its frames are shown, and the frames themselves as upright RGB pictures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from types import TracebackType

from animegen.errors import InputError
from animegen.types import Frame, VideoInfo
from animegen.video.film import Film
from animegen.video.integrity import check_whole
from animegen.video.stills import Stills, is_image
from animegen.video.streams import Chapter, StreamInfo
from animegen.video.timeline import Timeline

HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis"})
"""Brands of photos that are cut into HEVC tiles (ISO 23008-12, B.4.1)."""


class VideoFile:
    """A video, animated image or still that is open for reading. Made by :func:`open_video`; a context manager."""

    def __init__(self, path: Path, content: Film | Stills) -> None:
        self.path = path
        self._content = content

    def __enter__(self) -> VideoFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def info(self) -> VideoInfo:
        """Size as shown, rate, colour; ``info.colour.is_hdr`` where the frames are tone-mapped."""
        return self._content.info

    @property
    def timeline(self) -> Timeline:
        """When every frame is shown."""
        return self._content.timeline

    @property
    def streams(self) -> tuple[StreamInfo, ...]:
        """Every stream of the file, in its order; none for an image."""
        return self._content.streams

    @property
    def chapters(self) -> tuple[Chapter, ...]:
        """The chapters of the file, in its order."""
        return self._content.chapters

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of the whole file, in hex."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    def frames(self, start: int = 0, stop: int | None = None) -> Iterator[Frame]:
        """Frames ``start`` to ``stop - 1`` (None: to the end), one by one, upright RGB; ``pts`` exact.

        HDR is tone-mapped to BT.709. Several iterators may run at once, in several threads. Raises InputError where
        the file turns out to be damaged, IndexError for frames that it does not have.
        """
        count = len(self.timeline)
        end = count if stop is None else stop
        if not 0 <= start <= end <= count:
            raise IndexError(f"frames {start} to {end} asked of a video that has {count}")
        return (
            Frame(index, self.timeline.time(index), image)
            for index, image in enumerate(self._content.pictures(start, end), start)
        )

    def close(self) -> None:
        """Close the file; what is known of it stays."""
        self._content.close()


def open_video(path: Path, *, salvage: bool = False) -> VideoFile:
    """Open a video, animated image or still for reading.

    ``salvage`` takes of a damaged or truncated file what can be decoded. Raises InputError for everything that is
    not a whole, decodable file with pictures.
    """
    if not path.exists():
        if path.is_symlink():
            raise InputError(f"{path} is a symbolic link that leads nowhere", "make it anew, or name the file itself")
        raise InputError(f"{path} does not exist", "check the name and the folder")
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a video file", "name one file in it")
    if not path.is_file():
        raise InputError(f"{path} is a pipe or a device, not a file", "write the video to a file: it is read twice")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(16)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}", "check its permissions") from None
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes)", "was it copied or downloaded in full?")
    if is_image(head):
        return VideoFile(path, Stills(path, salvage=salvage))
    if head[4:8] == b"ftyp" and head[8:12] in HEIC_BRANDS:
        # FFmpeg would take one of its tiles for the picture
        raise InputError(f"{path} is a HEIC photo, which is not read", "export it as JPEG or PNG")
    if not salvage:
        check_whole(path)
    return VideoFile(path, Film(path, salvage=salvage))
