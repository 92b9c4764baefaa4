"""Material shared by the tests: real footage where it is at hand, and the pose model."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # networks in tests are too small for more

SHARED = Path(__file__).resolve().parent.parent.parent / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real footage and ground truth that lies beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"real footage is not at hand: {SHARED.name}/ does not lie beside the checkout")
    return SHARED


@pytest.fixture(scope="session")
def blazepose_weights() -> dict[str, Path]:
    """The model files of the BlazePose backend by name, fetched once and cached."""
    from animegen.errors import WeightsError
    from animegen.weights import fetch

    names = (
        *("blazepose-detector", "blazepose-landmark-full", "selfie-segmentation"),
        *("face-detector", "face-landmark", "iris-landmark", "hand-landmark-full"),
    )
    try:
        return {name: fetch(name) for name in names}
    except WeightsError as error:
        pytest.skip(f"the BlazePose weights cannot be had here: {error}")


@pytest.fixture(scope="session")
def face_weights() -> dict[str, Path]:
    """The model files of the face backend facemesh by name."""
    from animegen.errors import WeightsError
    from animegen.weights import fetch

    try:
        return {name: fetch(name) for name in ("face-detector", "face-landmark", "iris-landmark")}
    except WeightsError as error:
        pytest.skip(f"the weights of facemesh cannot be had here: {error}")


@pytest.fixture(scope="session")
def ops_folder() -> Path:
    """A folder with the native CPU library: the one that is named for the tests, or built from this checkout."""
    from animegen.ops import build, library
    from animegen.weights.locations import shipped

    if library.FOLDER_VARIABLE in os.environ:
        return Path(os.environ[library.FOLDER_VARIABLE])
    if build.cpu_compiler() is None:
        pytest.skip("there is no C++ compiler here")
    folder = Path(__file__).resolve().parent.parent / "build" / "ops"
    return build.build(shipped("ops").resolve(), folder, "cpu").library.parent


@pytest.fixture
def native_ops(ops_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Has the native library compute the ops of this test."""
    from animegen.ops import library

    monkeypatch.setenv(library.MODE_VARIABLE, "native")
    monkeypatch.setenv(library.FOLDER_VARIABLE, str(ops_folder))
    library.choice.cache_clear()
    yield ops_folder
    library.choice.cache_clear()


@pytest.fixture
def at_level(native_ops: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the native library compute as on a CPU of that level: ``at_level("avx2")``; skips where this one is lower."""
    from animegen.ops import library

    def choose(level: str) -> None:
        for path in native_ops.glob("*.so"):  # a copy is loaded anew, and looks for its level again
            shutil.copy(path, tmp_path)
        monkeypatch.setenv(library.FOLDER_VARIABLE, str(tmp_path))
        monkeypatch.setenv("ANIMEGEN_OPS_LEVEL", level)
        library.choice.cache_clear()
        native = library.native("cpu")
        if native is None or native.target != level:
            pytest.skip(f"this CPU has no {level}")

    return choose


@pytest.fixture
def as_reference(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """``with as_reference():`` has the references compute the ops."""
    from animegen.ops import library

    @contextmanager
    def reference() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setenv(library.MODE_VARIABLE, "reference")
            library.choice.cache_clear()
            yield
        library.choice.cache_clear()

    return reference


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Installs a package for this test, as pip would: ``install(name, version, entry_points, {module: source})``."""

    def install(name: str, version: str, points: Mapping[str, str], modules: Mapping[str, str] | None = None) -> Path:
        site = tmp_path / "site" / name
        info = site / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(parents=True, exist_ok=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        lines = [f"{point} = {target}" for point, target in points.items()]
        (info / "entry_points.txt").write_text("\n".join(["[animegen]", *lines, ""]))
        for module, source in (modules or {}).items():
            (site / f"{module}.py").write_text(source)
            monkeypatch.delitem(sys.modules, module, raising=False)
        monkeypatch.syspath_prepend(site)
        return site

    return install
