"""The native ops are built piece by piece, found in order, checked, and replaced by the references where they lack."""

from __future__ import annotations

import json
import logging
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from animegen.cli import cli
from animegen.errors import OpsError, UsageError
from animegen.measure.health import check_native_ops
from animegen.ops import build, library
from animegen.ops.pictures import rgb_to_yuv
from animegen.weights.locations import shipped

needs_compiler = pytest.mark.skipif(build.cpu_compiler() is None, reason="there is no C++ compiler here")
needs_nvcc = pytest.mark.skipif(build.cuda_compiler() is None, reason="there is no CUDA compiler here")

OP = """
#include "ag.h"
namespace ag { namespace AG_TARGET {
int32_t NAME(const ag_tensor *, int64_t count, const ag_NAME_options *, const ag_place *) { return count ? 1 : 0; }
}}
"""
HEADER = """
typedef struct ag_NAME_options { int32_t none; } ag_NAME_options;
AG_EXPORT int32_t ag_NAME(const ag_tensor *, int64_t, const ag_NAME_options *, const ag_place *);
"""


@pytest.fixture
def small(tmp_path):
    """Sources with two small ops, ``first`` and ``second``."""
    folder = tmp_path / "ops"
    (folder / "src").mkdir(parents=True)
    (folder / "include").mkdir()
    header = (shipped("ops") / "include" / "animegen_ops.h").read_text()
    ours = "".join(HEADER.replace("NAME", name) for name in ("first", "second"))
    (folder / "include" / "animegen_ops.h").write_text(
        re.sub(r"(?s)/\* composite.*(?=#if defined\(__cplusplus\)\n\})", ours, header)
    )
    for name in ("ag.h", "library.cc"):
        shutil.copy(shipped("ops") / "src" / name, folder / "src")
    (folder / "src" / "ops.def").write_text("AG_OP(first)\nAG_OP(second)\n")
    for name in ("first", "second"):
        (folder / "src" / f"{name}.cc").write_text(OP.replace("NAME", name))
    return folder


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """No library is found but in ``tmp_path / "named"``, ``"packaged"`` and ``"local"``, which are empty."""
    folders = {name: tmp_path / name for name in ("named", "packaged", "local")}
    for folder in folders.values():
        folder.mkdir()
    paths = [folder / build.library_name("cpu") for folder in folders.values()]
    monkeypatch.setattr(
        library, "candidates", lambda kind: [path.with_name(build.library_name(kind)) for path in paths]
    )
    monkeypatch.delenv(library.MODE_VARIABLE, raising=False)
    library.choice.cache_clear()
    yield folders
    library.choice.cache_clear()


def stranger(folder: Path, abi: int) -> Path:
    """A library that tells another ABI."""
    source = folder / "stranger.c"
    source.write_text(f"int ag_abi_version(void) {{ return {abi}; }}\n")
    path = folder / build.library_name("cpu")
    subprocess.run([str(build.cpu_compiler()), "-x", "c", "-shared", "-fPIC", source, "-o", path], check=True)
    return path


def compiled(log: str) -> set[str]:
    return set(re.findall(r"-c \S*/(\w+)\.cc", log))


@needs_compiler
def test_only_what_changed_is_compiled(small, tmp_path):
    folder = tmp_path / "out of the way"
    first = build.build(small, folder, "cpu")
    assert compiled(first.log) == {"first", "second", "library"}
    assert compiled(build.build(small, folder, "cpu").log) == set()
    with (small / "src" / "second.cc").open("a") as file:
        file.write("// changed\n")
    assert compiled(build.build(small, folder, "cpu").log) == {"second", "library"}  # the latter tells the digest
    (small / "src" / "ag.h").touch()
    assert compiled(build.build(small, folder, "cpu").log) == {"first", "second"}
    opened = library.Library(first.library, build.source_digest(small))
    opened.call("first", [], b"", library.place())
    with pytest.raises(OpsError, match="the number of tensors is wrong"):
        opened.call("second", [library.ABSENT], b"", library.place())


@needs_compiler
def test_a_build_that_fails_says_why_and_leaves_the_old_library(small, tmp_path):
    before = build.build(small, tmp_path / "out", "cpu").library.read_bytes()
    with (small / "src" / "second.cc").open("a") as file:
        file.write("int broken = ;\n")
    with pytest.raises(OpsError, match=r"second\.cc.*error"):
        build.build(small, tmp_path / "out", "cpu")
    assert (tmp_path / "out" / build.library_name("cpu")).read_bytes() == before
    assert not list((tmp_path / "out").glob("*.part"))


