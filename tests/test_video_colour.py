"""Colours of decoded pictures against exact arithmetic, and HDR against known light."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from media import make_clip
from numpy.typing import NDArray

from animegen.video import open_video

ROUNDING = 1.0
"""Code values: half a step of the 8-bit result, and half a step of 16-bit intermediate values."""

TONE = 2.0
"""Code values between a tone-mapped patch and the curve: 10-bit input and tables."""

SIZE = 16
GRID = (20, 10)
LUMA = {"bt709": (0.2126, 0.0722), "bt601": (0.299, 0.114)}
BT2020_LUMA = (0.2627, 0.0593)
BT709_TO_BT2020 = np.array([[0.6274, 0.3293, 0.0433], [0.0691, 0.9195, 0.0114], [0.0164, 0.0880, 0.8956]])
"""Linear light, BT.2087 table 2."""

DEPTHS = {"yuv420p": 8, "yuv444p": 8, "yuv422p": 8, "yuv420p10le": 10, "yuv422p10le": 10, "yuv444p12le": 12}


def encode(rgb: NDArray[np.float64], luma: tuple[float, float], full: bool, bits: int) -> NDArray[np.float64]:
    """Whole-number Y, Cb, Cr [..., 3] of R'G'B' 0..1 (H.273)."""
    kr, kb = luma
    y = kr * rgb[..., 0] + (1 - kr - kb) * rgb[..., 1] + kb * rgb[..., 2]
    cb, cr = (rgb[..., 2] - y) / (2 - 2 * kb), (rgb[..., 0] - y) / (2 - 2 * kr)
    step, top = 2.0 ** (bits - 8), 2.0**bits - 1
    if full:
        planes = (y * top, cb * top + 128 * step, cr * top + 128 * step)
    else:
        planes = ((16 + 219 * y) * step, (128 + 224 * cb) * step, (128 + 224 * cr) * step)
    return np.clip(np.rint(np.stack(planes, axis=-1)), 0, top)


