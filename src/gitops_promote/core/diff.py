"""The difference of two versions of a file, as git shows it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import groupby

_CONTEXT = 3
#: git looks so far for a NUL before it takes a file for text.
_BINARY_PROBE = 8000
_HEADING_BYTES = 80

#: Lines `old[a:b]` that lines `new[c:d]` take the place of, as (a, b, c, d).
_Edit = tuple[int, int, int, int]


def diff_file(path: str, before: bytes | None, after: bytes) -> str:
    """The unified difference of a file.

    Args:
        path: The file's path in the repository.
        before: Its content before; None where there is no such file yet.
        after: Its content after.

    Returns:
        The difference in git's form, without the `index` line; empty where the two are equal.
    """
    if before == after:
        return ""
    old_name, new_name = _quoted(f"a/{path}"), _quoted(f"b/{path}")
    header = f"diff --git {old_name} {new_name}\n"
    # A tab ends a name with a space in it, as patch(1) needs it.
    tab = "\t" if " " in path else ""
    old_line = f"--- {old_name}{tab}\n"
    if before is None:
        header += "new file mode 100644\n"
        before, old_name, old_line = b"", "/dev/null", "--- /dev/null\n"
    if b"\0" in before[:_BINARY_PROBE] or b"\0" in after[:_BINARY_PROBE]:
        return f"{header}Binary files {old_name} and {new_name} differ\n"
    header += f"{old_line}+++ {new_name}{tab}\n"
    old, new = _lines(before), _lines(after)
    return header + "".join(_hunks(old, new, list(_edits(old, new))))


def _lines(content: bytes) -> list[bytes]:
    # By line feeds alone, as git does: `splitlines` knows more line ends than git.
    return re.findall(rb"[^\n]*\n|[^\n]+", content)


def _edits(old: list[bytes], new: list[bytes]) -> Iterator[_Edit]:
    """What differs, in order; only the part between the first and the last is compared."""
    most = min(len(old), len(new))
    head = next((i for i in range(most) if old[i] != new[i]), most)
    rest = most - head
    tail = next((i for i in range(rest) if old[-1 - i] != new[-1 - i]), rest)
    removed, added = old[head : len(old) - tail], new[head : len(new) - tail]
    for start, stop, first, last in _differences(removed, added):
        yield start + head, stop + head, first + head, last + head


def _differences(old: list[bytes], new: list[bytes]) -> Iterator[_Edit]:
    if len(old) == len(new):
        # The usual promotion: versions change, and every line stays where it is.
        changed = [i for i in range(len(old)) if old[i] != new[i]]
        for _, group in groupby(enumerate(changed), lambda pair: pair[1] - pair[0]):
            lines = [line for _, line in group]
            yield lines[0], lines[-1] + 1, lines[0], lines[-1] + 1
        return
    from difflib import SequenceMatcher  # noqa: PLC0415  (start-up time)

    for tag, *edit in SequenceMatcher(None, old, new).get_opcodes():
        if tag != "equal":
            start, stop, first, last = edit
            yield start, stop, first, last


def _hunks(old: list[bytes], new: list[bytes], edits: list[_Edit]) -> Iterator[str]:
    heading, searched = "", 0
    while edits:
        hunk = [edits.pop(0)]
        while edits and edits[0][0] - hunk[-1][1] <= 2 * _CONTEXT:
            hunk.append(edits.pop(0))
        first, last = hunk[0], hunk[-1]
        before = min(_CONTEXT, first[0])
        behind = min(_CONTEXT, len(old) - last[1])
        start, end = first[0] - before, last[1] + behind
        heading = _heading(old[searched:start]) or heading
        searched = start
        spans = _span(start, end), _span(first[2] - before, last[3] + behind)
        yield f"@@ -{spans[0]} +{spans[1]} @@{heading}\n"
        for removed, kept, added, stop in hunk:
            yield from (_shown(" ", line) for line in old[start:removed])
            yield from (_shown("-", line) for line in old[removed:kept])
            yield from (_shown("+", line) for line in new[added:stop])
            start = kept
        yield from (_shown(" ", line) for line in old[start:end])


def _span(start: int, end: int) -> str:
    length = end - start
    # Of an empty span, the line before it is named.
    first = start + 1 if length else start
    return f"{first}" if length == 1 else f"{first},{length}"


def _heading(lines: list[bytes]) -> str:
    """The last line that starts a section: in a YAML file, the key that the change is under."""
    for line in reversed(lines):
        if re.match(rb"[A-Za-z_$]", line):
            return " " + line[:_HEADING_BYTES].rstrip().decode("utf-8", "replace")
    return ""


def _shown(sign: str, line: bytes) -> str:
    text = sign + line.decode("utf-8", "replace")
    return text if text.endswith("\n") else f"{text}\n\\ No newline at end of file\n"


def _quoted(name: str) -> str:
    """A name as git writes it: in quotes where it has what could be taken for something else."""
    letters = {"\a": "a", "\b": "b", "\t": "t", "\n": "n", "\v": "v", "\f": "f", "\r": "r"}

    def escape(found: re.Match[str]) -> str:
        character = found[0]
        if character in '"\\':
            return f"\\{character}"
        octal = "".join(f"\\{byte:03o}" for byte in character.encode("utf-8", "surrogateescape"))
        return f"\\{letters[character]}" if character in letters else octal

    text = re.sub(r'["\\\x00-\x1f\x7f\udc80-\udcff]', escape, name)
    return f'"{text}"' if text != name else name
