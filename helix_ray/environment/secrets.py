"""The secrets of a run: from the process's environment, from ``.env``, or from a file that others may not read.

A provider's key is in a variable whose name ends in ``_API_KEY``, or in the file that ``…_API_KEY_FILE`` names. ``DATABASE_URL_FILE``
names a file in the same way.

The process that starts a run reads them once and passes them on as arguments. `withdraw_from_environment` then removes
them from ``os.environ``, so that no child process and no Ray worker inherits them. A `Secret` shows its value only by
`Secret.reveal`: not in a log line, a traceback or a configuration dump.
"""

from __future__ import annotations

import hmac
import os
import re
import stat
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path

from dotenv import dotenv_values

from helix_ray.errors import MissingSecretError

GROQ_API_KEY = "GROQ_API_KEY"
DATABASE_URL = "DATABASE_URL"
HELIX_CONTROL_TOKEN = "HELIX_CONTROL_TOKEN"  # noqa: S105 (the name of a variable, not its value)
NAMES = (GROQ_API_KEY, DATABASE_URL, HELIX_CONTROL_TOKEN)
KEY_FILE = "GROQ_API_KEY_FILE"
KEY_SUFFIX = "_API_KEY"
Sources = tuple[tuple[dict[str, str], str], ...]  # variables, and where they are

MAX_FILE_BYTES = 4096
MOUNTED_MODES = (0o400, 0o440, 0o444)
"""Of a secret that a container or a cluster mounts: nothing may write it, and whom it may be read by follows from owner and group."""
LEAST_KEY_CHARS = 8
"""What is shorter could not be masked: it is found in ordinary words."""
SHORTEST_HIDDEN = 4
"""Characters: a shorter secret would hide parts of common words."""

_PLACEHOLDER = re.compile(r"your-[a-z0-9-]+-here")  # as .env.example writes what is still to be filled in
_PASSWORD = re.compile(r"(?<=://)([^\s/@:]*):[^\s/@]+@|(\bpassword=)(?:'[^']*'|\S+)")  # in an address of a database
_OTHER_SCHEMES = re.compile(r"^(jdbc:postgresql|(postgres(ql)?|pgsql|psql|postgis)(\+\w+)?)://")  # Java's, SQLAlchemy's, Django's
_known: set[str] = set()  # the values of every Secret and of every provider's key of this process


class Secret:
    """Text that is not shown by accident. It pickles, so that it can be an argument to an actor.

    Not pydantic's SecretStr: that compares in a time that depends on the text, and shows an empty value.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= SHORTEST_HIDDEN:
            _known.add(value)

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(hidden)"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value.encode(), other._value.encode())

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __reduce__(self) -> tuple[type[Secret], tuple[str]]:
        return Secret, (self._value,)


@dataclass(frozen=True, slots=True)
class Secrets:
    """The secrets that were found. None: missing, empty, or a placeholder of ``.env.example``."""

    groq_api_key: Secret | None = None
    database_url: Secret | None = None
    control_token: Secret | None = None
    keys: Sources = field(default=(), repr=False, compare=False)  # the variables of every provider's key, unchecked

    def api_key(self, name: str) -> Secret | None:
        """A provider's, of this variable name. MissingSecretError: it cannot be a key."""
        return self.groq_api_key if name == GROQ_API_KEY else _find(name, self.keys)

    def require(self, name: str, reason: str) -> Secret:
        """The secret of this variable name. MissingSecretError names ``reason`` (what needs it) and how to set it."""
        found = {GROQ_API_KEY: self.groq_api_key, DATABASE_URL: self.database_url, HELIX_CONTROL_TOKEN: self.control_token}[name]
        if found is None:
            also = "" if name == HELIX_CONTROL_TOKEN else f", or name a file of mode 0600 in {name}_FILE"
            raise MissingSecretError(f"{name} is missing: {reason}. Set it in the environment or in .env (see .env.example){also}")
        return found


def hide_known(text: str) -> str:
    """``text`` without the value of any `Secret` and key that this process was given, and without a password in an address."""
    for value in sorted(_known, key=len, reverse=True):
        text = text.replace(value, "[hidden]")
    return _PASSWORD.sub(lambda found: f"{found[2]}[hidden]" if found[2] else f"{found[1]}:[hidden]@", text)


