"""Edits of a YAML file that touch the bytes meant and no others.

An edit is a splice: the span of a scalar, a pair or an item is replaced, everything else stays as
it is, comments, quotes, order, line ends and byte order mark included. What comes out is parsed
again and compared with what was meant, so that a wrong span is an error and never a wrong file.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Sequence as Seq
from dataclasses import dataclass, field, replace

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.yaml_tree import (
    Alias,
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_pair,
    line_of,
    parse,
    resolve,
)

_BOMS = (
    # UTF-32 is not looked for: go-yaml, which reads these files in the end, does not know it.
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_STRING_TAGS = (None, "!", "tag:yaml.org,2002:str")
_LINE_REST = re.compile(r"[^\r\n]*")
_LINE_BREAK = re.compile(r"\r\n|\r|\n")

# Plain text that needs no second thought about indicators, in block and in flow context.
_PLAIN = re.compile(r"[A-Za-z0-9_./$+](?:[A-Za-z0-9_./$+@=-]|:(?=[A-Za-z0-9_./$+@=-]))*", re.ASCII)
# Everything that the types of YAML 1.1 (yaml.org/type), the core schema of YAML 1.2 and go-yaml
# (which drops any `_` of a number, and takes upper case prefixes) read as other than a string.
_NOT_A_STRING = re.compile(
    r"""
    | ~ | null | y | n | yes | no | true | false | on | off | = | <<
    | [-+]? (?: 0b[01]+ | 0o[0-7]+ | 0x[0-9a-f]+ )
    | [-+]? (?: [0-9]+ (?: \.[0-9]* )? | \.[0-9]+ ) (?: e[-+]?[0-9]+ )?
    | [-+]? [0-9]+ (?: :[0-9]+ )+ (?: \.[0-9]* )?
    | [-+]? \.inf | \.nan
    | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2} (?: [t\s] .* )?
    """,
    re.VERBOSE | re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class Document:
    """A YAML file: its text, the node tree of its first document, and how it is encoded.

    kustomize and Helm read the first document of a file and no other, and so does this.
    """

    path: str
    text: str
    root: Node | None
    bom: bytes = b""
    encoding: str = "utf-8"
    roots: tuple[Node | None, ...] = ()

    @classmethod
    def parse(cls, content: bytes, path: str) -> Document:
        """Read a file.

        Args:
            content: Its bytes.
            path: Its path, for messages.

        Returns:
            The document.

        Raises:
            PromoteError: The bytes are not text, or the text is not YAML.
        """
        bom, encoding = next((b for b in _BOMS if content.startswith(b[0])), (b"", "utf-8"))
        try:
            text = content[len(bom) :].decode(encoding)
        except UnicodeDecodeError as error:
            raise PromoteError(
                f"this file is not {encoding.upper()} text: {error.reason}.",
                "Save it as UTF-8.",
                path=path,
                line=content.count(b"\n", 0, error.start) + 1,
            ) from None
        return cls._of(text, path, bom, encoding)

    @classmethod
    def _of(cls, text: str, path: str, bom: bytes, encoding: str) -> Document:
        roots = tuple(parse(text, path))
        return cls(path, text, roots[0] if roots else None, bom, encoding, roots)

    def with_text(self, text: str) -> Document:
        """The same file with another text."""
        return self._of(text, self.path, self.bom, self.encoding)

    def encode(self) -> bytes:
        """The file's bytes."""
        return self.bom + self.text.encode(self.encoding)

    def line(self, node: Node) -> int:
        """The line of a node, counted from 1."""
        return line_of(self.text, node.start)

    @property
    def newline(self) -> str:
        """The line end that the file uses, that of its first line."""
        found = _LINE_BREAK.search(self.text)
        return found.group() if found else "\n"

    def error(self, what: str, fix: str, node: Node | None = None) -> PromoteError:
        """An error that names this file, and the line of `node` if one is given."""
        return PromoteError(what, fix, path=self.path, line=self.line(node) if node else 0)


