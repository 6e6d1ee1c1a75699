"""A YAML file as bytes, text and tree."""

from __future__ import annotations

import codecs
from dataclasses import dataclass, field

from gitops_promote.core.errors import PromoteError
from gitops_promote.core.yaml.layout import LINE_BREAK, line_of
from gitops_promote.core.yaml.tree import Mapping, Node, Scalar, Sequence, parse

_BOMS = (
    # UTF-32 is not looked for: go-yaml, which reads these files in the end, does not know it.
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)


@dataclass(frozen=True, eq=False)
class Document:
    """A YAML file: its text, the node tree of its first document, and how it is encoded.

    kustomize and Helm read the first document of a file and no other, and so does `root`; `roots`
    has all. A document that is the text of a scalar of another has that as its `holder`, and
    begins on its line `first_line`.
    """

    path: str
    text: str
    root: Node | None
    bom: bytes = b""
    encoding: str = "utf-8"
    roots: tuple[Node | None, ...] = ()
    holder: Scalar | None = None
    first_line: int = 1
    _embedded: dict[int, Document | None] = field(default_factory=dict)

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
        """The same file with another text.

        Args:
            text: The other text.

        Returns:
            A document of the same path and encoding.

        Raises:
            PromoteError: The text is not YAML.
        """
        return self._of(text, self.path, self.bom, self.encoding)

    def embedded(self, scalar: Scalar) -> Document | None:
        """The YAML that is the text of a scalar, as of Argo CD's `helm.values`.

        Args:
            scalar: A scalar of this document.

        Returns:
            The document that it holds, always the same one; None where it is no YAML, or YAML of
            no mapping or list.
        """
        if id(scalar) not in self._embedded:
            self._embedded[id(scalar)] = self._read(scalar)
        return self._embedded[id(scalar)]

    def _read(self, scalar: Scalar) -> Document | None:
        if ":" not in scalar.value:
            return None
        try:
            roots = tuple(parse(scalar.value, self.path))
        except PromoteError:
            return None
        root = roots[0] if roots else None
        if not isinstance(root, (Mapping, Sequence)):
            return None
        first = self.line(scalar) + (scalar.style in ("|", ">"))
        return Document(self.path, scalar.value, root, roots=roots, holder=scalar, first_line=first)

    def encode(self) -> bytes:
        """The file's bytes."""
        return self.bom + self.text.encode(self.encoding)

    def line(self, node: Node) -> int:
        """The line of a node in its file, counted from 1.

        Args:
            node: A node of this document.

        Returns:
            The line.
        """
        if self.holder is not None and self.holder.style not in ("|", ">"):
            return self.first_line
        return self.first_line - 1 + line_of(self.text, node.start)

    @property
    def newline(self) -> str:
        """The line end that the file uses, that of its first line."""
        found = LINE_BREAK.search(self.text)
        return found.group() if found else "\n"

    def error(self, what: str, fix: str, node: Node | None = None) -> PromoteError:
        """An error that names this file, and the line of `node` if one is given.

        Args:
            what: What is wrong.
            fix: What to do next.
            node: What it is about.

        Returns:
            The error, to be raised.
        """
        return PromoteError(what, fix, path=self.path, line=self.line(node) if node else 0)
