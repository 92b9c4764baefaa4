"""The command line's root: light, and every failure one line with an exit code."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from animegen import cli
from animegen.errors import UsageError

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {"torch", "cv2", "numpy", "av", "scipy", "rich", "PIL", "skimage"}
RUN = "import sys; from animegen.cli import main; sys.exit(main(sys.argv[1:]))"

PLUGIN = """
import click
from animegen.hookspecs import hookimpl
from animegen.protocols import StyleSpec

@hookimpl
def animegen_styles():
    return [StyleSpec("mine", "a test", "no_such_module:make")]

@hookimpl
def animegen_register_commands(cli):
    @cli.command(short_help="Say hello.")
    def greet():
        click.echo("hello")
"""


def animegen(*arguments: str, path: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(str(p) for p in (path, ROOT) if p)
    environment = {**os.environ, **variables, "PYTHONPATH": paths}
    return subprocess.run(
        [sys.executable, "-c", RUN, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_help_imports_nothing_heavy_even_with_a_plugin(install):
    site = install("my-pack", "1.0", {"mine": "my_pack"}, {"my_pack": PLUGIN})
    program = (
        "import sys, json; from animegen.cli import main; code = main(['--help']);"
        "print(json.dumps(sorted(sys.modules)), file=sys.stderr); sys.exit(code)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert not HEAVY & set(json.loads(done.stderr))
    assert re.search(r"greet +Say hello\.", done.stdout)
    for name, text in cli.COMMANDS.items():
        assert f"{name} " in done.stdout
        assert text[:30] in done.stdout


def test_a_command_of_a_plugin_runs(install):
    site = install("my-pack", "1.0", {"mine": "my_pack"}, {"my_pack": PLUGIN})
    done = animegen("greet", path=site)
    assert (done.returncode, done.stdout) == (0, "hello\n")


def test_a_broken_plugin_costs_help_one_warning_line(install):
    site = install("my-pack", "1.0", {"mine": "my_pack"}, {"my_pack": "raise OSError('gone')"})
    done = animegen("--help", path=site)
    assert done.returncode == 0
    assert done.stderr == "warning: plugin 'mine' of package my-pack 1.0: OSError: gone (left out)\n"


def test_version():
    from animegen import __version__

    assert animegen("--version").stdout == f"animegen {__version__}\n"


def test_an_unknown_command_is_a_usage_error():
    done = animegen("convart")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: No such command 'convart'.")


def test_nothing_to_do_shows_the_help():
    done = animegen()
    assert done.returncode == 2
    assert done.stderr.startswith("Usage: animegen")


def run_raising(monkeypatch, error: BaseException) -> int:
    def fail(*_arguments, **_options):
        raise error

    monkeypatch.setattr(cli.cli, "main", fail)
    return cli.main([])


def test_an_error_of_ours_is_one_line_and_a_hint(monkeypatch, capsys):
    assert run_raising(monkeypatch, UsageError("both are given", "give one")) == 2
    assert capsys.readouterr().err == "error: both are given\nhint: give one\n"


def test_an_unexpected_error_is_one_line_and_the_way_to_the_traceback(monkeypatch, capsys):
    monkeypatch.delenv("ANIMEGEN_TRACEBACK", raising=False)
    assert run_raising(monkeypatch, KeyError("x")) == 1
    text = capsys.readouterr().err
    assert text == "error: KeyError: 'x'\nhint: set ANIMEGEN_TRACEBACK=1 to see where it happened\n"
    monkeypatch.setenv("ANIMEGEN_TRACEBACK", "1")
    assert run_raising(monkeypatch, KeyError("x")) == 1
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_exits_with_130(monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.LazyGroup, "invoke", interrupted)
    assert cli.main(["styles"]) == 130


def test_a_reader_that_goes_away_costs_no_noise():
    program = "import sys\nfrom animegen.cli import main\nsys.exit(main(['--help']))"
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    process.stderr.close()
    assert process.wait() == 1


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_helps(name):
    from click.testing import CliRunner

    assert CliRunner().invoke(cli.cli, [name, "--help"]).exit_code == 0
