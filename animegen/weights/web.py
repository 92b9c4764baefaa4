"""Gets one file by its address on the web."""

from __future__ import annotations

import http.client
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from animegen.errors import WeightsError
from animegen.events import Listener, Progress, StageFinished, StageStarted

_PATIENCE = 60.0
"""Seconds without a byte after which a download is given up."""
_BLOCK = 1 << 20


@contextmanager
def downloaded(address: str, on_event: Listener) -> Iterator[Path]:
    """The file at ``address`` in a temporary place, gone afterwards. Raises WeightsError when it cannot be had."""
    stage = f"download {address}"
    started = time.monotonic()
    on_event(StageStarted(stage))
    with tempfile.TemporaryDirectory(prefix="animegen-web-") as name:
        path = Path(name) / "file"
        try:
            done = _load(address, path, stage, on_event)
        except (OSError, http.client.HTTPException) as error:  # URLError is an OSError
            raise WeightsError(f"{stage} failed: {error}") from error
        on_event(StageFinished(stage, done, time.monotonic() - started))
        yield path


def _load(address: str, path: Path, stage: str, on_event: Listener) -> int:
    """Write what stands at the address and return how many bytes that were."""
    done = 0
    with urllib.request.urlopen(address, timeout=_PATIENCE) as answer, path.open("wb") as file:
        total = int(answer.headers.get("Content-Length") or 0)
        while block := answer.read(_BLOCK):
            done += file.write(block)
            on_event(Progress(stage, done, total or None))
    if done < total:
        raise OSError(f"it ended after {done:,} of {total:,} bytes")
    return done
