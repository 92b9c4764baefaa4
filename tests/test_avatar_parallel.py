"""Two processes take the step that one takes with the whole batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from figures import write_figures
from process_group import run_group

from animegen.avatar.checkpoint import load_tensors
from animegen.avatar.recipes import ANIME, Phase
from animegen.errors import UsageError
from animegen.parallel import Workers

SAME_STEP = 1e-5
"""Means of halves against a mean of the whole, in float32."""

SCRIPT = """
import sys
from dataclasses import replace
from pathlib import Path
import pytest
import torch
import animegen.avatar.anime_objective as objective
from figures import narrow_networks
from animegen.avatar.recipes import ANIME, Phase
from animegen.avatar.train import TrainOptions, train_avatar

narrow_networks(pytest.MonkeyPatch())
# halves of a batch round alike in float32 only: one bit of a gradient may change its bfloat16, in Muon too
objective.has_bfloat16 = lambda device: False
torch.Tensor.bfloat16 = torch.Tensor.float
# Adam's first steps are of the rate's size whatever the gradient's: a small rate would hide differences, a large
# epsilon shows gradients as they are
adam = torch.optim.Adam
torch.optim.Adam = lambda *a, **k: adam(*a, **k, eps=1.0)
recipe = replace(ANIME, phases=(Phase(8, 1.0, 4, adversarial=0.1),), warmup=1, rate=1.0)
train_avatar(TrainOptions(Path(sys.argv[1]), Path(sys.argv[2]), recipe, images=8, threads=1), lambda progress: None)
"""


def train(data: Path, run: Path, world: int) -> dict[str, torch.Tensor]:
    run_group(SCRIPT, world, data, run)
    return load_tensors(run / "checkpoint.safetensors")[0]


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    data = write_figures(tmp_path / "data", train=12, validation=2, size=8)
    alone, together = (train(data, tmp_path / f"run{world}", world) for world in (1, 2))
    assert alone.keys() == together.keys()
    for name in alone:
        torch.testing.assert_close(together[name], alone[name], atol=SAME_STEP, rtol=SAME_STEP, msg=name)
    # the optimisers' means of gradients are among what agrees, and are far larger than the tolerance
    for optimiser in ("generator_adam", "critic_adam"):
        gradients = [v for name, v in alone.items() if name.startswith(optimiser) and name.endswith("exp_avg")]
        assert max(float(gradient.abs().max()) for gradient in gradients) > 100 * SAME_STEP


def test_a_batch_has_to_divide(tmp_path: Path) -> None:
    from dataclasses import replace

    from animegen.avatar.train import Trainer, TrainOptions

    data = write_figures(tmp_path / "data", train=2, validation=1, size=8)
    recipe = replace(ANIME, phases=(Phase(8, 1.0, 5),))
    with pytest.raises(UsageError, match="a batch of 5 does not divide among 2 processes"):
        Trainer(TrainOptions(data, tmp_path / "run", recipe, images=5), Workers(0, 2))
