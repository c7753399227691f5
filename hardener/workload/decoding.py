"""Read a document that hardener has written and that may have been changed since: a profile, a proof."""

from __future__ import annotations

import json
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from hardener.bounded import parse
from hardener.errors import HardenerError
from hardener.text import line

_Model = TypeVar("_Model", bound=BaseModel)


def decode_document(model: type[_Model], data: bytes, *, name: str, what: str, most_values: int) -> _Model:
    """Read a document as its model describes it.

    Args:
        model: of the whole document.
        data: the content of its file.
        name: what the file is called in an error.
        what: what it is to be, in a word.
        most_values: how many values it may have.

    Raises:
        HardenerError: the data do not fit the model.
    """
    try:
        return model.model_validate_json(json.dumps(parse(data, most_values=most_values)))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = line(".".join(map(str, first["loc"])), 200)
        raise HardenerError(f"{line(name)}: {place}: {line(first['msg'], 200)}") from error
    except ValueError as error:
        raise HardenerError(f"{line(name)} is not a {what}: {line(str(error), 200)}") from error
