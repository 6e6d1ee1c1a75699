"""Random YAML: texts with all that makes an edit hard, and values that look like tags."""

from __future__ import annotations

import os
from dataclasses import dataclass, field

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

#: Examples a property gets; a long campaign sets some thousands.
EXAMPLES = int(os.environ.get("GITOPS_PROMOTE_EXAMPLES", "150"))

# Long texts take long to draw on a busy machine, and that is no fault.
properties = settings(
    max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)

WORDS = st.sampled_from([*"abéy", "v1.2.3", "1.10", "0x1f", "on", "~", "日本", "\U0001f680"])
SPECIAL = st.sampled_from(
    # Other types to one reader or another, and what is nearly one.
    r"""~ null Null y N yes on OFF True false = << .inf -.INF .nan 0x_ 0b_ ._ .e1 1__0 1_000
    +1 -1 1. .5 -.5e3 0o17 017 08 0X1F 0B1 0O7 1e5 8e29825 1:20 12:30:45.5 2024-01-02
    2024-1-2T1:2:3Z
    - --- ... ? : a: :a #a a#b !a &a *a @a `a %a |a >a 'a "a ,a [a {a a]b ${TAG} {{x}}""".split()  # noqa: SIM905
)
TAGS = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,12}", fullmatch=True)
NUMBERS = st.text("0123456789eExXoObB_.:+-fT", min_size=1, max_size=8)
TEXTS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00\ufffe\uffff"), max_size=8
)
VALUES = TAGS | SPECIAL | NUMBERS | TEXTS

# To YAML 1.1 the last of these ends lines.
COMMENTS = st.sampled_from([""] * 12 + [" # why", " #", "  # a: b - c", " # \x85# \u2028#"])
BLANKS = st.sampled_from(["", "", "", " ", "# comment", "  # - in: [it", "#"])
SPACES = st.sampled_from([" ", " ", " ", "  ", "\t", " \t "])
PLAIN = WORDS | TAGS | st.sampled_from(["a:b", "sha256:ab", "x y", "it's", "a#b", "--a", ".", "<<"])


