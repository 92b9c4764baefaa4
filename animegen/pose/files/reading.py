"""Reading JSON that somebody else wrote, with errors that say where it is wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from animegen.errors import InputError, InvalidValue

FORMATS_HINT = "npz, COCO JSON and OpenPose JSON are read, as `animegen pose extract` writes them"


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; raises InputError naming the file for anything else."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", "check its path and rights") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not a pose file: {error}", FORMATS_HINT) from error
    if not isinstance(data, dict):
        raise InputError(f"{path}: a JSON object was expected, found {type(data).__name__}", FORMATS_HINT)
    return data


@contextmanager
def naming(path: Path, where: str = "") -> Iterator[None]:
    """Turn what a malformed entry raises while it is read into an InputError that names file and place."""
    place = f"{path}: {where}: " if where else f"{path}: "
    try:
        yield
    except KeyError as error:
        raise InputError(f"{place}{error} is missing", FORMATS_HINT) from error
    except InvalidValue as error:
        raise InputError(f"{place}{error}", FORMATS_HINT) from error
    except (TypeError, ValueError, AttributeError, OverflowError, ZeroDivisionError) as error:
        raise InputError(f"{place}malformed: {error}", FORMATS_HINT) from error
