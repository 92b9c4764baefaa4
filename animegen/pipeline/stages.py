"""From the names in a request to what they stand for: plugins with checked options, fetched weights, and the device.

The first step of every job: it refuses a request that names what does not exist, before any work is done. The passes
get a :class:`Stages`, which makes the plugins' objects when they are first needed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

from animegen.config import ConvertConfig
from animegen.errors import UnknownPlugin, UsageError, WeightsError
from animegen.events import Listener, Warned, ignore
from animegen.guards import guarded
from animegen.identity import CastFile, Drawing, Member
from animegen.jobs.digests import digest, sum_of
from animegen.measure.cores import usable_cores
from animegen.plugins import OWN, PluginHost, Spec
from animegen.pose.blazepose.options import BlazePoseOptions
from animegen.protocols import (
    Background,
    FaceBackend,
    IdentityPreserver,
    PluginContext,
    PoseBackend,
    Style,
    Tracker,
)
from animegen.settings import absolute_settings, files_of, parse_settings, settings_of
from animegen.weights import fetch, sha256_of
from animegen.weights.manifest import known

THREADS = 4
"""Threads of one network at most: small ones gain nothing from more."""

_BACKGROUND_VALUE = "background.value"
"""The option that is filled from what follows the colon in ``--background NAME:VALUE``."""


@dataclass(frozen=True, slots=True)
class Stages:
    """The plugins of one run: by kind their ``specs`` and ``options``, and what they were given (``context``).

    Its methods make the plugins' objects, and import their code, when they are called. ``weight_hashes`` are the
    SHA-256 of the weight files by name, and ``file_sums`` those of the files that options name, by kind and option.
    ``packages`` are the plugins' packages by kind, a third party's with a digest of its code.
    ``others`` are the stages for people to whom the cast file gives another style than the run's, or options of their
    own.
    """

    host: PluginHost
    specs: Mapping[str, Spec]
    options: Mapping[str, Any]
    context: PluginContext
    weight_hashes: Mapping[str, str]
    packages: Mapping[str, str]
    file_sums: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    others: Mapping[Drawing, Stages] = field(default_factory=dict)

    def of(self, drawing: Drawing) -> Stages:
        """The stages that draw people in this way: these, or one of ``others``."""
        return self.others.get(drawing, self)

    def _create(self, kind: str) -> Any:
        context = replace(self.context, faces=self.face_backend) if kind == "style" else self.context
        spec = self.specs[kind]
        return guarded(self.host.create(spec, self.options.get(kind), context), kind, self.host.owner(spec))

    def pose_backend(self) -> PoseBackend:
        """A new pose backend."""
        backend: PoseBackend = self._create("pose")
        return backend

    def face_backend(self) -> FaceBackend:
        """The face backend of a style that needs one."""
        backend: FaceBackend = self._create("face")
        return backend

    def body_backend(self) -> PoseBackend:
        """A pose backend that leaves out faces and hands where it can, for measurements of bodies alone."""
        options = self.options["pose"]
        if isinstance(options, BlazePoseOptions):
            options = replace(options, face=False, hands=False)
        return replace(self, options={**self.options, "pose": options}).pose_backend()

    def tracker(self) -> Tracker:
        """A new tracker, for one shot."""
        tracker: Tracker = self._create("tracker")
        return tracker

    def identity_preserver(self) -> IdentityPreserver:
        """The identity preserver."""
        preserver: IdentityPreserver = self._create("identity")
        return preserver

    def style(
        self, check: Callable[[], None] | None = None, on_event: Listener = ignore, rate: float | None = None
    ) -> Style:
        """The style that draws everybody; ``check``, ``on_event`` and ``rate`` as in its context."""
        own = self.context
        context = replace(own, check=check or own.check, on_event=on_event, rate=rate or own.rate)
        style: Style = replace(self, context=context)._create("style")
        return style

    def background(self) -> Background:
        """The background."""
        background: Background = self._create("background")
        return background

    def fingerprint(self, *kinds: str) -> dict[str, Any]:
        """What the pixels depend on: the plugins of these kinds (none: all) and their code, their options, files and
        weights, the device and the threads. The face backend counts as a part of the style.
        """
        chosen = {kind: spec for kind, spec in self.specs.items() if _asked(kind, kinds)}
        names = [name for spec in chosen.values() for name in spec.weights]
        return {
            "plugins": {kind: f"{spec.name} ({self.packages[kind]})" for kind, spec in chosen.items()},
            "options": {kind: repr(self.options[kind]) for kind in chosen if self.options.get(kind) is not None},
            "files": {kind: self.file_sums[kind] for kind in chosen if kind in self.file_sums},
            "weights": {name: self.weight_hashes[name] for name in names},
            "device": self.context.device,
            "threads": self.context.threads,
        }


def located(config: ConvertConfig, host: PluginHost) -> ConvertConfig:
    """The same request with absolute paths, so that it means the same in every folder.

    Raises PluginError for a plugin, UsageError for an option that does not exist.
    """
    names, settings = _names(config, host)
    settings = absolute_settings({kind: host.find(kind, name) for kind, name in names.items()}, settings)
    value = settings.pop(_BACKGROUND_VALUE, None)
    background = names["background"] if value is None else f"{names['background']}:{value}"
    cast = None if config.cast is None else config.cast.expanduser().absolute()
    return replace(config, settings=settings, background=background, cast=cast)


def resolve(
    config: ConvertConfig,
    on_event: Listener,
    *,
    kinds: tuple[str, ...] = (),
    host: PluginHost | None = None,
) -> Stages:
    """Find, check and fetch everything a request needs.

    ``kinds`` limits it to some of pose, tracker, identity, style and background; ``host`` are the plugins where they
    are loaded already. A file that the user names in an option ``weights`` of a plugin stands in the place of its
    weights. Raises PluginError, UsageError or WeightsError before any work is done.
    """
    host = host or PluginHost.load()
    for failure in host.failures:
        on_event(Warned(str(failure)))
    return _resolved(config, on_event, kinds, host)


def with_drawings(own: Stages, config: ConvertConfig, on_event: Listener, drawings: Mapping[Drawing, str]) -> Stages:
    """The stages ``own`` of a run, together with those of everybody whom the cast file has drawn in another way.

    ``drawings`` maps each of these ways, a style and options of it, to the key of a person who is drawn so. These
    options replace those of the run where the style is the run's, else the style's defaults. Raises what
    :func:`resolve` does, naming that person.
    """
    host, others = own.host, {}
    said = {config.style: settings_of("style", own.specs, _names(config, host)[1])}
    for (name, options), key in drawings.items():
        if name != config.style or options:
            settings = {**said.get(name, {}), **_as_settings(options)}
            alone = replace(config, style=name, settings=settings, background="clean")
            with _asked_by(key):
                others[name, options] = _resolved(alone, on_event, ("style",), host)
    return replace(own, others=others)


def _as_settings(options: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {f"style.{name}": value for name, value in options}


def located_cast(cast: CastFile, folder: Path, host: PluginHost) -> CastFile:
    """The same cast with absolute paths in the options of those who are drawn: relative ones are those of ``folder``.

    Raises PluginError or UsageError, with the person's key, where a style or an option does not exist.
    """
    return replace(cast, members=tuple(_located_member(member, cast.style, folder, host) for member in cast.members))


def _located_member(member: Member, style: str, folder: Path, host: PluginHost) -> Member:
    if member.treatment != "draw" or not member.options:
        return member
    name, options = member.drawing(style)
    spec = {"style": host.find("style", name)}
    with _asked_by(member.key):
        settings = settings_of("style", spec, absolute_settings(spec, _as_settings(options), folder))
    return replace(member, options={key.removeprefix("style."): value for key, value in settings.items()})


@contextmanager
def _asked_by(key: str) -> Iterator[None]:
    """Add to errors about options whose entry in the cast file has them."""
    try:
        yield
    except UsageError as error:
        hint = f"{error.hint}; in a cast file options of the style stand under [person.options]"
        raise UsageError(f"{key} of the cast: {error}", hint) from error


def _resolved(config: ConvertConfig, on_event: Listener, kinds: tuple[str, ...], host: PluginHost) -> Stages:
    names, settings = _names(config, host)
    specs = {kind: host.find(kind, name) for kind, name in names.items() if _asked(kind, kinds)}
    options = parse_settings(specs, settings)
    announced = known(host.specs("weights").values())
    files, hashes = {}, {}
    for kind, name in ((kind, name) for kind, spec in specs.items() for name in spec.weights):
        if own := _own_file(options[kind], name):
            files[name] = own
            hashes[name] = sha256_of(files[name])
            continue
        if name not in announced:
            raise WeightsError(
                f"{kind} '{specs[kind].name}' needs the weights '{name}', which are not part of this release",
                f"choose another {kind}; `animegen {'styles' if kind == 'style' else 'plugins'}` lists them",
            )
        files[name] = fetch(name, on_event=on_event, specs=announced.values())
        hashes[name] = announced[name].sha256
    sums = {kind: _sums(value) for kind, value in options.items()}
    threads = config.threads or min(THREADS, usable_cores())
    context = PluginContext(chosen_device(config.device), threads, files, config.seed)
    packages = {kind: _package(host, spec) for kind, spec in specs.items()}
    return Stages(host, specs, options, context, hashes, packages, {kind: own for kind, own in sums.items() if own})


def _package(host: PluginHost, spec: Spec) -> str:
    """The package of a plugin and, of a third party's, a digest of its code, which may change without its version."""
    package = host.package_of(spec)
    return str(package) if package == OWN else f"{package}, code {_code(spec.factory.partition(':')[0])}"


