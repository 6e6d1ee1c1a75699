"""The parts of a pull request's body; each is Markdown that fits in a given room."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gitops_promote.core.markdown import code, code_element, escape, fenced, link, prose
from gitops_promote.core.placeholders import common_version, names

if TYPE_CHECKING:
    from gitops_promote.core.change import Change
    from gitops_promote.core.images import Reference
    from gitops_promote.core.order import Build
    from gitops_promote.core.plan import Plan
    from gitops_promote.core.request import Request, Undone
    from gitops_promote.core.review.gates import Gate
    from gitops_promote.core.review.history import History, SourceCommit
    from gitops_promote.core.review.rendered import ObjectChange, Rendered
    from gitops_promote.core.source import Source

_MOST_COMMITS = 20
_MOST_NAMES = 5
#: A difference of at most so many lines is shown unfolded.
_SHORT_DIFF = 30
_LONGEST_CELL = 140
_LONGEST_SUBJECT = 120
_LONGEST_NAME = 60
_LONGEST_WARNING = 600
#: More rows, or warnings, than there can be room for: no more of them are made.
_MOST_ITEMS = 1500
_LONGEST_PATH = 300


@dataclass(frozen=True, slots=True)
class Facts:
    """What a pull request has to tell.

    `repository` is the config repository, as `owner/name` where it is on GitHub, below
    `server_url`; `base` is the branch that the pull request goes to. `history` goes from the
    version that runs to the one that is promoted; for a rollback, which takes its commits away, it
    is the other way round. Of all `gates`, `policy_gates` are those that the policy asks for.
    """

    request: Request
    plan: Plan
    repository: str
    base: str
    server_url: str
    history: History | None = None
    gates: tuple[Gate, ...] = ()
    policy_gates: tuple[Gate, ...] = ()
    rendered: tuple[Rendered, ...] = ()


def size(text: str) -> int:
    """Count a text as strictly as GitHub could.

    Args:
        text: The text.

    Returns:
        Its bytes in UTF-8, and one more for each line: a browser sends two for its end.
    """
    return len(text.encode("utf-8", "replace")) + text.count("\n")


def cut(text: str, length: int) -> str:
    """Shorten a text.

    Args:
        text: The text.
        length: How many characters it may have.

    Returns:
        The text, or its beginning and `…`.
    """
    return text if len(text) <= length else f"{text[: length - 1]}…"


def changed(plan: Plan) -> list[Change]:
    """Leave out what stays as it is.

    Args:
        plan: The plan.

    Returns:
        The changes that change something.
    """
    return [change for change in plan.changes if change.old != change.new]


def sentence(facts: Facts) -> str:
    """Say in one sentence what is promoted, or rolled back, and where.

    Args:
        facts: What there is to tell.

    Returns:
        Markdown.
    """
    changes = changed(facts.plan)
    short = dict.fromkeys(name.rsplit("/", 1)[-1] for name in names(changes))
    what = _listed([facts.request.app] if facts.request.app else list(short), _bold)
    where = _listed(facts.request.environments, _bold)
    old = _common(change.old for change in changes)
    new = _common(change.new for change in changes)
    text = f"{'Rolls back' if facts.request.undone else 'Promotes'} {what or 'images'}"
    text += f" from {old}" if old and new else ""
    text += f" to {_strong(new)}" if new else ""
    text += f" in {where}" if where else ""
    copied_from = facts.request.copied_from
    text += f", as it runs in {_bold(cut(copied_from, _LONGEST_NAME))}" if copied_from else ""
    return f"{text}. {_verdict(facts.rendered)}".rstrip()


def _verdict(rendered: Sequence[Rendered]) -> str:
    """What the cluster gets, where all of it is known."""
    if not rendered or any(one.problem for one in rendered):
        return ""
    count = sum(len(one.objects) for one in rendered)
    if not count:
        return "In the cluster **nothing changes**."
    what = "1 object changes" if count == 1 else f"{count:,} objects change"
    verdict = "images only" if all(one.only_images for one in rendered) else "more than images"
    return f"In the cluster **{what}, {verdict}**."


def started_by(source: Source, done: str = "Started") -> str:
    """Say who started the run, and link both.

    Args:
        source: The run.
        done: What they did by it.

    Returns:
        Markdown that notifies nobody; empty where nothing is known.
    """
    actor, run = _actor(source), _run(source)
    if not (actor or run):
        return ""
    return done + (f" by {actor}" if actor else "") + (f" in {run}" if run else "") + "."


def footer() -> str:
    """Say what this is, and what becomes of it.

    Returns:
        Markdown.
    """
    return (
        "<sub>Written by gitops-promote. A newer version updates this pull request, unless "
        "somebody pushes to its branch.</sub>"
    )


def order_skipped(facts: Facts) -> str:
    """Say that the environments' order was skipped, and why.

    Args:
        facts: What there is to tell.

    Returns:
        Markdown on one line; empty where it wasn't.
    """
    reason = facts.request.override
    return f"**Order skipped:** {prose(cut(reason, _LONGEST_WARNING))}" if reason else ""


def _table(facts: Facts, room: int) -> str:
    changes = changed(facts.plan)
    with_digest = any(change.new.digest for change in changes)
    heads = ["Image", "Old", "New", *(["Digest"] if with_digest else []), "File"]
    top = [_row(heads), _row(["---"] * len(heads))]
    shown = changes[:_MOST_ITEMS]
    rows = [_row(_cells(facts, change, with_digest=with_digest)) for change in shown]

    def write(count: int) -> str:
        more = len(changes) - count
        last = [f"and {more} more, all in the diff", *([""] * (len(heads) - 1))]
        return "\n".join([*top, *rows[:count], *([_row(last)] if more else [])])

    return _most(len(rows), write, room)


def _cells(facts: Facts, change: Change, *, with_digest: bool) -> list[str]:
    old, new = change.old, change.new
    renamed = bool(old.name) and old.name != new.name
    cells = [code(cut(change.image, _LONGEST_CELL)), _shown(old, named=renamed)]
    cells.append(_strong(_shown(new, named=renamed)))
    if with_digest:
        cells.append(code(_short_digest(new.digest)) if new.digest else "")
    return [*cells, _file(facts, change)]


def _file(facts: Facts, change: Change) -> str:
    parts = change.path.split("/")
    short = "/".join(["…", *parts[-2:]] if len(parts) > 3 else parts)
    shown = code(cut(f"{short}:{change.line}", _LONGEST_CELL))
    if not facts.server_url or not _is_repository(facts.repository):
        return shown
    if len(change.path) > _LONGEST_PATH:
        return shown
    # In an address, `%`, `?` and `#` of a name would be something else.
    path = re.sub(r"[%?#]", lambda found: f"%{ord(found[0]):02X}", f"{facts.base}/{change.path}")
    return link(shown, f"{facts.server_url}/{facts.repository}/blob/{path}#L{change.line}")


def _warnings(facts: Facts, room: int) -> str:
    skipped = order_skipped(facts)
    texts = [skipped] if skipped else []
    others = [o for one in facts.rendered for o in one.objects if not o.only_image]
    if others:
        listed = _listed(list(dict.fromkeys(map(_label, others))), code)
        texts.append(f"**More than images changes in the cluster:** {listed}.")
    history = facts.history
    if history and history.behind and not facts.request.undone:
        count = _count(history.behind, "commit")
        repository = code(cut(history.repository, _LONGEST_CELL))
        texts.append(f"**This goes back:** it takes {count} of {repository} away.")
    made = [prose(cut(text, _LONGEST_WARNING)) for text in facts.plan.warnings[:_MOST_ITEMS]]
    # An item of a list with nothing in it would underline what is above.
    texts += [text for text in made if text.strip()]
    more = len(facts.plan.warnings) - len(made)
    if not texts:
        return ""

    def write(count: int) -> str:
        shown = texts[:count]
        left = len(texts) - count + more
        if left:
            what = _count(left, "more warning" if shown else "warning")
            shown.append(f"{what}: see {_elsewhere(facts)}.")
        lines = shown if len(shown) == 1 else [f"- {text}" for text in shown]
        return "\n".join(["> [!WARNING]", *(f"> {line}" for line in lines)])

    return _most(len(texts), write, room)


def _source(facts: Facts, room: int) -> str:
    request, history = facts.request, facts.history
    tops = [_undone(facts)] if request.undone else []
    by = started_by(request.source, "Rolled back" if tops else "Started")
    if history is None:
        built = "" if tops else _built_from(_trusted(facts, request.built_from))
        return "\n\n".join([*tops, " ".join(text for text in (built, by) if text)]).rstrip()
    repository = _repository_link(history.server_url, history.repository)
    compare = link(code(f"{history.old[:7]}...{history.new[:7]}"), history.compare_url)
    total = max(history.total, len(history.commits))
    what = _count(total, "commit") if total else ""
    if history.old == history.new:
        what, compare = (
            "the same commit, built again",
            link(code(history.new[:7]), f"{_repository_url(history)}/commit/{history.new}"),
        )
    if tops:
        compare += f" of {repository}"
    else:
        tops = [f"#### What is new in {repository}"]
    parts = [text for text in (compare, what, by[:1].lower() + by[1:-1]) if text]
    top = "\n\n".join([*tops, " · ".join(parts)])
    commits = history.commits[:_MOST_COMMITS]
    lines = [_commit(history, commit) for commit in commits]

    def write(count: int) -> str:
        more = total - count
        last = f"- and {link(f'{more} more', history.compare_url)}"
        listed = [*lines[:count], *([last] if more > 0 else [])]
        return "\n".join([top, "", *listed]).rstrip()

    return _most(len(lines), write, room)


def _undone(facts: Facts) -> str:
    """What a rollback takes back; there is always room for it."""
    undone = facts.request.undone
    lines = [_undone_item(facts, one) for one in undone[:_MOST_NAMES]]
    more = len(undone) - len(lines)
    lines += [f"- and {more} more, all in the commit"] if more > 0 else []
    return "\n".join(["#### What is undone", "", *lines])


def _undone_item(facts: Facts, undone: Undone) -> str:
    source = _trusted(facts, undone.build.source)
    text = f"- {_version(undone.build)} of {code(cut(undone.image, _LONGEST_CELL))}"
    if source.commit:
        # Without a page, the address would be the bare hash.
        page = source.commit_url if source.server_url else ""
        text += f", built from {link(code(source.commit[:7]), page)}"
    run = _run(source)
    return text + (f" in {run}" if run else "")


def _version(build: Build) -> str:
    tag, _, digest = build.version.partition("@")
    shown = _short_digest(tag) if ":" in tag else tag or _short_digest(digest)
    return code(cut(shown, _LONGEST_CELL)) if shown else "(no version)"


def _trusted(facts: Facts, source: Source) -> Source:
    """What a commit's message tells of a source, its links kept to where ours lead too."""
    known = (facts.server_url, facts.request.source.server_url)
    is_known = source.server_url in known and _is_repository(source.repository)
    return source if is_known else replace(source, server_url="", repository="")


