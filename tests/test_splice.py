"""The editor: random edits of random texts, each read again by parsers that are not ours."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from hypothesis import assume, event, given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError as RuamelError

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.intent import Intent
from gitops_promote.core.yaml.quoting import Plain, is_string, needs_quotes, quoted
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import Alias, Mapping, Node, Scalar, Sequence, resolve
from yaml_texts import VALUES, properties, yaml_texts

STRING = "tag:yaml.org,2002:str"

# What a reader makes of a text: its parsing events, each with what its content resolves to.
Events = list[tuple[object, ...]]


def read_by_pyyaml(text: str) -> Events:
    """The events by PyYAML on libyaml, which takes tabs; types as in YAML 1.1."""
    loader = yaml.SafeLoader("")
    found: Events = []
    for token in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(token, yaml.ScalarEvent):
            tag = token.tag
            if tag is None:
                tag = loader.resolve(yaml.ScalarNode, token.value, token.implicit)  # type: ignore[no-untyped-call]
            elif tag == "!":
                # A string to YAML and to go-yaml; PyYAML alone looks at the text again.
                tag = STRING
            found.append(("scalar", token.anchor, tag, token.value))
        elif isinstance(token, yaml.AliasEvent):
            found.append(("alias", token.anchor))
        elif isinstance(token, yaml.CollectionStartEvent):
            found.append((type(token).__name__, token.anchor, token.tag))
        elif isinstance(token, yaml.DocumentStartEvent):
            found.append(("document", token.version, token.explicit))
        else:
            found.append((type(token).__name__,))
    return found


def resolve_by_ruamel(text: str) -> str:
    """What YAML 1.2 takes a scalar's text for, by ruamel.yaml."""
    return str(YAML(typ="safe", pure=True).compose(text).tag)


def parsed(text: str, bom: bytes = b"", encoding: str = "utf-8") -> tuple[Document, Events]:
    """A text as a document and as PyYAML's events; the example is dropped if it is no YAML."""
    try:
        events = read_by_pyyaml(text)
        document = Document.parse(bom + text.encode(encoding), "dir/values.yaml")
    except (yaml.YAMLError, PromoteError):
        assume(False)
        raise
    return document, events


def nodes_of(roots: tuple[Node | None, ...] | list[Node | None]) -> Iterator[Node]:
    """All nodes, in the order of the text."""
    stack = list(reversed(roots))
    while stack:
        node = stack.pop()
        if node is None:
            continue
        yield node
        if isinstance(node, Mapping):
            stack += [part for pair in reversed(node.pairs) for part in reversed(pair)]
        elif isinstance(node, Sequence):
            stack += reversed(node.items)


def scalars_of(document: Document) -> list[Scalar]:
    """All scalars, in the order of the text."""
    return [node for node in nodes_of(document.roots) if isinstance(node, Scalar)]


def scalar_events(events: Events) -> list[int]:
    """Where in a list of events the scalars are."""
    return [index for index, event in enumerate(events) if event[0] == "scalar"]


def assert_refusal(error: PromoteError) -> None:
    """A refusal names the file and the line, and says what to do."""
    assert re.fullmatch(r"dir/values\.yaml:[1-9]\d*", error.where)
    assert error.what.endswith(".")
    assert error.fix.endswith(".")


DOCUMENTS_OF_NOTHING = st.lists(
    st.sampled_from(["---", "--- # c", "---\t", "...", "", " ", "# c", "  # c", "--- &x"]),
    max_size=5,
).flatmap(
    lambda lines: st.sampled_from(["\n", "\r\n", "\r"]).flatmap(
        lambda end: st.sampled_from([end.join(lines), end.join([*lines, ""])])
    )
)
ENCODINGS = st.sampled_from(
    [
        (b"", "utf-8"),
        (b"", "utf-8"),
        (b"\xef\xbb\xbf", "utf-8"),
        (b"\xff\xfe", "utf-16-le"),
        (b"\xfe\xff", "utf-16-be"),
    ]
)


