"""Checks that what is said is what GitHub has published: its OpenAPI description, its schema."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, final
from urllib.parse import quote

from graphql import (
    GraphQLEnumType,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    OperationType,
    build_schema,
    is_non_null_type,
    print_ast,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from graphql import GraphQLSchema
    from openapi_core import OpenAPI
    from openapi_core.testing import MockRequest

    from github_double.state import Json

_PACKAGES = Path(__file__).parent.parent / "oracle" / "node_modules" / "@octokit"
OPENAPI = _PACKAGES / "openapi" / "generated" / "api.github.com.json"
SCHEMA = _PACKAGES / "graphql-schema" / "schema.graphql"

#: What GitHub may answer to any request, whether or not the description of the request lists it.
_ANYWHERE = {401, 403, 404, 429}


def missing() -> str:
    """Why nothing can be checked on this machine; empty where it can."""
    there = OPENAPI.is_file() and SCHEMA.is_file()
    return "" if there else "tests/oracle has no @octokit packages: npm ci --prefix tests/oracle"


@cache
def _published(paths: tuple[str, ...]) -> dict[str, Any]:
    """GitHub's description, cut down to some paths and what they refer to."""
    whole = json.loads(OPENAPI.read_text(encoding="utf-8"))
    parts: dict[str, dict[str, Any]] = {"schemas": {}}
    absent = [path for path in paths if path not in whole["paths"]]
    assert not absent, f"GitHub publishes no such paths: {absent}"
    wanted = {path: _plain(whole["paths"][path]) for path in paths}
    _correct(wanted)
    todo: list[Any] = [wanted]
    while todo:
        for kind, name in _references(todo.pop()):
            if name not in parts.setdefault(kind, {}):
                parts[kind][name] = _plain(whole["components"][kind][name])
                todo.append(parts[kind][name])
    fields = {name: whole[name] for name in ("openapi", "info", "servers")}
    return {**fields, "paths": wanted, "components": parts}


def _plain(node: Json) -> Json:
    # Examples are most of the text, and say nothing that is checked.
    if isinstance(node, list):
        return [_plain(value) for value in node]
    if not isinstance(node, dict):
        return node
    plain = {key: _plain(value) for key, value in node.items() if key not in _EXAMPLES}
    # The description says so of what may be null, but OpenAPI 3.0 gives it a meaning beside `type`
    # only: the author of a commit is null where GitHub knows none.
    if plain.get("nullable") is True and "oneOf" in plain:
        plain["oneOf"].append({"type": "object", "nullable": True, "enum": [None]})
    return plain


_EXAMPLES = {"example", "examples"}
_LABELS = "/repos/{owner}/{repo}/issues/{issue_number}/labels"


def _correct(paths: dict[str, Any]) -> None:
    # The words of the description allow a bare array of labels, its schema forgets it.
    if _LABELS in paths:
        content = paths[_LABELS]["post"]["requestBody"]["content"]["application/json"]
        content["schema"]["oneOf"].append({"type": "array", "items": {"type": "string"}})


def _references(node: Json) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    if isinstance(node, dict):
        if isinstance(node.get("$ref"), str):
            _, _, kind, name = node["$ref"].split("/")
            found.append((kind, name))
        for value in node.values():
            found += _references(value)
    elif isinstance(node, list):
        for value in node:
            found += _references(value)
    return found


_building = threading.Lock()


@cache
def _openapi(paths: tuple[str, ...]) -> OpenAPI:
    from openapi_core import Config, OpenAPI  # noqa: PLC0415  (half a second)

    # The description itself is GitHub's, not ours to check.
    return OpenAPI.from_dict(_published(paths), config=Config(spec_validator_cls=None))


@cache
def real_schema() -> GraphQLSchema:
    """GitHub's published schema; it takes two seconds."""
    return build_schema(SCHEMA.read_text(encoding="utf-8"), assume_valid=True)


def differences(part: GraphQLSchema, whole: GraphQLSchema) -> list[str]:
    """Why what is valid on a part of a schema may not be valid, or mean something else, on all."""
    found = []
    for name, one in part.type_map.items():
        if name.startswith("__"):
            continue
        other = whole.type_map.get(name)
        if type(one) is not type(other):
            found.append(f"{name}: {other!r}")
        else:
            found += [f"{name}{words}" for words in _type_differences(one, other)]
    for kind in OperationType:
        roots = part.get_root_type(kind), whole.get_root_type(kind)
        if roots[0] and str(roots[0]) != str(roots[1]):
            found.append(f"{kind}: {roots[1]}")
    return found


def _type_differences(one: Json, other: Json) -> Iterator[str]:
    if isinstance(one, GraphQLEnumType) and set(one.values) != set(other.values):
        yield f": its values are {sorted(other.values)}"
    for kind in ("types", "interfaces"):
        names = [{str(each) for each in getattr(both, kind, ())} for both in (one, other)]
        if extra := names[0] - names[1]:
            yield f": its {kind} are without {sorted(extra)}"
    if isinstance(one, GraphQLInputObjectType):
        yield from _value_differences(one.fields, other.fields)
    elif isinstance(one, (GraphQLObjectType, GraphQLInterfaceType)):
        for name, each in one.fields.items():
            if str(each.type) != str(getattr(other.fields.get(name), "type", "missing")):
                yield f".{name}: it is {other.fields.get(name)}"
            else:
                found = _value_differences(each.args, other.fields[name].args)
                yield from (f".{name}({words}" for words in found)


