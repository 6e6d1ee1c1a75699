"""Edits of a YAML file that touch the bytes meant and no others.

An edit is a splice: the span of a scalar, a pair or an item is replaced, everything else stays as
it is, comments, quotes, order, line ends and byte order mark included. What comes out is parsed
again and compared with what was meant, so that a wrong span is an error and never a wrong file.
"""

from __future__ import annotations

import re
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.yaml import layout
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.embedded import splice_text
from gitops_promote.core.yaml.intent import Intent
from gitops_promote.core.yaml.quoting import STRING_TAGS, is_string, quoted, quotes_of
from gitops_promote.core.yaml.tree import (
    Alias,
    Mapping,
    Node,
    Scalar,
    Sequence,
    find_pair,
    resolve,
)

# What parts two items in flow style, when no comment stands between them.
_FLOW_SEPARATOR = re.compile(r"\s*,\s*")
# A line that a document of nothing may have its place at the end of.
_COMMENT = re.compile(r"(?:---(?=[ \t]))?[ \t]*#")
# A block scalar that is one line and ends with it.
_ONE_LINE_BLOCK = re.compile(r"[|>](?:[1-9]-|-[1-9]?)[ \t]*(?:\r?\n|\r) *([^\s][^\r\n]*)")


@dataclass(frozen=True, order=True)
class _Splice:
    start: int
    end: int
    order: int
    text: str


