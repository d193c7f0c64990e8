"""What an error of PostgreSQL means to us, by its SQLSTATE: ask again, give up with advice, or blame a row.

The server's and libpq's own words are never passed on when connecting: they may repeat the connection string, and with it
a password. https://www.postgresql.org/docs/current/errcodes-appendix.html
"""

from __future__ import annotations

from enum import Enum


class Failure(Enum):
    TRANSIENT = "transient"
    PERMANENT = "permanent"
    ROW = "row"


_ROW_CLASSES = ("22", "23", "54")  # data exception, integrity violation, program limit exceeded
_PERMANENT_CLASSES = ("28", "3D", "3F", "42", "0A")  # credentials, catalog, schema, syntax or access, not supported

_ADVICE = {
    "42501": "the role lacks a right; grant it SELECT, INSERT, UPDATE and DELETE on the tables of schema helix, or CREATE on the database",
    "42P01": "a table of schema helix is missing; run `helix doctor`, or start a run with a role that may create it",
    "3D000": "the database does not exist; create it, or correct the name in DATABASE_URL",
    "25006": "the server is read-only, perhaps a standby; name the primary in DATABASE_URL",
    "28P01": "the password was refused; correct DATABASE_URL",
    "28000": "the role does not exist or was refused (pg_hba.conf); correct its name in DATABASE_URL or ask the server's administrator",
    "53300": "the server has no free connection; raise max_connections or close other clients",
    "53100": "the server's disk is full; free space there",
    "08P01": "the server, or a pooler before it, broke the protocol; a pooler must be in session mode",
    "57P03": "the server is starting up or shutting down",
}

# libpq reports failures to connect without a SQLSTATE, only in words.
_CONNECT_WORDS = (
    ("password authentication failed", "28P01"),
    ("no password supplied", "28P01"),
    ("no pg_hba.conf entry", "28000"),
    ('FATAL:  role "', "28000"),
    ('FATAL:  database "', "3D000"),
    ("the database system is", "57P03"),
    ("too many clients", "53300"),
    ("remaining connection slots", "53300"),
)
_CONNECT_ADVICE = (
    ("Connection refused", "nothing listens there; start PostgreSQL, or correct host and port"),
    ("No such file or directory", "there is no socket there; start PostgreSQL, or correct host and port"),
    ("could not translate host name", "the host name is unknown; correct it"),
    ("failed to resolve host", "the host name is unknown; correct it"),
    ("Name or service not known", "the host name is unknown; correct it"),
    ("invalid port number", "the port is not a number from 1 to 65535"),
    ("invalid sslmode value", "sslmode is disable, allow, prefer, require, verify-ca or verify-full"),
    ("timeout", "no answer in time; check host, port and firewall"),
    ("SSL", "the TLS handshake failed; check sslmode and the certificates"),
    ("certificate", "the TLS handshake failed; check sslmode and the certificates"),
)

_OF_OTHER_TOOLS = {
    **dict.fromkeys(("schema", "currentSchema", "search_path"), "remove it: the tables lie in schema helix"),
    **dict.fromkeys(("pgbouncer", "connection_limit", "pool_timeout", "sslaccept", "prepareThreshold", "charset"), "remove it"),
    "ssl": "write sslmode=require",
}
"""Parts of Prisma's, JDBC's and SQLAlchemy's addresses. No other name is shown: it may be the rest of a password with a ? in it."""


def classify(sqlstate: str | None) -> Failure:
    """What to do about an error; without a SQLSTATE the connection is gone."""
    if sqlstate is None:
        return Failure.TRANSIENT
    if sqlstate[:2] in _ROW_CLASSES and sqlstate != "23503":  # a missing parent is not the row's fault
        return Failure.ROW
    if sqlstate[:2] in _PERMANENT_CLASSES or sqlstate == "23503":
        return Failure.PERMANENT
    return Failure.TRANSIENT


def advice(sqlstate: str | None) -> str:
    return _ADVICE.get(sqlstate or "", f"SQLSTATE {sqlstate}" if sqlstate else "the connection was lost")


def address_advice(words: str) -> str:
    """Why a text is no address, from what libpq's parser says, with none of its values."""
    name = next((name for name in _OF_OTHER_TOOLS if f'"{name}"' in words), None)
    if name is not None:
        return f"its part '{name}' is another tool's; {_OF_OTHER_TOOLS[name]}"
    if "percent-encoded" in words:
        return "a % in it is not followed by two hexadecimal digits; write % as %25"
    return "it is no address of PostgreSQL; write postgresql://user:password@host:port/database, with : / ? # @ and % percent-encoded"


def connect_advice(sqlstate: str | None, words: str) -> str:
    """Why a connection could not be made, in our words only."""
    if sqlstate in _ADVICE:
        return _ADVICE[sqlstate]
    for needle, state in _CONNECT_WORDS:
        if needle in words:
            return _ADVICE[state]
    return next((text for needle, text in _CONNECT_ADVICE if needle in words), "the connection failed; try the same URL with psql")
