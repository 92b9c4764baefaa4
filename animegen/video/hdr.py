"""HDR and wide-gamut pictures brought to BT.709 SDR, so that they look right on every screen.

Light is scaled so that HDR reference white (203 cd/m2, ITU-R BT.2408) meets SDR white; what is brighter is rolled
off by the EETF of BT.2390. One gain per pixel, found from its largest BT.709 component, keeps the hue.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from animegen.types import Colour, Float32Array, Float64Array, Uint8Array

Uint16Array: TypeAlias = NDArray[np.uint16]

REFERENCE_WHITE = 203.0
"""cd/m2 of a white paper in an HDR picture (BT.2408)."""

USUAL_PEAK = 1000.0
"""cd/m2 of the brightest light where the file does not say it, and of HLG's nominal display (BT.2100)."""

PQ_PEAK = 10000.0
DISPLAY_GAMMA = 2.4
"""Exponent of the SDR display (BT.1886 with black at 0)."""

_GAMUT_GROWTH = 1.7
"""A BT.2020 primary has a BT.709 component of up to 1.66 times itself."""

_ROWS = 48
"""Rows taken at once: their intermediate values stay in the processor's cache."""

_CHROMATICITIES = {
    "bt709": ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060)),
    "bt2020": ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    "smpte432": ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}
_D65 = (0.3127, 0.3290)


def needs_tone_map(colour: Colour) -> bool:
    """Whether a video's colours lie outside BT.709: HDR, or the primaries of BT.2020 or Display P3."""
    return colour.is_hdr or colour.primaries in {"bt2020", "smpte432"}


def peak_luminance(side_data: Mapping[str, bytes]) -> float:
    """cd/m2 of the brightest light of a video, from the side data of a frame by name (bytes of FFmpeg's structs).

    The lower of the maximum content light level and the mastering display's maximum, where they are there.
    """
    peaks = []
    mastering = side_data.get("MASTERING_DISPLAY_METADATA", b"")
    if len(mastering) >= 88:
        numerator, denominator, _, has_luminance = struct.unpack_from("=iiii", mastering, 72)
        if has_luminance and denominator:
            peaks.append(numerator / denominator)
    light_level = side_data.get("CONTENT_LIGHT_LEVEL", b"")
    if len(light_level) >= 4:
        peaks.append(float(struct.unpack_from("=I", light_level)[0]))
    return min((peak for peak in peaks if REFERENCE_WHITE <= peak <= PQ_PEAK), default=USUAL_PEAK)


class ToneMap:
    """Takes R'G'B' of one video to BT.709 SDR. ``peak``: its brightest light in cd/m2 (PQ only)."""

    def __init__(self, colour: Colour, peak: float) -> None:
        signal = np.linspace(0.0, 1.0, 65536)
        self._system_gamma: Float32Array | None = None
        if colour.transfer == "smpte2084":
            light = pq_eotf(signal)
        elif colour.transfer == "arib-std-b67":
            light, peak = hlg_inverse_oetf(signal) * USUAL_PEAK, USUAL_PEAK
            self._system_gamma = luminance_weights(colour.primaries).astype(np.float32)
        else:
            light, peak = signal**DISPLAY_GAMMA * REFERENCE_WHITE, REFERENCE_WHITE
        self._light = light.astype(np.float32)
        self._gamut = gamut_matrix(colour.primaries).astype(np.float32)
        # Both tables below are entered with the square root of light, which gives the darks enough steps.
        self._ceiling = peak * _GAMUT_GROWTH
        levels = np.linspace(0.0, 1.0, 65536) ** 2
        nits = np.maximum(levels * self._ceiling, 1e-4)
        self._gain = (eetf(nits, peak) / nits / REFERENCE_WHITE).astype(np.float32)
        self._code = np.rint(255 * levels ** (1 / DISPLAY_GAMMA)).astype(np.uint8)

    def __call__(self, signal: Uint16Array) -> Uint8Array:
        """uint8 [H, W, 3] R'G'B' for BT.709 of uint16 [H, W, 3] R'G'B', where 65535 is full signal."""
        image = np.empty(signal.shape, np.uint8)
        for top in range(0, len(signal), _ROWS):
            image[top : top + _ROWS] = self._strip(signal[top : top + _ROWS])
        return image

    def _strip(self, signal: Uint16Array) -> Uint8Array:
        light = np.take(self._light, signal)
        if self._system_gamma is not None:
            # BT.2100 HLG OOTF with the system gamma 1.2 of a 1000 cd/m2 display: each channel times Y^0.2.
            scene = light @ (self._system_gamma / np.float32(USUAL_PEAK))
            light *= np.power(scene, np.float32(0.2))[..., None]
        light = np.asarray(np.maximum(cv2.transform(light, self._gamut), 0), np.float32)
        largest = np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2])
        gain = np.take(self._gain, _root(np.asarray(largest / self._ceiling, np.float32)))
        return np.take(self._code, _root(light * gain[..., None]))


