"""The folder of a training: where its files lie, and what it was asked to do.

Layout::

    run/
      options.json             everything that decides what is learned
      checkpoint.safetensors   the networks and optimisers to go on from
      avatar.safetensors       the averaged weights, ready to draw with
      log.jsonl                one line of figures a checkpoint
      curves.png               the validation's figures over the images seen
      grids/00012000.png       truth above drawing, after that many images
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animegen.errors import InputError, JobError
from animegen.jobs import write_text


@dataclass(frozen=True, slots=True)
class RunFolder:
    """Paths of one training."""

    root: Path

    @property
    def options(self) -> Path:
        """What the training was asked to do."""
        return self.root / "options.json"

    @property
    def checkpoint(self) -> Path:
        """What to go on from."""
        return self.root / "checkpoint.safetensors"

    @property
    def weights(self) -> Path:
        """What to draw with."""
        return self.root / "avatar.safetensors"

    @property
    def log(self) -> Path:
        """One JSON object a line."""
        return self.root / "log.jsonl"

    @property
    def curves(self) -> Path:
        """The log's figures as a picture."""
        return self.root / "curves.png"

    @property
    def grids(self) -> Path:
        """The folder of sample grids."""
        return self.root / "grids"

    def claim(self, options: Mapping[str, Any], *, restart: bool = False) -> None:
        """Make this folder the training of ``options`` (plain JSON values by name), or go on with the one it holds.

        Raises JobError naming the options that differ where it holds another one, unless ``restart`` throws that one
        away: only files that a training writes are removed.
        """
        if restart:
            for path in (self.options, self.checkpoint, self.weights, self.log, self.curves):
                path.unlink(missing_ok=True)
            shutil.rmtree(self.grids, ignore_errors=True)
        wanted: dict[str, Any] = json.loads(json.dumps(options))
        if self.checkpoint.exists() and self.options.exists():  # what never took a step binds nobody
            found = self._found()
            differing = [name for name in {**found, **wanted} if found.get(name) != wanted.get(name)]
            if differing:
                fields = ", ".join(f"{name} was {_short(found.get(name))}" for name in differing)
                raise JobError(
                    f"{self.root} holds a training of other options: {fields}",
                    "give those options, choose another folder with -o, or throw that training away with --restart",
                )
            return
        write_text(self.options, json.dumps(wanted, indent=1) + "\n")

    def _found(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = dict(json.loads(self.options.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise InputError(
                f"{self.options} is damaged: {error}", "remove it, or begin anew with --restart"
            ) from error
        return found


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 60 else text[:57] + "..."
