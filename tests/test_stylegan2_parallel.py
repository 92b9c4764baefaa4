"""Two processes take the steps of StyleGAN2's training that one takes with the whole batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from process_group import run_group
from safetensors.torch import load_file

SAME_STEP = 1e-5
"""Means of halves against a mean of the whole, in float32."""
SIDE, BATCH, STEPS = 16, 8, 2

SCRIPT = """
import sys
from pathlib import Path
import torch
from stylegan2_numbers import filled
from animegen.parallel import Workers
from animegen.stylegan2.checkpoint import Checkpoint
from animegen.stylegan2.config import DiscriminatorConfig, GeneratorConfig
from animegen.stylegan2.discriminator import Discriminator
from animegen.stylegan2.pictures import PictureFolder
from animegen.stylegan2.recipes import Recipe
from animegen.stylegan2.synthesis import Generator
from animegen.stylegan2.training import Trainer

data, folder, side, batch, steps = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:])
torch.set_num_threads(1)
# Adam's steps are of the rate's size whatever the gradient's: a large epsilon shows gradients as they are
adam = torch.optim.Adam
torch.optim.Adam = lambda *a, **k: adam(*a, **{**k, "eps": 1.0})
shape = {"channel_base": 128, "channel_max": 8, "mapping_layers": 2, "c_dim": 2}
recipe = Recipe(batch, 0.002, 1.0, 1000, r1_every=2, path_every=2, ada_images=500)

def run():  # as the command does: nothing of it lives on while the interpreter is taken down
    generator = filled(Generator(GeneratorConfig(side, z_dim=16, w_dim=16, **shape)))
    critic = filled(Discriminator(DiscriminatorConfig(side, group_size=4, **shape)))
    with Workers.from_environment("cpu") as workers:
        pictures = PictureFolder(data, side, 3, classes=2)
        trainer = Trainer(Checkpoint(generator, discriminator=critic), pictures, recipe, workers=workers)
        trainer.p = 0.7
        for step in range(steps):
            trainer.step()
            if workers.rank == 0:
                trainer.save(folder / f"{step}.safetensors")

run()
"""


def train(data: Path, run: Path, world: int) -> list[dict[str, torch.Tensor]]:
    """All tensors, the optimisers' among them, after each step."""
    run_group(SCRIPT, world, data, run, SIDE, BATCH, STEPS)
    return [load_file(run / f"{step}.safetensors") for step in range(STEPS)]


def test_two_processes_take_the_steps_of_one(tmp_path: Path) -> None:
    """The first step has both regularisations, the second none; Adam's means are the gradients, as beta1 is 0."""
    draw = np.random.RandomState(0)
    for number in range(6):
        (tmp_path / "data" / "ab"[number % 2]).mkdir(parents=True, exist_ok=True)
        picture = draw.randint(0, 256, (SIDE, SIDE, 3)).astype(np.uint8)
        Image.fromarray(picture).save(tmp_path / "data" / "ab"[number % 2] / f"{number}.png")
    alone, together = (train(tmp_path / "data", tmp_path / f"run{world}", world) for world in (1, 2))
    for step, (one, other) in enumerate(zip(alone, together, strict=True)):
        assert one.keys() == other.keys()
        for name in one:
            torch.testing.assert_close(other[name], one[name], atol=SAME_STEP, rtol=SAME_STEP, msg=f"{name}, {step}")
        for network in "gd":
            gradients = [t for name, t in one.items() if name.startswith(f"optimiser.{network}.") and "exp_avg" in name]
            assert max(float(gradient.abs().max()) for gradient in gradients) > 100 * SAME_STEP
