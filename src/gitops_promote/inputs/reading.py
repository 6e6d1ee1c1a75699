"""Reading the inputs from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from gitops_promote.core.errors import UsageError
from gitops_promote.core.images import Image, check_repository, parse_image
from gitops_promote.core.names import LOGIN, NAME, login_of, team_of
from gitops_promote.core.placeholders import PLACEHOLDERS, fill, one_line
from gitops_promote.core.review.branch import BRANCH_PLACEHOLDERS, is_branch
from gitops_promote.inputs.definition import INPUTS, TAGS_INPUTS, Input
from gitops_promote.inputs.values import Identity, Inputs, PullRequestInputs, TagsInputs

if TYPE_CHECKING:
    from gitops_promote.core.review.gates import Gate
    from gitops_promote.core.tags.flavor import Flavor
    from gitops_promote.core.tags.metadata import Built
    from gitops_promote.core.tags.rules import Rule


def load(environ: Mapping[str, str]) -> Inputs:
    """Read and check the inputs.

    Args:
        environ: Environment variables; those of the inputs are named by `Input.variable`. An
            empty one counts as not given, as an action's unset input is.

    Returns:
        The inputs, typed.

    Raises:
        UsageError: A required input is missing, or one has a form that is not allowed.
    """
    values = {item.name: _value(item, environ) for item in INPUTS}
    lists = {item.name: _items(item, values[item.name]) for item in INPUTS if item.many}
    _require_what(values, lists)
    for name in ("commit-message", "title"):
        fill(values[name], dict.fromkeys(PLACEHOLDERS, ""), name)
    built = {name: _built(name, values[name]) for name in ("images", "tags")}
    images = _built_images(built["images"]) if built["images"] else _images(lists["images"])
    unused = _unused(images, values)
    if built["tags"]:
        images = tuple(image.with_default_tag(built["tags"].version) for image in images)
        values = {**values, "tags": ""}
    app = _plain_name("app", values["app"])
    environments = tuple(_plain_name("environment", name) for name in lists["environment"])
    promote_from = _plain_name("promote-from", values["promote-from"])
    if promote_from or values["rollback"] == "true":
        _check_no_versions(images, "promote-from" if promote_from else "rollback")
    if promote_from in environments:
        raise UsageError(
            f"Input `promote-from` is `{promote_from}`, and so is `environment`.",
            "Name the environment that has the version already.",
        )
    return Inputs(
        images=images,
        tags=_tags_inputs(values, tuple(image.deployed_name for image in images), app, environ),
        mutable={found.version: found.mutable for found in built.values() if found},
        warnings=unused,
        app=app,
        config_repository=values["config-repository"].strip(),
        config_ref=_branch("config-ref", values["config-ref"].strip()),
        environments=environments,
        targets=tuple(lists["target"]),
        policy_file=_policy_file(values["policy-file"].strip()),
        promotion_mode=values["promotion-mode"],
        promote_from=promote_from,
        rollback=values["rollback"] == "true",
        to=values["to"].strip(),
        chart_bump=values["chart-bump"],
        commit_via=_commit_via(values),
        commit_message=values["commit-message"].strip(),
        author=_identity("author", values["author"]),
        committer=_identity("committer", values["committer"]),
        signoff=values["signoff"] == "true",
        timings=values["timings"] == "true",
        pull_request=_pull_request(values, lists),
        allow_mutable_tag=values["allow-mutable-tag"] == "true",
        allow_downgrade=values["allow-downgrade"] == "true",
        override=one_line(values["override"]).strip(),
        token=values["token"].strip(),
        ssh_key=values["ssh-key"],
        ssh_known_hosts=values["ssh-known-hosts"],
    )


def load_tags(environ: Mapping[str, str]) -> TagsInputs:
    """Read and check the inputs of the step that computes tags alone.

    Args:
        environ: As for `load`.

    Returns:
        The inputs, typed.

    Raises:
        UsageError: An input has a form that is not allowed.
    """
    from gitops_promote.core.tags.names import parse_names  # noqa: PLC0415  (start-up time)

    values = {item.name: _value(item, environ) for item in TAGS_INPUTS}
    app = _plain_name("app", values["app"])
    return _tags_inputs(values, parse_names(values["images"]), app, environ)


def _tags_inputs(
    values: Mapping[str, str], images: tuple[str, ...], app: str, environ: Mapping[str, str]
) -> TagsInputs:
    return TagsInputs(
        images=images,
        rules=_rules(values["tags"]),
        flavor=_flavor(values["flavor"]),
        app=app,
        commit_digits=_commit_digits(environ),
    )


def _pull_request(values: Mapping[str, str], lists: Mapping[str, list[str]]) -> PullRequestInputs:
    if values["body"]:
        from gitops_promote.core.review.text import check_body  # noqa: PLC0415  (start-up time)

        check_body(values["body"])
    fill(values["branch"], dict.fromkeys(BRANCH_PLACEHOLDERS, ""), "branch")
    return PullRequestInputs(
        branch=values["branch"].strip(),
        title=values["title"].strip(),
        body=values["body"].strip(),
        labels=tuple(lists["labels"]),
        assignees=_logins("assignees", lists["assignees"]),
        reviewers=_logins("reviewers", lists["reviewers"]),
        team_reviewers=_teams(lists["team-reviewers"]),
        milestone=_milestone(values["milestone"].strip()),
        draft=values["draft"] == "true",
        delete_branch=values["delete-branch"] == "true",
        auto_merge=values["auto-merge"].replace("false", ""),
        gates=_gates(lists["gates"]),
    )


def _logins(name: str, items: list[str]) -> tuple[str, ...]:
    logins = [login_of(item) for item in items]
    for login in logins:
        if not re.fullmatch(LOGIN, login):
            raise UsageError(
                f"Input `{name}` has `{login}`, which is nobody's login.",
                "Name people by their logins, such as `octocat`.",
            )
    return tuple(logins)


def _teams(items: list[str]) -> tuple[str, ...]:
    return _logins("team-reviewers", list(dict.fromkeys(map(team_of, items))))


def _milestone(text: str) -> int:
    if text and not (re.fullmatch(r"[1-9]\d{0,8}", text, re.ASCII)):
        raise UsageError(
            f"Input `milestone` is `{text}`.",
            "Give the milestone's number, which is in its URL: `…/milestone/7`.",
        )
    return int(text or 0)


def _commit_via(values: Mapping[str, str]) -> str:
    given = [name for name in ("author", "committer", "ssh-key") if values[name].strip()]
    if values["commit-via"] == "api" and given:
        raise UsageError(
            f"Input `commit-via` is `api`, which takes no `{given[0]}`: GitHub makes the commit, "
            "in the name of the token's owner.",
            f"Leave `{given[0]}` out, or set `commit-via` to `git`.",
        )
    return values["commit-via"]


def _rules(text: str) -> tuple[Rule, ...]:
    if not text:
        return ()
    from gitops_promote.core.tags.rules import parse_rules  # noqa: PLC0415  (start-up time)

    return parse_rules(text)


def _flavor(text: str) -> Flavor | None:
    if not text:
        return None
    from gitops_promote.core.tags.flavor import parse_flavor  # noqa: PLC0415  (start-up time)

    return parse_flavor(text)


def _gates(items: list[str]) -> tuple[Gate, ...]:
    if not items:
        return ()
    from gitops_promote.core.review.gates import parse_gates  # noqa: PLC0415  (start-up time)

    return parse_gates(items)


def _built(name: str, text: str) -> Built | None:
    """What the JSON of a step says that made the tags; None where an input isn't meant as such."""
    if "{" not in text:
        return None
    from gitops_promote.core.tags.metadata import is_json, parse_json  # noqa: PLC0415  (start-up)

    return parse_json(name, text) if is_json(text) else None


