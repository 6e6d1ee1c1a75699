"""The difference of two files is the one that git shows, and git takes it as a patch."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitops_promote.core.diff import diff_file
from servers import git

LINES = st.sampled_from([b"a", b"", b"  tag: 1", b"images:", b"x\r", b"\xff\xfe", b"- name: b"])
TEXTS = st.builds(
    lambda lines, end: b"\n".join(lines) + end,
    st.lists(LINES, max_size=30),
    st.sampled_from([b"", b"\n"]),
)


def real_diff(folder: Path, path: str, before: bytes, after: bytes) -> str:
    """What git shows, its `index` line left out."""
    if not (folder / ".git").exists():
        git("init", "--quiet", "--template=", folder)
    here = ("-C", folder)
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_bytes(before)
    git(*here, "-c", "core.autocrlf=false", "add", "--", path)
    (folder / path).write_bytes(after)
    shown = git(*here, "-c", "core.quotePath=false", "diff", "--no-color", "--", path)
    git(*here, "rm", "--quiet", "--force", "--", path)
    return re.sub(rb"(?m)^index .*\n", b"", shown, count=1).decode("utf-8", "replace")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("diff")


@given(TEXTS, st.data())
def test_lines_in_place_of_others_show_as_git_shows_them(
    folder: Path, before: bytes, data: st.DataObject
) -> None:
    # Of two lines that are alike, either can be called the one that stays.
    lines = [b"%b %d" % (line, n) if line else line for n, line in enumerate(before.split(b"\n"))]
    lines = [line or b"%d" % n for n, line in enumerate(lines[:-1])] + lines[-1:]
    before = b"\n".join(lines)
    for number in data.draw(st.sets(st.integers(0, len(lines) - 1), max_size=4)):
        lines[number] = b"new %d" % number
    if data.draw(st.booleans()):
        lines.insert(data.draw(st.integers(0, len(lines))), b"added")
    after = b"\n".join(lines)

    assert diff_file("a/file", before, after) == real_diff(folder, "a/file", before, after)


@given(TEXTS, TEXTS)
def test_git_takes_any_difference_as_a_patch(folder: Path, before: bytes, after: bytes) -> None:
    if b"\xff" in before + after:  # which is shown as a replacement character
        before, after = before.replace(b"\xff\xfe", b"e"), after.replace(b"\xff\xfe", b"e")
    patch = diff_file("patched", before, after)
    (folder / "patched").write_bytes(before)
    if patch:
        git("-C", folder, "apply", "--whitespace=nowarn", "-", data=patch.encode())

    assert (folder / "patched").read_bytes() == after
    assert bool(patch) == (before != after)


@pytest.mark.parametrize(
    "path", ["a b.yaml", 'q"uote', "back\\slash", "tab\there", "line\nfeed", "über.yaml", "\x01"]
)
def test_a_path_is_quoted_as_git_quotes_it(tmp_path: Path, path: str) -> None:
    assert diff_file(path, b"1\n", b"2\n") == real_diff(tmp_path, path, b"1\n", b"2\n")


@pytest.mark.parametrize("path", ["new.yaml", "a new.yaml", "über/new.yaml"])
def test_a_file_that_was_not_there(tmp_path: Path, path: str) -> None:
    git("init", "--quiet", "--template=", tmp_path)
    (tmp_path / path).parent.mkdir(exist_ok=True)
    (tmp_path / path).write_bytes(b"tag: 1\nlast")
    git("-C", tmp_path, "add", "--intent-to-add", "--", path)

    shown = git("-C", tmp_path, "-c", "core.quotePath=false", "diff", "--no-color", "--", path)

    expected = re.sub(rb"(?m)^index .*\n", b"", shown, count=1).decode()
    assert diff_file(path, None, b"tag: 1\nlast") == expected


def test_a_path_that_is_no_text() -> None:
    path = b"\xff.yaml".decode("utf-8", "surrogateescape")

    assert diff_file(path, b"1\n", b"2\n").startswith(
        'diff --git "a/\\377.yaml" "b/\\377.yaml"\n--- "a/\\377.yaml"\n'
    )


@pytest.mark.parametrize("before", [b"a\0b\n", "tag: 1\n".encode("utf-16")])
def test_what_git_takes_for_binary(folder: Path, before: bytes) -> None:
    after = before.replace(b"1", b"2") + b"c"

    assert diff_file("f", before, after) == real_diff(folder, "f", before, after)


def test_many_changes_in_a_long_file_take_no_time() -> None:
    lines = [b"- name: x", b"  tag: 1"] * 50_000
    changed = list(lines)
    for number in range(1, 80_000, 80):
        changed[number] = b"  tag: 2"
    start = time.monotonic()

    diff = diff_file("f", b"\n".join(lines), b"\n".join(changed))

    assert time.monotonic() - start < 20
    assert diff.count("\n+  tag: 2") == 1000


def test_more_changes_than_are_worth_comparing() -> None:
    before = b"".join(b"%d\n" % n for n in range(3000))
    after = b"".join(b"%d\n" % n for n in range(4000, 6000))

    assert diff_file("f", before, after).count("\n-") == 3001  # with the `---` of the head
