"""Convert frozen dataclasses to plain JSON values and back, by their type hints.

All values are preserved exactly, even invalid Unicode. Old data stay readable after the model has changed: a
missing field gets its default, and an unknown one is ignored.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import date, datetime
from enum import Enum
from functools import partial
from typing import Any, TypeVar

Convert = Callable[[Any], Any]

_T = TypeVar("_T")
_PLAIN = (str, int, float, bool, types.NoneType)


class Codec:
    """Encodes and decodes values; the handling of each type is determined once.

    Args:
        replaced: types that are stored in a shorter form, each with its functions to encode and decode.
    """

    def __init__(self, replaced: Mapping[type, tuple[Convert, Convert]] | None = None) -> None:
        pairs = (replaced or {}).items()
        self._encoders: dict[Any, Convert] = {kind: encode for kind, (encode, _) in pairs}
        self._decoders: dict[Any, Convert] = {kind: decode for kind, (_, decode) in pairs}

    def encode(self, value: Any) -> Any:
        """Encode a dataclass as a JSON value."""
        return self._encoder(type(value))(value)

    def decode(self, kind: type[_T], data: Any) -> _T:
        """Decode a dataclass.

        Raises:
            TypeError, KeyError, ValueError: the data do not come from ``encode``.
        """
        value: _T = self._decoder(kind)(data)
        return value

    def _encoder(self, kind: Any) -> Convert:
        if kind not in self._encoders:
            self._encoders[kind] = self._make_encoder(kind)
        return self._encoders[kind]

    def _decoder(self, kind: Any) -> Convert:
        if kind not in self._decoders:
            self._decoders[kind] = self._make_decoder(kind)
        return self._decoders[kind]

    def _make_encoder(self, kind: Any) -> Convert:
        shape, inner = _shape(kind)
        if shape is None:
            return _unchanged
        if shape is date:
            return lambda value: value.isoformat()
        if shape is Enum:
            return lambda value: value.value
        if shape == "record":
            parts = [(name, self._encoder(hint)) for name, hint in typing.get_type_hints(kind).items()]
            return lambda value: {name: encode(getattr(value, name)) for name, encode in parts}
        if shape == "places":
            places = [self._encoder(each) for each in inner]
            return lambda value: [encode(each) for encode, each in zip(places, value, strict=True)]
        encode = self._encoder(inner)
        if shape is tuple:
            return lambda value: [encode(each) for each in value]
        if shape is Mapping:
            return lambda value: {name: encode(each) for name, each in value.items()}
        return lambda value: None if value is None else encode(value)

    def _make_decoder(self, kind: Any) -> Convert:
        shape, inner = _shape(kind)
        if shape is None:
            return partial(_checked, (int, float) if kind is float else kind)
        if shape is date:
            return partial(_moment, kind)
        if shape is Enum:
            return kind  # type: ignore[no-any-return]
        if shape == "record":
            return self._record_decoder(kind)
        if shape == "places":
            places = [self._decoder(each) for each in inner]
            return lambda data: tuple(
                [decode(each) for decode, each in zip(places, _checked(list, data), strict=True)]
            )
        decode = self._decoder(inner)
        if shape is tuple:
            return lambda data: tuple([decode(each) for each in _checked(list, data)])
        if shape is Mapping:
            return lambda data: {name: decode(each) for name, each in _checked(dict, data).items()}
        return lambda data: None if data is None else decode(data)

    def _record_decoder(self, kind: Any) -> Convert:
        hints = typing.get_type_hints(kind)
        parts = [(each.name, self._decoder(hints[each.name])) for each in fields(kind)]
        needed = {
            each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING
        }

        def decode(data: Mapping[str, Any]) -> Any:
            _checked(dict, data)
            return kind(**{name: read(data[name]) for name, read in parts if name in data or name in needed})

        return decode


def _unchanged(value: Any) -> Any:
    return value


def _checked(kind: Any, value: Any) -> Any:
    if not isinstance(value, kind):
        raise TypeError(f"{repr(value)[:100]} has another type than it was stored with")
    return value


def _moment(kind: Any, value: Any) -> Any:
    found = kind.fromisoformat(value)
    if isinstance(found, datetime) and found.tzinfo is None:
        raise ValueError(f"{repr(value)[:100]} has no time zone")
    return found


def _shape(kind: Any) -> tuple[Any, Any]:
    """Return how values of a type are converted, and the type of their elements."""
    origin, inside = typing.get_origin(kind), typing.get_args(kind)
    if kind in _PLAIN:
        return None, None
    if origin is tuple and len(inside) == 2 and inside[1] is Ellipsis:
        return tuple, inside[0]
    if origin is tuple:
        return "places", inside
    if origin is not None and isinstance(origin, type) and issubclass(origin, Mapping):
        return Mapping, inside[1]
    if origin in (types.UnionType, typing.Union) and len(inside) == 2 and inside[1] is types.NoneType:
        return "optional", inside[0]
    if isinstance(kind, type):
        if issubclass(kind, Enum):
            return Enum, None
        if issubclass(kind, date):  # a datetime is also a date
            return date, None
        if is_dataclass(kind):
            return "record", None
    raise TypeError(f"cannot store a {kind}")
