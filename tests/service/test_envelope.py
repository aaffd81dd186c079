"""What is no message, and what a connection that sends it is told. No broker is involved, so one kind is enough."""

import json
from typing import Any

from tests.support.broker_kind import in_memory
from tests.support.client import Client
from tests.support.sdp import offer
from tests.support.system import System, token

pytestmark = in_memory

# Cases of github.com/nst/JSONTestSuite that a parser must refuse, by their names there.
NOT_JSON = {
    "n_array_1_true_without_comma": "[1 true]",
    "n_array_colon_instead_of_comma": '["": 1]',
    "n_array_comma_after_close": '[""],',
    "n_array_double_comma": "[1,,2]",
    "n_array_extra_comma": '["",]',
    "n_array_incomplete": '["x"',
    "n_array_just_minus": "[-]",
    "n_array_star_inside": "[*]",
    "n_incomplete_false": "[fals]",
    "n_multidigit_number_then_00": "123\x00",
    "n_number_++": "[++1234]",
    "n_number_-01": "[-01]",
    "n_number_-2.": "[-2.]",
    "n_number_.-1": "[.-1]",
    "n_number_.2e-3": "[.2e-3]",
    "n_number_0.3e+": "[0.3e+]",
    "n_number_0e": "[0e]",
    "n_number_1_000": "[1 000.0]",
    "n_number_FULLWIDTH_DIGIT_ONE": "[\uff11]",
    "n_number_hex_1_digit": "[0x1]",
    "n_number_infinity": "[Infinity]",
    "n_number_minus_infinity": "[-Infinity]",
    "n_number_NaN": "[NaN]",
    "n_number_minus_NaN": "[-NaN]",
    "n_number_neg_int_starting_with_zero": "[-012]",
    "n_number_with_leading_zero": "[012]",
    "n_object_bad_value": '["x", truth]',
    "n_object_comma_instead_of_colon": '{"x", null}',
    "n_object_emoji": "{\U0001f1e8\U0001f1ed}",
    "n_object_key_with_single_quotes": "{key: 'value'}",
    "n_object_missing_value": '{"a":',
    "n_object_non_string_key": "{1:1}",
    "n_object_repeated_null_null": "{null:null,null:null}",
    "n_object_several_trailing_commas": '{"id":0,,,,,}',
    "n_object_single_quote": "{'a':0}",
    "n_object_trailing_comma": '{"id":0,}',
    "n_object_trailing_comment": '{"a":"b"}/**/',
    "n_object_unquoted_key": '{a: "b"}',
    "n_object_with_trailing_garbage": '{"a":"b"}#',
    "n_single_space": " ",
    "n_string_1_surrogate_then_escape_u": '["\\uD800\\u"]',
    "n_string_accentuated_char_no_quotes": "[\u00e9]",
    "n_string_backslash_00": '["\\\x00"]',
    "n_string_escape_x": '["\\x00"]',
    "n_string_incomplete_escape": '["\\"]',
    "n_string_invalid_unicode_escape": '["\\uqqqq"]',
    "n_string_single_quote": "['single quote']",
    "n_string_unescaped_ctrl_char": '["a\x00a"]',
    "n_string_unescaped_newline": '["new\nline"]',
    "n_string_unescaped_tab": '["\t"]',
    "n_structure_100000_opening_arrays": "[" * 60_000,
    "n_structure_angle_bracket_null": "[<null>]",
    "n_structure_ascii-unicode-identifier": "a\u00e5",
    "n_structure_capitalized_True": "[True]",
    "n_structure_close_unopened_array": "1]",
    "n_structure_double_array": "[][]",
    "n_structure_lone-open-bracket": "[",
    "n_structure_no_data": "",
    "n_structure_null-byte-outside-string": "[\x00]",
    "n_structure_number_with_trailing_garbage": "2@",
    "n_structure_object_with_trailing_garbage": '{"a": true} "x"',
    "n_structure_open_array_object": '[{"":' * 10_000,
    "n_structure_trailing_#": '{"a":"b"}#{}',
    "n_structure_U+2060_word_joined": "[\u2060]",
    "n_structure_UTF8_BOM_no_data": "\ufeff",
    "n_structure_whitespace_formfeed": "[\x0c]",
}


