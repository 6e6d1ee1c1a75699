"""The one definition of the inputs, which `action.yml`, the command line and the README follow."""

from __future__ import annotations

from dataclasses import dataclass, replace

#: Every input reaches the program as an environment variable of this prefix.
PREFIX = "GITOPS_PROMOTE_"


@dataclass(frozen=True, slots=True)
class Input:
    """One input, as users see it.

    `many` inputs are lists, one item a line, and with `commas` also parted by commas. `secret`
    inputs have no flag: a command line is visible to every process of the machine.
    """

    name: str
    group: str
    help: str
    default: str = ""
    default_text: str = ""
    many: bool = False
    commas: bool = False
    choices: tuple[str, ...] = ()
    secret: bool = False

    @property
    def variable(self) -> str:
        """The environment variable that carries the input."""
        return PREFIX + self.name.upper().replace("-", "_")

    @property
    def flag(self) -> str:
        """What gives the input on a command line: a flag, or of a secret the variable."""
        return self.variable if self.secret else f"--{self.name}"


_FLAVOR = Input(
    "flavor",
    "what",
    "What holds for all computed tags: `latest`, `prefix` and `suffix`, as in "
    "docker/metadata-action.",
    many=True,
)
#: The inputs of a promotion.
INPUTS = (
    Input(
        "images",
        "what",
        "The images to promote, one a line: `NAME[=NEW_NAME][:TAG][@DIGEST]`, as "
        "`kustomize edit set image` takes it. Without a tag or digest: the computed tag. Or the "
        "`json` output of the step that made the tags.",
        default_text="the app's images in the policy file",
        many=True,
        commas=True,
    ),
    Input(
        "tags",
        "what",
        "The rules that the tag is computed by, one a line, in docker/metadata-action's grammar; "
        "what the first one gives is deployed. Or the `json` output of the step that made the "
        "tags.",
        default_text="the version of a version tag, else commit and run",
        many=True,
    ),
    _FLAVOR,
    Input(
        "app",
        "what",
        "The app's name in the policy file, which brings its images and targets; fills `{app}` in "
        "`target` and the commit message, and tells which version tags are its own "
        "(`shop/v1.2.3`, `shop-v1.2.3`).",
        default_text="the policy's app with these images",
    ),
    Input(
        "config-repository",
        "where",
        "The repository to change: `owner/name` on this GitHub server, any git URL, or a local "
        "path.",
        default_text="this repository",
    ),
    Input(
        "config-ref",
        "where",
        "The branch to change, or base of the pull request.",
        default_text="its default branch",
    ),
    Input(
        "environment",
        "where",
        "The environment, or several, one a line; fills `{environment}` in `target`.",
        many=True,
        commas=True,
    ),
    Input(
        "target",
        "where",
        "What to edit, one a line: `[KIND:]PATH[#KEY]`. `{environment}` and `{app}` are filled "
        "in, globs are allowed. KIND is `kustomize`, `helm`, `argocd`, `flux`, `manifest`, `chart` "
        "or `helmfile`, and found from the content.",
        default_text="the app's targets in the policy file",
        many=True,
    ),
    Input(
        "policy-file",
        "where",
        "The policy: a file of the config repository's default branch. Where it has a "
        "`.gitops-promote.yaml`, no other can be named.",
        default=".gitops-promote.yaml",
    ),
    Input(
        "promotion-mode",
        "how",
        "How the change is delivered: `push` to the branch, as a `pull-request` for reviewers, or "
        "`dry-run` to only show it.",
        default_text="the environment's in the policy file, else `push`",
        choices=("push", "pull-request", "dry-run"),
    ),
    Input(
        "promote-from",
        "how",
        "Copy the versions that this other environment runs, tags and digests, instead of "
        "computing one. Without `images`: of all images that the app has there.",
    ),
    Input(
        "rollback",
        "how",
        "Go back to the version that ran before, by the config repository's history. Automatic "
        "runs leave it alone until they bring a newer version than the one rolled back from.",
        default="false",
        choices=("true", "false"),
    ),
    Input(
        "to",
        "how",
        "With `rollback`: the version to go back to, one that ran before.",
        default_text="the newest one that ran before",
    ),
    Input(
        "chart-bump",
        "how",
        "Of a `Chart.yaml` that changes, the part of the chart's own `version` to raise: `patch`, "
        "`minor` or `major`.",
        default_text="the version stays",
        choices=("patch", "minor", "major"),
    ),
    Input(
        "commit-via",
        "how",
        "What makes the commit: `git`, or GitHub's `api` (shown as Verified, no clone, by the "
        "token's owner). `auto` is `api` on GitHub with a token and without `ssh-key`, `author` "
        "and `committer`.",
        default="auto",
        choices=("auto", "git", "api"),
    ),
    Input(
        "commit-message",
        "how",
        "The commit message, trailers excepted; `{app}`, `{environment}`, `{images}`, "
        "`{version}`, `{old-version}`, `{source-commit}` and `{source-repository}` are filled in.",
        default_text="`Promote NAMES to VERSION in ENVIRONMENT`",
    ),
    Input(
        "author",
        "how",
        "The commit's author: `Name <email@example.com>`.",
        default_text="who started the run",
    ),
    Input(
        "committer",
        "how",
        "The commit's committer: `Name <email@example.com>`.",
        default_text="`github-actions[bot]`",
    ),
    Input(
        "signoff",
        "how",
        "Add a `Signed-off-by` trailer of the committer.",
        default="false",
        choices=("true", "false"),
    ),
    Input(
        "timings",
        "how",
        "Show what each phase took: milliseconds, requests and bytes.",
        default="false",
        choices=("true", "false"),
    ),
    Input(
        "branch",
        "review",
        "The pull request's branch; `{app}`, `{environment}` and `{images}` are filled in. Each "
        "branch has one pull request, which a newer version updates.",
        default_text="`gitops-promote/ENVIRONMENT/APP`",
    ),
    Input(
        "title",
        "review",
        "The pull request's title; the placeholders of `commit-message` are filled in.",
        default_text="the commit message's first line",
    ),
    Input(
        "body",
        "review",
        "The pull request's body; besides the placeholders of `commit-message`, the parts of our "
        "own are filled in: `{table}`, `{source}`, `{gates}`, `{warnings}`, `{rendered}`, `{diff}` "
        "and `{rollback}`.",
        default_text="all parts",
    ),
    Input(
        "labels",
        "review",
        "Labels of the pull request.",
        many=True,
        commas=True,
    ),
    Input(
        "assignees",
        "review",
        "Assignees of the pull request, by their logins.",
        many=True,
        commas=True,
    ),
    Input(
        "reviewers",
        "review",
        "Who is asked to review the pull request, by their logins.",
        many=True,
        commas=True,
    ),
    Input(
        "team-reviewers",
        "review",
        "Teams that are asked to review the pull request, by their slugs.",
        many=True,
        commas=True,
    ),
    Input(
        "milestone",
        "review",
        "The number of the pull request's milestone.",
    ),
    Input(
        "draft",
        "review",
        "Open the pull request as a draft.",
        default="false",
        choices=("true", "false"),
    ),
    Input(
        "delete-branch",
        "review",
        "Delete the pull request's branch when closing the pull request, or after its merge.",
        default="true",
        choices=("true", "false"),
    ),
    Input(
        "auto-merge",
        "review",
        "Let GitHub merge the pull request as soon as its rules are met: by `merge`, `squash` or "
        "`rebase`.",
        default="false",
        choices=("false", "merge", "squash", "rebase"),
    ),
    Input(
        "gates",
        "review",
        "Links for the reviewer's checklist, one `NAME=URL` a line.",
        many=True,
    ),
    Input(
        "allow-mutable-tag",
        "guards",
        "Promote `latest`, a branch's name and other tags that name another image tomorrow, even "
        "without a digest.",
        default="false",
        choices=("true", "false"),
    ),
    Input(
        "allow-downgrade",
        "guards",
        "Let an older version replace a newer one, as of a run that ends late, or of what was "
        "rolled back.",
        default="false",
        choices=("true", "false"),
    ),
    Input(
        "override",
        "guards",
        "The reason for which the policy's order is skipped (`after`), where the environment "
        "allows that. It stands in the commit and the pull request.",
    ),
    Input(
        "token",
        "auth",
        "The token that may write to the config repository over https, and open pull requests "
        "there. The default one can write to this repository only.",
        default_text="`${{ github.token }}`",
        secret=True,
    ),
    Input(
        "ssh-key",
        "auth",
        "The private key that may write to the config repository over ssh, such as a deploy key.",
        secret=True,
    ),
    Input(
        "ssh-known-hosts",
        "auth",
        "Host keys to accept over ssh, in the form of a known_hosts file; others are refused.",
        default_text="the runner's own, and a new host on first use",
    ),
)