def _commit_digits(environ: Mapping[str, str]) -> int:
    name = "DOCKER_METADATA_SHORT_SHA_LENGTH"
    text = environ.get(name, "").strip()
    if text and not (re.fullmatch(r"\d{1,3}", text, re.ASCII) and int(text) >= 4):
        raise UsageError(
            f"The environment variable {name} is `{text}`.",
            "It must be the number of a commit's digits in a tag, at least 4, such as 12.",
        )
    return int(text or 0)


def _built_images(built: Built) -> tuple[Image, ...]:
    if not built.images:
        raise UsageError(
            "Input `images` holds the JSON output of a step that named no image.",
            "Name the image in `images`, and paste the output into `tags` instead.",
        )
    for name in built.images:
        check_repository(name, "Input `images` has, in its JSON, the name")
    return tuple(Image(name, tag=built.version) for name in built.images)


def _unused(images: tuple[Image, ...], values: Mapping[str, str]) -> tuple[str, ...]:
    given = [name for name in ("tags", "flavor") if values[name].strip()]
    if not given or any(image.tag is None and image.digest is None for image in images):
        return ()
    names = " and ".join(f"`{name}`" for name in given)
    return (f"Nothing needs {names}: each item of `images` has a tag or a digest.",)


def _value(item: Input, environ: Mapping[str, str]) -> str:
    value = environ.get(item.variable, "")
    if not value.strip():
        return item.default
    if any("\ud800" <= character <= "\udfff" for character in value):
        # What Python makes of bytes that are no text; no value is shown, it may be a secret.
        raise UsageError(f"Input `{item.name}` is not UTF-8 text.", "Encode it as UTF-8.")
    if item.choices:
        value = value.strip()
        if value not in item.choices:
            allowed = " or ".join(f"`{choice}`" for choice in item.choices)
            raise UsageError(f"Input `{item.name}` is `{value}`.", f"It must be {allowed}.")
    return value


