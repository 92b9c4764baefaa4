"""What the processes of one training exchange."""

from __future__ import annotations

import pytest
import torch

from animegen.errors import UsageError
from animegen.parallel import Workers


def test_alone_nothing_is_exchanged() -> None:
    workers, network = Workers(), torch.nn.Linear(2, 2)
    workers.same(network)
    workers.average(network)
    workers.wait()
    assert workers.any(True)
    assert not workers.any(False)
    assert workers.least(3) == 3
    mine = torch.arange(4)
    assert workers.mean(mine) is mine
    assert torch.equal(workers.share(mine), mine)


def test_a_batch_is_shared_row_by_row() -> None:
    shares = [Workers(rank, 2).share(torch.arange(6)).tolist() for rank in range(2)]
    assert shares == [[0, 2, 4], [1, 3, 5]] == [list(Workers(rank, 2).numbers(6)) for rank in range(2)]
    assert Workers(0, 2).split(6) == 3
    with pytest.raises(UsageError, match="a batch of 7 does not divide among 2 processes"):
        Workers(0, 2).split(7)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_a_missing_device_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with pytest.raises(UsageError, match="--device cuda"):
        Workers.from_environment("cuda")
