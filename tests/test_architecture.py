"""The house's walls: which room may import which, checked on the imports themselves."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "animegen"
PLUGINS = ROOT / "plugins"

WORDS = {"types", "errors", "events", "config", "protocols", "colour", "settings", "memory"}
GROUND = {"ops", "weights", "jobs", "parallel"}
STAGES = {"video", "pose", "tracking", "identity", "avatar", "stylegan2", "face", "composite", "measure"}
HOST = {"hookspecs", "plugins", "guards", "builtin", "scaffold", "testing"}
LEVELS = [WORDS, GROUND, STAGES, HOST, {"pipeline"}, {"cli", "__main__"}]
"""From the ground up: a room imports what stands below it, and of its own level only in the host and the ground."""

TORCH_ROOMS = {"avatar", "stylegan2", "measure", "ops", "parallel"}
TORCH_EXCEPTIONS = {"animegen.pipeline.stages"}
"""Where torch is asked, inside a function, whether there is a GPU."""
CV2_ROOMS = {"video", "pose", "identity", "face", "composite", "measure"}
MOST_LINES, MOST_FUNCTION_LINES = 500, 60


def modules() -> dict[str, Path]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(module: str, *, top_level: bool = False) -> Iterator[str]:
    """Every module that one imports, under ``TYPE_CHECKING`` too; only when it is imported itself, if ``top_level``."""
    tree = tree_of(MODULES[module])
    nodes = _at_import(tree.body) if top_level else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative imports hide where things come from"
            assert node.module is not None
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in MODULES else node.module


def _at_import(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements that run when a module is imported."""
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        yield node
        for inner in ("body", "orelse", "finalbody"):
            if isinstance(node, (ast.If, ast.Try, ast.With)):
                yield from _at_import(getattr(node, inner, []))


def room(module: str) -> str | None:
    """The part of the house a module belongs to; None for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else None


def level(name: str) -> int:
    return next(i for i, rooms in enumerate(LEVELS) if name in rooms)


def test_every_room_has_its_place():
    placed = set().union(*LEVELS)
    assert {name for name in map(room, MODULES) if name is not None} <= placed


def test_rooms_import_only_what_stands_below_them():
    breaches = []
    for module in MODULES:
        here = room(module)
        for other in imports(module) if here is not None else ():
            there = room(other) if other.split(".")[0] == "animegen" else None
            if there in {None, here}:
                continue
            same = level(there) == level(here) and level(here) != LEVELS.index(STAGES)
            if level(there) > level(here) or (level(there) == level(here) and not same):
                breaches.append(f"{module} imports {other}")
    assert breaches == []


def test_nothing_imports_in_a_circle():
    graph = {
        module: {other for other in imports(module, top_level=True) if other in MODULES and other != module}
        for module in MODULES
    }
    done: set[str] = set()

    def visit(module: str, path: tuple[str, ...]) -> None:
        assert module not in path, " -> ".join([*path[path.index(module) :], module])
        if module not in done:
            for other in sorted(graph[module]):
                visit(other, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize(("library", "rooms"), [("torch", TORCH_ROOMS), ("cv2", CV2_ROOMS)])
def test_heavy_libraries_stay_in_their_rooms(library, rooms):
    users = {module for module in MODULES if any(name.split(".")[0] == library for name in imports(module))}
    strangers = {module for module in users if room(module) not in rooms}
    assert strangers <= (TORCH_EXCEPTIONS if library == "torch" else set())


def test_the_command_line_imports_only_light_things_at_the_top():
    heavy = {"torch", "cv2", "numpy", "av", "scipy", "skimage", "PIL", "rich", "ai_edge_litert"}
    for module in MODULES:
        if room(module) == "cli":
            assert not heavy & {name.split(".")[0] for name in imports(module, top_level=True)}, module


def sources() -> list[Path]:
    return [*MODULES.values(), *sorted(PLUGINS.glob("*/src/**/*.py"))]


def test_files_and_functions_are_short():
    long = []
    for path in sources():
        lines = len(path.read_text(encoding="utf-8").splitlines())
        if lines >= MOST_LINES:
            long.append(f"{path.relative_to(ROOT)}: {lines} lines")
        for node in ast.walk(tree_of(path)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length >= MOST_FUNCTION_LINES:
                    long.append(f"{path.relative_to(ROOT)}: {node.name} has {length} lines")
    assert long == []


def test_no_state_is_kept_in_globals_and_nothing_is_pickled():
    for path in sources():
        for node in ast.walk(tree_of(path)):
            assert not isinstance(node, ast.Global), f"{path.relative_to(ROOT)}:{node.lineno}: global"
            if isinstance(node, ast.Import):
                assert "pickle" not in {alias.name for alias in node.names}, path
            if isinstance(node, ast.ExceptHandler):
                assert node.type is not None, f"{path.relative_to(ROOT)}:{node.lineno}: bare except"


def test_only_the_command_line_prints():
    for module, path in MODULES.items():
        calls = (node.func for node in ast.walk(tree_of(path)) if isinstance(node, ast.Call))
        printing = any(isinstance(function, ast.Name) and function.id == "print" for function in calls)
        assert not printing or room(module) == "cli", module
