"""JSON Schemas of classes, whatever release of pydantic wrote them."""

from __future__ import annotations

from typing import Any


def common(schema: Any) -> Any:
    """The schema without what only some releases say: the names of keys, and a constant as a list of one."""
    if isinstance(schema, dict):
        dropped = {"propertyNames", *(("enum",) if "const" in schema else ())}
        return {key: common(value) for key, value in schema.items() if key not in dropped}
    return [common(each) for each in schema] if isinstance(schema, list) else schema
