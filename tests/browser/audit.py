"""What can be checked by machine about whether everybody can use the page: names for screen readers, contrast, sizes."""

from pathlib import Path

from tests.browser.visitor import Visitor

SCRIPT = Path(__file__).with_name("audit.js").read_text()
NAMED = frozenset(
    {"button", "textbox", "combobox", "link", "checkbox", "dialog", "region", "main", "img", "image", "toolbar"}
)


async def faults(visitor: Visitor) -> list[str]:
    """Everything that is wrong with what is on the screen now, a sentence each."""
    found: list[str] = await visitor.tab.run(SCRIPT)
    return [*found, *await _nameless(visitor)]


async def _nameless(visitor: Visitor) -> list[str]:
    """What a screen reader would say without a name; as Chromium itself computes roles and names."""
    session = await visitor.tab.context.new_cdp_session(visitor.page)
    tree = await session.send("Accessibility.getFullAXTree")
    await session.detach()
    roles = [
        (node["role"]["value"], node.get("name", {}).get("value", "").strip())
        for node in tree["nodes"]
        if not node["ignored"] and "role" in node
    ]
    assert any(role in NAMED for role, _ in roles), "the accessibility tree is empty"
    return [f"a {role} has no name" for role, name in roles if role in NAMED and not name]
