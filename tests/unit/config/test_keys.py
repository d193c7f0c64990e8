"""Every key of the configuration, broken in three ways: each error names exactly that key and its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from helix_ray.config import Config
from helix_ray.config.loading import load_config
from helix_ray.errors import ConfigError

# Every key with a value of the right kind that is out of its range; None where every value of the kind is allowed.
OUT_OF_RANGE: dict[str, Any] = {
    "run.name": "a/b", "run.seed": -1, "run.max_duration_s": 0, "run.drain_timeout_s": 601,
    "source.kind": "bam", "source.count": 0, "source.rate_per_s": 0.0, "source.producers": 65, "source.batch_size": 1001,
    "source.on_error": "ignore", "source.allow_external": None, "source.path": "", "source.reference": "",
    "source.min_mapping_quality": 61, "source.max_read_length": 29, "source.iupac": "drop",
    "source.mutation.preset": "mouse", "source.mutation.read_length": 29, "source.mutation.gc_content": 1.0,
    "source.mutation.variants_per_read": [], "source.mutation.mutation_rate": 1.5, "source.mutation.type_weights": None,
    "source.mutation.indel_fraction": -0.1, "source.mutation.ins_del_ratio": 0, "source.mutation.indel_extend_prob": 1,
    "source.mutation.max_indel_length": 50, "source.mutation.titv_ratio": 0, "source.mutation.mnv_length": [2],
    "source.mutation.dup_length": [1, 2, 3], "source.mutation.inv_length": [], "source.mutation.min_gap": 0, "source.mutation.flank": 101,
    "source.mutation.base_error_rate": 1.01, "source.mutation.quality_model": "fixed:0", "source.mutation.quality_weights": [],
    "source.mutation.low_complexity_fraction": 2, "source.mutation.n_rate": -1, "source.mutation.strand_flip_prob": 1.1,
    "queue.capacity": 501, "queue.low_watermark": -1, "queue.lease_timeout_s": 0.5,
    "analyzer.backend": "openai", "analyzer.workers": 0, "analyzer.requests_in_flight": 1025, "analyzer.reads_per_request": 51,
    "analyzer.model": "two words", "analyzer.prompt": "best", "analyzer.examples": 4, "analyzer.work": None,
    "analyzer.reasoning_effort": "extreme",
    "analyzer.max_completion_tokens": 15, "analyzer.service_tier": "best", "analyzer.on_capacity_exceeded": "drop", "analyzer.base_url": "ftp://host",
    "analyzer.request_timeout_s": 0,
    "throttle.requests_per_minute": 0, "throttle.requests_per_day": 0, "throttle.tokens_per_minute": -5,
    "throttle.tokens_per_day": 0, "throttle.input_tokens_per_minute": 0, "throttle.output_tokens_per_minute": 0,
    "throttle.safety_factor": 1.1, "throttle.on_daily_limit": "wait", "throttle.adaptive_concurrency": None, "throttle.max_cost_usd": 0,
    "retry.max_attempts": 21, "retry.base_delay_s": 0, "retry.max_delay_s": -1, "retry.max_share": 0,
    "sink.database": "sqlite", "sink.batch_size": 0, "sink.flush_interval_s": 61, "sink.statement_timeout_s": 0,
    "sink.outage_timeout_s": 86_401,
    "emulator.tier": "gold", "emulator.requests_per_minute": 0, "emulator.requests_per_day": 0, "emulator.tokens_per_minute": 0,
    "emulator.tokens_per_day": 0, "emulator.input_tokens_per_minute": 0, "emulator.output_tokens_per_minute": 0,
    "emulator.seed": 2**63, "emulator.latency_scale": 101, "emulator.round_trip_s": 61, "emulator.refund": None,
    "emulator.charge_rejected": None, "emulator.spend_limit_usd": 0, "emulator.cache_hit_rate": 1.1, "emulator.flex_capacity": 0,
    "emulator.overload_capacity": 0, "emulator.hidden_capacity": 0, "emulator.neighbour.share": 11,
    "emulator.neighbour.request_tokens": 0, "emulator.outages": None,
    "emulator.error_rates.drop": 1.5, "emulator.error_rates.shift": -0.1, "emulator.error_rates.hallucinate": 2,
    "emulator.faults.prose": 1.5, "emulator.faults.fenced": -0.1, "emulator.faults.cut_json": 2, "emulator.faults.lower_case": 1.01,
    "emulator.faults.pos_text": -1, "emulator.faults.refusal": 7, "emulator.faults.empty": 1.2, "emulator.faults.shuffle_ids": -0.5,
    "emulator.faults.drop_id": 3, "emulator.faults.repeat_id": 1.1, "emulator.faults.invent_id": -2, "emulator.faults.wrong_id": 100,
    "emulator.faults.limit_rpm": 1.5, "emulator.faults.limit_rpd": -0.1, "emulator.faults.limit_tpm": 2,
    "emulator.faults.limit_tpd": 1.01, "emulator.faults.limit_itpm": -1, "emulator.faults.limit_otpm": 7,
    "emulator.faults.too_large": 1.5, "emulator.faults.capacity": -0.1, "emulator.faults.internal": 2,
    "emulator.faults.bad_gateway": 1.01, "emulator.faults.overloaded": -1, "emulator.faults.overloaded_wait": 7,
    "emulator.faults.request_timeout": 1.5, "emulator.faults.conflict": -0.1, "emulator.faults.cancelled": 2,
    "emulator.faults.json_validate_failed": 1.01, "emulator.faults.bad_parameter": -1, "emulator.faults.unprocessable": 7,
    "emulator.faults.dependency": 1.5, "emulator.faults.unauthorized": -0.1, "emulator.faults.forbidden": 2,
    "emulator.faults.forbidden_html": 1.01, "emulator.faults.model_gone": -1, "emulator.faults.decommissioned": 7,
    "emulator.faults.spend_limit": 1.5, "emulator.faults.truncated_json": -0.1, "emulator.faults.empty_body": 2,
    "emulator.faults.html_200": 1.01, "emulator.faults.no_choices": -1, "emulator.faults.wrong_types": 7,
    "emulator.faults.reset_before": 1.5, "emulator.faults.close_before": -0.1, "emulator.faults.reset_body": 2,
    "emulator.faults.close_body": 1.01, "emulator.faults.hang_before": -1, "emulator.faults.hang_body": 7,
    "emulator.faults.endless_body": 1.5, "emulator.faults.drip": -0.1, "emulator.faults.idle_close": 2,
    "emulator.faults.slow_accept": 1.01, "emulator.faults.hang_s": 3601, "emulator.faults.drip_s": -1, "emulator.script": None,
    "ray.address": None, "ray.dashboard": None, "ray.dashboard_port": 80, "ray.object_store_mb": 79,
}  # fmt: skip
FREE_FORM = {"source.mutation.type_weights"}  # mappings: they have no key of their own beside them


def leaves(model: type[Any], path: str = "") -> list[str]:
    found = []
    for name, field in model.model_fields.items():
        inner = field.annotation if hasattr(field.annotation, "model_fields") else None
        found += leaves(inner, f"{path}{name}.") if inner else [f"{path}{name}"]
    return found


def problems_of(key: str, value: Any, directory: Path) -> list[str]:
    tree: Any = value
    for part in reversed(key.split(".")):
        tree = {part: tree}
    path = directory / "bad.yaml"
    path.write_text("# first line\n" + yaml.safe_dump(tree))
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert caught.value.source == str(path)
    return caught.value.problems


def test_the_table_holds_every_key() -> None:
    assert list(OUT_OF_RANGE) == leaves(Config)


@pytest.mark.parametrize("key", OUT_OF_RANGE)
def test_unknown_key_beside_it(key: str, tmp_path: Path) -> None:
    (problem,) = problems_of(f"{key}x", 1, tmp_path)
    depth = key.count(".") + 1
    assert problem.startswith(f"line {depth + 1}: {key}x: unknown key; ")
    assert f"'{key.rpartition('.')[2]}'" in problem or "known keys here:" in problem


@pytest.mark.parametrize("key", OUT_OF_RANGE)
def test_wrong_type(key: str, tmp_path: Path) -> None:
    (problem,) = problems_of(key, "text" if key in FREE_FORM else {"a": 1}, tmp_path)
    assert problem.startswith(f"line {key.count('.') + 2}: {key}: ")
    assert "found" in problem


@pytest.mark.parametrize("key", [key for key, value in OUT_OF_RANGE.items() if value is not None])
def test_out_of_range(key: str, tmp_path: Path) -> None:
    (problem,) = problems_of(key, OUT_OF_RANGE[key], tmp_path)
    assert problem.startswith(f"line {key.count('.') + 2}: {key}: ")
    assert "should" in problem
    assert "found" in problem


@pytest.mark.parametrize(("key", "value"), [("prompt", "raw"), ("examples", 2), ("work", True), ("reads_per_request", 10)])
def test_what_is_asked_belongs_to_the_results(key: str, value: Any) -> None:
    before, after = (Config.model_validate({"analyzer": changed}).results_identity() for changed in ({}, {key: value}))
    assert {name for name in before if before[name] != after[name]} == {f"analyzer.{key}"}
