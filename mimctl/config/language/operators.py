"""Arithmetic and formatting on config values, each operation bounded before it is done."""

from __future__ import annotations

import ast
import operator
import re
import string
from collections.abc import Callable
from typing import Any

from mimctl.config.language.limits import SCALARS, Meter
from mimctl.config.values import ConfigDict, copy_value

_WIDE = re.compile(r"\d{4,}")
_WIDE_PERCENT = re.compile(r"%(?:\(\w*\))?[^A-Za-z%(]*?(?:\*|\d{4})")
_WIDTH = re.compile(r"\d{1,3}")
_ODD_PERCENT = re.compile(r"%\((?!\w*\))")
_FIELD = re.compile(r"\w*")
_SIZED = (str, list, tuple)

Operation = Callable[[Meter, Any, Any], Any]


def _add(meter: Meter, left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        meter.charge_text(len(left) + len(right))
    elif isinstance(left, (list, tuple)) and isinstance(right, (list, tuple)):
        meter.charge(len(left) + len(right))
    elif isinstance(left, int) and isinstance(right, int):
        meter.check_int(max(left.bit_length(), right.bit_length()))
    return left + right


def _multiply(meter: Meter, left: Any, right: Any) -> Any:
    if isinstance(right, _SIZED):
        left, right = right, left
    if isinstance(left, str) and isinstance(right, int):
        meter.charge_text(len(left) * max(right, 0))
    elif isinstance(left, (list, tuple)) and isinstance(right, int):
        meter.charge(len(left) * max(right, 0))
    elif isinstance(left, int) and isinstance(right, int):
        meter.check_int(left.bit_length() + right.bit_length())
    return left * right


def _power(meter: Meter, left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        meter.check_int(left.bit_length() * abs(right))
    return left**right


def _shift_left(meter: Meter, left: Any, right: Any) -> Any:
    meter.check_int(left.bit_length() + right)
    return left << right


def _modulo(meter: Meter, left: Any, right: Any) -> Any:
    if isinstance(left, str):
        meter.charge_text(len(left))
        if _WIDE_PERCENT.search(left) or _ODD_PERCENT.search(left):
            raise meter.fail("a format this wide is refused", code="config-limits")
        meter.weigh(right)
        meter.charge_text(sum(map(int, _WIDTH.findall(left))))
    return left % right


def _union(meter: Meter, left: Any, right: Any) -> Any:
    if isinstance(left, ConfigDict) and isinstance(right, ConfigDict):
        meter.charge(len(left) + len(right))
        made = left.copy()
        if left in meter.inherited or right in meter.inherited:
            meter.weigh(left)
            meter.weigh(right)
            made = copy_value(left)
            meter.inherited.update(made, right, right._places, (meter.file, meter.line))
            meter.inherited.add(made)
            return made
        made.set_all(right)
        return made
    return _of_sets(operator.or_)(meter, left, right)


def _of_sets(operation: Callable[[Any, Any], Any]) -> Operation:
    """Return the operation, which between sets goes through both."""

    def operate(meter: Meter, left: Any, right: Any) -> Any:
        if isinstance(left, set) and isinstance(right, set):
            meter.weigh(left)
            meter.weigh(right)
        return operation(left, right)

    return operate


BINARY: dict[type[ast.operator], Operation] = {
    ast.Add: _add,
    ast.Sub: _of_sets(operator.sub),
    ast.Mult: _multiply,
    ast.Div: lambda meter, left, right: left / right,
    ast.FloorDiv: lambda meter, left, right: left // right,
    ast.Mod: _modulo,
    ast.Pow: _power,
    ast.LShift: _shift_left,
    ast.RShift: lambda meter, left, right: left >> right,
    ast.BitOr: _union,
    ast.BitAnd: _of_sets(operator.and_),
    ast.BitXor: _of_sets(operator.xor),
}

UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
    ast.Not: operator.not_,
    ast.Invert: operator.invert,
}

COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Is: operator.is_,
    ast.IsNot: operator.is_not,
    ast.In: lambda item, held: item in held,
    ast.NotIn: lambda item, held: item not in held,
}


def compare(meter: Meter, kind: type[ast.cmpop], left: Any, right: Any) -> Any:
    """Compare two values after charging for what has to be looked at."""
    if type(right) is range and type(left) is not int:
        meter.charge(len(right))  # only an integer is found without going through it
    for side in (left, right):
        if type(side) is range:
            continue
        if type(side) is str or type(side) not in SCALARS:
            meter.weigh(side)
    return COMPARE[kind](left, right)


def format_value(meter: Meter, value: Any, spec: str, conversion: str = "") -> str:
    """Format one value as an f-string would; fields of four or more digits are refused."""
    if _WIDE.search(spec):
        raise meter.fail("a format this wide is refused", code="config-limits")
    meter.weigh(value)
    if conversion:
        convert: dict[str, Callable[[Any], str]] = {"r": repr, "s": str, "a": ascii}
        value = convert[conversion](value)
    return format(value, spec)


def format_text(meter: Meter, template: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    """Do `template.format(*args, **kwargs)` for plain fields: no attributes, no items, no nested fields."""
    meter.charge_text(len(template))
    parts: list[str] = []
    position = 0
    for literal, field, spec, conversion in string.Formatter().parse(template):
        parts.append(literal)
        if field is None:
            continue
        if not _FIELD.fullmatch(field) or "{" in (spec or ""):
            raise meter.fail(f"a format field like {{{field}}} is refused", code="config-not-data")
        if field == "":
            value, position = args[position], position + 1
        else:
            value = args[int(field)] if field.isdigit() else kwargs[field]
        parts.append(format_value(meter, value, spec or "", conversion or ""))
        meter.charge_text(len(literal) + len(parts[-1]))
    return "".join(parts)
