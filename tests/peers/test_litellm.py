"""A whole run through a server that is not ours: LiteLLM's proxy, which counts and refuses by itself, before the emulator's answers."""

from __future__ import annotations

import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from fix_page import free_port
from fix_run import StartRun
from helix_ray.config.emulator import EmulatorConfig
from helix_ray.emulator.process import EmulatorProcess

pytestmark = [pytest.mark.peer, pytest.mark.timeout(400)]

LITELLM = Path(os.environ.get("HELIX_PEERS", ".venv/peers")) / "bin" / "litellm"
MODEL = "openai/gpt-oss-20b"
KEY = "sk-0123456789abcdef"
RPM = 60
READS = 100


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Its address and its access log. It admits ``RPM`` requests in each minute of the clock."""
    emulator = EmulatorProcess.start(EmulatorConfig(latency_scale=0.2), MODEL)
    config, log, port = tmp_path / "litellm.yaml", tmp_path / "litellm.log", free_port()
    behind = {"model": f"openai/{MODEL}", "api_base": f"{emulator.url}/openai/v1", "api_key": "any", "rpm": RPM, "max_retries": 0}
    settings = {
        "model_list": [{"model_name": MODEL, "litellm_params": behind}],
        "general_settings": {"master_key": KEY},
        "router_settings": {"optional_pre_call_checks": ["enforce_model_rate_limits"], "num_retries": 0},
    }
    config.write_text(yaml.safe_dump(settings))
    command = [str(LITELLM.absolute()), "--config", str(config), "--host", "127.0.0.1", "--port", str(port), "--telemetry", "False"]
    clean = {name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")}
    with log.open("wb") as out:
        server = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=clean, cwd=tmp_path, start_new_session=True
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(url, server, log)
        yield url, log
    finally:
        server.kill()
        server.wait(10)
        emulator.stop()


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 90
    while server.poll() is None and time.monotonic() < deadline:
        try:
            urllib.request.urlopen(f"{url}/health/liveliness", timeout=5).close()
        except OSError:
            try:
                server.wait(0.5)
            except subprocess.TimeoutExpired:
                continue
        else:
            return
    pytest.fail(f"the proxy does not serve:\n{log.read_text(errors='replace')}")


def test_from_configuration_to_report(proxy: tuple[str, Path], start_run: StartRun) -> None:
    url, access_log = proxy
    run = start_run(
        "analyzer.backend=groq",
        f"analyzer.model={MODEL}",
        "analyzer.workers=1",
        "provider.name=litellm",
        f"provider.base_url={url}",
        "provider.prices={prompt: 0, completion: 0}",
        f"source.count={READS}",
        "ray.dashboard=false",
        env={"LITELLM_API_KEY": KEY},
    )
    code, report = run.finish(300)
    assert code == 0, run.output
    assert (report["reads_stored"], report["lost"], report["duplicates"]) == (READS, 0, 0)
    assert (report["provider"], report["cost_usd"]) == ("litellm", 0)
    served = re.findall(r'"POST [^"]*/chat/completions HTTP/1.1" (\d+)', access_log.read_text(errors="replace"))
    answered, refused = served.count("200"), served.count("429")
    print(f"LiteLLM answered {answered} and refused {refused} requests; {report['duration_s']:.0f} s")
    assert answered == READS
    assert refused == report["http_429"] <= RPM // 3
    assert KEY not in run.output