def _declared(value: Json) -> str:
    default = value.ast_node.default_value
    return f"{value.type}{f' = {print_ast(default)}' if default else ''}"


def _value_differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[str]:
    """How arguments, or the fields of an input, differ."""
    for name, each in one.items():
        known = other.get(name)
        if known is None or _declared(each) != _declared(known):
            yield f".{name}: it is {known and _declared(known)}"
    for name, each in other.items():
        if name not in one and is_non_null_type(each.type) and "=" not in _declared(each):
            yield f".{name}: it is required"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A REST request and its answer. `template` is the path as the description spells it."""

    method: str
    template: str
    values: Mapping[str, str]
    query: Mapping[str, str]
    sent: bytes
    status: int
    answered: bytes

    @property
    def name(self) -> str:
        """What it is called in a violation."""
        return f"{self.method} {self.template}"

    def request(self) -> MockRequest:
        """The request, as the validator takes it."""
        from openapi_core.testing import MockRequest  # noqa: PLC0415  (not where nothing is checked)

        quoted = {name: quote(value, safe="") for name, value in self.values.items()}
        path = self.template.format_map(quoted)
        args = dict(self.query)
        return MockRequest(_HOST, self.method, path, args=args, data=self.sent)

    def unknown(self, operation: Mapping[str, Any], spec: Mapping[str, Any]) -> list[str]:
        """The fields and parameters that GitHub would ignore, for it describes none such."""
        parameters = [_followed(one, spec)["name"] for one in operation.get("parameters", ())]
        found = [f"parameter {name}" for name in self.query if name not in parameters]
        body = json.loads(self.sent) if self.sent else None
        if isinstance(body, dict):
            content = operation.get("requestBody", {}).get("content", {})
            known = _properties(content.get("application/json", {}).get("schema", {}), spec)
            found += [f"field {name}" for name in body if name not in known]
        return found


_HOST = "https://api.github.com"


def _followed(node: Mapping[str, Any], spec: Mapping[str, Any]) -> Mapping[str, Any]:
    if "$ref" not in node:
        return node
    _, _, kind, name = node["$ref"].split("/")
    found: Mapping[str, Any] = spec["components"][kind][name]
    return found


def _properties(schema: Mapping[str, Any], spec: Mapping[str, Any]) -> set[str]:
    schema = _followed(schema, spec)
    found = set(schema.get("properties", ()))
    for kind in ("allOf", "anyOf", "oneOf"):
        for part in schema.get(kind, ()):
            found |= _properties(part, spec)
    return found


@final
class Checks:
    """Checks the traffic of one server and keeps what did not fit."""

    def __init__(self, paths: Iterable[str]) -> None:
        self._paths = tuple(sorted(set(paths)))
        self._on = not missing()
        self._lock = threading.Lock()
        self._known: set[Exchange | str] = set()
        self.violations: list[str] = []
        self.counts: dict[str, int] = {}

    def rest(self, exchange: Exchange) -> None:
        """Check a REST request and its answer."""
        if not self._on:
            return
        self._count("REST requests", "REST answers")
        key = repr(exchange)
        with self._lock:
            if key in self._known:
                return
            self._known.add(key)
        for violation in self._faults(exchange):
            self.add(f"{exchange.name}: {violation}")

    def graphql(self) -> None:
        """Count a document that was found valid on our part of GitHub's schema."""
        # A test proves the part to be one: what is valid here is valid there.
        if self._on:
            self._count("GraphQL documents")

    def _count(self, *names: str) -> None:
        with self._lock:
            for name in names:
                self.counts[name] = self.counts.get(name, 0) + 1

    def add(self, violation: str) -> None:
        """Keep what did not fit."""
        with self._lock:
            self.violations.append(violation)

    def _faults(self, exchange: Exchange) -> Iterator[str]:
        from openapi_core.exceptions import OpenAPIError  # noqa: PLC0415  (as above)
        from openapi_core.testing import MockResponse  # noqa: PLC0415

        with _building:
            spec, api = _published(self._paths), _openapi(self._paths)
        request = exchange.request()
        operation = spec["paths"][exchange.template].get(exchange.method.lower())
        if operation is None:
            yield "GitHub describes no such operation"
            return
        # A refused request may be wrong on purpose: a test of what is answered then.
        if exchange.status < 400:
            for name in exchange.unknown(operation, spec):
                yield f"GitHub describes no {name}"
            try:
                api.validate_request(request)
            except OpenAPIError as error:
                yield f"the request: {_words(error)}"
        if str(exchange.status) not in operation["responses"]:
            if exchange.status not in _ANYWHERE and exchange.status < 500:
                yield f"GitHub describes no answer {exchange.status}"
            return
        try:
            api.validate_response(request, MockResponse(exchange.answered, exchange.status))
        except OpenAPIError as error:
            yield f"the answer {exchange.status}: {_words(error)}"


def _words(error: BaseException) -> str:
    cause = error.__cause__ or error
    details = getattr(cause, "schema_errors", ())
    places = ["/".join(map(str, one.absolute_path)) + f": {one.message:.300}" for one in details]
    return "; ".join(places) or f"{type(cause).__name__}: {cause}"
