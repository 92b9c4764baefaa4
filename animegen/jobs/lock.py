"""One run at a time: a lock that the operating system takes back from a process that dies."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from animegen.errors import JobError
from animegen.jobs.artefacts import writing


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds a lock: a process, and the machine it runs on."""

    pid: int
    host: str

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``, which is removed at the end.

    The lock is the system's (``flock``), so that of a dead process is free. A file system may keep such locks from
    the other machines that share it: a file that names another machine therefore holds too.
    Raises JobError naming the holder.
    """
    file = _taken(path)
    try:
        file.truncate(0)
        file.write(json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
        yield
    finally:
        with suppress(OSError):  # the folder may be gone with the file
            path.unlink()
        file.close()


def holder(path: Path) -> Holder | None:
    """Who holds the lock, None where nobody does; a lock of another machine holds until its file is removed."""
    import fcntl

    try:
        with path.open("rb", buffering=0) as file:
            found = _named(file)
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return None
    except BlockingIOError:
        return found or Holder(0, "this machine")
    return found if found is not None and found.host != socket.gethostname() else None


def _taken(path: Path) -> FileIO:
    """The open lock file, held by this process alone."""
    import fcntl

    while True:
        with writing(path):
            file = FileIO(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            found = _named(file)
            file.close()
            raise _held(path, found) from None
        if path.exists() and os.path.samestat(os.fstat(file.fileno()), path.stat()):
            found = _named(file)
            if found is not None and found.host != socket.gethostname():
                file.close()
                raise _held(path, found)
            file.seek(0)
            return file
        file.close()  # its last holder removed it in between


def _named(file: FileIO) -> Holder | None:
    """Who stands in a lock file, if it can be read."""
    try:
        found = json.loads(file.read())
        return Holder(int(found["pid"]), str(found["host"]))
    except (ValueError, TypeError, KeyError):
        return None


def _held(path: Path, by: Holder | None) -> JobError:
    if by is not None and by.host != socket.gethostname():
        hint = f"wait for it; if that process no longer runs on {by.host}, remove {path}"
    else:
        hint = "wait for it or stop it, or choose another output with -o"
    return JobError(f"{path.parent} is in use by {by or 'another process'}", hint)
