"""Pickles read as data, because a pickle is a program and `pickle.load` runs it.

The standard library disassembles; this module keeps the stack, and knows plain containers and the
few names that a caller allows. Anything else is refused by name before anything is made of it.
"""

from __future__ import annotations

import pickletools
import traceback
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol, runtime_checkable


class UnreadableError(Exception):
    """Why a file is not read: the rest of a sentence that begins with its name."""


@runtime_checkable
class Stateful(Protocol):
    """What an allowed name makes when the pickle goes on to set its state."""

    def set_state(self, state: Any) -> None:
        """Take the pickled state, or raise :class:`UnreadableError`."""


class Name(str):
    """A global that the pickle names, such as ``numpy.ndarray``; only a name, never the thing."""


def shown(text: str) -> str:
    """Untrusted text, fit for one line of a message."""
    return ascii(text[:80])[1:-1]


def fault(error: Exception) -> str:
    """What went wrong, fit for one line of a message, also of an error that says nothing."""
    return shown(traceback.format_exception_only(error)[-1].strip())


Vocabulary = Mapping[str, Callable[..., Any] | None]
"""The names that a pickle may use, and what is called when it calls them (None: it may not)."""

_LITERALS = frozenset(
    {"INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT"}
    | {"STRING", "BINSTRING", "SHORT_BINSTRING"}
    | {"UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8"}
    | {"BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8"}
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_MARK = object()
_DAMAGE = (ValueError, TypeError, LookupError, OverflowError, MemoryError, RecursionError)


def read(
    file: IO[bytes], vocabulary: Vocabulary, persistent: Callable[[Any], Any] | None = None
) -> Any:
    """The value of the next pickle in ``file``; ``persistent`` resolves persistent ids.

    Raises :class:`UnreadableError` when the pickle is damaged, or uses a name that is not in the
    ``vocabulary`` or an opcode that plain data does not need.
    """
    machine = _Machine(vocabulary, persistent)
    try:
        for opcode, argument, _ in pickletools.genops(file):
            if opcode.name == "STOP":
                return machine.pop()
            machine.step(opcode.name, argument)
    except _DAMAGE as error:
        raise UnreadableError(f"is damaged ({fault(error)})") from None
    raise UnreadableError("is damaged (it does not end)")


def dictionary(factory: Any = None) -> dict[str, Any]:
    """What an ``OrderedDict`` or a ``defaultdict`` becomes, whose factory is only a name."""
    if not (factory is None or isinstance(factory, Name)):
        raise ValueError("a dictionary that is made of something")
    return {}


class _Machine:
    def __init__(self, vocabulary: Vocabulary, persistent: Callable[[Any], Any] | None) -> None:
        self.vocabulary = vocabulary
        self.persistent = persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value should be")
        return value

    def pop_to_mark(self) -> list[Any]:
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def step(self, opcode: str, argument: Any) -> None:
        """Do one instruction."""
        if opcode in _LITERALS:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode in _TUPLES:
            values = [self.pop() for _ in range(_TUPLES[opcode])]
            self.stack.append(tuple(values[::-1]))
        else:
            self.structure(opcode, argument)

    def structure(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        match opcode:
            case "PROTO" | "FRAME":
                pass
            case "MARK":
                stack.append(_MARK)
            case "EMPTY_LIST":
                stack.append([])
            case "EMPTY_DICT":
                stack.append({})
            case "LIST":
                stack.append(self.pop_to_mark())
            case "TUPLE":
                stack.append(tuple(self.pop_to_mark()))
            case "DICT":
                values = self.pop_to_mark()
                stack.append({})
                self.fill(values)
            case "APPEND":
                value = self.pop()
                self.top(list).append(value)
            case "APPENDS":
                values = self.pop_to_mark()
                self.top(list).extend(values)
            case "SETITEM":
                value, key = self.pop(), self.pop()
                self.fill([key, value])
            case "SETITEMS":
                self.fill(self.pop_to_mark())
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                self.memo[argument] = stack[-1]
            case "MEMOIZE":
                self.memo[len(self.memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(self.memo[argument])
            case "GLOBAL":
                self.name(".".join(argument.split(" ", 1)))
            case "STACK_GLOBAL":
                name, module = self.pop(), self.pop()
                if not (isinstance(name, str) and isinstance(module, str)):
                    raise ValueError("a name that is no text")
                self.name(f"{module}.{name}")
            case "REDUCE":
                arguments, function = self.pop(), self.pop()
                stack.append(self.call(function, arguments))
            case "BUILD":
                self.build(self.pop())
            case "BINPERSID" if self.persistent:
                stack.append(self.persistent(self.pop()))
            case _:
                what = f"{opcode} {argument}" if argument is not None else opcode
                raise UnreadableError(f"is refused: it holds more than plain data ({shown(what)})")

    def top(self, kind: type) -> Any:
        if not isinstance(self.stack[-1], kind):
            raise ValueError(f"a {kind.__name__} should be filled here")
        return self.stack[-1]

    def fill(self, items: list[Any]) -> None:
        """Set the dictionary on top of the stack from keys and values in turn."""
        keys, values = items[::2], items[1::2]
        if not all(isinstance(key, str | int) for key in keys):
            raise ValueError("a key is neither text nor number")
        self.top(dict).update(zip(keys, values, strict=True))

    def name(self, name: str) -> None:
        if name not in self.vocabulary:
            raise UnreadableError(
                f"is refused: it asks for {shown(name)}, which no such file needs"
            )
        self.stack.append(Name(name))

    def call(self, function: Any, arguments: Any) -> Any:
        does = self.vocabulary[function] if isinstance(function, Name) else None
        if does is None or not isinstance(arguments, tuple):
            raise UnreadableError("is refused: it calls what is not a function")
        return does(*arguments)

    def build(self, state: Any) -> None:
        target = self.stack[-1]
        if isinstance(target, Stateful):
            target.set_state(state)
        elif not isinstance(target, dict):  # a dictionary's attributes are nothing we need
            raise UnreadableError("is refused: it sets the state of what has none")
