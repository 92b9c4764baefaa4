"""Whether a video file is there in full, from the sizes that its own structure states.

Only what is stated is checked: a file whose structure says nothing (an endless stream) passes.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

from animegen.errors import InputError
from animegen.video.decoding import damaged

_MP4_BOXES = {
    b"ftyp",
    b"moov",
    b"mdat",
    b"free",
    b"skip",
    b"wide",
    b"pnot",
    b"moof",
    b"mfra",
    b"styp",
    b"sidx",
    b"uuid",
}
_EBML, _SEGMENT, _CLUSTER = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x1f\x43\xb6\x75"
_RIFF_SLACK = 8
"""Bytes by which an AVI may be shorter than it says: writers differ in what they count, and no frame is so small."""


def check_whole(path: Path) -> None:
    """Raise InputError where the file ends before its structure says so (mp4, mov, mkv, webm, avi)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[4:8] in _MP4_BOXES:
            _check_mp4(path, file, size)
        elif head[:4] == _EBML:
            _check_matroska(path, file, size)
        elif head[:4] == b"RIFF" and head[8:12] == b"AVI ":
            _check_avi(path, file, size)


def _cut(path: Path, what: str, end: int, size: int) -> InputError:
    return damaged(path, f"its {what} should reach byte {end}, the file ends at {size}")


def _check_mp4(path: Path, file: BinaryIO, size: int) -> None:
    """Walk the top-level boxes (ISO 14496-12, 4.2): each lies inside the file, and there is a ``moov``."""
    position = 0
    kinds: set[bytes] = set()
    while position < size:
        file.seek(position)
        header = file.read(16)
        length, kind = int.from_bytes(header[:4], "big"), header[4:8]
        if kinds and kind not in _MP4_BOXES and not kind.isalnum():
            break  # What follows the last box is no box: bytes some writers leave behind.
        if length == 1:
            length = int.from_bytes(header[8:16], "big")
        if length == 0:
            length = size - position
        if length < 8 or position + length > size:
            raise _cut(path, f"'{kind.decode('latin-1')}' box", position + max(length, 8), size)
        kinds.add(kind)
        position += length
    if not kinds & {b"moov", b"meta"}:  # "meta" alone: an image in the same kind of file
        raise damaged(path, "its index (the 'moov' box) is missing, the recording was not finished")


def _check_matroska(path: Path, file: BinaryIO, size: int) -> None:
    """Walk the elements (RFC 8794) of the segment's first level: each lies inside the file."""
    position = 0
    while position < size:
        file.seek(position)
        header = file.read(12)
        id_bytes = _vint_length(header[0])
        size_bytes = _vint_length(header[id_bytes]) if len(header) > id_bytes else 9
        if id_bytes > 4 or size_bytes > 8:
            return  # Not an element: what follows is left to the decoder.
        element = header[:id_bytes]
        value = int.from_bytes(header[id_bytes : id_bytes + size_bytes], "big") & ((1 << 7 * size_bytes) - 1)
        unknown = value == (1 << 7 * size_bytes) - 1
        data = position + id_bytes + size_bytes
        if not unknown and data + value > size:
            name = {_SEGMENT: "segment", _CLUSTER: "cluster"}.get(element, "element")
            raise _cut(path, name, data + value, size)
        descend = element == _SEGMENT or unknown
        position = data if descend else data + value


def _vint_length(first: int) -> int:
    """Bytes of a variable-length number that begins with ``first`` (9: none does)."""
    return 9 - first.bit_length()


def _check_avi(path: Path, file: BinaryIO, size: int) -> None:
    """Walk the RIFF chunks; a length of 0 stands in files that were never finished, and says nothing."""
    position = 0
    while position + 12 <= size:
        file.seek(position)
        header = file.read(8)
        length = int.from_bytes(header[4:8], "little")
        if header[:4] != b"RIFF" or length == 0:
            return
        end = position + 8 + length
        if end > size + _RIFF_SLACK:
            raise _cut(path, "list of frames", end, size)
        position = end + length % 2
