"""Where actors are put on a cluster, and when the environment and the configuration do not agree on one."""

from pathlib import Path
from typing import Any

import pytest

from helix_ray.actors import api
from helix_ray.actors.cluster import prepare
from helix_ray.actors.group import ActorGroup
from helix_ray.config import Config, RayConfig
from helix_ray.environment.secrets import Secret
from helix_ray.errors import ConfigError

NODE = "1" * 56


def places(driver_node: str | None, **sections: Any) -> dict[str, Any]:
    config = Config.model_validate({"sink": {"database": "external"}, "analyzer": {"backend": "aligner"}, **sections})
    group = ActorGroup(config, "run", Secret("url"), None, None, driver_node=driver_node)
    return {name: plan.place for name, plan in group._plan.items()}


def test_a_run_of_its_own_places_nothing() -> None:
    assert all(place == {"num_cpus": 0} for place in places(None).values())


def test_the_parts_in_charge_live_where_the_driver_does_and_analyzers_are_spread() -> None:
    ray = {"address": "10.0.0.1:6379", "analyzer_cpus": 0.5, "analyzer_labels": {"zone": "a"}}
    found = places(NODE, ray=ray)
    for name in (api.METRICS, api.CONTROL, api.QUEUE, api.THROTTLE, api.SINK):
        strategy = found[name]["scheduling_strategy"]
        assert (strategy.node_id, strategy.soft, found[name]["num_cpus"]) == (NODE, False, 0)
    assert found[api.analyzer(0)] == {"num_cpus": 0.5, "scheduling_strategy": "SPREAD", "label_selector": {"zone": "a"}}
    assert found[api.producer(0)] == {"num_cpus": 0.01, "scheduling_strategy": "SPREAD"}


def test_who_reads_a_file_lives_where_the_file_is(tmp_path: Path) -> None:
    source = {"kind": "fastq", "path": str(tmp_path / "reads.fastq"), "reference": str(tmp_path / "reference.fa")}
    found = places(NODE, ray={"address": "h:1"}, source=source)
    assert found[api.producer(0)]["scheduling_strategy"].node_id == NODE


@pytest.mark.parametrize(
    ("address", "environment", "said"),
    [(None, "10.0.0.1:6379", "the environment has RAY_ADDRESS=10.0.0.1:6379"), ("auto", "", "auto is the cluster of a job")],
)
def test_environment_and_configuration_agree(
    address: str | None, environment: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", environment)
    with pytest.raises(ConfigError, match=said):
        prepare(tmp_path, RayConfig(address=address))
    assert not [*tmp_path.iterdir()]