def load_secrets(env: Mapping[str, str], dotenv_path: Path | None) -> Secrets:
    """The secrets in ``env``, else in the file ``dotenv_path`` (which need not exist; None: look at no file).

    MissingSecretError: a value that cannot be a secret, an unreadable ``.env``, a secret's file that others may read, or a secret given
    both by value and by file.
    """
    sources = ((dict(env), "the environment"), (_dotenv(dotenv_path), str(dotenv_path)))
    keys = tuple(
        ({name: value for name, value in values.items() if name.removesuffix("_FILE").endswith(KEY_SUFFIX)}, where)
        for values, where in sources
    )
    found = {value for values, _ in keys for name, value in values.items() if name.endswith(KEY_SUFFIX) and _is_set(value)}
    _known.update(value for value in found if len(value) >= LEAST_KEY_CHARS)
    key, database, token = (_find(name, sources) for name in NAMES)
    return Secrets(key, database and Secret(_OTHER_SCHEMES.sub("postgresql://", database.reveal())), token, keys)


def withdraw_from_environment(environ: MutableMapping[str, str] = os.environ) -> None:
    """Remove the secrets, every provider's key too, from this process's environment. Processes started from now on do not inherit them."""
    for name in [name for name in environ if name in NAMES or name.endswith(KEY_SUFFIX)]:
        del environ[name]


def _dotenv(path: Path | None) -> dict[str, str]:
    if path is None or not path.exists():
        return {}
    try:
        values = dotenv_values(path, interpolate=False)  # a "$" in a password is a "$"
    except (OSError, UnicodeDecodeError) as error:
        raise MissingSecretError(f"{path} cannot be read: {error}. Mend or remove it") from None
    return {name: value for name, value in values.items() if value is not None}


def _find(name: str, sources: Sources) -> Secret | None:
    for values, where in sources:
        value = values.get(name, "").strip()
        path = values.get(f"{name}_FILE", "").strip() if name != HELIX_CONTROL_TOKEN else ""
        if _is_set(value) and path:
            raise MissingSecretError(f"{name} and {name}_FILE are both set in {where}; remove one of them")
        if _is_set(value):
            return _checked(value, name, where)
        if path:
            return _from_file(Path(path), name)
    return None


def _is_set(value: str) -> bool:
    return value != "" and _PLACEHOLDER.fullmatch(value) is None


def _checked(value: str, name: str, where: str) -> Secret:
    if not value.isprintable() or " " in value or value[0] in "\"'":
        raise MissingSecretError(
            f"{name} in {where} holds a blank, a quote in front or a control character; write the bare value on one line"
        )
    if name.endswith(KEY_SUFFIX) and not value.isascii():
        raise MissingSecretError(f"{name} in {where} holds a character that is not ASCII; copy the key again from the provider's console")
    if name.endswith(KEY_SUFFIX) and len(value) < LEAST_KEY_CHARS:
        raise MissingSecretError(
            f"{name} in {where} has {len(value)} characters, too few for a key, which has {LEAST_KEY_CHARS} or more; copy it again from "
            "the provider's console. For a server that needs no key, write any text of that length, such as no-key-needed"
        )
    return Secret(value)


def _from_file(path: Path, name: str) -> Secret:
    """The secret in a file. The rights are those of the open file, so that it cannot be swapped."""
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise MissingSecretError(f"{name}_FILE: {path} is not a regular file")
            mode = stat.S_IMODE(status.st_mode)
            ours = status.st_uid == os.geteuid() or status.st_gid in {os.getegid(), *os.getgroups()}
            if not ours if mode in MOUNTED_MODES else mode & 0o077:
                raise MissingSecretError(
                    f"{name}_FILE: others may read {path} (mode {mode:04o}, owner {status.st_uid}, group {status.st_gid}); allowed are "
                    f"mode 0600, and 0400, 0440 or 0444 where the owner or the group is this process's; run: chmod 600 {path}"
                )
            text = file.read(MAX_FILE_BYTES + 1).decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise MissingSecretError(f"{name}_FILE: {path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if not _is_set(text) or len(text) >= MAX_FILE_BYTES:
        raise MissingSecretError(f"{name}_FILE: {path} must hold the secret and nothing else")
    return _checked(text, name, str(path))
