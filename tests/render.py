"""A pull request's text as GitHub shows it, and the picture of it in the documents.

    .venv/bin/python tests/render.py docs/pull-request.png

makes that picture, with Chromium and the style of github-markdown-css (`npm ci` in tests/oracle).
"""

from __future__ import annotations

import html
import os
import re
import struct
import subprocess
import sys
import tempfile
import zlib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import cmarkgfm  # type: ignore[import-untyped]
from cmarkgfm.cmark import Options  # type: ignore[import-untyped]

from conftest import ROOT, find_tool
from gitops_promote.core.change import Change
from gitops_promote.core.diff import diff_file
from gitops_promote.core.images import Reference, parse_image
from gitops_promote.core.plan import Plan
from gitops_promote.core.request import Request
from gitops_promote.core.review.gates import parse_gates
from gitops_promote.core.review.history import History, SourceCommit
from gitops_promote.core.review.rendered import ObjectChange, Rendered
from gitops_promote.core.review.text import Facts
from gitops_promote.core.source import Source

STYLE = ROOT / "tests/oracle/node_modules/github-markdown-css/github-markdown-light.css"
CHROMIUM = next(filter(None, map(find_tool, ("chromium", "google-chrome", "chrome"))), None)

SHOP = "ghcr.io/acme/shop"
OVERLAY = "apps/shop/overlays/prod"
_OLD = "3f0d7f2a9b6c5e4d8a1b2c3d4e5f60718293a4b5c6d7e8f90a1b2c3d4e5f6071"
_NEW = "b5b2b2c507a0944348e0303114d8d93aaaa081732b86451d9bce1f432a537bc7"
_COMMITS = (
    ("8c1f7a2e", "Show the price with tax in the basket", "Ana Lima"),
    ("51b0c9d4", "Retry a payment that timed out once", "Tomás Ek"),
    ("e7720f38", "Bump the payment client to 4.2", "renovate[bot]"),
    ("0a94d6bb", "Keep the basket when a session ends (#812)", "Ana Lima"),
    ("c35e18f0", "Drop the table of old coupons", "Wei Zhang"),
    ("2d6b83a7", "Ask @acme/design before changing the checkout's colours", "Tomás Ek"),
)


def example() -> Facts:
    """The promotion that the documents show: the shop to production."""
    commits = tuple(SourceCommit(id_ * 5, text, author) for id_, text, author in _COMMITS)
    path = f"{OVERLAY}/kustomization.yaml"
    before = _overlay("1.4.1", _OLD)
    after = _overlay("1.5.0", _NEW)
    change = Change(
        SHOP,
        path,
        7,
        "images[0]",
        Reference(SHOP, "1.4.1", f"sha256:{_OLD}"),
        Reference(SHOP, "1.5.0", f"sha256:{_NEW}"),
    )
    source = Source(
        commit=commits[0].id,
        ref="refs/tags/v1.5.0",
        repository="acme/shop",
        server_url="https://github.com",
        run_id="11870042117",
        run_number="318",
        actor="octocat",
    )
    request = Request(
        images=(parse_image(f"{SHOP}:1.5.0@sha256:{_NEW}"),),
        targets=(),
        environments=("prod",),
        app="shop",
        source=source,
    )
    plan = Plan(
        files={path: after},
        changes=(change,),
        diff=diff_file(path, before, after),
        message="Promote shop to 1.5.0 in prod\n\nPromoted-App: shop\n",
    )
    return Facts(
        request,
        plan,
        repository="acme/deploy",
        base="main",
        server_url="https://github.com",
        history=History(
            "https://github.com", "acme/shop", "1f0c2d3a" * 5, commits[0].id, commits, 6
        ),
        gates=parse_gates(
            (
                "Vulnerability scan=https://scan.acme.example/shop/1.5.0",
                "End-to-end tests on test=https://ci.acme.example/shop/318/e2e",
                "Error budget of prod=https://grafana.acme.example/d/slo?var-app=shop",
            )
        ),
        rendered=(Rendered(OVERLAY, "kubectl kustomize", (_deployment(),), ""),),
    )


def _overlay(tag: str, digest: str) -> bytes:
    return (
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: shop\n"
        "resources:\n  - ../../base\nimages:\n"
        f"  - name: {SHOP}\n    newTag: {tag}\n    digest: sha256:{digest}\n"
        "replicas:\n  - name: shop\n    count: 6\n"
    ).encode()


