"""Expressions that people write: read by a small parser of our own into a tree, and computed by walking the tree.

    expression  = comparison
    comparison  = sum [ ("<" | "<=" | ">" | ">=") sum ]
    sum         = product { ("+" | "-") product }
    product     = sign { ("*" | "/") sign }
    sign        = "-" sign | power
    power       = atom [ "**" sign ]
    atom        = number | name | function "(" expression { "," expression } ")" | "(" expression ")"

Nothing of it is ever handed to Python to evaluate: there are numbers, the names that the caller allows, the functions of
`FUNCTIONS`, and no way to write anything else. A comparison is a condition, and may stand only as the first argument of
`where`. This module loads no Keras: the same text is checked in the server and computed in a training.
"""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

LONGEST, DEEPEST = 500, 40
"""Characters of an expression, and how deep it may be nested."""
LEAST = 1e-7
"""`log` and `sqrt` are taken of at least this much, since probabilities and squares reach 0."""


class Malformed(ValueError):
    """The text is no expression of the grammar; says what and where (characters are counted from 1)."""

    def __init__(self, message: str, place: int):
        super().__init__(f"{message} (character {place + 1})")


@dataclasses.dataclass(frozen=True)
class Node:
    """A number, a name, or an operation on further nodes."""

    kind: str
    """"number", "name", or the operation: a key of `FUNCTIONS` or `OPERATORS`, or "-" with one argument."""
    value: float | str | None = None
    arguments: tuple[Node, ...] = ()

    @property
    def names(self) -> frozenset[str]:
        """Every name in it."""
        own = frozenset((str(self.value),)) if self.kind == "name" else frozenset()
        return own.union(*(a.names for a in self.arguments))


def _huber(o: Any, error: Any, delta: Any) -> Any:
    inside = o.minimum(o.abs(error), delta)
    return 0.5 * inside * inside + delta * (o.abs(error) - inside)


FUNCTIONS: Mapping[str, tuple[int, Callable[..., Any]]] = {
    "abs": (1, lambda o, a: o.abs(a)),
    "square": (1, lambda o, a: a * a),
    "sqrt": (1, lambda o, a: o.sqrt(o.maximum(a, LEAST))),
    "exp": (1, lambda o, a: o.exp(a)),
    "log": (1, lambda o, a: o.log(o.maximum(a, LEAST))),
    "tanh": (1, lambda o, a: o.tanh(a)),
    # max(a, 0) + log(1 + e^-|a|), so that no exponential overflows.
    "softplus": (1, lambda o, a: o.maximum(a, 0.0) + o.log1p(o.exp(-o.abs(a)))),
    "maximum": (2, lambda o, a, b: o.maximum(a, b)),
    "minimum": (2, lambda o, a, b: o.minimum(a, b)),
    "huber": (2, _huber),
    "where": (3, lambda o, condition, a, b: o.where(condition, a, b)),
}
"""Name → how many arguments, and what it computes with the functions of NumPy or `keras.ops`."""
OPERATORS: Mapping[str, Callable[[Any, Any, Any], Any]] = {
    "+": lambda o, a, b: a + b, "-": lambda o, a, b: a - b, "*": lambda o, a, b: a * b, "/": lambda o, a, b: a / b,
    "**": lambda o, a, b: o.power(a, b),
    "<": lambda o, a, b: a < b, "<=": lambda o, a, b: a <= b, ">": lambda o, a, b: a > b, ">=": lambda o, a, b: a >= b,
}
COMPARISONS = ("<", "<=", ">", ">=")
_BLANKS = " \t\r\n"
_TOKEN = re.compile(
    r"[ \t\r\n]*(?:(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<sign>\*\*|<=|>=|[-+*/()<>,]))",
    re.ASCII,
)


def parse(text: str, names: Collection[str]) -> Node:
    """The tree of an expression in these names. Raises `Malformed` for anything else."""
    if len(text) > LONGEST:
        raise Malformed(f"expected at most {LONGEST} characters, got {len(text)}", LONGEST)
    return _Parser(text, names).whole()


def compute(node: Node, values: Mapping[str, Any], operations: Any) -> Any:
    """The expression's value, with `operations` from `keras.ops` or NumPy."""
    if node.kind == "number":
        return node.value
    if node.kind == "name":
        return values[str(node.value)]
    arguments = [compute(a, values, operations) for a in node.arguments]
    if node.kind == "-" and len(arguments) == 1:
        return -arguments[0]
    if node.kind in OPERATORS:
        return OPERATORS[node.kind](operations, *arguments)
    return FUNCTIONS[node.kind][1](operations, *arguments)


