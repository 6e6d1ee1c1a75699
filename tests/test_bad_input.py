"""Bad input: one clear sentence with what to do next, and nothing is written."""

from __future__ import annotations

import re
import socket
import sys
import time
from pathlib import Path

import pytest

from calls import JOB, PERSON, SHOP, Calls, Done
from memory import overlay
from servers import GitHttpServer, add_hook, commit_files, git, head_of

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the test servers are for POSIX")

TOKEN = "ghs_a-token-of-the-tests-0123456789"
BROKEN = "apps/broken/kustomization.yaml"
TWICE = f"web: &x\n  image:\n    repository: {SHOP}\n    tag: '1'\nworker:\n  image: {SHOP}:1\n"
SHARED = f"a: {{repository: {SHOP}, tag: &v '1'}}\nb: {{repository: x/y, tag: *v}}\n"
MORE: dict[str, str | bytes] = {
    BROKEN: "resources:\n  - a\nimages:\n  - name: [x\n",
    "apps/conflict/kustomization.yaml": "images:\n<<<<<<< HEAD\n- name: x\n=======\n>>>>>>> b\n",
    "apps/empty/kustomization.yaml": "# nothing\n",
    "apps/two/kustomization.yaml": overlay(f"{SHOP}:1"),
    "apps/two/kustomization.yml": overlay(f"{SHOP}:1"),
    "apps/scalar/kustomization.yaml": "images: none\n",
    "apps/latin/kustomization.yaml": b"images:\n- name: \xe9\n",
    "values/twice.yaml": TWICE,
    "values/shared.yaml": SHARED,
    "values/lines.yaml": f"image:\n  repository: {SHOP}\n  tag: |\n    1\n    2\n",
    "values/typed.yaml": f"image:\n  repository: {SHOP}\n  tag: [1]\n",
}


@pytest.fixture
def calls(tmp_path: Path) -> Calls:
    made = Calls(tmp_path)
    files = {
        path: text if isinstance(text, bytes) else text.encode() for path, text in MORE.items()
    }
    links = {
        "links/file.yaml": b"../values/twice.yaml",
        "links/folder": b"../apps/shop/overlays",
        "links/away": b"/etc",
        "links/sub": made.start.encode(),
    }
    modes = {**dict.fromkeys(links, "120000"), "links/sub": "160000"}
    made.start = commit_files(made.bare, {**files, **links}, modes=modes)
    return made


def check(calls: Calls, done: Done, message: str, status: int = 1) -> None:
    """Hold a failed call to what all of them promise."""
    assert done.status == status, done.out + done.err
    assert re.search(message, " ".join(done.err.split())), done.err
    assert done.out == ""
    assert done.output == ""
    assert done.err.startswith("error: ")
    assert "Traceback" not in done.err
    first, *rest = done.err.splitlines()
    assert first.endswith(".")
    assert len(rest) == 1
    assert rest[0].startswith("       ")
    assert rest[0][7:8].isupper() or rest[0][7] == "`" or rest[0][7:].startswith("kustomize")
    assert rest[0].endswith((".", "?"))
    assert len(done.err) < 700
    assert done.summary.startswith("### Nothing was promoted\n")
    assert calls.is_untouched


PLAIN = "apps/shop/overlays/dev"


