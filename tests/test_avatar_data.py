"""Datasets of rendered avatars: what is written is read, damage is named, splits do not mix."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from animegen.avatar.data import (
    AvatarEntry,
    ClipEntry,
    Dataset,
    DatasetWriter,
    Header,
    Sample,
    write_shard,
)
from animegen.errors import InputError, InvalidValue
from animegen.pose.skeletons import AVATAR35

SIZE = 32
AVATAR = AvatarEntry("one", "CC0", "", ((0.1, 0.2, 0.3),) * 5 + (None,), {"leg": 0.5}, {"child": True})
HEADER = Header(
    SIZE,
    AVATAR35,
    (AVATAR, AVATAR),
    (ClipEntry("walk", "train"), ClipEntry("run", "validation"), ClipEntry("dance", "test")),
    {"seed": 1},
)


def make_sample(seed: int, clip: int = 0, box: tuple[int, int, int, int] = (3, 5, 20, 31)) -> Sample:
    """A sample of noise inside a box."""
    rng = np.random.default_rng(seed)
    layers = np.zeros((SIZE, SIZE, 10), np.uint8)
    x0, y0, x1, y1 = box
    layers[y0:y1, x0:x1] = rng.integers(0, 256, (y1 - y0, x1 - x0, 10))
    return Sample(
        layers=layers,
        xy=rng.normal(16, 20, (35, 2)).astype(np.float32),
        z=rng.normal(0, 9, 35).astype(np.float32),
        visible=(rng.random(35) < 0.8).astype(np.float32),
        expression=rng.random(10).astype(np.float32),
        avatar=seed % 2,
        clip=clip,
        framing=seed % 4,
    )


def assert_same(a: Sample, b: Sample) -> None:
    for name in ("layers", "xy", "z", "visible", "expression", "avatar", "clip", "framing"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two shards of three samples, one of each split."""
    writer = DatasetWriter(tmp_path / "data", HEADER)
    for number in range(2):
        writer.write(number, [make_sample(3 * number + i, clip=i) for i in range(3)])
    return tmp_path / "data"


def test_what_is_written_is_read(folder: Path) -> None:
    dataset = Dataset(folder)
    assert len(dataset) == 6
    assert dataset.header == HEADER
    for i in range(6):
        assert_same(dataset[i], make_sample(i, clip=i % 3))
        assert dataset[i].layers.transpose(2, 0, 1).flags.c_contiguous
    assert dataset.records["avatar"].tolist() == [0, 1] * 3
    with pytest.raises(IndexError):
        dataset[6]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, SIZE), min_size=4, max_size=4), st.integers(0, 99))
def test_any_box_survives(tmp_path: Path, sides: list[int], seed: int) -> None:
    (x0, x1), (y0, y1) = sorted(sides[:2]), sorted(sides[2:])
    sample = make_sample(seed, box=(x0, y0, x1, y1))
    shard = write_shard(tmp_path, 0, HEADER, [sample])
    (tmp_path / "dataset.json").unlink(missing_ok=True)
    DatasetWriter(tmp_path, HEADER).add(shard)
    assert_same(Dataset(tmp_path)[0], sample)


def test_splits_share_no_clip(folder: Path) -> None:
    splits = {split: Dataset(folder, split) for split in ("train", "validation", "test")}
    assert [len(dataset) for dataset in splits.values()] == [2, 2, 2]
    for split, dataset in splits.items():
        assert {HEADER.clips[dataset[i].clip].split for i in range(2)} == {split}


def test_refresh_takes_in_new_shards_in_order(tmp_path: Path) -> None:
    writer = DatasetWriter(tmp_path, HEADER)
    dataset = Dataset(tmp_path)
    assert len(dataset) == 0
    later = write_shard(tmp_path, 1, HEADER, [make_sample(1)])
    writer.add(later)  # finished before its forerunner: held back
    assert dataset.refresh() == 0
    writer.write(0, [make_sample(0)])
    assert dataset.refresh() == 2
    assert_same(dataset[0], make_sample(0))
    assert_same(dataset[1], make_sample(1))


def test_a_dataset_opens_again_in_another_process(folder: Path) -> None:
    dataset = Dataset(folder, "train")
    dataset[0]
    again = pickle.loads(pickle.dumps(dataset))  # noqa: S301 - our own bytes
    assert (len(again), again.split) == (2, "train")
    assert_same(again[1], dataset[1])


def test_the_same_samples_make_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_shard(tmp_path, 1, HEADER, [make_sample(3 + i, clip=i) for i in range(3)])
    assert (tmp_path / "shard-00001.agd").read_bytes() == (folder / "shard-00001.agd").read_bytes()


def test_writing_goes_on_where_it_stopped(folder: Path) -> None:
    writer = DatasetWriter(folder, HEADER)
    assert [shard.number for shard in writer.shards] == [0, 1]
    writer.write(2, [make_sample(9)])
    assert len(Dataset(folder)) == 7


def test_another_header_is_refused(folder: Path) -> None:
    with pytest.raises(InvalidValue, match="differs in made_by"):
        DatasetWriter(folder, Header(SIZE, AVATAR35, HEADER.avatars, HEADER.clips, {"seed": 2}))


def test_a_missing_shard_is_named(folder: Path) -> None:
    (folder / "shard-00001.agd").unlink()
    with pytest.raises(InputError, match=r"shard-00001\.agd"):
        Dataset(folder)


def test_a_truncated_shard_is_named(folder: Path) -> None:
    path = folder / "shard-00001.agd"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"shard-00001\.agd is damaged: it has \d+ bytes"):
        Dataset(folder)


@pytest.mark.parametrize(("position", "where"), [(3, "begin"), (40, "records")])
def test_damage_before_the_pictures_is_named(folder: Path, position: int, where: str) -> None:
    _flip_byte(folder / "shard-00001.agd", position)
    with pytest.raises(InputError, match=rf"shard-00001\.agd is damaged: .*{where}"):
        Dataset(folder)


def test_a_damaged_picture_is_named_when_it_is_read(folder: Path) -> None:
    _flip_byte(folder / "shard-00001.agd", -1000)
    dataset = Dataset(folder)
    dataset[3]
    with pytest.raises(InputError, match=r"shard-00001\.agd is damaged: a picture"):
        dataset[5]


def test_a_damaged_manifest_is_named(folder: Path) -> None:
    path = folder / "dataset.json"
    data = json.loads(path.read_text())
    for change in ({"size": "big"}, {"shards": [{}]}, {"clips": 3}, {"format": 99}):
        path.write_text(json.dumps({**data, **change}))
        with pytest.raises(InputError, match=r"dataset\.json"):
            Dataset(folder)
    path.write_text("{")
    with pytest.raises(InputError, match=r"dataset\.json is damaged"):
        Dataset(folder)
    path.unlink()
    with pytest.raises(InputError, match=r"dataset\.json"):
        Dataset(folder)


def test_a_sample_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="clip must be from 0 to 2, got 3"):
        write_shard(tmp_path, 0, HEADER, [make_sample(0, clip=3)])
    wide = Header(64, AVATAR35, HEADER.avatars, HEADER.clips)
    with pytest.raises(InvalidValue, match=r"Sample.layers must be uint8 \(64, 64, 10\)"):
        write_shard(tmp_path, 0, wide, [make_sample(0)])
    assert list(tmp_path.iterdir()) == []


def _flip_byte(path: Path, position: int) -> None:
    data = bytearray(path.read_bytes())
    data[position] ^= 0x40
    path.write_bytes(bytes(data))