@properties
@given(yaml_texts() | DOCUMENTS_OF_NOTHING, VALUES, ENCODINGS, st.data())
def test_set_changes_one_scalar(
    text: str, value: str, encoding: tuple[bytes, str], data: st.DataObject
) -> None:
    document, events = parsed(text, *encoding)
    scalars = scalars_of(document)
    assert [s.value for s in scalars] == [events[i][3] for i in scalar_events(events)]
    assume(scalars)
    index = data.draw(st.integers(0, len(scalars) - 1))
    scalar, position = scalars[index], scalar_events(events)[index]
    edited = set_or_refused(document, scalar, value)
    if edited is None:
        return
    start, rest = scalar.start, text[scalar.end :]
    if scalar.style in ("|", ">"):
        rest = text[scalar.end :] if edited.text.endswith(text[scalar.end :]) else ""
        rest = rest.lstrip("\r\n ")
    assert edited.text.startswith(text[:start])
    assert edited.text.endswith(rest)
    assert edited.encode() == encoding[0] + edited.text.encode(encoding[1])
    expected = list(events)
    expected[position] = ("scalar", scalar.anchor, STRING, value)
    assert read_by_pyyaml(edited.text) == expected
    written = scalars_of(edited)[index]
    source = edited.text[written.start : written.end]
    if not written.style and written.tag is None:
        assert resolve_by_ruamel(source) == STRING
    check_back(edited, index, scalar, text)


def set_or_refused(document: Document, scalar: Scalar, value: str) -> Document | None:
    """A document after one `set`; None where it is refused for a reason that is known."""
    before = document.encode()
    try:
        editor = Editor(document)
        editor.set(scalar, value)
        return editor.apply()
    except PromoteError as error:
        assert_refusal(error)
        assert document.encode() == before
        reason = known_reason(document, scalar, error)
    event(f"refused: {reason}")
    assert reason
    return None


def known_reason(document: Document, scalar: Scalar, error: PromoteError) -> str:
    """Why a scalar may not be set; empty if it should have been."""
    if scalar.tag not in (None, "!", STRING):
        return "a tag of another type"
    if scalar.style in ("|", ">") and "several lines" in error.what:
        return "a block of lines"
    mappings = [node for node in nodes_of(document.roots) if isinstance(node, Mapping)]
    if any(name is scalar for node in mappings for name, _ in node.pairs):
        return "a key"
    return ""


def check_back(edited: Document, index: int, old: Scalar, text: str) -> None:
    """Setting the old value gives the old bytes, where we write it as it was written."""
    source = text[old.start : old.end]
    # Quotes that a value between needed stay.
    if scalars_of(edited)[index].style != old.style:
        return
    if not is_string(old) or source != quoted(old.value, old.style, flow=old.flow):
        return
    editor = Editor(edited)
    editor.set(scalars_of(edited)[index], old.value)
    assert editor.apply().text == text


@properties
@given(yaml_texts(), VALUES, VALUES, st.data())
def test_two_sets_change_two_scalars(text: str, one: str, other: str, data: st.DataObject) -> None:
    document, events = parsed(text)
    scalars = scalars_of(document)
    assume(len(scalars) > 1)
    first = data.draw(st.integers(0, len(scalars) - 2))
    second = data.draw(st.integers(first + 1, len(scalars) - 1))
    editor = Editor(document)
    try:
        editor.set(scalars[second], other)
        editor.set(scalars[first], one)
        editor.set(scalars[second], other)
        edited = editor.apply()
    except PromoteError as error:
        assert_refusal(error)
        return
    for index, value in ((first, one), (second, other)):
        events[scalar_events(events)[index]] = ("scalar", scalars[index].anchor, STRING, value)
    assert read_by_pyyaml(edited.text) == events


@properties
@given(yaml_texts(), st.data())
def test_the_check_sees_every_difference(text: str, data: st.DataObject) -> None:
    position = data.draw(st.integers(0, len(text)))
    removed = data.draw(st.integers(0, 2))
    added = data.draw(st.sampled_from(["", "a", "1", "'", '"', "-", ": ", "\n", "&x ", "*x", "#"]))
    other = text[:position] + added + text[position + removed :]
    document, events = parsed(text)
    changed, other_events = parsed(other)

    is_met = Intent().is_met(document.roots, changed.roots)

    # A document's mark may go and come; all else that a reader gets is the same.
    said = [found for found in events if found[0] != "document"]
    assert not is_met or said == [found for found in other_events if found[0] != "document"]
    assert Intent().is_met(document.roots, document.roots)
    event(f"same: {is_met}")


