"""A release from start to end, by repositories and a GitHub that are made for it and then gone."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
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


POLICY = f"""\
version: 1
environments:            # in promotion order
  dev: {{mode: push}}
  test:
    mode: push
    after: dev           # only what dev runs
  prod:
    mode: pull-request
    after: test          # only what test runs
    reviewers: [hubot]
    labels: [production]
    gates: ["Dashboard=https://grafana.example.com/d/shop"]
apps:
  shop:
    images: [{IMAGE}]
    targets: ["apps/shop/overlays/{{environment}}", "charts/shop/values-{{environment}}.yaml"]
    source-repository: acme/shop
"""


def config_files() -> dict[str, bytes]:
    """The config repository's files: the policy, three overlays on a base, and a chart's values."""
    files = {
        ".gitops-promote.yaml": POLICY,
        "apps/shop/base/kustomization.yaml": "resources:\n- deployment.yaml\n",
        "apps/shop/base/deployment.yaml": DEPLOYMENT,
    }
    for environment in ("dev", "test", "prod"):
        overlay = OVERLAY.format(environment=environment)
        files[f"apps/shop/overlays/{environment}/kustomization.yaml"] = overlay
        files[f"charts/shop/values-{environment}.yaml"] = VALUES
    return {name: text.encode() for name, text in files.items()}


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
    for message in (
        "Release 1.4.1",
        "Release 1.4.2",
        "Show the price with taxes (#128)",
        "Answer within a second",
        "Release 1.5.0",
    ):
        git(app, "commit", "--quiet", "--allow-empty", f"--message={message}")
        if message.startswith("Release "):
            git(app, "tag", message.replace("Release ", "v"))
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


class Jobs:
    """Jobs of the app's repository that call the program.

    Args:
        github: The stand-in for GitHub, which has both repositories.
        token: A token that may write to the config repository.
        app: The app's checkout.
    """

    def __init__(self, github: GitHub, token: str, app: Path) -> None:
        self.github = github
        self.token = token
        self.app = app
        self.run_id = 40

    def call(
        self, *arguments: str, tag: str = "v1.5.0", diff: bool = False, status: int = 0
    ) -> None:
        """Call the program and print what it says.

        Args:
            arguments: The command and its flags.
            tag: The git tag whose push starts the job.
            diff: Whether to print the difference, too.
            status: How the call is to end; if it doesn't, the demo ends.
        """
        self.run_id += 1
        environ = {
            **os.environ,
            **self.github.environ,
            "GITHUB_ACTIONS": "true",
            "GITHUB_REPOSITORY": "acme/shop",
            "GITHUB_REF": f"refs/tags/{tag}",
            "GITHUB_SHA": git(self.app, "rev-parse", tag).strip(),
            "GITHUB_RUN_ID": str(self.run_id),
            "GITHUB_ACTOR": "octocat",
            "GITHUB_STEP_SUMMARY": "",
            "GITOPS_PROMOTE_TOKEN": self.token,
            "NO_COLOR": "" if sys.stdout.isatty() else "1",
        }
        print(f"$ gitops-promote {shlex.join(arguments)}\n")
        said = io.StringIO()
        with redirect_stdout(said):
            ended = main([*arguments, "--config-repository", "acme/deploy"], environ)
        print(readable(said.getvalue(), diff=diff))
        if ended != status:
            sys.exit(f"It ended with the status {ended}.")


def readable(said: str, *, diff: bool) -> str:
    """What a call says, as the log of a job shows it.

    Args:
        said: What it says.
        diff: Whether to keep the difference.

    Returns:
        The text, without the lines that are for the job's runner alone.
    """
    lines = said.splitlines()
    # Such a line parts the difference from the rest.
    parts = [number for number, line in enumerate(lines) if line == " "]
    if parts and not diff:
        del lines[parts[0] : parts[-1] + 1]
    error = "::error title=GitOps Promote::"
    lines = [line.replace(error, "Error: ") for line in lines]
    return "\n".join(line for line in lines if line[:2] != "::") + "\n"


def show(pull: PullRequest, until: str) -> None:
    """Print the first parts of a pull request, and which other ones it has.

    Args:
        pull: The pull request.
        until: The heading of the first part that is left out.
    """
    first, _, rest = pull.body.partition(f"#### {until}")
    others = [until, *re.findall(r"(?m)^#### (.*)", rest)]
    people = f"labels: {', '.join(pull.labels)}; reviewers: {', '.join(pull.reviewers)}"
    print(f"Pull request #{pull.number}: {pull.title}\n{pull.head} -> {pull.base}; {people}\n")
    print(re.sub(r"\]\(http://[^)]*\)", "]", first))  # whose addresses are this process's
    print(f"(and: {'; '.join(others)})\n")


def heading(text: str) -> None:
    """Print a line that parts the demo's steps.

    Args:
        text: The line.
    """
    bold = ("\x1b[1;36m", "\x1b[0m") if sys.stdout.isatty() else ("", "")
    print(f"\n{bold[0]}== {text}{bold[1]}\n", flush=True)


def tell(github: GitHub, app: Path) -> None:
    """Bring a release of the app to production and back.

    Args:
        github: A stand-in for GitHub, which runs in this process.
        app: The app's checkout, which is the current folder.
    """
    deploy = github.add_repository("acme/deploy", config_files())
    source = github.add_repository("acme/shop", {})
    git(app, "push", "--quiet", str(source), "+HEAD:main", "--tags")
    github.add_collaborator("acme/deploy", "hubot")
    token = github.add_token("octocat", {"acme/deploy": WRITES, "acme/shop": WRITES})
    jobs = Jobs(github, token, app)
    promote = ("promote", "--app", "shop", "--environment")

    heading("acme/deploy, the config repository, has a policy: .gitops-promote.yaml")
    print(POLICY)
    heading("acme/shop, the app, is tagged v1.5.0: its job promotes that to dev")
    jobs.call(*promote, "dev", diff=True)
    print(git(deploy, "log", "-1", "--format=%an <%ae>%n%n%B", "main"))
    heading("It can't skip test")
    jobs.call(*promote, "prod", status=1)
    heading("So test takes what dev runs, and prod what test runs, by pull request")
    jobs.call(*promote, "test", "--promote-from", "dev")
    jobs.call(*promote, "prod", "--promote-from", "test")
    show(github.pull("acme/deploy"), until="What changes in the cluster")
    github.merge("acme/deploy", 1, "squash")
    heading("A job of v1.4.2 was held up and comes late: it changes nothing")
    jobs.call(*promote, "dev", tag="v1.4.2")
    heading("v1.5.0 is bad: prod goes back to what it ran before")
    jobs.call("rollback", "--app", "shop", "--environment", "prod")
    show(github.pull("acme/deploy", 2), until="Before you approve")
    github.merge("acme/deploy", 2, "squash")
    heading("That holds: the job of v1.5.0 is run again, and changes nothing")
    jobs.call(*promote, "prod", "--promote-from", "test")
    heading("What happened, by the config repository's history")
    print(git(deploy, "log", "--reverse", "-4", "--format=%h %s", "main"))


def run() -> None:
    """The demo."""
    with TemporaryDirectory(prefix="gitops-promote-demo-") as name, GitHub(Path(name)) as github:
        app = make_app_repository(Path(name))
        os.chdir(app)
        tell(github, app)
        os.chdir(Path(__file__).parent)  # the temporary folder can't be removed from within


if __name__ == "__main__":
    run()
