"""Bad configurations: each gives one clear error naming the file, the key and its line, what was found, what is allowed."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from helix_ray.config import Config
from helix_ray.config.loading import MAX_BYTES, load_config, parse_config
from helix_ray.config.mutation import MutationConfig
from helix_ray.environment.shipped import shipped_config
from helix_ray.errors import ConfigError

Load = Callable[..., Config]

FILE = "source: {kind: fastq, path: reads.fq, reference: ref.fa}"

# (the file, what the error must say after its name)
BAD_FILES = {
    "unknown section": ("soruce: {}", "line 1: soruce: unknown key; did you mean 'source'?"),
    "unknown key": ("run:\n  sed: 1", "line 2: run.sed: unknown key; did you mean 'seed'?"),
    "unknown key unlike any": ("run: {zzz: 1}", "run.zzz: unknown key; known keys here: name, id, seed"),
    "unknown nested key": ("source: {mutation: {gc: 0.5}}", "source.mutation.gc: unknown key"),
    "unknown mapping key": (
        "source: {mutation: {type_weights: {cnv: 1}}}",
        "source.mutation.type_weights.cnv: unknown key; should be 'snv'",
    ),
    "secret in the file": ("analyzer: {groq_api_key: gsk_1}", "analyzer.groq_api_key: unknown key"),
    "list at the top": ("[1, 2]", "expected sections such as 'run:' and 'source:', found a list"),
    "word at the top": ("hello", "expected sections such as 'run:' and 'source:', found text"),
    "section is a number": ("run: 5", "line 1: run: expected a section with keys name, id, seed"),
    "nested section is a list": ("emulator: {error_rates: [1]}", "emulator.error_rates: expected a section with keys drop, shift"),
    "mapping is text": (
        "source: {mutation: {type_weights: x}}",
        "source.mutation.type_weights: expected a section with keys snv, ins, del, mnv, dup, inv",
    ),
    "duplicate key": ("run:\n  seed: 1\n  seed: 2", "line 3: key 'run.seed' stands here a second time; keep one"),
    "duplicate section": ("run: {}\nrun: {}", "line 2: key 'run' stands here a second time"),
    "alias": ("run: &a {}\nsink: *a", "line 2: aliases (*a) are not allowed; write the value out"),
    "merge key": ("run:\n  <<: {seed: 1}", "line 2: merge keys (<<) are not allowed"),
    "tag on a section": ("run: !!omap {}", "line 1: tags (tag:yaml.org,2002:omap) are not allowed"),
    "tag on a value": ("run:\n  name: !!str 5", "line 2: tags (tag:yaml.org,2002:str) are not allowed"),
    "python tag": ("run: !!python/object/apply:os.system [ls]", "tags (tag:yaml.org,2002:python/object/apply:os.system) are not allowed"),
    "list as a key": ("? [a]\n: 1", "line 1: a key must be one plain word"),
    "broken YAML": ("run: {seed: 1", "line 1, column 14: not valid YAML: expected ',' or '}'"),
    "tab": ("run:\n\tseed: 1", "line 2, column 1: not valid YAML"),
    "two documents": ("run: {}\n---\nrun: {}", "line 2, column 1: not valid YAML"),
    "control character": ("run: {name: \x00}", "not valid YAML: unacceptable character #x0000"),
    "nested too deep": ("run: " + "[" * 30, "line 1: nested deeper than 20 levels"),
    "nested to exhaustion": ("[" * 100_000, "line 1: nested deeper than 20 levels"),
    "too large": ("#" * (MAX_BYTES + 1), f"larger than {MAX_BYTES} bytes"),
    "yes": ("source: {allow_external: yes}", "line 1: source.allow_external: 'yes' would be read as a yes or no; write true, false"),
    "on": ("run:\n  name: on", "line 2: run.name: 'on' would be read as a yes or no"),
    "octal": ("run: {seed: 010}", "line 1: run.seed: '010' would be read in another base than ten"),
    "hexadecimal": ("run: {seed: 0x10}", "run.seed: '0x10' would be read in another base than ten"),
    "sexagesimal": ("run: {max_duration_s: 10:30}", "run.max_duration_s: '10:30' would be read in another base than ten"),
    "date": ("run: {name: 2026-01-02}", "run.name: '2026-01-02' is read by YAML as timestamp; put quotes around it"),
    "endless number": ("run: {seed: " + "1" * 5000 + "}", "line 1: run.seed: a number of 5000 characters is too long"),
    "infinity": ("source: {rate_per_s: .inf}", "source.rate_per_s: input should be a finite number; found number inf"),
    "not a number": ("throttle: {max_cost_usd: .nan}", "throttle.max_cost_usd: input should be a finite number; found number nan"),
    "bool for a number": ("run: {seed: true}", "run.seed: input should be a valid integer; found yes/no true"),
    "text for a number": ("queue: {capacity: many}", "queue.capacity: input should be a valid integer; found text 'many'"),
    "number for text": ("run: {name: 7}", "run.name: input should be a valid string; found number 7"),
    "fraction for a whole number": ("source: {count: 1.5}", "source.count: input should be a valid integer"),
    "nothing for a number": ("queue: {capacity: null}", "queue.capacity: input should be a valid integer; found nothing"),
    "above the range": ("queue: {capacity: 501}", "queue.capacity: input should be less than or equal to 500; found number 501"),
    "unknown choice": ("source: {kind: bam}", "source.kind: input should be 'synthetic', 'fastq', 'fasta' or 'pairs'; found text 'bam'"),
    "watermark above capacity": ("queue: {capacity: 50}", "line 1: queue.low_watermark: must be below capacity 50, found 100"),
    "batch above capacity": (
        "source: {batch_size: 60}\nqueue: {capacity: 50, low_watermark: 9}",
        "line 1: source.batch_size: a batch of 60 reads",
    ),
    "delays the wrong way round": ("retry: {base_delay_s: 60}", "line 1: retry.max_delay_s: must be at least base_delay_s 60.0, found 30"),
    "file source without a path": ("source: {kind: fastq}", "line 1: source.path: source.kind fastq needs the file to read"),
    "reads without a reference": ("source: {kind: fastq, path: a}", "source.reference: fastq reads must be placed on a reference"),
    "pairs with a reference": ("source: {kind: pairs, path: a, reference: b}", "source.reference: pairs carry their own window"),
    "synthetic with a path": ("source: {path: a}", "line 1: source.path: a synthetic source makes its reads"),
    "two producers of a file": (FILE[:-1] + ", producers: 2}", "source.producers: a file has one producer, found 2"),
    "empty path": ("source: {kind: pairs, path: ''}", "source.path: string should have at least 1 character"),
    "reads that would leave": (
        FILE + "\nanalyzer: {backend: groq}",
        "line 1: source.allow_external: reads from a file would leave this machine",
    ),
    "windows that would leave": (
        "source: {reference: r.fa}\nanalyzer: {backend: groq}",
        "line 1: source.allow_external: reads from a file would leave this machine for https://api.groq.com/openai/v1",
    ),
    "reads that would leave for a server next door": (
        FILE + "\nanalyzer: {backend: groq}\nprovider: {name: vllm, base_url: 'http://10.0.0.7:8000/v1'}",
        "source.allow_external: reads from a file would leave this machine for http://10.0.0.7:8000/v1",
    ),
    "address without an API": (
        "analyzer: {base_url: 'http://h'}",
        "analyzer.base_url: only backend groq talks to an address; backend is emulator",
    ),
    "address that is none": ("analyzer: {backend: groq, base_url: h}", "analyzer.base_url: string should match pattern"),
    "secret in an address": (
        "analyzer: {backend: groq, base_url: 'https://u:p@h'}",
        "analyzer.base_url: must be only scheme, host, port and path",
    ),
    "two addresses": (
        "analyzer: {backend: groq, base_url: 'http://a'}\nprovider: {base_url: 'http://b'}",
        "analyzer.base_url: provider.base_url names another address, http://b; keep one of them",
    ),
    "no address at all": (
        "analyzer: {backend: groq}\nprovider: {name: compatible}",
        "provider.base_url: compatible has no address",
    ),
    "provider that nobody asks": ("provider: {name: openai}", "line 1: provider: only backend groq asks a provider; backend is emulator"),
    "tier of another provider": (
        "analyzer: {backend: groq, service_tier: flex}\nprovider: {name: openai}",
        "analyzer.service_tier: only groq has the tier flex, and the provider is openai",
    ),
    "secret in a proxy": ("provider: {proxy: 'http://u:p@h:3128'}", "provider.proxy: must be only scheme, host, port and path"),
    "secret in a header": ("provider: {headers: {Authorization: x}}", "provider.headers: 'Authorization' cannot be set here"),
    "header of two lines": ('provider: {headers: {X-Lab: "a\\r\\nb"}}', "provider.headers: the value of 'X-Lab' must be printable ASCII"),
    "price below zero": (
        "provider: {prices: {prompt: -1, completion: 0}}",
        "provider.prices.prompt: input should be greater",
    ),
    "account": ("provider: {account: lab}", "provider.account: sharing the limits of one account between keys is not built yet"),
    "routes": ("routes: [{provider: groq}]", "routes: more than one provider in a run is not built yet"),
    "bad item of a list": (
        "source: {mutation: {variants_per_read: [1, x]}}",
        "source.mutation.variants_per_read.1: input should be a valid number",
    ),
    "unknown prompt": ("analyzer: {prompt: best}", "analyzer.prompt: input should be 'raw', 'spaced', 'grouped10', 'indexed10'"),
    "unknown fault": ("emulator: {faults: {shuffle: 0.1}}", "emulator.faults.shuffle: unknown key; did you mean 'shuffle_ids'?"),
    "fault without a rate": ("emulator: {faults: {prose: yes}}", "emulator.faults.prose: 'yes' would be read as a yes or no"),
}

BAD_OVERRIDES = {
    "no value": ("source.count", "--set source.count: expected KEY=VALUE, for instance"),
    "empty part": ("source..count=1", "--set source..count=1: expected KEY=VALUE"),
    "broken value": ("source.count=[", "--set source.count=[: line 1, column 2: not valid YAML"),
    "no UTF-8": (
        "source.path=r\udce9ads",
        "character 2 of the value: byte 0xe9 is not UTF-8, perhaps a letter in Latin-1; rename the file",
    ),
    "surprise": ("run.name=no", "--set run.name=no: line 1: run.name: 'no' would be read as a yes or no"),
    "below a value": ("run.name.x=1", "--set run.name.x=1: 'name' is not a section"),
    "unknown": ("source.cuont=1", "run.yaml: --set source.cuont=1: source.cuont: unknown key; did you mean 'count'?"),
    "out of range": (
        "source.count=0",
        "run.yaml: --set source.count=0: source.count: input should be greater than or equal to 1; found number 0",
    ),
    "section": ("source=1", "run.yaml: --set source=1: source: expected a section"),
    "not built": ("provider.account=lab", "run.yaml: --set provider.account=lab: provider.account: sharing the limits"),
}


@pytest.fixture
def load(tmp_path: Path) -> Load:
    def load_text(text: str, *overrides: str) -> Config:
        path = tmp_path / "run.yaml"
        path.write_text(text)
        return load_config(path, overrides)

    return load_text


@pytest.mark.parametrize(("text", "message"), BAD_FILES.values(), ids=BAD_FILES)
def test_bad_file_is_one_clear_error(load: Load, text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(text)
    assert len(caught.value.problems) == 1
    assert re.match(rf".*/run\.yaml: .*{re.escape(message)}", str(caught.value))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("override", "message"), BAD_OVERRIDES.values(), ids=BAD_OVERRIDES)
def test_bad_override_is_named_even_where_the_file_has_the_key(load: Load, override: str, message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)):
        load("run:\n  name: x\nsource:\n  count: 5\nray:\n  address: null", override)


def test_file_that_is_missing_a_folder_or_not_text(tmp_path: Path) -> None:
    (tmp_path / "latin1.yaml").write_bytes(b"run: {name: \xe9}")
    for name, message in {
        "none.yaml": "no such file; configs/",
        ".": "Is a directory",
        "latin1.yaml": "line 1, column 13: byte 0xe9 is not UTF-8, perhaps a letter in Latin-1",
    }.items():
        with pytest.raises(ConfigError, match=re.escape(message)):
            load_config(tmp_path / name)


def test_device_without_an_end_is_not_read_to_the_end() -> None:
    with pytest.raises(ConfigError, match="larger than"):
        load_config(Path("/dev/zero"))


def test_every_problem_is_reported_at_once(load: Load) -> None:
    with pytest.raises(ConfigError) as caught:
        load("run:\n  seed: -1\nsource:\n  kind: bam\nzzz: 1\nqueue:\n  capacity: 0")
    assert [problem.split(": ")[:2] for problem in caught.value.problems] == [
        ["line 2", "run.seed"],
        ["line 4", "source.kind"],
        ["line 7", "queue.capacity"],
        ["line 5", "zzz"],
    ]


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "run:\nsource:\n", "source:\n  mutation:\n", "\ufeffrun: {}", "run: {}\r\nsink: {}\r\n"]
)
def test_what_is_left_out_is_the_default(load: Load, text: str) -> None:
    assert load(text) == Config()


@pytest.mark.parametrize(("value", "count"), [("1e3", 1000), ("1E+3", 1000), ("2.0", 2), ("null", None), ("~", None), ("", None), ("7", 7)])
def test_numbers_are_what_they_look_like(load: Load, value: str, count: int | None) -> None:
    assert load("", f"source.count={value}").source.count == count
    assert load(f"source:\n  count: {value}").source.count == count


def test_overrides_apply_in_order_and_create_sections(load: Load) -> None:
    config = load("run: {name: a}", "source.mutation.read_length=200", "run.name=b", "run.name='c: d'")
    assert (config.run.name, config.source.mutation.read_length) == ("c: d", 200)


@pytest.mark.parametrize("kind", ["pairs", "fastq", "fasta"])
def test_a_kind_on_the_command_line_forgets_the_producers_of_the_file(load: Load, kind: str) -> None:
    overrides = [f"source.kind={kind}", "source.path=p.tsv", *(["source.reference=r.fa"] if kind != "pairs" else [])]
    assert load("source: {producers: 4}", *overrides).source.producers == 1
    for asked in (["source.producers=4", *overrides], [*overrides, "source.producers=4"]):
        with pytest.raises(ConfigError, match=r"--set source\.producers=4: source\.producers: a file has one producer"):
            load("source: {producers: 2}", *asked)


@pytest.mark.parametrize("preset", ["wgsim", "human"])
def test_a_preset_in_a_file_that_contradicts_each_of_its_keys_is_refused(load: Load, preset: str) -> None:
    text = shipped_config("demo").read_text().replace("preset: bench", f"preset: {preset}")
    with pytest.raises(ConfigError, match=rf"line \d+: source\.mutation\.preset: {preset} has no effect"):
        load(text)


def test_a_preset_on_the_command_line_forgets_what_the_file_says_beside_it(load: Load) -> None:
    """The shipped demo names every key of its preset; what other overrides say stays, before and after."""
    overrides = ("source.mutation.flank=12", "source.mutation.preset=wgsim", "source.mutation.min_gap=7")
    mutation = load("source: {count: 5, mutation: {read_length: 300, gc_content: 0.5}}", *overrides).source.mutation
    assert mutation == MutationConfig(preset="wgsim", flank=12, min_gap=7)
    stored = json.loads(load("").to_json())
    assert parse_config(stored, "run 1", ["source.mutation.preset=human"]).source.mutation == MutationConfig(preset="human")
    with pytest.raises(ConfigError, match=r": --set source\.mutation\.preset=mouse: source\.mutation\.preset: input"):
        load("source: {mutation: {flank: 5}}", "source.mutation.preset=mouse")


def test_a_stored_configuration_reads_back_with_overrides_and_leaves_its_source_alone(load: Load) -> None:
    texts = ("", FILE, "source: {reference: r.fa}", "source: {mutation: {preset: human}}", "source: {mutation: {mutation_rate: 0.1}}")
    for text in (*texts, "analyzer: {backend: groq, base_url: 'http://127.0.0.1:8080'}"):
        config = load(text)
        stored = json.loads(config.to_json())
        assert parse_config(stored, "run 1") == config
        assert parse_config(stored, "run 1", ["throttle.max_cost_usd=2"]).throttle.max_cost_usd == 2
        assert stored == json.loads(config.to_json())
        with pytest.raises(ConfigError, match=r"^run 1: --set run\.seed=x: run\.seed: input"):
            parse_config(stored, "run 1", ["run.seed=x"])


def test_text_that_python_would_take_for_a_number_stays_text(load: Load) -> None:
    assert [load(f"run: {{name: {name}}}").run.name for name in ("inf", "nan", "infinity")] == ["inf", "nan", "infinity"]


def test_safe_loader_agrees_where_the_rules_allow_both(load: Load) -> None:
    text = "run: {name: 'on', seed: 5}\nsource: {count: null, rate_per_s: 2.5}\nsink: {database: external}\n"
    assert load(text) == parse_config(yaml.safe_load(text), "plain")


# Every key with a value of the right kind that is out of its range; None where every value of the kind is allowed.
OUT_OF_RANGE: dict[str, Any] = {
    "run.name": "a/b", "run.id": "17", "run.seed": -1, "run.max_duration_s": 0, "run.drain_timeout_s": 601,
    "source.kind": "bam", "source.count": 0, "source.rate_per_s": 0.0, "source.producers": 65, "source.batch_size": 1001,
    "source.on_error": "ignore", "source.allow_external": None, "source.path": "", "source.copy_limit_mb": 0, "source.reference": "",
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
    "analyzer.model": "two words", "analyzer.prompt": "best", "analyzer.examples": 5, "analyzer.work": None,
    "analyzer.reasoning_effort": "extreme", "analyzer.max_completion_tokens": 15, "analyzer.seed": -1,
    "analyzer.service_tier": "best", "analyzer.on_capacity_exceeded": "drop", "analyzer.base_url": "ftp://host",
    "analyzer.request_timeout_s": 0,
    "provider.name": "azure", "provider.base_url": "ftp://host", "provider.api_key_env": "KEY", "provider.prices": None,
    "provider.structured_output": "yaml", "provider.completion_bound": "length", "provider.parameters": None, "provider.headers": None,
    "provider.proxy": "socks5://host", "provider.account": None, "routes": None,
    "throttle.requests_per_minute": 0, "throttle.requests_per_day": 0, "throttle.tokens_per_minute": -5,
    "throttle.tokens_per_day": 0, "throttle.input_tokens_per_minute": 0, "throttle.output_tokens_per_minute": 0,
    "throttle.safety_factor": 1.1, "throttle.on_daily_limit": "wait", "throttle.adaptive_concurrency": None, "throttle.max_cost_usd": 0,
    "retry.max_attempts": 21, "retry.base_delay_s": 0, "retry.max_delay_s": -1, "retry.max_share": 0,
    "sink.database": "sqlite", "sink.batch_size": 0, "sink.flush_interval_s": 61, "sink.statement_timeout_s": 0,
    "sink.outage_timeout_s": 86_401,
    "emulator.tier": "gold", "emulator.requests_per_minute": 0, "emulator.requests_per_day": 0, "emulator.tokens_per_minute": 0,
    "emulator.tokens_per_day": 0, "emulator.input_tokens_per_minute": 0, "emulator.output_tokens_per_minute": 0,
    "emulator.seed": 2**63, "emulator.latency_scale": 101, "emulator.round_trip_s": 61, "emulator.law": "azure", "emulator.refund": None,
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
    "notify.url": "https://user@host/hook", "ray.address": "ray://h:1", "ray.namespace": "a b",
    "ray.analyzer_cpus": 0, "ray.analyzer_labels": None, "ray.start_timeout_s": 0, "ray.silence_s": 0,
    "ray.dashboard": None, "ray.dashboard_port": 80, "ray.object_store_mb": 79,
}  # fmt: skip
FREE_FORM = {
    "analyzer.prompt",
    "source.mutation.type_weights",
    "provider.prices",
    "provider.headers",
    "ray.analyzer_labels",
}  # no key beside them


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


@pytest.mark.parametrize(
    ("key", "value"),
    {
        "prompt": "raw", "examples": 2, "work": True, "reads_per_request": 10, "reasoning_effort": "high",
        "max_completion_tokens": 600, "service_tier": "flex",
    }.items(),
)  # fmt: skip
def test_what_is_asked_belongs_to_the_results(key: str, value: Any) -> None:
    before, after = (Config.model_validate({"analyzer": changed}).results_identity() for changed in ({}, {key: value}))
    assert {name for name in before if before[name] != after[name]} == {f"analyzer.{key}"}
