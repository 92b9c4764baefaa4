"""Ctrl-C and a request to terminate stop a run in good order: after the current frame, keeping what is finished."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import click


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """An event that is set by the first SIGINT or SIGTERM; a second one ends the program at once, which harms nothing.

    In a thread other than the main one nothing can be listened for, and the event stays unset.
    """
    cancel = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield cancel
        return

    def stop(number: int, _: FrameType | None) -> None:
        cancel.set()
        click.echo(f"{signal.Signals(number).name}: stopping after this frame; once more stops at once", err=True)
        for each, handler in before.items():
            signal.signal(each, handler)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield cancel
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
