"""The plugin host: what it finds, and what a broken plugin may cost."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from animegen.errors import InvalidValue, PluginError, UsageError, WeightsError
from animegen.plugins import KINDS, PluginHost, plugin_commands
from animegen.protocols import PluginContext, StyleSpec, TrackerSpec
from animegen.settings import absolute_settings, options_of, parse_settings

STYLE = """
from animegen.hookspecs import hookimpl
from animegen.protocols import StyleSpec

@hookimpl
def animegen_styles():
    return [StyleSpec("{name}", "a test", "{module}:make")]

class Style:
    def prepare(self, identity, track, crops): return {{}}
    def render(self, requests): return []

def make(options, context): return Style()
"""

BROKEN = {
    "does not exist": (None, "ModuleNotFoundError"),
    "syntax": ("def :", "SyntaxError"),
    "raises": ("raise RuntimeError('no such device\\nsecond line')", "RuntimeError: no such device"),
    "exits": ("raise SystemExit(3)", "SystemExit"),
    "unknown hook": (
        "from animegen.hookspecs import hookimpl\n@hookimpl\ndef animegen_stiles(): return []",
        "animegen_stiles",
    ),
    "misspelt hook": (
        "from animegen.hookspecs import hookimpl\n@hookimpl\ndef animegen_style(): return []",
        "there is no hook 'animegen_style'; did you mean animegen_styles?",
    ),
    "no mark": (
        "from animegen.hookspecs import hookimpl\ndef animegen_styles(): return []",
        "animegen_styles is not marked as a hook; write @hookimpl above it",
    ),
    "no hook": ("def make(options, context): ...", "it implements no hook; there are animegen_pose_backends"),
    "options that are no dataclass": (
        "from animegen.hookspecs import hookimpl\nfrom animegen.protocols import StyleSpec\n"
        "@hookimpl\ndef animegen_styles(): return [StyleSpec('x', 'x', 'y:z', dict)]",
        "the options of 'x' must be a dataclass",
    ),
    "wrong argument": (
        "from animegen.hookspecs import hookimpl\n@hookimpl\ndef animegen_styles(config): return []",
        "config",
    ),
    "hook raises": (
        "from animegen.hookspecs import hookimpl\n@hookimpl\ndef animegen_styles(): return 1 / 0",
        "animegen_styles: ZeroDivisionError",
    ),
    "hook returns nothing": (
        "from animegen.hookspecs import hookimpl\n@hookimpl\ndef animegen_styles(): return None",
        "animegen_styles: TypeError",
    ),
    "hook returns rubbish": (
        "from animegen.hookspecs import hookimpl\n@hookimpl\ndef animegen_styles(): return ['anime']",
        "'anime' where a StyleSpec belongs",
    ),
    "spec without a name": (
        "from animegen.hookspecs import hookimpl\nfrom animegen.protocols import StyleSpec\n"
        "@hookimpl\ndef animegen_styles(): return [StyleSpec('', 'x', 'y:z')]",
        "without a name",
    ),
    "command raises": (
        "from animegen.hookspecs import hookimpl\n@hookimpl\ndef animegen_register_commands(cli): cli.nothing()",
        None,
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_plugin_costs_one_line_and_nothing_else(case, install):
    source, text = BROKEN[case]
    install("broken-pack", "0.1", {"broken": "broken_pack"}, {} if source is None else {"broken_pack": source})
    install(
        "sound-pack", "2.0", {"sound": "sound_pack"}, {"sound_pack": STYLE.format(name="mine", module="sound_pack")}
    )
    host = PluginHost.load()
    assert {"mine", "skeleton", "anime"} <= set(host.specs("style"))
    if text is None:
        _, failures = plugin_commands(reserved=())
    else:
        failures = host.failures
    (failure,) = failures
    with pytest.raises(PluginError) as caught:
        host.find("style", "broken")
    assert case == "command raises" or str(failure) in caught.value.hint
    assert (failure.plugin, failure.package) == ("broken", "broken-pack 0.1")
    assert (text or "AttributeError") in failure.text
    assert "\n" not in str(failure)


def test_a_plugin_style_is_found_and_made(install):
    install(
        "sound-pack", "2.0", {"sound": "sound_pack"}, {"sound_pack": STYLE.format(name="mine", module="sound_pack")}
    )
    host = PluginHost.load()
    spec = host.find("style", "mine")
    assert str(host.package_of(spec)) == "sound-pack 2.0"
    assert type(host.create(spec, None, PluginContext())).__name__ == "Style"


def test_two_packages_with_one_name_are_an_error_when_the_name_is_used(install):
    for letter in "ab":
        module = f"pack_{letter}"
        install(f"pack-{letter}", "1.0", {letter: module}, {module: STYLE.format(name="mine", module=module)})
    host = PluginHost.load()
    assert host.failures == ()
    assert "mine" not in host.specs("style")
    assert [str(entry.package) for entry in host.conflicts("style")["mine"]] == ["pack-a 1.0", "pack-b 1.0"]
    with pytest.raises(PluginError, match=r"pack-a 1\.0 and pack-b 1\.0"):
        host.find("style", "mine")
    assert host.find("style", "skeleton").name == "skeleton"


def test_nobody_takes_the_name_of_a_built_in(install):
    install("pack", "1.0", {"p": "pack"}, {"pack": STYLE.format(name="skeleton", module="pack")})
    with pytest.raises(PluginError, match=r"animegen .* and pack 1\.0") as caught:
        PluginHost.load().find("style", "skeleton")
    assert caught.value.hint == "pip uninstall pack"


def test_entry_points_of_one_name_in_two_packages_both_load(install):
    for letter in "ab":
        module = f"pack_{letter}"
        install(f"pack-{letter}", "1.0", {"style": module}, {module: STYLE.format(name=letter, module=module)})
    assert {"a", "b"} <= set(PluginHost.load().specs("style"))


def test_an_unknown_name_is_answered_with_near_ones():
    with pytest.raises(PluginError, match="there is no style 'skelton'") as caught:
        PluginHost.load().find("style", "skelton")
    assert "did you mean skeleton" in caught.value.hint
    assert "pip install" in caught.value.hint
    with pytest.raises(PluginError) as caught:
        PluginHost.load().find("tracker", "zzz")
    assert "there are oks" in caught.value.hint


def test_loading_twice_gives_the_same():
    first, second = PluginHost.load(), PluginHost.load()
    assert [(e.kind, e.spec.name) for e in first.entries] == [(e.kind, e.spec.name) for e in second.entries]


@pytest.mark.parametrize(
    ("factory", "text"),
    [
        ("no_such_module:make", "ModuleNotFoundError"),
        ("pack:nothing", "AttributeError"),
        ("pack", "package.module:function"),
        ("pack:fails", "KeyError"),
        ("pack:VALUE", "no function"),
        ("pack:wrong", "a dict that is no Style: lacks prepare, render"),
    ],
)
def test_a_broken_factory_is_reported_under_its_package(factory, text, install):
    source = STYLE.format(name="mine", module="pack").replace("pack:make", factory) + (
        "\nVALUE = 3\ndef fails(options, context): raise KeyError('x')\ndef wrong(options, context): return {}\n"
    )
    install("my-pack", "1.0", {"p": "pack"}, {"pack": source})
    host = PluginHost.load()
    with pytest.raises(PluginError, match=r"style 'mine' of package my-pack 1\.0") as caught:
        host.create(host.find("style", "mine"), None, PluginContext())
    assert text in str(caught.value)


def test_an_error_with_a_hint_passes_through_a_factory(install):
    body = "from animegen.errors import InputError\n    raise InputError('no camera', 'plug it in')"
    source = f"{STYLE.format(name='mine', module='pack')}\ndef make(options, context):\n    {body}\n"
    install("my-pack", "1.0", {"p": "pack"}, {"pack": source})
    host = PluginHost.load()
    with pytest.raises(Exception, match="no camera") as caught:
        host.create(host.find("style", "mine"), None, PluginContext())
    assert caught.value.hint == "plug it in"


def test_missing_weights_are_named():
    host = PluginHost.load()
    with pytest.raises(WeightsError, match="avatar-anime"):
        host.create(host.find("style", "anime"), None, PluginContext())


def test_commands_of_plugins_cannot_take_a_name(install):
    source = (
        "import click\nfrom animegen.hookspecs import hookimpl\n@hookimpl\ndef animegen_register_commands(cli):\n"
        "    @cli.command()\n    def convert(): pass\n    @cli.command()\n    def extra(): pass\n"
    )
    install("my-pack", "1.0", {"p": "pack"}, {"pack": source})
    commands, failures = plugin_commands(reserved=("convert",))
    assert "extra" in commands
    assert "convert" not in commands
    assert "'convert' is taken" in failures[0].text


@dataclass(frozen=True)
class Options:
    text: str = "a"
    count: int = 1
    size: float = 1.0
    soft: bool = False
    file: Path | None = None
    mode: Literal["fast", "fine"] = "fast"
    names: tuple[str, ...] = field(default_factory=tuple)
    files: tuple[Path, ...] = ()
    maybe: float | None = 2.0
    odd: complex = 1j

    def __post_init__(self) -> None:
        if self.count < 0:
            raise InvalidValue(f"count must not be negative, got {self.count}", "try 0")


@dataclass(frozen=True)
class Needy:
    path: Path
    count: int = 5


STYLE_SPEC = StyleSpec("s", "", "m:f", Options)
TRACKER_SPEC = TrackerSpec("t", "", "m:f", Needy)
PLAIN_SPEC = TrackerSpec("t", "", "m:f")


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("text", "b=c", "b=c"),
        ("text", "none", "none"),
        ("count", "12", 12),
        ("size", "1e-3", 0.001),
        ("soft", "yes", True),
        ("soft", "OFF", False),
        ("file", "a/b.png", Path("a/b.png").absolute()),
        ("files", "a.png, b.png", (Path("a.png").absolute(), Path("b.png").absolute())),
        ("file", "none", None),
        ("mode", "fine", "fine"),
        ("names", "a, b,", ("a", "b")),
        ("maybe", "0", 0.0),
        ("maybe", "None", None),
        ("style.count", "3", 3),
    ],
)
def test_settings_become_values_of_the_fields_types(key, text, value):
    options = parse_settings({"style": STYLE_SPEC, "tracker": PLAIN_SPEC}, {key: text})
    assert getattr(options["style"], key.rpartition(".")[2]) == value
    assert options["tracker"] is None


def test_paths_in_settings_are_made_absolute_and_nothing_else_is_touched():
    settings = {"file": "a.png", "style.files": "b.png, c.png", "names": "a, b", "size": "1e-3", "text": "a.png"}
    absolute = absolute_settings({"style": STYLE_SPEC}, settings)
    here = Path.cwd()
    assert absolute == settings | {"file": f"{here}/a.png", "style.files": f"{here}/b.png,{here}/c.png"}
    assert absolute_settings({"style": STYLE_SPEC}, absolute | {"file": "none"}) == absolute | {"file": "none"}


@pytest.mark.parametrize(
    ("key", "text", "words"),
    [
        ("count", "1.5", "style.count must be a whole number, got '1.5'"),
        ("size", "nan", "style.size must be a number, got 'nan'"),
        ("soft", "maybe", "must be true or false"),
        ("mode", "slow", "must be one of fast, fine"),
        ("maybe", "x", "must be a number or none"),
        ("file", "", "must be a path or none"),
        ("odd", "1", "style.odd cannot be set, since its type is complex"),
        ("count", "-1", "count must not be negative, got -1"),
        ("colour", "1", "there is no option 'colour'"),
        ("pose.count", "1", "there is no option 'pose.count'"),
    ],
)
def test_a_bad_setting_is_a_usage_error(key, text, words):
    with pytest.raises(UsageError, match=words.replace(".", r"\.").replace("'", "'")):
        parse_settings({"style": STYLE_SPEC}, {key: text})


def test_an_unknown_setting_is_answered_with_the_known_ones():
    with pytest.raises(UsageError) as caught:
        parse_settings({"style": STYLE_SPEC}, {"colour": "1"})
    assert "style.text, style.count" in caught.value.hint


def test_a_misspelt_setting_is_answered_with_the_nearest():
    with pytest.raises(UsageError) as caught:
        parse_settings({"style": STYLE_SPEC}, {"cuont": "1"})
    assert caught.value.hint.startswith("did you mean style.count?")


def test_a_key_of_two_plugins_must_be_qualified():
    specs = {"style": STYLE_SPEC, "tracker": TRACKER_SPEC}
    with pytest.raises(UsageError) as caught:
        parse_settings(specs, {"count": "3", "tracker.path": "x"})
    assert "style.count or tracker.count" in caught.value.hint
    options = parse_settings(specs, {"tracker.count": "3", "path": "x"})
    assert (options["style"].count, options["tracker"].count) == (1, 3)


def test_an_option_without_a_default_must_be_given():
    with pytest.raises(UsageError, match=r"needs a value for tracker\.path"):
        parse_settings({"tracker": TRACKER_SPEC}, {})


def test_every_built_in_option_can_be_described():
    host = PluginHost.load()
    specs = [entry.spec for entry in host.entries if hasattr(entry.spec, "options")]
    described = [
        (spec.name, option.name, option.type_name, option.default) for spec in specs for option in options_of(spec)
    ]
    assert ("oks", "max_lost", "a whole number", "45") in described
    assert set(KINDS) >= {entry.kind for entry in host.entries}