def _is_repository(name: str) -> bool:
    return re.fullmatch(r"[\w.-]+/[\w.-]+", name, re.ASCII) is not None


def _built_from(source: Source) -> str:
    if not (source.commit and source.repository and source.server_url):
        return ""
    commit = link(code(source.commit[:7]), source.commit_url)
    return f"Built from {commit} of {_repository_link(source.server_url, source.repository)}."


def _commit(history: History, commit: SourceCommit) -> str:
    shown = link(code(commit.id[:7]), f"{_repository_url(history)}/commit/{commit.id}")
    author = f" — {escape(cut(commit.author, _LONGEST_NAME))}" if commit.author.strip() else ""
    return f"- {shown} {escape(cut(commit.subject.strip(), _LONGEST_SUBJECT))}{author}"


def _gates(facts: Facts, room: int) -> str:
    items = [gate.item for gate in facts.gates]
    if not items:
        return ""

    def write(count: int) -> str:
        more = len(items) - count
        last = [f"- [ ] and {more} more: see {_elsewhere(facts)}"] if more else []
        return "\n".join(["#### Before you approve", "", *items[:count], *last])

    return _most(len(items), write, room)


def _rendered(facts: Facts, room: int) -> str:
    if not facts.rendered:
        return ""
    top = "#### What changes in the cluster"
    lines, total = [], 0
    for one in facts.rendered:
        # No more lines than there is room for have to be looked at.
        lines.append([_first_lines(obj.diff, room - total) for obj in one.objects])
        total = min(room, total + sum(map(len, lines[-1])))

    def write(count: int) -> str:
        left, blocks = count, [top]
        for one, diffs in zip(facts.rendered, lines, strict=True):
            shown = []
            for diff in diffs:
                shown.append(diff[:left])
                left -= len(shown[-1])
            blocks.append(_overlay(facts, one, shown))
        return "\n\n".join(blocks)

    def write_overlays(count: int) -> str:
        blocks = [_overlay(facts, one, [[] for _ in one.objects]) for one in facts.rendered[:count]]
        more = _count(len(facts.rendered) - count, "more overlay or chart")
        return "\n\n".join([top, *blocks, f"… and {more}: see {_elsewhere(facts)}."])

    text = _most(total, write, room)
    return text if size(text) <= room else _most(len(facts.rendered) - 1, write_overlays, room)