# Pairs and items.


def event_ranges(document: Document, events: Events) -> dict[int, tuple[int, int]]:
    """Where the events of each node start and end, by the node's identity."""
    ranges: dict[int, tuple[int, int]] = {}
    inside = ("scalar", "alias", "MappingStartEvent", "SequenceStartEvent")
    open_nodes: list[Node] = []
    nodes = nodes_of([root or Scalar(0, 0) for root in document.roots])
    for position, found in enumerate(events):
        if found[0] in inside:
            node = next(nodes)
            ranges[id(node)] = (position, position + 1)
            if str(found[0]).endswith("StartEvent"):
                open_nodes.append(node)
        elif found[0] in ("MappingEndEvent", "SequenceEndEvent"):
            node = open_nodes.pop()
            ranges[id(node)] = (ranges[id(node)][0], position + 1)
    return ranges


def scalar_pair(key: str, value: str) -> Events:
    """The events of a pair of strings."""
    return [("scalar", None, STRING, key), ("scalar", None, STRING, value)]


def drawn(data: st.DataObject, candidates: list[Node]) -> Node:
    """One of some nodes; the example is dropped where there are none."""
    assume(candidates)
    return data.draw(st.sampled_from(range(len(candidates))).map(candidates.__getitem__))


def only_inserted(before: str, after: str) -> bool:
    """Whether one text is another with something put in at one place."""
    start = next(
        (i for i, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), len(before)
    )
    return after.endswith(before[start:]) and len(after) >= len(before)


def mappings_of(document: Document) -> list[Node]:
    """The mappings with pairs."""
    return [n for n in nodes_of(document.roots) if isinstance(n, Mapping) and n.pairs]


STYLES = st.sampled_from(["", "'", '"'])


@properties
@given(yaml_texts(), VALUES, STYLES, st.data())
def test_add_pair(text: str, value: str, style: str, data: st.DataObject) -> None:
    document, events = parsed(text)
    mapping = drawn(data, mappings_of(document))
    assert isinstance(mapping, Mapping)
    key, old = data.draw(st.sampled_from(mapping.pairs))
    editor = Editor(document)
    editor.add_pair(mapping, key, "newTag", value, style)
    try:
        edited = editor.apply()
    except PromoteError as error:
        assert_refusal(error)
        event("refused")
        return
    event("done")
    position = event_ranges(document, events)[id(old)][1]
    events[position:position] = scalar_pair("newTag", value)
    assert read_by_pyyaml(edited.text) == events
    assert only_inserted(text, edited.text)


@properties
@given(yaml_texts(), st.data())
def test_remove_pair(text: str, data: st.DataObject) -> None:
    document, events = parsed(text)
    mapping = drawn(data, [m for m in mappings_of(document) if len(getattr(m, "pairs", ())) > 1])
    assert isinstance(mapping, Mapping)
    key, old = data.draw(st.sampled_from(mapping.pairs))
    try:
        editor = Editor(document)
        editor.remove_pair(mapping, key)
        edited = editor.apply()
    except PromoteError as error:
        assert_refusal(error)
        event("refused")
        return
    event("done")
    ranges = event_ranges(document, events)
    del events[ranges[id(key)][0] : ranges[id(old)][1]]
    assert read_by_pyyaml(edited.text) == events
    assert only_inserted(edited.text, text)


@properties
@given(yaml_texts(), VALUES, st.data())
def test_replace_pair(text: str, value: str, data: st.DataObject) -> None:
    document, events = parsed(text)
    mapping = drawn(data, mappings_of(document))
    assert isinstance(mapping, Mapping)
    key, old = data.draw(st.sampled_from(mapping.pairs))
    try:
        editor = Editor(document)
        editor.replace_pair(mapping, key, "digest", value)
        edited = editor.apply()
    except PromoteError as error:
        assert_refusal(error)
        event("refused")
        return
    event("done")
    ranges = event_ranges(document, events)
    events[ranges[id(key)][0] : ranges[id(old)][1]] = scalar_pair("digest", value)
    assert read_by_pyyaml(edited.text) == events


