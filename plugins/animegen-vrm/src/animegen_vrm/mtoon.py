"""Materials: MToon 1.0, MToon 0.x converted to the meaning of 1.0, and plain glTF.

VRM Consortium, "VRMC_materials_mtoon-1.0"; the conversion of 0.x follows what UniVRM documents of its migration: the
lit side of 0.x begins at a cosine of ``shift`` and is full at ``lerp(1, shift, toony)``, of 1.0 at
``-shift -+ (1 - toony)``.
"""

from __future__ import annotations

from dataclasses import replace

from animegen_vrm.fields import Fields
from animegen_vrm.gltf import MAX_ENTRIES, Gltf
from animegen_vrm.model import AlphaMode, Material, TextureRef
from animegen_vrm.pictures import Pictures

MAX_MATERIALS = 512

_REPEAT = 10497  # glTF's number for a wrapping texture
_QUEUES: dict[AlphaMode, int] = {"opaque": 2000, "mask": 2450, "blend": 3000}  # Unity's order of drawing
_BLEND_WITH_DEPTH_QUEUE = 2501
_UNLIT_SHADE = 0.7  # how dark the shaded side of a plain glTF material is drawn, as its lighting is unknown
_STANDING_HEIGHT = 1.7  # metres: an outline measured in parts of the screen is taken as if a person filled it
_MODES_0X: tuple[AlphaMode, ...] = ("opaque", "mask", "blend", "blend")

RGB = tuple[float, float, float]


