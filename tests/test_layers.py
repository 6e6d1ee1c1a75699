"""What is pure imports nothing that acts, and few things end or ask the process."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from conftest import ROOT
from servers import make_bare

PACKAGE = ROOT / "src" / "gitops_promote"
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}
PURE = [name for name in MODULES if ".core." in name or ".inputs." in name]
# What can reach files, processes, the network, the clock or chance.
ACTING = {
    *("asyncio", "ctypes", "getpass", "github", "glob", "http", "io", "locale"),
    *("logging", "multiprocessing", "os", "pathlib", "platform", "random", "requests", "secrets"),
    *("select", "shutil", "signal", "socket", "ssl", "subprocess", "sys", "tempfile"),
    *("threading", "time", "urllib", "urllib3", "uuid"),
}


def imports(name: str) -> set[str]:
    """The modules that a module imports, wherever in it, those for type checkers left out."""
    found = set()
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    skipped = {
        child
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for child in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            found |= {f"{module}.{alias.name}" for alias in node.names} & set(MODULES) or {module}
    return found


def reached(name: str) -> set[str]:
    """The modules that a module imports, and those that they import within the package."""
    seen: set[str] = set()
    todo = [name]
    while todo:
        for module in imports(todo.pop()) - seen:
            seen.add(module)
            if module in MODULES:
                todo.append(module)
    return seen


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_imports_nothing_that_acts(name: str) -> None:
    ours = {module for module in reached(name) if module.startswith("gitops_promote")}

    assert {module.split(".")[0] for module in reached(name)}.isdisjoint(ACTING)
    assert ours <= {*PURE, "gitops_promote", "gitops_promote.core", "gitops_promote.inputs"}


@pytest.mark.parametrize("name", PURE)
def test_a_pure_module_calls_nothing_that_acts(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text("utf-8"))
    called = {
        node.func.id
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }

    methods = {
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }

    assert called.isdisjoint({"open", "print", "input", "exec", "eval", "__import__"})
    # Of `datetime` what reads the clock or the machine's own time zone.
    assert methods.isdisjoint({"now", "today", "utcnow", "fromtimestamp"})


@pytest.mark.parametrize("name", MODULES)
def test_only_the_entry_ends_the_process(name: str) -> None:
    text = MODULES[name].read_text("utf-8")
    names = {ast.unparse(node) for node in ast.walk(ast.parse(text)) if hasattr(node, "attr")}

    if name != "gitops_promote.__main__":
        assert names.isdisjoint({"sys.exit", "os._exit", "os.abort"})
        assert "SystemExit(" not in text


@pytest.mark.parametrize("name", MODULES)
def test_nothing_rests_on_an_assert(name: str) -> None:
    tree = ast.parse(MODULES[name].read_text("utf-8"))

    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]


def test_a_push_loads_no_api_client_and_no_second_thoughts(tmp_path: Path) -> None:
    bare = make_bare(tmp_path / "r.git", {"values.yaml": b"image: {repository: a/b, tag: '1'}\n"})
    program = (
        "import sys; from gitops_promote.__main__ import main; status = main(sys.argv[1:]);"
        "print(status, *sorted(sys.modules), file=sys.stderr)"
    )
    person = "Ann <ann@example.com>"
    arguments = ["promote", "--config-repository", str(bare), "--images", "a/b:2"]
    arguments += ["--target", "values.yaml", "--author", person, "--committer", person]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(PACKAGE.parent)},
    )
    status, *modules = done.stderr.split()

    assert status == "0"
    assert "Pushed" in done.stdout
    assert set(modules).isdisjoint({"github", "requests", "urllib3", "difflib", "semver", "ssl"})
    # Rules are read and computed only where there are any, or a tag is missing.
    assert set(modules).isdisjoint({"packaging", "gitops_promote.core.tags.template"})
