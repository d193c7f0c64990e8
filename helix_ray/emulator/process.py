"""The emulator as a child process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import IO

from helix_ray.config.emulator import EmulatorConfig
from helix_ray.environment.variables import for_python
from helix_ray.errors import StartError

_HOST = "127.0.0.1"


class EmulatorProcess:
    """A running emulator on loopback. It ends with `stop`, or with the process that started it, however that one ends: the child
    serves until the write end of its standard input is closed. It is in a session of its own, so Ctrl-C in the terminal
    reaches the run, which drains, and not the emulator.
    """

    def __init__(self, url: str, child: subprocess.Popen[bytes]) -> None:
        self.url = url  # without /openai/v1, which the SDK appends
        self.pid = child.pid
        self._child = child

    @classmethod
    def start(
        cls, config: EmulatorConfig, model: str, port: int = 0, timeout_s: float = 30.0, environment: Mapping[str, str] | None = None
    ) -> EmulatorProcess:
        """Return when the emulator serves. Raises StartError when it does not within ``timeout_s``; no child is left then.

        ``environment``: as `for_python` has it; None: asked for now, which must not meet a change of this process's own.
        """
        with tempfile.TemporaryFile() as stderr:  # not a pipe: unread, it would fill up and block the child
            child = subprocess.Popen(
                [sys.executable, "-P", "-m", "helix_ray.emulator"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=for_python() if environment is None else environment,
                start_new_session=True,
            )
            asked = {"config": config.model_dump(mode="json"), "model": model, "host": _HOST, "port": port}
            line = _exchange(child, json.dumps(asked).encode() + b"\n", timeout_s)
            if not line.endswith(b"\n"):
                with suppress(BrokenPipeError), child:  # waits for its end and closes its pipes, with what it did not read
                    child.kill()
                raise StartError(f"the emulator did not start within {timeout_s:g} s: {_tail(stderr)}")
        return cls(f"http://{_HOST}:{json.loads(line)['port']}", child)

    @property
    def running(self) -> bool:
        return self._child.poll() is None

    def stop(self, timeout_s: float = 5.0) -> None:
        """End the child and wait until it is gone. Idempotent."""
        with self._child as child:  # waits for its end and closes its pipes
            if child.stdin is not None:
                child.stdin.close()
            try:
                child.wait(timeout_s)
            except subprocess.TimeoutExpired:
                child.kill()

    def __enter__(self) -> EmulatorProcess:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _exchange(child: subprocess.Popen[bytes], asked: bytes, timeout_s: float) -> bytes:
    """Send the configuration and wait for the ready line; no whole line if the child ended, or was killed since it took too long."""
    assert child.stdin is not None
    assert child.stdout is not None
    too_long = threading.Timer(timeout_s, child.kill)
    too_long.start()
    try:
        child.stdin.write(asked)
        child.stdin.flush()
        return child.stdout.readline()
    except BrokenPipeError:
        return b""
    finally:
        too_long.cancel()


def _tail(stderr: IO[bytes]) -> str:
    stderr.seek(0)
    lines = [line for line in stderr.read().decode(errors="replace").splitlines() if line.strip()]
    return "; ".join(lines[-3:]) if lines else "it ended without a message"