def _overlay(facts: Facts, one: Rendered, shown: Sequence[Sequence[str]]) -> str:
    """A folded difference; `shown` has the lines of each object that there is room for."""
    path = cut(one.path, _LONGEST_CELL)
    if one.problem:
        return f"{code(path)} isn't rendered: {prose(cut(one.problem, _LONGEST_WARNING))}"
    if not one.objects:
        return f"{code(path)}: no object changes."
    what = "1 object changes" if len(one.objects) == 1 else f"{len(one.objects)} objects change"
    listed = _listed([_label(obj) for obj in one.objects], code_element)
    verdict = "images only" if one.only_images else "<b>more than images</b>"
    blocks = [
        f"<details><summary>{code_element(path)}: {what}: {listed} — {verdict}</summary>",
        *_objects(facts, one, shown),
        "</details>",
    ]
    return "\n\n".join(blocks)


def _objects(facts: Facts, one: Rendered, shown: Sequence[Sequence[str]]) -> list[str]:
    blocks, missing = [f"Rendered by {code(one.tool)}:"] if one.tool else [], 0
    for obj, lines in zip(one.objects, shown, strict=True):
        missing += _line_count(obj.diff) - len(lines)
        if lines and len(one.objects) > 1:
            blocks.append(code(_label(obj)))
        if lines:
            blocks.append(fenced("\n".join(lines), "diff"))
    if missing:
        blocks.append(f"… {_count(missing, 'line')} left out: see {_elsewhere(facts)}.")
    return blocks


