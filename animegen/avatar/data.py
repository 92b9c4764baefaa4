"""Datasets of rendered avatars: shade layers with the pose, the expression and the avatar that they show.

A dataset is a folder: ``dataset.json`` says what its samples mean and lists its shards; ``shard-00000.agd`` and so on
hold a few hundred samples each. A shard stands whole or not at all and ``dataset.json`` names only whole ones, in
order, so a training may begin while the rest is still being made.

A shard is 16 bytes of head (``AGDSHARD``, format and number of samples as little-endian uint32), one record of fixed
size for each sample, and the pictures: the ten planes one after the other, cut to the box that holds the figure, each
row as differences of neighbours (PNG's filter 1), as one zlib stream. The records' CRC-32 stands in ``dataset.json``
and a zlib stream carries its own checksum, so no damage goes unseen and nothing is read twice to see it.
"""

from __future__ import annotations

import json
import mmap
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from animegen.avatar.config import EXPRESSION
from animegen.avatar.layers import LAYERS
from animegen.errors import InputError, InvalidValue
from animegen.jobs import artefact, write_text
from animegen.types import Float32Array, Skeleton, Uint8Array

Split: TypeAlias = Literal["train", "validation", "test"]
SPLITS: tuple[Split, ...] = get_args(Split)

FRAMINGS = ("full", "half", "head", "loose", "face", "hand")
"""What a picture shows: the whole figure filling the canvas, half of it, head and shoulders, the figure off centre, the
head alone, or the right hand, of which nothing else but the forearm is drawn, and what hides it hides it."""

DATASET_FORMAT = 1

