"""``KEY=VALUE`` settings of the command line, checked against the option classes of the chosen plugins."""

from __future__ import annotations

import dataclasses
import difflib
import math
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from animegen.errors import InvalidValue, PluginError, UsageError

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})
_TYPES_HINT = (
    "fields of options are str, int, float, bool, Path, Literal, tuple[str, ...], tuple[Path, ...], or with None"
)


@dataclasses.dataclass(frozen=True, slots=True)
class Option:
    """One field of an option class: its name, its type, and its default as text (None where it must be given)."""

    name: str
    type: Any
    default: str | None

    @property
    def type_name(self) -> str:
        """The type in the words of an error message."""
        return describe(self.type)

    @property
    def names_files(self) -> bool:
        """Whether the values are paths."""
        return any(Path in (one, *typing.get_args(one)) for one in _alternatives(self.type))


def options_of(spec: Any) -> tuple[Option, ...]:
    """The options of a spec, in the order of its option class; empty where it has none.

    Raises PluginError when the option class is not a dataclass or a field's type cannot be read.
    """
    if spec.options is None:
        return ()
    if not dataclasses.is_dataclass(spec.options):
        raise PluginError(f"the options of '{spec.name}' must be a dataclass, got {spec.options!r}", "write @dataclass")
    try:
        hints = typing.get_type_hints(spec.options)
    except (NameError, TypeError) as error:
        raise PluginError(
            f"the options of '{spec.name}' have a type that cannot be read: {error}", _TYPES_HINT
        ) from error
    return tuple(Option(f.name, hints[f.name], _default(f)) for f in dataclasses.fields(spec.options) if f.init)


def parse_settings(specs: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """One option instance for each chosen spec (None where it has no options).

    ``specs`` maps a kind (``style``, ``pose``, ...) to its chosen spec; ``settings`` maps ``KEY`` or ``kind.KEY`` to
    text. Raises UsageError for a key that nobody has, or that several have, and for a value of the wrong type.
    """
    options = _options(specs)
    values: dict[str, dict[str, Any]] = {kind: {} for kind in specs}
    for key, text in settings.items():
        kind, option = _resolve(key, options)
        values[kind][option.name] = _value(option, f"{kind}.{option.name}", text)
    return {kind: _instance(kind, spec, options[kind], values[kind]) for kind, spec in specs.items()}


def absolute_settings(
    specs: Mapping[str, Any], settings: Mapping[str, str], folder: Path | None = None
) -> dict[str, str]:
    """The same settings with absolute paths, so that they mean the same in every folder; raises what parsing does.

    Relative paths are those of ``folder``, by default the current one.
    """
    options, absolute = _options(specs), dict(settings)
    for key, text in settings.items():
        kind, option = _resolve(key, options)
        if option.names_files:
            absolute[key] = _text(_value(option, f"{kind}.{option.name}", text, folder))
    return absolute


def settings_of(kind: str, specs: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, str]:
    """Those of the settings that are one kind's, by ``kind.KEY``; raises UsageError as :func:`parse_settings`."""
    options, own = _options(specs), {}
    for key, text in settings.items():
        owner, option = _resolve(key, options)
        if owner == kind:
            own[f"{kind}.{option.name}"] = text
    return own


def files_of(options: Any) -> dict[str, tuple[Path, ...]]:
    """The files and folders that an option instance names, by the option's name; None has none."""
    values = {f.name: getattr(options, f.name) for f in dataclasses.fields(options)} if options is not None else {}
    alike = {name: value if isinstance(value, tuple) else (value,) for name, value in values.items()}
    found = {name: tuple(path for path in several if isinstance(path, Path)) for name, several in alike.items()}
    return {name: paths for name, paths in found.items() if paths}


def _options(specs: Mapping[str, Any]) -> dict[str, dict[str, Option]]:
    return {kind: {option.name: option for option in options_of(spec)} for kind, spec in specs.items()}


def _resolve(key: str, options: Mapping[str, Mapping[str, Option]]) -> tuple[str, Option]:
    kind, dot, rest = key.partition(".")
    name = (rest if dot else key).replace("-", "_")
    owners = [owner for owner, known in options.items() if name in known and (not dot or owner == kind)]
    if len(owners) == 1:
        return owners[0], options[owners[0]][name]
    if owners:
        choices = " or ".join(f"{owner}.{name}" for owner in owners)
        raise UsageError(f"'{key}' is an option of several plugins", f"say {choices}")
    raise UsageError(f"there is no option '{key}'", _offer(kind if dot else "", name, options))


def _offer(kind: str, name: str, options: Mapping[str, Mapping[str, Option]]) -> str:
    """What could have been meant: the nearest names, then everything that can be set."""
    known = {f"{owner}.{option}": option for owner, names in options.items() for option in names if kind in ("", owner)}
    near = [key for key, option in known.items() if difflib.get_close_matches(name, [option], cutoff=0.7)]
    meant = f"did you mean {' or '.join(near)}? " if near else ""
    return f"{meant}there are {', '.join(known)}" if known else "there are no options"


def _instance(kind: str, spec: Any, options: Mapping[str, Option], values: Mapping[str, Any]) -> Any:
    if spec.options is None:
        return None
    missing = [f"{kind}.{name}" for name, option in options.items() if option.default is None and name not in values]
    if missing:
        raise UsageError(
            f"{kind} '{spec.name}' needs a value for {', '.join(missing)}", f"add --set {missing[0]}=VALUE"
        )
    try:
        return spec.options(**values)
    except InvalidValue as error:
        raise UsageError(str(error), error.hint) from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"{kind} '{spec.name}' refuses its options: {error}") from error


