"""The evaluator of expressions: which kind of node is evaluated how."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from mimctl.config.language.calls import Calls
from mimctl.config.language.comprehensions import Comprehensions
from mimctl.config.language.expressions import Expressions


class Evaluator(Calls, Comprehensions):
    """Evaluates every kind of expression that a config may hold; others are refused."""

    __slots__ = ()
    handlers: ClassVar[Mapping[type[ast.AST], Callable[[Any, Any], Any]]] = {
        ast.Attribute: Calls._attribute,
        ast.BinOp: Expressions._binary,
        ast.BoolOp: Expressions._boolean,
        ast.Call: Calls._call,
        ast.Compare: Expressions._compare,
        ast.Constant: Expressions._constant,
        ast.Dict: Expressions._dict,
        ast.DictComp: Comprehensions._dict_comprehension,
        ast.GeneratorExp: Comprehensions._comprehend,
        ast.IfExp: Expressions._if_expression,
        ast.JoinedStr: Expressions._joined,
        ast.List: Expressions._list,
        ast.ListComp: Comprehensions._comprehend,
        ast.Name: Expressions._name,
        ast.Set: Expressions._set,
        ast.SetComp: Comprehensions._set_comprehension,
        ast.Slice: Calls._slice,
        ast.Subscript: Calls._subscript,
        ast.Tuple: Expressions._tuple,
        ast.UnaryOp: Expressions._unary,
    }
