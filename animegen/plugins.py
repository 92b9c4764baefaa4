"""The plugin host: finds plugins, collects what they announce, and keeps a broken one from harming the rest.

A plugin is a module that implements hooks of :mod:`animegen.hookspecs` and is named by an entry point of the group
``animegen``. What comes with animegen (:mod:`animegen.builtin`) goes through the same hooks.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

import pluggy

from animegen import __version__, hookspecs, protocols
from animegen.errors import AnimegenError, InvalidValue, PluginError, UnknownPlugin, WeightsError
from animegen.settings import options_of, parse_settings

if TYPE_CHECKING:
    import click

__all__ = ["KINDS", "PluginFailure", "PluginHost", "blamed", "load_factory", "plugin_commands"]

GROUP = "animegen"
"""The entry point group by which a package names its plugin module."""

_WAY_OUT = "choose another, or tell the package's author; ANIMEGEN_TRACEBACK=1 shows where it happened"

Spec: TypeAlias = Any
"""One announcement: an instance of a spec class of :mod:`animegen.protocols`, or a Skeleton; always has ``name``."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of plugin: its short name, its hook, what the hook's items are, and the protocol of what they make."""

    name: str
    hook: str
    spec_class: str
    protocol: type[Any] | None = None


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        kind.name: kind
        for kind in (
            Kind("pose", "animegen_pose_backends", "PoseBackendSpec", protocols.PoseBackend),
            Kind("face", "animegen_face_backends", "FaceBackendSpec", protocols.FaceBackend),
            Kind("tracker", "animegen_trackers", "TrackerSpec", protocols.Tracker),
            Kind("identity", "animegen_identity_preservers", "IdentityPreserverSpec", protocols.IdentityPreserver),
            Kind("style", "animegen_styles", "StyleSpec", protocols.Style),
            Kind("background", "animegen_backgrounds", "BackgroundSpec", protocols.Background),
            Kind("source", "animegen_video_sources", "VideoSourceSpec"),
            Kind("sink", "animegen_video_sinks", "VideoSinkSpec"),
            Kind("skeleton", "animegen_skeletons", "Skeleton"),
            Kind("weights", "animegen_weights", "WeightSpec"),
            Kind("doctor", "animegen_doctor_checks", "DoctorCheck"),
        )
    }
)
"""Every kind of plugin by its short name, in the order in which a video meets them."""


@dataclass(frozen=True, slots=True)
class Package:
    """Where a plugin comes from."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


OWN = Package("animegen", __version__)


@dataclass(frozen=True, slots=True)
class PluginFailure:
    """A plugin, or one thing it announces, that cannot be used, and why in one line."""

    plugin: str
    package: str
    text: str

    def __str__(self) -> str:
        return f"plugin '{self.plugin}' of package {self.package}: {self.text}"


@dataclass(frozen=True, slots=True)
class Entry:
    """One announced spec with the package that announced it."""

    kind: str
    spec: Spec
    package: Package


def one_line(error: BaseException) -> str:
    """An exception as one line: one of ours by text and hint, any other by its kind and at most 200 characters."""
    if isinstance(error, AnimegenError):
        return f"{error}; {error.hint}" if error.hint else str(error)
    text = textwrap.shorten(str(error), 200, placeholder=" ...")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


@contextmanager
def blamed(owner: str) -> Iterator[None]:
    """Raise what somebody else's code raises in here as PluginErrors that begin with ``owner`` and name a way out.

    An AnimegenError is raised on purpose, by that code or by what it calls, and passes unchanged; but a value that does
    not fit its definition (InvalidValue) was made by that code.
    """
    try:
        yield
    except InvalidValue as error:
        raise PluginError(f"{owner}: {error}", error.hint or _WAY_OUT) from error
    except AnimegenError:
        raise
    except Exception as error:  # a third party's code: its failure is reported under its package's name
        raise PluginError(f"{owner} failed: {one_line(error)}", _WAY_OUT) from error


@dataclass(frozen=True, slots=True)
class LoadedPlugins:
    """The plugin modules that could be imported, by plugin name, and those that could not."""

    manager: pluggy.PluginManager
    packages: Mapping[str, Package]
    failures: tuple[PluginFailure, ...]

    def call(self, plugin: str, hook: str, **arguments: object) -> Any:
        """What one plugin's implementation of ``hook`` returns; an empty tuple where it has none."""
        for implementation in getattr(self.manager.hook, hook).get_hookimpls():
            if implementation.plugin_name == plugin:
                return implementation.function(*(arguments[name] for name in implementation.argnames))
        return ()