def mapping_events(pairs: list[tuple[str, str]]) -> Events:
    """The events of a mapping of strings."""
    found: Events = [("MappingStartEvent", None, None)]
    for key, value in pairs:
        found += scalar_pair(key, value)
    return [*found, ("MappingEndEvent",)]


@properties
@given(yaml_texts(), VALUES, STYLES, st.data())
def test_append_item(text: str, value: str, style: str, data: st.DataObject) -> None:
    document, events = parsed(text)
    lists = [n for n in nodes_of(document.roots) if isinstance(n, Sequence)]
    sequence = drawn(data, [n for n in lists if n.flow or n.items])
    assert isinstance(sequence, Sequence)
    pairs = [("name", "shop"), ("newTag", value)]
    editor = Editor(document)
    editor.append_item(sequence, pairs, style)
    try:
        edited = editor.apply()
    except PromoteError as error:
        assert_refusal(error)
        event("refused")
        return
    event("done")
    position = event_ranges(document, events)[id(sequence)][1] - 1
    events[position:position] = mapping_events(pairs)
    assert read_by_pyyaml(edited.text) == events
    assert only_inserted(text, edited.text)


@properties
@given(yaml_texts(), VALUES, st.data())
def test_append_text(text: str, value: str, data: st.DataObject) -> None:
    document, events = parsed(text)
    lists = [n for n in nodes_of(document.roots) if isinstance(n, Sequence)]
    sequence = drawn(data, [n for n in lists if n.flow or n.items])
    assert isinstance(sequence, Sequence)
    editor = Editor(document)
    editor.append_text(sequence, value)
    try:
        edited = editor.apply()
    except PromoteError as error:
        assert_refusal(error)
        event("refused")
        return
    event("done")
    position = event_ranges(document, events)[id(sequence)][1] - 1
    events[position:position] = [("scalar", None, STRING, value)]
    assert read_by_pyyaml(edited.text) == events
    assert only_inserted(text, edited.text)


@properties
@given(yaml_texts(), VALUES, st.data())
def test_add_mapping(text: str, value: str, data: st.DataObject) -> None:
    document, events = parsed(text)
    mapping = drawn(data, mappings_of(document))
    assert isinstance(mapping, Mapping)
    key, old = data.draw(st.sampled_from(mapping.pairs))
    pairs = [("tag", value), ("digest", "sha256:0")]
    editor = Editor(document)
    editor.add_mapping(mapping, key, "ref", pairs)
    try:
        edited = editor.apply()
    except PromoteError as error:
        assert_refusal(error)
        event("refused")
        return
    event("done")
    position = event_ranges(document, events)[id(old)][1]
    events[position:position] = [("scalar", None, STRING, "ref"), *mapping_events(pairs)]
    assert read_by_pyyaml(edited.text) == events
    assert only_inserted(text, edited.text)


@properties
@given(yaml_texts(), VALUES, STYLES)
def test_add_list(text: str, value: str, style: str) -> None:
    document, events = parsed(text)
    root = document.root
    assume(isinstance(root, Mapping) and root.pairs)
    assert isinstance(root, Mapping)
    pairs = [("name", "shop"), ("newTag", value)]
    editor = Editor(document)
    editor.add_list("images", pairs, style)
    try:
        edited = editor.apply()
    except PromoteError as error:
        assert_refusal(error)
        event("refused")
        return
    event("done")
    position = event_ranges(document, events)[id(root)][1] - 1
    key: Events = [("scalar", None, STRING, "images"), ("SequenceStartEvent", None, None)]
    events[position:position] = [*key, *mapping_events(pairs), ("SequenceEndEvent",)]
    assert read_by_pyyaml(edited.text) == events
    assert only_inserted(text, edited.text)


# Quotes.


@properties
@given(VALUES, st.booleans())
def test_what_needs_no_quotes_is_a_string_to_all(value: str, flow: bool) -> None:
    if needs_quotes(value, flow=flow):
        return
    text = f"[{value}]" if flow else f"k: {value}"
    for read in (yaml.safe_load, YAML(typ="safe", pure=True).load, YAML(typ="safe").load):
        # The libyaml of ruamel.yaml refuses a colon in plain text in flow style.
        if not (flow and ":" in value and read != yaml.safe_load):
            assert read(text) == ([value] if flow else {"k": value})


