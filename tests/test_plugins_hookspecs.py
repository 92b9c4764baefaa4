"""Every hook has an example in its docstring that runs, and is held to the contract of what it makes."""

from __future__ import annotations

import inspect
import re
import sys
import textwrap
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from animegen import hookspecs, testing
from animegen.cli import cli
from animegen.plugins import KINDS, PluginHost, load_factory, plugin_commands
from animegen.pose.clip import PoseClip
from animegen.pose.files import load_poses, save_poses
from animegen.protocols import PluginContext

README = (Path(__file__).resolve().parent.parent / "README.md").read_text(encoding="utf-8")
PLUGIN_CHAPTER = README[README.index("## Writing a plugin") : README.index("## Avatars of your own")]
HOOKS = [name for name in vars(hookspecs) if name.startswith("animegen_")]
CONTRACTS = {
    "pose": lambda make: testing.check_pose_backend(make()),
    "face": lambda make: testing.check_face_backend(make()),
    "tracker": testing.check_tracker,
    "identity": lambda make: testing.check_identity_preserver(make()),
    "style": lambda make: testing.check_style(make()),
    "background": lambda make: testing.check_background(make()),
}


def example_of(hook: str) -> str:
    text = inspect.getdoc(getattr(hookspecs, hook)) or ""
    found = re.search(r"Example::\n\n(.*)", text, re.DOTALL)
    assert found, f"{hook} has no example"
    return textwrap.dedent(found[1])


@pytest.fixture
def my_package(monkeypatch, install):
    """Runs an example as the module that an installed plugin's entry point names."""

    def run(hook: str) -> ModuleType:
        module = ModuleType("my_package")
        monkeypatch.setitem(sys.modules, "my_package", module)
        exec(compile(example_of(hook), hook, "exec"), vars(module))
        install("my-package", "1.0", {"my-plugin": "my_package"})
        return module

    return run


def test_every_kind_has_a_hook_and_every_hook_a_kind():
    assert {kind.hook for kind in KINDS.values()} | {"animegen_register_commands"} == set(HOOKS)


def test_the_readme_tells_of_every_hook_spec_method_and_contract():
    specs = {kind.spec_class for kind in KINDS.values()}
    methods = {name for kind in KINDS.values() if kind.protocol for name in vars(kind.protocol) if name[0] != "_"}
    checks = {name for name in testing.__all__ if name.startswith("check_")}
    for name in {*HOOKS, *specs, *methods, *checks, "[project.entry-points.animegen]"}:
        assert name in PLUGIN_CHAPTER, name


def test_the_style_of_the_readme_keeps_the_contract(monkeypatch, install):
    package, style = re.findall(r"```python\n# my_package/\w+\.py\n(.*?)```", PLUGIN_CHAPTER, re.DOTALL)
    module = ModuleType("my_package.style")
    exec(compile(style, "README.md", "exec"), vars(module))
    monkeypatch.setitem(sys.modules, "my_package.style", module)
    install("my-package", "1.0", {"mine": "my_package"}, {"my_package": package})
    host = PluginHost.load()
    testing.check_style(host.create(host.find("style", "mine"), None, PluginContext()))


@pytest.mark.parametrize("kind", KINDS)
def test_the_example_announces_something_that_works(kind, my_package):
    module = my_package(KINDS[kind].hook)
    host = PluginHost.load()
    assert host.failures == ()
    (entry,) = (entry for entry in host.entries if entry.package.name == "my-package")
    assert entry.kind == kind
    assert host.find(kind, entry.spec.name) is entry.spec
    if kind in CONTRACTS:
        CONTRACTS[kind](lambda: host.create(entry.spec, None, PluginContext()))
    elif kind in {"source", "sink"}:
        assert callable(host.create(entry.spec, None, PluginContext()))
    elif kind == "doctor":
        ok, text = load_factory(entry.spec.factory)()
        assert isinstance(ok, bool)
        assert isinstance(text, str)
    assert module.__name__ == "my_package"


def test_the_example_source_feeds_the_example_sink(my_package, tmp_path):
    made = {}
    for kind in ("source", "sink"):
        my_package(KINDS[kind].hook)
        host = PluginHost.load()
        spec = next(entry.spec for entry in host.entries if entry.package.name == "my-package")
        made[kind] = host.create(spec, None, PluginContext())
    made["sink"](tmp_path / "grey.rgb", made["source"]("grey:25"))
    assert (tmp_path / "grey.rgb").stat().st_size == 25 * 48 * 64 * 3


def test_poses_are_converted_to_the_example_skeleton(my_package, tmp_path):
    my_package("animegen_skeletons")
    pose = testing.synthetic_pose()
    clip = PoseClip((320, 240), pose.skeleton, (0,), (Fraction(0),), ((pose,),), ((0,),))
    save_poses(clip, tmp_path / "a.npz")
    arguments = ["pose", "convert", str(tmp_path / "a.npz"), str(tmp_path / "b.npz"), "--skeleton", "bust5"]
    assert CliRunner().invoke(cli, arguments, catch_exceptions=False).exit_code == 0
    assert load_poses(tmp_path / "b.npz").poses[0][0].skeleton.name == "bust5"


def test_the_example_command_runs(my_package):
    my_package("animegen_register_commands")
    commands, failures = plugin_commands(reserved=())
    assert failures == ()
    assert isinstance(commands["greet"], click.Command)
    assert CliRunner().invoke(commands["greet"], ["you"]).output == "hello you\n"