_MAGIC = b"AGDSHARD"
_HEAD = 16
_LEVEL = 4
_REMAKE = "remove that shard from dataset.json and make it again, or fetch the dataset again"


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One picture and what it shows.

    ``layers`` uint8 [S, S, 10] as in :mod:`animegen.avatar.layers`; when read, its memory lies plane by plane, so that
    ``layers.transpose(2, 0, 1)`` is contiguous. ``xy`` f32 [K, 2] pixels, also of points outside of the picture; ``z``
    f32 [K] pixels relative to the hips' midpoint (smaller is nearer); ``visible`` f32 [K], 1 inside the picture, of a
    hand's everywhere;
    ``expression`` f32 [10] in the order of ``EXPRESSION``. ``avatar`` and ``clip`` index the header's lists,
    ``framing`` indexes ``FRAMINGS``.
    """

    layers: Uint8Array
    xy: Float32Array
    z: Float32Array
    visible: Float32Array
    expression: Float32Array
    avatar: int
    clip: int
    framing: int


@dataclass(frozen=True, slots=True)
class AvatarEntry:
    """An avatar of a dataset. ``palette``: its own sRGB colours 0..1 in the order of PARTS; None: it lacks the part."""

    name: str
    licence: str
    credit: str
    palette: tuple[tuple[float, float, float] | None, ...]
    proportions: Mapping[str, float] = field(default_factory=dict)
    traits: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ClipEntry:
    """A motion clip and the split that all of its samples belong to."""

    name: str
    split: Split


@dataclass(frozen=True, slots=True)
class Header:
    """What all samples of a dataset share. ``made_by`` says how it was made: plain JSON values."""

    size: int
    skeleton: Skeleton
    avatars: tuple[AvatarEntry, ...]
    clips: tuple[ClipEntry, ...]
    made_by: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Shard:
    """A whole shard: its number, samples, size of the file in bytes and CRC-32 of its records."""

    number: int
    samples: int
    bytes: int
    crc32: int

    @property
    def file(self) -> str:
        """The file's name in the dataset's folder."""
        return f"shard-{self.number:05d}.agd"


def write_shard(folder: Path, number: int, header: Header, samples: Sequence[Sample]) -> Shard:
    """Write one shard, whole or not at all, and return what ``DatasetWriter.add`` records of it.

    Any process may write any number. Raises InvalidValue for a sample that does not fit the header, OutputError where
    the disk refuses it.
    """
    records = np.zeros(len(samples), _record_type(header.skeleton))
    pictures = []
    position = _HEAD + records.nbytes
    for record, sample in zip(records, samples, strict=True):
        _check(sample, header)
        box, picture = _packed(sample.layers)
        record["offset"], record["length"], record["box"] = position, len(picture), box
        for name in ("xy", "z", "visible", "expression", "avatar", "clip", "framing"):
            record[name] = getattr(sample, name)
        pictures.append(picture)
        position += len(picture)
    table = records.tobytes()
    shard = Shard(number, len(samples), position, zlib.crc32(table))
    head = np.array([DATASET_FORMAT, len(samples)], "<u4").tobytes()
    with artefact(folder / shard.file) as part, part.open("wb") as file:
        file.writelines((_MAGIC, head, table, *pictures))
    return shard


class DatasetWriter:
    """Keeps ``dataset.json`` of a folder: one process adds the shards that any processes write.

    Opening it on a folder whose header is the same goes on with the shards that stand there (:attr:`shards`). Raises
    InvalidValue naming the fields where another dataset stands in the folder, InputError where it is damaged.
    """

    def __init__(self, folder: Path, header: Header) -> None:
        self.folder = folder
        self.header = header
        self._waiting: dict[int, Shard] = {}
        self._shards: list[Shard] = []
        if (folder / "dataset.json").exists():
            found, self._shards = _read_manifest(folder)
            here, there = _header_json(header), _header_json(found)
            differing = ", ".join(name for name in here if here[name] != there[name])
            if differing:
                raise InvalidValue(
                    f"{folder} holds another dataset: it differs in {differing}", "choose another folder with -o"
                )
        self._save()

    @property
    def shards(self) -> tuple[Shard, ...]:
        """The shards that ``dataset.json`` names: numbers 0, 1, ... without a gap."""
        return tuple(self._shards)

    def write(self, number: int, samples: Sequence[Sample]) -> None:
        """Write a shard and add it."""
        self.add(write_shard(self.folder, number, self.header, samples))

    def add(self, shard: Shard) -> None:
        """Name a whole shard in ``dataset.json``, once all of smaller numbers are named.

        The order in which shards are finished therefore never shows.
        """
        self._waiting[shard.number] = shard
        while (following := self._waiting.pop(len(self._shards), None)) is not None:
            self._shards.append(following)
            self._save()

    def _save(self) -> None:
        manifest = {
            "format": DATASET_FORMAT,
            **_header_json(self.header),
            "shards": [asdict(shard) for shard in self._shards],
        }
        write_text(self.folder / "dataset.json", json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


class Dataset:
    """The samples of a dataset, or of one split of it, in the order in which they were made.

    Reading is safe from several threads, and a pickled dataset opens again elsewhere, so loaders may use threads or
    processes. Raises InputError naming the file for what is missing or damaged: a shard's size and records are checked
    when the dataset is opened, a picture when it is read.
    """

    def __init__(self, folder: str | Path, split: Split | None = None) -> None:
        self.folder = Path(folder)
        self.split = split
        self.header, _ = _read_manifest(self.folder)
        self._shards: list[Shard] = []
        self._pages: dict[int, mmap.mmap] = {}
        self._records = np.zeros(0, _record_type(self.header.skeleton))
        self._homes = np.zeros(0, np.int32)
        self.refresh()

    def __reduce__(self) -> tuple[type[Dataset], tuple[Path, Split | None]]:
        return Dataset, (self.folder, self.split)

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, index: int) -> Sample:
        """One sample; its arrays are its own and may be changed."""
        record, home = self._records[index], int(self._homes[index])
        return Sample(
            layers=self._picture(record, self._shards[home]),
            xy=record["xy"].copy(),
            z=record["z"].copy(),
            visible=record["visible"].copy(),
            expression=record["expression"].copy(),
            avatar=int(record["avatar"]),
            clip=int(record["clip"]),
            framing=int(record["framing"]),
        )

    @property
    def records(self) -> NDArray[np.void]:
        """All but the pictures, as a structured array [N] with fields named as :class:`Sample`'s. Not to be changed."""
        return self._records

    def refresh(self) -> int:
        """Take in the shards finished since; samples known before keep their index. Returns how many came."""
        before = len(self)
        _, shards = _read_manifest(self.folder)
        wanted = np.array([self.split in (None, clip.split) for clip in self.header.clips], bool)
        tables, homes = [self._records], [self._homes]
        for shard in shards[len(self._shards) :]:
            table = self._table(shard)
            table = table[wanted[table["clip"]]]
            tables.append(table)
            homes.append(np.full(len(table), shard.number, np.int32))
        self._shards = shards
        self._records, self._homes = np.concatenate(tables), np.concatenate(homes)
        return len(self) - before

    def _table(self, shard: Shard) -> NDArray[np.void]:
        """The checked records of a shard."""
        path = self.folder / shard.file
        kind = _record_type(self.header.skeleton)
        try:
            size = path.stat().st_size
            with path.open("rb") as file:
                head, data = file.read(_HEAD), file.read(shard.samples * kind.itemsize)
        except OSError as error:
            raise InputError(f"cannot read {path}: {error.strerror or error}", _REMAKE) from error
        if size != shard.bytes:
            raise InputError(f"{path} is damaged: it has {size} bytes, dataset.json says {shard.bytes}", _REMAKE)
        if head != _MAGIC + np.array([DATASET_FORMAT, shard.samples], "<u4").tobytes():
            raise InputError(f"{path} is damaged: it does not begin as a shard of {shard.samples} samples", _REMAKE)
        if zlib.crc32(data) != shard.crc32:
            raise InputError(f"{path} is damaged: the CRC-32 of its records differs from dataset.json", _REMAKE)
        table = np.frombuffer(data, kind)
        if (table["clip"] >= len(self.header.clips)).any() or (table["avatar"] >= len(self.header.avatars)).any():
            raise InputError(f"{path} names a clip or an avatar that dataset.json does not list", _REMAKE)
        return table

    def _picture(self, record: np.void, shard: Shard) -> Uint8Array:
        start, length = int(record["offset"]), int(record["length"])
        try:
            data = memoryview(self._mapped(shard))[start : start + length]
            return _unpacked(data, record["box"].tolist(), self.header.size)
        except (zlib.error, ValueError) as error:
            raise InputError(f"{self.folder / shard.file} is damaged: a picture in it: {error}", _REMAKE) from error

    def _mapped(self, shard: Shard) -> mmap.mmap:
        """The file in memory, mapped when it is first needed."""
        pages = self._pages.get(shard.number)
        if pages is None:
            path = self.folder / shard.file
            try:
                with path.open("rb") as file:
                    pages = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except OSError as error:
                raise InputError(f"cannot read {path}: {error.strerror or error}", _REMAKE) from error
            self._pages[shard.number] = pages
        return pages


