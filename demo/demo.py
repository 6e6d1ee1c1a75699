"""A promotion from start to end, on a config repository made for it in a temporary folder."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

from gitops_promote.__main__ import main

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from github_double import GitHub, PullRequest
from github_double.state import Access

IMAGE = "ghcr.io/acme/shop"
WRITES: dict[str, Access] = {"contents": "write", "pull_requests": "write"}

DEPLOYMENT = f"""\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: shop
spec:
  selector:
    matchLabels: {{app: shop}}
  template:
    metadata:
      labels: {{app: shop}}
    spec:
      containers:
      - name: shop
        image: {IMAGE}
"""

OVERLAY = f"""\
# The shop in {{environment}}. Ask #team-shop before you change replicas.
resources:
- ../../base

images:
- name: {IMAGE}
  newTag: 1.4.1   # set by CI
"""

VALUES = f"""\
web:
  replicas: 2          # enough until Black Friday
  image:
    repository: {IMAGE}
    tag: "1.4.1"
    pullPolicy: IfNotPresent
"""


def config_files() -> dict[str, str]:
    """The config repository's files: three overlays on a base, and a chart's values."""
    files = {
        "apps/shop/base/kustomization.yaml": "resources:\n- deployment.yaml\n",
        "apps/shop/base/deployment.yaml": DEPLOYMENT,
    }
    for environment in ("dev", "test", "prod"):
        overlay = OVERLAY.format(environment=environment)
        files[f"apps/shop/overlays/{environment}/kustomization.yaml"] = overlay
        files[f"charts/shop/values-{environment}.yaml"] = VALUES
    return files


def make_config_repository(folder: Path) -> Path:
    """Make a bare repository with one commit.

    Args:
        folder: An empty folder.

    Returns:
        The repository's path.
    """
    work, bare = folder / "work", folder / "deploy.git"
    for name, text in config_files().items():
        file = work / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "add", ".")
    git(work, "commit", "--quiet", "--message=The shop in three environments")
    git(work, "clone", "--quiet", "--bare", ".", str(bare))
    return bare


def make_app_repository(folder: Path) -> Path:
    """Make the checkout of a release of the app.

    Args:
        folder: A folder.

    Returns:
        The checkout, of a commit that is tagged as version 1.5.0.
    """
    app = folder / "shop"
    app.mkdir()
    git(app, "init", "--quiet", "--initial-branch=main")
    git(app, "commit", "--quiet", "--allow-empty", "--message=Release 1.4.1")
    git(app, "tag", "v1.4.1")
    for message in ("Show the price with taxes (#128)", "Answer within a second", "Release 1.5.0"):
        git(app, "commit", "--quiet", "--allow-empty", f"--message={message}")
    git(app, "tag", "v1.5.0")
    return app


def git(folder: Path, *arguments: str) -> str:
    """Run git as a person named Demo.

    Args:
        folder: Where to run it.
        arguments: Its arguments.

    Returns:
        What it printed.
    """
    identity = ("-c", "user.name=Demo", "-c", "user.email=demo@example.com")
    command = ["git", *identity, "-C", str(folder), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def promote(repository: Path, *arguments: str, summary: Path) -> None:
    """Run a promotion to dev as the command line does, and end where it fails.

    Args:
        repository: The config repository.
        arguments: Further flags.
        summary: The file that takes the job's summary.
    """
    person = "Demo <demo@example.com>"
    hidden = ["--config-repository", str(repository), "--author", person, "--committer", person]
    call("promote", "--environment", "dev", *arguments, hidden=hidden, summary=summary)


def call(*arguments: str, hidden: Sequence[str] = (), summary: Path | None = None) -> None:
    """Call the program as the command line does, and end where it fails.

    Args:
        arguments: The command and its flags.
        hidden: Further flags, which aren't worth showing.
        summary: The file that takes the job's summary.
    """
    environ = {**os.environ, "GITHUB_STEP_SUMMARY": str(summary or "")}
    heading(f"$ gitops-promote {shlex.join(arguments)}")
    status = main([*arguments, *hidden], environ)
    if status:
        sys.exit(status)


def propose(github: GitHub, token: str, app: Path) -> None:
    """Run a promotion to prod by pull request, as in a job of the app's repository.

    Args:
        github: The stand-in for GitHub, which has both repositories.
        token: A token that may write to the config repository.
        app: The app's checkout.
    """
    flags = ["--promotion-mode", "pull-request", "--environment", "prod", "--images", IMAGE]
    flags += ["--target", "apps/shop/overlays/{environment}", "--labels", "production"]
    flags += ["--reviewers", "hubot", "--gates", "Scan report=https://scan.example.com/shop/1.5.0"]
    environ = {
        **os.environ,
        **github.environ,
        "GITHUB_ACTIONS": "true",
        "GITHUB_REPOSITORY": "acme/shop",
        "GITHUB_REF": "refs/tags/v1.5.0",
        "GITHUB_SHA": git(app, "rev-parse", "HEAD").strip(),
        "GITHUB_RUN_ID": "42",
        "GITHUB_ACTOR": "octocat",
        "GITHUB_STEP_SUMMARY": "",
        "GITOPS_PROMOTE_TOKEN": token,
    }
    heading(f"$ gitops-promote promote {shlex.join(flags)}")
    said = io.StringIO()
    with redirect_stdout(said):
        status = main(["promote", *flags, "--config-repository", "acme/deploy"], environ)
    # Lines for the job's runner, which doesn't show them.
    print("\n".join(line for line in said.getvalue().splitlines() if line[:2] != "::"))
    if status:
        sys.exit(said.getvalue())


def show(pull: PullRequest) -> None:
    """Print a pull request.

    Args:
        pull: The pull request.
    """
    heading(f"Pull request #{pull.number}: {pull.title}")
    people = f"labels: {', '.join(pull.labels)}; reviewers: {', '.join(pull.reviewers)}"
    print(f"{pull.head} -> {pull.base}; {people}\n\n{pull.body}")
    for comment in pull.comments:
        print(f"{comment.author} comments: {comment.body}")


def heading(text: str) -> None:
    """Print a line that parts the demo's steps.

    Args:
        text: The line.
    """
    bold = ("\x1b[1;36m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold[0]}{text}{bold[1]}\n", flush=True)


def review(folder: Path) -> None:
    """The part of the demo with reviewers, on a stand-in for GitHub that runs in this process.

    Args:
        folder: A folder that has the app's checkout.
    """
    app = folder / "shop"
    files = {name: text.encode() for name, text in config_files().items()}
    with GitHub(folder) as github:
        github.add_repository("acme/deploy", files)
        source = github.add_repository("acme/shop", {})
        git(app, "push", "--quiet", "--force", str(source), "HEAD:main", "--tags")
        github.add_collaborator("acme/deploy", "hubot")
        token = github.add_token("octocat", {"acme/deploy": WRITES, "acme/shop": WRITES})
        propose(github, token, app)
        show(github.pull("acme/deploy"))


def run() -> None:
    """The demo."""
    with TemporaryDirectory(prefix="gitops-promote-demo-") as name:
        folder = Path(name)
        summary = folder / "summary.md"
        repository = make_config_repository(folder)
        print(f"A config repository with dev, test and prod: {repository}")
        os.chdir(make_app_repository(folder))
        print("The app's checkout, at the tag v1.5.0: what would a build be tagged with?")
        call("tags", "--images", IMAGE)
        targets = ["--target", "apps/shop/overlays/{environment}"]
        targets += ["--target", "charts/shop/values-{environment}.yaml"]
        promote(repository, "--images", IMAGE, *targets, summary=summary)
        heading("The commit")
        print(git(repository, "log", "-1", "--stat", "--format=fuller", "main"))
        heading("The job's summary, as Markdown")
        print(summary.read_text(encoding="utf-8"))
        # The same again: there is nothing to do, and that is a success.
        promote(repository, "--images", IMAGE, *targets, summary=summary)
        review(folder)
        os.chdir(Path(__file__).parent)  # the temporary folder can't be removed from within


if __name__ == "__main__":
    run()
