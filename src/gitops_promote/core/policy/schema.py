"""The JSON Schema of the policy file, by which editors complete and check it.

It is of draft-07: yaml-language-server, which most editors use, supports "JSON Schema 7 and below"
(its README), and ignores the keywords that later drafts added.
"""

from __future__ import annotations

from typing import Any

from gitops_promote.core.policy.definition import (
    POLICY,
    SHARED,
    Choice,
    Flag,
    Form,
    Key,
    Record,
    Table,
    Text,
    Texts,
    Version,
)


def schema() -> dict[str, Any]:
    """Make the JSON Schema.

    Returns:
        The schema, as data.
    """
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "Policy of gitops-promote",
        "description": "What runs where, in which order, and who may skip: "
        "`.gitops-promote.yaml` in a config repository.",
        **_of(POLICY),
        "definitions": {key.name: _of_key(key) for key in SHARED},
    }


def _of_key(key: Key) -> dict[str, Any]:
    default = f" Default: {key.default}." if key.default else ""
    return {"description": key.help + default, **_of(key.form), "examples": [key.example]}


def _of(form: Form) -> dict[str, Any]:  # noqa: PLR0911  (a form each)
    match form:
        case Version():
            return {"const": form.number}
        case Flag():
            return {"type": "boolean"}
        case Choice():
            return {"enum": list(form.choices)}
        case Text():
            refused = {"not": {"pattern": form.refused}} if form.refused else {}
            return {"type": "string", "pattern": f"^(?:{form.pattern})$", **refused}
        case Texts():
            item = _of(form.item)
            most = {"maxItems": form.most} if form.most else {}
            items = {"type": "array", "items": item, "uniqueItems": True, **most}
            return {"anyOf": [item, items]}
        case Table():
            return _of_table(form)
        case Record():
            return _of_record(form)


def _of_table(form: Table) -> dict[str, Any]:
    return {
        **_object(may_be_empty=form.may_be_empty),
        **({} if form.may_be_empty else {"minProperties": 1}),
        "propertyNames": _of(form.name),
        "additionalProperties": _of(form.entry),
    }


def _of_record(form: Record) -> dict[str, Any]:
    required = [key.name for key in form.keys if key.required]
    found = {
        **_object(may_be_empty=form.may_be_empty),
        "properties": {key.name: _property(key) for key in form.keys},
        **({"required": required} if required else {}),
        "additionalProperties": False,
    }
    return {"anyOf": [_of(form.keys[0].form), found]} if form.short else found


def _property(key: Key) -> dict[str, Any]:
    # Draft-07 knows no other keyword beside `$ref`.
    return {"$ref": f"#/definitions/{key.name}"} if key in SHARED else _of_key(key)


def _object(*, may_be_empty: bool) -> dict[str, Any]:
    return {"type": ["object", "null"] if may_be_empty else "object"}