def _deployment() -> ObjectChange:
    image = f"        - image: {SHOP}"
    diff = (
        "@@ -27,7 +27,7 @@\n       containers:\n"
        f"-{image}@sha256:{_OLD}\n+{image}@sha256:{_NEW}\n           name: shop\n"
    )
    return ObjectChange("Deployment", "shop", "shop", diff, only_image=True)


def to_html(markdown: str) -> str:
    """What GitHub makes of Markdown in a pull request, but for links that it adds afterwards."""
    options = Options.CMARK_OPT_UNSAFE | Options.CMARK_OPT_HARDBREAKS
    made = cmarkgfm.github_flavored_markdown_to_html(markdown, options)
    return re.sub(
        r"<blockquote>\n<p>\[!(WARNING|NOTE)\](?:<br />)?\n?(.*?)</blockquote>",
        _alert,
        made,
        flags=re.DOTALL,
    )


def _alert(found: re.Match[str]) -> str:
    kind, rest = found[1].lower(), found[2]
    body = f"<p>{rest}" if not rest.startswith("</p>") else rest.removeprefix("</p>")
    title = f'<p class="markdown-alert-title">⚠ {kind.title()}</p>'
    return f'<div class="markdown-alert markdown-alert-{kind}">{title}\n{body}</div>'


# "Autolinked references and URLs" and "Basic writing and formatting syntax" of GitHub's
# documentation, read as widely as they can be.
_REFERENCE = re.compile(
    r"@\w[\w/-]*|\w*#\d+|\bgh-\d+|(?<![^\W_])[0-9a-f]{7,}(?![^\W_])|\w+://\S*|www\.\S*"
    r"|[\u200e\u200f\u202a-\u202e\u2066-\u2069]",
    re.IGNORECASE,
)


_VOID = {"br", "hr", "img", "input"}


class Read(HTMLParser):
    """What GitHub would find in a text in Markdown.

    `references` are what it would make links, mentions and such of; `links` lead somewhere.
    """

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.links: list[str] = []
        self.references: list[str] = []
        self.texts: list[str] = []
        self.codes: list[str] = []
        self.unbalanced: list[str] = []
        self.html = to_html(markdown)
        self.feed(self.html)
        self.close()
        self.unbalanced += self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        known = dict(attrs)
        self.links += [known["href"] or ""] if "href" in known else []
        if tag not in _VOID:
            self.open.append(tag)
        if tag == "code":
            self.codes.append("")

    def handle_endtag(self, tag: str) -> None:
        if self.open[-1:] == [tag]:
            self.open.pop()
        elif tag not in _VOID:
            self.unbalanced.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        if "code" in self.open:
            self.codes[-1] += data
            return
        self.texts.append(data)
        if "a" not in self.open:
            self.references += _REFERENCE.findall(data)

    def handle_comment(self, data: str) -> None:
        if data.strip():
            self.tags["!--"] += 1

    @property
    def text(self) -> str:
        """What is seen outside of code."""
        return "".join(self.texts)


def page(title: str, body: str) -> str:
    """A page that looks like a pull request's."""
    style = STYLE.read_text("utf-8")
    return (
        f"<!doctype html><meta charset=utf-8><title></title><style>{style}\n{_STYLE}</style>"
        f'<main class="markdown-body"><h1>{html.escape(title)} <i>#421</i></h1>'
        f"<section><header><b>acme-deploy</b> wants to merge 1 commit into <code>main</code>"
        f"</header><article>{_coloured(to_html(body))}</article></section></main>"
        "<script>document.title = document.querySelector('main').offsetHeight</script>"
    )


_STYLE = """
body { margin: 0 }
main { width: 880px; padding: 20px 24px 24px; box-sizing: border-box }
main h1 { border: 0 !important; margin: 0 0 14px !important; padding: 0 !important }
main h1 i { color: #59636e; font-style: normal; font-weight: 300 }
section { border: 1px solid #d1d9e0; border-radius: 6px }
header { background: #f6f8fa; border-bottom: 1px solid #d1d9e0; padding: 8px 16px;
  border-radius: 6px 6px 0 0; font-size: 14px; color: #59636e }
article { padding: 16px; font-size: 14px }
article > :last-child { margin-bottom: 0 !important }
li:has(> input) { list-style: none }
li > input { margin: 0 .3em .25em -1.4em !important; vertical-align: middle }
.del { background: #ffebe9; color: #82071e } .ins { background: #dafbe1; color: #116329 }
.hunk { color: #6639ba; font-weight: bold }
"""


