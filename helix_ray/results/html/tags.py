"""HTML from values. Whatever is not `Html` is outside text and is escaped: nothing else makes markup."""

from __future__ import annotations

from html import escape

VOID = frozenset({"meta", "br"})
"""Elements that have no end."""


class Html(str):
    """Markup that was made here."""

    __slots__ = ()


Child = Html | str | int | None


def tag(name: str, /, *children: Child, **attributes: str | float | None) -> Html:
    """One element. Attributes that are None are left out; ``class_`` is class, other underscores are hyphens."""
    written = "".join(
        f' {"class" if key == "class_" else key.replace("_", "-")}="{text(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    if name in VOID:
        return Html(f"<{name}{written}>")
    return Html(f"<{name}{written}>{join(*children)}</{name}>")


def join(*children: Child) -> Html:
    return Html("".join(child if isinstance(child, Html) else text(str(child)) for child in children if child is not None))


def text(outside: str) -> Html:
    """Escaped; control characters and what would turn the direction of writing are shown as their code."""
    return Html(escape("".join(char if char.isprintable() or char == "\n" else f"\\u{ord(char):04x}" for char in outside)))
