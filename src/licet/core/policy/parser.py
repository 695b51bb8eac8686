"""Tokens to tree: a recursive-descent parser with stated limits and errors that say what was expected."""

from typing import Final, TypeVar

from licet.core.policy.errors import ConditionError, error_at
from licet.core.policy.lexer import INT_MAX, INT_MIN, NOT_A_FIELD, Token, tokens_of
from licet.core.policy.syntax import (
    PRECEDENCE,
    Binary,
    Call,
    Conditional,
    Expression,
    ListLiteral,
    Literal,
    Logical,
    Name,
    Select,
    Unary,
    is_name,
)

MAX_SOURCE: Final = 4096
"""Characters of a condition."""
MAX_DEPTH: Final = 32
"""Levels of the tree, and of brackets in the text."""
MAX_NODES: Final = 512
"""Nodes of the tree, the literals of lists not counted."""
MAX_LIST: Final = 1000
"""Elements of a list, written or read."""

_Made = TypeVar("_Made", bound=Expression)
_STARTS: Final = "expected a value: a name, a literal, a list, or ("


def parse(source: str) -> Expression:
    """The tree of a condition. Raises ConditionError, and nothing else, for any text that is none."""
    if len(source) > MAX_SOURCE:
        raise error_at(source, MAX_SOURCE, f"a condition has at most {MAX_SOURCE} characters; this has {len(source)}")
    return _Parser(source).whole()


