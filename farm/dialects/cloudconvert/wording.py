"""What is wrong with a request, in the API's words."""

from collections.abc import Collection, Mapping
from typing import TypeVar

from pydantic import BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)


class InvalidRequestError(Exception):
    """A request that means nothing; `errors` has sentences by field."""

    def __init__(self, errors: Mapping[str, list[str]]) -> None:
        super().__init__("The given data was invalid.")
        self.errors = dict(errors)


def validate(model: type[M], fields: object, *, engines: Collection[str] = ()) -> M:
    """The model of a request's fields; raises InvalidRequestError with all that is wrong."""
    try:
        return model.model_validate(fields, context={"engines": engines})
    except ValidationError as error:
        raise InvalidRequestError(errors_of(error)) from None


# As the API says it, where it is known to.
_SENTENCES = {
    "missing": "The {name} field is required.",
    "string_type": "The {name} must be a string.",
    "int_type": "The {name} must be an integer.",
    "int_parsing": "The {name} must be an integer.",
    "int_from_float": "The {name} must be an integer.",
    "int_parsing_size": "The {name} must be an integer.",
    "bool_type": "The {name} field must be true or false.",
    "bool_parsing": "The {name} field must be true or false.",
    "dict_type": "The {name} must be an object.",
    "model_type": "The {name} must be an object.",
    "list_type": "The {name} must be a string or an array.",
    "greater_than_equal": "The {name} must be at least {ge}.",
    "less_than_equal": "The {name} must not be greater than {le}.",
    "string_too_short": "The {name} field is required.",
    "string_too_long": "The {name} must not be longer than {max_length} characters.",
    "too_short": "The {name} field is required.",
    "too_long": "The {name} must not have more than {max_length} items.",
    "literal_error": "The selected {name} is invalid; allowed: {expected}.",
}


def errors_of(error: ValidationError) -> dict[str, list[str]]:
    """What is wrong by field, in sentences that repeat no value that may be secret."""
    found: dict[str, list[str]] = {}
    for fault in error.errors(include_url=False, include_input=False):
        field = str(fault["loc"][0]) if fault["loc"] else ""
        facts = fault.get("ctx", {})
        name = field.replace("_", " ")
        if fault["type"] == "value_error":
            sentence = str(facts["error"])
            if not field:
                field, _, sentence = sentence.partition(": ")
        else:
            form = _SENTENCES.get(fault["type"], "The {name} is invalid.")
            sentence = form.format_map({"name": name, **facts})
        sentences = found.setdefault(field, [])
        if sentence not in sentences:
            sentences.append(sentence)
    return found
