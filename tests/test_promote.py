"""Promotions from the command line to the commit, with the real git and real servers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from calls import COMMIT, DEV, JOB, OVERLAY, PERSON, SHOP, Calls
from conftest import ROOT
from gitops_promote.__main__ import main
from servers import GitHttpServer, SshServer, add_hook, commit_files, file_of, git, head_of
from test_workflow import obeyed, read_outputs

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the test servers are for POSIX")

TOKEN = "ghs_a-token-of-the-tests-0123456789"
VALUES = "charts/shop/values-{environment}.yaml"


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    return Calls(tmp_path)


def test_a_push(calls: Calls) -> None:
    done = calls.promote()

    assert (done.status, done.err) == (0, "")
    assert f"Promote shop to 1.2.3 in dev\n  {SHOP}  1.0.0 → 1.2.3  {DEV}:5\n" in done.out
    assert '-    newTag: "1.0.0"\n+    newTag: "1.2.3"\n' in done.out
    assert f"✓ Pushed {head_of(calls.bare)[:10]} to main of {calls.bare}." in done.out
    assert b'newTag: "1.2.3"' in file_of(calls.bare, DEV)
    assert calls.log("%P") == calls.start
    assert calls.log("%an <%ae>|%cn <%ce>") == "Ann Author <ann@example.com>|Bob <bob@example.com>"
    assert list(calls.home.iterdir()) == []


def test_a_push_touches_nothing_else(calls: Calls) -> None:
    calls.promote()
    stat = git("--git-dir", calls.bare, "diff", "--numstat", calls.start, "main")

    assert stat.decode() == f"1\t1\t{DEV}\n"


def test_what_is_shown_is_git_s_own_difference(calls: Calls) -> None:
    done = calls.promote("--format", "json", "--target", VALUES)
    real = git("--git-dir", calls.bare, "diff", calls.start, "main").decode()

    assert done.json["diff"] == re.sub(r"(?m)^index .*\n", "", real)


def test_a_dry_run(calls: Calls) -> None:
    done = calls.promote("--promotion-mode", "dry-run")

    assert done.status == 0
    assert "Dry run: Promote shop to 1.2.3 in dev" in done.out
    assert "Nothing was written to main" in done.out
    assert read_outputs(done.output)["changed"] == "true"
    assert read_outputs(done.output)["commit-sha"] == ""
    assert calls.is_untouched


def test_a_dry_run_needs_no_author(calls: Calls) -> None:
    usual = ("--images", "x:1", "--target", "apps/shop/overlays/dev", "--promotion-mode", "dry-run")

    assert calls.run(*usual).status == 0


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_a_local_repository(calls: Calls, form: str) -> None:
    assert calls.promote(repository=form.format(calls.bare)).status == 0
    assert head_of(calls.bare) != calls.start


def test_a_relative_path(calls: Calls) -> None:
    assert calls.promote(repository="../acme/deploy.git").status == 0
    assert head_of(calls.bare) != calls.start


def test_over_http_with_a_token(calls: Calls) -> None:
    with GitHttpServer(calls.folder, {TOKEN: "write"}) as server:
        done = calls.promote(
            repository=f"{server.url}/acme/deploy.git",
            GITOPS_PROMOTE_TOKEN=TOKEN,
        )

    assert done.status == 0, done.err
    assert head_of(calls.bare) != calls.start
    assert TOKEN not in done.out + done.err + done.output + done.summary


def test_by_the_name_on_the_job_s_server(calls: Calls) -> None:
    with GitHttpServer(calls.folder, {TOKEN: "write"}) as server:
        job = {**JOB, "GITHUB_SERVER_URL": server.url}
        tokens = {"GITOPS_PROMOTE_TOKEN": TOKEN, "GITOPS_PROMOTE_JOB_TOKEN": TOKEN}
        done = calls.promote(repository="acme/deploy", **job, **tokens)
        page = f"{server.url}/acme/deploy/commit/{head_of(calls.bare)}"

    assert done.status == 0, done.err
    assert head_of(calls.bare) != calls.start
    assert read_outputs(done.output)["commit-url"] == page
    assert f"]({page})" in done.summary


def test_the_job_s_own_repository(calls: Calls) -> None:
    with GitHttpServer(calls.folder, {TOKEN: "write"}) as server:
        job = {**JOB, "GITHUB_SERVER_URL": server.url, "GITHUB_REPOSITORY": "acme/deploy"}
        done = calls.promote(repository="", GITOPS_PROMOTE_TOKEN=TOKEN, **job)

    assert done.status == 0, done.err
    assert head_of(calls.bare) != calls.start


@pytest.fixture(scope="module")
def ssh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    if reason := SshServer.missing():
        pytest.skip(reason)
    with SshServer(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def test_over_ssh_with_a_key(calls: Calls, ssh: SshServer) -> None:
    done = calls.promote(
        repository=ssh.url(calls.bare),
        GITOPS_PROMOTE_SSH_KEY=ssh.key,
        GITOPS_PROMOTE_SSH_KNOWN_HOSTS=ssh.known_hosts,
    )

    assert done.status == 0, done.err
    assert head_of(calls.bare) != calls.start


def test_helm_by_name_and_by_key(calls: Calls) -> None:
    for number, target in enumerate([VALUES, VALUES + "#image", "helm:" + VALUES + "#image.tag"]):
        done = calls.run(
            *("--images", f"{SHOP}:2.{number}", "--environment", "dev", "--target", target), *PERSON
        )
        assert done.status == 0, done.err
        text = file_of(calls.bare, "charts/shop/values-dev.yaml").decode()
        assert text.endswith(f'  tag: "2.{number}"\n')


def test_several_environments_are_one_commit(calls: Calls) -> None:
    done = calls.promote("--environment", "dev", "--environment", "test\nprod")

    assert done.status == 0
    assert calls.log("%P") == calls.start
    for name in ("dev", "test", "prod"):
        path = f"apps/shop/overlays/{name}/kustomization.yaml"
        assert b'newTag: "1.2.3"' in file_of(calls.bare, path)
        assert path in read_outputs(done.output)["changed-files"].splitlines()


def test_a_second_time_there_is_nothing_to_do(calls: Calls) -> None:
    assert calls.promote().status == 0
    head = head_of(calls.bare)
    done = calls.promote()

    assert done.status == 0
    assert f"Nothing to promote: dev already has {SHOP}:1.2.3." in done.out
    assert head_of(calls.bare) == head
    found = read_outputs(done.output)
    assert (found["changed"], found["commit-sha"], found["diff"]) == ("false", "", "")
    assert "### Nothing to promote" in done.summary


def test_the_report_as_json(calls: Calls) -> None:
    done = calls.promote("--format", "json")

    assert done.err == ""
    assert done.json["version"] == "1.2.3"
    assert done.json["changed"] is True
    assert done.json["commit-sha"] == head_of(calls.bare)
    assert done.json["images"] == {SHOP: f"{SHOP}:1.2.3"}
    assert done.json["changed-files"] == [DEV]


def test_the_report_as_markdown(calls: Calls) -> None:
    done = calls.promote("--format", "markdown")

    assert done.out == done.summary
    assert f"| `{SHOP}` | `1.0.0` | **`1.2.3`** | `{DEV}:5` |" in done.out


def test_the_commit_tells_where_it_comes_from(calls: Calls) -> None:
    usual = ("--images", SHOP, "--environment", "dev", "--target", OVERLAY, "--app", "shop")
    done = calls.run(*usual, "--signoff", **JOB)
    trailers = calls.log("%(trailers:only,unfold)").splitlines()

    assert done.status == 0, done.out
    assert calls.log("%an <%ae>") == "octocat <583231+octocat@users.noreply.github.com>"
    bot = "github-actions[bot] <41898282+github-actions[bot]@users.noreply.github.com>"
    assert calls.log("%cn <%ce>") == bot
    assert trailers == [
        f"Promoted-Image: {SHOP} 1.0.0 -> {COMMIT[:12]}-42",
        "Promoted-App: shop",
        "Promoted-Environment: dev",
        f"Source-Commit: https://github.com/acme/shop/commit/{COMMIT}",
        "Source-Run: https://github.com/acme/shop/actions/runs/42",
        f"Signed-off-by: {bot}",
    ]


def test_a_version_tag_is_the_version(calls: Calls) -> None:
    usual = ("--images", SHOP, "--environment", "dev", "--target", OVERLAY)
    done = calls.run(*usual, **{**JOB, "GITHUB_REF": "refs/tags/v2.0.0"})

    assert read_outputs(done.output)["version"] == "2.0.0"
    assert b'newTag: "2.0.0"' in file_of(calls.bare, DEV)


def test_a_commit_message_of_one_s_own(calls: Calls) -> None:
    calls.promote("--commit-message", "deploy({environment}): {version}\n\n{images}")

    assert calls.log("%B").startswith(f"deploy(dev): 1.2.3\n\n{SHOP}\n\nPromoted-Image: ")


def test_a_bot_keeps_its_name(calls: Calls) -> None:
    usual = ("--images", SHOP, "--environment", "dev", "--target", OVERLAY)
    calls.run(*usual, **{**JOB, "GITHUB_ACTOR": "dependabot[bot]", "GITHUB_ACTOR_ID": "49699333"})

    mail = "49699333+dependabot[bot]@users.noreply.github.com"
    assert calls.log("%an <%ae>") == f"dependabot[bot] <{mail}>"


def checkout(calls: Calls, *tags: str) -> str:
    """A commit in the folder that calls are made from."""
    git("init", "--quiet", "--template=", calls.work)
    git("-C", calls.work, "commit", "--quiet", "--allow-empty", "-m", "x")
    for tag in tags:
        git("-C", calls.work, "tag", tag)
    return git("-C", calls.work, "rev-parse", "HEAD").decode().strip()


@pytest.mark.parametrize(
    ("tags", "version"),
    [
        (["v1.9.0", "v1.10.0"], "1.10.0"),
        (["v2.0.0-rc.1", "v2.0.0"], "2.0.0"),
        (["3.1.4"], "3.1.4"),
        (["nightly"], None),
        ([], None),
    ],
)
def test_outside_of_a_job_the_checkout_is_asked(
    calls: Calls, tags: list[str], version: str | None
) -> None:
    commit = checkout(calls, *tags)
    identity = "[user]\nname = Ann Config\nemail = config@example.com\n"
    (calls.home / ".gitconfig").write_text(identity, "utf-8")
    done = calls.run("--images", SHOP, "--environment", "dev", "--target", OVERLAY)

    assert done.status == 0, done.err
    assert f'newTag: "{version or commit[:12]}"'.encode() in file_of(calls.bare, DEV)
    assert calls.log("%an <%ae> %cn") == "Ann Config <config@example.com> Ann Config"
    assert f"Source-Commit: {commit}" in calls.log("%B")


def test_the_outputs_of_a_job(calls: Calls) -> None:
    done = calls.promote(**JOB)
    found = read_outputs(done.output)

    assert set(found) == {
        *("version", "tags", "images", "changed", "changed-files", "diff"),
        *("commit-sha", "commit-url", "json"),
        *("pull-request-number", "pull-request-url", "pull-request-operation"),
        *("pull-request-branch", "pull-request-title", "pull-request-body"),
    }
    assert (found["pull-request-operation"], found["pull-request-number"]) == ("none", "")
    assert found["tags"] == f"{SHOP}:1.2.3"
    assert found["commit-sha"] == head_of(calls.bare)
    assert done.summary.startswith("### Promote shop to 1.2.3 in dev\n")
    assert obeyed(done.out) == []
    assert "\x1b[32m" in done.out


def test_nothing_of_a_file_is_obeyed(calls: Calls) -> None:
    evil = '    newTag: "1\\n::error::evil\\n##[add-mask]x\\e[2J"\n'
    text = file_of(calls.bare, DEV).decode().replace('    newTag: "1.0.0"\n', evil)
    commit_files(calls.bare, {DEV: f"# ::warning::evil\n{text}".encode()})
    done = calls.promote(**JOB)

    assert done.status == 0, done.out
    assert "::error::evil" in done.out
    # Ours, that the two can't be compared.
    (warning,) = obeyed(done.out)
    assert warning.startswith("::warning title=GitOps Promote::Nothing tells whether `1.2.3` is")
    assert "\x1b[2J" not in done.out
    assert len(done.summary.split("\n\n")[1].splitlines()) == 3


def test_a_warning_is_an_annotation(calls: Calls) -> None:
    done = calls.promote("--images", "acme/other:1", **JOB)

    (warning,) = obeyed(done.out)
    assert warning.startswith("::warning title=GitOps Promote::")
    assert "no resource of this overlay uses `acme/other`" in warning
    assert "> [!WARNING]" in done.summary


def test_a_lost_race_is_planned_again(calls: Calls) -> None:
    """Another commit lands behind the fetch, on the very file; both survive."""
    rival = git("clone", "--quiet", calls.bare, calls.folder / "rival")
    assert rival == b""
    wrapper = calls.folder / "bin" / "git"
    wrapper.parent.mkdir()
    real = shutil.which("git")
    wrapper.write_text(
        f"""#!/bin/sh