class _Parser:
    def __init__(self, source: str) -> None:
        self._source = source
        self._tokens = tokens_of(source)
        self._place = 0
        self._nesting = 0
        self._nodes = 0
        self._depth: dict[int, int] = {}
        self._spans: dict[int, tuple[int, int]] = {}

    def whole(self) -> Expression:
        tree = self._expression()
        if self._now.kind != "end":
            raise self._unexpected("expected an operator or the end")
        return tree

    @property
    def _now(self) -> Token:
        return self._tokens[self._place]

    def _is(self, *operators: str) -> bool:
        return self._now.kind == "operator" and self._now.text in operators

    def _next(self) -> Token:
        token = self._now
        self._place += 1
        return token

    def _expect(self, operator: str, purpose: str) -> Token:
        if not self._is(operator):
            raise self._unexpected(f"expected {operator} {purpose}")
        return self._next()

    def _unexpected(self, expected: str) -> ConditionError:
        word = {"and": "&&", "or": "||", "not": "!"}.get(self._now.text.lower()) if self._now.kind == "name" else None
        found = self._now.text if len(self._now.text) <= 40 else self._now.text[:40] + "…"
        return error_at(self._source, self._now.start, f"{expected}, found {found}", word)

    def _made(self, node: _Made, *children: Expression) -> _Made:
        """Count a new node; its depth is one more than its deepest child's."""
        self._nodes += 1
        depth = 1 + max((self._depth[id(child)] for child in children), default=0)
        if self._nodes > MAX_NODES:
            raise error_at(self._source, node.start, f"a condition has at most {MAX_NODES} parts; split it up")
        if depth > MAX_DEPTH:
            raise self._too_deep(node.start)
        self._depth[id(node)] = depth
        return node

    def _start(self, node: Expression) -> int:
        """Where the text of ``node`` begins, its parentheses included: what its parent's text must hold."""
        return self._spans.get(id(node), (node.start, node.end))[0]

    def _end(self, node: Expression) -> int:
        return self._spans.get(id(node), (node.start, node.end))[1]

    def _too_deep(self, offset: int) -> ConditionError:
        return error_at(self._source, offset, f"a condition nests at most {MAX_DEPTH} levels deep; split it up")

    def _expression(self) -> Expression:
        self._nesting += 1
        if self._nesting > MAX_DEPTH:
            raise self._too_deep(self._now.start)
        test = self._logical("||")
        if self._is("?"):
            self._next()
            then = self._logical("||")
            self._expect(":", "and the other value of the conditional")
            otherwise = self._expression()
            node = Conditional(
                test=test, then=then, otherwise=otherwise, start=self._start(test), end=self._end(otherwise)
            )
            test = self._made(node, test, then, otherwise)
        self._nesting -= 1
        return test

    def _logical(self, operator: str) -> Expression:
        parts = [self._operand_of(operator)]
        while self._is(operator):
            self._next()
            parts.append(self._operand_of(operator))
        if len(parts) == 1:
            return parts[0]
        node = Logical(operator=operator, parts=tuple(parts), start=self._start(parts[0]), end=self._end(parts[-1]))
        return self._made(node, *parts)

    def _operand_of(self, operator: str) -> Expression:
        return self._logical("&&") if operator == "||" else self._binary(PRECEDENCE["=="])

    def _binary(self, level: int) -> Expression:
        """Left-associative operators that bind at ``level`` or tighter."""
        if level > PRECEDENCE["*"]:
            return self._unary()
        left = self._binary(level + 1)
        while self._now.kind in ("operator", "name") and PRECEDENCE.get(self._now.text) == level:
            operator = self._next().text
            right = self._binary(level + 1)
            node = Binary(operator=operator, left=left, right=right, start=self._start(left), end=self._end(right))
            left = self._made(node, left, right)
        return left

    def _unary(self) -> Expression:
        signs: list[Token] = []
        while self._is("!") or (self._is("-") and not signs):
            sign = self._next()
            if sign.text == "-" and self._now.kind == "int":
                return self._selections(self._int(self._next(), sign))
            signs.append(sign)
            if sign.text == "-":
                break
        operand = self._selections(self._primary())
        for sign in reversed(signs):
            node = Unary(operator=sign.text, operand=operand, start=sign.start, end=self._end(operand))
            operand = self._made(node, operand)
        return operand

    def _int(self, token: Token, sign: Token | None = None) -> Expression:
        value = int(token.value) if sign is None else -int(token.value)
        start = token.start if sign is None else sign.start
        if not INT_MIN <= value <= INT_MAX:
            raise error_at(self._source, start, f"{value} is beyond int64 ({INT_MIN} to {INT_MAX})")
        return self._made(Literal(value=value, start=start, end=token.end))

    def _selections(self, node: Expression) -> Expression:
        while self._is(".", "["):
            node = self._bracket(node) if self._next().text == "[" else self._dot(node)
        return node

    def _bracket(self, operand: Expression) -> Expression:
        key = self._next()
        if key.kind != "string":
            self._place -= 1
            raise self._unexpected("expected a name in quotes between [ and ]; elements of lists are not selected")
        end = self._expect("]", "after the name").end
        node = Select(operand=operand, field=str(key.value), bracketed=True, start=self._start(operand), end=end)
        return self._made(node, operand)

    def _dot(self, operand: Expression) -> Expression:
        field = self._now
        if field.kind != "name" or field.text in NOT_A_FIELD:
            raise self._unexpected("expected the name of a field or function after the dot")
        self._next()
        if self._is("("):
            return self._call(field, operand)
        return self._made(Select(operand=operand, field=field.text, start=self._start(operand), end=field.end), operand)

    def _call(self, name: Token, receiver: Expression | None) -> Expression:
        self._next()
        arguments = self._listed(")", "after the arguments", trailing=False)
        end = self._next().end
        start = name.start if receiver is None else self._start(receiver)
        node = Call(function=name.text, receiver=receiver, arguments=arguments, start=start, end=end, at=name.start)
        return self._made(node, *arguments, *(() if receiver is None else (receiver,)))

    def _listed(self, closing: str, purpose: str, *, trailing: bool) -> tuple[Expression, ...]:
        """Expressions up to ``closing``, which stays the next token; a comma may end them where ``trailing``."""
        items: list[Expression] = []
        while not self._is(closing):
            if items and not self._is(","):
                raise self._unexpected(f"expected , or {closing} {purpose}")
            if items:
                self._next()
                if trailing and self._is(closing):
                    break
            items.append(self._expression())
            if trailing and isinstance(items[-1], Literal):
                self._nodes -= 1  # literals of a list have their own limit
        return tuple(items)

    def _primary(self) -> Expression:
        token = self._now
        if token.kind == "int":
            return self._int(self._next())
        if token.kind == "string":
            self._next()
            return self._made(Literal(value=token.value, start=token.start, end=token.end))
        if token.kind == "name":
            return self._named()
        if self._is("("):
            self._next()
            inner = self._expression()
            closing = self._expect(")", "to close the parenthesis")
            self._spans[id(inner)] = (token.start, closing.end)
            return inner
        if self._is("["):
            self._next()
            items = self._listed("]", "to close the list", trailing=True)
            node = ListLiteral(items=items, start=token.start, end=self._next().end)
            return self._made(node, *items)
        raise self._unexpected(_STARTS)

    def _named(self) -> Expression:
        token = self._now
        if token.text in ("true", "false"):
            self._next()
            return self._made(Literal(value=token.text == "true", start=token.start, end=token.end))
        if token.text == "null":
            raise error_at(
                self._source, token.start, "null is not part of the language; ask has(…) whether a fact exists"
            )
        if token.text.lower() in ("true", "false"):
            raise error_at(self._source, token.start, f"{token.text} is not a literal", token.text.lower())
        if not is_name(token.text):
            raise self._unexpected(_STARTS)
        self._next()
        if self._is("("):
            return self._call(token, None)
        return self._made(Name(name=token.text, start=token.start, end=token.end))
