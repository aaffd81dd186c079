"""Reads JSON strictly (RFC 8259), and refuses what Python's parser accepts beyond that.

Refused: duplicate keys, NaN and Infinity, numbers beyond a double, lone surrogates, nesting deeper than `MAX_DEPTH`.
From clients also integers that JavaScript cannot hold: they would arrive as other numbers (RFC 8259, section 6).
"""

import json
import math
from typing import Any

MAX_INTEGER = 2**53 - 1  # Number.MAX_SAFE_INTEGER
MAX_DEPTH = 64  # arrays and objects in each other; other parsers on the way of a message stop at 200


class InvalidJson(ValueError):  # noqa: N818 - what the text is
    """Not acceptable JSON. The message is a sentence that repeats nothing of the text."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise InvalidJson("an object has the same key twice")
    return members


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise InvalidJson("a number is out of range")
    return number


def _safe(text: str) -> int:
    if len(text) > 17 or abs(number := int(text)) > MAX_INTEGER:
        raise InvalidJson("an integer is beyond ±(2^53 - 1), which JavaScript cannot hold: send it as a text")
    return number


def _no_constant(_name: str) -> float:
    raise InvalidJson("NaN and Infinity are not JSON")


def _check_depth(value: Any) -> None:
    level, depth = [value], 0
    while level:
        depth += 1
        if depth > MAX_DEPTH + 1:
            raise InvalidJson("the text is nested too deeply")
        members = [item.values() if isinstance(item, dict) else item for item in level if isinstance(item, dict | list)]
        level = [item for inner in members for item in inner]


_decoder = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant)
_exact = json.JSONDecoder(object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_constant, parse_int=_safe)


def loads_exact(text: str | bytes) -> Any:
    """As `loads`, for what other clients will read: without integers that JavaScript cannot hold."""
    return loads(text, _exact)


def loads(text: str | bytes, decoder: json.JSONDecoder = _decoder) -> Any:
    """The value of a JSON text. Raises InvalidJson."""
    try:
        if isinstance(text, bytes):
            text = text.decode()
        value = decoder.decode(text)
        if "\\u" in text:  # half a surrogate pair can only come from an escape
            json.dumps(value, ensure_ascii=False).encode()
        if text.count("[") + text.count("{") > MAX_DEPTH:
            _check_depth(value)
    except InvalidJson:
        raise
    except UnicodeError:
        raise InvalidJson("the text is not valid Unicode") from None
    except RecursionError:
        raise InvalidJson("the text is nested too deeply") from None
    except ValueError:
        raise InvalidJson("the text is not JSON") from None
    return value