@properties
@given(VALUES, STYLES, st.booleans())
def test_quoted_is_read_as_the_same_string(value: str, style: str, flow: bool) -> None:
    text = quoted(value, style, flow=flow)
    assert "\n" not in text
    whole = f"[{text}, b]" if flow else f"k: {text} # c"
    meant = [value, "b"] if flow else {"k": value}
    assert yaml.safe_load(whole) == meant
    assert YAML(typ="safe", pure=True).load(whole) == meant
    if style and value.isprintable():
        assert text[0] == style


@properties
@given(VALUES)
def test_what_a_reader_takes_for_another_type_needs_quotes(value: str) -> None:
    for load, error in (
        (yaml.safe_load, yaml.YAMLError),
        (YAML(typ="safe", pure=True).load, RuamelError),
    ):
        try:
            read = load(f"k: {value}\n")
        except (error, ValueError, OverflowError):
            continue
        if read != {"k": value}:
            assert needs_quotes(value)
            assert needs_quotes(value, flow=False)


def test_what_needs_no_quotes_is_a_string_to_kustomize(
    tool: Callable[[str], str], tmp_path: Path
) -> None:
    """One file of many values, each plain: kustomize takes nothing but strings there."""
    values: list[str] = []

    @properties
    @given(st.lists(VALUES, min_size=20, max_size=40))
    def collect(drawn_values: list[str]) -> None:
        values.extend(v for v in drawn_values if not needs_quotes(v, flow=False))

    collect()
    pairs = {f"k{number}": value for number, value in enumerate(dict.fromkeys(values))}
    (tmp_path / "resource.yaml").write_text(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: c\n"
    )
    lines = [f"  {key}: {value}\n" for key, value in pairs.items()]
    (tmp_path / "kustomization.yaml").write_text(
        "resources: [resource.yaml]\ncommonAnnotations:\n" + "".join(lines)
    )
    run = subprocess.run(
        [tool("kubectl"), "kustomize", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert len(pairs) > 200
    assert yaml.safe_load(run.stdout)["metadata"]["annotations"] == pairs


# Forms that a random text seldom has.


def edited_text(text: str, value: str, *path: str | int) -> str:
    """A text after a `set` of the node at a path."""
    document = Document.parse(text.encode(), "dir/values.yaml")
    node = document.root
    for step in path:
        node = resolve(node) if node else node
        if isinstance(node, Mapping):
            node = next(v for k, v in node.pairs if isinstance(k, Scalar) and k.value == step)
        elif isinstance(node, Sequence):
            node = node.items[int(step)]
    assert node
    editor = Editor(document)
    editor.set(node, value)
    return editor.apply().text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("a: v1\n", "a: v2\n"),
        ("a: 'v1' # c\n", "a: 'v2' # c\n"),
        ('a: "v1"\n', 'a: "v2"\n'),
        ("a:\n", "a: v2\n"),
        ("a: # c\n", "a: v2 # c\n"),
        ("a:   # c\n", "a: v2   # c\n"),
        ("a: ~\n", "a: v2\n"),
        ("a: 1.10\n", "a: v2\n"),
        ("a: &x v1\nb: *x\n", "a: &x v2\nb: *x\n"),
        ("a: !!str v1\n", "a: !!str v2\n"),
        ("a: &x\n", "a: &x v2\n"),
        ("a: &x # c\n", "a: &x v2 # c\n"),
        ("a: v1\n  v1\nb: 1\n", "a: v2\nb: 1\n"),
        ("a: |-\n  v1\nb: 1\n", "a: |-\n  v2\nb: 1\n"),
        ("a: >-2 # c\n    v1", "a: v2"),
        ("a: |\n  v1\n\n# c\n", "a: v2\n\n# c\n"),
        ("{a: v1, b: 1}", "{a: v2, b: 1}"),
        ("{a: , b: 1}", "{a: v2 , b: 1}"),
        ("{a: }", "{a: v2 }"),
        ("{a: sha256:0, b: 1}", "{a: v2, b: 1}"),
        ("? a\n: v1\n", "? a\n: v2\n"),
        ("a:\r\nb: 1\r\n", "a: v2\r\nb: 1\r\n"),
        ("a: 1\na: v1\n", "a: v2\na: v1\n"),
    ],
)
def test_set(before: str, after: str) -> None:
    if ">-2 # c" in before:
        with pytest.raises(PromoteError, match="several lines"):
            edited_text(before, "v2", "a")
        return
    assert edited_text(before, "v2", "a") == after


