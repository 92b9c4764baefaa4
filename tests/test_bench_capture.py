"""What is drawn can be captured in a CUDA graph: it queues work on the current stream of its GPU, and nothing else."""

from __future__ import annotations

import re
from contextlib import contextmanager

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from animegen.measure import gpu
from animegen.ops import registration
from animegen.ops.bias_act import bias_act
from animegen.ops.modulated_conv2d import modulated_conv2d
from animegen.ops.nearest_conv2d import nearest_conv2d
from animegen.ops.pose_maps import limb_maps, point_maps
from animegen.ops.to_rgb_skip import to_rgb_skip
from animegen.ops.upfirdn2d import fir_bias_act, upfirdn2d
from animegen.stylegan2.bench import BenchedGenerator, error, precisions
from animegen.weights.locations import shipped

LAUNCHES = {
    *("cudaError_t", "cudaSuccess", "cudaGetLastError", "cudaGetErrorString", "cudaStream_t"),
    *("cudaGetDevice", "cudaSetDevice"),
}
"""All of CUDA's runtime that the kernels may use: no memory, no copies, no waiting, no stream but the one given."""

EXACT = 1e-5
"""Convolutions by another way of cuDNN."""


class DeviceAlone(TorchDispatchMode):
    """Refuses what has a tensor that is not on the device ``meta``: it has no memory, and stands for any GPU here."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        for tensor in tree_leaves((args, kwargs, result)):
            assert not isinstance(tensor, torch.Tensor) or tensor.is_meta, function
        return result


@pytest.fixture
def library_at_hand(monkeypatch):
    """Has the ops go on as if there were a library for the device."""
    monkeypatch.setattr(registration, "_native_at", lambda device, dtype: True)


def test_kernels_do_no_more_than_launch():
    for source in (shipped("ops") / "src").iterdir():
        text = source.read_text(encoding="utf-8")
        assert set(re.findall(r"\bcuda[A-Z]\w*", text)) <= LAUNCHES, source.name
        for configuration in re.findall(r"<<<(.*?)>>>", text):
            assert "place.stream" in configuration, source.name


@pytest.mark.parametrize("batch", [1, 2])
@pytest.mark.parametrize("precision", precisions("cuda"))
def test_a_generator_draws_without_the_host(library_at_hand, precision, batch):
    threads = torch.get_num_threads()
    draw = BenchedGenerator(16, 128, batch=batch, device="meta", threads=threads).draw(precision)
    with DeviceAlone():
        assert draw().shape == (batch, 3, 16, 16)
    with DeviceAlone(), pytest.raises(AssertionError):
        torch.ones(2).to("meta")


def test_every_op_computes_without_the_host(library_at_hand):
    with torch.device("meta"):
        x, weight, styles = torch.empty(2, 4, 8, 8), torch.empty(4, 4, 3, 3), torch.empty(2, 4)
        xy, ones, edges = torch.empty(2, 3, 2), torch.empty(2, 3), torch.empty(2, 2, dtype=torch.int64)
        fir = torch.empty(4)
    with DeviceAlone(), torch.inference_mode():
        point_maps(xy, ones, side=8, sigma=0.1)
        limb_maps(xy, ones, ones, edges, side=8, sigma=0.1)
        y = bias_act(modulated_conv2d(x, weight, styles, fir, up=2, padding=1, act="lrelu"), act="swish")
        y = nearest_conv2d(upfirdn2d(y, fir, down=2, padding=1), weight)
        y = fir_bias_act(y, fir, padding=(2, 1, 2, 1), demodulation=styles, modulation=styles)
        assert to_rgb_skip(y, weight[:3, :, :1, :1], styles, skip=y[:, :3, ::2, ::2], fir=fir).shape == (2, 3, 16, 16)


def test_a_capture_comes_after_draws_on_a_stream_of_their_own(monkeypatch):
    told = []

    class Stream:
        def __init__(self, name="side"):
            self.name = name

        def wait_stream(self, other):
            told.append(f"{self.name} waits for {other.name}")

    class Graph:
        def replay(self):
            told.append("replay")

    @contextmanager
    def inside(thing):
        told.append("graph" if isinstance(thing, Graph) else thing.name)
        yield
        told.append("end")

    monkeypatch.setattr(torch.cuda, "Stream", lambda device: Stream())
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: Stream("current"))
    monkeypatch.setattr(torch.cuda, "stream", inside)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Graph)
    monkeypatch.setattr(torch.cuda, "graph", inside)
    generator = BenchedGenerator(8, 64, batch=1, device="cpu", threads=torch.get_num_threads())
    replay = generator.captured(lambda: told.append("draw") or "picture")
    warm = ["side waits for current", "side", "draw", "draw", "draw", "end", "current waits for side"]
    assert told == [*warm, "graph", "draw", "end"]
    assert replay() == replay() == "picture"
    assert told[len(warm) + 3 :] == ["replay", "replay"]


def test_a_gpu_is_timed_between_events(monkeypatch):
    told = []

    class Event:
        def __init__(self, enable_timing):
            assert enable_timing

        def record(self):
            told.append("record")

        def synchronize(self):
            told.append("wait")

        def elapsed_time(self, end):
            assert told[-1] == "wait"
            return 40.0

    monkeypatch.setattr(torch.cuda, "Event", Event)
    seconds = gpu.stopwatch("cuda")(lambda: told.append("work"))
    assert seconds == pytest.approx(0.040 / gpu.RUNS)
    assert told == ["record", *["work"] * gpu.RUNS, "record", "wait"]
    assert gpu.stopwatch("cpu")(lambda: None) >= 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU here")
@pytest.mark.parametrize("precision", precisions("cuda"))
def test_a_graph_draws_what_the_generator_does(precision):
    generator = BenchedGenerator(32, 512, batch=1, device="cuda", threads=torch.get_num_threads())
    draw = generator.draw(precision)
    replay = generator.captured(draw)
    for _ in range(2):
        generator.renew()
        assert error(replay(), draw()) < EXACT
