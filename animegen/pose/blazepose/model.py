"""A TFLite model as a function from one picture to its outputs."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from animegen.errors import WeightsError
from animegen.types import Float32Array


class PictureModel:
    """A model with one float32 input [1, size, size, 3] and float32 outputs of known shapes.

    ``outputs`` are the shapes in the order of the model's outputs. Raises WeightsError when the file is missing, is
    no TFLite model or has other shapes.
    """

    def __init__(self, path: Path, size: int, outputs: tuple[tuple[int, ...], ...], threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        hint = "fetch it again with `animegen weights pull`, or check it with `animegen weights verify`"
        if not path.is_file():
            raise WeightsError(f"the model file {path} is missing", hint)
        try:
            with _silenced():
                self._interpreter: Any = Interpreter(model_path=str(path), num_threads=threads)
                self._interpreter.allocate_tensors()
        except (ValueError, RuntimeError) as error:
            raise WeightsError(f"{path} is not a readable TFLite model: {error}", hint) from error
        given = self._interpreter.get_input_details()
        made = self._interpreter.get_output_details()
        shapes = tuple(tuple(map(int, detail["shape"])) for detail in (*given, *made))
        if shapes != ((1, size, size, 3), *outputs):
            raise WeightsError(f"{path} is another model than expected: its tensors have the shapes {shapes}", hint)
        self._input: int = given[0]["index"]
        self._outputs: list[int] = [detail["index"] for detail in made]

    def __call__(self, picture: Float32Array) -> list[Float32Array]:
        """The outputs for one picture [size, size, 3]; each is a copy that stays valid."""
        self._interpreter.set_tensor(self._input, picture[None])
        self._interpreter.invoke()
        return [np.asarray(self._interpreter.get_tensor(index)) for index in self._outputs]


@contextmanager
def _silenced() -> Iterator[None]:
    """Keep native code off the terminal: TFLite announces its delegate on stderr, and no setting of its stops that."""
    if sys.stderr is None:  # a process without a terminal: file descriptor 2 may be any file
        yield
        return
    sys.stderr.flush()
    stderr, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
        os.close(nowhere)


def sigmoid(logits: Float32Array) -> Float32Array:
    """The logistic function; logits beyond +-30 are 0 or 1 in float32 anyway and would only overflow."""
    odds: Float32Array = np.exp(np.clip(logits, -30, 30))
    return odds / (1 + odds)
