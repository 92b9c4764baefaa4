"""Sprites over a picture: the native op has the reference's bytes, and the reference is right."""

from __future__ import annotations

import numpy as np
import pytest

from animegen.ops.pictures import composite, composite_reference


def _random(rng, *shape):
    return rng.integers(0, 256, shape, np.uint8)


@pytest.mark.parametrize("channels", [3, 4])
def test_native_has_the_bytes_of_the_reference(native_ops, channels):
    rng = np.random.default_rng(0)
    picture = _random(rng, 67, 131, channels)
    sprites = [_random(rng, 40, 31, 4), _random(rng, 1, 9, 4), _random(rng, 64, 64, 4)]
    affines = [
        np.array([[1.7, -0.9, 30.2], [0.8, 1.6, -12.7]]),
        np.array([[9.0, 0.0, -3.5], [0.0, 30.0, 20.0]]),
        np.array([[-1.0, 0.0, 90.0], [0.0, 1.0, 2.0]]),
    ]
    wanted = picture.copy()
    composite_reference(wanted, sprites, affines)
    assert (wanted != picture).mean() > 0.3
    composite(picture, sprites, affines)
    np.testing.assert_array_equal(picture, wanted)
