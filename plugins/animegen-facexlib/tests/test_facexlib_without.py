"""What is told where facexlib or its torchvision is missing; these tests need neither."""

from __future__ import annotations

from importlib.machinery import ModuleSpec
from types import ModuleType

import animegen_facexlib
import pytest
from animegen_facexlib import usable
from animegen_facexlib.faces import make_backend
from animegen_facexlib.options import DETECTOR, PARSER, FaceOptions

from animegen.errors import InvalidValue, PluginError
from animegen.plugins import PluginHost
from animegen.protocols import PluginContext


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchvision is not installed."""
    missing = {"torchvision"}
    monkeypatch.setattr(usable, "find_spec", lambda name: None if name in missing else ModuleSpec(name, None))


def test_the_list_of_plugins_says_what_is_missing(without: None) -> None:
    host = PluginHost.load()
    assert "facexlib" not in host.specs("face")
    (failure,) = [failure for failure in host.failures if failure.plugin == "facexlib"]
    assert "torchvision is not installed: pip install the torchvision built for torch" in str(failure)
    assert {DETECTOR, PARSER} <= set(host.specs("weights"))


def test_the_backend_and_the_doctor_say_it_too(without: None) -> None:
    with pytest.raises(PluginError, match="torchvision is not installed") as raised:
        make_backend(None, PluginContext())
    assert "pytorch.org" in raised.value.hint
    ok, text = usable.check_facexlib()
    assert not ok
    assert "torchvision is not installed" in text


def test_a_torchvision_for_another_torch_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str, *rest: object) -> ModuleType:
        if name == "facexlib":
            raise RuntimeError("operator torchvision::nms does not exist")
        return original(name, *rest)  # type: ignore[arg-type]

    original = __import__
    monkeypatch.setattr(usable, "find_spec", lambda name: ModuleSpec(name, None))
    monkeypatch.setattr("builtins.__import__", load)
    with pytest.raises(PluginError, match=r"needs the torchvision built for torch .*: operator torchvision::nms does"):
        usable.require_facexlib()


def test_licences_are_told() -> None:
    for spec in animegen_facexlib.animegen_weights():
        assert "non-commercial" in spec.licence
    assert "non-commercial" in usable.check_facexlib()[1] or not usable.check_facexlib()[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"size": 100}, "multiple of 32, got 100"), ({"min_score": 0.0}, "min_score must be between 0 and 1, got 0.0")],
)
def test_options_out_of_range_are_refused(changes: dict[str, float], told: str) -> None:
    with pytest.raises(InvalidValue, match=told):
        FaceOptions(**changes)  # type: ignore[arg-type]
