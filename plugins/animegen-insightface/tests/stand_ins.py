"""Small networks with the inputs and outputs of insightface's, and pictures that they understand.

To the detector, a face is a green disc. The embedder knows people by the red in it: two people whose red fills opposite
halves are opposites to it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from animegen.types import Uint8Array

SIDE = 112
DIMENSION = 512
_GRIDS = (8, 16, 32)
_INNER, _OUTER = 1.6, 4.0
"""Radii of the two bells whose difference finds discs of 2 to 5 steps of a grid, in steps."""
_REACH = 12
"""Half the bells' width in pixels of the picture that is averaged over half steps."""
_SURE = 0.45
"""Answer of a disc's middle from which it is a face."""
_BOX = 2.8
"""Half the side of every box, in steps."""
_POINTS = np.array([[-0.9, -0.8], [0.9, -0.8], [0.0, 0.2], [-0.7, 1.1], [0.7, 1.1]])
"""The five points of every face around its middle, in steps."""

Who = Literal["left", "right"]
"""The half of the face that is red."""


def paint_face(image: Uint8Array, middle: tuple[float, float], radius: float, who: Who) -> None:
    """Draw a face into a picture uint8 [H, W, 3]."""
    rows, columns = np.mgrid[: image.shape[0], : image.shape[1]]
    x, y = columns - middle[0], rows - middle[1]
    disc = x**2 + y**2 < radius**2
    image[disc] = (0, 255, 0)
    image[disc & ((x < 0) if who == "left" else (x > 0))] = (255, 255, 0)


def write_detector(path: Path) -> Path:
    """An ONNX file as SCRFD's: [1, 3, H, W] in; scores, boxes and points of two anchors a place, on three grids."""
    nodes, constants, outputs = [], [], []
    for step in _GRIDS:
        shift = (step / 4 - 0.5) / step  # half steps are averaged, so their middles lie off the grid
        box = np.array([_BOX - shift, _BOX - shift, _BOX + shift, _BOX + shift])
        constants += [
            _constant(f"bells_{step}", _bells()),
            _constant(f"unsure_{step}", np.array([-60 * _SURE, -99.0])),
            _constant(f"rows_{step}", np.array([-1, 1], np.int64)),
            _constant(f"nothing_{step}", np.zeros((1, 1))),
            _constant(f"box_{step}", box[None]),
            _constant(f"five_{step}", (_POINTS + shift).reshape(1, 10)),
        ]
        half, reach = [step // 2] * 2, [_REACH] * 4
        nodes += [
            helper.make_node("AveragePool", ["input.1"], [f"a_{step}"], kernel_shape=half, strides=half),
            helper.make_node(
                "Conv", [f"a_{step}", f"bells_{step}", f"unsure_{step}"], [f"b_{step}"], strides=[2, 2], pads=reach
            ),
            helper.make_node("Sigmoid", [f"b_{step}"], [f"c_{step}"]),
            helper.make_node("Transpose", [f"c_{step}"], [f"d_{step}"], perm=[0, 2, 3, 1]),
            helper.make_node("Reshape", [f"d_{step}", f"rows_{step}"], [f"score_{step}"]),
            helper.make_node("Mul", [f"score_{step}", f"nothing_{step}"], [f"e_{step}"]),
            helper.make_node("Add", [f"e_{step}", f"box_{step}"], [f"box_out_{step}"]),
            helper.make_node("Add", [f"e_{step}", f"five_{step}"], [f"five_out_{step}"]),
        ]
    for name, width in (("score", 1), ("box_out", 4), ("five_out", 10)):
        outputs += [helper.make_tensor_value_info(f"{name}_{s}", TensorProto.FLOAT, [None, width]) for s in _GRIDS]
    given = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, None, None])
    return _written(path, helper.make_graph(nodes, "detector", [given], outputs, constants))


def _bells() -> NDArray[np.float64]:
    """Green less blue within a narrow bell, less the same within a wide one; the second anchor sees nothing."""
    axis = np.arange(-_REACH, _REACH + 1)
    squares = axis[:, None] ** 2 + axis**2
    narrow, wide = (np.exp(-squares / (2 * (2 * radius) ** 2)) for radius in (_INNER, _OUTER))
    bell = narrow / narrow.sum() - wide / wide.sum()
    kernel = np.zeros((2, 3, *bell.shape))
    kernel[0, 1], kernel[0, 2] = 30 * bell, -30 * bell
    return kernel


def write_embedder(path: Path) -> Path:
    """An ONNX file as ArcFace's: [N, 3, 112, 112] in, [N, 512] out."""
    cells = np.zeros((3, 7, 7, DIMENSION))
    cells[0] = np.random.default_rng(5).normal(size=(7, 7, DIMENSION))
    nodes = [
        helper.make_node("AveragePool", ["input.1"], ["cells"], kernel_shape=[16, 16], strides=[16, 16]),
        helper.make_node("Flatten", ["cells"], ["flat"]),
        helper.make_node("MatMul", ["flat", "directions"], ["683"]),
    ]
    given = helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [None, 3, SIDE, SIDE])
    told = helper.make_tensor_value_info("683", TensorProto.FLOAT, [None, DIMENSION])
    directions = _constant("directions", cells.reshape(-1, DIMENSION))
    return _written(path, helper.make_graph(nodes, "embedder", [given], [told], [directions]))


def _constant(name: str, values: NDArray[np.generic]) -> onnx.TensorProto:
    kept = values if values.dtype == np.int64 else values.astype(np.float32)
    return numpy_helper.from_array(kept, name)


def _written(path: Path, graph: onnx.GraphProto) -> Path:
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
