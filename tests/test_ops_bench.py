"""The bench of the ops measures what it says, on inputs of each variant's own."""

from __future__ import annotations

import numpy as np
import pytest
from click.testing import CliRunner

from animegen.cli import cli
from animegen.measure.ops_bench import Case, Line, measured
from animegen.measure.ops_pictures import picture_cases
from animegen.measure.ops_report import OpsBench


def test_variants_take_turns_on_fresh_inputs_of_their_own():
    ticks = iter(range(1000))
    seen = []

    def doubled(values):
        seen.append(values.copy())
        values *= 2
        return values

    case = Case(
        "double",
        4_000_000,
        lambda rng: rng.integers(0, 100, 5),
        {"native": doubled, "reference": doubled, "missing": None},
        lambda values, result: float(np.abs(2 * values - result).max()),
    )
    native, reference, missing = measured([case], 3, lambda: next(ticks))
    assert (native.median, native.least, native.most, native.gbytes, native.error) == (1000.0, 1000.0, 1000.0, 0.004, 0)
    assert reference.error == 0
    assert missing == Line("double", "missing", None, None, None, None, None)
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


def test_the_command_prints_ratios_to_the_native_op(monkeypatch):
    lines = [
        Line("bias_act float32", "native", 2.0, 1.5, 2.5, 10.0, 1e-7),
        Line("bias_act float32", "reference", 5.0, 4.0, 6.0, 4.0, 1e-7),
        Line("bias_act float32", "torch.compile", None, None, None, None, None),
    ]
    result = OpsBench("CPU, 1 threads", "native, avx2", 20.0, {"fp32": 100.0}, lines)
    monkeypatch.setattr("animegen.measure.ops_report.bench_ops", lambda device, **options: result)
    text = CliRunner().invoke(cli, ["bench", "ops"], catch_exceptions=False).output
    assert "copy 20.0 GB/s; GEMM fp32 100 GFLOP/s" in text
    native, reference, missing = text.splitlines()[-3:]
    assert native.split()[-5:] == ["1.500..2.500", "10.00", "50%", "1e-07", "1.00"]
    assert reference.split()[-1] == "2.50"
    assert "not measured" in missing


def test_without_a_gpu_the_command_says_so():
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    done = CliRunner().invoke(cli, ["bench", "ops", "--device", "cuda"])
    assert done.exit_code != 0
    assert "there is no CUDA device here" in str(done.exception)