_ROLLBACKS = ("rollback", "to")
_BUILDS = ("tags", "flavor", "promote-from", "allow-mutable-tag", "allow-downgrade")

#: The inputs of the two commands that are one action; a rollback's have their own words.
PROMOTE_INPUTS = tuple(item for item in INPUTS if item.name not in _ROLLBACKS)
# What is said otherwise where a command goes back: help, and the default in words.
_SAID_OF_ROLLBACKS = {
    "images": (
        "The images to roll back, one a line, by their names alone.",
        "the app's images in the policy file, else all that the targets have",
    ),
    "app": (
        (
            "The app's name in the policy file, which brings its images and targets; fills "
            "`{app}` in `target` and the commit message."
        ),
        "the policy's app with these images",
    ),
    "to": (
        "The version to go back to, one that ran before.",
        "the newest one that ran before and wasn't rolled back from",
    ),
    "commit-message": (
        (
            "The commit message, trailers excepted; `{app}`, `{environment}`, `{images}`, "
            "`{version}` (the one that comes back), `{old-version}`, `{source-commit}` and "
            "`{source-repository}` are filled in."
        ),
        "`Roll back NAMES to VERSION in ENVIRONMENT`",
    ),
}


def _of_rollback(item: Input) -> Input:
    text, default_text = _SAID_OF_ROLLBACKS.get(item.name, (item.help, item.default_text))
    return replace(item, help=text, default_text=default_text)


ROLLBACK_INPUTS = tuple(
    _of_rollback(item) for item in INPUTS if item.name not in ("rollback", *_BUILDS)
)

#: The inputs of the step that computes tags alone.
TAGS_INPUTS = (
    Input(
        "images",
        "what",
        "The names of the images, one a line, without tags. Without any: the tags alone.",
        many=True,
    ),
    Input(
        "tags",
        "what",
        "The rules, one a line, in docker/metadata-action's grammar; what the first one gives is "
        "the version.",
        default_text="the version of a version tag, and commit and run",
        many=True,
    ),
    _FLAVOR,
    Input(
        "app",
        "what",
        "The app's name; fills `{{app}}`, and tells which version tags are its own "
        "(`shop/v1.2.3`, `shop-v1.2.3`).",
        default_text="the last part of the image's name, where there is one image",
    ),
)