class Materials:
    """Reads the materials of one file."""

    def __init__(self, gltf: Gltf, pictures: Pictures) -> None:
        self._pictures = pictures
        self._textures = gltf.root.children("textures", MAX_ENTRIES)
        self._samplers = gltf.root.children("samplers", MAX_ENTRIES)
        self._entries = gltf.root.children("materials", MAX_MATERIALS)
        properties = gltf.root.child("extensions").child("VRM").children("materialProperties", MAX_MATERIALS)
        self._old = [entry if entry.text("shader") == "VRM/MToon" else None for entry in properties]

    def read(self) -> list[Material]:
        """All materials, in the file's order."""
        return [self._material(i, entry) for i, entry in enumerate(self._entries)]

    def _material(self, index: int, entry: Fields) -> Material:
        material = self._plain(entry)
        old = self._old[index] if index < len(self._old) else None
        if old is not None:
            return self._mtoon_0x(old, material)
        new = entry.child("extensions")
        return self._mtoon(new.child("VRMC_materials_mtoon"), material) if "VRMC_materials_mtoon" in new else material

    def _plain(self, entry: Fields) -> Material:
        surface, extensions = entry.child("pbrMetallicRoughness"), entry.child("extensions")
        mode: AlphaMode | None = {"OPAQUE": "opaque", "MASK": "mask", "BLEND": "blend"}.get(  # type: ignore[assignment]
            entry.text("alphaMode", "OPAQUE")
        )
        if mode is None:
            raise entry.fault(f"has the alphaMode '{entry.text('alphaMode')}'; OPAQUE, MASK and BLEND exist")
        red, green, blue, alpha = surface.numbers("baseColorFactor", (1.0, 1.0, 1.0, 1.0))
        texture = self._texture(surface, "baseColorTexture")
        dark = 1.0 if "KHR_materials_unlit" in extensions else _UNLIT_SHADE
        strength = extensions.child("KHR_materials_emissive_strength").number("emissiveStrength", 1.0)
        emissive = entry.vector("emissiveFactor", (0.0, 0.0, 0.0))
        return Material(
            name=entry.text("name"),
            lit=(red, green, blue, alpha),
            lit_texture=texture,
            shade=(red * dark, green * dark, blue * dark),
            shade_texture=texture,
            alpha_mode=mode,
            alpha_cutoff=entry.number("alphaCutoff", 0.5),
            depth_write=mode != "blend",
            double_sided=entry.flag("doubleSided", False),
            emissive=(emissive[0] * strength, emissive[1] * strength, emissive[2] * strength),
            emissive_texture=self._texture(entry, "emissiveTexture") if any(emissive) else None,
            order=_QUEUES[mode],
        )

    def _mtoon(self, mtoon: Fields, base: Material) -> Material:
        depth_write = base.alpha_mode != "blend" or mtoon.flag("transparentWithZWrite", False)
        queue = _BLEND_WITH_DEPTH_QUEUE if base.alpha_mode == "blend" and depth_write else _QUEUES[base.alpha_mode]
        width = mtoon.number("outlineWidthFactor", 0.0)
        return replace(
            base,
            shade=mtoon.vector("shadeColorFactor", (0.0, 0.0, 0.0)),
            shade_texture=self._texture(mtoon, "shadeMultiplyTexture"),
            shading_shift=_clip(mtoon.number("shadingShiftFactor", 0.0), -1.0, 1.0),
            shading_toony=_clip(mtoon.number("shadingToonyFactor", 0.9), 0.0, 1.0),
            depth_write=depth_write,
            outline_width=_outline_width(mtoon.text("outlineWidthMode", "none"), width),
            outline_colour=mtoon.vector("outlineColorFactor", (0.0, 0.0, 0.0)),
            outline_mix=_clip(mtoon.number("outlineLightingMixFactor", 1.0), 0.0, 1.0),
            outline_texture=self._texture(mtoon, "outlineWidthMultiplyTexture"),
            order=queue + int(mtoon.number("renderQueueOffsetNumber", 0)),
        )

    def _mtoon_0x(self, old: Fields, base: Material) -> Material:
        floats, colours = old.child("floatProperties"), old.child("vectorProperties")
        mode = floats.whole("_BlendMode", 0, len(_MODES_0X) - 1)
        alpha_mode, with_depth = _MODES_0X[mode], mode == 3
        queue = _BLEND_WITH_DEPTH_QUEUE if with_depth else _QUEUES[alpha_mode]
        red, green, blue, alpha = colours.numbers("_Color", (1.0, 1.0, 1.0, 1.0))
        lit_texture = self._texture_0x(old, "_MainTex")
        shift, toony = _shading_0x(floats.number("_ShadeShift", 0.0), floats.number("_ShadeToony", 0.9))
        emissive = colours.vector("_EmissionColor", (0.0, 0.0, 0.0))
        width_mode = ("none", "worldCoordinates", "screenCoordinates")[floats.whole("_OutlineWidthMode", 0, 2)]
        # Centimetres in the world; on the screen, parts of a hundred of half its height.
        unit = 0.01 if width_mode == "worldCoordinates" else 0.005
        mixed = floats.whole("_OutlineColorMode", 0, 1)
        return replace(
            base,
            lit=(*_linear((red, green, blue)), alpha),
            lit_texture=lit_texture,
            shade=_linear(colours.vector("_ShadeColor", (0.97, 0.81, 0.86))),
            shade_texture=self._texture_0x(old, "_ShadeTexture") or lit_texture,
            shading_shift=shift,
            shading_toony=toony,
            alpha_mode=alpha_mode,
            alpha_cutoff=floats.number("_Cutoff", 0.5),
            depth_write=alpha_mode != "blend" or with_depth,
            double_sided=floats.whole("_CullMode", 2, 2) == 0,
            emissive=emissive,
            emissive_texture=self._texture_0x(old, "_EmissionMap") if any(emissive) else None,
            outline_width=_outline_width(width_mode, floats.number("_OutlineWidth", 0.5) * unit),
            outline_colour=_linear(colours.vector("_OutlineColor", (0.0, 0.0, 0.0))),
            outline_mix=_clip(floats.number("_OutlineLightingMix", 1.0), 0.0, 1.0) if mixed else 0.0,
            outline_texture=self._texture_0x(old, "_OutlineWidthTexture"),
            order=queue if old.values.get("renderQueue", -1) == -1 else old.whole("renderQueue", queue, 5000),
        )

    def _texture(self, owner: Fields, key: str) -> TextureRef | None:
        """The texture a glTF material names under a key, with KHR_texture_transform."""
        if key not in owner:
            return None
        info = owner.child(key)
        number = info.index("index", len(self._textures), "textures")
        transform = info.child("extensions").child("KHR_texture_transform")
        u, v = transform.numbers("offset", (0.0, 0.0))
        across, down = transform.numbers("scale", (1.0, 1.0))
        return self._reference(number, (u, v), (across, down))

    def _texture_0x(self, old: Fields, key: str) -> TextureRef | None:
        """The texture of a 0.x material. Unity's v runs upwards, glTF's down."""
        textures = old.child("textureProperties")
        if key not in textures:
            return None
        number = textures.index(key, len(self._textures), "textures")
        u, v, across, down = old.child("vectorProperties").numbers("_MainTex", (0.0, 0.0, 1.0, 1.0))
        return self._reference(number, (u, 1.0 - v - down), (across, down))

    def _reference(self, number: int, offset: tuple[float, float], scale: tuple[float, float]) -> TextureRef:
        texture = self._textures[number]
        webp = texture.child("extensions").child("EXT_texture_webp")
        image = (webp if "source" in webp else texture).index("source", len(self._pictures), "images")
        sampler = texture.optional_index("sampler", len(self._samplers), "samplers")
        wraps = sampler is None or self._samplers[sampler].whole("wrapS", _REPEAT, 1 << 16) == _REPEAT
        return TextureRef(self._pictures.number(image), offset, scale, wraps)


def _shading_0x(shift: float, toony: float) -> tuple[float, float]:
    begin, full = shift, 1.0 + (shift - 1.0) * toony
    return _clip(-(begin + full) / 2, -1.0, 1.0), _clip(1.0 - (full - begin) / 2, 0.0, 1.0)


def _outline_width(mode: str, width: float) -> float:
    if mode == "none":
        return 0.0
    return max(width, 0.0) * (_STANDING_HEIGHT if mode == "screenCoordinates" else 1.0)


def _linear(colour: RGB) -> RGB:
    """Linear light of an sRGB colour (IEC 61966-2-1)."""
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return red, green, blue


def _clip(value: float, low: float, high: float) -> float:
    return min(max(value, low), high)
