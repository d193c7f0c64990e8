"""The SQL in ``sql/``: the named statements of a file, and the migrations."""

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
    parts = _NAME.split((files(__package__) / "sql" / f"{file}.sql").read_text(encoding="utf-8"))
    return {name: body.strip().encode() for name, body in zip(parts[1::2], parts[2::2], strict=True)}


@cache
def migrations() -> tuple[Migration, ...]:
    """Every migration, oldest first."""
    found = ((_MIGRATION.fullmatch(path.name), path) for path in (files(__package__) / "sql" / "migrations").iterdir())
    return tuple(sorted(Migration(int(match[1]), match[2], path.read_bytes()) for match, path in found if match))
