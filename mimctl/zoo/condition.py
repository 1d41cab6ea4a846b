"""Conditions on fields of models, as mim has them: `batch_size>45,epochs>100`, `128<batch_size<=256` (pure).

    conditions = condition {("," | "and" | blank) condition}
    condition  = operand operator operand {operator operand}
    operand    = number | word | '"' text '"'
    operator   = "<" | "<=" | ">" | ">=" | "==" | "=" | "!="

All conditions must hold. The word of a condition is its field; beside it stand numbers (`24.33M` is one), or with `==`
and `!=` a text.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from mimctl.errors import UsageError

_TOKEN = re.compile(r"""\s*(?:(?P<operator><=|>=|==|!=|<|>|=)|(?P<comma>,)|"(?P<double>[^"]*)"|'(?P<single>[^']*)'"""
                    r"""|(?P<word>[^\s<>=!,"']+))""")  # fmt: skip
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([kmgbtKMGBT]?|%)")
_SWAPPED = {"=>": ">=", "=<": "<="}
_UNKNOWN = ("or", "not", "||", "&&", "|", "&")
_FACTORS = {"": 1.0, "%": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "b": 1e9, "t": 1e12}
_COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


class Field(NamedTuple):
    """The place of the field in a condition, by the word that names it."""

    word: str


Operand = Field | float | str


class Condition(NamedTuple):
    """A chain of comparisons: `operands[0] operators[0] operands[1] …`; exactly one operand is a Field."""

    operands: tuple[Operand, ...]
    operators: tuple[str, ...]

    @property
    def field(self) -> str:
        """The word that names its field."""
        return next(each.word for each in self.operands if isinstance(each, Field))

    def holds(self, value: object) -> bool:
        """Return whether it holds for the field's value; never for a value that cannot be compared.

        A field of several values holds where one of them does; it differs (`!=`) from what none of them equals.
        """
        if isinstance(value, list | tuple):
            held = [self.holds(each) for each in value]
            return all(held) if "!=" in self.operators else any(held)
        return all(
            _compare(sign, _value(left, value), _value(right, value))
            for sign, left, right in zip(self.operators, self.operands, self.operands[1:], strict=False)
        )

    def __str__(self) -> str:
        words = [_written(each) for each in self.operands]
        return words[0] + "".join(f"{sign}{word}" for sign, word in zip(self.operators, words[1:], strict=True))


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """Return the conditions of a text; raise UsageError[bad-condition] with what is wrong and a right example."""
    found: list[Condition] = []
    operands: list[str | float | tuple[str]] = []
    operators: list[str] = []

    def close() -> None:
        if operands or operators:
            found.append(_condition(text, operands, operators))
        operands.clear()
        operators.clear()

    position = 0
    while text[position:].strip():
        token = _TOKEN.match(text, position)
        if token is None:
            raise _bad(text, f"`{text[position:].strip()[:20]}` is not understood")
        position = token.end()
        if token["comma"] or (token["word"] or "").casefold() == "and":
            close()
        elif token["operator"]:
            operators.append("==" if token["operator"] == "=" else token["operator"])
            if len(operators) != len(operands):
                meant = _SWAPPED.get(text[:position].replace(" ", "")[-2:])
                told = f"; `{meant}`?" if meant else ""
                raise _bad(text, f"`{token['operator']}` has nothing to compare on its left{told}")
        else:
            if len(operands) > len(operators):
                close()
            operands.append(_operand(token))
    close()
    return tuple(found)


def number_of(value: object) -> float | None:
    """Return a value as a number: numbers, and texts such as `44.5`, `81%` or `24.33M`; None for anything else."""
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value) if math.isfinite(value) else None
    found = _NUMBER.fullmatch(value.strip()) if isinstance(value, str) else None
    if found is None:
        return None
    number = float(found[1]) * _FACTORS[found[2].lower()]
    return number if math.isfinite(number) else None


def _operand(token: re.Match[str]) -> str | float | tuple[str]:
    quoted = token["double"] if token["double"] is not None else token["single"]
    if quoted is not None:
        return (quoted,)
    number = number_of(token["word"])
    return str(token["word"]) if number is None else number


def _condition(text: str, raw: list[str | float | tuple[str]], operators: list[str]) -> Condition:
    if len(operators) != len(raw) - 1 or not operators:
        said = _written(raw[-1] if not isinstance(raw[-1], tuple) else raw[-1][0])
        if raw[-1] in _UNKNOWN:
            raise _bad(text, f"`{raw[-1]}` is not known here: all conditions have to hold")
        raise _bad(text, f"`{said}` is compared with nothing")
    words = [number for number, each in enumerate(raw) if isinstance(each, str)]
    words = words or [number for number, each in enumerate(raw) if isinstance(each, tuple)]
    if not words:
        raise _bad(text, "it names no field")
    at = words[0]
    operands: list[Operand] = []
    for number, each in enumerate(raw):
        plain = each[0] if isinstance(each, tuple) else each
        operands.append(Field(str(plain)) if number == at else plain)
    for sign, left, right in zip(operators, operands, operands[1:], strict=False):
        told = next((each for each in (left, right) if isinstance(each, str)), None)
        if told is not None and sign not in ("==", "!="):
            raise _bad(text, f"`{sign}` compares numbers, `{told}` is none")
    return Condition(tuple(operands), tuple(operators))


def _value(operand: Operand, value: object) -> object:
    return value if isinstance(operand, Field) else operand


def _compare(sign: str, left: object, right: object) -> bool:
    numbers = number_of(left), number_of(right)
    if None not in numbers:
        return _COMPARE[sign](*numbers)
    if sign not in ("==", "!=") or left is None or right is None:
        return False
    return _COMPARE[sign](str(left).casefold(), str(right).casefold())


def _written(operand: object) -> str:
    if isinstance(operand, Field):
        return operand.word if re.fullmatch(r"[^\s<>=!,\"']+", operand.word) else f'"{operand.word}"'
    if isinstance(operand, float):
        return repr(int(operand)) if operand.is_integer() and abs(operand) < 1e15 else repr(operand)
    return f'"{operand}"' if isinstance(operand, str) and '"' not in operand else f"'{operand}'"


def _bad(text: str, cause: str) -> UsageError:
    return UsageError(
        f"condition `{text}` cannot be read",
        code="bad-condition",
        causes=[cause],
        hints=["for example `--condition 'epochs>100, 128<batch_size<=256'`"],
    )
