"""Says in our own words what is wrong with a field, from what pydantic found. Pure.

No sentence repeats the value. pydantic's own sentences change with its versions, and speak of Python to people who write
JavaScript.
"""

from collections.abc import Callable, Mapping
from typing import Any

Context = Mapping[str, Any]


def _count(number: object, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _said(sentence: str) -> Callable[[Context], str]:
    return lambda _: sentence


_TEXT, _INTEGER, _NUMBER = _said("must be a text"), _said("must be an integer"), _said("must be a finite number")
_BOOLEAN, _OBJECT, _LIST = _said("must be true or false"), _said("must be an object"), _said("must be a list")

# By pydantic's type of an error (https://docs.pydantic.dev/latest/errors/validation_errors/).
_SENTENCES: dict[str, Callable[[Context], str]] = {
    "missing": _said("is required"),
    "extra_forbidden": _said("there is no such field"),
    "none_required": _said("must be null"),
    "string_type": _TEXT,
    "string_unicode": _said("must be valid Unicode"),
    "string_too_short": lambda context: f"must have at least {_count(context['min_length'], 'character')}",
    "string_too_long": lambda context: f"must have at most {_count(context['max_length'], 'character')}",
    "string_pattern_mismatch": lambda context: f"must match {context['pattern']}",
    "literal_error": lambda context: f"must be {context['expected']}",
    **dict.fromkeys(("int_type", "int_from_float", "int_parsing", "int_parsing_size"), _INTEGER),
    **dict.fromkeys(("float_type", "float_parsing", "finite_number"), _NUMBER),
    **dict.fromkeys(("bool_type", "bool_parsing"), _BOOLEAN),
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), _OBJECT),
    **dict.fromkeys(("list_type", "tuple_type"), _LIST),
    "greater_than_equal": lambda context: f"must be at least {context['ge']}",
    "greater_than": lambda context: f"must be above {context['gt']}",
    "less_than_equal": lambda context: f"must be at most {context['le']}",
    "less_than": lambda context: f"must be below {context['lt']}",
    "too_long": lambda context: f"must have at most {_count(context['max_length'], 'item')}",
    "json_invalid": _said("must be JSON"),
    "value_error": lambda context: str(context["error"]),  # raised by a validator of ours
}
OTHER = "is not what it must be"


def sentence(problem: Mapping[str, Any]) -> str:
    """What is wrong, from one of `ValidationError.errors()` with its context; to be read behind the field's name."""
    made = _SENTENCES.get(problem["type"])
    return made(problem.get("ctx", {})) if made is not None else OTHER