def test_without_a_compiler_the_error_names_it(small, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("CUDACXX", "no-such-compiler")
    monkeypatch.delenv("CUDA_HOME", raising=False)
    for kind, name in (("cpu", "g\\+\\+"), ("cuda", "nvcc")):
        with pytest.raises(OpsError, match=f"{name} is not here"):
            build.build(small, tmp_path / "out", kind, architectures=("90",))
    assert build.targets(None) == ()
    assert build.targets("none") == ()


@needs_nvcc
def test_cuda_targets_are_checked_by_name(small, tmp_path):
    assert build.cuda_architectures("120, 90,90") == ("90", "120")
    assert "90" in build.cuda_architectures("all")
    with pytest.raises(OpsError, match="cannot compile for '12'"):
        build.cuda_architectures("90,12")
    with pytest.raises(OpsError, match="no CUDA target"):
        build.build(small, tmp_path / "out", "cuda")


@needs_nvcc
def test_the_cuda_side_compiles_and_no_kernel_spills(tmp_path):
    built = build.build(shipped("ops").resolve(), tmp_path, "cuda", architectures=("90", "100"))
    spilt = [line for line in built.log.splitlines() if re.search(r"[1-9]\d* bytes spill", line)]
    assert "spill stores" in built.log
    assert spilt == []
    opened = library.Library(built.library, build.source_digest(shipped("ops").resolve()))
    assert opened.target == "90 100"
    with pytest.raises(OpsError, match="device does not fit"):
        opened.call("composite", [], b"", library.place())


@needs_compiler
def test_a_library_of_another_abi_is_refused_with_both_numbers(nowhere, caplog, monkeypatch):
    path = stranger(nowhere["packaged"], 99)
    with caplog.at_level(logging.INFO, "animegen.ops"):
        found = library.choice("cpu")
        library.choice("cpu")
    assert found.library is None
    reason = f"{path} has ABI 99, this animegen needs {library.ABI_VERSION}"
    assert found.refused == (reason,)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert reason in caplog.text
    assert reason in check_native_ops()[1]
    library.choice.cache_clear()
    monkeypatch.setenv(library.MODE_VARIABLE, "native")
    with pytest.raises(OpsError, match="has ABI 99") as error:
        library.native("cpu")
    assert "animegen ops build" in error.value.hint


def test_the_header_and_the_loader_speak_of_one_abi():
    header = (shipped("ops") / "include" / "animegen_ops.h").read_text()
    assert f"#define AG_ABI_VERSION {library.ABI_VERSION}\n" in header
    assert f"#define AG_MAX_DIMS {library.MAX_DIMS}\n" in header


def test_what_is_no_library_is_refused(nowhere):
    (nowhere["local"] / build.library_name("cpu")).write_bytes(b"no library")
    assert "does not load" in library.choice("cpu").refused[0]


def test_libraries_are_tried_in_order(nowhere, ops_folder):
    name = build.library_name("cpu")
    for where in ("local", "packaged", "named"):
        shutil.copy(ops_folder / name, nowhere[where])
        library.choice.cache_clear()
        native = library.native("cpu")
        assert native is not None
        assert native.path == nowhere[where] / name


def test_a_library_behind_a_refused_one_is_taken(nowhere, ops_folder):
    name = build.library_name("cpu")
    (nowhere["named"] / name).write_bytes(b"no library")
    shutil.copy(ops_folder / name, nowhere["packaged"])
    found = library.choice("cpu")
    assert found.library is not None
    assert found.library.path == nowhere["packaged"] / name
    assert len(found.refused) == 1


def test_the_variable_the_package_and_the_cache_are_looked_in(monkeypatch, tmp_path):
    monkeypatch.setenv(library.FOLDER_VARIABLE, str(tmp_path))
    paths = library.candidates("cuda")
    folders = [tmp_path, shipped("ops") / "lib", library.local_folder()]
    assert paths == [folder / "libanimegen_ops_cuda.so" for folder in folders]


def test_a_library_of_other_sources_is_refused(nowhere, ops_folder, monkeypatch):
    shutil.copy(ops_folder / build.library_name("cpu"), nowhere["local"])
    monkeypatch.setattr(library, "source_digest", lambda sources: "another")
    assert "was built from other sources" in library.choice("cpu").refused[0]


def test_without_a_library_the_reference_computes(nowhere, caplog):
    with caplog.at_level(logging.INFO, "animegen.ops"):
        planes = [rgb_to_yuv(np.zeros((4, 4, 3), np.uint8)) for _ in range(3)]
    assert (planes[0][0] == 16).all()
    assert [record.levelname for record in caplog.records] == ["INFO"]
    assert "there is no library here" in caplog.text


def test_the_reference_can_be_asked_for(nowhere, ops_folder, monkeypatch):
    shutil.copy(ops_folder / build.library_name("cpu"), nowhere["local"])
    monkeypatch.setenv(library.MODE_VARIABLE, "reference")
    assert library.native("cpu") is None
    assert "as ANIMEGEN_OPS asks" in str(library.choice("cpu"))


def test_an_unknown_mode_is_told(nowhere, monkeypatch):
    monkeypatch.setenv(library.MODE_VARIABLE, "fast")
    with pytest.raises(UsageError, match="ANIMEGEN_OPS is 'fast'"):
        library.choice("cpu")


def test_status_tells_what_computes(native_ops):
    runner = CliRunner()
    text = runner.invoke(cli, ["ops", "status"], catch_exceptions=False).output
    assert f"cpu: native, {library.choice('cpu').library.target}: {native_ops}" in text
    lines = runner.invoke(cli, ["ops", "status", "--json"], catch_exceptions=False).output.splitlines()
    first = json.loads(lines[0])
    assert (first["kind"], first["computes"], first["mode"]) == ("cpu", "native", "native")
    assert first["library"] == str(native_ops / build.library_name("cpu"))


@needs_compiler
def test_the_command_builds_into_a_folder(small, tmp_path, monkeypatch):
    monkeypatch.setattr("animegen.weights.locations.shipped", lambda folder: small)
    command = ["ops", "build", "--cuda-arch", "none", "--folder", str(tmp_path / "out")]
    done = CliRunner().invoke(cli, command, catch_exceptions=False)
    assert done.exit_code == 0
    assert str(tmp_path / "out" / build.library_name("cpu")) in done.output
    assert "cuda: left out" in done.output
