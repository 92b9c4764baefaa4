"""Packs the native libraries into the wheel, built on the spot where there is a compiler."""

from __future__ import annotations

import os
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ARCHITECTURES_VARIABLE = "ANIMEGEN_CUDA_ARCH"
"""The GPUs that a wheel is compiled for, as in ``animegen ops build --cuda-arch``; not set: all, where nvcc is here."""


class NativeOpsHook(BuildHookInterface[Any]):
    """Builds what the compilers here can build. Without any the wheel holds Python alone and is as valid."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the libraries to the wheel and name the platform they are for.

        An editable install has the CPU library beside the sources, where it is found as if it were packaged.
        """
        editable = version == "editable"
        try:
            libraries = self._built(cuda=not editable)
        except ValueError as error:
            self.app.display_warning(f"without the native ops: {error}")
            return
        if editable:
            folder = Path(self.root) / "ops" / "lib"
            folder.mkdir(exist_ok=True)
            for library in libraries:  # moved into place: an open library is never written into
                shutil.copy(library, folder / f"{library.name}.part").replace(folder / library.name)
            return
        for library in libraries:
            build_data["force_include"][str(library)] = f"animegen/_shipped/ops/lib/{library.name}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"

    def _built(self, *, cuda: bool) -> list[Path]:
        """The libraries; raises ValueError where the CPU's cannot be built."""
        root = Path(self.root)
        sys.path.insert(0, str(root))
        try:
            from animegen.errors import OpsError
            from animegen.ops.build import build, cuda_compiler, targets
        finally:
            sys.path.remove(str(root))
        folder = root / "build" / "ops"
        try:
            libraries = [build(root / "ops", folder, "cpu").library]
            wanted = os.environ.get(ARCHITECTURES_VARIABLE, "all" if cuda_compiler() else "none")
            if cuda and (architectures := targets(wanted)):
                libraries.append(build(root / "ops", folder, "cuda", architectures=architectures).library)
        except OpsError as error:
            raise ValueError(str(error)) from error
        return libraries
