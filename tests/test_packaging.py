"""What is packed: the wheel and the source distribution carry everything that a run needs, and one version."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import animegen
from animegen.ops.build import cpu_compiler, library_name
from animegen.weights.locations import shipped

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution, made by the build backend that is installed here."""
    if importlib.util.find_spec("hatchling") is None:
        pytest.skip("hatchling is not installed here: pip install -e '.[test]'")
    folder = tmp_path_factory.mktemp("dist")
    pack(folder)
    return folder


def pack(folder: Path, *targets: str, **variables: str) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder), *targets]
    environment = {**os.environ, "ANIMEGEN_CUDA_ARCH": "none", **variables}
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, env=environment)


def test_the_version_stands_in_one_place(built: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["dynamic"] == ["version"]
    (wheel,) = built.glob("*.whl")
    assert wheel.name.split("-")[1] == animegen.__version__
    assert animegen.__version__ in (ROOT / "CHANGELOG.md").read_text()


def test_the_wheel_carries_everything_that_a_run_needs(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    files = [path for path in (ROOT / "animegen").rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert {path.relative_to(ROOT).as_posix() for path in files} <= packed
    for folder in ("weights", "ops"):
        files = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
        assert {f"animegen/_shipped/{path.relative_to(ROOT).as_posix()}" for path in files} <= packed
    assert "animegen/py.typed" in packed
    assert any(name.endswith("licenses/LICENSE") for name in packed)
    strangers = {name for name in packed if not re.match(r"animegen(-[^/]+\.dist-info)?/", name)}
    assert strangers == set()
    assert not any("__pycache__" in name or name.endswith(".part") for name in packed)


def test_the_wheel_carries_the_native_ops_of_this_platform(built: Path) -> None:
    if cpu_compiler() is None:
        pytest.skip("there is no C++ compiler here")
    (wheel,) = built.glob("*.whl")
    platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
    assert wheel.name.endswith(f"-py3-none-{platform}.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert f"animegen/_shipped/ops/lib/{library_name('cpu')}" in archive.namelist()
        (info,) = (name for name in archive.namelist() if name.endswith(".dist-info/WHEEL"))
        assert f"Root-Is-Purelib: false\nTag: py3-none-{platform}\n" in archive.read(info).decode()


def test_without_a_compiler_the_wheel_is_for_every_platform(built: Path, tmp_path: Path) -> None:
    pack(tmp_path, "--target", "wheel", CXX="no-such-compiler")
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        assert not any(name.endswith(".so") for name in archive.namelist())
        assert "animegen/_shipped/ops/src/library.cc" in archive.namelist()


def test_the_source_distribution_can_make_the_wheel(built: Path) -> None:
    (sdist,) = built.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        packed = {name.partition("/")[2] for name in archive.getnames()}
    wanted = {"pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "weights/manifest.toml", "ops/README.md"}
    wanted |= {"hatch_build.py", "ops/include/animegen_ops.h", "ops/src/library.cc", "ops/src/ops.def"}
    assert wanted <= packed
    assert "animegen/__init__.py" in packed
    assert "tests/test_packaging.py" in packed
    assert not any(name.startswith((".ci", ".git/")) for name in packed)


def test_shipped_folders_are_found_in_a_checkout() -> None:
    assert (shipped("weights") / "manifest.toml").is_file()
    assert shipped("ops").is_dir()