@pytest.mark.parametrize(
    ("before", "after"),
    [("-\n- b\n", "- v2\n- b\n"), ("- # c\n- b\n", "- v2 # c\n- b\n"), ("- &x\n", "- &x v2\n")],
)
def test_set_of_an_absent_item(before: str, after: str) -> None:
    assert edited_text(before, "v2", 0) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("---\n\n...\n", "---\n\nv2\n...\n"),
        ("---\n...\n", "---\nv2\n...\n"),
        ("---\n...", "---\nv2\n..."),
        ("---\r\n...\r\n", "---\r\nv2\r\n...\r\n"),
        ("---\r...\r", "---\rv2\r...\r"),
        ("--- \n...\n", "--- \nv2\n...\n"),
        ("--- # c\n...\n", "--- # c\nv2\n...\n"),
        ("--- # c", "--- # c\nv2"),
        ("---\n  # c", "---\n  # c\nv2"),
        ("---\n# c\n---\nb: 1\n", "---\n# c\nv2\n---\nb: 1\n"),
        ("%YAML 1.1\n---\n...\n---\nb: 1\n", "%YAML 1.1\n---\nv2\n...\n---\nb: 1\n"),
        ("---", "--- v2"),
        ("--- ", "--- v2"),
        ("---\n", "---\nv2\n"),
        ("---\r\n\r\n", "---\r\n\r\nv2\r\n"),
        ("--- &x # c\n...\n", "--- &x v2 # c\n...\n"),
    ],
)
def test_set_of_a_document_of_nothing(before: str, after: str) -> None:
    assert edited_text(before, "v2") == after


def test_set_of_a_second_document_of_nothing() -> None:
    document = Document.parse(b"a: 1\n---\n...\n", "dir/values.yaml")
    assert document.roots[1]
    editor = Editor(document)
    editor.set(document.roots[1], "v2")
    assert editor.apply().text == "a: 1\n---\nv2\n...\n"


def test_set_follows_an_alias() -> None:
    assert edited_text("a: &x v1\nb: *x\n", "v2", "b") == "a: &x v2\nb: *x\n"


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        ("a: ${TAG}\n", "${NEW}", "a: ${NEW}\n"),
        ("[{a: v1}]\n", "${NEW}", '[{a: "${NEW}"}]\n'),
        ("a: v1\n", "1e5", 'a: "1e5"\n'),
        ("a: 'v1'\n", "it's", "a: 'it''s'\n"),
        ("a: 'v1'\n", "\x07", 'a: "\\x07"\n'),
        ("a: v1\n", "\U0010ffff\u2028", 'a: "\\U0010ffff\\u2028"\n'),
        ("a: |-\n  v1\n", " v2", 'a: " v2"\n'),
    ],
)
def test_set_quotes_as_it_must(before: str, value: str, after: str) -> None:
    path = (0, "a") if before.startswith("[") else ("a",)
    assert edited_text(before, value, *path) == after


def test_an_alias_keeps_its_target() -> None:
    """A later anchor of one name is not to be taken for the earlier one."""
    document = Document.parse(b"a: &x 1\nb: &x 2\nc: *x\n", "dir/values.yaml")
    root = document.root
    assert isinstance(root, Mapping)
    editor = Editor(document)
    editor.remove_pair(root, root.pairs[1][0])
    with pytest.raises(PromoteError, match="can't be edited safely") as caught:
        editor.apply()
    assert_refusal(caught.value)


