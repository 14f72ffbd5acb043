"""Changes of one place of a Python file, as mistakes would be: what `mutants.py` makes and tests must notice."""

import ast
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

SWAPPED: dict[type, str] = {
    **{ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "==", ast.Is: "is not"},
    **{ast.IsNot: "is", ast.In: "not in", ast.NotIn: "in", ast.And: "or", ast.Or: "and", ast.Add: "-", ast.Sub: "+"},
    **{ast.Mult: "/", ast.Div: "*", ast.Mod: "//", ast.Pow: "*", ast.FloorDiv: "//", ast.LShift: ">>"},
    **{ast.RShift: "<<", ast.BitAnd: "|", ast.BitOr: "&", ast.BitXor: "|"},
}
NAMES = {"min": "max", "max": "min", "any": "all", "all": "any", "minimum": "maximum", "maximum": "minimum"}
NAMES |= {"floor": "ceil", "ceil": "floor", "zeros": "ones", "argmin": "argmax", "argmax": "argmin"}

TYPES = {"isinstance", "issubclass", "cast", "getattr", "hasattr"}
"""Functions whose arguments have fixed types, so that no program calls them with these the other way round."""

SILENT = {"annotation", "returns", "decorator_list", "exc", "cause", "msg"}
"""Fields of syntax that no test needs to look at: types, and the words of errors."""


@dataclass(frozen=True)
class Mutant:
    """A change of one place: bytes `start` to `stop` of a file become `text`.

    Unless it is of the body of a function, so `called`, it is executed when the module is imported.
    """

    path: str
    lines: tuple[int, int]
    start: int
    stop: int
    text: str
    called: bool

    def applied(self, source: bytes) -> bytes:
        """The source of the file with this change."""
        return source[: self.start] + self.text.encode() + source[self.stop :]


def changed(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Yield what can be changed at a node: the part to replace, and by what."""
    text = ast.unparse
    match node:
        case ast.Compare(left, [op], [right]) | ast.BinOp(left, op, right) if type(op) in SWAPPED:
            made = f"({text(left)}) {SWAPPED[type(op)]} ({text(right)})"
            yield node, f"(-(-{made}))" if isinstance(op, ast.FloorDiv) else f"({made})"  # −(−a // b) rounds up
        case ast.BoolOp(op, values):
            yield node, f"({f' {SWAPPED[type(op)]} '.join(f'({text(value)})' for value in values)})"
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield node, f"({text(operand)})"
        case ast.Constant(bool(value)):
            yield node, str(not value)
        case ast.Constant(int(value) | float(value)):
            yield node, repr(value + 1)
        case ast.IfExp(test, body, orelse):
            yield node, f"(({text(orelse)}) if {text(test)} else ({text(body)}))"
        case ast.Call(ast.Name(name) | ast.Attribute(attr=name) as function, [a, b, *_]) if name not in NAMES:
            if name not in TYPES and not any(isinstance(part, ast.Starred) or _is_text(part) for part in (a, b)):
                swapped = ast.Call(function, [b, a, *node.args[2:]], node.keywords)
                yield node, text(swapped)
        case ast.Name(name) | ast.Attribute(attr=name) if name in NAMES:
            yield node, text(node).removesuffix(name) + NAMES[name]
    yield from _statement(node)
    for test in [node.test] if isinstance(node, ast.If) else getattr(node, "ifs", []):
        yield test, f"(not ({text(test)}))"


def _statement(node: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    match node:
        case ast.Return(ast.expr() as value) if not (isinstance(value, ast.Constant) and value.value is None):
            yield node, "return None"
        case ast.AugAssign(target, op, value):
            yield node, f"{ast.unparse(target)} {SWAPPED[type(op)]}= {ast.unparse(value)}"
            yield node, "pass"
        case ast.Expr(ast.Call()) | ast.Raise() | ast.Continue() | ast.Break() | ast.Delete():
            yield node, "pass"
        case ast.Assign([ast.Attribute() | ast.Subscript()]):
            yield node, "pass"


def mutants(path: str, source: bytes) -> list[Mutant]:
    """Return all changes of a file."""
    starts = [0, *(at + 1 for at, byte in enumerate(source) if byte == ord("\n"))]
    found: dict[Mutant, None] = {}

    def walk(node: ast.AST, statement: tuple[int, int], called: bool) -> None:
        if isinstance(node, ast.stmt):
            last = node.body[0].lineno - 1 if hasattr(node, "body") else node.end_lineno
            statement = (node.lineno, max(last or 0, node.lineno))
        for part, text in changed(node):
            start = starts[part.lineno - 1] + part.col_offset  # type: ignore[attr-defined]
            stop = starts[part.end_lineno - 1] + part.end_col_offset  # type: ignore[attr-defined]
            found[Mutant(path, statement, start, stop, text, called)] = None
        for name, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST) and name not in SILENT and not _silent(child):
                    walk(child, statement, called or (isinstance(node, ast.FunctionDef) and name == "body"))

    walk(ast.parse(source), (1, 1), False)
    return list(found)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _silent(node: ast.AST) -> bool:
    """Whether no test needs to look at a node: words, and what only type checkers read."""
    match node:
        case ast.JoinedStr() | ast.Assert() | ast.If(ast.Name("TYPE_CHECKING")):
            return True
        case ast.FunctionDef(name) | ast.Call(ast.Name(name)):
            return name in ("__repr__", "__str__") or name.endswith(("Error", "Warning"))
    return False


def sample(root: Path, paths: Iterable[str], count: int, seed: int) -> list[Mutant]:
    """Return `count` changes of different lines, each line as likely as any other, and each change of a line."""
    lines: dict[tuple[str, int], list[Mutant]] = defaultdict(list)
    for path in paths:
        source = (root / path).read_bytes()
        for mutant in mutants(path, source):
            lines[path, source.count(b"\n", 0, mutant.start) + 1].append(mutant)
    chance, found = random.Random(seed), list[Mutant]()
    for line in chance.sample(sorted(lines), len(lines)):
        mutant = chance.choice(lines[line])
        before = (root / mutant.path).read_bytes()
        with suppress(SyntaxError):
            if len(found) < count and ast.dump(ast.parse(mutant.applied(before))) != ast.dump(ast.parse(before)):
                found.append(mutant)
    return found
