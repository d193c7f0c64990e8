"""Output that cannot be written costs nothing but the output."""

import errno
import io
import logging
import subprocess
import sys

import pytest
from rich.console import Console

from helix_ray.cli.output import UnfailingStream, unfailing_output


class Broken(io.StringIO):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error: Exception | None = error

    def write(self, text: str) -> int:
        if self.error is not None:
            raise self.error
        return super().write(text)

    flush = None  # type: ignore[assignment]


FAILURES = [OSError(errno.ENOSPC, "full"), OSError(errno.EIO, "gone"), BrokenPipeError(errno.EPIPE, "pipe"), ValueError("closed file")]


@pytest.mark.parametrize("error", FAILURES, ids=repr)
def test_what_cannot_be_written_is_dropped_and_said_once(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    broken = Broken(error)
    broken.flush = lambda: (_ for _ in ()).throw(error)  # type: ignore[method-assign]
    console = Console(file=UnfailingStream(broken))  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        console.print("one")
        console.print("two")
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    broken.error, broken.flush = None, lambda: None  # type: ignore[method-assign]
    console.print("three")
    assert broken.getvalue() == "three\n"


def test_the_streams_of_the_process_come_back(capsys: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with unfailing_output():
        print("said")
        assert sys.stdout.isatty() is before[0].isatty()
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == "said\n"


@pytest.mark.parametrize("closed", [False, True])
def test_the_exit_code_stays_what_it_is(closed: bool) -> None:
    """Python itself ends with 120 when its last flush fails."""
    program = "import sys; from helix_ray.cli.output import unfailing_output\nwith unfailing_output(): print('x' * 100_000); sys.exit(3)"
    redirections = ">&-" if closed else "> /dev/full 2> /dev/full"
    ended = subprocess.run(["/bin/sh", "-c", f'exec "$0" -c "$1" {redirections}', sys.executable, program], check=False)
    assert ended.returncode == 3