def decode(ycc: NDArray[np.float64], luma: tuple[float, float], full: bool, bits: int) -> NDArray[np.float64]:
    """The exact R'G'B' 0..255 of samples."""
    kr, kb = luma
    step, top = 2.0 ** (bits - 8), 2.0**bits - 1
    if full:
        y, cb, cr = ycc[..., 0] / top, (ycc[..., 1] - 128 * step) / top, (ycc[..., 2] - 128 * step) / top
    else:
        y, cb, cr = ((ycc[..., 0] / step - 16) / 219, *((ycc[..., i] / step - 128) / 224 for i in (1, 2)))
    red, blue = y + (2 - 2 * kr) * cr, y + (2 - 2 * kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(np.stack([red, green, blue], axis=-1) * 255, 0, 255)


def patches(ycc: NDArray[np.float64], pix_fmt: str) -> av.VideoFrame:
    """A frame of flat squares, one for each entry of ``ycc`` [rows, columns, 3]."""
    frame = av.VideoFrame(ycc.shape[1] * SIZE, ycc.shape[0] * SIZE, pix_fmt)
    dtype = np.uint8 if frame.format.components[0].bits == 8 else np.uint16
    planes = [np.kron(ycc[..., i], np.ones((SIZE, SIZE))) for i in range(3)]
    for target, values in zip(frame.planes, planes, strict=True):
        sampled = values[:: len(values) // target.height, :: values.shape[1] // target.width]
        rows = np.zeros((target.height, target.line_size), np.uint8)
        samples = np.ascontiguousarray(sampled.astype(dtype)).view(np.uint8)
        rows[:, : samples.shape[1]] = samples
        target.update(rows.tobytes())
    return frame


def shown(path: Path) -> NDArray[np.float64]:
    """The middle of every patch of the first frame."""
    with open_video(path) as video:
        image = next(video.frames()).image
    return image[SIZE // 2 :: SIZE, SIZE // 2 :: SIZE].astype(float)


def lossless(path: Path, ycc: NDArray[np.float64], pix_fmt: str, colour: str | None, full: bool = False) -> Path:
    size = (ycc.shape[1] * SIZE, ycc.shape[0] * SIZE)
    return make_clip(
        path, frames=1, size=size, rate=Fraction(25), codec="ffv1", pix_fmt=pix_fmt, colour=colour, full_range=full,
        picture=lambda *_: patches(ycc, pix_fmt),
    )  # fmt: skip


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("colour", LUMA)
@pytest.mark.parametrize("pix_fmt", DEPTHS)
def test_rgb_is_exact(tmp_path: Path, pix_fmt: str, colour: str, full: bool) -> None:
    bits = DEPTHS[pix_fmt]
    ycc = encode(np.random.default_rng(bits).uniform(0, 1, (*GRID, 3)), LUMA[colour], full, bits)
    found = shown(lossless(tmp_path / "a.mkv", ycc, pix_fmt, colour, full))
    assert np.abs(found - decode(ycc, LUMA[colour], full, bits)).max() <= ROUNDING


@pytest.mark.parametrize(("grid", "colour"), [((4, 8), "bt601"), ((45, 80), "bt709"), ((40, 8), "bt709")])
def test_untagged_video_is_read_as_players_do(tmp_path: Path, grid: tuple[int, int], colour: str) -> None:
    ycc = encode(np.random.default_rng(3).uniform(0, 1, (*grid, 3)), LUMA[colour], False, 8)
    path = lossless(tmp_path / "a.mkv", ycc, "yuv420p", None)
    assert np.abs(shown(path) - decode(ycc, LUMA[colour], False, 8)).max() <= ROUNDING
    with open_video(path) as video:
        assert video.info.colour.matrix == {"bt601": "smpte170m", "bt709": "bt709"}[colour]


def test_full_range_by_format(tmp_path: Path) -> None:
    ycc = encode(np.random.default_rng(4).uniform(0, 1, (*GRID, 3)), LUMA["bt601"], True, 8)
    size = (GRID[1] * SIZE, GRID[0] * SIZE)
    path = make_clip(
        tmp_path / "a.avi", frames=1, size=size, codec="mjpeg", pix_fmt="yuvj420p", options={"qmin": "1", "qmax": "1"},
        picture=lambda *_: patches(ycc, "yuvj420p"),
    )  # fmt: skip
    # A JPEG at its best quality rounds its coefficients: up to 4 code values here.
    assert np.abs(shown(path) - decode(ycc, LUMA["bt601"], True, 8)).max() <= 4


@pytest.mark.parametrize("pix_fmt", ["bgr0", "gbrp10le"])
def test_rgb_formats_pass_through(tmp_path: Path, pix_fmt: str) -> None:
    rgb = np.random.default_rng(5).integers(0, 256, (48, 64, 3), np.uint8)
    path = make_clip(tmp_path / "a.mkv", frames=1, size=(64, 48), codec="ffv1", pix_fmt=pix_fmt, picture=lambda *_: rgb)
    with open_video(path) as video:
        image = next(video.frames()).image
        assert (video.info.colour.matrix, video.info.colour.range) == ("gbr", "pc")
    assert np.abs(image.astype(int) - rgb).max() <= ROUNDING


def pq(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """PQ signal of light in cd/m2 (BT.2100, table 4)."""
    power = (nits / 10000) ** (1305 / 8192)
    return ((107 / 128 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def hlg(scene: NDArray[np.float64]) -> NDArray[np.float64]:
    """HLG signal of scene light 0..1 (BT.2100, table 5)."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(scene <= 1 / 12, np.sqrt(3 * scene), a * np.log(np.maximum(12 * scene - b, 1e-9)) + c)


def of_hdr(path: Path, signal: NDArray[np.float64], transfer: str) -> NDArray[np.float64]:
    return shown(lossless(path, encode(signal, BT2020_LUMA, False, 10), "yuv420p10le", transfer))


def sdr(nits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Code values of light where 203 cd/m2 is SDR white, on a display of gamma 2.4."""
    return 255 * np.clip(nits / 203, 0, 1) ** (1 / 2.4)


def test_pq_greys(tmp_path: Path) -> None:
    nits = np.concatenate([[0.0], np.geomspace(0.05, 1000, 98), [203.0]])
    found = of_hdr(tmp_path / "a.mkv", pq(np.repeat(nits[:, None], 3, 1)).reshape(10, 10, 3), "pq").reshape(100, 3)
    assert np.ptp(found, axis=1).max() <= 1, "greys stay grey"
    level = found.mean(axis=1)
    assert (np.diff(level[:-1]) >= -0.5).all(), "brighter stays brighter"
    assert level[0] == 0
    assert 0.90 * 255 <= level[-1] <= 255, "paper white is nearly white"
    assert level[-2] == 255, "the brightest light is white"
    dim = nits < 80
    assert np.abs(level - sdr(nits))[dim].max() <= TONE, "what is below the knee keeps its light"


def test_pq_colours_keep_their_hue(tmp_path: Path) -> None:
    rgb = np.random.default_rng(6).uniform(0.02, 1, (100, 3)) ** 2
    rgb[:6] = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [0, 1, 1], [1, 0, 1]])
    dim = np.clip(rgb @ BT709_TO_BT2020.T * 80, 0, None)
    found = of_hdr(tmp_path / "dim.mkv", pq(dim).reshape(10, 10, 3), "pq").reshape(100, 3)
    # Compared as light: ten bits leave the codes of a nearly black component uncertain.
    assert np.abs((found / 255) ** 2.4 - rgb * 80 / 203).max() <= 0.01
    bright = np.clip(rgb @ BT709_TO_BT2020.T * 800, 0, None)
    found = of_hdr(tmp_path / "bright.mkv", pq(bright).reshape(10, 10, 3), "pq").reshape(100, 3)
    light = (found / 255) ** 2.4
    light /= light.max(axis=1, keepdims=True)
    expected = rgb / rgb.max(axis=1, keepdims=True)
    assert np.abs(light - expected).max() <= 0.03, "the components keep their shares of light"


def test_hlg_meets_pq(tmp_path: Path) -> None:
    scene = np.linspace(0, 1, 100)
    found = of_hdr(tmp_path / "hlg.mkv", hlg(np.repeat(scene[:, None], 3, 1)).reshape(10, 10, 3), "hlg")
    nits = 1000 * scene**1.2
    expected = of_hdr(tmp_path / "pq.mkv", pq(np.repeat(nits[:, None], 3, 1)).reshape(10, 10, 3), "pq")
    assert np.abs(found - expected).max() <= TONE
    white = of_hdr(tmp_path / "white.mkv", np.full((2, 2, 3), 0.75), "hlg")
    assert (white >= 0.90 * 255).all()


MASTERED_AT_4000 = "mastering-display=G(8500,39850)B(6550,2300)R(35400,14600)WP(15635,16450)L(40000000,50)"


@pytest.mark.parametrize(
    ("tags", "peak"), [(f"{MASTERED_AT_4000}:cll=600,100", 600), (MASTERED_AT_4000, 4000), ("aud=0", 1000)]
)
def test_brightest_light_is_taken_from_the_file(tmp_path: Path, tags: str, peak: float) -> None:
    nits = np.geomspace(100, 10000, 100)
    signal = pq(np.repeat(nits[:, None], 3, 1)).reshape(10, 10, 3)
    ycc = encode(signal, BT2020_LUMA, False, 10)
    path = make_clip(
        tmp_path / "a.mp4", frames=1, size=(160, 160), pix_fmt="yuv420p10le", colour="pq",
        options={"x264-params": f"qp=1:{tags}"}, picture=lambda *_: patches(ycc, "yuv420p10le"),
    )  # fmt: skip
    level = shown(path).mean(axis=2).reshape(100)
    assert (level[nits >= peak * 1.02] == 255).all()
    assert (level[nits <= peak * 0.5] < 255).all()


def test_hdr_says_so(tmp_path: Path) -> None:
    for transfer, hdr in (("pq", True), ("hlg", True), ("bt709", False), ("bt2020", False)):
        ycc = encode(np.full((2, 2, 3), 0.5), BT2020_LUMA, False, 10)
        with open_video(lossless(tmp_path / f"{transfer}.mkv", ycc, "yuv420p10le", transfer)) as video:
            assert video.info.colour.is_hdr == hdr
            assert video.info.colour.bit_depth == 10


def test_wide_gamut_sdr_is_brought_to_bt709(tmp_path: Path) -> None:
    rgb = np.random.default_rng(7).uniform(0.05, 1, (100, 3))
    signal = np.clip(rgb**2.4 @ BT709_TO_BT2020.T, 0, 1) ** (1 / 2.4)
    found = of_hdr(tmp_path / "a.mkv", signal.reshape(10, 10, 3), "bt2020").reshape(100, 3)
    assert np.abs(found - 255 * rgb).max() <= 2 * TONE