def _record_type(skeleton: Skeleton) -> np.dtype[np.void]:
    points = len(skeleton)
    return np.dtype(
        [
            ("offset", "<u8"), ("length", "<u4"), ("box", "<u2", 4), ("xy", "<f4", (points, 2)), ("z", "<f4", points),
            ("visible", "<f4", points), ("expression", "<f4", len(EXPRESSION)), ("avatar", "<u2"),
            ("clip", "<u2"), ("framing", "u1"),
        ]
    )  # fmt: skip


def _check(sample: Sample, header: Header) -> None:
    points = len(header.skeleton)
    shapes = {
        "layers": (header.size, header.size, LAYERS),
        "xy": (points, 2),
        "z": (points,),
        "visible": (points,),
        "expression": (len(EXPRESSION),),
    }
    for name, shape in shapes.items():
        array = getattr(sample, name)
        wanted = np.uint8 if name == "layers" else np.float32
        if array.shape != shape or array.dtype != wanted:
            raise InvalidValue(
                f"Sample.{name} must be {np.dtype(wanted).name} {shape}, got {array.dtype.name} {array.shape}"
            )
    for name, limit in (("avatar", len(header.avatars)), ("clip", len(header.clips)), ("framing", len(FRAMINGS))):
        if not 0 <= getattr(sample, name) < limit:
            raise InvalidValue(f"Sample.{name} must be from 0 to {limit - 1}, got {getattr(sample, name)}")


