"""The contract of :class:`animegen.protocols.Background`."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from animegen.protocols import Background, BackgroundRequest
from animegen.testing.checks import frozen, require
from animegen.testing.synthetic import synthetic_frame, synthetic_identity, synthetic_pose
from animegen.types import Uint8Array

_SIZES = ((320, 240), (321, 239), (33, 57), (2, 2), (1, 1))
_THREADS = 4


def check_background(background: Background) -> None:
    """Raise AssertionError unless a background keeps its contract.

    The picture has the frame's size, for any size and any number of people; it is the same a second time and from
    several threads at once; the frame itself is not written to.
    """
    requests = [_request(size, people, index) for index, size in enumerate(_SIZES) for people in (0, 1, 3)]
    pictures = [_render(background, request) for request in requests]
    with ThreadPoolExecutor(_THREADS) as threads:
        again = list(threads.map(lambda request: _render(background, request), requests[::-1]))[::-1]
    for request, one, other in zip(requests, pictures, again, strict=True):
        width, height = request.frame.size
        require(np.array_equal(one, other), f"{width}x{height}: another picture the second time, from several threads")


def _request(size: tuple[int, int], people: int, index: int) -> BackgroundRequest:
    width, height = size
    poses = [
        frozen(synthetic_pose(feet=(width * (i + 1) / (people + 1), height * 0.95), height=height * 0.8))
        for i in range(people)
    ]
    frame = synthetic_frame([(pose, synthetic_identity(i)) for i, pose in enumerate(poses)], size=size, index=index)
    clean = synthetic_frame(size=size, index=index).image
    return BackgroundRequest(frame, poses, lambda: clean)


def _render(background: Background, request: BackgroundRequest) -> Uint8Array:
    width, height = request.frame.size
    picture = background.render(request)
    fits = isinstance(picture, np.ndarray) and picture.shape == (height, width, 3) and picture.dtype == np.uint8
    got = f"{picture.dtype} {picture.shape}" if isinstance(picture, np.ndarray) else type(picture).__name__
    require(fits, f"a frame of {width}x{height} must give uint8 ({height}, {width}, 3), got {got}")
    return picture
