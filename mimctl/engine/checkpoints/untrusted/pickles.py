"""What a pickle would build and call, found out without building or calling anything.

torch's reader with `weights_only` looks at a pickle while it builds it. Here the same instructions are followed on
kinds alone (this is a dict, that is a tensor over storage 3), before torch sees the file: every name is known before
the first object exists, and sizes that lie are refused on every torch. Before 2.10 torch's reader took SETITEM on
anything and believed the sizes of storages (CVE-2026-24747).

Source of the format: Python's `pickletools`; of what torch reads: `torch/_weights_only_unpickler.py` of 2.13.
"""

from __future__ import annotations

import _compat_pickle
import pickle
import pickletools
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, BinaryIO

MOST_INSTRUCTIONS = 20_000_000
_SHORT = 1 << 16
_DICTS = {"builtins.dict", "collections.OrderedDict", "collections.Counter"}


@dataclass(frozen=True, slots=True)
class Named:
    """A global that the pickle names: `module.name`, in today's spelling."""

    name: str


@dataclass(frozen=True, slots=True)
class Made:
    """What calling a global gives; dicts and sets too."""

    name: str


@dataclass(frozen=True, slots=True)
class Storage:
    """Memory of a tensor, outside the pickle."""

    kind: str
    """The storage class, such as `torch.FloatStorage`."""
    key: str
    numel: int
    view: tuple[int, int] | None = None
    """(offset, length) of the part that is meant, in old files."""


@dataclass(frozen=True, slots=True)
class LongText:
    """A text or bytes whose content does not matter here."""

    length: int


class MalformedError(Exception):
    """The pickle does not do what the pickle of a checkpoint does; the text says what."""


class Rules:
    """What a pickle may name and call; a container of checkpoints brings its own."""

    def may_name(self, name: str) -> bool:
        """Return whether the global may be named."""
        raise NotImplementedError

    def is_dict(self, name: str) -> bool:
        """Return whether what this global makes takes items."""
        return name in _DICTS

    def takes_state(self, name: str, state: Any) -> bool:
        """Return whether BUILD may give what this global makes a state."""
        raise NotImplementedError

    def check_call(self, name: str, arguments: tuple[Any, ...]) -> None:
        """Raise MalformedError where the arguments lie; KeyError(name) where it may not be called at all."""
        raise NotImplementedError


@dataclass(slots=True)
class Pickle:
    """One pickle that was followed to its end."""

    value: Any
    names: list[str]
    """All globals, in order of appearance."""
    refused: list[str]
    """Those that must not be named, or not be called like that."""
    storages: list[Storage]
    end: int
    """The position behind it."""


def follow(data: Any, rules: Rules, start: int = 0) -> Pickle:
    """Follow the pickle that begins at `start` of a buffer; raise MalformedError where torch could stumble over it."""
    machine = _Machine(data, rules, start)
    try:
        value = machine.run()
    except MalformedError:
        raise
    except (IndexError, KeyError, ValueError, TypeError, struct.error, UnicodeError, OverflowError) as err:
        raise MalformedError(f"its pickle is broken at byte {machine.at}") from err
    return Pickle(value, list(machine.names), list(machine.refused), machine.storages, machine.at)


def names_in(stream: BinaryIO | bytes, most: int = MOST_INSTRUCTIONS) -> list[str]:
    """Return the globals of a pickle of any protocol, as far as it can be read; for messages, not for decisions."""
    found: dict[str, None] = {}
    texts: list[str] = []
    try:
        for count, (opcode, argument, _) in enumerate(
            pickletools.genops(BytesIO(stream) if isinstance(stream, bytes) else stream)
        ):
            if count > most:
                break
            if opcode.name in ("GLOBAL", "INST"):
                module, _, name = str(argument).partition(" ")
                found[_today(module, name)] = None
            elif opcode.name == "STACK_GLOBAL" and len(texts) >= 2:
                found[f"{texts[-2]}.{texts[-1]}"] = None
            elif isinstance(argument, str):
                texts = [*texts[-8:], argument[:200]]
    except Exception:  # garbage raises anything; what was read until then is what is known
        pass
    return list(found)


