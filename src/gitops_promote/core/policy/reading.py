"""Reading a policy file: each mistake is one error with its line and column."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import ChainMap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gitops_promote.core.errors import PromoteError, UsageError
from gitops_promote.core.near import nearest
from gitops_promote.core.policy.definition import (
    NAMES,
    POLICY,
    Choice,
    Flag,
    Form,
    Key,
    Record,
    Table,
    Text,
    Texts,
    Version,
)
from gitops_promote.core.policy.values import After, App, Environment, Policy, Position
from gitops_promote.core.yaml import tree
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.layout import LINE_BREAK
from gitops_promote.core.yaml.quoting import is_string, quoted
from gitops_promote.core.yaml.tree import Node, Scalar, Sequence, is_null, layers, resolve

_MOST_BYTES = 1024 * 1024
# Chains of merge keys cost their length at each link.
_MOST_MERGED = 100
_MOST_CHARACTERS = 1000
_MOST_SHOWN = 100
_MOST_NAMES = 12
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_TAGS = {None, "!", *(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "bool", "seq", "map"))}
_CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_LIST_FIX = "Write a list, each item on a line of its own behind `- `."


@dataclass(frozen=True, slots=True)
class _Said:
    """A value, and where it was said; of an entry of a table, where its name stands."""

    value: Any
    position: Position


_Settings = dict[str, _Said]


def read_policy(content: bytes, path: str) -> Policy:
    """Read and check a policy file.

    Args:
        content: Its bytes.
        path: Where it stands in the config repository, for messages.

    Returns:
        The policy, with defaults and per-app overrides worked in.

    Raises:
        PromoteError: It is malformed, has an unknown key or environment, or a cycle in `after`.
    """
    if len(content) > _MOST_BYTES:
        raise PromoteError(
            f"this file has {len(content)} bytes, and a policy at most {_MOST_BYTES}.",
            "Name the policy's own file.",
            path=path,
        )
    document = Document.parse(content, path)
    return _Policy(path, _Reader(document).read_root()).build()


class _Reader:
    """Reads nodes as the definition says.

    It goes no deeper than the definition does, and reads a node that aliases share once; so what
    a file costs is bound by its size.
    """

    def __init__(self, document: Document) -> None:
        self.document = document
        self.line_starts = [0, *(found.end() for found in LINE_BREAK.finditer(document.text))]
        self.read_before: dict[tuple[int, int], Any] = {}

    def read_root(self) -> _Settings:
        """Read the whole file.

        Returns:
            What it says, by key.

        Raises:
            PromoteError: It is malformed.
        """
        roots = [node for node in self.document.roots if node is not None and not is_null(node)]
        if not roots:
            raise self.error("this policy is empty.", "Begin it with `version: 1`.", None)
        if len(roots) > 1:
            what = f"this file has {len(roots)} YAML documents, and a policy is one."
            raise self.error(what, "Take the lines with `---` out.", roots[1])
        key = Key("", POLICY, "", "", None)
        said: _Settings = self.read(key, POLICY, roots[0])
        return said

    def position(self, node: Node) -> Position:
        """The place of a node.

        Args:
            node: The node.

        Returns:
            Its line and column.
        """
        line = bisect_right(self.line_starts, node.start)
        return Position(line, node.start - self.line_starts[line - 1] + 1)

    def error(self, what: str, fix: str, node: Node | None) -> PromoteError:
        """An error about a node, or about the whole file.

        Args:
            what: What is wrong.
            fix: What to do next.
            node: The node.

        Returns:
            The error, to be raised.
        """
        position = self.position(node) if node else Position(1, 1)
        return _error(self.document.path, what, fix, position)

    def read(self, key: Key, form: Form, node: Node) -> Any:  # noqa: ANN401  (a form each)
        """Read a node.

        Args:
            key: The key it belongs to.
            form: Its form: that of the key, or of a part of it.
            node: The node.

        Returns:
            Its value; of a record or a table a dictionary of what was said.

        Raises:
            PromoteError: It is malformed.
        """
        node = resolve(node)
        if node.tag not in _TAGS:
            what = f"the tag `{_shown(node.tag or '')}` means nothing in a policy."
            raise self.error(what, "Take it out.", node)
        match form:
            case Version():
                return self._version(form, node)
            case Flag():
                return self._flag(key, node)
            case Choice():
                return self._choice(key, form, node)
            case Text():
                return self._text(key, form, node)
        memory = id(form), id(node)
        if memory not in self.read_before:
            match form:
                case Texts():
                    value: Any = self._texts(key, form, node)
                case Table():
                    value = self._table(key, form, node)
                case Record():
                    value = self._record(key, form, node)
            self.read_before[memory] = value
        return self.read_before[memory]

    def _version(self, form: Version, node: Node) -> int:
        text = node.value if isinstance(node, Scalar) and not node.style else ""
        if re.fullmatch("[0-9]{1,9}", text) and int(text) > form.number:
            raise self.error(
                f"this policy is of version {int(text)}, and the latest that is known here is "
                f"{form.number}.",
                "Update the action.",
                node,
            )
        if text != str(form.number):
            what = f"`version` must be the number {form.number}."
            raise self.error(what, f"Write `version: {form.number}`.", node)
        return form.number

    def _flag(self, key: Key, node: Node) -> bool:
        if not isinstance(node, Scalar) or node.style or node.value not in _TRUTH:
            raise self._wrong(key, "true or false", node)
        return _TRUTH[node.value]

    def _choice(self, key: Key, form: Choice, node: Node) -> str:
        if not isinstance(node, Scalar) or is_null(node):
            raise self._wrong(key, "a text", node)
        if node.value not in form.choices:
            near = nearest(node.value[:_MOST_SHOWN], form.choices)
            allowed = " or ".join(f"`{choice}`" for choice in form.choices)
            raise self.error(
                f"`{key.name}` is `{_shown(node.value)}`, which is unknown.",
                f"Did you mean `{near}`?" if near else f"It must be {allowed}.",
                node,
            )
        return node.value

    def _text(self, key: Key, form: Text, node: Node) -> object:
        if not isinstance(node, Scalar) or is_null(node):
            raise self._wrong(key, "a text", node)
        if _CONTROL.search(node.value):
            what = f"`{key.name}` has a text with a line break or a control character in it."
            raise self.error(what, form.fix or _LIST_FIX, node)
        if len(node.value) > _MOST_CHARACTERS:
            what = f"`{key.name}` has a text of {len(node.value)} characters."
            raise self.error(what, f"At most {_MOST_CHARACTERS} are allowed.", node)
        fits = form.fits(node.value)
        # `.` is what old readers take for a number, and a target that is often written so.
        if fits and not is_string(node) and node.value != ".":
            raise self.error(
                f"`{key.name}` has `{_shown(node.value)}`, which YAML takes for a number, a truth "
                "value or a date.",
                f"Put it in quotes: `{quoted(_shown(node.value), chr(34))}`.",
                node,
            )
        try:
            value = form.read(node.value)
        except UsageError as error:
            raise self.error(error.what, error.fix, node) from None
        if not fits:
            what = f"`{key.name}` has `{_shown(node.value)}`, {form.problem}."
            raise self.error(what, form.fix or _like(key), node)
        return value

    def _texts(self, key: Key, form: Texts, node: Node) -> tuple[object, ...]:
        if not isinstance(node, Sequence):
            if not isinstance(node, Scalar) or is_null(node):
                raise self._wrong(key, "a list of texts", node)
            return (self._text(key, form.item, node),)
        if form.most and len(node.items) > form.most:
            what = f"`{key.name}` has {len(node.items)} items, and at most {form.most} are allowed."
            raise self.error(what, "Keep those that decide.", node)
        found: dict[object, object] = {}
        for item in node.items:
            value = self.read(key, form.item, item)
            identity = form.item.identity(value)
            if identity in found:
                what = f"`{key.name}` has `{_shown(identity)}` twice."
                raise self.error(what, "Name it once.", item)
            found[identity] = value
        return tuple(found.values())

    def _table(self, key: Key, form: Table, node: Node) -> _Settings:
        if is_null(node) and form.may_be_empty:
            return {}
        found = {}
        for name_node, value in self._pairs(key, node).values():
            name = str(self.read(key, form.name, name_node))
            said = self.read(_entry(key, name), form.entry, value)
            found[name] = _Said(said, self.position(name_node))
        if not found and not form.may_be_empty:
            raise self.error(f"`{key.name}` is empty.", _like(key), node)
        return found

    def _record(self, key: Key, form: Record, node: Node) -> _Settings:
        if is_null(node) and form.may_be_empty:
            return {}
        if form.short and isinstance(node, Scalar) and not is_null(node):
            first = form.keys[0]
            return {first.name: _Said(self.read(key, first.form, node), self.position(node))}
        pairs = self._pairs(key, node)
        keys = {each.name: each for each in form.keys}
        for each in form.keys:
            if isinstance(each.form, Version) and each.name in pairs:
                self.read(each, each.form, pairs[each.name][1])
        for name, (name_node, _) in pairs.items():
            if name not in keys:
                raise self._unknown(form, name, name_node)
        for each in form.keys:
            if each.required and each.name not in pairs:
                what = f"{form.what} needs the key `{each.name}`."
                raise self.error(what, _like(each), node)
        return {
            name: _Said(self.read(keys[name], keys[name].form, value), self.position(value))
            for name, (_, value) in pairs.items()
        }

    def _pairs(self, key: Key, node: Node) -> dict[str, tuple[Node, Node]]:
        """The pairs of a mapping by name, its own first, then those merged into it."""
        if not isinstance(node, tree.Mapping):
            raise self._wrong(key, "a mapping", node)
        found: dict[str, tuple[Node, Node]] = {}
        for number, pairs in enumerate(layers(node)):
            if number > _MOST_MERGED:
                what = f"more than {_MOST_MERGED} mappings are merged into this one."
                raise self.error(what, "Use fewer merge keys, `<<`.", node)
            for name, pair in self._own(pairs).items():
                found.setdefault(name, pair)
        return found

    def _own(self, pairs: list[tuple[Node, Node]]) -> dict[str, tuple[Node, Node]]:
        found: dict[str, tuple[Node, Node]] = {}
        for pair in pairs:
            name = resolve(pair[0])
            if not isinstance(name, Scalar):
                what = f"a key must be a text, and this is {_kind(name)}."
                raise self.error(what, "Write `KEY: VALUE`.", pair[0])
            if name.value in found:
                line = self.position(found[name.value][0]).line
                what = f"`{_shown(name.value)}` stands here twice, first in line {line}."
                raise self.error(what, "Make one of the two.", pair[0])
            found[name.value] = pair
        return found

    def _unknown(self, form: Record, name: str, node: Node) -> PromoteError:
        names = [key.name for key in form.keys]
        # A key of another place isn't misspelt.
        near = "" if name in NAMES else nearest(name[:_MOST_SHOWN], names)
        fix = f"Did you mean `{near}`?" if near else f"The keys are {_listed(names)}."
        return self.error(f"`{_shown(name)}` is no key of {form.what}.", fix, node)

    def _wrong(self, key: Key, wanted: str, node: Node) -> PromoteError:
        if not key.name:
            what = f"a policy must be {wanted}, and this is {_kind(node)}."
            return self.error(what, "Begin it with `version: 1`.", node)
        what = f"`{key.name}` must be {wanted}, and is {_kind(node)}."
        return self.error(what, _like(key), node)


class _Policy:
    """Makes the policy of what was said: what holds where, and whether it makes sense together."""

    def __init__(self, path: str, said: _Settings) -> None:
        self.path = path
        self.apps: _Settings = _value(said, "apps")
        defaults: _Settings = _value(said, "defaults")
        self.settings: dict[str, _Settings] = {
            name: {"": _Said(None, one.position), **defaults, **one.value}
            for name, one in said["environments"].value.items()
        }

    def build(self) -> Policy:
        """Make the policy.

        Returns:
            The policy.

        Raises:
            PromoteError: An environment is unknown, or the order has a cycle.
        """
        base = {name: one["after"] for name, one in self.settings.items() if "after" in one}
        self._check_order(base, base, "")
        environments = {name: _environment(name, one) for name, one in self.settings.items()}
        apps = {name: self._app(name, one, base) for name, one in self.apps.items()}
        return Policy(self.path, environments, apps)

    def _app(self, name: str, said: _Said, base: _Settings) -> App:
        app: _Settings = said.value
        overrides: _Settings = _value(app, "environments")
        for environment, one in overrides.items():
            if environment not in self.settings:
                raise self._unknown(environment, one.position)
        own = {env: one.value["after"] for env, one in overrides.items() if "after" in one.value}
        if own:
            self._check_order(ChainMap(own, base), own, name)
        return App(
            name,
            images=_value(app, "images", ()),
            source_repositories=_value(app, "source-repository", ()),
            environments=_OfApp(self.settings, app, overrides),
            positions={"": said.position, **{key: one.position for key, one in app.items()}},
        )

    def _check_order(self, afters: Mapping[str, _Said], new: _Settings, app: str) -> None:
        """Follow `after` from each environment; what was gone before ends well."""
        done: set[str] = set()
        for start in new:
            trail: dict[str, None] = {}
            here = start
            while here in afters and here not in done:
                if here in trail:
                    raise self._cycle(list(trail)[list(trail).index(here) :], afters, app)
                trail[here] = None
                before = afters[here].value["environment"]
                if before.value not in self.settings:
                    raise self._unknown(before.value, before.position)
                here = before.value
            done.update(trail)

    def _cycle(self, names: list[str], afters: Mapping[str, _Said], app: str) -> PromoteError:
        order = {name: number for number, name in enumerate(self.settings)}
        first = min(names, key=order.__getitem__)
        start = names.index(first)
        # `after` leads backwards.
        forwards = [first, *reversed(names[start + 1 :] + names[:start]), first]
        if len(forwards) > _MOST_NAMES:
            forwards[_MOST_NAMES // 2 : -(_MOST_NAMES // 2)] = ["…"]
        of_app = f" for app `{_shown(app)}`" if app else ""
        return _error(
            self.path,
            f"`after` goes round in a circle{of_app}: {' -> '.join(map(_shown, forwards))}.",
            "Take one `after` of these out.",
            afters[first].value["environment"].position,
        )

    def _unknown(self, name: str, position: Position) -> PromoteError:
        near = nearest(name[:_MOST_SHOWN], self.settings)
        fix = f"Did you mean `{near}`?" if near else f"There is {_listed(list(self.settings))}."
        return _error(self.path, f"there is no environment `{_shown(name)}`.", fix, position)


class _OfApp(Mapping[str, Environment]):
    """All environments as they are for an app, made when asked for: a call needs few of them."""

    def __init__(
        self, settings: Mapping[str, _Settings], app: _Settings, overrides: _Settings
    ) -> None:
        self.settings = settings
        self.app = {key: one for key, one in app.items() if key == "targets"}
        self.overrides = overrides
        self.made: dict[str, Environment] = {}

    def __getitem__(self, name: str) -> Environment:
        if name not in self.made:
            settings = {**self.settings[name], **self.app}
            if name in self.overrides:
                one = self.overrides[name]
                settings |= {"": _Said(None, one.position), **one.value}
            self.made[name] = _environment(name, settings)
        return self.made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.settings)

    def __len__(self) -> int:
        return len(self.settings)

    def __repr__(self) -> str:
        return repr(dict(self))


def _environment(name: str, settings: _Settings) -> Environment:
    fields = {key.replace("-", "_"): one.value for key, one in settings.items() if key}
    if "after" in fields:
        after = {key: one.value for key, one in fields["after"].items()}
        fields["after"] = After(**after)
    positions = {key: one.position for key, one in settings.items()}
    return Environment(name=name, positions=positions, **fields)


def _value(said: _Settings, key: str, otherwise: object = None) -> Any:  # noqa: ANN401  (any form)
    return said[key].value if key in said else {} if otherwise is None else otherwise


def _error(path: str, what: str, fix: str, position: Position) -> PromoteError:
    return PromoteError(what, fix, path=path, line=position.line, column=position.column)


def _kind(node: Node) -> str:
    if isinstance(node, Scalar):
        if is_null(node):
            return "empty"
        return f"the text `{_shown(node.value)}`" if is_string(node) else f"`{_shown(node.value)}`"
    return "a list" if isinstance(node, Sequence) else "a mapping"


def _entry(table: Key, name: str) -> Key:
    """An entry of a table as a key, for messages."""
    example = next(iter(table.example.values()))
    return Key(_shown(name), table.form, table.help, "", example)


def _like(key: Key) -> str:
    return f"Write it like `{key.name}: {_flow(key.example)}`."


def _flow(data: object) -> str:
    """Data as YAML on one line."""
    if isinstance(data, dict):
        return f"{{{', '.join(f'{key}: {_flow(value)}' for key, value in data.items())}}}"
    if isinstance(data, list):
        return f"[{', '.join(map(_flow, data))}]"
    return quoted(data) if isinstance(data, str) else str(data).lower()


def _shown(text: object) -> str:
    """A text from the file, so that it can stand in a sentence."""
    shown = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", str(text))
    return shown if len(shown) <= _MOST_SHOWN else f"{shown[:_MOST_SHOWN]}…"


def _listed(names: list[str]) -> str:
    more = ", …" if len(names) > _MOST_NAMES else ""
    return ", ".join(f"`{name}`" for name in names[:_MOST_NAMES]) + more
