"""``animegen ops``: build the native ops, and see which are used."""

from __future__ import annotations

import click


@click.group(name="ops")
def command() -> None:
    """Build the native ops, or see what computes."""


@command.command("build")
@click.option(
    "--cuda-arch",
    metavar="TARGETS",
    help="GPUs to compile for: native (the default where there is one), all, none, or numbers such as 90,120.",
)
@click.option(
    "--sanitize", is_flag=True, help="Only the CPU's, with the address and undefined-behaviour sanitizers, for tests."
)
@click.option("--folder", type=click.Path(file_okay=False), help="Where to build; default: the user's cache.")
def build_command(cuda_arch: str | None, folder: str | None, *, sanitize: bool) -> None:
    """Compile the native ops on this machine; only what changed is compiled anew."""
    import time
    from pathlib import Path

    from animegen.ops.build import KINDS, build, targets
    from animegen.ops.library import local_folder
    from animegen.weights.locations import shipped

    architectures = () if sanitize else targets(cuda_arch)
    for kind in KINDS:
        if kind == "cuda" and not architectures:
            click.echo("cuda: left out")
            continue
        start = time.perf_counter()
        place = Path(folder) if folder else local_folder()
        built = build(shipped("ops").resolve(), place, kind, architectures=architectures, sanitize=sanitize)
        click.echo(f"{kind}: {built.library} ({time.perf_counter() - start:.1f} s)")


@command.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object a library.")
def status(*, as_json: bool) -> None:
    """What computes the ops, and where a library was looked for."""
    from animegen.cli import console
    from animegen.ops.build import KINDS
    from animegen.ops.library import candidates, choice

    for kind in KINDS:
        found = choice(kind)
        if as_json:
            library = found.library
            console.print_json(
                {
                    "kind": kind,
                    "mode": found.mode,
                    "computes": "reference" if library is None else "native",
                    "library": None if library is None else str(library.path),
                    "target": None if library is None else library.target,
                    "refused": list(found.refused),
                    "looked": [str(path) for path in candidates(kind)],
                }
            )
            continue
        click.echo(f"{kind}: {found}")
        for reason in found.refused if found.library is not None else ():
            click.echo(f"  refused: {reason}")
        for path in candidates(kind):
            click.echo(f"  {'here ' if path.exists() else 'no   '} {path}")
