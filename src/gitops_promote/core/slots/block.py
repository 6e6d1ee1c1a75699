"""The block that charts keep an image in: a mapping of its repository, tag and digest."""

from __future__ import annotations

from gitops_promote.core.images import Reference, split_reference, split_registry
from gitops_promote.core.yaml.key_path import Path
from gitops_promote.core.yaml.splice import Editor
from gitops_promote.core.yaml.tree import (
    Mapping,
    Node,
    Scalar,
    by_name,
    find_pair,
    find_value,
    is_null,
    resolve,
    text_of,
)

# The names that charts give to the parts of an image, the usual one first.
NAME_KEYS = ("repository", "repo", "image", "name")
TAG_KEYS = ("tag", "imageTag", "version")
DIGEST_KEYS = ("digest", "sha")


def first_of(node: Mapping, keys: tuple[str, ...]) -> Scalar | None:
    """The value of the first of several keys that a block has, merged ones included.

    Args:
        node: The block.
        keys: The keys, the usual one first.

    Returns:
        The scalar, or None where it has none of them.
    """
    values = (find_value(node, key) for key in keys)
    return next((value for value in values if isinstance(value, Scalar)), None)


def name_key(node: Mapping) -> str:
    """The key of a mapping that names the image's repository; empty where it is no block.

    Args:
        node: The mapping.

    Returns:
        One of `NAME_KEYS`, or an empty text.
    """
    # Most mappings are none, and all of a file are asked.
    if by_name(node).keys().isdisjoint(NAME_KEYS):
        return ""
    for key in NAME_KEYS:
        if not text_of(node, key):
            continue
        if key in ("repository", "repo"):
            return key
        versioned = first_of(node, TAG_KEYS[:2] + DIGEST_KEYS) is not None
        registry = key == "image" and text_of(node, "registry")
        if (versioned or registry) and not split_reference(text_of(node, key)).version:
            return key
    return ""


def is_block(node: Mapping) -> bool:
    """Whether a mapping names an image, and itself has a part of it.

    Args:
        node: The mapping.

    Returns:
        True for an image's block.
    """
    parts = (*NAME_KEYS, *TAG_KEYS, *DIGEST_KEYS)
    return bool(name_key(node)) and any(find_pair(node, key) for key in parts)


def block_reference(node: Mapping, registry: str) -> Reference:
    """What a block says of its image.

    Args:
        node: The block.
        registry: The registry of all images that name none.

    Returns:
        Name, tag and digest; each is empty where the block doesn't say it.
    """
    key = name_key(node)
    name, own = (text_of(node, key) if key else ""), text_of(node, "registry")
    if name and own:
        name = f"{own}/{name}"
    elif name and registry and not split_registry(name)[0]:
        name = f"{registry}/{name}"
    tag_node, digest_node = first_of(node, TAG_KEYS), first_of(node, DIGEST_KEYS)
    tag, _, digest = (tag_node.value if tag_node else "").partition("@")
    if not digest and digest_node and digest_node.value and not is_null(digest_node):
        digest = digest_node.value
        if digest_key(node) == "sha" and ":" not in digest:
            digest = f"sha256:{digest}"
    return Reference(name, "" if tag_node and is_null(tag_node) else tag, digest)


def digest_key(node: Mapping) -> str:
    """The key that a block has for its digest, empty where it has none.

    Args:
        node: The block.

    Returns:
        One of `DIGEST_KEYS`, or an empty text.
    """
    return next((key for key in DIGEST_KEYS if find_value(node, key) is not None), "")


def values_of(node: Mapping) -> dict[str, Node]:
    """The values of a mapping's own keys, of a key given twice the last.

    Args:
        node: The mapping.

    Returns:
        The values, as aliases where they are such.
    """
    names = [(resolve(key), value) for key, value in node.pairs]
    return {name.value: value for name, value in names if isinstance(name, Scalar)}


def write_block(
    editor: Editor, block: Mapping, registry: str, new: Reference, path: str, style: str
) -> None:
    """Give a block's image another name, tag and digest.

    Args:
        editor: The editor of the block's document.
        block: The block.
        registry: The registry of all images that name none.
        new: What it is to say.
        path: What to call the block in messages.
        style: The quotes of a tag that is added.

    Raises:
        PromoteError: The block has no place for it.
    """
    current = block_reference(block, registry)
    if current.name and new.name != current.name:
        _set_name(editor, block, registry, new.name)
    digest = first_of(block, DIGEST_KEYS)
    if new.digest and digest is None and not new.tag:
        raise editor.document.error(
            f"`{path}` has no place for a digest alone.",
            "Give the image a tag too, or add a `digest` key that the chart reads.",
            block,
        )
    if new.tag:
        _set_tag(editor, block, path, new.tag if digest is not None else new.version, style)
    if digest is not None:
        bare = digest_key(block) == "sha" and ":" not in digest.value
        value = new.digest.removeprefix("sha256:") if bare else new.digest
        if value or (digest.value and not is_null(digest)):
            editor.set(digest, value)


def _set_tag(editor: Editor, block: Mapping, path: str, value: str, style: str) -> None:
    tag = first_of(block, TAG_KEYS)
    if tag is not None:
        editor.set(tag, value)
        return
    own = [find_pair(block, key) for key in (*NAME_KEYS, "registry", *DIGEST_KEYS)]
    after = next((pair[0] for pair in own if pair), block.pairs[-1][0] if block.pairs else None)
    if after is None:
        raise editor.document.error(f"`{path}` is empty.", "Write its `repository` first.", block)
    editor.add_pair(block, after, TAG_KEYS[0], value, style)


def _set_name(editor: Editor, block: Mapping, shared: str, name: str) -> None:
    node, registry = find_value(block, name_key(block)), find_value(block, "registry")
    host, path = split_registry(name)
    if isinstance(registry, Scalar) and (host or registry.value):
        editor.set(registry, host or "docker.io")
        name = path
    elif shared and split_registry(block_reference(block, "").name)[0] == "":
        if host != shared:
            raise editor.document.error(
                f"the registry of all images here is `{shared}`, not `{host}`.",
                "Give the image's block a `registry` key of its own first.",
                block,
            )
        name = path
    if node is not None:
        editor.set(node, name)


def children_of(path: Path, node: Mapping) -> list[tuple[Path, Node]]:
    """The values that count, of a key given twice the last, as aliases where they are such.

    Args:
        path: The mapping's path.
        node: The mapping.

    Returns:
        The path and the value of each key.
    """
    return [((*path, name), value) for name, value in values_of(node).items()]