def _root(level: Float32Array) -> Uint16Array:
    return (cv2.sqrt(np.minimum(level, np.float32(1))) * np.float32(65535) + np.float32(0.5)).astype(np.uint16)


def pq_eotf(signal: Float64Array) -> Float64Array:
    """Light in cd/m2 of a PQ signal 0..1 (SMPTE ST 2084, BT.2100 table 4)."""
    power = signal ** (1 / 78.84375)
    return PQ_PEAK * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)


def pq_inverse_eotf(nits: Float64Array | float) -> Float64Array:
    """PQ signal 0..1 of light in cd/m2."""
    power = (np.asarray(nits, np.float64) / PQ_PEAK) ** 0.1593017578125
    result: Float64Array = ((0.8359375 + 18.8515625 * power) / (1 + 18.6875 * power)) ** 78.84375
    return result


def hlg_inverse_oetf(signal: Float64Array) -> Float64Array:
    """Scene light 0..1 of an HLG signal 0..1 (ARIB STD-B67, BT.2100 table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def eetf(nits: Float64Array, peak: float) -> Float64Array:
    """Light of a display whose white is REFERENCE_WHITE for the light of one that reaches ``peak``, both in cd/m2.

    BT.2390-10, 5.4.1: straight up to the knee, then a Hermite spline in PQ up to the display's white; black stays.
    """
    scale = float(pq_inverse_eotf(peak))
    level = np.minimum(pq_inverse_eotf(nits) / scale, 1)
    white = float(pq_inverse_eotf(REFERENCE_WHITE)) / scale
    knee = 1.5 * white - 0.5
    if knee >= 1:
        return np.minimum(nits, REFERENCE_WHITE)
    t = np.maximum(level - knee, 0) / (1 - knee)
    spline = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * white
    return pq_eotf(np.where(level < knee, level, spline) * scale)


def luminance_weights(primaries: str) -> Float64Array:
    """f64 [3]: the share of each primary in luminance."""
    return np.asarray(_to_xyz(primaries)[1], np.float64)


def gamut_matrix(primaries: str) -> Float64Array:
    """f64 [3, 3] that takes linear RGB of ``primaries`` to linear RGB of BT.709."""
    return np.asarray(np.linalg.solve(_to_xyz("bt709"), _to_xyz(primaries)), np.float64)


def _to_xyz(primaries: str) -> Float64Array:
    """f64 [3, 3] from linear RGB to CIE XYZ (SMPTE RP 177); unknown primaries are read as BT.709."""
    xy = np.array(_CHROMATICITIES.get(primaries, _CHROMATICITIES["bt709"]))
    columns = np.array([xy[:, 0] / xy[:, 1], np.ones(3), (1 - xy.sum(axis=1)) / xy[:, 1]])
    white = np.array([_D65[0] / _D65[1], 1.0, (1 - sum(_D65)) / _D65[1]])
    return columns * np.linalg.solve(columns, white)
