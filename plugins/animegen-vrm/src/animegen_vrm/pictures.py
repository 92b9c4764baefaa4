"""The textures inside a glTF file, decoded only where a material uses them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from animegen.types import Uint8Array
from animegen_vrm.fields import Fields
from animegen_vrm.gltf import MAX_ENTRIES, Gltf

MAX_SIDE = 8192  # pixels of a picture in the file
KEPT_SIDE = 2048  # a larger one is shrunk by a whole factor
MAX_PIXELS = 1 << 27  # of all pictures together, as kept

_FAULTS = (
    # What Pillow's decoders of PNG, JPEG and WebP let through for damaged data.
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    AttributeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)


class Pictures:
    """Decodes pictures on demand and numbers them in the order of their first use."""

    def __init__(self, gltf: Gltf) -> None:
        self._gltf = gltf
        self._entries = gltf.root.children("images", MAX_ENTRIES)
        self._numbers: dict[int, int] = {}
        self._pixels = 0
        self.images: list[Uint8Array] = []

    def number(self, image: int) -> int:
        """The number in ``images`` of the file's picture ``image``."""
        if image not in self._numbers:
            self.images.append(self._decode(self._entries[image]))
            self._numbers[image] = len(self.images) - 1
        return self._numbers[image]

    def __len__(self) -> int:
        return len(self._entries)

    def name(self, image: int) -> str:
        """What the file calls a picture."""
        return self._entries[image].text("name")

    def _decode(self, entry: Fields) -> Uint8Array:
        if "bufferView" not in entry:
            raise entry.fault("lies in another file, which is not read", "Export the avatar as one .vrm file.")
        data, _ = self._gltf.view(entry.index("bufferView", len(self._gltf.views), "buffer views"))
        try:
            with Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP")) as picture:
                width, height = picture.size
                if max(width, height) > MAX_SIDE:
                    raise entry.fault(f"has {width}x{height} pixels; at most {MAX_SIDE} a side are read")
                factor = -(-max(width, height) // KEPT_SIDE)
                self._pixels += -(-width // factor) * -(-height // factor)
                if self._pixels > MAX_PIXELS:
                    raise entry.fault(f"makes all textures together larger than {MAX_PIXELS} pixels")
                rgba = _rgba(picture)
                return np.asarray(rgba.reduce(factor) if factor > 1 else rgba, np.uint8)
        except _FAULTS as error:
            raise entry.fault(f"cannot be decoded: {error}") from error


def _rgba(picture: Image.Image) -> Image.Image:
    if picture.mode.startswith("I"):  # 16 bits of grey, which Pillow would clip instead of scaling
        picture = Image.fromarray((np.asarray(picture) >> 8).astype(np.uint8))
    return picture.convert("RGBA")
