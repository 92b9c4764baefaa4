"""Builds the native libraries: writes a file for ninja and runs it, so that only what changed is compiled.

Needs nothing but Python, ninja and a compiler: it serves ``animegen ops build`` and the packaging of wheels alike.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from animegen.errors import OpsError

Kind = Literal["cpu", "cuda"]
KINDS: tuple[Kind, ...] = ("cpu", "cuda")

_FAST = "-O2 -fvect-cost-model=dynamic -funswitch-loops -fpeel-loops -fversion-loops-for-strides -fsplit-loops"
"""What of -O3 the kernels gain from; all of it takes half as long again to compile."""

CPU_LEVELS: Mapping[str, str] = MappingProxyType(
    {
        "baseline": "-O1 -ftree-vectorize -DAG_HAS_DOUBLE",
        "avx2": f"{_FAST} -march=x86-64-v3",
        "avx512": f"{_FAST} -march=x86-64-v4 -mprefer-vector-width=512",
    }
)
"""What each op is compiled for on x86-64; the library chooses when it is loaded."""

_ONE_LEVEL: Mapping[str, str] = MappingProxyType({"baseline": f"{_FAST} -DAG_HAS_DOUBLE"})
"""The same elsewhere."""

CUDA_ARCHITECTURES = ("80", "86", "89", "90", "100", "120")
"""The compute capabilities of a build for everybody; PTX of the last serves what comes after them."""

_CPU = (
    "-std=c++17 -ftree-vectorize -Wall -Wextra -Werror -fPIC -fopenmp -fvisibility=hidden -fno-exceptions -fno-rtti "
    "-fno-math-errno -fno-trapping-math -ffp-contract=off"
)
_CUDA = (
    "-x cu -std=c++17 -O3 --extended-lambda -fmad=false -cudart static -Werror all-warnings "
    "-Xcompiler -fPIC,-fvisibility=hidden,-Wall"
)
_SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -g -O1"
_TIMEOUT = 1800


@dataclass(frozen=True, slots=True)
class Built:
    """A library that stands, and what the compilers said on the way."""

    library: Path
    log: str


def library_name(kind: Kind) -> str:
    """The file name of a library."""
    return f"libanimegen_ops_{kind}.so"


def source_digest(sources: Path) -> str:
    """SHA-256 over every source file of ``sources`` (the folder ``ops``) and over the flags written here."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in _files(sources):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def cpu_compiler() -> str | None:
    """The C++ compiler: ``CXX``, or g++; None where there is none."""
    return shutil.which(os.environ.get("CXX") or "g++")


def cuda_compiler() -> str | None:
    """The CUDA compiler: ``CUDACXX``, nvcc on the path, or that of ``CUDA_HOME``; None where there is none."""
    home = os.environ.get("CUDA_HOME")
    return shutil.which(os.environ.get("CUDACXX") or "nvcc") or (shutil.which(f"{home}/bin/nvcc") if home else None)


def cuda_architectures(wanted: str) -> tuple[str, ...]:
    """The targets that ``wanted`` names: ``native`` (the GPUs here), ``all``, or numbers such as ``90`` by commas.

    ``all`` leaves out what this nvcc does not know. Raises OpsError for a target it does not know by name, and for
    ``native`` where there is no GPU.
    """
    known = {line.removeprefix("sm_") for line in _output(_needed(cuda_compiler(), "nvcc"), "--list-gpu-code").split()}
    if wanted == "all":
        return tuple(arch for arch in CUDA_ARCHITECTURES if arch in known)
    if wanted == "native":
        found = native_architectures()
        if not found:
            raise OpsError("there is no GPU here to build for", "name one: --cuda-arch 90, or --cuda-arch all")
        return found
    chosen = tuple(sorted({word.strip() for word in wanted.split(",")}, key=lambda word: (len(word), word)))
    for word in chosen:
        if word not in known:
            raise OpsError(f"nvcc cannot compile for '{word}'", f"it knows {', '.join(sorted(known, key=int))}")
    return chosen


def targets(wanted: str | None) -> tuple[str, ...]:
    """The CUDA targets of a build for this machine: those asked for, ``none`` being none.

    Where nothing is asked for: the GPUs here, if there are any and nvcc is too.
    """
    if wanted is None:
        return native_architectures() if cuda_compiler() is not None else ()
    return () if wanted == "none" else cuda_architectures(wanted)


