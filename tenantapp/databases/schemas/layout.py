"""Lay generated source out as Ruff does, for installations without Ruff, which is a tool of development.

Alembic and ``tenantapp.scaffold`` write calls, collections, names and constants. Each call goes on one line if it
fits, or else its arguments on a line of their own, or else each of them on one. A collection that does not fit has each
part on a line. Other expressions are written as ``ast`` writes them. Comments within the functions are left out.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from typing import Final

WIDTH: Final = 120
INDENT: Final = "    "
MARK: Final = "# ###"  # begins Alembic's own comments
UNUSED: Final = ("import sqlalchemy as sa", "sa.")  # a revision that only drops has no types


def laid_out(source: str) -> str:
    """Return the source with the bodies of its functions laid out. The rest stays as the template has it."""
    lines = source.splitlines()
    for function in reversed([node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]):
        docstring, *body = function.body
        statements = [line for each in body for line in _statement(each, 1)]
        lines[docstring.end_lineno : function.end_lineno] = statements or [f"{INDENT}pass"]
    imported, used = UNUSED
    dropped = {imported} if not any(used in line for line in lines) else set()
    kept = (line.rstrip() for line in lines if line not in dropped and not line.lstrip().startswith(MARK))
    return re.sub(r"\n{4,}", "\n\n\n", "\n".join(kept)).strip() + "\n"


def laid_out_statement(source: str, depth: int = 0) -> str:
    """Return the lines of a statement, indented by so many steps, with a line break at the end."""
    (node,) = ast.parse(source).body
    return "".join(f"{line}\n" for line in _statement(node, depth))


def _statement(node: ast.stmt, depth: int) -> Iterator[str]:
    indent = INDENT * depth
    if isinstance(node, ast.Expr):
        yield from _lines(node.value, indent, "", "")
    elif isinstance(node, ast.AnnAssign) and node.value is not None:
        yield from _lines(node.value, indent, f"{_flat(node.target)}: {_flat(node.annotation)} = ", "")
    elif isinstance(node, ast.Assign):
        yield from _lines(node.value, indent, "".join(f"{_flat(each)} = " for each in node.targets), "")
    elif isinstance(node, ast.Raise) and node.exc is not None:
        yield from _lines(node.exc, indent, "raise ", "")
    elif isinstance(node, ast.With):
        yield f"{indent}with {', '.join(_item(item) for item in node.items)}:"
        for each in node.body:
            yield from _statement(each, depth + 1)
    else:
        yield from (indent + line for line in ast.unparse(node).splitlines())


def _item(item: ast.withitem) -> str:
    name = "" if item.optional_vars is None else f" as {_flat(item.optional_vars)}"
    return _flat(item.context_expr) + name


def _lines(node: ast.expr, indent: str, before: str, after: str) -> Iterator[str]:
    """Yield the lines of an expression between two texts. ``before`` is a keyword, ``after`` a comma or nothing."""
    line = f"{indent}{before}{_flat(node)}{after}"
    opened, parts, closing = _split(node)
    if len(line) <= WIDTH or not parts:
        yield line
        return
    yield f"{indent}{before}{opened}"
    inner = indent + INDENT
    together = inner + ", ".join(word + _flat(part) for word, part in parts)
    if len(together) <= WIDTH and isinstance(node, ast.Call):
        yield together
    else:
        for word, part in parts:
            yield from _lines(part, inner, word, ",")
    yield f"{indent}{closing}{after}"


def _split(node: ast.expr) -> tuple[str, Sequence[tuple[str, ast.expr]], str]:
    """Return how a call or a collection begins, its parts, each with its keyword or key, and how it ends."""
    if isinstance(node, ast.Call):
        keywords = [(f"{each.arg}=" if each.arg else "**", each.value) for each in node.keywords]
        return f"{_flat(node.func)}(", [*(("", each) for each in node.args), *keywords], ")"
    if isinstance(node, ast.List | ast.Tuple):
        opened, closing = "[]" if isinstance(node, ast.List) else "()"
        return opened, [("", each) for each in node.elts], closing
    if isinstance(node, ast.Dict):
        pairs = zip(node.keys, node.values, strict=True)
        return "{", [("**" if key is None else f"{_flat(key)}: ", value) for key, value in pairs], "}"
    return "", (), ""


def _flat(node: ast.expr) -> str:
    """Return an expression on one line."""
    opened, parts, closing = _split(node)
    if opened:
        comma = "," if isinstance(node, ast.Tuple) and len(parts) == 1 else ""
        return opened + ", ".join(word + _flat(part) for word, part in parts) + comma + closing
    if isinstance(node, ast.Subscript):
        inner = node.slice
        several = isinstance(inner, ast.Tuple)
        return f"{_flat(node.value)}[{_flat(inner)[1:-1] if several else _flat(inner)}]"
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return _quoted(node.value)
    if isinstance(node, ast.Attribute):
        return f"{_flat(node.value)}.{node.attr}"
    if isinstance(node, ast.Starred):
        return f"*{_flat(node.value)}"
    return ast.unparse(node)


def _quoted(text: str) -> str:
    """Return a literal in double quotes, unless that needs more backslashes than single ones."""
    written = repr(text)
    if written[0] == '"' or text.count('"') > text.count("'"):
        return written
    return '"' + written[1:-1].replace("\\'", "'").replace('"', '\\"') + '"'
