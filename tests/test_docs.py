"""Every public function says what it takes, gives and raises."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import ROOT

FILES = sorted([*ROOT.glob("src/**/*.py"), *ROOT.glob("action/*.py"), *ROOT.glob("demo/*.py")])


def public_functions(body: list[ast.stmt]) -> Iterator[ast.FunctionDef]:
    """The functions and methods that others may call."""
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name.startswith("_"):
            continue
        if isinstance(node, ast.ClassDef):
            yield from public_functions(node.body)
        elif isinstance(node, ast.FunctionDef):
            yield node


def sections(function: ast.FunctionDef) -> list[str]:
    """What a function's docstring has to have."""
    arguments = function.args.posonlyargs + function.args.args + function.args.kwonlyargs
    takes = [argument for argument in arguments if argument.arg not in ("self", "cls")]
    nothing = isinstance(function.returns, ast.Constant) or function.returns is None
    raises = any(isinstance(node, ast.Raise) and node.exc for node in ast.walk(function))
    found = ["Args:"] if takes else []
    found += ["Returns:"] if takes and not nothing else []
    return found + (["Raises:"] if raises else [])


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_public_functions_are_documented(file: Path) -> None:
    for function in public_functions(ast.parse(file.read_text("utf-8")).body):
        text = (ast.get_docstring(function) or "").replace("Yields:", "Returns:")
        assert text, function.name
        if re.match(r"As `(\w+\.)?\w+` says", text):
            continue  # one of several that keep one promise, which is documented where it is made
        assert [name for name in sections(function) if name not in text] == [], function.name
