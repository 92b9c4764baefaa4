"""Picture files at a network's size, alone or as a folder to train on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from animegen.errors import InputError, UsageError
from animegen.stylegan2.model import to_picture
from animegen.types import Float32Array, Uint8Array

_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_MODES = {1: "L", 4: "RGBA"}


def read_picture(path: Path, resolution: int, channels: int) -> Float32Array:
    """A picture file as f32 [channels, resolution, resolution] of -1..1: upright, its middle square, resized.

    Where ``channels`` have no place for transparency, the picture is laid on white. Raises InputError for a file that
    is no picture, and for one with 32 bits a colour.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder, not a picture", f"name the pictures in it, such as {path}/*.png")
    try:
        with Image.open(path) as image:
            if image.mode in {"I", "F"}:
                raise InputError(f"{path} has 32 bits a colour, of an unknown range", "save it with 8 or 16 bits")
            return fitted(ImageOps.exif_transpose(image), resolution, channels)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"cannot read the picture {path}: {error}", "give the path of a whole PNG or JPEG") from error


def fitted(image: Image.Image, resolution: int, channels: int) -> Float32Array:
    """The middle square of an image, resized: f32 [channels, resolution, resolution] of -1..1."""
    if image.mode.startswith("I;16"):
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))  # which Pillow would clip instead
    if channels != 4 and image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    side = min(image.size)
    left, top = ((size - side) // 2 for size in image.size)
    square = image.convert(_MODES.get(channels, "RGB")).crop((left, top, left + side, top + side))
    resized: Uint8Array = np.asarray(square.resize((resolution, resolution), Image.Resampling.LANCZOS), np.uint8)
    return to_picture(resized.reshape(resolution, resolution, -1))


class PictureFolder:
    """The pictures below a folder; with ``classes``, each of its subfolders in alphabetical order is a class."""

    def __init__(self, folder: Path, resolution: int, channels: int, classes: int = 0) -> None:
        self.resolution, self.channels, self.classes = resolution, channels, classes
        self.paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
        if not self.paths:
            raise InputError(f"{folder} holds no pictures", f"put some there: {', '.join(_SUFFIXES)}")
        names = sorted({path.relative_to(folder).parts[0] for path in self.paths if path.parent != folder})
        if classes and (len(names) != classes or any(path.parent == folder for path in self.paths)):
            raise UsageError(f"{folder} has the classes {names}, the networks have {classes}", "one subfolder a class")
        self.labels = [names.index(path.relative_to(folder).parts[0]) if classes else 0 for path in self.paths]

    def __len__(self) -> int:
        return len(self.paths)

    def batch(self, places: Sequence[int], mirrored: Sequence[bool]) -> tuple[Float32Array, Float32Array]:
        """Pictures f32 [B, C, H, W] of -1..1, mirrored or not, and one-hot labels f32 [B, classes]."""
        read = [read_picture(self.paths[place], self.resolution, self.channels) for place in places]
        pictures = [one[:, :, ::-1] if mirror else one for one, mirror in zip(read, mirrored, strict=True)]
        labels = np.eye(max(self.classes, 1), dtype=np.float32)[[self.labels[place] for place in places]]
        return np.stack(pictures), labels[:, : self.classes]