def load_plugins() -> LoadedPlugins:
    """Import the built-ins and every installed plugin module; nothing of theirs is called yet."""
    from animegen import builtin

    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(builtin, name=GROUP)
    packages = {GROUP: OWN}
    failures = []
    for point in sorted(metadata.entry_points(group=GROUP), key=_order):
        package = _package_of(point)
        name = point.name if point.name not in packages else f"{package.name}:{point.name}"
        try:
            plugin = point.load()
            _check_hooks(plugin)
            manager.register(plugin, name=name)
            manager.check_pending()
        except (Exception, SystemExit) as error:  # whatever somebody else's module does must not stop this program
            if manager.has_plugin(name):
                manager.unregister(name=name)
            failures.append(PluginFailure(name, str(package), one_line(error)))
        else:
            packages[name] = package
    return LoadedPlugins(manager, packages, tuple(failures))


def _check_hooks(plugin: object) -> None:
    """Raise PluginError where a function is no hook for want of a mark or by its name, or where there is no hook."""
    hooks = [name for name in vars(hookspecs) if name.startswith(f"{GROUP}_")]
    functions = {name: getattr(plugin, name) for name in dir(plugin) if inspect.isroutine(getattr(plugin, name))}
    marked = [name for name, function in functions.items() if hasattr(function, f"{GROUP}_impl")]
    for name in marked:
        if name not in hooks:
            near = difflib.get_close_matches(name, hooks, n=1)
            raise PluginError(f"there is no hook '{name}'", _offered(near, hooks))
    for name in hooks:
        if name in functions and name not in marked:
            raise PluginError(f"{name} is not marked as a hook", "write @hookimpl above it")
    if not marked:
        raise PluginError("it implements no hook", _offered([], hooks))


def _offered(near: Sequence[str], names: Iterable[str]) -> str:
    """What could have been meant, or else all there is."""
    return f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names) or 'none'}"


def _order(point: metadata.EntryPoint) -> tuple[str, str, str]:
    return _package_of(point).name, point.name, point.value


def _package_of(point: metadata.EntryPoint) -> Package:
    return Package(point.dist.name, point.dist.version) if point.dist else Package(point.module, "without a version")


@dataclass(frozen=True, slots=True)
class PluginHost:
    """Everything the installed plugins announce. Made by :meth:`load`; never changes."""

    entries: tuple[Entry, ...]
    failures: tuple[PluginFailure, ...]
    _by_kind: Mapping[str, Mapping[str, tuple[Entry, ...]]] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        by_kind: dict[str, dict[str, tuple[Entry, ...]]] = {kind: {} for kind in KINDS}
        for entry in self.entries:
            names = by_kind[entry.kind]
            names[entry.spec.name] = (*names.get(entry.spec.name, ()), entry)
        object.__setattr__(self, "_by_kind", by_kind)

    @classmethod
    def load(cls) -> PluginHost:
        """Import every plugin module and ask each what it announces; what fails costs a line in ``failures``."""
        loaded = load_plugins()
        entries: list[Entry] = []
        failures = list(loaded.failures)
        for kind in KINDS.values():
            for plugin, package in loaded.packages.items():
                try:
                    specs = _checked(kind, loaded.call(plugin, kind.hook))
                except (Exception, SystemExit) as error:  # a plugin's hook must not stop this program either
                    failures.append(PluginFailure(plugin, str(package), f"{kind.hook}: {one_line(error)}"))
                else:
                    entries += [Entry(kind.name, spec, package) for spec in specs]
        return cls(tuple(entries), tuple(failures))

    def specs(self, kind: str) -> Mapping[str, Spec]:
        """The usable specs of a kind by name, in order of loading; a name that two packages claim is left out."""
        return {name: found[0].spec for name, found in self._by_kind[kind].items() if len(found) == 1}

    def conflicts(self, kind: str) -> Mapping[str, tuple[Entry, ...]]:
        """The names of a kind that are claimed more than once, with every claim."""
        return {name: found for name, found in self._by_kind[kind].items() if len(found) > 1}

    def find(self, kind: str, name: str) -> Spec:
        """The spec of a kind by name. Raises PluginError when nobody, or more than one package, announces it."""
        found = self._by_kind[kind].get(name, ())
        if len(found) == 1:
            return found[0].spec
        if found:
            claims = " and ".join(str(entry.package) for entry in found)
            others = " or ".join(sorted({entry.package.name for entry in found if entry.package != OWN}))
            raise PluginError(f"{kind} '{name}' is announced by {claims}", f"pip uninstall {others}")
        raise UnknownPlugin(f"there is no {kind} '{name}'", self._hint(kind, name))

    def _hint(self, kind: str, name: str) -> str:
        names = list(self.specs(kind))
        offer = _offered(difflib.get_close_matches(name, names, n=3, cutoff=0.5), names)
        more = "more come as packages: pip install PACKAGE, see `animegen plugins`"
        return "; ".join([offer, more, *(f"{failure} (left out)" for failure in self.failures)])

    def _entry(self, spec: Spec) -> Entry:
        for entry in self.entries:
            if entry.spec is spec:
                return entry
        raise PluginError(f"'{spec.name}' was announced by no plugin", "take the spec from PluginHost.find")

    def package_of(self, spec: Spec) -> Package:
        """The package that announced a spec."""
        return self._entry(spec).package

    def owner(self, spec: Spec) -> str:
        """How errors name what a spec announces: by kind, name and package."""
        entry = self._entry(spec)
        return f"{entry.kind} '{spec.name}' of package {entry.package}"

    def create(self, spec: Spec, options: object, context: protocols.PluginContext) -> Any:
        """Make what a spec announces: import its factory and call it with the options and the context.

        ``options`` None stands for the defaults of the spec's option class. Raises PluginError naming the package when
        the factory cannot be imported, fails, or makes something that does not fit the protocol; WeightsError when the
        context lacks a weight file that the spec asks for. An AnimegenError of the factory's own passes unchanged.
        """
        kind, owner = KINDS[self._entry(spec).kind], self.owner(spec)
        missing = [name for name in spec.weights if name not in context.weights]
        if missing:
            raise WeightsError(
                f"{kind.name} '{spec.name}' needs the weights {', '.join(missing)}, which are not here",
                "see `animegen weights list`",
            )
        if options is None:
            options = parse_settings({kind.name: spec}, {})[kind.name]
        with blamed(owner):
            made = load_factory(spec.factory)(options, context)
        if kind.protocol is not None and not isinstance(made, kind.protocol):
            lacks = ", ".join(name for name in _members(kind.protocol) if not hasattr(made, name))
            raise PluginError(
                f"{owner} made a {type(made).__name__} that is no {kind.protocol.__name__}: lacks {lacks}",
                _WAY_OUT,
            )
        return made


