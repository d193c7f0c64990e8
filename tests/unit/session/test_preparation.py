"""What is refused before a run starts or goes on, as far as it needs no database."""

import json
import uuid
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from helix_ray.config import Config
from helix_ray.environment.secrets import Secret, Secrets
from helix_ray.errors import ConfigError, InputError
from helix_ray.records import RunStatus
from helix_ray.scoring.score import SCORER_VERSION
from helix_ray.session import preparation
from helix_ray.session.plan import Plan
from helix_ray.session.preparation import prepare_resume
from helix_ray.session.provider_check import check_backend
from helix_ray.sources import check_source, generator_version
from helix_ray.storage.ledger import StoredRun


def resume(
    config: Config,
    before: Config,
    checksum: str | None,
    generator: str,
    scorer: str = SCORER_VERSION,
    accept_changes: bool = False,
    **facts: object,
) -> Plan | None:
    stored = SimpleNamespace(
        run_id="r1",
        config=before.model_dump(mode="json"),
        versions={"generator": generator, "scorer": scorer},
        source_checksum=checksum,
        simulated=False,
        **{"status": RunStatus.STOPPED, "totals": None, "rows": 0, "cost_usd": 0, **facts},
    )
    return prepare_resume(config, Path("home"), Secrets(), cast("StoredRun", stored), accept_changes)


@pytest.fixture
def from_reference(tmp_path: Path) -> Config:
    path = tmp_path / "ref.fa"
    path.write_text(">chr1\n" + "ACGGTTAGCA" * 40)
    return Config.model_validate({"source": {"reference": str(path)}})


def test_a_reference_that_changed_is_refused(from_reference: Config) -> None:
    checksum = check_source(from_reference)
    path = Path(str(from_reference.source.reference))
    path.write_text(path.read_text().replace("GG", "GC", 1))
    with pytest.raises(InputError) as caught:
        resume(from_reference, from_reference, checksum, generator_version())
    assert str(caught.value).startswith(f"{path}: the file is not the one that run r1 began with (its checksum differs); restore the file")


@pytest.mark.parametrize("also_from_reference", [False, True])
def test_another_generator_or_model_is_refused(from_reference: Config, also_from_reference: bool) -> None:
    source = {"reference": from_reference.source.reference} if also_from_reference else {}
    before = Config.model_validate({"source": source, "analyzer": {"backend": "aligner"}})
    model = before.source.mutation.model_copy(update={"n_rate": 0.1})
    after = before.model_copy(update={"source": before.source.model_copy(update={"mutation": model})})
    with pytest.raises(ConfigError) as caught:
        resume(after, before, check_source(before), "1")
    changed_model, generator, advice = caught.value.problems
    assert changed_model == "source.mutation.n_rate: was 0.0, is 0.1"
    assert generator == "generator version: was 1, is 2"
    assert advice.startswith("these define the results")


def test_the_id_of_another_run_is_refused() -> None:
    config = Config.model_validate({"run": {"id": str(uuid.UUID(int=1))}})
    with pytest.raises(ConfigError, match=r"--resume r1: the configuration's run\.id is another, 00000000-"):
        resume(config, Config(), None, generator_version())
    assert "id" not in json.loads(config.to_json())["run"], "the same configuration has the same hash in every run"


def test_another_text_of_the_prompt_is_refused() -> None:
    config = Config()
    with pytest.raises(ConfigError) as caught:
        resume(config, config, None, generator_version())
    assert caught.value.problems[0] == "analyzer.prompt: the text of indexed10 is not the one that this run began with"


@pytest.mark.parametrize(("key", "other"), [("model", "openai/gpt-oss-120b"), ("prompt", "raw"), ("seed", 7), ("examples", 1)])
def test_a_run_cannot_mix_two_arms_even_if_changes_are_accepted(key: str, other: object) -> None:
    with pytest.raises(ConfigError) as caught:
        resume(Config.model_validate({"analyzer": {key: other}}), Config(), None, generator_version(), accept_changes=True)
    changed, advice = caught.value.problems
    assert changed.startswith(f"analyzer.{key}: was ")
    assert advice.startswith("a run cannot mix two ways of asking")


def test_another_scorer_is_refused() -> None:
    config = Config.model_validate({"analyzer": {"backend": "aligner"}})
    with pytest.raises(ConfigError) as caught:
        resume(config, config, None, generator_version(), "1")
    assert caught.value.problems[0] == "scorer version: was 1, is 3"


@pytest.mark.parametrize(("status", "rows", "left"), [("complete", 2000, False), ("complete", 1999, True), ("limited", 2000, True)])
def test_of_a_complete_run_nothing_is_left_unless_rows_are_missing(
    monkeypatch: pytest.MonkeyPatch, status: str, rows: int, left: bool
) -> None:
    monkeypatch.setattr(preparation, "open_database", lambda config, home, secrets: Secret("postgresql://helix@localhost/helix"))
    config, facts = Config.model_validate({"analyzer": {"backend": "aligner"}}), {"rows": rows, "totals": {"reads_requested": 2000}}
    plan = resume(config, config, None, generator_version(), status=RunStatus(status), cost_usd=Decimal("0.25"), **facts)
    assert (plan is not None) == left
    assert plan is None or (plan.rows_before, plan.cost_before_usd) == (rows, 0.25)


def test_a_cap_that_does_not_pay_for_one_answer_is_refused() -> None:
    config = Config.model_validate({"throttle": {"max_cost_usd": 0.0001}})
    with pytest.raises(ConfigError, match=r"one answer of 512 tokens .* can cost \$0\.00015.*, found a cap of \$0\.0001"):
        check_backend(config, Secrets())
    enough = Config.model_validate({"throttle": {"max_cost_usd": 0.001}})
    assert check_backend(enough, Secrets()) is not None