@dataclass
class Writer:
    """Draws one text; knows the anchors so far, so that most aliases lead somewhere."""

    draw: st.DrawFn
    anchors: list[str] = field(default_factory=list)

    def one_of(self, *names: str) -> str:
        """One of several names."""
        return self.draw(st.sampled_from(names))

    def chance(self, part: int) -> bool:
        """True once in so many times."""
        return self.draw(st.integers(1, part)) == part

    def properties(self) -> str:
        """An anchor, a tag, both or mostly none."""
        if not self.chance(6):
            return ""
        found = [f"&{self.anchor()}"] if self.chance(2) else []
        found += [self.one_of("!!str", "!", "!foo", "!<tag:yaml.org,2002:str>")] * self.chance(2)
        return "".join(f" {word}" for word in self.draw(st.permutations(found)))

    def anchor(self) -> str:
        """A new anchor, or one that is given again."""
        self.anchors.append(self.one_of("x", "y", "z", "a-b", "c-"))
        return self.anchors[-1]

    def key(self) -> str:
        """A key, now and then one that is there already."""
        key = self.draw(st.sampled_from("abcdefgh") | TAGS)
        return self.one_of(key, key, key, f'"{key}"', f"'{key}'")

    def quoted(self, indent: str) -> list[str]:
        """A scalar in quotes, on one or two lines."""
        word = self.draw(WORDS)
        if self.chance(5):
            mark = self.one_of("'", '"')
            return [f"{mark}{word}", f"{indent} {word}{mark}"]
        return [self.quoted_word(word)]

    def quoted_word(self, word: str) -> str:
        """A scalar in quotes."""
        return self.one_of(
            f"'{word}'", f'"{word}"', "'it''s'", '"\\"\\x41\\u00e9 \\\\"', "''", '""'
        )

    def flow(self, depth: int) -> str:
        """A collection or a scalar in flow style."""
        kind = self.one_of("plain", "quoted", "map", "list", "alias") if depth else "plain"
        if kind == "map":
            pairs = [
                f"{self.key()}{self.one_of(': ', ' : ')}{self.flow(depth - 1)}"
                for _ in range(self.draw(st.integers(0, 3)))
            ]
            return self.enclosed("{", pairs, "}")
        if kind == "list":
            items = [self.flow(depth - 1) for _ in range(self.draw(st.integers(0, 3)))]
            return self.enclosed("[", items, "]")
        if kind == "alias" and self.anchors:
            return f"*{self.draw(st.sampled_from(self.anchors))} "
        if kind == "quoted":
            return self.quoted_word(self.draw(WORDS))
        return self.draw(PLAIN)

    def enclosed(self, start: str, items: list[str], end: str) -> str:
        """Items between brackets, with one of the usual layouts."""
        comma = self.one_of(", ", ",", " , ", ",\n      ", ", # c\n      ")
        last = self.one_of("", "", ",", "\n      ") if items else ""
        return start + comma.join(items) + last + end

    def block_scalar(self, indent: str) -> list[str]:
        """A literal or folded scalar."""
        head = self.one_of("|", ">") + self.one_of("", "-", "+", "2", "-2", "2+")
        lines = [f"{indent}  {self.draw(WORDS)}" for _ in range(self.draw(st.integers(1, 2)))]
        lines += [""] * self.draw(st.integers(0, 2))
        return [head + self.draw(COMMENTS), *lines]

    def node(self, indent: str, depth: int, *, item: bool = False) -> tuple[str, list[str]]:
        """What follows a key or a dash on its line, and the lines below."""
        kinds = ["scalar", "scalar", "scalar", "block", "flow", "empty", "alias"]
        kind = self.one_of(*kinds, *(["map", "list", "map", "list"] if depth else []))
        space = " " if item else self.draw(SPACES)
        if kind == "alias":
            known = self.draw(st.sampled_from(self.anchors)) if self.anchors else ""
            return (f"{space}*{known}{self.draw(COMMENTS)}" if known else ""), []
        properties = self.properties()
        if kind in ("map", "list"):
            narrow = "" if kind == "list" and not item else " "
            inner = indent + self.one_of("  ", "  ", "    ", narrow)
            return properties + self.draw(COMMENTS), self.collection(kind, inner, depth - 1)
        first, *rest = self.content(kind, indent)
        if kind != "block":
            *rest, last = [first, *rest]
            first, *rest = [*rest, last + self.draw(COMMENTS)]
        return properties + (space if kind != "empty" else "") + first, rest

    def content(self, kind: str, indent: str) -> list[str]:
        """The lines of what is neither an alias nor a collection in block style."""
        if kind == "empty":
            return [""]
        if kind == "block":
            return self.block_scalar(indent)
        if kind == "flow":
            return [self.flow(2)]
        if self.chance(3):
            return self.quoted(indent)
        return [self.draw(PLAIN), *[f"{indent}  {self.draw(TAGS)}"] * self.chance(5)]

    def collection(self, kind: str, indent: str, depth: int) -> list[str]:
        """The lines of a collection in block style."""
        lines: list[str] = []
        for _ in range(self.draw(st.integers(1, 3))):
            lines += [self.draw(BLANKS)] * self.chance(3)
            lines += self.pair(indent, depth) if kind == "map" else self.item(indent, depth)
        return lines

    def pair(self, indent: str, depth: int) -> list[str]:
        """The lines of a key and its value."""
        if self.anchors and self.chance(8):
            return [f"{indent}<<: *{self.draw(st.sampled_from(self.anchors))}"]
        head, lines = self.node(indent, depth)
        if self.chance(12):
            return [f"{indent}? {self.key()}", f"{indent}:{head}", *lines]
        return [f"{indent}{self.key()}{self.one_of('', '', '', ' ')}:{head}", *lines]

    def item(self, indent: str, depth: int) -> list[str]:
        """The lines of a list's item, some of them with a mapping behind the dash."""
        gap = self.one_of(" ", " ", "   ")
        if depth and self.chance(2):
            first, *rest = self.collection("map", indent + " " + gap, depth - 1)
            if first.startswith(indent + " " + gap):
                return [f"{indent}-{gap}{first.lstrip(' ')}", *rest]
            return [f"{indent}-", first, *rest]
        head, lines = self.node(indent, depth, item=True)
        return [f"{indent}-{head}", *lines]

    def document(self) -> list[str]:
        """The lines of one document."""
        self.anchors.clear()
        kind = self.one_of("map", "map", "map", "map", "list", "flow", "other")
        if kind == "flow":
            return [self.flow(3)]
        if kind == "other":
            head, lines = self.node("", 0)
            return [head.strip(" \t"), *lines]
        return self.collection(kind, self.one_of("", "", "", "  "), 3)


@st.composite
def yaml_texts(draw: st.DrawFn) -> str:
    """Texts that are YAML, nearly always."""
    writer = Writer(draw)
    lines = ["%YAML 1.1", "---"] if writer.chance(12) else ["---"] * writer.chance(4)
    lines += writer.document()
    while writer.chance(4):
        lines += [writer.one_of("---", "--- # next", "...\n---"), *writer.document()]
    lines += ["..."] * writer.chance(10)
    text = "\n".join(lines) + writer.one_of("\n", "\n", "", "\n\n", "\n# end", "\n  # end\n")
    return text.replace("\n", writer.one_of("\n", "\n", "\n", "\r\n", "\r"))
