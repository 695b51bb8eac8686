"""The shape of a condition: a small immutable tree, and its way back to text."""

from typing import Final

from msgspec import Struct

from licet.core.policy.lexer import NOT_A_FIELD, RESERVED


class Node(Struct, frozen=True, kw_only=True):
    """Anything in the tree; ``start`` and ``end`` are offsets in the source (code points, half-open)."""

    start: int = 0
    end: int = 0


class Literal(Node, frozen=True, kw_only=True, tag=True):
    """A string, an int within int64, or a bool."""

    value: str | int | bool


class ListLiteral(Node, frozen=True, kw_only=True, tag=True):
    """``[a, b]``."""

    items: "tuple[Expression, ...]"


class Name(Node, frozen=True, kw_only=True, tag=True):
    """A fact of the environment, or the variable of a macro."""

    name: str


class Select(Node, frozen=True, kw_only=True, tag=True):
    """``operand.field``, or ``operand["field"]`` when ``bracketed``."""

    operand: "Expression"
    field: str
    bracketed: bool = False


class Unary(Node, frozen=True, kw_only=True, tag=True):
    """``!operand`` or ``-operand``."""

    operator: str
    operand: "Expression"


class Binary(Node, frozen=True, kw_only=True, tag=True):
    """A comparison, ``in``, or arithmetic."""

    operator: str
    left: "Expression"
    right: "Expression"


class Logical(Node, frozen=True, kw_only=True, tag=True):
    """``a && b && …`` or ``a || b || …``: one flat node for a chain, two parts or more."""

    operator: str
    parts: "tuple[Expression, ...]"


class Conditional(Node, frozen=True, kw_only=True, tag=True):
    """``test ? then : otherwise``."""

    test: "Expression"
    then: "Expression"
    otherwise: "Expression"


class Call(Node, frozen=True, kw_only=True, tag=True):
    """``function(arguments)`` or ``receiver.function(arguments)``; macros (has, exists, all) look the same."""

    at: int = 0
    """Where the function's name stands."""
    function: str
    receiver: "Expression | None"
    arguments: "tuple[Expression, ...]"


Expression = Literal | ListLiteral | Name | Select | Unary | Binary | Logical | Conditional | Call

PRECEDENCE: Final = {
    "||": 2, "&&": 3,
    "==": 4, "!=": 4, "<": 4, "<=": 4, ">": 4, ">=": 4, "in": 4,
    "+": 5, "-": 5, "*": 6, "/": 6, "%": 6,
}  # fmt: skip
"""How tightly each operator binds; the conditional binds at 1, unary operators at 7, selection at 8."""
_CONDITIONAL: Final = 1
_UNARY: Final = 7
_POSTFIX: Final = 8


def is_name(word: str) -> bool:
    """Whether ``word`` can name a fact."""
    if word in RESERVED or word.lower() in ("true", "false", "and", "or", "not"):
        return False
    return word.isascii() and word.isidentifier()


def is_field(word: str) -> bool:
    """Whether ``word`` can follow a dot; anything else needs brackets."""
    return word.isascii() and word.isidentifier() and word not in NOT_A_FIELD


def path_of(node: Expression) -> tuple[str, ...] | None:
    """The names from the root to what ``node`` selects, or None if it is no plain path."""
    fields: list[str] = []
    while isinstance(node, Select):
        fields.append(node.field)
        node = node.operand
    return (node.name, *reversed(fields)) if isinstance(node, Name) else None


def children(node: Expression) -> tuple[Expression, ...]:
    """The parts of a node, in the order of the text; a path has none."""
    match node:
        case ListLiteral(items=items):
            return items
        case Unary(operand=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return (left, right)
        case Logical(parts=parts):
            return parts
        case Conditional(test=test, then=then, otherwise=otherwise):
            return (test, then, otherwise)
        case Call(receiver=receiver, arguments=arguments):
            return (*(() if receiver is None else (receiver,)), *arguments)
        case _:
            return ()


def dotted(path: tuple[str, ...]) -> str:
    """A path as people write it: ``customer.attributes.tier``, ``customer.attributes["cost-center"]``."""
    return path[0] + "".join(f".{part}" if is_field(part) else f"[{quoted(part)}]" for part in path[1:])


def quoted(text: str) -> str:
    """A string literal whose value is ``text``."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in plain) + '"'


def unparse(node: Expression) -> str:
    """The text of a tree; parsing it gives the same tree again, offsets aside."""
    return _text(node, 0)


def _text(node: Expression, outer: int) -> str:
    text, binds = _rendered(node)
    return f"({text})" if binds < outer else text


def _rendered(node: Expression) -> tuple[str, int]:
    match node:
        case Literal(value=value):
            return _literal(value)
        case ListLiteral(items=items):
            return f"[{_listed(items)}]", 9
        case Name(name=name):
            return name, 9
        case Select(operand=operand, field=field, bracketed=bracketed):
            suffix = f"[{quoted(field)}]" if bracketed else f".{field}"
            return _text(operand, _POSTFIX) + suffix, _POSTFIX
        case Call(function=function, receiver=receiver, arguments=arguments):
            prefix = "" if receiver is None else _text(receiver, _POSTFIX) + "."
            return f"{prefix}{function}({_listed(arguments)})", _POSTFIX
        case Unary(operator=operator, operand=operand):
            # Parentheses after a minus keep `-(5)` apart from the literal -5.
            inner = _text(operand, _UNARY if operator == "!" and _is_not(operand) else _POSTFIX)
            return operator + (f"({inner})" if operator == "-" and inner[0].isdigit() else inner), _UNARY
        case Binary(operator=operator, left=left, right=right):
            level = PRECEDENCE[operator]
            return f"{_text(left, level)} {operator} {_text(right, level + 1)}", level
        case Logical(operator=operator, parts=parts):
            level = PRECEDENCE[operator]
            return f" {operator} ".join(_text(part, level + 1) for part in parts), level
        case Conditional(test=test, then=then, otherwise=otherwise):
            inner = f"{_text(test, 2)} ? {_text(then, 2)} : {_text(otherwise, _CONDITIONAL)}"
            return inner, _CONDITIONAL


def _literal(value: str | int | bool) -> tuple[str, int]:
    if isinstance(value, str):
        return quoted(value), 9
    if isinstance(value, bool):
        return ("true" if value else "false"), 9
    return str(value), (9 if value >= 0 else _UNARY)


def _is_not(node: Expression) -> bool:
    return isinstance(node, Unary) and node.operator == "!"


def _listed(items: tuple[Expression, ...]) -> str:
    return ", ".join(_text(item, _CONDITIONAL) for item in items)