def _diff(facts: Facts, room: int) -> str:
    if not facts.plan.diff:
        return ""
    lines, whole = _first_lines(facts.plan.diff, room), _line_count(facts.plan.diff)
    opened = " open" if whole <= _SHORT_DIFF else ""
    files = _count(len(facts.plan.files), "file")
    top = f"#### What changes in the files\n\n<details{opened}><summary>{files}</summary>"

    def write(count: int) -> str:
        blocks = [top]
        if count:
            blocks.append(fenced("\n".join(lines[:count]), "diff"))
        if count < whole:
            left = _count(whole - count, "line")
            blocks.append(f"… {left} left out: see the files of this pull request, or `git diff`.")
        return "\n\n".join([*blocks, "</details>"])

    return _most(len(lines), write, room)


def _rollback(facts: Facts, room: int) -> str:
    if facts.request.undone:
        return _forward(facts)
    text = "#### Roll back\n\n**Revert** this pull request after its merge"
    # Of a revert's commit nobody can tell what it takes back.
    holds = (
        "A revert doesn't hold, as the next automatic run may bring this version again; "
        "`gitops-promote rollback` (`rollback: true`) does."
    )
    short = f"{text}, or `git revert` its commit. {holds}"
    inputs, how = _old_input(facts), "promote the old version with"
    if not inputs:
        return short
    if facts.request.environments:
        # Without them, nobody tells what ran there before.
        inputs = "\n".join(["rollback: true", *_where(facts)])
        how = "run `gitops-promote rollback`, as a step with"
    block = fenced(inputs, "yaml")
    full = f"{text} (or `git revert` its commit), or {how} these inputs:\n\n{block}\n\n{holds}"
    return full if size(full) <= room else short


def _forward(facts: Facts) -> str:
    versions = list(dict.fromkeys(_version(undone.build) for undone in facts.request.undone))
    shown = ", ".join(versions[:_MOST_NAMES])
    more = len(versions) - _MOST_NAMES
    shown += f" and {more} more" if more > 0 else ""
    return (
        f"#### Go forward again\n\nPromote a version that is newer than {shown}. What isn't known "
        "to be newer changes nothing, so that no late run undoes this; the same version comes "
        "back only with `allow-downgrade: true`."
    )


def _where(facts: Facts) -> list[str]:
    """The inputs that say for which app, and where."""
    environments = facts.request.environments
    lines = [f"app: {facts.request.app}"] if facts.request.app else []
    if len(environments) == 1:
        lines.append(f"environment: {environments[0]}")
    elif environments:
        lines += ["environment: |", *(f"  {name}" for name in environments)]
    return lines


