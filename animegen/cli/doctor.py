"""``animegen doctor``: what this machine has of everything animegen needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from animegen.cli import console

if TYPE_CHECKING:
    from collections.abc import Iterator

    from animegen.plugins import PluginHost

_WORDS = {True: "ok", False: "broken", None: "note"}


@click.command(name="doctor")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a check.")
@click.pass_context
def command(context: click.Context, as_json: bool) -> None:
    """Check this machine for everything animegen needs.

    Exits with 1 when something required is broken; a plugin that fails, or weights that are not here yet, are notes.
    """
    from animegen.plugins import PluginHost

    host = PluginHost.load()
    broken = False
    for name, ok, text in (*_checks(host), *_weights(host), *_plugins(host)):
        broken = broken or ok is False
        if as_json:
            console.print_json({"check": name, "state": _WORDS[ok], "text": text})
        else:
            click.echo(f"{_WORDS[ok]:<7} {name}: {text}")
    if broken:
        context.exit(1)


def _checks(host: PluginHost) -> Iterator[tuple[str, bool | None, str]]:
    """The checks that are announced: ours count, those of plugins are notes when they fail."""
    from animegen.plugins import OWN, load_factory, one_line

    for spec in host.specs("doctor").values():
        package = host.package_of(spec)
        own = package == OWN
        try:
            ok, text = load_factory(spec.factory)()
        except Exception as error:  # a check that breaks is a finding, and the others must still be made
            ok, text = False, f"the check of package {package} failed: {one_line(error)}"
        yield spec.name, True if ok else (False if own else None), str(text)


def _weights(host: PluginHost) -> Iterator[tuple[str, bool | None, str]]:
    from animegen.errors import WeightsError
    from animegen.weights import find

    for spec in host.specs("weights").values():
        try:
            found = find(spec)
        except (WeightsError, OSError) as error:
            yield f"weights {spec.name}", False, str(error)
            continue
        if found is None:
            text = f"not here yet ({spec.bytes / 1e6:.1f} MB, fetched when first needed)"
            yield f"weights {spec.name}", None, text
        else:
            yield f"weights {spec.name}", found.intact, str(found.path) if found.intact else f"corrupt: {found.path}"


def _plugins(host: PluginHost) -> Iterator[tuple[str, bool | None, str]]:
    for failure in host.failures:
        yield "plugins", None, str(failure)
    packages = sorted({str(entry.package) for entry in host.entries})
    yield "plugins", True, f"{len(host.entries)} things announced by {', '.join(packages)}"