def load_factory(path: str) -> Callable[..., Any]:
    """The function that ``"package.module:function"`` names. Raises ImportError, ValueError or AttributeError."""
    module, colon, name = path.partition(":")
    if not (module and colon and name):
        raise ValueError(f"a factory is written 'package.module:function', got '{path}'")
    function = getattr(importlib.import_module(module), name)
    if not callable(function):
        raise TypeError(f"the factory '{path}' is no function")
    checked: Callable[..., Any] = function
    return checked


def _members(protocol: type[Any]) -> list[str]:
    named = [name for name, _ in inspect.getmembers(protocol, inspect.isfunction) if not name.startswith("_")]
    return sorted({*named, *inspect.get_annotations(protocol)})


def _checked(kind: Kind, announced: Iterable[Spec]) -> list[Spec]:
    """What a hook returned as a list of specs. Raises TypeError or PluginError when one of them cannot be used."""
    from animegen import types

    wanted = getattr(protocols, kind.spec_class, None) or getattr(types, kind.spec_class)
    specs = list(announced)
    for spec in specs:
        if not isinstance(spec, wanted):
            raise TypeError(f"returned {spec!r:.60} where a {kind.spec_class} belongs")
        if not isinstance(spec.name, str) or not spec.name:
            raise TypeError(f"returned a {kind.spec_class} without a name")
        if hasattr(spec, "options"):
            options_of(spec)  # raises where they could not be shown or set
    return specs


def plugin_commands(reserved: Iterable[str]) -> tuple[dict[str, click.Command], tuple[PluginFailure, ...]]:
    """The command-line commands of all plugins by name, and the failures met on the way.

    A plugin adds its commands to a group of its own, so one that fails half-way leaves nothing behind. A name that is
    reserved or already taken is a failure of the later plugin.
    """
    import click

    loaded = load_plugins()
    failures = list(loaded.failures)
    commands: dict[str, click.Command] = {}
    for plugin, package in loaded.packages.items():
        group = click.Group(plugin)
        try:
            loaded.call(plugin, "animegen_register_commands", cli=group)
        except (Exception, SystemExit) as error:  # a plugin's hook must not stop this program either
            failures.append(PluginFailure(plugin, str(package), f"animegen_register_commands: {one_line(error)}"))
            continue
        for name in sorted(group.commands):
            if name in commands or name in reserved:
                failures.append(PluginFailure(plugin, str(package), f"its command '{name}' is taken already"))
            else:
                commands[name] = group.commands[name]
    return commands, tuple(failures)
