"""Policies for tests: what reads, and what is malformed."""

from __future__ import annotations

HEAD = "version: 1\nenvironments:\n"

FULL = """\
# yaml-language-server: $schema=https://example.com/gitops-promote.schema.json
version: 1
defaults:
  labels: [promotion]
  branch: main
environments:
  dev:
  test: {mode: push, after: dev}
  prod:
    mode: pull-request
    after: {environment: test, soak: 1d12h}
    allow-override: true
    branch: release/prod
    paths: ["apps/*/overlays/prod/**", clusters/eu/*.yaml]
    reviewers: ["@octocat", "renovate[bot]"]
    team-reviewers: acme/platform
    assignees: hubot
    labels: [production]
    gates: Dashboard=https://grafana.example.com/d/shop?orgId=1
apps:
  shop:
    images:
      - ghcr.io/acme/shop
      - localhost:5000/shop-db=ghcr.io/acme/shop-db
    targets: ["apps/shop/overlays/{environment}", "helm:values/{app}.yaml#web.image"]
    source-repository: acme/shop
    environments:
      dev:
        targets: dev/shop
      prod:
        reviewers: [hubot]
        after: dev
  blog:
"""

VALID = [
    FULL,
    FULL.replace("\n", "\r\n"),
    HEAD + "  dev:\n",
    HEAD + "  dev: {}\napps:\ndefaults:\n",
    '{"version": 1, "environments": {"dev": null, "1.10": {"mode": "push", "labels": ["1"]}}}',
    HEAD + "  dev: &one {mode: push}\n  test: *one\n  prod: {<<: *one, mode: pull-request}\n",
    HEAD + "  a b/c.d: {branch: '1.10', gates: [], labels: []}\n",
    "---\n" + HEAD + "  dev:\n...\n",
    HEAD + "  dev: {gates: [A=b=HTTP://x.example:8080]}\n",
    HEAD + "  dev:\napps: {shop: {images: [IMAGE, 'nginx=localhost:5000/nginx', 'a:1/b']}}\n",
    HEAD + "  dev:\napps: {shop: {targets: [., 'helm:a:b#x', 'a/**/{app}/*.yaml#*.image']}}\n",
    HEAD + "  test:\n  dev: {after: {environment: test, soak: 2w1d3h4m90s}}\n",
]


def of_dev(settings: str) -> str:
    """A policy whose third line is about one environment."""
    return f"{HEAD}  dev: {{{settings}}}\n"


def of_app(settings: str) -> str:
    """A policy whose seventh line is about one app."""
    return f"{HEAD}  dev:\n  prod:\napps:\n  shop:\n    {settings}\n"


