"""Values files to edit: generated ones of any size, and such as somebody has."""

from __future__ import annotations

import random
import sys
from dataclasses import dataclass
from pathlib import Path

from gitops_promote.core.slots.values import slots
from gitops_promote.core.yaml.document import Document

SHOP = "ghcr.io/acme/shop"

# Keys as charts have them.
_WORDS = (
    *("cache", "queue", "worker", "timeout", "retries", "replicas", "limits", "requests"),
    *("affinity", "probes", "labels", "policy", "endpoint", "backend", "threshold", "interval"),
    *("storage", "volume", "selector", "annotations", "service", "metrics", "gateway", "session"),
    *("tokens", "headers", "routes", "schedule", "window", "budget", "region", "zone"),
)


@dataclass(frozen=True)
class ValuesFile:
    """A values file.

    Attributes:
        name: What tables call it.
        text: Its text.
        image: An image in it ...
        key: ... and where that stands: the block that has its tag.
    """

    name: str
    text: str
    image: str
    key: str


def generated(kilobytes: int) -> ValuesFile:
    """Make a values file of a size."""
    return ValuesFile(f"{kilobytes} kB", values_text(kilobytes * 1000), SHOP, "web.image")


def given(item: str) -> ValuesFile:
    """Read a values file, from `FILE#KEY`."""
    path, _, key = item.rpartition("#")
    text = Path(path).read_text(encoding="utf-8")
    parsed = Document.parse(text.encode(), path)
    found = [slot for slot in slots(parsed) if ".".join(map(str, slot.path)) == key]
    if not found:
        sys.exit(f"{path} has no image at {key}")
    return ValuesFile(f"`{Path(path).name}`", text, found[0].current.name, key)


def values_text(size: int, image: str = SHOP, tag: str = "1.0.0") -> str:
    """Make a values file: maps in maps, lists, comments, texts, and an image at `web.image`.

    Args:
        size: About how many bytes.
        image: The image.
        tag: Its tag.

    Returns:
        The text, in which other images stand, too.
    """
    chance = random.Random(size)  # the same file each time
    image_lines = f"  image:\n    repository: {image}\n    tag: {tag}  # set by CI\n"
    web = f"# The web server.\nweb:\n  replicas: 3\n{image_lines}    pullPolicy: IfNotPresent\n"
    parts, length, number = [], len(web), 0
    while length + 400 < size:  # half a section
        parts.append(_section(chance, number))
        length += len(parts[-1])
        number += 1
    # In the middle, as neither end is typical.
    parts.insert(len(parts) // 2, web)
    return "\n".join(parts)


def _section(chance: random.Random, number: int) -> str:
    first, second, third = chance.sample(_WORDS, 3)
    name = f"{first}{second.title()}{number}"
    lines = [
        f"## {name}: how the {first} of the {second} is set up, and what it may cost.",
        f"## Ask #team-{third} before you change it; see https://example.com/{first}/{second}",
        f"{name}:",
        f"  enabled: {chance.choice(['true', 'false'])}",
        "  image:",
        f"    repository: example/{first}-{second}",
        f'    tag: "v{chance.randrange(9)}.{chance.randrange(30)}.{chance.randrange(9)}"',
        "  resources:",
        f"    requests: {{cpu: {chance.randrange(9)}00m, memory: {chance.randrange(1, 9)}Gi}}",
        "    limits:",
        f"      memory: {chance.randrange(9)}Gi  # seen in {third} of last year",
        "  # One for each region.",
        "  endpoints:",
    ]
    for index in range(chance.randrange(1, 4)):
        lines += [
            f"    - name: {third}-{index}",
            f"      url: 'https://{third}-{index}.example.com/{chance.getrandbits(32):08x}'",
            "      headers:",
            f'        - {{name: X-{second.title()}, value: "{chance.getrandbits(64):016x}"}}',
        ]
    lines += ["", "  ## A text of several lines.", "  script: |", "    set -e"]
    lines += [
        f"    echo '{word}: {chance.getrandbits(48):012x}'" for word in chance.sample(_WORDS, 3)
    ]
    lines += [f"  # {word}: {chance.randrange(99)}" for word in chance.sample(_WORDS, 2)]
    return "\n".join(lines) + "\n"