@pytest.mark.parametrize("old", ["false", "'false'", '"no"'])
def test_what_is_plain_is_no_string(old: str) -> None:
    text = f"list:\n- name: a # kept\n  flag: {old}\n- {{name: b}}\n"
    document = Document.parse(text.encode(), "f.yaml")
    root = document.root
    assert isinstance(root, Mapping)
    items = root.pairs[0][1]
    assert isinstance(items, Sequence)
    first, last = items.items
    assert isinstance(first, Mapping)
    assert isinstance(last, Mapping)
    editor = Editor(document)

    editor.set(first.pairs[1][1], Plain("true"))
    editor.add_pair(last, last.pairs[0][0], "flag", Plain("true"), "'")
    editor.append_item(items, [("name", "true"), ("flag", Plain("true"))], '"')

    edited = editor.apply().text
    assert edited == (
        "list:\n- name: a # kept\n  flag: true\n- {name: b, flag: true}\n"
        '- name: "true"\n  flag: true\n'
    )


def test_two_values_for_one_place_are_refused() -> None:
    document = Document.parse(b"a: &x v1\nb: *x\n", "dir/values.yaml")
    root = document.root
    assert isinstance(root, Mapping)
    assert isinstance(root.pairs[1][1], Alias)
    editor = Editor(document)
    editor.set(root.pairs[0][1], "v2")
    editor.set(root.pairs[1][1], "v2")
    assert editor.apply().text == "a: &x v2\nb: *x\n"
    with pytest.raises(PromoteError, match="two values"):
        editor.set(root.pairs[1][1], "v3")


def test_edits_that_overlap_are_refused() -> None:
    document = Document.parse(b"a: v1\nb: 1\n", "dir/values.yaml")
    root = document.root
    assert isinstance(root, Mapping)
    editor = Editor(document)
    editor.set(root.pairs[0][1], "v2")
    editor.remove_pair(root, root.pairs[0][0])
    with pytest.raises(PromoteError, match="can't be edited safely"):
        editor.apply()


def test_nothing_to_do_is_the_same_document() -> None:
    document = Document.parse(b"a: v1\n", "dir/values.yaml")
    editor = Editor(document)
    assert isinstance(document.root, Mapping)
    editor.set(document.root.pairs[0][1], "v1")
    assert editor.apply() is document


@pytest.mark.parametrize(
    ("text", "value", "outcome"),
    [
        ('- A="1.0" # c\n', 'A="1.10"', '- A="1.10" # c\n'),
        ("- 'A=''1.0'''\n", "A='2'", "- 'A=''2'''\n"),
        ('- "A=\\"1.0\\""\n', 'A="2"', '- "A=\\"2\\""\n'),
        ("- A=1.0\n", "A=1.0", "- A=1.0\n"),
        ("- 1.0\n", "2.0", None),
        ("- A=1\n", "A=1 # 2", None),
    ],
)
def test_reword_changes_what_differs(text: str, value: str, outcome: str | None) -> None:
    document = Document.parse(text.encode(), "dir/values.yaml")
    (scalar,) = scalars_of(document)
    editor = Editor(document)

    editor.reword(scalar, value)

    if outcome is None:
        with pytest.raises(PromoteError, match="can't be edited safely"):
            editor.apply()
    else:
        assert editor.apply().text == outcome


def test_the_check_sees_a_wrong_span() -> None:
    """Were a position wrong, the outcome would be an error and no wrong file."""
    document = Document.parse(b"a: v1\nb: v1\n", "dir/values.yaml")
    root = document.root
    assert isinstance(root, Mapping)
    wrong = root.pairs[0][1]
    assert isinstance(wrong, Scalar)
    shifted = replace(wrong, start=root.pairs[1][1].start, end=root.pairs[1][1].end)
    root.pairs[0] = (root.pairs[0][0], shifted)
    editor = Editor(document)
    editor.set(shifted, "v2")
    with pytest.raises(PromoteError, match="can't be edited safely"):
        editor.apply()


@pytest.mark.parametrize(
    "content", [b"a: \xff\n", b"\xff\xfea\x00:\x00 \x00\x00\xd8", b"\xef\xbb\xbf\xff"]
)
def test_what_is_no_text(content: bytes) -> None:
    with pytest.raises(PromoteError, match="this file is not UTF-") as caught:
        Document.parse(content, "dir/values.yaml")
    assert_refusal(caught.value)
