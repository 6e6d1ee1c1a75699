"""The input `flavor`: what holds for all tags, as docker/metadata-action has it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain

from gitops_promote.core.errors import MalformedError
from gitops_promote.core.tags.records import BOOLEANS, allowed, choice, fields, read_records
from gitops_promote.core.tags.template import EMPTY, GLOBAL, Template, attribute_template

_ATTRIBUTES = ("latest", "prefix", "suffix", "onlatest")
_LATEST = ("auto", "true", "false")


@dataclass(frozen=True, slots=True)
class Flavor:
    """What holds for all rules: whether there is a `latest`, and how every tag begins and ends.

    `latest` is `auto`, `true`, `false`, or empty where nobody says. `prefix_latest` and
    `suffix_latest` say whether `latest` has them, too.
    """

    latest: str = ""
    prefix: Template = EMPTY
    suffix: Template = EMPTY
    prefix_latest: bool = False
    suffix_latest: bool = False


def parse_flavor(text: str) -> Flavor:
    """Read the input `flavor`, whose form is told in that action's README ("flavor input").

    Args:
        text: `latest=…`, `prefix=…` and `suffix=…`, the last two possibly with `,onlatest=…`.

    Returns:
        The flavor.

    Raises:
        UsageError: An entry is malformed. It quotes the entry and names the attribute.
    """
    values: dict[str, str] = {}
    affixes: dict[str, Template] = {}
    for name, value in chain.from_iterable(read_records("flavor", text, _entries)):
        if isinstance(value, Template):
            affixes[name] = value
        else:
            values[name] = value
    return Flavor(
        latest=values.get("latest", ""),
        prefix=affixes.get("prefix", EMPTY),
        suffix=affixes.get("suffix", EMPTY),
        prefix_latest=values.get("prefix-onlatest") == "true",
        suffix_latest=values.get("suffix-onlatest") == "true",
    )


def _entries(record: str) -> list[tuple[str, str | Template]]:
    entries: list[tuple[str, str | Template]] = []
    affix = ""
    for text in fields(record):
        name, equals, value = text.partition("=")
        name, value = name.strip().lower(), value.strip()
        if name not in _ATTRIBUTES:
            listed = allowed("attribute", name, _ATTRIBUTES)
            raise MalformedError(f"has the unknown attribute `{name}`", listed)
        if not equals or "=" in value:
            problem = f"has `{text}`, which is no attribute and one value"
            raise MalformedError(problem, f"Write it as `{name}=VALUE`.")
        if name == "latest":
            entries.append((name, choice(name, value, _LATEST)))
        elif name != "onlatest":
            affix = name
            entries.append((name, attribute_template(name, value, GLOBAL)))
        elif affix:
            entries.append((f"{affix}-onlatest", choice(name, value, BOOLEANS)))
        else:
            raise MalformedError(
                "has `onlatest` with nothing before it",
                "It follows what it is about: `prefix=v,onlatest=true`.",
            )
    return entries