def native_architectures() -> tuple[str, ...]:
    """The compute capabilities of the GPUs of this machine; empty where there are none."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    try:
        answer = _output(tool, "--query-gpu=compute_cap", "--format=csv,noheader")
    except OpsError:
        return ()
    return tuple(sorted({line.strip().replace(".", "") for line in answer.splitlines() if line.strip()}, key=int))


def build(
    sources: Path, folder: Path, kind: Kind, *, architectures: Sequence[str] = (), sanitize: bool = False
) -> Built:
    """Build one library from ``sources`` (the folder ``ops``) in ``folder``, which keeps the objects for next time.

    ``architectures``: the CUDA targets, needed for ``cuda``. ``sanitize``: with the address and undefined-behaviour
    sanitizers, for tests (CPU). Raises OpsError with the compiler's words, or where a tool is missing.
    """
    ninja = _needed(_ninja(), "ninja")
    folder.mkdir(parents=True, exist_ok=True)
    plan = _cpu_plan(sources, sanitize=sanitize) if kind == "cpu" else _cuda_plan(sources, architectures)
    with _alone(folder):
        (folder / f"{kind}.ninja").write_text(plan, encoding="utf-8")
        log = _output(ninja, "-C", str(folder), "-f", f"{kind}.ninja", "-v", library_name(kind))
    return Built(folder / library_name(kind), log)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Wait until no other process builds in a folder."""
    import fcntl  # a Unix module, as the compilers are Unix ones

    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _cpu_plan(sources: Path, *, sanitize: bool) -> str:
    levels = CPU_LEVELS if platform.machine() in {"x86_64", "AMD64"} else _ONE_LEVEL
    sanitizers = f" {_SANITIZE}" if sanitize else ""
    objects = [
        _Object(f"{op.stem}.{level}.o", op, f"-DAG_TARGET={level} {flags}{sanitizers}")
        for op in _ops(sources)
        for level, flags in levels.items()
    ]
    about = "-O2 -DAG_X86_LEVELS" if levels is CPU_LEVELS else "-O2"
    digest = f"-DAG_SOURCE_DIGEST='\"{source_digest(sources)}\"'"
    objects.append(_Object("library.o", sources / "src" / "library.cc", f"{about} {digest}{sanitizers}"))
    compiler = _quoted(_needed(cpu_compiler(), "g++"))
    compile_line = f"{compiler} {_CPU} -I{_quoted(str(sources / 'include'))}"
    link_line = f"{compiler} -shared -fopenmp -static-libgcc -static-libstdc++{sanitizers}"
    return _plan(compile_line, "-MMD -MF $out.d", link_line, objects, library_name("cpu"))


def _cuda_plan(sources: Path, architectures: Sequence[str]) -> str:
    if not architectures:
        raise OpsError("no CUDA target was named", "name one: --cuda-arch native")
    targets = [f"-gencode arch=compute_{arch},code=sm_{arch}" for arch in architectures]
    targets.append(f"-gencode arch=compute_{architectures[-1]},code=compute_{architectures[-1]}")
    about = f"-DAG_CUDA_TARGETS='\"{' '.join(architectures)}\"' -DAG_SOURCE_DIGEST='\"{source_digest(sources)}\"'"
    objects = [_Object(f"{op.stem}.cuda.o", op, "") for op in _ops(sources)]
    objects.append(_Object("library.cuda.o", sources / "src" / "library.cc", about))
    nvcc = _quoted(_needed(cuda_compiler(), "nvcc"))
    host = f" -ccbin {_quoted(compiler)}" if (compiler := cpu_compiler()) else ""
    include = f"-I{_quoted(str(sources / 'include'))}"
    compile_line = f"{nvcc}{host} {_CUDA} {' '.join(targets)} -Xptxas -v {include}"
    return _plan(compile_line, "-MD -MF $out.d", f"{nvcc}{host} -shared -cudart static", objects, library_name("cuda"))


@dataclass(frozen=True, slots=True)
class _Object:
    name: str
    source: Path
    flags: str


def _plan(compile_line: str, dependencies: str, link_line: str, objects: Iterable[_Object], library: str) -> str:
    """The text of the file for ninja. A library takes its name when it is whole."""
    lines = [
        f"builddir = {Path(library).stem}.log",
        "rule compile",
        f"  command = {compile_line} $flags {dependencies} -c $in -o $out",
        "  depfile = $out.d",
        "  deps = gcc",
        "rule link",
        f"  command = {link_line} $in -o $out.part && mv -f $out.part $out",
    ]
    names = []
    for item in objects:
        source = str(item.source).replace("$", "$$").replace(" ", "$ ").replace(":", "$:")
        lines += [f"build {item.name}: compile {source}", f"  flags = {item.flags}"]
        names.append(item.name)
    lines.append(f"build {library}: link {' '.join(names)}")
    return "\n".join([*lines, ""])


def _files(sources: Path) -> list[Path]:
    return sorted(path for path in sources.rglob("*") if path.suffix in {".cc", ".h", ".def"})


def _ops(sources: Path) -> list[Path]:
    """The source of every op; the file that joins them is none."""
    return sorted(path for path in (sources / "src").glob("*.cc") if path.stem != "library")


def _ninja() -> str | None:
    """The ninja of the package of that name, or one on the path."""
    if importlib.util.find_spec("ninja") is not None:
        import ninja

        return shutil.which("ninja", path=ninja.BIN_DIR)
    return shutil.which("ninja")


def _needed(tool: str | None, name: str) -> str:
    if tool is None:
        raise OpsError(f"{name} is not here", f"install {name}; without it the reference computes, only slower")
    return tool


def _quoted(text: str) -> str:
    return f"'{text}'" if " " in text else text


def _output(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise OpsError(f"{Path(command[0]).name} did not run: {error}") from error
    if done.returncode != 0:
        words = (done.stdout + done.stderr).strip().splitlines()
        raise OpsError(f"{Path(command[0]).name} failed:\n" + "\n".join(words[-30:]))
    return done.stdout + done.stderr
