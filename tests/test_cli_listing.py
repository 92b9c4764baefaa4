"""``plugins``, ``styles`` and ``doctor``: what they say of this machine, broken plugins included."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from animegen import cli
from animegen.measure import health

BROKEN = """
from animegen.hookspecs import hookimpl
from animegen.protocols import DoctorCheck, StyleSpec

@hookimpl
def animegen_styles():
    return [StyleSpec("costly", "needs what is not here", "x:y", weights=("no-such-weights",))]

@hookimpl
def animegen_doctor_checks():
    return [DoctorCheck("gadget", "my_pack:check"), DoctorCheck("widget", "my_pack:fail")]

@hookimpl
def animegen_trackers():
    raise OSError("gone")

def check():
    return True, "humming"

def fail():
    raise RuntimeError("stuck")
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.cli, list(arguments))


def lines(result: Result) -> list[dict]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.fixture
def broken(install):
    install("my-pack", "1.5", {"mine": "my_pack"}, {"my_pack": BROKEN})


def test_plugins_lists_every_kind_and_the_failures(broken):
    result = run("plugins", "--json")
    rows = {(row["kind"], row["name"]): row for row in lines(result)}
    assert rows["style", "skeleton"]["package"] == "animegen"
    assert rows["style", "costly"]["version"] == "1.5"
    assert rows["plugin", "mine"]["state"] == "failed: animegen_trackers: OSError: gone"
    assert "style\tskeleton\tanimegen" in run("plugins").stdout
    assert "pip uninstall PACKAGE" in run("plugins").stderr


def test_styles_tells_options_and_why_one_is_not_available(broken):
    styles = {style["name"]: style for style in lines(run("styles", "--json"))}
    assert styles["skeleton"]["available"]
    assert {"name": "opacity", "type": "a number", "default": "1.0"} in styles["skeleton"]["options"]
    assert not styles["costly"]["available"]
    assert "no-such-weights" in styles["costly"]["why_not"]
    result = run("styles")
    assert "not available: needs the weights 'no-such-weights'" in result.stdout
    assert "warning: plugin 'mine' of package my-pack 1.5" in result.stderr


def test_doctor_takes_a_plugins_trouble_as_a_note(broken):
    checks = {check["check"]: check for check in lines(run("doctor", "--json"))}
    assert checks["gadget"] == {"check": "gadget", "state": "ok", "text": "humming"}
    assert checks["widget"]["state"] == "note"
    assert checks["widget"]["text"] == "the check of package my-pack 1.5 failed: RuntimeError: stuck"
    assert {check["state"] for check in checks.values()} <= {"ok", "note"}


def test_doctor_finds_this_machine_sound():
    result = run("doctor")
    assert result.exit_code == 0, result.output
    for name in ("python", "machine", "torch", "video", "pose runtime", "disk"):
        assert f"ok      {name}: " in result.stdout


def test_doctor_exits_with_1_when_something_required_is_broken(monkeypatch):
    monkeypatch.setattr(health, "check_video", lambda: (False, "PyAV does not load"))
    result = run("doctor")
    assert result.exit_code == 1
    assert "broken  video: PyAV does not load" in result.stdout
