"""The API at `/docs`, from the document at `/openapi.json`: a page of this origin alone, without a script."""

import json
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from fedrela.coordinator.api.threads import in_thread
from fedrela.coordinator.pages.dashboard import page

router = APIRouter(include_in_schema=False)
CREDENTIALS = {"deviceToken": "a device's token", "adminKey": "the admin key"}


@router.get("/docs")
async def api(request: Request) -> Response:
    """Every operation and every message; drawn once, as neither changes while the process runs."""
    state = request.app.state
    if not hasattr(state, "api_page"):
        state.api_page = await in_thread(_draw, request.app.openapi())
    drawn: Response = state.api_page
    return drawn


def _draw(document: dict[str, Any]) -> Response:
    operations = [
        _operation(verb, path, operation)
        for path, verbs in document["paths"].items()
        for verb, operation in verbs.items()
    ]
    schemas = {name: _text(schema) for name, schema in sorted(document["components"]["schemas"].items())}
    return page("api.html", title=document["info"]["title"], operations=operations, schemas=schemas)


def _operation(verb: str, path: str, operation: dict[str, Any]) -> dict[str, Any]:
    security = [CREDENTIALS[name] for choice in operation.get("security", []) for name in choice]
    return {
        "verb": verb.upper(),
        "path": path,
        "text": operation.get("description") or operation.get("summary", ""),
        "credentials": " or ".join(security) or "nothing",
        "parameters": operation.get("parameters", []),
        "takes": _contents(operation.get("requestBody", {})),
        "answers": {
            status: (answer["description"], _contents(answer)) for status, answer in operation["responses"].items()
        },
    }


def _contents(part: dict[str, Any]) -> list[dict[str, str]]:
    """Of a body: each media type, the message's name if it is one, and an example."""
    return [
        {
            "media": media,
            "message": content.get("schema", {}).get("$ref", "").rsplit("/", 1)[-1],
            "example": _text(content["example"]) if "example" in content else "",
        }
        for media, content in part.get("content", {}).items()
    ]


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
