"""The ops on pictures take tensors where those lie, to the same bytes as arrays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from animegen.errors import InvalidValue, OpsError
from animegen.ops import picture_tensors, pictures

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]


def random(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


@pytest.fixture(params=["native", "reference"])
def computing(request, native_ops, as_reference):
    """Once with the library, once with the references."""
    if request.param == "native":
        yield
    else:
        with as_reference():
            yield


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [(33, 131), (1, 1)])
def test_tensors_have_the_bytes_of_arrays(computing, device, size):
    rgb = random(*size, 3)
    planes = picture_tensors.rgb_to_yuv(torch.from_numpy(rgb).to(device), matrix="bt470bg", value_range="pc")
    wanted = pictures.rgb_to_yuv_reference(rgb, matrix="bt470bg", value_range="pc")
    for plane, other in zip(planes, wanted, strict=True):
        assert plane.device.type == device
        np.testing.assert_array_equal(plane.cpu().numpy(), other)
    back = picture_tensors.yuv_to_rgb(planes)
    np.testing.assert_array_equal(back.cpu().numpy(), pictures.yuv_to_rgb_reference(wanted))
    box, normal = (-1.0, 2.0, 40.0, 30.0), {"mean": (0.5, 0.4, 0.3), "std": (0.2, 0.3, 0.4)}
    tensor = picture_tensors.yuv_to_tensor(planes, box, (17, 9), **normal)
    np.testing.assert_array_equal(tensor.cpu().numpy(), pictures.yuv_to_tensor(wanted, box, (17, 9), **normal))


@pytest.mark.parametrize("device", DEVICES)
def test_sprites_are_laid_over_tensors(computing, device):
    picture, sprites = random(60, 70, 3), [random(20, 30, 4, seed=1), np.zeros((0, 4, 4), np.uint8), random(9, 9, 4)]
    affines = [np.array([[1.5, 0.3, 4.0], [-0.4, 1.2, 20.0]]), np.eye(2, 3), np.zeros((2, 3))]
    wanted = picture.copy()
    pictures.composite_reference(wanted, sprites, affines)
    tensor = torch.from_numpy(picture).to(device)
    picture_tensors.composite(tensor, [torch.from_numpy(sprite).to(device) for sprite in sprites], affines)
    np.testing.assert_array_equal(tensor.cpu().numpy(), wanted)


def test_what_does_not_fit_is_named(native_ops):
    picture = torch.zeros(8, 8, 3, dtype=torch.uint8)
    with pytest.raises(InvalidValue, match="1 sprites and 0 affines"):
        picture_tensors.composite(picture, [picture], [])
    with pytest.raises(OpsError, match=r"shape does not fit .* detail 1"):
        picture_tensors.composite(picture, [picture], [np.eye(2, 3)])
    with pytest.raises(OpsError, match=r"dtype does not fit .* detail 3"):
        picture_tensors.rgb_to_yuv(picture.float())
