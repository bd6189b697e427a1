"""The description of the API: OpenAPI 3.1 from the handlers, and a page of it without outside resources."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any, Final

import msgspec
from litestar import Litestar
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig

from croupier import __version__
from croupier.errors import CATALOGUE, ErrorKind
from croupier.operator.bodies import CashBody, CloseBody, LiftBody, OpenSessionBody, RestrictionBody
from croupier.operator.error_catalogue import WHAT_MONEY_DID, WHAT_TO_DO
from croupier.operator.intake import MAX_IDEMPOTENCY_KEY, OperatorRequest
from croupier.operator.permissions import PERMISSIONS
from croupier.providers.problem import Problem
from croupier_signing import SCHEME

Schema = dict[str, Any]

_KEY_HEADER: Final[Schema] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": True,
    "description": "Your own choice, new for each new intention. A repeat gets the first answer for a day.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_IDEMPOTENCY_KEY,
        "pattern": "^[ -~]+$",
    },
}
_SECURITY: Final[Schema] = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "native": {
        "type": "apiKey",
        "in": "header",
        "name": "Authorization",
        "description": f"{SCHEME}: see docs/reference/signature.md.",
    },
}
_STYLE: Final = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "code{font-family:ui-monospace,monospace}h2{margin-top:2.5rem;border-bottom:1px solid}"
    "td,th{text-align:left;padding:.2rem 1rem .2rem 0;vertical-align:top}"
)


def describe_api(handlers: Sequence[HTTPRouteHandler]) -> Schema:
    """The OpenAPI document of these handlers, with what holds for every operation added."""
    config = OpenAPIConfig(
        title="Croupier operator API",
        version=__version__,
        description="Sessions, wallets and history. Amounts are text of minor units, times RFC 3339 in UTC.",
        use_handler_docstrings=True,
    )
    described = Litestar(handlers, request_class=OperatorRequest, openapi_config=config, logging_config=None)
    document: Schema = described.openapi_schema.to_schema()
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = msgspec.json.schema_components([Problem])[1]["Problem"]
    for body in (OpenSessionBody, CashBody, CloseBody, RestrictionBody, LiftBody):
        schemas[body.__name__]["additionalProperties"] = False
    document["components"]["securitySchemes"] = _SECURITY
    document["security"] = [{"bearer": []}, {"native": []}]
    for path, item in document["paths"].items():
        for method, operation in item.items():
            _complete(operation, method.upper(), path)
    return document


def _complete(operation: Schema, method: str, path: str) -> None:
    roles = ", ".join(sorted(PERMISSIONS[method, path]))
    operation["description"] = f"{operation.get('description', '')}\n\nRoles: {roles}.".strip()
    if method == "POST":
        operation["parameters"] = [*operation.get("parameters", []), _KEY_HEADER]
    successes = {code: one for code, one in operation["responses"].items() if code.startswith("2")}
    operation["responses"] = successes | {
        "default": {
            "description": "A problem; `code` says which, `money_moved` what to conclude.",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    }


def render_docs(document: Schema) -> str:
    """A page that lists every operation, and every error the API knows."""
    operations = "".join(
        _render_operation(method.upper(), path, operation)
        for path, item in sorted(document["paths"].items())
        for method, operation in item.items()
    )
    kinds = "".join(
        f'<tr><td><a href="/docs/errors/{kind.code}"><code>{kind.code}</code></a></td>'
        f"<td>{kind.status}</td><td>{escape(kind.title)}</td></tr>"
        for kind in sorted(CATALOGUE.values(), key=lambda kind: (kind.status, kind.code))
    )
    body = (
        f"<h1>{escape(document['info']['title'])} {escape(document['info']['version'])}</h1>"
        f"<p>{escape(document['info']['description'])} Machine-readable: "
        f'<a href="/openapi.json">/openapi.json</a>.</p>{operations}'
        f"<h2>Errors</h2><table>{kinds}</table>"
    )
    return _page(document["info"]["title"], body)


def render_error_page(kind: ErrorKind) -> str:
    """What one kind of error means; problems name this page as their type."""
    rows = {
        "status": str(kind.status),
        "about money": WHAT_MONEY_DID[kind.money_moved],
        "what to do": WHAT_TO_DO[kind.retry],
        "for the player": kind.player_message or "",
    }
    cells = "".join(
        f"<tr><th>{name}</th><td>{escape(value)}</td></tr>" for name, value in rows.items() if value
    )
    return _page(
        kind.code, f"<h1><code>{kind.code}</code></h1><p>{escape(kind.title)}.</p><table>{cells}</table>"
    )


def _render_operation(method: str, path: str, operation: Schema) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{one['in']}</td>"
        f"<td>{'required' if one.get('required') else 'optional'}</td>"
        f"<td>{escape(one.get('description') or '')}</td></tr>"
        for one in operation.get("parameters", [])
    )
    members = "".join(f"<p>{word}: <code>{name}</code></p>" for word, name in _named_schemas(operation))
    said = escape(operation["description"]).replace("\n\n", "</p><p>")
    return f"<h2><code>{method} {escape(path)}</code></h2><p>{said}</p><table>{rows}</table>{members}"


def _named_schemas(operation: Schema) -> list[tuple[str, str]]:
    places = [("Body", operation.get("requestBody") or {})]
    places += [(f"Answer {code}", one) for code, one in operation["responses"].items() if code != "default"]
    found = []
    for word, place in places:
        for content in place.get("content", {}).values():
            reference = content["schema"].get("$ref", "")
            found.append((word, escape(reference.rpartition("/")[2])))
    return found


def _page(title: str, body: str) -> str:
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body>{body}</body></html>"
    )