@dataclass
class Editor:
    """Collects the edits of one document, and applies them all or none."""

    document: Document
    _splices: list[_Splice] = field(default_factory=list)
    _intent: Intent = field(default_factory=Intent)
    _inner: dict[int, Editor] = field(default_factory=dict)

    def of(self, document: Document) -> Editor:
        """The editor of a document: this one, or that of a text inside.

        Args:
            document: This editor's document, or one that is embedded in it.

        Returns:
            The editor, always the same one; what it collects is applied with this one's edits.
        """
        if document.holder is None or document is self.document:
            return self
        return self._inner.setdefault(id(document.holder), Editor(document))

    def set(self, node: Node, value: str) -> None:
        """Give a scalar another value, in the style it has.

        Args:
            node: The scalar, or an alias of it: then the anchored scalar is changed.
            value: The new value.

        Raises:
            PromoteError: The node is no scalar, or one whose form leaves no room for a string,
                or another value was already meant for it.
        """
        scalar = resolve(node)
        if not isinstance(scalar, Scalar) or scalar.tag not in STRING_TAGS:
            kind = scalar.tag if isinstance(scalar, Scalar) else type(scalar).__name__.lower()
            raise self.document.error(
                f"a version can't stand here: this is a {kind}.", "Name a string's key.", node
            )
        meant = self._intent.current(scalar)
        if isinstance(meant, Scalar) and meant.value == value and is_string(meant):
            return
        if meant is not scalar:
            raise self.document.error(
                "this one place is meant to hold two values.",
                "Give each image its own value in the config repository first.",
                scalar,
            )
        start, end, text = self._scalar_splice(scalar, value)
        self._splice(start, end, text)
        self._intent.set(scalar, value)

    def reword(self, scalar: Scalar, value: str) -> None:
        """Give a scalar another text, as `set`, in the bytes that change and no others.

        Args:
            scalar: The scalar.
            value: The new text; as much of it as is new must need no quotes where it stands.

        Raises:
            PromoteError: As `set`.
        """
        is_new = scalar.value != value and self._intent.current(scalar) is scalar
        found = splice_text(self.document.text, scalar, value) if is_new else None
        if found is None:
            self.set(scalar, value)
            return
        self._splice(*found)
        self._intent.set(scalar, value)

    def add_pair(self, mapping: Mapping, after: Node, key: str, value: str, style: str) -> None:
        """Add a pair to a mapping, in the style of its neighbours.

        Args:
            mapping: A mapping that is not empty.
            after: The key that the new pair follows.
            key: The new key.
            value: The new value.
            style: The quotes of the value, as in `quoted`.
        """
        index = _index(mapping, after)
        name, old = mapping.pairs[index]
        quotes = quotes_of(resolve(name))
        pair = f"{quoted(key, quotes)}: {quoted(value, style or quotes)}"
        end = self._content_end(old)
        if mapping.flow:
            self._insert(end, self._separator(mapping.pairs) + pair)
        else:
            indent = " " * self._column_of(mapping)
            self._insert(self._line_end(end), f"{self.document.newline}{indent}{pair}")
        self._intent.add_pair(mapping, index, key, value)

    def add_mapping(
        self, mapping: Mapping, after: Node, key: str, pairs: Seq[tuple[str, str]]
    ) -> None:
        """Add a pair to a mapping whose value is a mapping of scalars.

        Args:
            mapping: A mapping that is not empty.
            after: The key that the new pair follows.
            key: The new key.
            pairs: The keys and values of its mapping.
        """
        index = _index(mapping, after)
        name, old = mapping.pairs[index]
        quotes = quotes_of(resolve(name))
        end = self._content_end(old)
        if mapping.flow:
            body = f"{quoted(key, quotes)}: {_flow_mapping(pairs, quotes, '')}"
            self._insert(end, self._separator(mapping.pairs) + body)
        else:
            indent = self.document.newline + " " * self._column_of(mapping)
            lines = "".join(f"{indent}  {quoted(k)}: {quoted(v)}" for k, v in pairs)
            self._insert(self._line_end(end), f"{indent}{quoted(key, quotes)}:{lines}")
        self._intent.add_mapping(mapping, index, key, pairs)

    def replace_pair(self, mapping: Mapping, key: Node, new_key: str, value: str) -> None:
        """Put another key and value where a pair of two scalars stands.

        Args:
            mapping: The mapping.
            key: The pair's key.
            new_key: The key in its place.
            value: The value in place of the pair's.

        Raises:
            PromoteError: The key or the value can't be replaced where it stands, or an anchor
                ties it to other places, which would take over the new one's value.
        """
        name, old = mapping.pairs[_index(mapping, key)]
        if any(isinstance(node, Alias) or node.anchor for node in (name, old)):
            raise self.document.error(
                f"`{new_key}` can't take the place of an alias or an anchor.",
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
        index = _index(mapping, key)
        name, value = mapping.pairs[index]
        text, end = self.document.text, self._content_end(value)
        if mapping.flow:
            start, end = self._flow_span(mapping, index, end)
        elif not text[layout.line_start(text, name.start) : name.start].strip():
            start, end = layout.whole_lines(text, name.start, end)
        else:
            start, end = self._first_of_item(mapping, index, end)
        self._splice(start, end, "")
        self._intent.remove_pair(name)

    def append_item(self, sequence: Sequence, pairs: Seq[tuple[str, str]], style: str) -> None:
        """Append a mapping to a sequence, in the style of its last item.

        Args:
            sequence: The sequence; in block style it has an item.
            pairs: The mapping's keys and values.
            style: The quotes of the values, as in `quoted`.
        """
        last = sequence.items[-1] if sequence.items else None
        if sequence.flow:
            self._append(sequence, _flow_mapping(pairs, _key_quotes(last), style))
        else:
            indent, gap = self._before_item(sequence)
            self._append(sequence, self._item_lines(pairs, style, indent, gap))
        self._intent.append_item(sequence, pairs)

    def append_text(self, sequence: Sequence, value: str) -> None:
        """Append a string to a sequence, in the style of its last item.

        Args:
            sequence: The sequence; in block style it has an item.
            value: The string.
        """
        text = quoted(value, quotes_of(sequence.items[-1]) if sequence.items else "")
        if sequence.flow:
            self._append(sequence, text)
        else:
            indent, gap = self._before_item(sequence)
            self._append(sequence, f"{self.document.newline}{indent}-{gap}{text}")
        self._intent.append_text(sequence, value)

    def add_list(self, key: str, pairs: Seq[tuple[str, str]], style: str) -> None:
        """Add a list with one mapping to the document's root, at its end.

        Args:
            key: The list's key; where it is there already, its value is null or an empty list.
            pairs: The mapping's keys and values.
            style: The quotes of the values, as in `quoted`.

        Raises:
            PromoteError: The root is no mapping.
        """
        root = self.document.root
        if not isinstance(root, Mapping) or not root.pairs:
            raise self.document.error("this file holds no mapping.", "Name another target.")
        present = find_pair(root, key)
        if present:
            self._fill(root, present, pairs, style)
            self._intent.fill(present[1], pairs)
            return
        if root.flow:
            quotes = _key_quotes(root)
            body = f"{quoted(key, quotes)}: [{_flow_mapping(pairs, quotes, style)}]"
            end = self._content_end(root.pairs[-1][1])
            self._insert(end, self._separator(root.pairs) + body)
        else:
            self._insert_at_end(root, key, pairs, style)
        self._intent.add_list(root, key, pairs)

    def apply(self) -> Document:
        """Apply the edits, and check the outcome.

        Returns:
            The edited document; the same one where nothing was to be done.

        Raises:
            PromoteError: The edited text would not say what was meant, and only that.
        """
        for inner in self._inner.values():
            self._embed(inner)
        if not self._splices:
            return self.document
        problem = PromoteError(
            "this file can't be edited safely here: its form is too unusual.",
            "Write the image in plain block style in the config repository first.",
            path=self.document.path,
            line=layout.line_of(self.document.text, min(self._splices).start),
        )
        text = self._spliced()
        if text is None:
            raise problem
        try:
            edited = self.document.with_text(text)
        except PromoteError:
            raise problem from None
        if not self._intent.is_met(self.document.roots, edited.roots):
            raise problem
        return edited

    def _embed(self, inner: Editor) -> None:
        """Put the outcome of an inner editor into the scalar that holds its document."""
        holder, edited = inner.document.holder, inner.apply()
        if holder is None or edited is inner.document:
            return
        found = splice_text(self.document.text, holder, edited.text)
        if found is None:
            raise self.document.error(
                "the YAML in this text can't be edited: its lines are folded.",
                "Write it as a literal block, behind `|`.",
                holder,
            )
        self._splice(*found)
        self._intent.set(holder, edited.text)

    def _spliced(self) -> str | None:
        """The text with all edits; None where two of them overlap."""
        text, done, parts = self.document.text, 0, []
        # In order of their ends, too: what is inserted where a removed span starts comes first.
        for splice in sorted(self._splices):
            if splice.start < done:
                return None
            parts += [text[done : splice.start], splice.text]
            done = splice.end
        return "".join(parts) + text[done:]

    def _splice(self, start: int, end: int, text: str) -> None:
        self._splices.append(_Splice(start, end, len(self._splices), text))

    def _insert(self, offset: int, text: str) -> None:
        self._splice(offset, offset, text)

    def _scalar_splice(self, scalar: Scalar, value: str) -> tuple[int, int, str]:
        """The span of a scalar's content and the text that takes its place."""
        text, start, end = self.document.text, scalar.start, scalar.end
        if scalar.style in ("|", ">"):
            return self._block_scalar_splice(scalar, value)
        content = quoted(value, scalar.style, flow=scalar.flow)
        if start < end or start == 0:
            return start, end, content
        line = text[layout.line_start(text, start) : start]
        if not line:
            # A document of nothing: its place is the line of the mark behind it, or the last.
            return start, end, content + self.document.newline
        if _COMMENT.match(line):
            return start, end, self.document.newline + content
        return start, end, ("" if line[-1] in " \t" else " ") + content

    def _block_scalar_splice(self, scalar: Scalar, value: str) -> tuple[int, int, str]:
        """A block scalar's only line; all of it where its form would add a line end to a value."""
        end = self._content_end(scalar)
        body = self.document.text[scalar.start : end]
        found = _ONE_LINE_BLOCK.fullmatch(body)
        if found and found[1] == scalar.value and value.isprintable() and value.strip() == value:
            return scalar.start + found.start(1), end, value
        header, *lines = layout.LINE_BREAK.split(body)
        if len(lines) != 1 or "#" in header:
            raise self.document.error(
                "the version is written as a text of several lines.",
                "Write it on one line in the config repository first.",
                scalar,
            )
        return scalar.start, end, quoted(value, flow=False)

    def _fill(
        self, root: Mapping, present: tuple[Node, Node], pairs: Seq[tuple[str, str]], style: str
    ) -> None:
        """Put a list's only item where null or an empty list stands."""
        key, old = present
        text = self.document.text
        bare = old.anchor is None and old.tag is None
        if bare and not root.flow and not layout.LINE_BREAK.search(text, key.end, old.end):
            start = layout.trimmed_end(text, key.end, old.start)
            if start < old.end:
                self._splice(start, old.end, "")
            lines = self._item_lines(pairs, style, self._list_indent(root), " ")
            self._insert(self._line_end(old.end), lines)
            return
        item = _flow_mapping(pairs, quotes_of(key), style)
        if isinstance(old, Sequence):
            self._insert(old.start + 1, item)
        else:
            space = "" if text[old.start - 1].isspace() else " "
            self._splice(old.start, old.end, f"{space}[{item}]")

    def _insert_at_end(
        self, root: Mapping, key: str, pairs: Seq[tuple[str, str]], style: str
    ) -> None:
        text = self.document.text
        lines = self._item_lines(pairs, style, self._list_indent(root), " ")
        end, newline = layout.document_end(text, root.end), self.document.newline
        added = " " * self._column_of(root) + f"{key}:{lines}"
        if end and text[end - 1] not in "\r\n":
            self._insert(end, newline + added)
        else:
            self._insert(end, added + newline)

    def _item_lines(self, pairs: Seq[tuple[str, str]], style: str, indent: str, gap: str) -> str:
        """A list's item in block style, each line with the line end before it."""
        lines = ""
        for number, (key, value) in enumerate(pairs):
            # A name is quoted only where it must be; the style is that of versions.
            text = quoted(value, style if key not in ("name", "newName") else "")
            lead = f"-{gap}" if number == 0 else " " * (1 + len(gap))
            lines += f"{self.document.newline}{indent}{lead}{key}: {text}"
        return lines

    def _append(self, sequence: Sequence, item: str) -> None:
        """Put an item's text behind the last one of a sequence."""
        last = sequence.items[-1] if sequence.items else None
        if last is None:
            self._insert(sequence.start + 1, item)
        elif sequence.flow:
            self._insert(self._content_end(last), self._separator(sequence.items) + item)
        else:
            end = self._line_end(self._content_end(last))
            self._insert(end, self._blank_line_before(sequence) + item)

    def _before_item(self, sequence: Sequence) -> tuple[str, str]:
        """The white space before and behind the dash of a block sequence's last item."""
        dash = self._dash(sequence)
        gap = self.document.text[dash + 1 : sequence.items[-1].start]
        indent = " " * layout.column_of(self.document.text, dash)
        return indent, " " if gap.strip(" ") else gap or " "

    def _blank_line_before(self, sequence: Sequence) -> str:
        """A line end where the items of a list are parted by blank lines."""
        if len(sequence.items) < 2:
            return ""
        before, last = sequence.items[-2:]
        end = self._content_end(before)
        parted = layout.has_blank_line(self.document.text, end, last.start)
        return self.document.newline if parted else ""

    def _list_indent(self, root: Mapping) -> str:
        """The white space before the dashes of a list under a root key, as in other lists."""
        column = self._column_of(root)
        for _, value in root.pairs:
            if isinstance(value, Sequence) and not value.flow and value.items:
                return " " * max(self._column_of(value), column)
        return " " * column

    def _separator(self, nodes: Seq[Node] | Seq[tuple[Node, Node]]) -> str:
        """What parts the last two of several items in flow style."""
        if len(nodes) > 1:
            before, last = nodes[-2:]
            start = self._content_end(before[1] if isinstance(before, tuple) else before)
            end = last[0].start if isinstance(last, tuple) else last.start
            text = self.document.text[start:end]
            if _FLOW_SEPARATOR.fullmatch(text):
                return text
        return ", "

    def _dash(self, sequence: Sequence) -> int:
        """The offset of the dash of a block sequence's last item: all stand in one column."""
        if len(sequence.items) == 1:
            return sequence.start
        text, column = self.document.text, self._column_of(sequence)
        start = layout.line_start(text, sequence.items[-1].start)
        while text[start + column : start + column + 1] != "-":
            start = layout.line_start(text, start - 1)
        return start + column

    def _first_of_item(self, mapping: Mapping, index: int, end: int) -> tuple[int, int]:
        """A pair behind a dash and what parts it from the next, which moves up."""
        start = mapping.pairs[index][0].start
        if index + 1 < len(mapping.pairs):
            end = mapping.pairs[index + 1][0].start
        if len(layout.LINE_BREAK.findall(self.document.text, start, end)) > 1:
            raise self.document.error(
                "this line can't be removed: others stand between it and the next key.",
                "Remove it in the config repository first.",
                mapping.pairs[index][0],
            )
        return start, end

    def _flow_span(self, mapping: Mapping, index: int, end: int) -> tuple[int, int]:
        """A pair in flow style and the comma that parts it from its neighbour."""
        if index:
            before = mapping.pairs[index - 1]
            return max(self._content_end(before[1]), before[0].end), end
        if len(mapping.pairs) > 1:
            return mapping.pairs[0][0].start, mapping.pairs[1][0].start
        return mapping.start + 1, end

    def _content_end(self, node: Node) -> int:
        return layout.trimmed_end(self.document.text, node.start, max(node.end, node.start))

    def _line_end(self, offset: int) -> int:
        return layout.line_end(self.document.text, offset)

    def _column_of(self, node: Node) -> int:
        return layout.column_of(self.document.text, node.start)


def _index(mapping: Mapping, key: Node) -> int:
    return next(i for i, (name, _) in enumerate(mapping.pairs) if name is key)


def _key_quotes(item: Node | None) -> str:
    """The quotes of a mapping's keys, as its first one has them."""
    return quotes_of(item.pairs[0][0]) if isinstance(item, Mapping) and item.pairs else ""


def _flow_mapping(pairs: Seq[tuple[str, str]], quotes: str, style: str) -> str:
    body = ", ".join(f"{quoted(k, quotes)}: {quoted(v, style or quotes)}" for k, v in pairs)
    return "{" + body + "}"
