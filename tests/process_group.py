"""A group of processes as torchrun starts them."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path


def run_group(script: str, world: int, *arguments: object) -> None:
    """Run ``script`` with its arguments in ``world`` processes; asserts that each of them ends well."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    processes = []
    for rank in range(world):
        group = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world, "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        paths = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
        environment = {**os.environ, **paths, **{name: str(value) for name, value in group.items()}}
        environment["PYTHONFAULTHANDLER"] = "1"  # where a process aborts, it says what it was at
        processes.append(subprocess.Popen([sys.executable, "-c", script, *map(str, arguments)], env=environment))
    assert [process.wait(timeout=300) for process in processes] == [0] * world
