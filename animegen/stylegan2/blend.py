"""Layer swapping: one generator's coarse layers with another's fine ones.

Two generators of which one was fine-tuned from the other agree on what their layers mean. The coarse layers give pose
and shape, the fine ones texture and colour. Source: Pinkney and Adler 2020, arXiv 2010.05334, section 2; Kwong et al.
2020, arXiv 2010.05713, section 3.2.
"""

from __future__ import annotations

from pathlib import Path

from animegen.errors import UsageError
from animegen.stylegan2.checkpoint import Checkpoint, load_checkpoint
from animegen.stylegan2.model import BASE
from animegen.stylegan2.synthesis import Generator
from animegen.weights import sha256_of


def blend(coarse: Generator, fine: Generator, side: int) -> Generator:
    """A generator whose blocks below ``side`` px are those of ``coarse``, and from there on those of ``fine``.

    The mapping network is that of ``coarse``. Raises UsageError where the two do not share a configuration, or there
    is no block of that side above the first.
    """
    if coarse.config != fine.config:
        raise UsageError("the generators have other configurations", "blend two that share a base")
    legal = coarse.config.resolutions[1:]
    if side not in legal:
        raise UsageError(
            f"layers are swapped at one of {', '.join(map(str, legal))} px, got {side}", "choose one of them"
        )
    above = tuple(f"synthesis.b{n}." for n in legal if n >= side)
    tensors = {**coarse.state_dict(), **{n: t for n, t in fine.state_dict().items() if n.startswith(above)}}
    blended = Generator(coarse.config)
    blended.load_state_dict(tensors)
    return blended.eval().requires_grad_(requires_grad=False)


def blend_files(coarse: Path, fine: Path, side: int, *, base: Path | None = None) -> Checkpoint:
    """As :func:`blend`, of two files; the result understands the latents of ``base``, by default of ``coarse``."""
    generator = blend(load_checkpoint(coarse).generator, load_checkpoint(fine).generator, side)
    notes = {
        "origin": f"layers below {side} px of one generator, the others of another",
        "coarse_sha256": sha256_of(coarse),
        "fine_sha256": sha256_of(fine),
        BASE: sha256_of(base or coarse),
    }
    return Checkpoint(generator, notes=notes)
