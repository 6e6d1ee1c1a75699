"""The artifact that Flux's OCIRepository names: a chart or manifests in a registry."""

from __future__ import annotations

from dataclasses import dataclass

from gitops_promote.core.images import Reference
from gitops_promote.core.slots.chart_version import chart_name
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.yaml.quoting import quotes_of
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    find_pair,
    find_value,
    resolve,
    text_of,
)


@dataclass(frozen=True)
class ArtifactSlot(Slot):
    """The `spec` of an OCIRepository: its `url` is the artifact's name, `ref` has the version.

    Of the keys of `ref`, `digest` goes before `semver`, and that before `tag` ("OCI Repositories",
    the reference of Flux's source-controller).
    """

    node: Mapping

    @property
    def current(self) -> Reference:
        """What is fetched; the tag is a range where `semver` says which."""
        ref = self._ref
        name = chart_name(text_of(self.node, "url"), "")
        if ref is None:
            return Reference(name)
        tag, _, digest = text_of(ref, "tag").partition("@")
        digest = text_of(ref, "digest") or digest
        return Reference(name, tag if digest else text_of(ref, "semver") or tag, digest)

    @property
    def version_node(self) -> Node:
        """The tag, the digest, or what will hold it."""
        return next(iter(self.parts), self._ref or self.node)

    @property
    def parts(self) -> list[Scalar]:
        """The scalars of the tag and of the digest, as far as they are there."""
        found = (find_value(self._ref, key) for key in ("tag", "digest")) if self._ref else ()
        return [node for node in found if isinstance(node, Scalar)]

    @property
    def _ref(self) -> Mapping | None:
        ref = find_value(self.node, "ref")
        return ref if isinstance(ref, Mapping) and ref.pairs else None

    def write(self, editor: Editor, new: Reference) -> None:
        """As `Slot.write` says.

        Raises:
            PromoteError: A range goes before the tag, another artifact is asked for, or `ref` is
                empty.
        """
        if new.name != self.current.name:
            raise editor.document.error(
                f"`{self.label}` names the artifact `{self.current.name}` by its `url`, which "
                "can't be renamed.",
                "Leave the new name out.",
                self.node,
            )
        ref = self._ref
        if ref is not None:
            self._write_ref(editor, ref, new)
            return
        url = find_pair(self.node, "url")
        if find_pair(self.node, "ref") or url is None:
            raise editor.document.error(
                f"`{self.label}.ref` is empty.", "Write `tag` with a version there.", self.node
            )
        pairs = [(key, text) for key, text in (("tag", new.tag), ("digest", new.digest)) if text]
        editor.add_mapping(self.node, url[0], "ref", pairs)

    def _write_ref(self, editor: Editor, ref: Mapping, new: Reference) -> None:
        semver = find_pair(ref, "semver")
        if text_of(ref, "semver") and semver and not new.digest:
            raise editor.document.error(
                f"`{self.label}.ref` has a `semver` range, which goes before any tag: Flux takes "
                "the highest version of it by itself.",
                "Remove `semver` to have the version named here, or give the image a digest, which "
                "goes before both.",
                semver[0],
            )
        tag, digest = find_pair(ref, "tag"), find_pair(ref, "digest")
        if new.digest and not digest and tag and "@" in text_of(ref, "tag"):
            editor.set(tag[1], new.version)
        elif new.tag and not new.digest and digest and not tag:
            editor.replace_pair(ref, digest[0], "tag", new.tag)
        elif new.digest and not new.tag and tag and not digest:
            editor.replace_pair(ref, tag[0], "digest", new.digest)
        else:
            style = quotes_of(resolve(ref.pairs[0][1]))
            for key, text, pair in (("tag", new.tag, tag), ("digest", new.digest, digest)):
                if text and pair:
                    editor.set(pair[1], text)
                elif text:
                    editor.add_pair(ref, ref.pairs[-1][0], key, text, style)
                elif pair:
                    editor.remove_pair(ref, pair[0])
