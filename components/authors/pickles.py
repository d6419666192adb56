"""Reads pickles as data, because a pickle is a program and `pickle.load` runs it.

The standard library disassembles the pickle. This module keeps the stack, and knows only plain
containers and the few names that a caller allows. Anything else is refused before it is built.
"""

from __future__ import annotations

import pickletools
import traceback
from collections.abc import Callable, Mapping
from typing import IO, Any, Protocol, runtime_checkable


class UnreadableError(Exception):
    """The reason why a file is not read, to follow the file's name in a sentence."""


@runtime_checkable
class Stateful(Protocol):
    """An object, built by an allowed name, whose state the pickle may set."""

    def set_state(self, state: Any) -> None:
        """Take the pickled state, or raise :class:`UnreadableError`."""


class Name(str):
    """The name of a global in a pickle, such as ``numpy.ndarray``. The global is never loaded."""


def shown(text: str) -> str:
    """Untrusted text, made safe for one line of a message."""
    return ascii(text[:80])[1:-1]


def fault(error: Exception) -> str:
    """An error as text, made safe for one line of a message, even if the error has no message."""
    return shown(traceback.format_exception_only(error)[-1].strip())


Vocabulary = Mapping[str, Callable[..., Any] | None]
"""The names that a pickle may use, and the function behind each (None: it may not be called)."""

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
    """Read the next pickle in ``file``. ``persistent`` resolves persistent ids.

    Raises :class:`UnreadableError` when the pickle is damaged, uses a name that is not in the
    ``vocabulary``, or uses an opcode that plain data does not need.
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
    """The result for an ``OrderedDict`` or a ``defaultdict``; its factory is only a name."""
    if not (factory is None or isinstance(factory, Name)):
        raise ValueError("a dictionary that is made of something")
    return {}


class _Machine:
    """The stack machine that runs the instructions of one pickle."""

    def __init__(self, vocabulary: Vocabulary, persistent: Callable[[Any], Any] | None) -> None:
        self.vocabulary = vocabulary
        self.persistent = persistent
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def pop(self) -> Any:
        """Take the top value off the stack."""
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("a mark where a value should be")
        return value

    def pop_to_mark(self) -> list[Any]:
        """Take all values above the last mark off the stack, and the mark."""
        values = []
        while (value := self.stack.pop()) is not _MARK:
            values.append(value)
        return values[::-1]

    def step(self, opcode: str, argument: Any) -> None:
        """Run one instruction."""
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
        """Run an instruction that builds containers, uses the memo, or names something."""
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
        """The value on top of the stack, which must be of this ``kind``."""
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
        """Push an allowed name, or raise :class:`UnreadableError`."""
        if name not in self.vocabulary:
            raise UnreadableError(
                f"is refused: it asks for {shown(name)}, which no such file needs"
            )
        self.stack.append(Name(name))

    def call(self, function: Any, arguments: Any) -> Any:
        """The result of an allowed function, or raise :class:`UnreadableError`."""
        does = self.vocabulary[function] if isinstance(function, Name) else None
        if does is None or not isinstance(arguments, tuple):
            raise UnreadableError("is refused: it calls what is not a function")
        return does(*arguments)

    def build(self, state: Any) -> None:
        """Set the state of the value on top of the stack."""
        target = self.stack[-1]
        if isinstance(target, Stateful):
            target.set_state(state)
        elif not isinstance(target, dict):  # the attributes of a dictionary are ignored
            raise UnreadableError("is refused: it sets the state of what has none")
