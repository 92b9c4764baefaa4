"""Packs the native libraries into the wheel, built on the spot where there is a compiler."""

from __future__ import annotations

import os
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ARCHITECTURES_VARIABLE = "ANIMEGEN_CUDA_ARCH"
"""The GPUs to compile for, as in ``animegen ops build --cuda-arch``; not set: all where nvcc is here."""


class NativeOpsHook(BuildHookInterface[Any]):
    """Builds what the compilers here can build. Without any the wheel holds Python alone and is as valid."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the libraries to the wheel and name the platform they are for; an editable install has none."""
        if version == "editable":
            return
        root = Path(self.root)
        sys.path.insert(0, str(root))
        try:
            from animegen.errors import OpsError
            from animegen.ops.build import build, cpu_compiler, cuda_compiler, targets
        finally:
            sys.path.remove(str(root))
        folder = root / "build" / "wheel-ops"
        if cpu_compiler() is None:
            self.app.display_warning("no C++ compiler: the wheel is built without the native ops")
            return
        try:
            libraries = [build(root / "ops", folder, "cpu").library]
            if cuda_compiler() is not None and (wanted := targets(os.environ.get(ARCHITECTURES_VARIABLE, "all"))):
                libraries.append(build(root / "ops", folder, "cuda", architectures=wanted).library)
        except OpsError as error:
            self.app.display_warning(f"the wheel is built without the native ops: {error}")
            return
        for library in libraries:
            build_data["force_include"][str(library)] = f"animegen/_shipped/ops/lib/{library.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
