"""What OpenAPI says of the bodies, which the routes read by themselves."""

from typing import Any

from pydantic import BaseModel


def body_of(model: type[BaseModel]) -> dict[str, Any]:
    """The part of an operation that describes its body."""
    return json_body(model.model_json_schema())


def json_body(schema: dict[str, Any]) -> dict[str, Any]:
    """The part of an operation whose body is JSON of a schema."""
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