def _coloured(made: str) -> str:
    """The lines of differences in GitHub's colours."""

    def colour(found: re.Match[str]) -> str:
        kinds = {"+": "ins", "-": "del", "@": "hunk"}
        lines = [
            f'<span class="{kinds[line[0]]}">{line}</span>' if line[:1] in kinds else line
            for line in found[2].split("\n")
        ]
        return found[1] + "\n".join(lines) + "</code></pre>"

    return re.sub(r'(<pre lang="diff"><code>)(.*?)</code></pre>', colour, made, flags=re.DOTALL)


def screenshot(content: str, target: Path, scale: float = 1.5) -> None:
    """Take a picture of a page with Chromium, which needs no display for it."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "page.html"
        source.write_text(content, "utf-8")
        dom = _chromium(folder, "--dump-dom", source.as_uri())
        found = re.search(r"<title>(\d+)</title>", dom)
        assert found, dom[:500]
        _chromium(
            folder,
            f"--window-size=880,{found[1]}",
            f"--force-device-scale-factor={scale}",
            "--hide-scrollbars",
            f"--screenshot={target}",
            source.as_uri(),
        )


def _chromium(folder: str, *arguments: str) -> str:
    assert CHROMIUM
    quiet = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")
    done = subprocess.run(
        [CHROMIUM, *quiet, f"--user-data-dir={folder}/profile", *arguments],
        capture_output=True,
        check=True,
        timeout=120,
        env={"PATH": os.environ["PATH"], "HOME": folder, "TMPDIR": folder},
    )
    return done.stdout.decode()


def smaller(picture: bytes) -> bytes:
    """A PNG of Chromium's with no more than 256 colours, and well compressed."""
    width, height, _, kind, rest, data = 0, 0, 0, 0, picture[8:], b""
    while rest:
        length, name = struct.unpack(">I4s", rest[:8])
        content, rest = rest[8 : 8 + length], rest[12 + length :]
        if name == b"IHDR":
            width, height, _, kind = struct.unpack(">IIBB", content[:10])
        elif name == b"IDAT":
            data += content
    step = {2: 3, 6: 4}[kind]
    pixels = _unfiltered(zlib.decompress(data), width * step, step)
    colours = [pixels[at : at + 3] for at in range(0, len(pixels), step)]
    often = [colour for colour, _ in Counter(colours).most_common(256)]
    number = {colour: _nearest(colour, often) for colour in set(colours)}
    flat = bytes(number[c] for c in colours)
    rows = b"".join(b"\0" + flat[y * width : (y + 1) * width] for y in range(height))
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
        (b"PLTE", b"".join(often)),
        (b"IDAT", zlib.compress(rows, 9)),
        (b"IEND", b""),
    )
    return picture[:8] + b"".join(
        struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in chunks
    )


def _nearest(colour: bytes, colours: list[bytes]) -> int:
    def distance(number: int) -> int:
        return sum((a - b) ** 2 for a, b in zip(colour, colours[number], strict=True))

    return min(range(len(colours)), key=distance)


def _unfiltered(data: bytes, width: int, step: int) -> bytes:
    """The pixels of a PNG ("Filtering" of its specification)."""
    above, found = bytes(width), bytearray()
    for start in range(0, len(data), width + 1):
        kind, line = data[start], bytearray(data[start + 1 : start + 1 + width])
        for x in range(width if kind else 0):
            left = line[x - step] if x >= step else 0
            corner = above[x - step] if x >= step else 0
            guess = left + above[x] - corner
            paeth = min((left, above[x], corner), key=lambda value: abs(guess - value))
            line[x] = line[x] + (0, left, above[x], (left + above[x]) // 2, paeth)[kind] & 0xFF
        found += line
        above = bytes(line)
    return bytes(found)


if __name__ == "__main__":
    from gitops_promote.core.review.text import compose

    text, picture = compose(example(), "", ""), Path(sys.argv[1]).absolute()
    screenshot(page(text.title, text.body), picture)
    picture.write_bytes(smaller(picture.read_bytes()))
