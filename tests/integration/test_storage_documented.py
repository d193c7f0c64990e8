"""docs/output.md names every table, column, view and closed set of the schema."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg

DOCUMENT = Path(__file__).parents[2] / "docs" / "output.md"


def words() -> set[str]:
    """Of the document's code: between backticks, and in blocks."""
    blocks = DOCUMENT.read_text().split("```")
    spans = [*blocks[1::2], *(span for prose in blocks[::2] for span in re.findall(r"`([^`]+)`", prose))]
    return {word for span in spans for word in re.findall(r"[A-Za-z_0-9]+", span)}


def test_every_table_and_column_is_described(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        rows = connection.execute(
            "select table_name, column_name from information_schema.columns where table_schema = 'helix' order by 1, 2"
        ).fetchall()
    assert rows
    known = words()
    assert [row for row in rows if not {row[0], row[1]} <= known] == []


def test_every_value_of_a_closed_set_is_described(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        checks = connection.execute(
            "select pg_get_constraintdef(oid) from pg_constraint where contype = 'c' and connamespace = 'helix'::regnamespace"
        ).fetchall()
    values = {value for (text,) in checks for value in re.findall(r"'(\w+)'::text", text)}
    assert {"stored", "possibly_billed", "overlap", "FN"} <= values
    assert values - words() == set()
