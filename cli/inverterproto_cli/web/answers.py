"""What all answers have in common."""

import json
from collections.abc import Mapping

from aiohttp import web

HEADERS = {
    "Server": "inverterproto",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
}
"""Of every answer; no version, and nothing that lets another site's page read it."""
JSON = {**HEADERS, "Content-Type": "application/json"}


def told(
    value: object, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """Return something as JSON."""
    body = json.dumps(value).encode() + b"\n"
    return web.Response(body=body, status=status, headers={**JSON, **(headers or {})})


def refused(
    status: int, why: str, headers: Mapping[str, str] | None = None, **more: object
) -> web.Response:
    """Return an answer that says why there is no other."""
    return told({"error": why, **more}, status, headers)
