"""The bench of the ops measures what it says, on inputs of each variant's own."""

from __future__ import annotations

import re
import shutil
import sys

import numpy as np
import pytest
from click.testing import CliRunner

from animegen.avatar.config import AvatarConfig
from animegen.cli import cli
from animegen.errors import InputError, UsageError
from animegen.measure.ops_bench import Case, Line, measured
from animegen.measure.ops_blocks import BLOCKS, block_cases
from animegen.measure.ops_facets import facets_cases, skin_cases
from animegen.measure.ops_pictures import picture_cases
from animegen.measure.ops_report import OpsBench
from animegen.measure.ops_tensors import tensor_cases
from animegen.ops.build import Built, library_name
from animegen.pose.skeletons import BLAZEPOSE33
from animegen.stylegan2.peer_ops import peer_ops

ROUNDED = 2**-7
"""bfloat16: inputs and results are rounded, relative to the largest result; gradients of gradients twice."""
EXACT = 1e-5
"""float32 sums of thousands of products in another order."""

NVIDIAS = {
    "torch_utils/__init__.py": "",
    "torch_utils/ops/__init__.py": "",
    "torch_utils/ops/bias_act.py": """
from animegen.ops import bias_act as ours
def bias_act(x, b=None, dim=1, act="linear", alpha=None, gain=None, clamp=None, impl="cuda"):
    return ours.bias_act_reference(x, b, dim=dim, act=act, alpha=alpha, gain=gain, clamp=clamp)
""",
    "torch_utils/ops/upfirdn2d.py": """
from animegen.ops import upfirdn2d as ours
def upfirdn2d(x, f, up=1, down=1, padding=0, flip_filter=False, gain=1, impl="cuda"):
    return ours.upfirdn2d_reference(x, f, up=up, down=down, padding=padding, flip_filter=flip_filter, gain=gain)
""",
    "torch_utils/ops/fma.py": "def fma(a, b, c): return a * b + c",
}
ROSINALITYS = {
    "op/__init__.py": "from .upfirdn2d import upfirdn2d",
    "op/fused_act.py": """
from animegen.ops import bias_act as ours
def fused_leaky_relu(input, bias=None, negative_slope=0.2, scale=2**0.5):
    return ours.bias_act_reference(input, bias, act="lrelu", alpha=negative_slope, gain=scale)
""",
    "op/upfirdn2d.py": """
from animegen.ops import upfirdn2d as ours
def upfirdn2d(input, kernel, up=1, down=1, pad=(0, 0)):
    assert kernel.ndim == 2 and kernel.dtype == input.dtype
    return ours.upfirdn2d_reference(input, kernel, up=up, down=down, padding=pad)
""",
}


def test_variants_take_turns_on_fresh_inputs_of_their_own():
    seen = []

    def stopwatch(work):
        work()
        return 1.0

    def doubled(values):
        seen.append(values.copy())
        values *= 2
        return values

    case = Case(
        "double",
        4_000_000,
        lambda rng: rng.integers(0, 100, 5),
        {"native": doubled, "reference": doubled, "missing": "no such thing"},
        lambda values, result: float(np.abs(2 * values - result).max()),
    )
    native, reference, missing = measured([case], 3, stopwatch)
    assert (native.median, native.least, native.most, native.gbytes, native.error) == (1000.0, 1000.0, 1000.0, 0.004, 0)
    assert reference.error == 0
    assert missing == Line("double", "missing", None, None, None, None, None, "no such thing")
    assert len(seen) == 2 * (2 + 3)
    for one, other in zip(seen[::2], seen[1::2], strict=True):
        assert np.array_equal(one, other)
    assert len({values.tobytes() for values in seen}) == 5


def test_every_picture_case_is_exact_enough(native_ops):
    worst = {"rgb_to_yuv 1080p": 0.52, "yuv_to_rgb 1080p": 0.56, "yuv_to_tensor 256": 0.5, "composite 512": 3.0}
    lines = measured(picture_cases(), 1)
    for line in lines:
        if line.variant in {"native", "reference"}:
            assert line.error is not None
            assert line.error <= worst[line.op], line


def test_every_tensor_case_is_exact_enough(native_ops, monkeypatch):
    small = {"cpu": (1, 8, 16, 16)}
    monkeypatch.setattr("animegen.measure.ops_tensors._SHAPES", small)
    lines = measured(tensor_cases("cpu", compiled=False), 1)
    assert {"upfirdn2d down float32", "upfirdn2d down, gradient bfloat16"} <= {line.op for line in lines}
    for line in lines:
        if line.variant in {"torch.compile", "Triton"}:
            assert line.median is None and line.reason
        else:
            assert line.error is not None
            assert line.error <= (ROUNDED if line.op.endswith("bfloat16") else EXACT), line