case " $* " in *" push "*)
  if mkdir "{calls.folder}/raced" 2>/dev/null; then
    cd "{calls.folder}/rival" || exit 1
    unset GIT_CONFIG_COUNT GIT_CONFIG_PARAMETERS
    echo '# a rival' >> {DEV}
    {real} -c user.name=R -c user.email=r@x commit --quiet --all -m Rival &&
    {real} push --quiet origin HEAD:main || exit 1
    cd - > /dev/null || exit 1
  fi
esac
exec {real} "$@"
""",
        "utf-8",
    )
    wrapper.chmod(0o755)
    done = calls.promote(PATH=f"{wrapper.parent}:{os.environ['PATH']}")

    assert done.status == 0, done.err
    assert "moved while the change was made. Trying again" in done.out
    assert calls.log("%s", 3).splitlines() == ["Promote shop to 1.2.3 in dev", "Rival", "A commit"]
    text = file_of(calls.bare, DEV).decode()
    assert text.endswith('newTag: "1.2.3"\n# a rival\n')


def test_many_at_once_all_arrive(calls: Calls) -> None:
    arguments = [sys.executable, "-m", "gitops_promote", "promote", *PERSON]
    arguments += [
        "--config-repository",
        str(calls.bare),
        "--images",
        f"{SHOP}:9",
        "--target",
        OVERLAY,
    ]
    running = [
        subprocess.Popen(
            [*arguments, "--environment", name],
            env=calls.environ({}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=calls.work,
        )
        for name in ("dev", "test", "prod")
    ]
    for process in running:
        _, messages = process.communicate(timeout=120)
        assert process.returncode == 0, messages

    assert len(calls.log("%s", 9).splitlines()) == 4
    for name in ("dev", "test", "prod"):
        assert b'newTag: "9"' in file_of(calls.bare, DEV.replace("dev", name))


def test_outputs_that_can_t_be_written_are_no_lost_promotion(calls: Calls) -> None:
    done = calls.promote(GITHUB_OUTPUT=str(calls.folder))

    assert done.status == 1
    assert "error: It is done, but can't be reported: " in done.err
    assert "Traceback" not in done.err
    assert head_of(calls.bare) != calls.start


def test_a_temporary_folder_that_can_t_be_written(calls: Calls) -> None:
    done = calls.promote(
        TMPDIR="/nowhere", RUNNER_TEMP=str(calls.folder / "output"), HOME="/nowhere"
    )

    assert "Traceback" not in done.err


def test_a_hook_s_words_are_shown(calls: Calls) -> None:
    add_hook(calls.bare, "pre-receive", "echo 'Change window is closed.' >&2; exit 1\n")
    done = calls.promote()

    assert done.status == 1
    assert "Change window is closed" in done.err


@pytest.mark.parametrize("arguments", [["--help"], ["promote", "--help"], ["--version"]])
def test_help_is_printed(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments, {}) == 0
    assert "gitops-promote" in capsys.readouterr().out


def test_the_entry_returns_a_status(calls: Calls, capsys: pytest.CaptureFixture[str]) -> None:
    where = ["--config-repository", str(calls.bare), "--target", "apps/shop/overlays/dev"]
    environ = calls.environ({})

    assert main(["promote", *where, "--images", f"{SHOP}:3", *PERSON], environ) == 0
    assert main(["promote", *where, "--images", "nope:3", "--config-ref", "nope"], environ) == 2
    assert main(["promote", *where, "--images", "x:3", "--config-ref", "x", *PERSON], environ) == 1
    assert main(["promote", "--nope"], environ) == 2
    assert "Pushed" in capsys.readouterr().out


def in_terminal(calls: Calls, *arguments: str, **environ: str) -> str:
    """What a call shows on a terminal."""
    pty = pytest.importorskip("pty")
    outer, inner = pty.openpty()
    where = ["--config-repository", str(calls.bare), "--images", f"{SHOP}:7"]
    where += ["--target", "apps/shop/overlays/dev", *PERSON, *arguments]
    process = subprocess.Popen(
        [sys.executable, "-m", "gitops_promote", "promote", *where],
        stdin=inner,
        stdout=inner,
        stderr=inner,
        env=calls.environ(environ),
        cwd=calls.work,
    )
    os.close(inner)
    shown = b""
    while True:
        try:
            part = os.read(outer, 4096)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(outer)
    assert process.wait() == 0
    return shown.decode()


def test_colour_on_a_terminal_only(calls: Calls) -> None:
    assert '\x1b[32m+    newTag: "7"' in in_terminal(calls, "--promotion-mode=dry-run")
    assert "\x1b" not in in_terminal(calls, "--promotion-mode=dry-run", NO_COLOR="1")
    assert "\x1b" not in in_terminal(calls, "--promotion-mode=dry-run", "--format=json")
    assert "\x1b" not in calls.promote().out


def test_the_version_is_the_package_s(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "src" / "gitops_promote" / "__init__.py").read_text("utf-8")
    main(["--version"], {})

    assert f'__version__ = "{capsys.readouterr().out.split()[-1]}"' in text