@pytest.mark.parametrize(
    ("images", "target", "message"),
    [
        (SHOP, "apps/shop/overlays/dve", "`apps/shop/overlays/dve` doesn't exist .* Did you mean"),
        (SHOP, "values/none.yaml", "`values/none.yaml` doesn't exist"),
        (SHOP, "nope/*/x", "matches nothing that can be edited"),
        (SHOP, "values/twice.yaml#web.imgae", "twice.yaml:.* there is no `imgae` in `web`"),
        (
            "acme/none",
            "values/twice.yaml",
            f"there is no image `acme/none` here. The file has .*{SHOP}",
        ),
        ("acme/none", "apps/shop/overlays/*", "None of the 3 files .* has the image `acme/none`"),
        (
            SHOP,
            "values/twice.yaml",
            r"stands in 2 places: `#web.image` \(line 3, 1\).*Name one",
        ),
        (SHOP, "apps/broken", "apps/broken/kustomization.yaml:[45]:[0-9]+: this is not valid YAML"),
        (SHOP, "apps/conflict", "kustomization.yaml:2: this line is a merge conflict"),
        (SHOP, "apps/empty", "this kustomization is empty, which kustomize refuses"),
        (SHOP, "apps/two", "`apps/two` has 2 kustomizations"),
        (SHOP, "apps/scalar", "kustomization.yaml:1: `images` must be a list"),
        (SHOP, "apps/latin", "kustomization.yaml:2: this file is not UTF-8"),
        (SHOP, "links/file.yaml", "goes through `links/file.yaml`, which is a symlink"),
        (SHOP, "links/folder/dev", "goes through `links/folder`, which is a symlink"),
        (SHOP, "links/away/passwd", "goes through `links/away`, which is a symlink"),
        (SHOP, "links/sub/values.yaml", "goes through `links/sub`, which is a submodule"),
        (SHOP, "README.md", "README.md"),
        (SHOP, "apps", "`apps` is a folder without a kustomization, chart or helmfile. `apps` has"),
        (SHOP, "values/shared.yaml", "shares what it is given with `x/y`"),
        (SHOP, "values/lines.yaml", "a text of several lines"),
        (SHOP, "values/typed.yaml#image.tag", "values/typed.yaml:3"),
        (SHOP, "values/twice.yaml#web", "`web` holds no image. Did you mean `#web.image`"),
    ],
)
def test_a_config_repository_that_does_not_fit(
    calls: Calls, images: str, target: str, message: str
) -> None:
    done = calls.run("--images", f"{images}:2", "--target", target, *PERSON)

    check(calls, done, message)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"target": "../other/values.yaml"}, "leaves the config repository by `..`"),
        ({"target": "apps/../../x"}, "leaves the config repository by `..`"),
        ({"target": "/etc/passwd"}, "is not a path inside the config repository"),
        ({"target": "helm:~/values.yaml"}, "is not a path inside the config repository"),
        ({"target": "docker:x"}, "kind `docker`, which is unknown. The kinds are `kustomize`, `"),
        ({"target": "a/{envrionment}"}, "placeholder `{envrionment}`, which is unknown"),
        ({"target": "a/{app}"}, r"needs the input `app`, which is missing. Set `app` \(`--app`\)"),
        ({"target": "a#b..c"}, "key `#b..c` is malformed"),
        ({"images": f"{SHOP}:1+2"}, "has the tag `1\\+2`, which no registry accepts. Use letters"),
        ({"images": f"{SHOP}:" + "a" * 129}, "has a tag of 129 characters. Registries allow"),
        ({"images": f"{SHOP}:"}, "has an empty tag. Give a tag after the colon"),
        ({"images": f"{SHOP}@sha256:12"}, "has the digest `sha256:12`, which is malformed"),
        ({"images": "https://ghcr.io/x"}, "no registry accepts|no valid image name"),
        (
            {"images": SHOP},
            "no commit here to name the image's tag after. Give the tag in `images`",
        ),
        ({"images": " "}, r"Input `images` \(`--images`\) is missing. Name the image"),
        ({"target": ""}, r"Input `target` \(`--target`\) is missing. Name what to edit"),
        ({"config-ref": "--upload-pack=touch pwned"}, "Input `config-ref` is .* no branch's name"),
        ({"config-ref": "a..b"}, "Input `config-ref` is"),
        ({"environment": "../prod"}, "Input `environment` has the name `../prod`. Use letters"),
        ({"environment": "dev;id"}, "Input `environment`"),
        ({"commit-message": "{who}"}, "Input `commit-message` has the placeholder `{who}`"),
        ({"author": "Ann"}, "Input `author` is `Ann`.* Write it as `Name <email@example.com>`"),
        ({"config-repository": "ext::sh -c id"}, "transport `ext`, which is not supported"),
        ({"config-repository": "--upload-pack=id"}, "which names no repository"),
        ({"config-repository": "https://u:p@x.io/a"}, "has a password or token in its URL"),
        ({"config-repository": ""}, "Input `config-repository` "),
    ],
    ids=lambda value: value if isinstance(value, str) else " ".join(value.values())[:30],
)
def test_a_call_that_is_wrong(calls: Calls, arguments: dict[str, str], message: str) -> None:
    merged = {
        "config-repository": str(calls.bare),
        "images": f"{SHOP}:2",
        "target": PLAIN,
        "author": "Ann <a@b.c>",
        "committer": "Ann <a@b.c>",
        **arguments,
    }
    repository = merged.pop("config-repository")
    flags = [f"--{name}={value}" for name, value in merged.items()]
    done = calls.run(*flags, f"--config-repository={repository}")

    check(calls, done, message, status=2)
    assert list(calls.work.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "value"), [("PROMOTION_MODE", "pull"), ("SIGNOFF", "maybe"), ("IMAGES", "")]
)
def test_a_job_s_input_is_named(calls: Calls, name: str, value: str) -> None:
    given = {"IMAGES": f"{SHOP}:1", "TARGET": PLAIN, name: value}
    done = calls.run(**{f"GITOPS_PROMOTE_{key}": text for key, text in given.items()}, **JOB)

    assert done.status == 2
    assert done.out.startswith("::error title=GitOps Promote::Input `")
    assert f"`{name.lower().replace('_', '-')}`" in done.out
    assert done.output == ""
    assert calls.is_untouched


def test_nobody_to_be_the_author(calls: Calls) -> None:
    done = calls.run("--images", f"{SHOP}:2", "--target", PLAIN)

    check(calls, done, r"Nobody is known as the commit's author .*`--author`", status=2)


def test_a_missing_branch(calls: Calls) -> None:
    check(
        calls, calls.promote("--config-ref", "mian"), "has no branch mian. Name one of these .*main"
    )


