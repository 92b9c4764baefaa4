"""Named arrays in one file: a plain ``.npz``, the same bytes for the same arrays."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from animegen.errors import InputError
from animegen.types import Skeleton, Uint8Array

_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time that stands beside every array, whenever it was written: zip files know none before it."""

_DAMAGE = (
    EOFError, ValueError, TypeError, IndexError, ArithmeticError, RuntimeError, MemoryError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What NumPy, zipfile and the checks of our own types raise over a damaged file."""


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], *, deflated: Collection[str] = ()) -> None:
    """Write arrays under ``path``, whatever its suffix; those named in ``deflated`` are compressed.

    Arrays of Python objects raise ValueError. Whoever calls this sees to it that the file is whole or absent.
    """
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in arrays.items():
            member = zipfile.ZipInfo(f"{name}.npy", _EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED if name in deflated else zipfile.ZIP_STORED
            with archive.open(member, "w", force_zip64=True) as file:
                np.lib.format.write_array(file, np.asarray(array), allow_pickle=False)


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Every array of a file; to be called inside :func:`reading`, since nothing says what a damaged file raises."""
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def skeleton_array(skeleton: Skeleton) -> Uint8Array:
    """A skeleton as uint8 [n]: UTF-8 text of a JSON object."""
    fields = {name: getattr(skeleton, name) for name in ("name", "points", "edges", "flip_pairs")}
    return np.frombuffer(json.dumps(fields).encode(), np.uint8)


def skeleton_of(array: NDArray[Any]) -> Skeleton:
    """The skeleton that :func:`skeleton_array` wrote; to be called inside :func:`reading`."""
    data = json.loads(array.tobytes().decode())
    return Skeleton(
        data["name"],
        tuple(data["points"]),
        tuple((a, b) for a, b in data["edges"]),
        tuple((a, b) for a, b in data["flip_pairs"]),
    )


@contextmanager
def reading(path: Path, hint: str) -> Iterator[None]:
    """Turn whatever a damaged or absent file raises while it is read into an InputError that names it."""
    try:
        yield
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}", hint) from error
    except KeyError as error:
        raise InputError(f"{path}: array {error} is missing", hint) from error
    except _DAMAGE as error:
        raise InputError(f"{path} is damaged: {error}", hint) from error