def _code(module: str) -> str:
    """A digest of the Python files of the outermost package that a module is in; where it is in none, of its own."""
    with suppress(ImportError, ValueError):  # what cannot be found is told when it is to be made
        for name in accumulate(module.split("."), "{}.{}".format):
            found = find_spec(name)
            if found is None or found.origin is None:
                continue
            file = Path(found.origin)
            files = sorted(file.parent.rglob("*.py")) if found.submodule_search_locations else [file]
            return digest(*(f"{one.relative_to(file.parent).as_posix()} {sum_of(one)}" for one in files))
    return digest()


def _sums(options: Any) -> dict[str, list[str]]:
    """SHA-256 of the files that options name: what is in them changes the pixels too. Weights have theirs already."""
    named = {name: paths for name, paths in files_of(options).items() if name != "weights"}
    return {name: [sum_of(path) for path in paths if path.exists()] for name, paths in named.items()}


def _asked(kind: str, kinds: Collection[str]) -> bool:
    """Whether a kind is among those asked for, none meaning all; the face backend is where the style is."""
    return not kinds or kind in kinds or (kind == "face" and "style" in kinds)


def _own_file(options: Any, name: str) -> Path | None:
    """The file with which the user replaces the weights of a name, by an option ``weights``; None: no file."""
    own = getattr(options, "weights", None)
    named = own.get(name) if isinstance(own, Mapping) else own
    return Path(named) if named else None


