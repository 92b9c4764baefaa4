"""Checkpoints to draw with only, as small as they can be."""

from __future__ import annotations

from pathlib import Path

import torch

from animegen.errors import UsageError
from animegen.stylegan2.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from animegen.stylegan2.model import BASE
from animegen.weights import sha256_of


def shrink(checkpoint: Path, output: Path, *, base: Path | None = None) -> None:
    """Write the generator that a checkpoint draws with, in float16, and nothing to train on with.

    ``base`` is the file, shrunk too, of the generator that it was fine-tuned from, whose latents it understands. Raises
    UsageError where the mapping networks of the two differ, WeightsError for files that cannot be read.
    """
    whole = load_checkpoint(checkpoint)
    notes = {"origin": whole.notes.get("origin", ""), "origin_sha256": sha256_of(checkpoint)}
    if base is not None:
        own, theirs = (one.generator.mapping.half().state_dict() for one in (whole, load_checkpoint(base)))
        if own.keys() != theirs.keys() or not all(torch.equal(own[name], theirs[name]) for name in own):
            raise UsageError(
                f"the generator has another mapping network than {base}", "fine-tune with --freeze-mapping"
            )
        notes[BASE] = sha256_of(base)
    save_checkpoint(output, Checkpoint(whole.generator, notes=notes), dtype=torch.float16)
