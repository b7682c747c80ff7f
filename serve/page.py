"""The OpenAPI description as one page of HTML, without scripts from elsewhere."""

from __future__ import annotations

import json
from html import escape
from typing import Any

HEAD = """<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto }}
code, pre {{ font: 13px/1.5 ui-monospace, monospace }}
pre {{ overflow-x: auto; border: 1px solid #8886; border-radius: 4px; padding: .5rem }}
h2 {{ margin: 2rem 0 .3rem }}
td {{ text-align: left; vertical-align: top; padding: .1rem .8rem .1rem 0 }}
</style>
<h1>{title}</h1><p>{description} Machine-readable: <a href="openapi.json">openapi.json</a>.</p>
<p>Say <code>Authorization: Bearer &lt;token&gt;</code>; only <code>/health</code>, this page and
openapi.json are open. The token is the file <code>serve_token</code> in the home's folder
<code>secrets</code>.</p>
"""


def page(description: dict[str, Any]) -> str:
    """HTML of an OpenAPI description: each address with its parameters and its answer."""
    schemas = description.get("components", {}).get("schemas", {})
    parts = [HEAD.format(**{k: escape(description["info"][k]) for k in ("title", "description")})]
    for path, methods in description["paths"].items():
        for method, one in methods.items():
            parts.append(f"<h2><code>{method.upper()} {escape(path)}</code></h2>")
            parts.append(f"<p>{escape(one.get('description', one['summary']))}</p>")
            parts.append(_table(_parameters(one, schemas)))
            answer = _fields(_schema(one["responses"]["200"]), schemas)
            parts.append(f"<h3>Answer</h3>{_table(answer)}" if answer else "")
    return "\n".join(parts) + "</html>"


def _parameters(one: dict[str, Any], schemas: dict[str, Any]) -> list[tuple[str, str, str]]:
    rows = [
        (each["name"], each["in"], each.get("description", ""))
        for each in one.get("parameters", [])
    ]
    body = _fields(_schema(one["requestBody"]), schemas) if "requestBody" in one else []
    return rows + body


def _schema(content: dict[str, Any]) -> dict[str, Any]:
    return dict(content["content"]["application/json"]["schema"])


def _fields(schema: dict[str, Any], schemas: dict[str, Any]) -> list[tuple[str, str, str]]:
    named = schemas.get(schema.get("$ref", "").rpartition("/")[2], {})
    return [
        (name, json.dumps(each.get("type", "value or null")), each.get("description", ""))
        for name, each in named.get("properties", {}).items()
    ]


def _table(rows: list[tuple[str, str, str]]) -> str:
    cells = (
        f"<tr><td><code>{escape(name)}</code><td>{escape(kind)}<td>{escape(text)}"
        for name, kind, text in rows
    )
    return f"<table>{''.join(cells)}</table>" if rows else ""
