"""``animegen plugins new`` writes a package that works as it stands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from animegen import cli
from animegen.errors import OutputError, UsageError
from animegen.plugins import KINDS, PluginHost
from animegen.scaffold import write_package

ROOT = Path(__file__).resolve().parent.parent


@pytest.mark.parametrize("kind", ["style", "background"])
def test_the_package_passes_its_own_tests(kind, tmp_path):
    folder = write_package("ink-wash", kind, tmp_path / "mine")
    for path in folder.rglob("*"):
        if path.is_file():
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"\$[a-z{]|__package__", text), f"{path} holds a placeholder"
            assert path.suffix != ".tmpl"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder / "src"), str(ROOT)])}
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 passed" in done.stdout


@pytest.mark.parametrize("kind", ["style", "background"])
def test_the_package_is_found_by_its_entry_point(kind, tmp_path, install, monkeypatch):
    folder = write_package("ink-wash", kind, tmp_path / "mine")
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    assert project["name"] == f"animegen-{kind}-ink-wash"
    install(project["name"], project["version"], project["entry-points"]["animegen"])
    monkeypatch.syspath_prepend(folder / "src")
    host = PluginHost.load()
    assert host.failures == ()
    spec = host.find(kind, "ink-wash")
    assert host.package_of(spec).name == project["name"]
    assert spec.factory.startswith(f"animegen_{kind}_ink_wash.{kind}:")
    assert kind in KINDS


def test_the_command_says_what_to_do_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(cli.cli, ["plugins", "new", "sketch"])
    assert done.exit_code == 0
    assert "pip install -e animegen-style-sketch" in done.output
    assert (tmp_path / "animegen-style-sketch" / "pyproject.toml").is_file()


@pytest.mark.parametrize("name", ["", "Ink", "1ink", "ink_wash", "ink--wash", "../ink", "ink/wash", "$x"])
def test_a_name_that_cannot_be_one_is_refused(name, tmp_path):
    with pytest.raises(UsageError, match="cannot be a plugin's name"):
        write_package(name, "style", tmp_path / "mine")
    assert not (tmp_path / "mine").exists()


def test_nothing_of_the_users_is_overwritten(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("keep")
    with pytest.raises(OutputError, match="exists already"):
        write_package("ink", "style", tmp_path / "mine")
    assert (tmp_path / "mine" / "notes.txt").read_text() == "keep"