def _packed(layers: Uint8Array) -> tuple[tuple[int, int, int, int], bytes]:
    """The box of what is drawn (x0, y0, x1, y1; the far side excluded) and the compressed planes inside it."""
    drawn = layers.max(axis=2) > 0
    rows, columns = np.flatnonzero(drawn.any(axis=1)), np.flatnonzero(drawn.any(axis=0))
    if not len(rows):
        return (0, 0, 0, 0), zlib.compress(b"", _LEVEL)
    x0, y0, x1, y1 = int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
    planes = np.ascontiguousarray(layers[y0:y1, x0:x1].transpose(2, 0, 1))
    planes[..., 1:] -= planes[..., :-1].copy()  # uint8 wraps around, as in PNG
    return (x0, y0, x1, y1), zlib.compress(planes.tobytes(), _LEVEL)


def _unpacked(data: memoryview, box: Sequence[int], size: int) -> Uint8Array:
    """The picture that :func:`_packed` took apart, plane by plane in memory."""
    x0, y0, x1, y1 = box
    shape = (LAYERS, y1 - y0, x1 - x0)
    planes = np.frombuffer(zlib.decompress(data, bufsize=max(1, int(np.prod(shape)))), np.uint8).reshape(shape)
    picture = np.zeros((LAYERS, size, size), np.uint8)
    np.add.accumulate(planes, axis=2, out=picture[:, y0:y1, x0:x1])
    return picture.transpose(1, 2, 0)


def _header_json(header: Header) -> dict[str, Any]:
    """A header as it stands in ``dataset.json``: only what JSON knows."""
    plain: dict[str, Any] = json.loads(json.dumps(asdict(header)))
    return plain


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turn what a damaged manifest raises while it is read into an InputError that names it."""
    hint = "`animegen vrm dataset` makes one"
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", hint) from error
    except (ValueError, TypeError, KeyError) as error:
        raise InputError(f"{path} is damaged: {error!r}", hint) from error


def _read_manifest(folder: Path) -> tuple[Header, list[Shard]]:
    path = folder / "dataset.json"
    with _damage(path):
        data = json.loads(path.read_text(encoding="utf-8"))
        if data["format"] != DATASET_FORMAT:
            raise InputError(
                f"{path} has format {data['format']}, this version reads {DATASET_FORMAT}", "make the dataset again"
            )
        skeleton = data["skeleton"]
        pairs = {name: tuple((int(a), int(b)) for a, b in skeleton[name]) for name in ("edges", "flip_pairs")}
        header = Header(
            size=int(data["size"]),
            skeleton=Skeleton(skeleton["name"], tuple(skeleton["points"]), **pairs),
            avatars=tuple(_avatar_entry(entry) for entry in data["avatars"]),
            clips=tuple(ClipEntry(**entry) for entry in data["clips"]),
            made_by=data["made_by"],
        )
        shards = [Shard(**entry) for entry in data["shards"]]
        if [shard.number for shard in shards] != list(range(len(shards))):
            raise ValueError("the shards' numbers have a gap")
        return header, shards


def _avatar_entry(entry: Mapping[str, Any]) -> AvatarEntry:
    palette = tuple(None if colour is None else (colour[0], colour[1], colour[2]) for colour in entry["palette"])
    return AvatarEntry(**{**entry, "palette": palette})
