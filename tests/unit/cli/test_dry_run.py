"""``--dry-run`` as a user calls it. Unit tests can open no socket and start no Ray: neither does it."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prompts import Ask, get_prompt
from helix_ray.cli import app
from helix_ray.cli.compare import EXIT_WORSE, compare
from helix_ray.cli.dry_run import services_of, tariff_to_expect
from helix_ray.config import Config
from helix_ray.emulator.answers import Answerer, write_text
from helix_ray.emulator.request import ChatRequest, check
from helix_ray.errors import ConfigError
from helix_ray.forecast.estimate import estimate
from helix_ray.forecast.workload import sample_source
from helix_ray.providers.prices import tariff_of

ROOT = Path(__file__).parents[3]
SECRETS = ("GROQ_API_KEY", "DATABASE_URL")


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HELIX_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.chdir(tmp_path)


def invoke(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["run", *arguments, "--dry-run"])
    if result.exception is not None:
        raise result.exception
    return result.output


def reported(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    path = tmp_path / "forecast.json"
    assert f"Written to {path}" in invoke(*arguments, "--report", str(path))
    return dict(json.loads(path.read_text()))


@pytest.mark.parametrize("name", ["demo", "live", "groq_free", "groq_developer", "baseline"])
def test_every_shipped_configuration_has_a_forecast_without_a_key(name: str, tmp_path: Path) -> None:
    printed = invoke(str(ROOT / f"configs/{name}.yaml"))
    assert "nothing was started, sent or stored" in printed
    assert ("asks no API" if name == "baseline" else "◄ binds") in printed
    assert not (tmp_path / "home").exists()


def test_groqs_plans_stand_side_by_side_and_the_binding_limit_is_named() -> None:
    printed = invoke(str(ROOT / "configs/groq_developer.yaml"))
    assert "Groq, free plan: 8.0 days, bound by tokens a day (TPD)." in printed
    assert "Groq, developer plan: 6.3 min, bound by tokens a minute (TPM)." in printed
    assert "limits as Groq published them on 2026-11-23" in printed
    assert "unknown" in printed


def test_the_report_says_the_same_in_json(tmp_path: Path) -> None:
    report = reported(tmp_path, str(ROOT / "configs/groq_free.yaml"), "--set", "source.count=1000", "--set", "throttle.max_cost_usd=0.05")
    assert report["kind"] == "forecast"
    assert (report["records"]["planned"], report["requests"]["total"]) == (1000, 1000)
    free, developer = report["services"]
    assert (free["name"], free["binding"], developer["binding"]) == ("Groq, free plan", "TPD", "TPM")
    assert {row["name"] for row in free["limits"]} >= {"RPM", "RPD", "TPM", "TPD", "ITPM", "OTPM", "requests in flight"}
    (stop,) = free["stops"]
    assert stop["by"] == "throttle.max_cost_usd"
    assert 0.049 < stop["cost_usd"] <= 0.05 < report["cost_usd"]["expected"] < report["cost_usd"]["worst"]
    assert report["prices"] == {
        "source": "prices.json of 2026-11-23",
        "usd_per_million_tokens": {"prompt": 0.075, "cached": 0.0375, "completion": 0.3},
    }
    assert report["configuration"]["source"]["count"] == 1000


def test_flex_is_ten_times_and_not_for_the_free_plan(tmp_path: Path) -> None:
    config = str(ROOT / "configs/groq_developer.yaml")
    changed = ("--set", "analyzer.service_tier=flex", "--set", "throttle.tokens_per_minute=null", "--set", "throttle.safety_factor=1.0")
    (developer,) = reported(tmp_path, config, *changed)["services"]
    assert next(row["limit"] for row in developer["limits"] if row["name"] == "TPM") == 2_500_000


def test_limits_that_nobody_knows_are_not_made_up(tmp_path: Path) -> None:
    settings = ("--set", "analyzer.backend=groq", "--set", "analyzer.base_url=http://127.0.0.1:9")
    (service,) = reported(tmp_path, *settings, "--set", "throttle.requests_per_minute=100")["services"]
    limits = {row["name"]: row["limit"] for row in service["limits"]}
    assert (limits["RPM"], limits["TPM"], service["binding"]) == (100, None, "RPM")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["analyzer.model=nobody/knows"], "no price is known for 'nobody/knows'"),
        (["analyzer.max_completion_tokens=20000", "analyzer.model=qwen/qwen3.8-27b"], "gives at most 16384 completion tokens"),
        (["source.cuont=3"], "did you mean 'count'"),
        (["emulator.tier=free", "analyzer.service_tier=flex"], "has no flex"),
    ],
)
def test_a_bad_configuration_is_exit_2_here_too(settings: list[str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        invoke(*(part for setting in settings for part in ("--set", setting)))
    assert caught.value.exit_code == 2


def test_too_small_a_room_for_answers_is_reported() -> None:
    printed = invoke("--set", "analyzer.reasoning_effort=medium", "--set", "analyzer.max_completion_tokens=100")
    assert "100% of the answers are expected not to fit" in printed
    assert "repeated with more room" in printed


@pytest.mark.parametrize(
    "analyzer",
    [
        {},
        {"prompt": "raw", "reads_per_request": 8, "reasoning_effort": "medium"},
        {"prompt": "paired_indexed", "examples": 2, "work": True},
        {"prompt": "spaced", "reasoning_effort": "high", "model": "openai/gpt-oss-120b"},
    ],
)
def test_tokens_and_cost_are_within_a_tenth_of_what_the_emulator_counts(analyzer: dict[str, Any]) -> None:
    reads = 160
    config = Config.model_validate({"source": {"count": reads}, "analyzer": {"max_completion_tokens": 4096, **analyzer}})
    work, settings = sample_source(config), config.analyzer
    template = get_prompt(settings.prompt, examples=settings.examples, reads_per_request=settings.reads_per_request, work=settings.work)
    builder = PayloadBuilder(
        template,
        model=settings.model,
        seed=1,
        max_completion_tokens=4096,
        reasoning_effort=settings.reasoning_effort,
        service_tier="on_demand",
    )
    answerer, prompt, completion = Answerer(config.emulator), 0, 0
    for start in range(0, reads, settings.reads_per_request):
        pack = work.reads[start : start + settings.reads_per_request]
        payload, _ = builder.build([Ask(f"{start + each:016x}", read.ref_seq, read.seq) for each, read in enumerate(pack)])
        request = check(json.dumps(payload).encode(), "developer")
        assert isinstance(request, ChatRequest)
        prepared = answerer.prepare(request)
        prompt += request.prompt_tokens
        completion += write_text(request, prepared.sent, prepared.answers).completion_tokens
    forecast = estimate(config, work, tariff_to_expect(config), services_of(config), cores=2)
    assert forecast.demand.prompt == pytest.approx(prompt, rel=0.04)
    assert forecast.demand.completion == pytest.approx(completion, rel=0.08)
    price = tariff_of(settings.model).price
    assert forecast.cost_usd == pytest.approx(float(prompt * price.prompt + completion * price.completion), rel=0.05)


def test_a_file_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("r\tACGGTTAGCATCCGATAACTGGCATTACGA\tACGGTTAGCATCCGATAACTGGCATTACGA\n" * 321)
    config = tmp_path / "pairs.yaml"
    config.write_text(f"source: {{kind: pairs, path: {path}, count: null}}")
    report = reported(tmp_path, str(config))
    assert report["records"] == {"total": 321, "counted_to_the_end": True, "planned": 321, "looked_at": 321}


def test_a_dry_run_says_which_difference_it_can_tell_and_what_a_wished_one_takes(tmp_path: Path) -> None:
    report = reported(tmp_path, "--set", "source.count=7847", "--difference", "0.01", "--pairs", "1")
    found = report["difference"]
    assert (found["reads"], found["discordant"]) == (7847, 0.1)
    assert found["told_by_this_run"] == pytest.approx(0.01, abs=1e-5)
    assert found["cost_usd"] == pytest.approx(7.847 * report["cost_usd"]["per_1000_reads"], rel=1e-4)
    assert "it can tell 2 percentage points of exact reads apart" in invoke("--set", "source.count=1960")
    assert "To tell 2 points apart takes 3,923 reads" in invoke("--difference", "0.02", "--discordant", "0.2")
    for wrong in (("--difference", "0.2"), ("--discordant", "0.2"), ("--difference", "0.01", "--power", "1")):
        with pytest.raises(ConfigError, match=r"--difference"):
            invoke(*wrong)


def test_the_exit_codes_of_a_comparison_are_documented() -> None:
    page = (ROOT / "docs/compare.md").read_text(encoding="utf-8")
    assert f"| {EXIT_WORSE} | with `--fail-if worse`" in page
    assert f"{EXIT_WORSE} with --fail-if worse" in (compare.__doc__ or "")
    assert f"| {ConfigError.exit_code} | no such run" in page