async def connected(system: System, **settings: Any) -> Client:
    """An authenticated client in a room."""
    await system.start(**settings)
    client = await system.agent("a")
    await client.join("voice-1")
    return client


async def refused(client: Client, text: str) -> dict[str, object]:
    """Send a frame as it is; the error that answers it."""
    await client.socket.send(text)
    return await client.hear("error")


async def test_what_is_not_json(system: System) -> None:
    """Each case is bad_message with one sentence that repeats nothing, and the connection is as good as before."""
    client = await connected(system)
    for name, text in NOT_JSON.items():
        error = await refused(client, text)
        assert (error["code"], error["retryable"], error["details"]) == ("bad_message", False, {}), name
        assert "id" not in error
        assert len(str(error["message"])) < 80
        assert (await client.ask("ping"))["type"] == "pong"
    assert (await client.ask("get_room"))["type"] == "room_users"


TOO_LARGE_FOR_JAVASCRIPT = "an integer is beyond ±(2^53 - 1), which JavaScript cannot hold: send it as a text"
TOO_KIND = [
    ('{"type":"ping","type":"ping"}', "an object has the same key twice"),
    ('{"type":"ping","id":"1","\\u0069d":"2"}', "an object has the same key twice"),
    ('{"type":"join_room","roomId":"r","metadata":{"a":{"b":1,"b":1}}}', "an object has the same key twice"),
    ('{"type":"join_room","roomId":"r","metadata":{"n":1e400}}', "a number is out of range"),
    ('{"type":"join_room","roomId":"r","metadata":{"n":-1e400}}', "a number is out of range"),
    ('{"type":"join_room","roomId":"r","metadata":{"n":NaN}}', "NaN and Infinity are not JSON"),
    ('{"type":"ping","id":"\\ud83d"}', "the text is not valid Unicode"),
    ('{"type":"ping","\\udc00":1}', "the text is not valid Unicode"),
    ('{"type":"join_room","roomId":"r","metadata":{"a":"\\udc00\\ud83d"}}', "the text is not valid Unicode"),
    ('{"type":"ping","x":' + "[" * 10_000 + "]" * 10_000 + "}", "the text is nested too deeply"),
    ('{"type":"ping","x":' + '{"a":' * 5_000 + "1" + "}" * 5_001, "the text is nested too deeply"),
    ('{"type":"ping","x":' + "[" * 65 + "]" * 65 + "}", "the text is nested too deeply"),
    ('{"type":"ping","x":' + "9" * 5000 + "}", TOO_LARGE_FOR_JAVASCRIPT),
    ('{"type":"join_room","roomId":"r","metadata":{"n":9007199254740993}}', TOO_LARGE_FOR_JAVASCRIPT),
    ("[]", "a message is a JSON object"),
    ("null", "a message is a JSON object"),
    ('"ping"', "a message is a JSON object"),
    ("1e5", "a message is a JSON object"),
]


async def test_what_python_would_let_pass(system: System) -> None:
    """Duplicate keys, numbers beyond a double, half surrogate pairs, deep nesting, and what is no object."""
    client = await connected(system)
    for text, sentence in TOO_KIND:
        error = await refused(client, text)
        assert (error["code"], error["message"]) == ("bad_message", sentence), text[:80]
        assert (await client.ask("ping"))["type"] == "pong"


