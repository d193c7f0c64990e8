"""The commands that look before anything is paid for."""

import socket
from pathlib import Path

from fix_run import helix
from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.process import EmulatorProcess

MODEL = "openai/gpt-oss-20b"


def test_the_demo_is_ready_to_run(passable_home: Path) -> None:
    result = helix(passable_home, "doctor", "--set", "ray.dashboard=false")
    assert result.returncode == 0, result.stdout + result.stderr
    for part in ("configuration", "key", "price", "model", "input", "database", "ray"):
        assert part in result.stdout
    assert "FAIL" not in result.stdout


def test_doctor_names_every_part_that_is_not_ready(passable_home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        wanted = ("sink.database=external", "analyzer.backend=groq", f"ray.dashboard_port={port}")
        result = helix(passable_home, "doctor", *(part for key in wanted for part in ("--set", key)))
    assert result.returncode == 2
    assert f"port {port} cannot be used" in result.stdout
    assert "DATABASE_URL is not set" in result.stdout
    assert "GROQ_API_KEY is not set" in result.stdout


def test_the_probe_finds_every_assumption_held_by_the_emulator(passable_home: Path) -> None:
    emulator = EmulatorProcess.start(EmulatorConfig(latency_scale=0), MODEL)
    try:
        result = helix(passable_home, "doctor", "--probe", "--yes", "--base-url", emulator.url, GROQ_API_KEY="gsk_a_key_of_the_emulator")
    finally:
        emulator.stop()
    assert result.returncode == 0, result.stdout + result.stderr
    assert "NO" not in result.stdout.replace("NOT", "")
    for assumption in ("structured output: json_schema", "tokens are counted", "limits in the headers", "it takes temperature"):
        assert assumption in result.stdout
    assert "1 completion, $0.0" in result.stdout


def test_the_probes_former_name_without_a_key_asks_nothing(passable_home: Path) -> None:
    result = helix(passable_home, "live-check", "--yes")
    assert result.returncode == 2
    assert "GROQ_API_KEY" in result.stderr
