"""``animegen styles``: what a person can be drawn as."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from animegen.cli import console

if TYPE_CHECKING:
    from animegen.plugins import PluginHost, Spec


@click.command(name="styles")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a style.")
def command(as_json: bool) -> None:
    """List the styles and their options."""
    host = console.plugin_host()
    for spec in host.specs("style").values():
        style = _describe(host, spec)
        if as_json:
            console.print_json(style)
        else:
            _print(style)
    for name, entries in host.conflicts("style").items():
        console.warn(f"style '{name}' is announced by {' and '.join(str(entry.package) for entry in entries)}")


def _describe(host: PluginHost, spec: Spec) -> dict[str, Any]:
    from animegen.settings import options_of

    options = [{"name": o.name, "type": o.type_name, "default": o.default} for o in options_of(spec)]
    package = str(host.package_of(spec))
    obstacles = [why for name in spec.weights if (why := _obstacle(host, name))]
    return {
        "name": spec.name,
        "summary": spec.summary,
        "package": package,
        "available": not obstacles,
        "why_not": "; ".join(obstacles),
        "options": options,
    }


def _obstacle(host: PluginHost, weights: str) -> str:
    """Why a style cannot have its weights, or nothing where it has them or can fetch them."""
    from animegen.weights import find

    spec = host.specs("weights").get(weights)
    if spec is None:
        return f"needs the weights '{weights}', which this release does not have"
    found = find(spec)
    if found is not None and not found.intact:
        return f"the weights '{weights}' are corrupt: {found.path}"
    if found is None and spec.source == "shipped":
        return f"needs the weights '{weights}', which do not lie in weights/"
    return ""


def _print(style: dict[str, Any]) -> None:
    click.echo(f"{style['name']}: {style['summary']} ({style['package']})")
    if not style["available"]:
        click.echo(f"    not available: {style['why_not']}")
    for option in style["options"]:
        value = "VALUE" if option["default"] is None else option["default"]
        setting = f"{option['name']}={value}"
        click.echo(f"    --set {setting:<24} {option['type']}")
