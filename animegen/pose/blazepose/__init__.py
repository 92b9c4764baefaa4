"""BlazePose (Bazarevsky et al. 2020, arXiv 2006.10204) for several people."""

from __future__ import annotations

from animegen.pose.blazepose.options import BlazePoseOptions
from animegen.protocols import PluginContext, PoseBackend

__all__ = ["BlazePoseOptions", "make_blazepose"]


def make_blazepose(options: BlazePoseOptions, context: PluginContext) -> PoseBackend:
    """The backend over the files that its spec names in ``context.weights``.

    Raises WeightsError when a file is missing or is not such a model.
    """
    from animegen.pose.blazepose.backend import load_backend

    return load_backend(options, context)
