"""REST: the OpenAPI document and the page made from it."""

import json
from typing import Any

import jsonschema

from tests.service.rest.world import World, assert_headers


def resolved(document: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that stands alone, with the document's components beside it."""
    return {**schema, "components": document["components"]}


async def test_the_openapi_document_is_whole(world: World) -> None:
    """Every reference leads somewhere; every operation is summed up, explained, tagged, and has its refusals."""
    document = (await world.anyone().get("/api/openapi.json")).json()
    schemas = document["components"]["schemas"]
    for name in json.dumps(document).split('"#/components/schemas/')[1:]:
        assert name.partition('"')[0] in schemas
    assert "HTTPValidationError" not in json.dumps(document)
    assert document["components"]["securitySchemes"]["agentLink"]["scheme"] == "bearer"
    tags = {tag["name"] for tag in document["tags"]}
    for path, methods in document["paths"].items():
        for operation in methods.values():
            assert operation["summary"]
            assert operation["description"]
            assert set(operation["tags"]) <= tags
            assert ("security" in operation) == path.startswith(("/api/rooms", "/api/guest"))
            problems = {status for status in operation["responses"] if status >= "400"}
            assert problems >= ({"401", "429", "500", "503"} if "security" in operation else set())
            for status in problems:
                assert operation["responses"][status]["content"].keys() == {"application/problem+json"}
            assert ("requestBody" not in operation) or problems >= {"400", "413", "422"}


async def test_the_documents_examples_are_true(world: World) -> None:
    """Every example, of bodies, answers and problems, fits its schema."""
    document = (await world.anyone().get("/api/openapi.json")).json()
    checked = 0
    for schema in document["components"]["schemas"].values():
        for example in schema.get("examples", []):
            jsonschema.validate(example, resolved(document, schema))
            checked += 1
    for methods in document["paths"].values():
        for operation in methods.values():
            for answer in operation["responses"].values():
                for content in answer.get("content", {}).values():
                    examples = [one["value"] for one in content.get("examples", {}).values()]
                    for example in [*examples, *([content["example"]] if "example" in content else [])]:
                        jsonschema.validate(example, resolved(document, content["schema"]))
                        checked += 1
    assert checked > 50


async def test_the_documentation_is_one_plain_page(world: World) -> None:
    """Every operation and schema is on it; it runs and fetches nothing, and its policy forbids that it ever does."""
    answer = await world.anyone().get("/api/docs")
    assert_headers(answer)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    for forbidden in ("<script", "<link", "http://", "https://", " style=", " src=", " onload="):
        assert forbidden not in answer.text
    document = (await world.anyone().get("/api/openapi.json")).json()
    for path, methods in document["paths"].items():
        assert path in answer.text
        for operation in methods.values():
            assert f'id="{operation["operationId"]}"' in answer.text
    for name in document["components"]["schemas"]:
        assert f'id="schema-{name}"' in answer.text
    assert "room_closed" in answer.text
    assert "1 to 250" in answer.text
