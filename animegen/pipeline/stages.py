"""What a request names, resolved: plugins with their options, the device, the weights. All refusals happen here."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from animegen.config import ConvertConfig
from animegen.errors import UsageError, WeightsError
from animegen.events import Listener, Warned
from animegen.measure.cores import usable_cores
from animegen.plugins import PluginHost, Spec
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
from animegen.settings import absolute_settings, parse_settings
from animegen.weights import fetch, sha256_of
from animegen.weights.manifest import known

THREADS = 4
"""Most threads one model uses: small networks gain nothing from more."""

_BACKGROUND_VALUE = "background.value"
"""The option that stands behind the colon of a background."""


@dataclass(frozen=True, slots=True)
class Stages:
    """The plugins of one run: announced specs, checked options, fetched weights. Heavy code loads when made.

    ``others`` has, by name, the styles of those people whom the cast file gives another style than the run's.
    """

    host: PluginHost
    specs: Mapping[str, Spec]
    options: Mapping[str, Any]
    context: PluginContext
    weight_hashes: Mapping[str, str]
    others: Mapping[str, Stages] = field(default_factory=dict)

    def of_style(self, name: str) -> Stages:
        """The stages with the style of that name, which is the run's or one of ``others``."""
        return self.others.get(name, self)

    def _create(self, kind: str) -> Any:
        context = replace(self.context, faces=self.face_backend) if kind == "style" else self.context
        return self.host.create(self.specs[kind], self.options.get(kind), context)

    def pose_backend(self) -> PoseBackend:
        """A pose backend, ready for segments."""
        backend: PoseBackend = self._create("pose")
        return backend

    def face_backend(self) -> FaceBackend:
        """The face backend of a style that needs one."""
        backend: FaceBackend = self._create("face")
        return backend

    def body_backend(self) -> PoseBackend:
        """A pose backend that spends no time on faces and hands, where bodies alone are measured."""
        options = self.options["pose"]
        if isinstance(options, BlazePoseOptions):
            options = replace(options, face=False, hands=False)
        return replace(self, options={**self.options, "pose": options}).pose_backend()

    def tracker(self) -> Tracker:
        """A tracker for one clip."""
        tracker: Tracker = self._create("tracker")
        return tracker

    def identity_preserver(self) -> IdentityPreserver:
        """The identity preserver."""
        preserver: IdentityPreserver = self._create("identity")
        return preserver

    def style(self) -> Style:
        """The style that draws everybody."""
        style: Style = self._create("style")
        return style

    def background(self) -> Background:
        """The background."""
        background: Background = self._create("background")
        return background

    def fingerprint(self, *kinds: str) -> dict[str, Any]:
        """Who makes the pixels: plugins of these kinds (of all), their options and weights, device and threads.

        The face backend counts as a part of the style.
        """
        chosen = {kind: spec for kind, spec in self.specs.items() if _asked(kind, kinds)}
        names = [name for spec in chosen.values() for name in spec.weights]
        return {
            "plugins": {kind: f"{spec.name} ({self.host.package_of(spec)})" for kind, spec in chosen.items()},
            "options": {kind: repr(self.options[kind]) for kind in chosen if self.options.get(kind) is not None},
            "weights": {name: self.weight_hashes[name] for name in names},
            "device": self.context.device,
            "threads": self.context.threads,
        }


def located(config: ConvertConfig, host: PluginHost) -> ConvertConfig:
    """The same request with absolute paths, so that it means the same in every folder.

    Raises PluginError or UsageError where it names what there is not.
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
    styles: Collection[str] = (),
) -> Stages:
    """Find, check and fetch everything a request needs.

    ``kinds`` limits it to some of pose, tracker, identity, style and background; ``host`` are the plugins where they
    are loaded already; ``styles`` are further styles, whose options are the defaults. A file that the user names in an
    option ``weights`` of a plugin stands in the place of its weights. Raises PluginError, UsageError or WeightsError
    before any work is done.
    """
    host = host or PluginHost.load()
    for failure in host.failures:
        on_event(Warned(str(failure)))
    bare = replace(config, settings={}, background="clean")
    others = {
        name: _resolved(replace(bare, style=name), on_event, ("style",), host)
        for name in sorted(set(styles) - {config.style})
    }
    return replace(_resolved(config, on_event, kinds, host), others=others)


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
    threads = config.threads or min(THREADS, usable_cores())
    context = PluginContext(chosen_device(config.device), threads, files, config.seed)
    return Stages(host, specs, options, context, hashes)


def _asked(kind: str, kinds: Collection[str]) -> bool:
    """Whether a kind is among those asked for, none meaning all; the face backend is where the style is."""
    return not kinds or kind in kinds or (kind == "face" and "style" in kinds)


def _own_file(options: Any, name: str) -> Path | None:
    """The file that the user named in the place of the weights of that name."""
    own = getattr(options, "weights", None)
    named = own.get(name) if isinstance(own, Mapping) else own
    return Path(named) if named else None


def _names(config: ConvertConfig, host: PluginHost) -> tuple[dict[str, str], dict[str, str]]:
    """The plugin chosen of each kind, and the settings with the background's own argument among them."""
    names = {"pose": config.pose, "tracker": config.tracker, "identity": config.identity, "style": config.style}
    settings = dict(config.settings)
    name, colon, value = config.background.partition(":")
    if name not in host.specs("background") and Path(config.background).is_file():
        name, colon, value = "picture", ":", config.background
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
