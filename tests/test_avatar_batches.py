"""Batches: a function of their number alone, split without change, with labels that move as the picture does."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from figures import SIZE, render, sample, write_figures

from animegen.avatar.batches import Batch, BatchSource, plain_batch
from animegen.avatar.data import Dataset
from animegen.avatar.recipes import AUGMENTATIONS, DEFAULT_AUGMENTATIONS
from animegen.errors import InputError
from animegen.pose.skeletons import AVATAR35

ONE_LEVEL = 1.5 / 255
"""Pictures are stored as bytes."""
RESAMPLED = 0.8
"""A picture drawn with turned points, against one turned itself: strokes keep their width and edges are blurred, yet it
is nearer than the picture was before."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return Dataset(write_figures(tmp_path_factory.mktemp("figures") / "data"), "train")


def tensors(batch: Batch) -> list[torch.Tensor]:
    return [batch.truth, batch.pose.xy, batch.pose.z, batch.pose.score, batch.avatar, batch.expression]


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(x, y) for x, y in zip(tensors(a), tensors(b), strict=True))


def test_a_batch_is_a_function_of_its_number(data: Dataset) -> None:
    source = BatchSource(data, size=6, seed=3, augment=AUGMENTATIONS)
    fifth = source.batch(5, 16)
    source.batch(2, 16)
    assert same(fifth, BatchSource(data, size=6, seed=3, augment=AUGMENTATIONS).batch(5, 16))
    assert not same(fifth, source.batch(6, 16))
    assert not same(fifth, BatchSource(data, size=6, seed=4, augment=AUGMENTATIONS).batch(5, 16))


@pytest.mark.parametrize("loaders", [1, 4])
def test_loaders_bring_batches_in_order(data: Dataset, loaders: int) -> None:
    source, threads = BatchSource(data, size=4, seed=0), torch.get_num_threads()
    brought = list(source.batches(3, 10, 16, loaders=loaders))
    torch.set_num_threads(threads)
    assert len(brought) == 7
    assert all(same(batch, source.batch(number, 16)) for number, batch in enumerate(brought, 3))


def test_stopping_early_leaves_no_thread(data: Dataset) -> None:
    batches = BatchSource(data, size=4, seed=0).batches(0, 1000, 16)
    next(batches)
    assert any(thread.name.startswith("batches") for thread in threading.enumerate())
    batches.close()
    assert not any(thread.name.startswith("batches") for thread in threading.enumerate())


def test_processes_share_the_batch_that_one_would_have(data: Dataset) -> None:
    whole = BatchSource(data, size=6, seed=0, augment=AUGMENTATIONS).batch(4, 16)
    for rank in range(2):
        part = BatchSource(data, size=6, seed=0, augment=AUGMENTATIONS, rank=rank, world=2).batch(4, 16)
        for mine, all_of_it in zip(tensors(part), tensors(whole), strict=True):
            assert torch.equal(mine, all_of_it[rank::2])


def test_flipping_mirrors_picture_and_labels_alike(data: Dataset) -> None:
    source = BatchSource(data, size=16, seed=1, augment=("flip",))
    batch, plain = source.batch(0, SIZE), BatchSource(data, size=16, seed=1, augment=()).batch(0, SIZE)
    flipped = [not torch.equal(a, b) for a, b in zip(batch.pose.xy, plain.pose.xy, strict=True)]
    assert 4 <= sum(flipped) <= 12
    left_eye, right_eye = (AVATAR35.index(f"{side}_eye") for side in ("left", "right"))
    for i, turned in enumerate(flipped):
        xy = batch.pose.xy[i].numpy()
        if not turned:
            assert torch.equal(batch.truth[i], plain.truth[i])
            continue
        # left keeps lying to the right, the sleeve has changed arms
        assert xy[left_eye, 0] > xy[right_eye, 0]
        mirrored = xy * (-1, 1) + (1, 0)
        order = np.arange(35)
        for a, b in AVATAR35.flip_pairs:
            order[[a, b]] = b, a
        drawn = render(mirrored[order].astype(np.float32), SIZE, int(batch.avatar[i]))[:, ::-1]
        expected = torch.from_numpy(drawn.transpose(2, 0, 1).copy()).float() / 255
        torch.testing.assert_close(batch.truth[i], expected, atol=ONE_LEVEL, rtol=0)
        assert torch.equal(batch.expression[i, :2], plain.expression[i, [1, 0]])
        assert torch.equal(batch.expression[i, 8], -plain.expression[i, 8])


