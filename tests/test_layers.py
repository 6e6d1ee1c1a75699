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


# What takes long to load, and a push by git has no use for.
SLOW = {
    *("argparse", "asyncio", "concurrent", "cryptography", "difflib", "email", "getpass", "github"),
    *("http", "importlib.metadata", "jwt", "logging", "multiprocessing", "packaging", "requests"),
    *("semver", "socket", "ssl", "typing_extensions", "unittest", "urllib3", "xml"),
}
# What says of a tag that it moves is asked of every tag.
MARKS = {"gitops_promote.core.tags.mutable"}
# No more modules of ours are loaded when the first program starts; others may load meanwhile.
MOST_AT_START = 85
# Tells when that is, and what was loaded by then.
PROGRAM = """\
import sys
def tell(event, arguments):
    if event == "subprocess.Popen" and not at_start:
        at_start.extend(sys.modules)
at_start = []
sys.addaudithook(tell)
from gitops_promote.__main__ import main
status = main(["promote"])
print(status, *at_start, "-", *sys.modules, file=sys.stderr)
"""


def loaded_by_a_push(tmp_path: Path) -> tuple[set[str], set[str]]:
    """The modules at the start of the first program, and at the end, of a job that pushes."""
    files = {"values.yaml": b"image: {repository: a/b, tag: '1'}\n"}
    bare = make_bare(tmp_path / "r.git", files)
    (tmp_path / "event.json").write_text('{"repository": {"full_name": "acme/shop"}}')
    environ = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": str(PACKAGE.parent),
        "GITHUB_ACTIONS": "true",
        "GITHUB_EVENT_PATH": str(tmp_path / "event.json"),
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_SERVER_URL": "https://github.com",
        "GITHUB_ACTOR": "ann",
        "GITOPS_PROMOTE_CONFIG_REPOSITORY": str(bare),
        "GITOPS_PROMOTE_IMAGES": "a/b:2",
        "GITOPS_PROMOTE_TARGET": "values.yaml",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, env=environ
    )
    told = done.stderr.split()

    assert told[0] == "0", done.stderr
    assert "Pushed" in done.stdout
    middle = told.index("-")
    return set(told[1:middle]), set(told[middle + 1 :])


def test_a_push_loads_no_api_client_and_no_second_thoughts(tmp_path: Path) -> None:
    _, modules = loaded_by_a_push(tmp_path)

    assert modules.isdisjoint(SLOW)
    # What each of these is for, this push has none of.
    assert not {name for name in modules if name.startswith("gitops_promote.core.tags.")} - MARKS
    assert modules.isdisjoint(
        {
            "gitops_promote.core.policy.definition",
            "gitops_promote.core.policy.reading",
            "gitops_promote.core.review.text",
            "gitops_promote.effects.rendering",
            "gitops_promote.promotion.after",
            "gitops_promote.promotion.review",
            "gitops_promote.promotion.rollback",
        }
    )


def test_git_is_started_before_anything_is_parsed_or_told(tmp_path: Path) -> None:
    modules, _ = loaded_by_a_push(tmp_path)
    ours = {name for name in modules if name.startswith("gitops_promote.")}

    assert modules.isdisjoint({*SLOW, "ruamel", "gitops_promote.effects.text"})
    assert len(ours) <= MOST_AT_START


def test_what_all_target_kinds_share_knows_none_of_them() -> None:
    shared = [name for name in MODULES if ".core.slots" in name or ".core.yaml" in name]

    known = {module for name in shared for module in reached(name) if ".core.kinds" in module}

    assert shared
    assert not known