def printable(name: str) -> str:
    """Return a name from a file as text that is safe on a terminal."""
    return name.encode("unicode_escape").decode("ascii")[:120]


def _today(module: str, name: str) -> str:
    if (module, name) in _compat_pickle.NAME_MAPPING:
        module, name = _compat_pickle.NAME_MAPPING[(module, name)]
    return f"{_compat_pickle.IMPORT_MAPPING.get(module, module)}.{name}"


class _Machine:
    """The instructions that torch's reader knows, on kinds."""

    def __init__(self, data: Any, rules: Rules, start: int) -> None:
        self.data, self.rules, self.at = data, rules, start
        self.stack: list[Any] = []
        self.marked: list[list[Any]] = []
        self.memo: dict[int, Any] = {}
        self.names: dict[str, None] = {}
        self.refused: dict[str, None] = {}
        self.storages: list[Storage] = []

    def run(self) -> Any:
        for _ in range(MOST_INSTRUCTIONS):
            code = self.data[self.at]
            self.at += 1
            if code == _STOP:
                return self.stack.pop()
            act = _ACTIONS.get(code)
            if act is None:
                raise MalformedError(_unknown(code))
            act(self)
        raise MalformedError(f"its pickle has more than {MOST_INSTRUCTIONS:,} instructions")

    def skip(self, count: int) -> None:
        if self.at + count > len(self.data):
            raise MalformedError("its pickle is cut off")
        self.at += count

    def take(self, count: int) -> Any:
        self.skip(count)
        return self.data[self.at - count : self.at]

    def number(self, form: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]

    def line(self) -> str:
        end = self.data.find(b"\n", self.at, self.at + 1000)
        if end < 0:
            raise MalformedError("its pickle is cut off")
        text = bytes(self.data[self.at : end]).decode("utf-8")
        self.at = end + 1
        return text

    def since_mark(self) -> list[Any]:
        items, self.stack = self.stack, self.marked.pop()
        return items

    def tuple_since_mark(self) -> None:
        items = tuple(self.since_mark())
        self.stack.append(items)

    def mark(self) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def name_global(self) -> None:
        name = _today(self.line(), self.line())
        self.names[name] = None
        if not self.rules.may_name(name):
            self.refused[name] = None
        self.stack.append(Named(name))

    def call(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        if not isinstance(function, Named) or not isinstance(arguments, tuple):
            raise MalformedError(f"it calls {_described(function)}, which is no function")
        if function.name not in self.refused:
            try:
                self.rules.check_call(function.name, arguments)
            except KeyError:
                self.refused[function.name] = None
        self.stack.append(Made(function.name))

    def build(self) -> None:
        state, target = self.stack.pop(), self.stack[-1]
        if not isinstance(target, Made) or not (
            target.name in self.refused or self.rules.takes_state(target.name, state)
        ):
            raise MalformedError(f"it gives a state to {_described(target)}")

    def store(self) -> None:
        self.store_all([self.stack.pop(-2), self.stack.pop()])

    def store_all(self, items: list[Any]) -> None:
        target = self.stack[-1]
        if not isinstance(target, Made) or not (target.name in self.refused or self.rules.is_dict(target.name)):
            raise MalformedError(f"it sets items of {_described(target)}, which is no dict")
        if len(items) % 2:
            raise MalformedError("it sets a key without a value")

    def extend(self, items: Iterable[Any]) -> None:
        target = self.stack[-1]
        if type(target) is not list:
            raise MalformedError(f"it appends to {_described(target)}, which is no list")
        target.extend(items)

    def text(self, length: int) -> None:
        if length < _SHORT:
            self.stack.append(bytes(self.take(length)).decode("utf-8", "surrogatepass"))
            return
        self.skip(length)
        self.stack.append(LongText(length))

    def group(self, count: int) -> None:
        if len(self.stack) < count:
            raise MalformedError("its pickle takes from an empty stack")
        self.stack[-count:] = [tuple(self.stack[-count:])]

    def storage(self) -> None:
        found = _storage(self.stack.pop())
        self.storages.append(found)
        self.stack.append(found)

    def remember(self, index: int) -> None:
        self.memo[index] = self.stack[-1]


def _storage(given: Any) -> Storage:
    if not isinstance(given, tuple) or len(given) not in (5, 6) or given[0] not in ("storage", b"storage"):
        raise MalformedError("it refers to something outside that is no storage")
    _, kind, key, _, numel, *more = given
    is_whole = isinstance(kind, Named) and isinstance(key, (str, bytes)) and type(numel) is int and numel >= 0
    if not is_whole:
        raise MalformedError("it describes a storage that makes no sense")
    view = None
    if more and more[0] is not None:
        if not (isinstance(more[0], tuple) and len(more[0]) == 3 and all(type(each) is int for each in more[0][1:])):
            raise MalformedError("it describes a part of a storage that makes no sense")
        view = (more[0][1], more[0][2])
        if min(view) < 0 or sum(view) > numel:
            raise MalformedError(f"it takes elements {view[0]} to {sum(view)} of a storage of {numel}")
    return Storage(kind.name, key if isinstance(key, str) else key.decode("ascii"), numel, view)


def _described(value: Any) -> str:
    if isinstance(value, (Named, Made)):
        return f"`{printable(value.name)}`" if isinstance(value, Named) else f"a `{printable(value.name)}`"
    return f"a {type(value).__name__.lower()}"


def _unknown(code: int) -> str:
    known = next((each.name for each in pickletools.opcodes if ord(each.code) == code), None)
    if known is None:
        return "it holds no pickle"
    return f"its pickle has the instruction {known}, which is not read with weights only (protocol 2 has all it needs)"


def _push(value: Any) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(value)


_STOP = pickle.STOP[0]
_ACTIONS: dict[int, Callable[[_Machine], Any]] = {
    code[0]: act
    for code, act in {
        pickle.PROTO: lambda m: m.take(1),
        pickle.GLOBAL: _Machine.name_global,
        pickle.REDUCE: _Machine.call,
        pickle.NEWOBJ: _Machine.call,
        pickle.BUILD: _Machine.build,
        pickle.APPEND: lambda m: m.extend([m.stack.pop()]),
        pickle.APPENDS: lambda m: m.extend(m.since_mark()),
        pickle.SETITEM: _Machine.store,
        pickle.SETITEMS: lambda m: m.store_all(m.since_mark()),
        pickle.MARK: _Machine.mark,
        pickle.TUPLE: _Machine.tuple_since_mark,
        pickle.TUPLE1: lambda m: m.group(1),
        pickle.TUPLE2: lambda m: m.group(2),
        pickle.TUPLE3: lambda m: m.group(3),
        pickle.NONE: _push(None),
        pickle.NEWFALSE: _push(False),
        pickle.NEWTRUE: _push(True),
        pickle.EMPTY_TUPLE: _push(()),
        pickle.EMPTY_LIST: lambda m: m.stack.append([]),
        pickle.EMPTY_DICT: _push(Made("builtins.dict")),
        pickle.EMPTY_SET: _push(Made("builtins.set")),
        pickle.BININT: lambda m: m.stack.append(m.number("<i")),
        pickle.BININT1: lambda m: m.stack.append(m.number("<B")),
        pickle.BININT2: lambda m: m.stack.append(m.number("<H")),
        pickle.BINFLOAT: lambda m: m.stack.append(m.number(">d")),
        pickle.LONG1: lambda m: m.stack.append(pickle.decode_long(bytes(m.take(m.number("<B"))))),
        pickle.BINUNICODE: lambda m: m.text(m.number("<I")),
        pickle.SHORT_BINSTRING: lambda m: m.stack.append(bytes(m.take(m.number("<B")))),
        pickle.BINPERSID: _Machine.storage,
        pickle.BINGET: lambda m: m.stack.append(m.memo[m.number("<B")]),
        pickle.LONG_BINGET: lambda m: m.stack.append(m.memo[m.number("<I")]),
        pickle.BINPUT: lambda m: m.remember(m.number("<B")),
        pickle.LONG_BINPUT: lambda m: m.remember(m.number("<I")),
    }.items()
}