async def test_what_is_no_message(system: System) -> None:
    """Odd types, unknown fields, fields of the wrong type: bad_message under the request's id, if it has one."""
    client = await connected(system)
    wrong: list[dict[str, object]] = [
        {},
        {"type": {"a": 1}},
        {"type": ["ping"]},
        {"type": None},
        {"type": 1},
        {"type": "x" * 10_240},
        {"type": "Ping"},
        {"type": "ping\x00"},
        {"type": "auth_ok"},
        {"type": "ping", "unknown": 1},
        {"type": "ping", "": None},
        {"type": "ping", "__proto__": {}},
        {"type": "join_room", "roomId": "r", "room_id": "r"},
        {"type": "offer", "sdp": offer(), "from": client.participants["voice-1"]},
        {"type": "offer", "sdp": None},
        {"type": "offer"},
        {"type": "candidate", "candidate": "candidate:1"},
        {"type": "candidate", "candidate": {"candidate": None}},
        {"type": "update_self", "metadata": "x"},
        {"type": "authenticate", "token": 1},
        {"type": "authenticate", "token": "x", "resume": {"token": "x"}},
    ]
    for n, message in enumerate(wrong):
        answer = await client.ask("", id=f"n{n}") if "type" not in message else None
        if answer is None:
            await client.socket.send(json.dumps({"id": f"n{n}", **message}))
            answer = await client.hear("error", id=f"n{n}")
        assert answer["code"] == "bad_message", message
        assert answer["details"] == {}
        assert len(answer["message"]) < 120, "it repeats nothing of ours"
        await client.ask("ping")
    error = await refused(client, json.dumps({"type": {"a": "x" * 10_000}, "to": "p_1", "roomId": ["r"]}))
    assert error["details"] == {"to": "p_1"}
    for odd in ("", "x" * 65, 7, None, ["1"]):
        error = await refused(client, json.dumps({"type": "leave_room", "id": odd})) if odd is not None else error
        assert error["code"] == "bad_message"
        assert "id" not in error
    assert (await client.ask("get_room"))["type"] == "room_users", "it is still in there"


async def test_before_authenticating(system: System) -> None:
    """Anything but authenticate is not_authenticated, under its id; then one can still authenticate."""
    await system.start()
    client = await system.client()
    for type_, fields in (
        ("ping", {}),
        ("join_room", {"roomId": "r"}),
        ("get_room", {}),
        ("leave_room", {}),
        ("update_self", {}),
        ("offer", {"sdp": offer()}),
        ("candidate", {"candidate": None}),
    ):
        assert (await client.ask(type_, **fields))["code"] == "not_authenticated"
    assert (await refused(client, "nonsense"))["code"] == "bad_message"
    await client.login(token("a"))
    await client.join("r")


async def test_thousands_before_auth_ok(system: System) -> None:
    """Who sends on before auth_ok is refused message by message, slowed down, and neither crashes nor floods anything."""
    await system.start(throttle_seconds=0.2, rate_limited_errors=10_000)
    client = await system.client()
    other = await system.agent("other")
    await client.say("authenticate", id="auth", token=token("a"))
    for n in range(3000):
        await client.say("join_room", roomId="r", id=f"j{n}")
        if n % 500 == 0:
            assert (await other.ask("ping"))["type"] == "pong", "the others are served meanwhile"
    await client.hear("auth_ok", within=20)
    await client.hear("error", id="j0")
    codes = {m["code"] for m in client.everything if m["type"] == "error"}
    assert codes <= {"not_authenticated", "rate_limited"}
    assert len(system.memory.rooms.messages) <= 2, "at most one joined, the first after auth_ok"


async def test_too_many_in_a_row(system: System) -> None:
    """Twenty bad messages in a row close with 4500; a good one in between starts the count anew."""
    client = await connected(system, message_burst=10_000)
    for _ in range(3):
        for _ in range(19):
            assert (await refused(client, "nonsense"))["code"] == "bad_message"
        await client.ask("get_room")
    for _ in range(20):
        await client.socket.send('{"type":"ping","unknown":true}')
    assert await client.closed() == 4500
    assert client.everything[-1]["code"] == "bad_message", "the last frame says why"


async def test_refusals_are_no_bad_messages(system: System) -> None:
    """What is understood and refused does not count: a client that asks for what is not there is no bad client."""
    client = await connected(system, message_burst=10_000)
    for _ in range(40):
        assert (await client.ask("leave_room", roomId="unknown"))["code"] == "not_in_room"
