"""The child's life: it starts or says why not, keeps no secrets, and ends with its parent."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from typer import Typer
from typer.testing import CliRunner

import helix_ray
from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.process import EmulatorProcess
from helix_ray.errors import StartError

MODEL = "openai/gpt-oss-20b"
QUICK = EmulatorConfig(latency_scale=0.0)
SOURCE = str(Path(helix_ray.__file__).parent.parent)


def reachable(url: str) -> bool:
    host, port = url.removeprefix("http://").split(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0


def test_stop_is_synchronous_and_safe_twice():
    process = EmulatorProcess.start(QUICK, MODEL)
    assert process.running
    assert reachable(process.url)
    process.stop()
    assert not psutil.pid_exists(process.pid)
    assert not reachable(process.url)
    process.stop()
    assert not process.running


def test_child_has_its_own_session_and_no_secrets(monkeypatch: pytest.MonkeyPatch):
    for name in ("GROQ_API_KEY", "DATABASE_URL", "HELIX_CONTROL_TOKEN"):
        monkeypatch.setenv(name, "secret-value")
    with EmulatorProcess.start(QUICK, MODEL) as process:
        assert os.getsid(process.pid) == process.pid
        assert b"secret-value" not in Path(f"/proc/{process.pid}/environ").read_bytes()
        assert "secret-value" not in " ".join(psutil.Process(process.pid).cmdline())


def test_a_taken_port_is_a_clear_error_and_leaves_nothing_behind():
    before = {child.pid for child in psutil.Process().children()}
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(StartError, match=r"did not start .*Address already in use"):
        EmulatorProcess.start(QUICK, MODEL, port=taken.getsockname()[1])
    assert {child.pid for child in psutil.Process().children()} <= before


def test_too_slow_a_start_is_an_error():
    with pytest.raises(StartError, match="did not start within 0 s"):
        EmulatorProcess.start(QUICK, MODEL, timeout_s=0.0)


def test_child_ends_when_its_parent_is_killed():
    script = (
        "import signal\n"
        "from helix_ray.config.emulator import EmulatorConfig\n"
        "from helix_ray.emulator.process import EmulatorProcess\n"
        f"process = EmulatorProcess.start(EmulatorConfig(latency_scale=0.0), {MODEL!r})\n"
        "print(process.pid, process.url, flush=True)\n"
        "signal.pause()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": SOURCE}
    ) as parent:
        assert parent.stdout is not None
        pid, url = parent.stdout.readline().split()
        child = psutil.Process(int(pid))
        assert reachable(url)
        parent.send_signal(signal.SIGKILL)
    psutil.wait_procs([child], timeout=30)
    assert not child.is_running()
    assert not reachable(url)


def test_ctrl_c_in_the_terminal_does_not_reach_the_child():
    script = (
        "import os, signal, sys\n"
        "from helix_ray.config.emulator import EmulatorConfig\n"
        "from helix_ray.emulator.process import EmulatorProcess\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        f"process = EmulatorProcess.start(EmulatorConfig(latency_scale=0.0), {MODEL!r})\n"
        "os.killpg(os.getpgid(0), signal.SIGINT)\n"
        "assert process.running\n"
        "process.stop()\n"
        "print('stopped', flush=True)\n"
    )
    environment = {**os.environ, "PYTHONPATH": SOURCE}
    finished = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, start_new_session=True, check=False, timeout=60
    )
    assert (finished.stdout, finished.returncode) == ("stopped\n", 0), finished.stderr


@pytest.fixture
def command() -> Typer:
    from helix_ray.cli.emulator import emulator

    app = Typer()
    app.command()(emulator)
    return app


def test_help_teaches(command: Typer):
    shown = CliRunner().invoke(command, ["--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert shown.exit_code == 0
    for part in ("--tokens-per-minute", "--latency-scale", "GROQ_BASE_URL", "says nothing about any LLM", "/_ctl/ledger"):
        assert part in shown.output.replace("\n", " ")


def test_foreground_announces_itself_and_ends_on_ctrl_c():
    script = "import typer\nfrom helix_ray.cli.emulator import emulator\ntyper.run(emulator)\n"
    arguments = [sys.executable, "-c", script, "--port", "0", "--tier", "free", "--latency-scale", "0"]
    environment = {**os.environ, "PYTHONPATH": SOURCE, "PYTHONUNBUFFERED": "1"}

    def heed_ctrl_c() -> None:  # whoever runs the tests may ignore it, as background jobs of a shell do
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    with subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
        preexec_fn=heed_ctrl_c,  # noqa: PLW1509  (no threads here)
    ) as process:
        assert process.stdout is not None
        first = process.stdout.readline().split()
        assert first[0] == "base_url"
        assert reachable(first[1])
        assert "says nothing about any LLM" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == 130
    assert not reachable(first[1])
