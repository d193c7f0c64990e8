"""SQL lives in .sql files; this reads them: named statements, and migrations in order."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
_MIGRATION = re.compile(r"(\d{4})_(\w+)\.sql")


class Migration(NamedTuple):
    version: int  # from 1, without gaps
    name: str
    sql: bytes


@cache
def statements(file: str) -> dict[str, bytes]:
    """The statements of ``sql/FILE.sql`` by name. Bytes, since psycopg takes no computed str for a query."""
    text = (files(__package__) / "sql" / f"{file}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)
    return {name: body.strip().encode() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


@cache
def migrations() -> tuple[Migration, ...]:
    """Every migration, oldest first."""
    found = []
    for path in (files(__package__) / "sql" / "migrations").iterdir():
        match = _MIGRATION.fullmatch(path.name)
        if match:
            found.append(Migration(int(match[1]), match[2], path.read_bytes()))
    return tuple(sorted(found))