def needs_quotes(value: str) -> bool:
    """Whether a plain scalar of this text could be read as anything but that string.

    Args:
        value: The text.

    Returns:
        True where YAML 1.1, YAML 1.2 or go-yaml would read a number, a truth value, null, a date
        or an indicator.
    """
    return not _PLAIN.fullmatch(value) or bool(
        _NOT_A_STRING.fullmatch(value) or _NOT_A_STRING.fullmatch(value.replace("_", ""))
    )


def is_string(node: Node) -> bool:
    """Whether every reader takes a node for a string."""
    if not isinstance(node, Scalar) or node.tag not in _STRING_TAGS:
        return False
    return bool(node.style or node.tag or not _NOT_A_STRING.fullmatch(node.value))


def quoted(value: str, style: str = "") -> str:
    """A string as a scalar on one line.

    Args:
        value: The string.
        style: The quotes to use, ``'`` or ``"``; empty for plain where that is safe.

    Returns:
        The scalar's text.
    """
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if not style and not needs_quotes(value):
        return value
    return '"' + "".join(map(_escape, value)) + '"'


def _escape(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    if character.isprintable() and character != "\ufeff":
        return character
    code = ord(character)
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


@dataclass(frozen=True)
class _Splice:
    start: int
    end: int
    text: str


@dataclass
class Editor:
    """Collects the edits of one document, and applies them all or none."""

    document: Document
    _splices: list[_Splice] = field(default_factory=list)
    # What is meant, by the identity of the node it is about; `apply` checks the outcome by it.
    _replaced: dict[int, Node] = field(default_factory=dict)
    _removed: set[int] = field(default_factory=set)
    _pairs: dict[int, list[tuple[int, tuple[Node, Node]]]] = field(default_factory=dict)
    _items: dict[int, list[Node]] = field(default_factory=dict)

    def set(self, node: Node, value: str) -> None:
        """Give a scalar another value, in the style it has.

        Args:
            node: The scalar, or an alias of it: then the anchored scalar is changed.
            value: The new value.

        Raises:
            PromoteError: The node is no scalar, or one whose form leaves no room for a string.
        """
        scalar = resolve(node)
        if not isinstance(scalar, Scalar) or scalar.tag not in _STRING_TAGS:
            kind = scalar.tag if isinstance(scalar, Scalar) else type(scalar).__name__.lower()
            raise self.document.error(
                f"a version can't stand here: this is a {kind}.", "Name a string's key.", node
            )
        if scalar.value == value and is_string(scalar):
            return
        text, start, end = quoted(value, scalar.style), scalar.start, scalar.end
        if scalar.style in ("|", ">"):
            text, end = self._block_scalar(scalar, value)
        elif start == end and start and self.document.text[start - 1] not in " \t\r\n":
            text = " " + text
        self._splices.append(_Splice(start, end, text))
        self._replaced[id(scalar)] = replace(scalar, value=value, style='"')

    def add_pair(self, mapping: Mapping, after: Node, key: str, value: str, style: str) -> None:
        """Add a pair to a mapping, in the style of its neighbours.

        Args:
            mapping: A mapping that is not empty.
            after: The key that the new pair follows.
            key: The new key.
            value: The new value.
            style: The quotes of the value, as in `quoted`.
        """
        index = self._index(mapping, after)
        name, old = mapping.pairs[index]
        pair = self._pair(name, key, value, style)
        end = self._content_end(old)
        if mapping.flow:
            self._insert(end, f", {pair}")
        else:
            indent = " " * self._column_of(name.start)
            self._insert(self._line_end(end), f"{self.document.newline}{indent}{pair}")
        added = self._pairs.setdefault(id(mapping), [])
        added.append((index, (_string(key), _string(value))))

    def replace_pair(self, mapping: Mapping, key: Node, new_key: str, value: str) -> None:
        """Put another key and value where a pair of two scalars stands.

        Args:
            mapping: The mapping.
            key: The pair's key.
            new_key: The key in its place.
            value: The value in place of the pair's.

        Raises:
            PromoteError: The key or the value can't be replaced where it stands.
        """
        name, old = mapping.pairs[self._index(mapping, key)]
        if isinstance(old, Alias):
            raise self.document.error(
                f"`{new_key}` can't take the place of an alias.",
                "Write the value out in the config repository first.",
                old,
            )
        self.set(name, new_key)
        self.set(old, value)

    def remove_pair(self, mapping: Mapping, key: Node) -> None:
        """Remove a pair, with its line in a block mapping.

        Args:
            mapping: A mapping with at least one other pair.
            key: The pair's key.

        Raises:
            PromoteError: The pair can't be removed without touching others.
        """
        index = self._index(mapping, key)
        name, value = mapping.pairs[index]
        text = self.document.text
        end = self._content_end(value)
        if mapping.flow:
            start, end = self._flow_span(mapping, index, end)
        elif not text[self._line_start(name.start) : name.start].strip():
            start, end = self._whole_lines(name.start, end)
        else:
            # The first pair of a list's item: the next one moves up behind the dash.
            start = name.start
            end = mapping.pairs[index + 1][0].start if index + 1 < len(mapping.pairs) else end
            if len(_LINE_BREAK.findall(text, start, end)) > 1:
                raise self.document.error(
                    "this line can't be removed: others stand between it and the next key.",
                    "Remove it in the config repository first.",
                    name,
                )
        self._splices.append(_Splice(start, end, ""))
        self._removed.add(id(name))

    def append_item(self, sequence: Sequence, pairs: Seq[tuple[str, str]], style: str) -> None:
        """Append a mapping to a sequence, in the style of its last item.

        Args:
            sequence: The sequence.
            pairs: The mapping's keys and values.
            style: The quotes of the values, as in `quoted`.
        """
        if sequence.flow:
            item = self._flow_item(sequence, pairs, style)
            if sequence.items:
                self._insert(self._content_end(sequence.items[-1]), ", " + item)
            else:
                self._insert(sequence.start + 1, item)
        else:
            last = sequence.items[-1]
            dash = self._dash(last)
            gap = self.document.text[dash + 1 : last.start]
            indent = " " * self._column_of(dash)
            lines = self._item_lines(pairs, style, indent, gap if gap.strip(" ") == "" else " ")
            end = self._line_end(self._content_end(last))
            self._insert(end, self._blank_line_before(sequence) + "".join(lines))
        self._items.setdefault(id(sequence), []).append(_mapping(pairs))

    def add_list(self, key: str, pairs: Seq[tuple[str, str]], style: str) -> None:
        """Add a list with one mapping to the document's root, at its end.

        Args:
            key: The list's key; its value is null where it is there already.
            pairs: The mapping's keys and values.
            style: The quotes of the values, as in `quoted`.

        Raises:
            PromoteError: The root is no mapping.
        """
        root = self.document.root
        if not isinstance(root, Mapping) or not root.pairs:
            raise self.document.error("this file holds no mapping.", "Name another target.")
        present = find_pair(root, key)
        added = Sequence(0, 0, items=[_mapping(pairs)])
        if present:
            self._fill(root, present, pairs, style)
            self._replaced[id(present[1])] = added
            return
        last = len(root.pairs) - 1
        if root.flow:
            quote = _style_of(root.pairs[0][0])
            body = f"{quoted(key, quote)}: [{_flow_mapping(pairs, quote, style)}]"
            self._insert(self._content_end(root.pairs[last][1]), f", {body}")
        else:
            self._insert_at_end(root, key, pairs, style)
        self._pairs.setdefault(id(root), []).append((last, (_string(key), added)))

    def apply(self) -> Document:
        """Apply the edits, and check the outcome.

        Returns:
            The edited document; the same one where nothing was to be done.

        Raises:
            PromoteError: The edited text would not say what was meant, and only that.
        """
        if not self._splices:
            return self.document
        text = self.document.text
        ordered = sorted(enumerate(self._splices), key=lambda item: (item[1].start, item[0]))
        for _, splice in reversed(ordered):
            text = text[: splice.start] + splice.text + text[splice.end :]
        problem = self.document.error(
            "this file can't be edited safely here: its form is too unusual.",
            "Write the image in plain block style in the config repository first.",
        )
        try:
            edited = self.document.with_text(text)
        except PromoteError:
            raise problem from None
        if list(self._flatten()) != list(Editor(edited)._flatten()):
            raise problem
        return edited

    def _insert(self, offset: int, text: str) -> None:
        self._splices.append(_Splice(offset, offset, text))

    def _index(self, mapping: Mapping, key: Node) -> int:
        return next(i for i, (name, _) in enumerate(mapping.pairs) if name is key)

    def _pair(self, neighbour: Node, key: str, value: str, style: str) -> str:
        quote = _style_of(neighbour)
        return f"{quoted(key, quote)}: {quoted(value, style or quote)}"

    def _block_scalar(self, scalar: Scalar, value: str) -> tuple[str, int]:
        """A block scalar of one line, written as that line, or as a plain scalar where it adds
        a line end to the value."""
        end = self._content_end(scalar)
        header, *lines = _LINE_BREAK.split(self.document.text[scalar.start : end])
        if len(lines) != 1 or "#" in header:
            raise self.document.error(
                "the version is written as a text of several lines.",
                "Write it on one line in the config repository first.",
                scalar,
            )
        return quoted(value), end

    def _flow_item(self, sequence: Sequence, pairs: Seq[tuple[str, str]], style: str) -> str:
        last = sequence.items[-1] if sequence.items else None
        like = last.pairs[0][0] if isinstance(last, Mapping) and last.pairs else None
        return _flow_mapping(pairs, _style_of(like), style)

    def _fill(
        self, root: Mapping, present: tuple[Node, Node], pairs: Seq[tuple[str, str]], style: str
    ) -> None:
        """Put a list's only item where null stands."""
        key, null = present
        if null.start < null.end or root.flow:
            quote = _style_of(key)
            space = "" if self.document.text[null.start - 1].isspace() else " "
            text = f"{space}[{_flow_mapping(pairs, quote, style)}]"
            self._splices.append(_Splice(null.start, null.end, text))
        else:
            lines = self._item_lines(pairs, style, self._list_indent(root, key), " ")
            self._insert(self._line_end(null.end), "".join(lines))

    def _insert_at_end(
        self, root: Mapping, key: str, pairs: Seq[tuple[str, str]], style: str
    ) -> None:
        first = root.pairs[0][0]
        lines = self._item_lines(pairs, style, self._list_indent(root, first), " ")
        end, newline = self._root_end(), self.document.newline
        text = " " * self._column_of(first.start) + f"{key}:" + "".join(lines)
        if end and self.document.text[end - 1] not in "\r\n":
            self._insert(end, newline + text)
        else:
            self._insert(end, text + newline)

    def _item_lines(
        self, pairs: Seq[tuple[str, str]], style: str, indent: str, gap: str
    ) -> list[str]:
        newline, lines = self.document.newline, []
        for number, (key, value) in enumerate(pairs):
            # A name is quoted only where it must be; the style is that of versions.
            text = quoted(value, style if key not in ("name", "newName") else "")
            lead = f"-{gap}" if number == 0 else " " * (1 + len(gap))
            lines.append(f"{newline}{indent}{lead}{key}: {text}")
        return lines

    def _blank_line_before(self, sequence: Sequence) -> str:
        """A line end where the items of a list are parted by blank lines."""
        if len(sequence.items) < 2:
            return ""
        before, last = sequence.items[-2:]
        between = self.document.text[self._content_end(before) : last.start]
        breaks = re.findall(r"(?:\r\n|\r|\n)[ \t]*(?=\r|\n)", between)
        return self.document.newline if breaks else ""

    def _list_indent(self, root: Mapping, beside: Node) -> str:
        """The white space before the dashes of a list under a root key, as in other lists."""
        column = self._column_of(beside.start)
        for key, value in root.pairs:
            if isinstance(value, Sequence) and not value.flow and value.items:
                dash = self._column_of(self._dash(value.items[0]))
                return " " * (column + max(dash - self._column_of(key.start), 0))
        return " " * column

    def _root_end(self) -> int:
        """The end of the first document: before `---` or `...`, else the end of the text."""
        root = self.document.root
        found = re.compile(r"^(?:---|\.\.\.)(?=\s|$)", re.MULTILINE).search(
            self.document.text, root.end if root else 0
        )
        return found.start() if found else len(self.document.text)

    def _content_end(self, node: Node) -> int:
        text = self.document.text
        end = max(node.end, node.start)
        while end > node.start and text[end - 1] in " \t\r\n":
            end -= 1
        return end

    def _line_start(self, offset: int) -> int:
        text = self.document.text
        return max(text.rfind("\n", 0, offset), text.rfind("\r", 0, offset)) + 1

    def _line_end(self, offset: int) -> int:
        found = _LINE_REST.match(self.document.text, offset)
        return found.end() if found else offset

    def _column_of(self, offset: int) -> int:
        return offset - self._line_start(offset)

    def _dash(self, item: Node) -> int:
        """The offset of the dash of a block sequence's item."""
        text = self.document.text
        dash = text.rindex("-", 0, item.start)
        while not text[dash + 1].isspace():
            dash = text.rindex("-", 0, dash)
        return dash

    def _whole_lines(self, start: int, end: int) -> tuple[int, int]:
        text = self.document.text
        start, end = self._line_start(start), self._line_end(end)
        found = _LINE_BREAK.match(text, end)
        if found:
            return start, found.end()
        before = re.search(r"(?:\r\n|\r|\n)\Z", text[:start])
        return (before.start() if before else start), end

    def _flow_span(self, mapping: Mapping, index: int, end: int) -> tuple[int, int]:
        if index:
            before = mapping.pairs[index - 1]
            return max(self._content_end(before[1]), before[0].end), end
        if len(mapping.pairs) > 1:
            return mapping.pairs[0][0].start, mapping.pairs[1][0].start
        return mapping.start + 1, end

    def _flatten(self) -> Iterator[tuple[object, ...]]:
        """The document as it is to be, node by node, for comparison."""
        stack: list[Node | None] = list(reversed(self.document.roots))
        while stack:
            node = stack.pop()
            node = self._replaced.get(id(node), node)
            if isinstance(node, Scalar):
                yield ("scalar", node.anchor, node.tag, node.value, is_string(node))
            elif isinstance(node, Alias):
                yield ("alias", node.target.anchor if node.target else None)
            elif isinstance(node, Mapping):
                pairs = self._pairs_meant(node)
                yield ("mapping", node.anchor, node.tag, len(pairs))
                stack.extend(part for pair in reversed(pairs) for part in reversed(pair))
            elif isinstance(node, Sequence):
                items = node.items + self._items.get(id(node), [])
                yield ("sequence", node.anchor, node.tag, len(items))
                stack.extend(reversed(items))
            else:
                yield ("empty",)

    def _pairs_meant(self, mapping: Mapping) -> list[tuple[Node, Node]]:
        pairs: list[tuple[Node, Node]] = []
        added = self._pairs.get(id(mapping), [])
        for index, pair in enumerate(mapping.pairs):
            if id(pair[0]) not in self._removed:
                pairs.append(pair)
            pairs.extend(new for after, new in added if after == index)
        return pairs


# Nodes that only the check after an edit sees: they stand nowhere in the text.


def _string(value: str) -> Scalar:
    return Scalar(0, 0, value=value, style='"')


def _mapping(pairs: Seq[tuple[str, str]]) -> Mapping:
    return Mapping(0, 0, pairs=[(_string(key), _string(value)) for key, value in pairs])


def _flow_mapping(pairs: Seq[tuple[str, str]], quote: str, style: str) -> str:
    body = ", ".join(f"{quoted(k, quote)}: {quoted(v, style or quote)}" for k, v in pairs)
    return "{" + body + "}"


def _style_of(node: Node | None) -> str:
    return node.style if isinstance(node, Scalar) and node.style in ("'", '"') else ""
