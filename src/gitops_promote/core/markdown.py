"""Values that come from outside, as Markdown that shows them and does nothing else."""

from __future__ import annotations

import re

#: What GitHub and its readers of Markdown find no name, number, hash or address across. It stands
#: in the outcome too, where a backslash, an entity or a comment is gone before GitHub looks.
_BREAK = "\u200b"
# "Autolinked references and URLs" of GitHub's documentation lists what becomes a link: `@name`,
# `#1`, `GH-1`, `owner/name#1`, the hash of a commit and addresses; `closes #1` needs one of them.
_LINKED = re.compile(
    r"(?P<sign>[@#])(?=\w)|(?P<issue>\bgh)(?=-\d)|(?P<www>www)(?=\.)|(?P<scheme>:)(?=//)"
    r"|(?<![^\W_])(?P<hash>[0-9a-f]{7,})(?![^\W_])",
    re.IGNORECASE,
)
# What ends in a commit message (a squash can take the text of a pull request), and keeps
# workflows from running there: "Skipping workflow runs".
_SKIP = re.compile(r"\[(?=(?:skip|no|ci|actions)[ -]\w+\])|(?<=skip-checks)(?=:)", re.IGNORECASE)
# Characters that reorder what stands around them, or are not seen at all, and halves of others.
# Joiners (U+200C, U+200D) stay: scripts and emoji need them. So does `_BREAK`: a text can come here
# twice.
_UNSEEN = re.compile(
    "[\u00ad\u061c\u180e\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\ud800-\udfff]"
)
# A mark that makes a list, a heading or a line of what comes after it.
_BLOCK = re.compile(r"^(\s*)([-+=:]|\d+(?=[.)]))")


def code(text: str) -> str:
    """Write inline code.

    Args:
        text: Whatever it is.

    Returns:
        Markdown on one line, also for a table.
    """
    text = one_line(text)
    # No length of backticks and no backslash is right for every reader of tables.
    plain = text.strip() and not re.search(r"[`|\\]", text)
    return f"`{text}`" if plain else code_element(text)


def code_element(text: str) -> str:
    """Write inline code for where backticks mean nothing, such as within an HTML element.

    Args:
        text: Whatever it is.

    Returns:
        HTML on one line, for Markdown too.
    """
    text = re.sub("[!-/:-@[-`{-~]", lambda found: f"&#{ord(found[0])};", one_line(text))
    # GitHub's reader of Markdown finds an address by its `@`, here too.
    return f"<code>{re.sub(r'(?<=[^ ;])&#64;(?=[0-9A-Za-z])', '&#64;<!-- -->', text)}</code>"


def link(shown: str, url: str) -> str:
    """Write a link.

    Args:
        shown: Markdown that is shown.
        url: Where it leads: an address of http or https.

    Returns:
        Markdown on one line; what is shown where there is no address.
    """
    return f"[{shown}]({encoded(url)})" if url else shown


def encoded(url: str) -> str:
    """Encode the characters of an address that end it in Markdown or HTML, or aren't ASCII.

    Args:
        url: The address, or a part of it.

    Returns:
        An address that leads to the same place.
    """

    def percent(found: re.Match[str]) -> str:
        return "".join(f"%{byte:02X}" for byte in found[0].encode("utf-8", "replace"))

    # An ampersand that begins an entity is read as one, in an address too.
    text = re.sub(r"[^!#-%&+-;=?-Z_a-z~]", percent, url)
    return text.replace("&", "&amp;")


def fenced(text: str, language: str) -> str:
    """Write a block of code.

    Args:
        text: Its lines.
        language: What they are written in, for colours.

    Returns:
        Markdown, in a fence that the text doesn't end.
    """
    text = _shown(re.sub(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]", "\ufffd", text))
    # GitHub's reader counts no more than 255 of a fence.
    text = re.sub("`{200}", rf"\g<0>{_BREAK}", text)
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    newline = "" if text.endswith("\n") else "\n"
    return f"{fence}{language}\n{text}{newline}{fence}"


def prose(text: str) -> str:
    """Write a sentence of ours, in which backticks are meant, unless a value in it has its own.

    Args:
        text: The sentence.

    Returns:
        Markdown on one line, also for a table.
    """
    text = one_line(text)
    if "``" in text or text.count("`") % 2:
        return escape(text)
    parts = text.split("`")
    return "".join(code(part) if n % 2 else escape(part) for n, part in enumerate(parts))


def escape(text: str) -> str:
    """Write a text as it is.

    Args:
        text: Whatever it is.

    Returns:
        Markdown on one line that formats, links and notifies nothing.
    """
    text = _LINKED.sub(_broken, one_line(text))
    text = re.sub(r"([\\`*_{}\[\]<>#|!@~&$])", r"\\\1", re.sub("^ +", " ", text))
    # A line of text starts no block, of code neither; behind a number its dot is what matters.
    return _BLOCK.sub(lambda f: f"{f[1]}{f[2]}\\" if f[2].isdigit() else f"{f[1]}\\{f[2]}", text)


def plain(text: str) -> str:
    """Write a text as it is where no Markdown is read, such as in a title.

    Args:
        text: Whatever it is.

    Returns:
        A text on one line that links and notifies nothing, now or as a commit's message.
    """
    # Within a word, as in a reference with a digest, there is nothing to find.
    return re.sub(r"(?<!\w)([@#]|gh-)(?=\w)", rf"\1{_BREAK}", one_line(text), flags=re.IGNORECASE)


def one_line(text: str) -> str:
    """Put a text on one line on which all is seen that it has.

    Args:
        text: Whatever it is.

    Returns:
        The text with a space for each run of control characters and line ends.
    """
    return _shown(re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text))


def _shown(text: str) -> str:
    def visible(found: re.Match[str]) -> str:
        number = ord(found[0])
        return "\ufffd" if 0xD800 <= number < 0xE000 else f"\u27e8U+{number:04X}\u27e9"

    return _SKIP.sub(rf"\g<0>{_BREAK}", _UNSEEN.sub(visible, text))


def _broken(found: re.Match[str]) -> str:
    if found["hash"]:
        # A hash has at least seven digits.
        return _BREAK.join(re.findall(".{1,6}", found[0]))
    return found[0] + _BREAK