def _items(item: Input, value: str) -> list[str]:
    parts = re.split(r"[\n,]" if item.commas else r"\n", value)
    return list(dict.fromkeys(part.strip() for part in parts if part.strip()))


def _require(items: list[str], name: str, fix: str) -> None:
    if not items:
        raise UsageError(f"Input `{name}` (`--{name}`) is missing.", fix)


def _require_what(values: Mapping[str, str], lists: Mapping[str, list[str]]) -> None:
    """Refuse a call that no policy can complete; one that it can is judged once that is read."""
    goes_back = values["rollback"] == "true"
    named = goes_back or values["promote-from"].strip() or values["app"].strip()
    if not named:
        fix = "Name the image to promote, such as `ghcr.io/acme/shop`."
        _require(lists["images"], "images", fix)
    if not lists["target"]:
        missing, fix = "target", "Name what to edit, such as `apps/shop/overlays/dev`."
        if named:
            missing, fix = "environment", "Name it as the policy file does, such as `prod`."
        _require(lists["environment"], missing, fix)
    both = goes_back and values["promote-from"].strip()
    alone = not goes_back and values["to"].strip()
    if both or alone:
        pair = "`promote-from` and `rollback`" if both else "`to` without `rollback`"
        raise UsageError(f"A call can't have the inputs {pair}.", "Leave one out.")


def _check_no_versions(images: tuple[Image, ...], name: str) -> None:
    for image in images:
        if image.tag is not None or image.digest is not None or image.new_name is not None:
            raise UsageError(
                f"Input `images` says more of `{image.name}` than its name, and `{name}` is what "
                "decides of versions.",
                "Give names alone; a rollback takes a version in `to`.",
            )


def _policy_file(path: str) -> str:
    parts = path.split("/")
    if path.startswith("/") or "\\" in path or any(part in ("", ".", "..") for part in parts):
        raise UsageError(
            f"Input `policy-file` is `{path}`, which is no path inside the config repository.",
            "Write it from the root of the config repository, such as `.gitops-promote.yaml`.",
        )
    return path


def _images(items: list[str]) -> tuple[Image, ...]:
    if "null" in items:
        # What `toJSON` makes of an output that is not there.
        raise UsageError("Input `images` is `null`.", "Look at the step whose output it takes.")
    images = [parse_image(item) for item in items]
    names = [image.name for image in images]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(
                f"Input `images` names `{name}` {names.count(name)} times.",
                "Name each image once.",
            )
    return tuple(images)


def _plain_name(name: str, value: str) -> str:
    value = value.strip()
    if value and not re.fullmatch(NAME, value):
        raise UsageError(
            f"Input `{name}` has the name `{value}`.",
            "Use letters, digits, spaces, `_`, `.`, `-` and `/`, and start with a letter or digit.",
        )
    return value


def _branch(name: str, value: str) -> str:
    branch = value.removeprefix("refs/heads/")
    if branch and not is_branch(branch):
        raise UsageError(
            f"Input `{name}` is `{value}`, which is no branch's name.",
            "Name a branch, such as `main`; empty, it is the repository's default branch.",
        )
    return branch


def _identity(name: str, value: str) -> Identity | None:
    if not value.strip():
        return None
    match = re.fullmatch(r"\s*([^<>\x00-\x1f]*[^<>\s\x00-\x1f])\s*<([^<>\s]+@[^<>\s]+)>\s*", value)
    if not match:
        raise UsageError(
            f"Input `{name}` is `{value.strip()}`, which git can't take for a person.",
            "Write it as `Name <email@example.com>`.",
        )
    return Identity(match[1], match[2])
