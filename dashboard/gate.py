"""Who may give commands: a browser in which the control code, or HELIX_CONTROL_TOKEN, was entered. Looking needs neither."""

from __future__ import annotations

import hmac
import secrets
import threading
from collections.abc import Callable

TRIES = 5
PER_SECONDS = 60.0
IDLE_S = 12 * 3600.0
USED = "the code is in use in another browser; give up control there, or start helix monitor again, or set HELIX_CONTROL_TOKEN"


class Gate:
    """One for the whole page process: it ends every session with it. Safe from several threads.

    A session is a random name in a cookie; it ends when it is closed, or after 12 hours without a command. Wrong codes are counted
    by the form that they came from, so that no one else can lock a viewer out.
    """

    def __init__(self, token: str | None, clock: Callable[[], float], *, once: bool = False) -> None:
        """``once``: the token opens one session at a time. ``clock`` gives monotonic seconds."""
        self._token = token.encode() if token else None
        self._clock = clock
        self._once = once
        self._key = secrets.token_bytes(16)
        self._used_at: dict[str, float] = {}  # by session
        self._failed: dict[str, list[float]] = {}  # by form
        self._lock = threading.Lock()

    @property
    def exists(self) -> bool:
        """False: no token is set, so the page takes no commands."""
        return self._token is not None

    @property
    def used_up(self) -> bool:
        """Another session holds the code: nobody else can unlock the controls."""
        with self._lock:
            return self._once and bool(self._sessions())

    def form(self) -> str:
        """What a form for the code is sent with: attempts without it are refused, and no one else can make it."""
        name = secrets.token_urlsafe(9)
        return f"{name}.{self._signature(name)}"

    def open(self, attempt: str, form: str) -> tuple[str | None, str]:
        """A new session when ``attempt`` is the token; else None and why not."""
        with self._lock:
            now = self._clock()
            if self._token is None:
                return None, "no control token is set"
            name, _, signature = form.partition(".")
            if not hmac.compare_digest(signature.encode(), self._signature(name).encode()):
                return None, "the page was served before this process started: open it again"
            if self._once and self._sessions():
                return None, USED
            self._failed = {key: times for key, times in self._failed.items() if times[-1] > now - PER_SECONDS}
            recent = [at for at in self._failed.get(name, ()) if at > now - PER_SECONDS]
            if len(recent) >= TRIES:
                return None, f"too many wrong codes; try again in {PER_SECONDS - (now - recent[0]):.0f} s"
            if not hmac.compare_digest(attempt.strip().encode(), self._token):
                self._failed[name] = [*recent, now]
                return None, "that is not the code"
            session = secrets.token_urlsafe(24)
            self._used_at[session] = now
            return session, ""

    def admits(self, session: str | None, *, use: bool = False) -> bool:
        """Whether this session may give commands. ``use``: it gives one now, and its idle time begins anew."""
        with self._lock:
            known = session is not None and session in self._sessions()
            if known and use:
                assert session is not None
                self._used_at[session] = self._clock()
            return known

    def close(self, session: str | None) -> None:
        """Safe twice."""
        with self._lock:
            self._used_at.pop(session or "", None)

    def _sessions(self) -> dict[str, float]:
        oldest = self._clock() - IDLE_S
        self._used_at = {session: at for session, at in self._used_at.items() if at > oldest}
        return self._used_at

    def _signature(self, name: str) -> str:
        return hmac.new(self._key, name.encode(), "sha256").hexdigest()[:32]