def _old_input(facts: Facts) -> str:
    """The inputs that promote the old versions; empty where they can't say it."""
    old: dict[str, Reference] = {}
    for change in changed(facts.plan):
        known = old.setdefault(change.image, change.old)
        if known != change.old or not change.old.version:
            return ""
    if not old:
        return ""
    items = [_item(image, reference) for image, reference in old.items()]
    return "\n".join([*_where(facts), "images: |", *(f"  {item}" for item in items)])


def _item(image: str, reference: Reference) -> str:
    """What the input `images` takes."""
    name = f"={reference.name}" if reference.name and reference.name != image else ""
    tag = f":{reference.tag}" if reference.tag else ""
    return f"{image}{name}{tag}" + (f"@{reference.digest}" if reference.digest else "")


#: The sections by the names of their placeholders: each gets the room that it may take, and keeps
#: at least what says how much is left out.
PARTS: Mapping[str, Callable[[Facts, int], str]] = {
    "table": _table,
    "warnings": _warnings,
    "source": _source,
    "gates": _gates,
    "rendered": _rendered,
    "diff": _diff,
    "rollback": _rollback,
}


def _most(count: int, write: Callable[[int], str], room: int) -> str:
    """What `write` gives for as many items, of `count`, as there is room for."""
    text = write(count)
    if size(text) <= room:
        return text
    fits, too_many = 0, count
    while too_many - fits > 1:
        middle = (fits + too_many) // 2
        if size(write(middle)) <= room:
            fits = middle
        else:
            too_many = middle
    return write(fits)


def _first_lines(text: str, count: int) -> list[str]:
    return text.removesuffix("\n").split("\n", count)[:count] if text and count else []


def _line_count(text: str) -> int:
    return text.count("\n") + bool(text and not text.endswith("\n"))


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def _listed(texts: Sequence[str], show: Callable[[str], str]) -> str:
    more = len(texts) - _MOST_NAMES
    shown = [show(cut(text, _LONGEST_NAME)) for text in texts[:_MOST_NAMES]]
    return ", ".join(shown) + (f" and {more} more" if more > 0 else "")


def _bold(text: str) -> str:
    return _strong(escape(text))


def _strong(text: str) -> str:
    return f"**{text}**"


def _short_digest(digest: str) -> str:
    algorithm, _, encoded = digest.partition(":")
    return cut(f"{algorithm}:{encoded[:12]}", _LONGEST_CELL)


def _shown(reference: Reference, *, named: bool = False) -> str:
    version = reference.tag or (_short_digest(reference.digest) if reference.digest else "")
    if named:
        version = f"{reference.name}:{version}" if version else reference.name
    return code(cut(version, _LONGEST_CELL)) if version else "(none)"


def _common(references: Iterable[Reference]) -> str:
    """The version that all have, for people; empty where they differ or have none."""
    known = list(references)
    return _shown(known[0]) if common_version(known) else ""


def _label(obj: ObjectChange) -> str:
    return cut(f"{obj.kind}/{obj.name}", _LONGEST_CELL)


def _actor(source: Source) -> str:
    if not source.actor:
        return ""
    shown = escape(cut(source.actor, _LONGEST_NAME))
    known = re.fullmatch(r"([A-Za-z0-9-]{1,39})(\[bot\])?", source.actor, re.ASCII)
    if not known or not source.server_url:
        return shown
    # The page of an app, which acts under its own name.
    below = "apps/" if known[2] else ""
    return link(shown, f"{source.server_url}/{below}{known[1]}")


def _run(source: Source) -> str:
    number = source.run_number or source.run_id
    # Within a link, digits are nothing else.
    number = number if re.fullmatch(r"\d{1,20}", number, re.ASCII) else escape(cut(number, 20))
    return link(f"run {number}", source.run_url) if source.run_url else ""


def _elsewhere(facts: Facts) -> str:
    """Where all of it is."""
    url = facts.request.source.run_url
    return f"the summary of {link('the run', url)}" if url else "the report of the promotion"


def _repository_url(history: History) -> str:
    return f"{history.server_url}/{history.repository}"


def _repository_link(server_url: str, repository: str) -> str:
    return link(escape(cut(repository, _LONGEST_NAME)), f"{server_url}/{repository}")