def test_a_repository_that_is_not_there(calls: Calls) -> None:
    done = calls.promote(repository=str(calls.folder / "nope.git"))

    check(calls, done, "nope.git .*Check `config-repository`")


def test_a_folder_that_is_no_repository(calls: Calls) -> None:
    check(calls, calls.promote(repository=str(calls.work)), "is not a git repository|was not found")


def test_an_empty_repository(calls: Calls) -> None:
    git("init", "--quiet", "--bare", calls.folder / "empty.git")
    done = calls.promote(repository=str(calls.folder / "empty.git"))

    check(calls, done, "is empty: it has no commit yet. Push a first commit")


def test_a_closed_port(calls: Calls) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    start = time.monotonic()
    done = calls.promote(repository=f"http://127.0.0.1:{port}/a/b.git")

    assert time.monotonic() - start < 30
    assert done.out.count("Trying again") == 3
    check(calls, Done(done.status, "", done.err, done.output, done.summary), "can't be reached")


@pytest.mark.parametrize(
    ("token", "message"), [("wrong-token-0123456789", "refused"), ("", "Give `token` a token")]
)
def test_refused_credentials(calls: Calls, token: str, message: str) -> None:
    with GitHttpServer(calls.folder, {TOKEN: "write"}) as server:
        url = f"{server.url}/acme/deploy.git"
        done = calls.promote(repository=url, GITOPS_PROMOTE_TOKEN=token)

    check(calls, done, message)
    assert "wrong-token" not in done.err + done.summary


def test_a_token_that_may_only_read(calls: Calls) -> None:
    with GitHttpServer(calls.folder, {TOKEN: "read"}) as server:
        url = f"{server.url}/acme/deploy.git"
        done = calls.promote(repository=url, GITOPS_PROMOTE_TOKEN=TOKEN)

    check(calls, done, "token .*write to .*Give `token` a token that may write")


@pytest.mark.parametrize("hook", ["pre-receive", "update"])
def test_a_protected_branch(calls: Calls, hook: str) -> None:
    add_hook(calls.bare, hook, "echo 'GH006: Protected branch update failed.' >&2\nexit 1\n")

    check(calls, calls.promote(), "Branch main of .* is protected against this push: .*GH006")


def test_a_branch_that_is_checked_out(calls: Calls) -> None:
    git("clone", "--quiet", calls.bare, calls.folder / "clone")
    done = calls.promote(repository=str(calls.folder / "clone"))

    check(calls, done, "is checked out .*Name a bare repository")


def test_one_bad_target_of_many_writes_nothing(calls: Calls) -> None:
    done = calls.promote("--target", "values/none.yaml")

    check(calls, done, "`values/none.yaml` doesn't exist")


def test_one_bad_environment_of_many_writes_nothing(calls: Calls) -> None:
    done = calls.promote("--environment", "nowhere")

    check(calls, done, "there is no `apps/shop/overlays/nowhere`")


@pytest.mark.parametrize(
    "text",
    [
        "a: " + "[" * 1_000,
        "a: " + "[" * 20_000 + "]" * 20_000,
        "a: " + "{a: " * 5_000 + "}" * 5_000,
        "\n".join(f"{' ' * n}a:" for n in range(3_000)),
        "a0: &a0 [x, x]\n"
        + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30)),
        "a: &a [*a]\n",
        "a: &a\n  b: *a\n",
        "%YAML 9.9\n---\na: 1\n",
        "a: !!python/object/apply:os.system [id]\n",
        "a: \x01\n",
        "<<: *nope\n",
        "a: 1\0b\n",
    ],
    ids=range(12),
)
@pytest.mark.parametrize("kind", ["helm", "kustomize"])
def test_a_hostile_file(calls: Calls, text: str, kind: str) -> None:
    calls.start = commit_files(calls.bare, {"evil.yaml": text.encode()})
    start = time.monotonic()
    done = calls.run("--images", f"{SHOP}:2", "--target", f"{kind}:evil.yaml", *PERSON)

    assert time.monotonic() - start < 60
    assert "Traceback" not in done.err
    if kind == "helm":
        assert done.status == 1
        assert calls.is_untouched


def test_a_list_of_twenty_thousand(calls: Calls) -> None:
    lines = "".join(f"  - name: app{n}\n    newTag: '1'\n" for n in range(20_000))
    text = f"resources: [https://example.com/x]\nimages:\n{lines}"
    commit_files(calls.bare, {"kustomization.yaml": text.encode()})
    done = calls.run("--images", "app19999:2", "--target", ".", *PERSON, "--format", "json")

    assert done.status == 0, done.err
    assert done.json["changes"][0]["line"] == 2 + 2 * 20_000


def test_what_is_here_fits_where_nothing_is_wrong(calls: Calls) -> None:
    """So that the failures above are for the reasons they name."""
    done = calls.promote("--target", "values/twice.yaml#*.image")

    assert done.status == 0, done.err
    assert head_of(calls.bare) != calls.start
