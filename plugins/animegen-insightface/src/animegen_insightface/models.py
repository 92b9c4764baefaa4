"""The two networks of insightface that find and know faces, on ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import cv2
import insightface
import numpy as np
import onnxruntime
from insightface.model_zoo.arcface_onnx import ArcFaceONNX
from insightface.model_zoo.scrfd import SCRFD
from insightface.utils.face_align import arcface_dst
from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile

from animegen.errors import WeightsError
from animegen.protocols import PluginContext
from animegen.types import Face, Float32Array, Float64Array, Uint8Array
from animegen_insightface.options import DETECTOR, EMBEDDER, ModelOptions

_TEMPLATE_SIDE = 112
"""Pixels of the square in which insightface's template places the five points."""
_OUTPUTS = 9
"""Scores, boxes and points on three grids: what an SCRFD detector with points gives."""
_LONGEST = 32
"""A picture so many times as long as wide shows no face, and would vanish when it is fitted into a square."""
_QUIET = 3
"""Of ONNX Runtime's log: errors and worse."""


class FaceModels:
    """Detection and embedding. Neither depends on anything but the picture and the number of threads."""

    def __init__(self, options: ModelOptions, context: PluginContext) -> None:
        """Load both networks: the options' files, or the context's weights. Raises WeightsError naming the file."""
        self._options = options
        files = {**context.weights, **options.weights}
        path = files[DETECTOR]
        session = _session(path, context)
        if len(session.get_outputs()) != _OUTPUTS or len(session.get_inputs()[0].shape) != 4:
            raise WeightsError(f"{path} is no SCRFD detector with five points", "such as det_10g.onnx of buffalo_l")
        self._detector = SCRFD(str(path), session, static_shape_sessions=False)
        path = files[EMBEDDER]
        session = _session(path, context)
        inputs, outputs = session.get_inputs()[0].shape, session.get_outputs()
        if len(outputs) != 1 or len(outputs[0].shape) != 2 or inputs[1:] != [3, _TEMPLATE_SIDE, _TEMPLATE_SIDE]:
            raise WeightsError(f"{path} is no ArcFace embedder", "such as w600k_r50.onnx of buffalo_l")
        self._embedder = ArcFaceONNX(str(path), session)
        self.dimension = int(outputs[0].shape[1])

    def detect(self, picture: Uint8Array) -> list[Face]:
        """The faces of a picture uint8 [H, W, 3] RGB, surest first, without embeddings."""
        if max(picture.shape[:2]) > _LONGEST * min(picture.shape[:2]):
            return []
        side = self._options.size
        bgr = np.ascontiguousarray(picture[..., ::-1])
        boxes, points = self._detector.detect(bgr, input_size=(side, side), det_thresh=self._options.min_score)
        return [
            Face(box[:4].astype(np.float32), min(1.0, float(box[4])), five.astype(np.float32))
            for box, five in zip(boxes, points, strict=True)
            if np.isfinite(box).all() and np.isfinite(five).all() and (box[2:4] > box[:2]).all()
        ]

    def embedding(self, picture: Uint8Array, face: Face) -> Float32Array | None:
        """What the embedder makes of a face of the picture, f32 [D] of unit length; None where it makes nothing."""
        to_template = fitted(face.points, arcface_dst)
        if to_template is None:
            return None
        aligned = cv2.warpAffine(picture, to_template, (_TEMPLATE_SIDE, _TEMPLATE_SIDE))
        told = np.asarray(self._embedder.get_feat(np.ascontiguousarray(aligned[..., ::-1])), np.float64).ravel()
        length = float(np.linalg.norm(told))
        return (told / length).astype(np.float32) if np.isfinite(length) and length > 0 else None


def fitted(points: Float32Array, template: Float32Array) -> Float64Array | None:
    """The turn, scale and shift f64 [2, 3] that bring points [N, 2] nearest to a template's, by least squares.

    Points of the plane as complex numbers: z -> a z + b. None where the points fall into one.
    """
    here, there = (np.asarray(p, np.float64) @ np.array([1.0, 1.0j]) for p in (points, template))
    spread = here - here.mean()
    extent = float((abs(spread) ** 2).sum())
    if extent == 0:
        return None
    a = complex((spread.conj() * (there - there.mean())).sum() / extent)
    b = complex(there.mean() - a * here.mean())
    return np.array([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]])


def check_insightface() -> tuple[bool, str]:
    """What ``animegen doctor`` says."""
    versions = f"insightface {insightface.__version__} on ONNX Runtime {onnxruntime.__version__}"
    return True, f"{versions}; its models are for non-commercial research only"


def _session(path: Path, context: PluginContext) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = context.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _QUIET
    wanted = ["CUDAExecutionProvider"] if context.device == "cuda" else []
    here = [name for name in wanted if name in onnxruntime.get_available_providers()]
    try:
        return onnxruntime.InferenceSession(path, options, [*here, "CPUExecutionProvider"])
    except (Fail, InvalidArgument, InvalidGraph, InvalidProtobuf, NoSuchFile) as error:
        raise WeightsError(f"{path} cannot be read as ONNX: {error}", "name an ONNX file of insightface") from error