def _default(field: dataclasses.Field[Any]) -> str | None:
    if field.default is not dataclasses.MISSING:
        value = field.default
    elif field.default_factory is not dataclasses.MISSING:
        value = field.default_factory()
    else:
        return None
    return _text(value)


def _text(value: Any) -> str:
    """A value as it is written in a setting."""
    if isinstance(value, tuple):
        return ",".join(map(str, value))
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _value(option: Option, key: str, text: str, folder: Path | None = None) -> Any:
    try:
        return convert(option.type, text, folder)
    except ValueError:
        raise UsageError(f"{key} must be {option.type_name}, got '{text}'") from None
    except TypeError:
        raise UsageError(f"{key} cannot be set, since its type is {option.type_name}", _TYPES_HINT) from None


def _alternatives(wanted: Any) -> tuple[Any, ...]:
    """The members of ``X | None``; ``(X,)`` for a plain type."""
    if typing.get_origin(wanted) in {typing.Union, types.UnionType}:
        return typing.get_args(wanted)
    return (wanted,)


def describe(wanted: Any) -> str:
    """A type in plain words, as an error or a table shows it."""
    words = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
    names = []
    for one in _alternatives(wanted):
        if typing.get_origin(one) is Literal:
            names.append(f"one of {', '.join(map(str, typing.get_args(one)))}")
        elif typing.get_origin(one) is tuple:
            names.append(f"{'paths' if Path in typing.get_args(one) else 'words'} separated by commas")
        else:
            names.append("none" if one is type(None) else words.get(one, getattr(one, "__name__", str(one))))
    return " or ".join(names)


def convert(wanted: Any, text: str, folder: Path | None = None) -> Any:
    """Text as a value of one of the option types. Raises ValueError when it is none, TypeError for any other type.

    The types are str, int, float (finite), bool, Path, Literal, tuples of str or Path, and any of them with None.
    Paths are made absolute: they are those of ``folder``, by default the current one.
    """
    alternatives = _alternatives(wanted)
    if type(None) in alternatives and text.lower() == "none":
        return None
    for one in alternatives:
        if one is not type(None):
            return _convert_one(one, text, folder or Path())
    raise ValueError(text)


def _convert_one(wanted: Any, text: str, folder: Path) -> Any:
    if typing.get_origin(wanted) is Literal:
        choices = {str(choice): choice for choice in typing.get_args(wanted)}
        return choices[text] if text in choices else _refuse(text)
    if typing.get_origin(wanted) is tuple:
        one = typing.get_args(wanted)[0]
        return tuple(_convert_one(one, word.strip(), folder) for word in text.split(",") if word.strip())
    if wanted is bool:
        return text.lower() in _TRUE or (False if text.lower() in _FALSE else _refuse(text))
    if wanted is float and not math.isfinite(float(text)):
        return _refuse(text)
    if wanted is Path:
        return (folder / Path(text).expanduser()).absolute() if text else _refuse(text)
    if wanted not in {str, int, float}:
        raise TypeError(f"{wanted} is no type of options")
    return wanted(text)


def _refuse(text: str) -> Any:
    raise ValueError(text)
