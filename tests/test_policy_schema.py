"""The policy file's JSON Schema and its document hold to the one definition."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import pytest
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from conftest import ROOT
from gitops_promote.core.policy.definition import (
    APP,
    POLICY,
    SETTINGS,
    Choice,
    Flag,
    Key,
    Record,
    Table,
    Text,
    Texts,
    Version,
)
from gitops_promote.core.policy.reading import read_policy
from gitops_promote.core.policy.schema import schema
from gitops_promote.core.targets import compile_glob, parse_target
from policies import NO_ORDER, NO_SHAPE, NO_VALUE, UNKNOWN, VALID

FILE = ROOT / "schema" / "gitops-promote.schema.json"
DOCUMENT = ROOT / "docs" / "policy.md"
# What only the reader knows: what stands in the text and not in the data, what parsers judge more
# closely than a pattern does, and how two items are one.
BY_THE_READER = (
    "stands here twice",
    "the tag `!x`",
    "control character",
    "characters.",
    "YAML takes for a number",
    "the new name `B/C`",
    "The target's key",
    "`images` has `a` twice",
    "`source-repository` has `a/b` twice",
)


def load(text: str) -> Any:  # noqa: ANN401  (any YAML)
    """A policy as an editor has it."""
    yaml = YAML(typ="safe", pure=True)
    yaml.allow_duplicate_keys = True
    return yaml.load(io.StringIO(text))


def problems(text: str) -> list[str]:
    """What the schema has against a policy."""
    errors = jsonschema.Draft7Validator(schema()).iter_errors(load(text))
    return [error.message for error in errors]


def all_keys(keys: tuple[Key, ...]) -> Iterator[Key]:
    """The keys, and those below them."""
    for key in keys:
        yield key
        entry = key.form.entry if isinstance(key.form, Table) else key.form
        if isinstance(entry, Record):
            yield from all_keys(entry.keys)


def test_the_published_schema_is_that_of_the_definition() -> None:
    written = FILE.read_text("utf-8")

    assert written == json.dumps(schema(), indent=2, ensure_ascii=False) + "\n", "make schema"


def test_the_schema_is_one() -> None:
    jsonschema.Draft7Validator.check_schema(schema())


def test_every_key_is_described() -> None:
    for key in all_keys(POLICY.keys):
        assert key.help.endswith("."), key.name
        assert isinstance(key.form, Version | Flag | Choice | Text | Texts | Table | Record)


@pytest.mark.parametrize("text", VALID)
def test_the_schema_takes_what_the_reader_takes(text: str) -> None:
    assert read_policy(text.encode(), "x").environments
    assert problems(text) == []


@pytest.mark.parametrize(("text", "what", "_"), [*NO_SHAPE, *NO_VALUE, *NO_ORDER])
def test_the_schema_refuses_what_the_reader_refuses(text: str, what: str, _: str) -> None:
    if any(known in what for known in BY_THE_READER):
        return
    try:
        load(text)
    except (YAMLError, TypeError, ValueError):
        return  # an editor says that it is no YAML
    assert problems(text)


@pytest.mark.parametrize(("text", "what", "_"), UNKNOWN)
def test_which_environments_there_are_only_the_reader_knows(text: str, what: str, _: str) -> None:
    assert problems(text) == [], what


def examples(value: object, key: str = "") -> Iterator[tuple[str, Any]]:
    """The examples in a schema, with the names of their keys."""
    if isinstance(value, dict):
        if "description" in value:
            yield from ((key, example) for example in value.get("examples", []))
        for name, below in value.items():
            if name != "examples":
                yield from examples(below, name)


def test_an_example_is_valid() -> None:
    found = list(examples(schema()))
    names = {name for name, _ in found}

    for name, example in found:
        data = json.loads(json.dumps(example))
        whole = {"version": 1, "environments": {"test": None, "dev": None, "prod": None}}
        settings = {key.name for key in SETTINGS}
        if name in settings:
            whole["environments"] = {"test": None, "prod": {name: data}}
        elif name in {"images", "targets", "source-repository"} or "reviewers" in str(data):
            whole["apps"] = {"shop": {name: data}}
        elif name in {"version", "defaults", "environments", "apps"}:
            whole[name] = data
        assert read_policy(json.dumps(whole).encode(), "x").environments, name
    assert names >= {key.name for key in (*POLICY.keys, *SETTINGS, *APP)}


# The document.


def rows(heading: str) -> list[str]:
    """The rows of the table under a heading of the document."""
    text = DOCUMENT.read_text("utf-8")
    below = re.split(r"^#+ ", text.partition(f"\n## {heading}\n")[2], flags=re.MULTILINE)[0]
    return [line for line in below.splitlines() if line.startswith("| `")]


@pytest.mark.parametrize(
    ("heading", "keys"),
    [
        ("Keys of the file", POLICY.keys),
        ("Keys of an environment", SETTINGS),
        ("Keys of an app", APP),
    ],
)
def test_the_document_has_the_keys_in_their_order(heading: str, keys: tuple[Key, ...]) -> None:
    expected = [f"| `{key.name}` | {key.help} | {key.default}".rstrip() + " |" for key in keys]

    assert rows(heading) == expected


def test_the_documents_policies_are_valid() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    policies = [block for block in blocks if re.search("^version:", block, re.MULTILINE)]

    assert policies
    for text in policies:
        assert read_policy(text.encode(), "x").environments
        assert problems(text) == []


def places(line: str, environment: str, app: str) -> tuple[str, ...]:
    """The files that a target's line may mean: a folder stands for its kustomization."""
    path = parse_target(line, environment, app).path
    return path, f"{path}/kustomization.yaml"


def test_the_documents_first_policy_lets_its_apps_change_their_targets() -> None:
    (text, *_) = re.findall(r"```yaml\n(.*?)```", DOCUMENT.read_text("utf-8"), re.DOTALL)
    policy = read_policy(text.encode(), "x")

    assert any(one.paths for one in policy.environments.values())
    for app in policy.apps.values():
        for environment in app.environments.values():
            assert environment.targets
            patterns = [compile_glob(path) for path in environment.paths]
            for line in environment.targets:
                files = places(line, environment.name, app.name)
                fits = any(pattern.fullmatch(file) for pattern in patterns for file in files)
                assert fits or not patterns, (environment.name, line)


def test_the_schema_is_where_the_document_says() -> None:
    place = FILE.relative_to(ROOT).as_posix()

    assert f"/v1/{place}" in DOCUMENT.read_text("utf-8")
