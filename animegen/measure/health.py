"""The checks of ``animegen doctor``: each returns whether the thing works, and one line about it."""

from __future__ import annotations

import platform
import shutil
import sys
from pathlib import Path
from typing import Any

from animegen.measure.cores import usable_cores

OLDEST_PYTHON = (3, 11)
ENOUGH_DISK = 2 * 1024**3
"""Bytes that a few minutes of video and its job folder need."""
ENCODERS = ("libx264", "libx265", "libvpx-vp9", "prores_ks", "h264_nvenc")


def check_python() -> tuple[bool, str]:
    """The interpreter is new enough."""
    oldest = ".".join(map(str, OLDEST_PYTHON))
    return sys.version_info >= OLDEST_PYTHON, f"{platform.python_version()} (needs {oldest} or newer)"


def check_machine() -> tuple[bool, str]:
    """The system and the cores this process may use."""
    cores = usable_cores()
    return True, f"{platform.system()} {platform.release()} on {platform.machine()}, {cores} cores"


def check_torch() -> tuple[bool, str]:
    """PyTorch loads, and whether it sees a GPU."""
    try:
        import torch
    except (ImportError, OSError) as error:
        return False, f"does not load: {error}"
    if not torch.cuda.is_available():
        return True, f"{torch.__version__}, no CUDA device: everything runs on the CPU"
    names = ", ".join(torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count()))
    return True, f"{torch.__version__}, CUDA {torch.version.cuda}: {names}"


def check_video() -> tuple[bool, str]:
    """PyAV loads and brings an H.264 encoder."""
    try:
        import av
    except (ImportError, OSError) as error:
        return False, f"PyAV does not load: {error}"
    encoders = [name for name in ENCODERS if _is_encoder(av, name)]
    text = f"PyAV {av.__version__}, FFmpeg {av.ffmpeg_version_info}, encoders: {', '.join(encoders) or 'none'}"
    return "libx264" in encoders, text


def _is_encoder(av: Any, name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except av.codec.codec.UnknownCodecError:
        return False
    return True


def check_pose_runtime() -> tuple[bool, str]:
    """The runtime of the pose models loads."""
    try:
        from ai_edge_litert import interpreter
    except (ImportError, OSError) as error:
        return False, f"ai-edge-litert does not load: {error}"
    from importlib import metadata

    return hasattr(interpreter, "Interpreter"), f"ai-edge-litert {metadata.version('ai-edge-litert')}"


def check_native_ops() -> tuple[bool, str]:
    """What computes the native ops: a library, or the references where none is here."""
    from animegen.ops.build import KINDS
    from animegen.ops.library import choice

    return True, "; ".join(f"{kind}: {choice(kind)}" for kind in KINDS)


def check_disk() -> tuple[bool, str]:
    """There is room for a job folder here."""
    free = shutil.disk_usage(Path.cwd()).free
    text = f"{free / 1024**3:.1f} GiB free in {Path.cwd()}"
    return free >= ENOUGH_DISK, text if free >= ENOUGH_DISK else f"{text}, which is little for a video"