def _names(config: ConvertConfig, host: PluginHost) -> tuple[dict[str, str], dict[str, str]]:
    """The name of the plugin of each kind, and the settings together with what follows the background's colon."""
    names = {"pose": config.pose, "tracker": config.tracker, "identity": config.identity, "style": config.style}
    settings = dict(config.settings)
    name, colon, value = config.background.partition(":")
    if name not in host.specs("background"):
        if Path(config.background).is_file():
            name, colon, value = "picture", ":", config.background
        elif Path(config.background).suffix:
            raise UnknownPlugin(
                f"there is no file {config.background}, and no background is called so",
                f"--background takes {', '.join(host.specs('background'))}, or the path of a picture or video",
            )
    names["background"] = name
    if host.find("style", config.style).needs_faces:
        names["face"] = config.face
    if colon:
        settings[_BACKGROUND_VALUE] = value
    return names, settings


def chosen_device(wanted: Literal["auto", "cpu", "cuda"]) -> Literal["cpu", "cuda"]:
    """The device to use. torch is only asked where an NVIDIA driver is in sight, since importing it takes seconds."""
    if wanted == "cpu" or (wanted == "auto" and shutil.which("nvidia-smi") is None):
        return "cpu"
    import torch

    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise UsageError("--device cuda: torch finds no CUDA device here", "use --device auto or cpu")
    return "cpu"
