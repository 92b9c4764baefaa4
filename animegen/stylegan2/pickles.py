"""Pickles read as plain data: a machine for the pickle opcodes that has no way to import or call what a pickle names.

A pickle is a program. Python's own unpickler looks a global name up, imports its module and calls it; here a name is
only ever a key of a table that the caller hands over, whose values are this package's own builders of inert data.
A name that is not in the table is refused, and told. Opcodes are split by the standard library's :mod:`pickletools`,
which parses and executes nothing.
"""

from __future__ import annotations

import pickletools
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, BinaryIO, TypeAlias

from animegen.errors import WeightsError

Builder: TypeAlias = Callable[..., Any]
"""Makes inert data from the arguments that a pickle hands to a name."""

_REFUSED_HINT = (
    "a checkpoint holds tensors and plain containers only; do not open this file with anything that would run it"
)
_BROKEN_HINT = "the file is damaged or no checkpoint: fetch it again and compare its hash"


class RefusedPickle(WeightsError):
    """The pickle asks for something that is not plain data; ``name`` is what it asked for."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the pickle asks for {name}, which is refused", _REFUSED_HINT)
        self.name = name


class BrokenPickle(WeightsError):
    """The bytes are no whole pickle."""

    def __init__(self, why: str) -> None:
        super().__init__(f"not a whole pickle: {why}", _BROKEN_HINT)


@dataclass(frozen=True, slots=True)
class Name:
    """A global name of the allow-list as it stands in a pickle, before anything is built with it."""

    name: str
    build: Builder


class Stateful(ABC):
    """What a builder returns when the pickle fills it with a state afterwards (opcode BUILD)."""

    @abstractmethod
    def set_state(self, state: Any) -> None:
        """Take over the state, which is plain data of any shape."""


@dataclass(slots=True, eq=False, repr=False)
class Record(Stateful):
    """An object as plain data: the name of its class and the fields it had."""

    kind: str
    fields: dict[str, Any] = field(default_factory=dict)

    def set_state(self, state: Any) -> None:
        """Add the fields of a state that is a dictionary."""
        if not isinstance(state, dict):
            raise BrokenPickle(f"the state of {self.kind} is a {type(state).__name__}")
        self.fields.update(state)


def read_pickle(file: BinaryIO, allowed: Mapping[str, Builder], persistent: Callable[[Any], Any] | None = None) -> Any:
    """The value of one pickle, read from where ``file`` stands up to the pickle's end.

    ``allowed`` maps ``module.name`` to what builds the data instead; ``persistent`` resolves persistent ids, which are
    refused without it. Raises RefusedPickle with the name that was asked for, and BrokenPickle.
    """
    machine = _Machine(allowed, persistent)
    try:
        for opcode, argument, _ in pickletools.genops(file):
            machine.step(opcode.name, argument)
    except (ValueError, TypeError, IndexError, KeyError, OverflowError, UnicodeError, RecursionError) as error:
        raise BrokenPickle(f"{type(error).__name__}: {str(error)[:200]}") from error
    return machine.result()


class _Mark:
    """Where a collection of arguments begins on the stack."""


_MARK = _Mark()

_CONSTANTS: Mapping[str, Any] = MappingProxyType({"NONE": None, "NEWTRUE": True, "NEWFALSE": False})
_LITERALS = frozenset(
    {
        *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"),
        *("STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"),
        *("BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"),
    }
)
_EMPTY: Mapping[str, Callable[[], Any]] = MappingProxyType(
    {"EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict, "EMPTY_SET": set}
)
_SHORT_TUPLES: Mapping[str, int] = MappingProxyType({"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3})
_PUTS, _GETS = frozenset({"PUT", "BINPUT", "LONG_BINPUT"}), frozenset({"GET", "BINGET", "LONG_BINGET"})
_SILENT = frozenset({"PROTO", "FRAME", "STOP"})
_KEYS = (str, bytes, int, float, bool, type(None))
"""Types of dictionary keys and set members: none of them hashes its contents recursively, so none can be a bomb."""


class _Machine:
    """The stack and the memo of one pickle."""

    def __init__(self, allowed: Mapping[str, Builder], persistent: Callable[[Any], Any] | None) -> None:
        self.allowed, self.persistent = allowed, persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Carry out one opcode; raises RefusedPickle for every one that data does not need."""
        if opcode in _LITERALS:
            self.stack.append(argument)
        elif opcode in _PUTS:
            self.memo[int(argument)] = self._top()
        elif opcode in _GETS:
            self.stack.append(self.memo[int(argument)])
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode in _EMPTY:
            self.stack.append(_EMPTY[opcode]())
        elif opcode in _SHORT_TUPLES:
            self.stack.append(tuple(reversed([self._pop() for _ in range(_SHORT_TUPLES[opcode])])))
        elif opcode not in _SILENT:
            action = getattr(self, f"_do_{opcode.lower()}", None)
            if action is None:
                raise RefusedPickle(f"opcode {opcode}")
            action() if argument is None else action(argument)

    def result(self) -> Any:
        """The one value that a whole pickle leaves."""
        if len(self.stack) != 1 or self.stack[0] is _MARK:
            raise BrokenPickle(f"{len(self.stack)} values are left at its end")
        return self.stack[0]

    def _top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise BrokenPickle("it takes a value from an empty stack")
        return self.stack[-1]

    def _pop(self) -> Any:
        value = self._top()
        self.stack.pop()
        return value

    def _marked(self) -> list[Any]:
        """The values above the last mark, which goes too."""
        values: list[Any] = []
        while self.stack and self.stack[-1] is not _MARK:
            values.append(self.stack.pop())
        if not self.stack:
            raise BrokenPickle("a mark is missing")
        self.stack.pop()
        return values[::-1]

    def _do_mark(self) -> None:
        self.stack.append(_MARK)

    def _do_pop(self) -> None:
        if not self.stack:
            raise BrokenPickle("it takes a value from an empty stack")
        self.stack.pop()

    def _do_pop_mark(self) -> None:
        self._marked()

    def _do_dup(self) -> None:
        self.stack.append(self._top())

    def _do_memoize(self) -> None:
        self.memo[len(self.memo)] = self._top()

    def _do_tuple(self) -> None:
        self.stack.append(tuple(self._marked()))

    def _do_list(self) -> None:
        self.stack.append(self._marked())

    def _do_dict(self) -> None:
        self.stack.append(_filled({}, self._marked()))

    def _do_frozenset(self) -> None:
        self.stack.append(frozenset(_key(member) for member in self._marked()))

    def _do_append(self) -> None:
        value = self._pop()
        self._expect(list).append(value)

    def _do_appends(self) -> None:
        values = self._marked()
        self._expect(list).extend(values)

    def _do_setitem(self) -> None:
        value, key = self._pop(), self._pop()
        _filled(self._expect(dict), [key, value])

    def _do_setitems(self) -> None:
        pairs = self._marked()
        _filled(self._expect(dict), pairs)

    def _do_additems(self) -> None:
        members = self._marked()
        self._expect(set).update(_key(member) for member in members)

    def _expect(self, kind: type[Any]) -> Any:
        target = self._top()
        if not isinstance(target, kind):
            raise BrokenPickle(f"it fills a {type(target).__name__} like a {kind.__name__}")
        return target

    def _do_global(self, names: str) -> None:
        self._push_name(names.replace(" ", ".", 1))

    def _do_stack_global(self) -> None:
        name, module = self._pop(), self._pop()
        if not (isinstance(name, str) and isinstance(module, str)):
            raise BrokenPickle("a global name is no text")
        self._push_name(f"{module}.{name}")

    def _push_name(self, name: str) -> None:
        build = self.allowed.get(name)
        if build is None:
            raise RefusedPickle(name[:200])
        self.stack.append(Name(name, build))

    def _do_reduce(self) -> None:
        arguments, name = self._pop(), self._pop()
        self._build(name, arguments, {})

    def _do_newobj(self) -> None:
        self._do_reduce()

    def _do_newobj_ex(self) -> None:
        keywords, arguments, name = self._pop(), self._pop(), self._pop()
        self._build(name, arguments, keywords)

    def _build(self, name: Any, arguments: Any, keywords: Any) -> None:
        if not isinstance(name, Name):
            raise RefusedPickle(f"a call of a {type(name).__name__}")
        if not isinstance(arguments, tuple) or not isinstance(keywords, dict):
            raise BrokenPickle(f"the arguments of {name.name} are no tuple")
        self.stack.append(name.build(*arguments, **keywords))

    def _do_build(self) -> None:
        state, target = self._pop(), self._top()
        if isinstance(target, Stateful):
            target.set_state(state)
        elif not isinstance(target, dict):  # attributes of a dictionary, such as a state dict's _metadata, are dropped
            raise RefusedPickle(f"a state for a {type(target).__name__}")

    def _do_persid(self, identity: Any) -> None:
        self._push_persistent(identity)

    def _do_binpersid(self) -> None:
        self._push_persistent(self._pop())

    def _push_persistent(self, identity: Any) -> None:
        if self.persistent is None:
            raise RefusedPickle("a persistent id")
        self.stack.append(self.persistent(identity))


def _key(value: Any) -> Any:
    if not isinstance(value, _KEYS):
        raise RefusedPickle(f"a {type(value).__name__} as a key")
    return value


def _filled(target: dict[Any, Any], values: list[Any]) -> dict[Any, Any]:
    if len(values) % 2:
        raise BrokenPickle("a dictionary has a key without a value")
    target.update(zip(map(_key, values[::2]), values[1::2], strict=True))
    return target
