"""Putting an image into a file with which Argo CD overrides a source, made where there is none.

The form is that of Argo CD Image Updater's git write-back ("Update methods" in its documentation).
Argo CD merges the file into the source as a JSON merge patch, so its lists take the place of the
Application's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gitops_promote.core.change import Change, Edited
from gitops_promote.core.errors import ImageNotFoundError, PromoteError
from gitops_promote.core.images import Image, Reference, desired, split_registry
from gitops_promote.core.kinds.argocd_parameters import append_parameters
from gitops_promote.core.kinds.kind import Around
from gitops_promote.core.kinds.kustomize import FILE_NAMES
from gitops_promote.core.slots import edit
from gitops_promote.core.slots.block import TAG_KEYS, digest_key, first_of, name_key
from gitops_promote.core.slots.parameters import parameter_name
from gitops_promote.core.slots.search import Form, is_named
from gitops_promote.core.slots.slot import Slot
from gitops_promote.core.slots.values import ValueSlot, slots
from gitops_promote.core.yaml.document import Document
from gitops_promote.core.yaml.key_path import Path, parse_key
from gitops_promote.core.yaml.quoting import quoted
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import Mapping, Node, Scalar, Sequence, find_value, is_null

# As Image Updater spells it; Argo CD reads these files in any case of letters.
_FLAG = "forcestring"
_ENDINGS = ("tag", "version", "release")

#: Names and values of parameters, in the order in which they are written.
_Parameters = list[tuple[str, str]]


def add(form: Form, document: Document, image: Image, key: str, around: Around) -> Edited:
    """Put an image into a file that has nothing of it.

    Args:
        form: Where such files hold images.
        document: The file; an empty one where there is none.
        image: The image.
        key: The target's `#KEY`, which names a chart's parameter; empty to find what the image
            needs by the files beside.
        around: What else counts.

    Returns:
        The file with the image, and what was added.

    Raises:
        ImageNotFoundError: The chart beside has no such image.
        PromoteError: Nothing tells what the image needs, or the call has no version.
    """
    if _tool(document, key, around) == "kustomize":
        new = desired(image, Reference(image.name))
        _check_version(document, image, new)
        _check_used(document, image, around)
        renamed = "" if new.name == image.name else f"{image.name}="
        edited = _with_item(document, f"{renamed}{new}")
        return _edited(form, document, edited, image, lambda slot: is_named(slot, image))
    parameters = _parameters(document, image, key, around)
    names = {name for name, _ in parameters}
    known = [slot for slot in form.slots(document) if any(map(slot.answers, names))]
    if known:
        done = edit.set_image(form, document, image, known[0].label, around.together)
        told = {name for name in names if any(slot.answers(name) for slot in known)}
        missing = [pair for pair in parameters if pair[0] not in told]
        if key or not missing:
            return done
        # Without the image's name, nobody would find it here again.
        return replace(done, document=_with_parameters(done.document, missing))
    added = _with_parameters(document, parameters)
    return _edited(form, document, added, image, lambda slot: any(map(slot.answers, names)))


def _tool(document: Document, key: str, around: Around) -> str:
    """What renders the source: `kustomize` or `helm`."""
    root = document.root
    present = [
        t for t in ("kustomize", "helm") if isinstance(root, Mapping) and find_value(root, t)
    ]
    if key or len(present) == 1:
        return "helm" if key else present[0]
    beside = {
        "kustomize": any(around.beside(name) for name in FILE_NAMES),
        "helm": around.beside("Chart.yaml") is not None,
    }
    found = [tool for tool, is_there in beside.items() if is_there]
    if len(found) == 1:
        return found[0]
    what = "both a chart and a kustomization" if found else "neither a chart nor a kustomization"
    raise document.error(
        f"{what} lies beside this file, so nothing tells what the image is to be written as.",
        "Begin it with `kustomize: {images: []}`, or name a chart's parameter, such as "
        "`#image.tag`.",
    )


def _check_used(document: Document, image: Image, around: Around) -> None:
    """Refuse an item that kustomize would ignore, and one that nobody asked for here."""
    used = around.used()
    if image.name in (used or ()) or (used is None and around.named):
        return
    listed = ", ".join(f"`{name}`" for name in sorted(used or ())[:5])
    raise ImageNotFoundError(
        f"there is no image `{image.name}` here, nor in the overlay beside this file.",
        f"The images of its resources: {listed}." if listed else "Name this file without a glob.",
        path=document.path,
    )


def _check_version(document: Document, image: Image, new: Reference) -> None:
    if not new.version:
        raise document.error(
            f"nothing here says a version of `{image.name}`, and neither does the call.",
            "Give the image a tag or a digest.",
        )


def _parameters(document: Document, image: Image, key: str, around: Around) -> _Parameters:
    """The parameters that say an image."""
    values = around.beside("values.yaml")
    keys = tuple(part for part in parse_key(key) if isinstance(part, (str, int))) if key else ()
    slot = _slot(document, image, keys, values)
    if slot is not None:
        new = desired(image, slot.current)
        _check_version(document, image, new)
        if any(isinstance(part, int) for part in slot.path):
            raise document.error(
                f"the chart has `{image.name}` in a list, `{slot.label}`: a parameter for an item "
                "takes the place of the whole list.",
                "Promote it in a values file.",
            )
        if isinstance(slot.node, Scalar):
            return [(parameter_name(slot.path), str(new))]
        return _of_block(document, slot, slot.node, new)
    new = desired(image, Reference(image.name))
    _check_version(document, image, new)
    if str(keys[-1]).lower().endswith(_ENDINGS) and new.tag and new.name == image.name:
        return [(parameter_name(keys), new.version)]
    raise document.error(
        f"nothing tells what the parameter `{key}` holds of `{image.name}`.",
        "Name the one of its tag, such as `#image.tag`, and give the image a tag and no new name; "
        "else write the parameters into this file first.",
    )


def _slot(
    document: Document, image: Image, keys: Path, values: Document | None
) -> ValueSlot | None:
    """The image's place in the chart's values; None where only a key names it."""
    known = slots(values) if values else []
    if keys:
        return next((slot for slot in known if slot.path == keys), None)
    named = [slot for slot in known if is_named(slot, image)]
    if len(named) == 1:
        return named[0]
    if named:
        listed = ", ".join(f"`#{slot.label}`" for slot in named)
        raise document.error(
            f"the chart has `{image.name}` in {len(named)} places of its values: {listed}.",
            "Name one with `#KEY`, several with a target line each.",
        )
    raise ImageNotFoundError(
        f"the values of the chart beside this file don't have `{image.name}`.",
        "Name the parameter of its tag, such as `#image.tag`.",
        path=document.path,
    )


def _of_block(document: Document, slot: ValueSlot, block: Mapping, new: Reference) -> _Parameters:
    """The parameters of a block: all that names the image too, so that it is found by its name."""
    digest = digest_key(block)
    tag = next((key for key in TAG_KEYS if first_of(block, (key,))), TAG_KEYS[0])
    if not digest and not new.tag:
        raise document.error(
            f"the chart has no place for a digest alone in `{slot.label}`.",
            "Give the image a tag too.",
        )
    parts: _Parameters = []
    shared: _Parameters = []
    name, registry = new.name, find_value(block, "registry")
    host, path = split_registry(name)
    if isinstance(registry, Scalar) and (host or registry.value):
        parts.append(("registry", host or "docker.io"))
        name = path
    elif slot.registry and host == slot.registry:
        shared.append(("global.imageRegistry", host))
        name = path
    parts.append((name_key(block), name))
    if new.tag:
        parts.append((tag, new.tag if digest else new.version))
    if digest:
        old = first_of(block, (digest,))
        bare = digest == "sha" and old is not None and ":" not in old.value
        value = new.digest.removeprefix("sha256:") if bare else new.digest
        # The chart's own digest would go before the tag.
        if value or (old is not None and old.value and not is_null(old)):
            parts.append((digest, value))
    return [*shared, *((parameter_name((*slot.path, key)), value) for key, value in parts)]


def _with_item(document: Document, item: str) -> Document:
    if document.root is None:
        return _begun(document, f"kustomize:\n  images:\n  - {quoted(item)}\n")
    editor, items = Editor(document), _list(document, "kustomize", "images")
    editor.append_text(items, item)
    return editor.apply()


def _with_parameters(document: Document, parameters: _Parameters) -> Document:
    if document.root is None:
        lines = "".join(
            f"  - name: {quoted(name)}\n    value: {quoted(value)}\n    {_FLAG}: true\n"
            for name, value in parameters
        )
        return _begun(document, f"helm:\n  parameters:\n{lines}")
    editor, items = Editor(document), _list(document, "helm", "parameters")
    append_parameters(editor, items, parameters, _FLAG)
    return editor.apply()


def _begun(document: Document, lines: str) -> Document:
    """A file that has had nothing but comments, if that."""
    text, newline = document.text, document.newline
    if text and not text.endswith(("\n", "\r")):
        text += newline
    return document.with_text(text + lines.replace("\n", newline))


def _list(document: Document, *path: str) -> Sequence:
    node: Node | None = document.root
    for key in path:
        node = find_value(node, key) if isinstance(node, Mapping) else None
    if isinstance(node, Sequence) and (node.flow or node.items):
        return node
    raise document.error(
        f"this file has no list `{'.'.join(path)}` to which the image can be added.",
        f"Write `{path[0]}: {{{path[1]}: []}}` into it first.",
    )


def _edited(
    form: Form, before: Document, document: Document, image: Image, is_meant: Callable[[Slot], bool]
) -> Edited:
    slot = next((slot for slot in form.slots(document) if is_meant(slot)), None)
    if slot is None:
        raise PromoteError(
            "the image can't be read from where it was added.",
            "Write it into the file by hand first.",
            path=document.path,
        )
    change = Change(
        image=image.name,
        path=document.path,
        line=slot.line,
        key=slot.label,
        old=Reference(image.name),
        new=slot.current,
    )
    listed = "kustomize.images" if "kustomize" in slot.label.split(".") else "helm.parameters"
    warning = f"Argo CD takes this file's `{listed}` in place of the Application's own."
    return Edited(document, (change,), () if before.root else (warning,))