def test_turning_moves_points_with_the_picture(data: Dataset) -> None:
    batch = BatchSource(data, size=16, seed=0, augment=("turn",)).batch(0, SIZE)
    plain = BatchSource(data, size=16, seed=0, augment=()).batch(0, SIZE)
    turned = [i for i in range(16) if not torch.equal(batch.truth[i], plain.truth[i])]
    assert 0 < len(turned) < 16
    for i in turned:
        drawn = render(batch.pose.xy[i].numpy(), SIZE, int(batch.avatar[i]))[..., 0] / np.float32(255)
        seen = batch.truth[i, 0].numpy()
        still = plain.truth[i, 0].numpy()
        assert np.abs(drawn - seen).sum() < RESAMPLED * np.abs(still - seen).sum()


def test_dropout_and_noise_hide_and_move_labels_only(data: Dataset) -> None:
    plain = BatchSource(data, size=16, seed=0, augment=()).batch(0, SIZE)
    hidden = BatchSource(data, size=16, seed=0, augment=("dropout",)).batch(0, SIZE)
    assert 0 < (hidden.pose.score == 0).float().mean() < 0.5
    assert torch.equal(hidden.truth, plain.truth)
    moved = BatchSource(data, size=16, seed=0, augment=("noise",)).batch(0, SIZE)
    assert 0 < (moved.pose.xy - plain.pose.xy).abs().max() < 0.02
    assert torch.equal(moved.truth, plain.truth)


def test_shade_changes_each_part_by_one_gain_and_is_off_by_default(data: Dataset) -> None:
    assert "shade" not in DEFAULT_AUGMENTATIONS
    plain = BatchSource(data, size=4, seed=0, augment=()).batch(0, SIZE).truth
    shaded = BatchSource(data, size=4, seed=0, augment=("shade",)).batch(0, SIZE).truth
    assert torch.equal(shaded[:, 0], plain[:, 0])
    assert torch.equal(shaded[:, 7:], plain[:, 7:])
    for figure in range(4):
        for plane in (1, 2, 4, 5, 6):
            inside = plain[figure, plane] > 0
            gains = shaded[figure, plane][inside] / plain[figure, plane][inside]
            assert gains.max() - gains.min() < 1e-5
            assert 0.9 <= gains.mean() <= 1.11


def test_smaller_stages_are_averages(data: Dataset) -> None:
    large, small = plain_batch(data, [0, 5], SIZE).truth, plain_batch(data, [0, 5], 8).truth
    torch.testing.assert_close(small, torch.nn.functional.avg_pool2d(large, SIZE // 8))
    assert np.array_equal(large[1].permute(1, 2, 0).numpy() * 255, sample(5).layers)


def test_a_missing_or_damaged_shard_is_named(tmp_path: Path) -> None:
    folder = write_figures(tmp_path / "data")
    source = BatchSource(Dataset(folder, "train"), size=8, seed=0)
    shard = folder / "shard-00000.agd"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-2000] + b"\0" * 2000)
    with pytest.raises(InputError, match=r"shard-00000\.agd is damaged"):
        list(source.batches(0, 12, 16))
    shard.unlink()
    with pytest.raises(InputError, match=r"cannot read .*shard-00000\.agd"):
        Dataset(folder, "train")
