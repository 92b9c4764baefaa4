"""Figures of StyleGAN2 that take too long for a test: ``python tests/stylegan2_bench.py NAME [THREADS [STEPS]]``.

``inversion``: PSNR at 256 px after 500 steps, of a random generator's own picture, and what other noise leaves of it
where noise is sought too. ``demo``: the same of the demo generator. ``people``: a step of a batch of four
against one of each of four runs, by the demo generator and by larger ones, in float32 and in bfloat16. ``commands``:
four commands with a picture each against one with four, start and loading included.
``official``: a step of our projector against the official one's, with one and the same random feature network, ours in
float32 and in bfloat16 in the largest blocks; and how near both came in so many steps, as in ``official 2 100``.
``equality``: the full-size networks at 1024 px against the official ones. The last two need a checkout, see
``stylegan2_official.py``.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import torch
from stylegan2_numbers import filled
from stylegan2_official import ada_networks
from torch.nn import functional

from animegen.pipeline.stylegan2 import save_picture
from animegen.stylegan2.checkpoint import Checkpoint, save_checkpoint
from animegen.stylegan2.config import GeneratorConfig, published
from animegen.stylegan2.discriminator import Discriminator
from animegen.stylegan2.distance import _SCALE, _SHIFT, Perceptual
from animegen.stylegan2.inversion import Inversion, InversionOptions, invert, psnr
from animegen.stylegan2.model import StyleGan2
from animegen.stylegan2.synthesis import Generator

VGG16 = ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28))
WEIGHTS = Path(__file__).parent.parent / "weights"
WIDTHS = (64, 128, 256, 512, 512)
_TURNS = 2


def random_generator(base: int = 16384, most: int = 512) -> StyleGan2:
    """A generator at 256 px with noise strength 0.1, whose pictures are of -1..1 nearly."""
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(256, channel_base=base, channel_max=most, mapping_layers=2, num_fp16_res=4))
    model = StyleGan2(generator, "a" * 64)
    with torch.no_grad():
        for layer in generator.synthesis.layers().values():
            layer.noise_strength.fill_(0.1)
        spread = model.draw(model.ws([model.z(0)])).std()
        for side in generator.config.resolutions:
            generator.synthesis.block(side).torgb.weight.mul_(0.4 / spread)
    return model


def features(half: torch.dtype | None = None) -> Perceptual:
    """VGG16 with random weights."""
    torch.manual_seed(1)
    tensors, inputs = {}, 3
    for numbers, width in zip(VGG16, WIDTHS, strict=True):
        for number in numbers:
            tensors[f"features.{number}.weight"] = torch.randn(width, inputs, 3, 3) * (2 / (9 * inputs)) ** 0.5
            tensors[f"features.{number}.bias"] = torch.zeros(width)
            inputs = width
    return Perceptual(tensors, half)


def seconds(action: Callable[[], object]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def inversion() -> str:
    return found(random_generator(4096, 128))


def demo() -> str:
    return found(StyleGan2.load(WEIGHTS / "demo-heads-base.safetensors"))


def found(model: StyleGan2) -> str:
    target = model.draw(model.ws([model.z(100)]))
    (plain,) = invert(model, target, InversionOptions(start_seed=3))
    lines = [f"{plain.psnr:.2f} dB after {plain.steps} steps"]
    for made_with in ("const", "none"):
        target = model.draw(model.ws([model.z(100)]), made_with)
        (noisy,) = invert(model, target, InversionOptions(start_seed=3, optimise_noise=True))
        others = [psnr(model.draw(model.ws([noisy.latent]), "random", seed)[0], target[0]) for seed in range(10)]
        told = f"{noisy.psnr:.2f} dB, with ten other noises {np.mean(others):.2f} (at worst {min(others):.2f}) dB"
        lines.append(f"noise sought of a picture with noise {made_with}: {told}")
    return "\n".join(lines)


def people(steps: int = 20) -> str:
    """Seconds a step, what a run prepares left out; in turns, so that whatever else the machine does falls on both."""
    cases = {
        "demo, 64 px": (StyleGan2.load(WEIGHTS / "demo-heads-base.safetensors"), False),
        "narrow, 256 px": (random_generator(4096, 128), False),
        "published widths, 256 px": (random_generator(), False),
        "published widths, 256 px, features": (random_generator(), True),
    }
    lines = []
    for (name, (model, judged)), dtype in product(cases.items(), (None, torch.bfloat16)):
        distance = features(dtype) if judged else None
        targets = model.draw(model.ws([model.z(seed) for seed in range(100, 104)]))
        options = InversionOptions(steps=1 + steps // _TURNS, half=dtype)
        together = apart = 0.0
        for _ in range(_TURNS):
            together += paced(model, targets, options, distance)[0]
            apart += sum(paced(model, target[None], options, distance)[0] for target in targets)
        took = f"batch of four {together / _TURNS:.3f} s a step, four runs {apart / _TURNS:.3f} s"
        lines.append(f"{name}, {'bfloat16' if dtype else 'float32'}: {took}: {together / apart:.2f}")
    return "\n".join(lines)


def commands(steps: int = 20) -> str:
    """Seconds of processor time, which other programs of the machine do not change as they do the time that passes."""
    cases = {"narrow, 256 px": random_generator(4096, 128), "published widths, 256 px": random_generator()}
    lines = []
    for name, model in cases.items():
        with tempfile.TemporaryDirectory() as folder:
            checkpoint = Path(folder) / "generator.safetensors"
            save_checkpoint(checkpoint, Checkpoint(model.generator))
            pictures = [Path(folder) / f"{seed}.png" for seed in range(4)]
            for seed, picture in enumerate(pictures):
                save_picture(picture, model.draw(model.ws([model.z(100 + seed)]))[0])
            project = [sys.executable, "-m", "animegen", "stylegan2", "project", str(checkpoint), "-o", folder]
            project += ["--steps", str(steps)]
            four = sum(processor_seconds([*project, str(picture)]) for picture in pictures)
            one = processor_seconds([*project, *map(str, pictures)])
        took = f"one command with four pictures {one:.1f} s, four commands {four:.1f} s"
        lines.append(f"{name}, {steps} steps: {took}: {one / four:.2f}")
    return "\n".join(lines)


def processor_seconds(command: list[str]) -> float:
    """What a command and its children compute, on as many threads as this process."""
    before = os.times()
    threads = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | threads)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def paced(
    model: StyleGan2, targets: np.ndarray, options: InversionOptions, distance: Perceptual | None
) -> tuple[float, list[Inversion]]:
    """Seconds a step, without what comes before the second and after the last one; and what was found."""
    ends: list[float] = []
    found = invert(model, targets, options, distance=distance, on_step=lambda *_: ends.append(time.perf_counter()))
    return (ends[-1] - ends[0]) / (len(ends) - 1), found


class _Features(torch.nn.Module):
    """The same random network as the official projector asks for it, layer by layer as in torchvision.

    Takes pictures of 0..255 and gives all features in a row.
    """

    def __init__(self) -> None:
        super().__init__()
        known = features()
        self.stages = [
            [(weight.contiguous(), bias) for weight, bias in zip(*stage, strict=True)]
            for stage in zip(known.weights, known.biases, strict=True)
        ]

    def forward(self, pictures: torch.Tensor, **_: object) -> torch.Tensor:
        shift, scale = (torch.tensor(values).reshape(1, 3, 1, 1) for values in (_SHIFT, _SCALE))
        x, found = (pictures / 127.5 - 1 - shift) / scale, []
        for place, stage in enumerate(self.stages):
            x = functional.max_pool2d(x, 2) if place else x
            for weight, bias in stage:
                x = functional.relu(functional.conv2d(x, weight, bias, padding=1))
            unit = x / (x.square().sum(dim=1, keepdim=True).sqrt() + 1e-10)
            found.append((unit / x[0, 0].numel() ** 0.5).flatten(1))
        return torch.cat(found, dim=1)


def official(steps: int = 5) -> str:
    networks = ada_networks()
    import dnnlib
    import projector

    model = random_generator()
    theirs = networks.Generator(
        z_dim=512,
        c_dim=0,
        w_dim=512,
        img_resolution=256,
        img_channels=3,
        mapping_kwargs={"num_layers": 2},
        synthesis_kwargs={"channel_base": 16384},
    )
    theirs.load_state_dict(model.generator.state_dict(), strict=False)
    target = model.draw(model.ws([model.z(100)]))
    shown = (torch.from_numpy(target[0]) + 1) * 127.5
    dnnlib.util.open_url = lambda *_: io.BytesIO()
    torch.jit.load = lambda _: _Features()
    judge = features()

    def project(count: int) -> np.ndarray:
        return projector.project(theirs, shown, num_steps=count, device=torch.device("cpu"))[-1:].numpy()

    def left(ws: np.ndarray) -> float:
        drawn, wanted = torch.from_numpy(model.draw(ws)), torch.from_numpy(target)
        with torch.inference_mode():
            return judge.between(drawn, judge.describe(wanted)).item()

    project(1)  # warm
    before = seconds(lambda: project(1))  # what comes before the second step does not count
    ends: list[np.ndarray] = []
    slow = (seconds(lambda: ends.append(project(1 + steps))) - before) / steps
    lines = [f"official: {slow:.3f} s a step, distance {left(ends[0]):.4f} after {1 + steps}"]
    for name, half in (("float32", None), ("bfloat16", torch.bfloat16)):
        options = InversionOptions(steps=1 + steps, optimise_noise=True, noise_begins=0, space="w", half=half)
        quick, (found,) = paced(model, target, options, features(half))
        apart = left(model.ws([found.latent]))
        lines.append(f"{name}: {quick:.3f} s a step, distance {apart:.4f}: {slow / quick:.2f} times as fast")
    return "\n".join(lines)


def equality() -> str:
    networks = ada_networks()
    generator, critic = published("stylegan2", 1024)
    z = torch.from_numpy(np.random.RandomState(1).randn(1, 512))
    shared = {"img_resolution": 1024, "img_channels": 3, "c_dim": 0}
    told = []
    with torch.inference_mode():
        theirs = filled(networks.Generator(z_dim=512, w_dim=512, synthesis_kwargs={"conv_clamp": 256}, **shared))
        wanted = theirs(z, None, noise_mode="const")
        apart = (filled(Generator(generator))(z) - wanted).abs().max() / wanted.abs().max()
        told.append(f"generator {apart:.2e}")
        pictures = wanted / wanted.abs().max()
        judged = filled(networks.Discriminator(conv_clamp=256, **shared))(pictures, None)
        apart = (filled(Discriminator(critic))(pictures) - judged).abs().max() / judged.abs().max()
    return f"{told[0]}, discriminator {apart:.2e} of the largest value"


FIGURES = {
    "inversion": inversion,
    "demo": demo,
    "people": people,
    "commands": commands,
    "official": official,
    "equality": equality,
}

if __name__ == "__main__":
    torch.set_num_threads(int(sys.argv[2]) if len(sys.argv) > 2 else 2)
    sys.stdout.write(FIGURES[sys.argv[1]](*map(int, sys.argv[3:])) + "\n")
