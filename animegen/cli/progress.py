"""Listeners of the event stream: a progress bar at a terminal, plain lines elsewhere, JSON lines with ``--json``."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from functools import partial
from typing import TYPE_CHECKING, TextIO

import click

from animegen.cli import console

if TYPE_CHECKING:
    from animegen.events import Event, Listener

PLAIN_INTERVAL = 10.0
"""Seconds between two plain progress lines."""


@contextmanager
def listener(*, as_json: bool = False, quiet: bool = False) -> Iterator[Listener]:
    """The listener that suits the output: JSON lines on stdout, or progress and warnings on stderr."""
    if as_json:
        events = sys.stdout
        with redirect_stdout(sys.stderr):  # what libraries print is no event
            yield partial(_tell_json, events)
    elif quiet:
        yield _tell_warnings
    elif sys.stderr.isatty():
        with _bar() as tell:
            yield tell
    else:
        yield _PlainLines()


def _tell_json(file: TextIO, event: Event) -> None:
    from animegen.events import as_dict

    click.echo(json.dumps(as_dict(event), ensure_ascii=False), file=file)
    file.flush()


def _tell_warnings(event: Event) -> None:
    from animegen.events import ClipFailed, Warned

    if isinstance(event, Warned):
        console.warn(event.message)
    elif isinstance(event, ClipFailed):
        console.fail(f"{event.source}: {event.message}", event.hint)


class _PlainLines:
    """One line when a stage starts to move, every few seconds, and at its end."""

    def __init__(self) -> None:
        self._told = time.monotonic()
        self._started = self._told

    def __call__(self, event: Event) -> None:
        from animegen.events import ClipStarted, Progress, StageFinished, StageStarted

        _tell_warnings(event)
        now = time.monotonic()
        if isinstance(event, ClipStarted):
            click.echo(f"{event.number} of {event.total}: {event.source}", err=True)
        elif isinstance(event, StageStarted):
            self._told = self._started = now
        elif isinstance(event, Progress) and now - self._told >= PLAIN_INTERVAL:
            self._told = now
            click.echo(f"{event.stage}: {_state(event.done, event.total, now - self._started)}", err=True)
        elif isinstance(event, StageFinished):
            steps = f"{event.done} " if event.done else ""
            click.echo(f"{event.stage}: {steps}done in {event.seconds:.1f} s", err=True)


def _state(done: int, total: int | None, seconds: float) -> str:
    rate = done / seconds if seconds > 0 else 0.0
    if total is None:
        return f"{done}, {rate:.1f}/s"
    left = f", {(total - done) / rate:.0f} s left" if rate > 0 else ""
    return f"{done} of {total}, {rate:.1f}/s{left}"


@contextmanager
def _bar() -> Iterator[Listener]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

    from animegen import events

    screen = Console(stderr=True)
    columns = (
        TextColumn("{task.description:>10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[fps]}"),
        TimeRemainingColumn(),
    )
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=screen) as progress:

        def tell(event: events.Event) -> None:
            match event:
                case events.StageStarted(stage, total):
                    tasks[stage] = progress.add_task(stage, total=total, fps="")
                case events.Progress(stage, done, total):
                    task = tasks[stage]
                    speed = progress.tasks[progress.task_ids.index(task)].speed
                    progress.update(task, completed=done, total=total, fps=f"{speed:.1f}/s" if speed else "")
                case events.StageFinished(stage, done, _):
                    progress.update(tasks[stage], completed=done, total=done)
                case events.Warned(message):
                    screen.print(f"warning: {message}", markup=False, highlight=False)
                case events.ClipStarted(source, number, total):
                    for task in tasks.values():
                        progress.remove_task(task)
                    tasks.clear()
                    screen.print(f"{number} of {total}: {source}", markup=False, highlight=False)
                case events.ClipFailed(source, message, hint):
                    text = f"error: {source}: {message}" + (f"\nhint: {hint}" if hint else "")
                    screen.print(text, markup=False, highlight=False)
                case _:
                    pass

        yield tell