@pytest.mark.parametrize(
    ("name", "files"), [("stylegan2-ada-pytorch", NVIDIAS), ("stylegan3", NVIDIAS), ("rosinality", ROSINALITYS)]
)
def test_ops_of_checkouts_compute_the_same(native_ops, monkeypatch, tmp_path, name, files):
    monkeypatch.setattr("animegen.measure.ops_tensors._SHAPES", {"cpu": (1, 4, 8, 8)})
    for path, text in files.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    lines = measured(tensor_cases("cpu", compiled=False, peers={name: peer_ops(name, tmp_path)}), 1)
    theirs = [line for line in lines if line.variant == name]
    assert len(theirs) == 2 * len(["bias_act", "up", "down", "their gradients", "", "fir_bias_act"])
    for line in theirs:
        # each pass rounds what it hands on
        assert line.error is not None
        assert line.error <= (3 * ROUNDED if line.op.endswith("bfloat16") else EXACT), line
    assert not {"op", "torch_utils"} & set(sys.modules)


def test_a_checkout_of_something_else_is_refused(tmp_path):
    with pytest.raises(UsageError, match="'pix2pix' is no peer of this bench"):
        peer_ops("pix2pix", tmp_path)
    with pytest.raises(InputError, match=r"holds no torch_utils/ops/bias_act\.py"):
        peer_ops("stylegan3", tmp_path)


def test_the_blocks_are_those_of_the_avatar_generator(native_ops):
    channels = AvatarConfig(BLAZEPOSE33, avatars=1, largest_stage=512).channels
    assert tuple((side, channels[side], channels[2 * side]) for side in sorted(channels)[:-1]) == BLOCKS
    lines = measured((case for case in block_cases(compiled=False) if "upsampling 4 " in case.op), 1)
    assert [line.op for line in lines[::3]] == ["upsampling 4 float32", "upsampling 4 bfloat16"]
    for line in lines:
        if line.variant != "torch.compile":
            assert line.error is not None
            assert line.error <= (ROUNDED if line.op.endswith("bfloat16") else EXACT), line


def test_facets_are_drawn_to_the_byte(native_ops):
    native, reference = measured(facets_cases("cpu"), 1)
    assert (native.op, native.variant, native.error) == ("facets 256", "native", 0)
    assert (reference.variant, reference.error) == ("reference", 0)


def test_vertices_are_posed_to_the_byte(native_ops):
    native, reference = measured(skin_cases("cpu"), 1)
    assert (native.op, native.variant, native.error) == ("skin 32768", "native", 0)
    assert (reference.variant, reference.error) == ("reference", 0)


def test_ops_are_chosen_by_name(native_ops, monkeypatch):
    monkeypatch.setattr("animegen.measure.ops_report.copy_gbytes", lambda device: 1.0)
    monkeypatch.setattr("animegen.measure.ops_report.gemm_gflops", lambda device: {"fp32": 1.0})
    arguments = ["bench", "ops", "--only", "upsampling 8 bf", "--no-compile", "--rounds", "1", "--json"]
    assert CliRunner().invoke(cli, arguments, catch_exceptions=False).stdout.count('"op"') == 3


def test_the_command_prints_ratios_to_the_native_op(monkeypatch):
    lines = [
        Line("bias_act float32", "native", 2.0, 1.5, 2.5, 10.0, 1e-7),
        Line("bias_act float32", "reference", 5.0, 4.0, 6.0, 4.0, 1e-7),
        Line("bias_act float32", "Triton", None, None, None, None, None, "Triton is not installed"),
    ]
    result = OpsBench("CPU, 1 threads", "native, avx2", 20.0, {"fp32": 100.0}, lines)
    monkeypatch.setattr("animegen.measure.ops_report.bench_ops", lambda device, **options: result)
    text = CliRunner().invoke(cli, ["bench", "ops"], catch_exceptions=False).output
    assert "copy 20.0 GB/s; GEMM fp32 100 GFLOP/s" in text
    native, reference, missing = text.splitlines()[-3:]
    assert native.split()[-5:] == ["1.500..2.500", "10.00", "50%", "1e-07", "1.00"]
    assert reference.split()[-1] == "2.50"
    assert "not measured: Triton is not installed" in missing


def test_builds_and_starts_are_told(ops_folder, monkeypatch):
    def built(sources, folder, kind, architectures=()):
        shutil.copy(ops_folder / library_name("cpu"), folder)
        return Built(folder / library_name(kind), "0 bytes spill stores\n12 bytes spill stores\n")

    monkeypatch.setattr("animegen.measure.ops_start._STARTS", 1)
    monkeypatch.setattr("animegen.measure.ops_start.build", built)
    monkeypatch.setattr("animegen.measure.ops_start.cuda_compiler", lambda: "nvcc")
    monkeypatch.setattr("animegen.measure.ops_start.cuda_architectures", lambda wanted: (wanted,))
    told = CliRunner().invoke(cli, ["bench", "build"], catch_exceptions=False).output
    assert re.search(r"cold build, cpu: \d+\.\d s", told)
    assert re.search(r"cold build, cuda 90: .* 1 kernels spill", told)
    assert re.search(r"a start: \d+\.\d core-ms beyond PyTorch's, of which \d+\.\d for the library", told)


def test_without_a_gpu_the_command_says_so():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    done = CliRunner().invoke(cli, ["bench", "ops", "--device", "cuda"])
    assert done.exit_code != 0
    assert "there is no CUDA device here" in str(done.exception)