class _Parser:
    """Reads one text from left to right."""

    def __init__(self, text: str, names: Collection[str]):
        self._text, self._names = text, names
        self._tokens: list[tuple[str, str, int]] = list(self._split())
        self._next = 0
        self._depth = 0

    def _split(self) -> Iterator[tuple[str, str, int]]:
        """(kind, text, place) of each token, and the end."""
        place, end = 0, len(self._text.rstrip(_BLANKS))
        while place < end:
            match = _TOKEN.match(self._text, place)
            if match is None:
                place = len(self._text) - len(self._text[place:].lstrip(_BLANKS))
                raise Malformed(f"{self._text[place]!r} isn't part of the grammar", place)
            kind = str(match.lastgroup)
            yield kind, match[kind], match.start(kind)
            place = match.end()
        yield "end", "", end

    def whole(self) -> Node:
        place = self._here[2]
        node = self._number(self._comparison(), place)
        if self._here[0] != "end":
            raise Malformed(f"expected an operator or the end, got {self._here[1]!r}", self._here[2])
        return node

    @property
    def _here(self) -> tuple[str, str, int]:
        return self._tokens[self._next]

    def _take(self, *signs: str) -> str | None:
        """The sign that stands here, if it is one of these; it is passed over."""
        kind, text, _ = self._here
        if kind != "sign" or text not in signs:
            return None
        self._next += 1
        return text

    def _expect(self, sign: str, after: str) -> None:
        if self._take(sign) is None:
            raise Malformed(f"expected {sign!r} {after}, got {self._here[1] or 'the end'!r}", self._here[2])

    def _number(self, node: Node, place: int) -> Node:
        """The node where a number is needed."""
        if node.kind in COMPARISONS:
            raise Malformed("a comparison may stand only as the first argument of where", place)
        return node

    def _comparison(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise Malformed(f"nested more than {DEEPEST} deep", self._here[2])
        left = self._sum()
        if sign := self._take(*COMPARISONS):
            left = Node(sign, None, (left, self._sum()))
        self._depth -= 1
        return left

    def _sum(self) -> Node:
        node = self._product()
        while sign := self._take("+", "-"):
            node = Node(sign, None, (node, self._product()))
        return node

    def _product(self) -> Node:
        node = self._sign()
        while sign := self._take("*", "/"):
            node = Node(sign, None, (node, self._sign()))
        return node

    def _sign(self) -> Node:
        negative = False
        while self._take("-"):
            negative = not negative
        node = self._atom()
        if self._take("**"):
            self._depth += 1
            if self._depth > DEEPEST:
                raise Malformed(f"nested more than {DEEPEST} deep", self._here[2])
            node = Node("**", None, (node, self._sign()))
            self._depth -= 1
        return Node("-", None, (node,)) if negative else node

    def _atom(self) -> Node:
        kind, text, place = self._here
        self._next += kind != "end"
        if kind == "number":
            if not math.isfinite(value := float(text)):
                raise Malformed(f"{text} is too large a number", place)
            return Node("number", value)
        if kind == "name":
            return self._call(text, place) if self._take("(") else self._name(text, place)
        if (kind, text) == ("sign", "("):
            inside = self._here[2]
            node = self._number(self._comparison(), inside)
            self._expect(")", "to close the bracket")
            return node
        raise Malformed(f"expected a number, a name or a bracket, got {text or 'the end'!r}", place)

    def _name(self, text: str, place: int) -> Node:
        if text in FUNCTIONS:
            raise Malformed(f"{text} is a function: write {text}(…)", place)
        if text not in self._names:
            raise Malformed(f"unknown name {text!r}; there are: {', '.join(sorted(self._names))}", place)
        return Node("name", text)

    def _call(self, text: str, place: int) -> Node:
        if text not in FUNCTIONS:
            raise Malformed(f"unknown function {text!r}; there are: {', '.join(sorted(FUNCTIONS))}", place)
        arguments: list[Node] = []
        while True:
            at = self._here[2]
            argument = self._comparison()
            condition = text == "where" and not arguments
            if condition and argument.kind not in COMPARISONS:
                raise Malformed("where needs a comparison first, like where(y > p, …, …)", at)
            arguments.append(argument if condition else self._number(argument, at))
            if self._take(",") is None:
                break
        self._expect(")", f"or a comma in {text}")
        if len(arguments) != (wanted := FUNCTIONS[text][0]):
            raise Malformed(f"{text} takes {wanted} argument{'s' if wanted > 1 else ''}, got {len(arguments)}", place)
        return Node(text, None, tuple(arguments))