# Each with the place and the problem, and a part of what to do next.
NO_SHAPE = [
    ("", "1:1: this policy is empty.", "`version: 1`"),
    ("# Nothing\n---\n", "1:1: this policy is empty.", "`version: 1`"),
    ("- a\n", "1:1: a policy must be a mapping, and this is a list.", "`version: 1`"),
    ("text", "1:1: a policy must be a mapping, and this is the text `text`.", "`version: 1`"),
    ("a: [\n", "2:1: this is not valid YAML: did not find expected node content.", "Correct"),
    ("a: 1\n  b: *x\n", "2:4: this is not valid YAML: mapping values are not allowed", "Correct"),
    ("version: *x\n", "1:10: this is not valid YAML: there is no anchor &x.", "Correct"),
    (HEAD + "  dev:\n---\na: 1\n", "5:1: this file has 2 YAML documents, and a policy is", "`---`"),
    ("environments: {dev: }\n", "1:1: a policy needs the key `version`.", "`version: 1`"),
    ("a: 1\nversion: 2\n", "2:10: this policy is of version 2, and the latest that", "Update the"),
    ("version: '1'\n", "1:10: `version` must be the number 1.", "`version: 1`"),
    ("version: 1.0\n", "1:10: `version` must be the number 1.", "`version: 1`"),
    ("version: [1]\n", "1:10: `version` must be the number 1.", "`version: 1`"),
    (f"version: {'9' * 5000}\n", "1:10: `version` must be the number 1.", "`version: 1`"),
    ("version:\n", "1:9: `version` must be the number 1.", "`version: 1`"),
    ("version: 1\n", "1:1: a policy needs the key `environments`.", "environments: {dev:"),
    (HEAD, "2:14: `environments` must be a mapping, and is empty.", "environments: {dev:"),
    ("version: 1\nenvironments: {}\n", "2:15: `environments` is empty.", "{dev: {mode: push}"),
    ("version: 1\nenvironments: [dev]\n", "2:15: `environments` must be a mapping, and is a", ""),
    ("version: 1\nenvironment:\n", "2:1: `environment` is no key of a policy.", "`environments`?"),
    ("version: 1\nx: 1\n", "2:1: `x` is no key of a policy.", "`version`, `defaults`, `env"),
    ("version: 1\n? [a]\n: 1\n", "2:3: a key must be a text, and this is a list.", "`KEY: VALUE`"),
    ("version: 1\nversion: 1\n", "2:1: `version` stands here twice, first in line 1.", "one of"),
    (HEAD + "  dev:\n  dev:\n", "4:3: `dev` stands here twice, first in line 3.", "one of the two"),
    (of_dev("mode: push, mode: push"), "3:21: `mode` stands here twice, first in line 3.", ""),
    (of_dev("reviewer: x"), "3:9: `reviewer` is no key of an environment.", "`reviewers`?"),
    (of_dev("targets: x"), "3:9: `targets` is no key of an environment.", "`mode`, `after`"),
    (of_dev("<<: 5"), "3:9: `<<` is no key of an environment.", "The keys are `mode`"),
    (of_dev("mode: !x push"), "3:18: the tag `!x` means nothing in a policy.", "Take it out"),
    (HEAD + "  dev:\ndefaults: {after: x}\n", "4:12: `after` is no key of `defaults`.", "The keys"),
    (HEAD + "  dev: push\n", "3:8: `dev` must be a mapping, and is the text `push`.", "dev: {mode"),
    (of_app("image: x"), "7:5: `image` is no key of an app.", "`images`?"),
    (of_app("environments: [dev]"), "7:19: `environments` must be a mapping, and is a list.", ""),
    (of_app("environments: {prod: {mde: x}}"), "7:27: `mde` is no key of an app's env", "`mode`?"),
    ("a: &a {environments: *a}\n", "1:1: `a` is no key of a policy.", "The keys are"),
    ("version: 1\nenvironments: &a {x: *a}\n", "2:19: `x` is no key of an environment.", ""),
]
NO_VALUE = [
    (of_dev("mode: pus"), "3:15: `mode` is `pus`, which is unknown.", "mean `push`?"),
    (of_dev("mode: dry-run"), "3:15: `mode` is `dry-run`, which is unknown.", "`push` or `pull-"),
    (of_dev("mode: [push]"), "3:15: `mode` must be a text, and is a list.", "`mode: pull-request`"),
    (of_dev("mode: "), "3:14: `mode` must be a text, and is empty.", "`mode: pull-request`"),
    (of_dev("mode: true"), "3:15: `mode` is `true`, which is unknown.", "`push` or"),
    (
        of_dev("allow-override: yes"),
        "3:25: `allow-override` must be true or false, and is `yes",
        "",
    ),
    (of_dev("allow-override: 'true'"), "3:25: `allow-override` must be true or false, and is", ""),
    (of_dev("branch: 1.10"), "3:17: `branch` has `1.10`, which YAML takes for a number", '"1.10"'),
    (of_dev("branch: a..b"), "3:17: `branch` has `a..b`, which is no branch's name.", "main"),
    (of_dev("branch: {a: 1}"), "3:17: `branch` must be a text, and is a mapping.", "main"),
    (of_dev("branch: [main]"), "3:17: `branch` must be a text, and is a list.", "main"),
    (of_dev("paths: /a"), "3:16: `paths` has `/a`, which is no glob of files in the", "root"),
    (of_dev("paths: [a, b/../c]"), "3:20: `paths` has `b/../c`, which is no glob", "without `..`"),
    (of_dev(r"paths: 'a\b'"), r"3:16: `paths` has `a\b`, which is no glob", "with `/`"),
    (of_dev("paths: apps/"), "3:16: `paths` has `apps/`, which is no glob", "`apps/shop/**`"),
    (of_dev("paths: [[a]]"), "3:17: `paths` must be a text, and is a list.", "paths: ["),
    (of_dev("paths: {a: b}"), "3:16: `paths` must be a list of texts, and is a mapping.", "paths"),
    (of_dev("paths: "), "3:15: `paths` must be a list of texts, and is empty.", "paths: ["),
    (of_dev("reviewers: octo cat"), "3:20: `reviewers` has `octo cat`, which is nobody's", "[octo"),
    (of_dev("reviewers: [1234]"), "3:21: `reviewers` has `1234`, which YAML takes for", '`"1234"`'),
    (of_dev("assignees: a@b.c"), "3:20: `assignees` has `a@b.c`, which is nobody's login.", ""),
    (of_dev("team-reviewers: a/b/c"), "3:25: `team-reviewers` has `a/b/c`, which is no team's", ""),
    (of_dev("labels: [a, b, a]"), "3:24: `labels` has `a` twice.", "once"),
    (of_dev("labels: ['']"), "3:18: `labels` has ``, which is empty, or has blanks around it.", ""),
    (of_dev('labels: "a\\nb"'), "3:17: `labels` has a text with a line break or a control", "`- `"),
    (of_dev(f"labels: {'a' * 1001}"), "3:17: `labels` has a text of 1001 characters.", "1000"),
    (of_dev("gates: Scan"), "3:16: `gates` has a line with no address of http or https.", "NAME=U"),
    (of_dev("gates: ''"), "3:16: `gates` has a line with no address of http or https.", "NAME=URL"),
    (of_dev("gates: 'a=https://x:y@z'"), "3:16: `gates` has credentials in the address of", ""),
    (
        of_dev(f"gates: [{', '.join(f'a=http://b/{n}' for n in range(51))}]"),
        "3:16: `gates` has",
        "",
    ),
    (HEAD + "  1.10:\n", "3:3: `environments` has `1.10`, which YAML takes for a number", '"1.10"'),
    (HEAD + "  ../x:\n", "3:3: `environments` has `../x`, which can't be a name.", "Use letters"),
    (HEAD + "  a/../b:\n", "3:3: `environments` has `a/../b`, which can't be a name.", "letters"),
    (HEAD + "  a#b:\n", "3:3: `environments` has `a#b`, which can't be a name.", "Use letters"),
    (HEAD + "  'a ':\n", "3:3: `environments` has `a `, which can't be a name.", "Use letters"),
    (HEAD + '  "a\\nb":\n', "3:3: `environments` has a text with a line break", "Use letters"),
    (HEAD + "  dev:\napps:\n  $(id):\n", "5:3: `apps` has `$(id)`, which can't be a name.", ""),
    (of_app("images: [a/b:1]"), "7:14: Item `a/b:1` of `images` has more than names.", "Leave tag"),
    (of_app(f"images: a@sha256:{'a' * 64}"), "7:13: Item `a@sha256:aaaa", "Leave tag and digest"),
    (of_app("images: a=*"), "7:13: Item `a=*` of `images` has more than names.", ""),
    (
        of_app("images: 'https://x'"),
        "7:13: Item `https://x` of `images` has no valid image",
        "NAME",
    ),
    (
        of_app("images: a=B/C"),
        "7:13: Item `a=B/C` of `images` has the new name `B/C`",
        "lower case",
    ),
    (of_app("images: [a, b, a=c]"), "7:20: `images` has `a` twice.", "once"),
    (
        of_app("targets: [../x]"),
        "7:15: Target `../x` leaves the config repository by `..`.",
        "root",
    ),
    (of_app("targets: [/x]"), "7:15: Target `/x` is not a path inside the config repository.", ""),
    (of_app("targets: ['svn:x']"), "7:15: Target `svn:x` has the kind `svn`, which is", "`helm`"),
    (of_app("targets: 'a/{env}'"), "7:14: Target `a/{env}` has the placeholder `{env}`", "{app}"),
    (of_app("targets: 'a#b..c'"), "7:14: The target's key `#b..c` is malformed.", "#web.image"),
    (of_app("targets: ['']"), "7:15: Target `` names no file.", "root"),
    (of_app("environments: {dev: {targets: ../x}}"), "7:35: Target `../x` leaves the", "root"),
    (
        of_app("source-repository: shop"),
        "7:24: `source-repository` has `shop`, which is no",
        "acme",
    ),
    (
        of_app("source-repository: a/.."),
        "7:24: `source-repository` has `a/..`, which is no",
        "acme",
    ),
    (of_app("source-repository: [a/b, A/B]"), "7:30: `source-repository` has `a/b` twice.", "once"),
]
NO_ORDER = [
    (of_dev("after: "), "3:15: `after` must be a mapping, and is empty.", "soak: 24h"),
    (of_dev("after: [x]"), "3:16: `after` must be a mapping, and is a list.", "soak: 24h"),
    (of_dev("after: {soak: 1h}"), "3:16: `after` needs the key `environment`.", "`environment: t"),
    (of_dev("after: {sock: 1h}"), "3:17: `sock` is no key of `after`.", "mean `soak`?"),
    *(
        (
            of_dev(f"after: {{environment: dev, soak: {soak}}}"),
            f"3:41: `soak` has `{soak}`, which is no duration.",
            "`24h`",
        )
        for soak in ("24", "1x", "1h1d", "24 h", "-1h", "1.5h", "h", "99999w", "1d1d")
    ),
]
# What a schema can't tell: which environments there are.
UNKNOWN = [
    (HEAD + "  test:\n  dev: {after: tset}\n", "4:16: there is no environment `tset`.", "`test`?"),
    (HEAD + "  test:\n  dev: {after: x}\n", "4:16: there is no environment `x`.", "is `test`, `de"),
    (
        HEAD + "  test:\n  dev: {after: {soak: 1h, environment: x}}\n",
        "4:40: there is no environment `x`.",
        "There is `test`",
    ),
    (of_app("environments: {prd: {}}"), "7:20: there is no environment `prd`.", "mean `prod`?"),
    (of_app("environments: {dev: {after: x}}"), "7:33: there is no environment `x`.", "`dev`, `p"),
    (of_dev("after: dev"), "3:16: `after` goes round in a circle: dev -> dev.", "Take one"),
    (
        HEAD + "  dev: {after: prod}\n  test: {after: dev}\n  prod: {after: test}\n",
        "3:16: `after` goes round in a circle: dev -> test -> prod -> dev.",
        "Take one `after` of these out",
    ),
    (
        HEAD + "  a:\n  b: {after: d}\n  c: {after: b}\n  d: {after: c}\n  e: {after: d}\n",
        "4:14: `after` goes round in a circle: b -> c -> d -> b.",
        "Take one",
    ),
    (
        of_app("environments: {dev: {after: prod}, prod: {after: dev}}"),
        "7:33: `after` goes round in a circle for app `shop`: dev -> prod -> dev.",
        "Take one",
    ),
    (
        HEAD + "  dev:\n  prod: {after: dev}\napps: {shop: {environments: {dev: {after: prod}}}}\n",
        "5:43: `after` goes round in a circle for app `shop`: dev -> prod -> dev.",
        "Take one",
    ),
]
MALFORMED = [*NO_SHAPE, *NO_VALUE, *NO_ORDER, *UNKNOWN]
