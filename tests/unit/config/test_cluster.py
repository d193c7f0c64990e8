"""What a configuration of a run on a Ray cluster may not say."""

import pytest

from helix_ray.config.loading import parse_config
from helix_ray.errors import ConfigError

ON_A_CLUSTER = {"ray": {"address": "10.0.0.1:6379"}, "sink": {"database": "external"}, "analyzer": {"backend": "aligner"}}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"sink": {"database": "embedded"}}, r"sink.database: on a cluster \(ray.address\) it must be external"),
        ({"analyzer": {"backend": "emulator"}}, "analyzer.backend: a run on a cluster"),
        ({"ray": {"address": "h:1", "dashboard_port": 8265}}, "ray.dashboard_port: the dashboard of a cluster"),
        ({"ray": {"address": "ray://h:10001"}}, "ray.address"),
        ({"ray": {"analyzer_labels": {"zone": "a"}}}, "ray.analyzer_cpus, ray.analyzer_labels: place analyzers on a cluster"),
    ],
)
def test_what_a_cluster_cannot_have_is_one_clear_error(changed: dict[str, object], said: str) -> None:
    parse_config(ON_A_CLUSTER, "run.yaml")
    with pytest.raises(ConfigError, match=said):
        parse_config({**ON_A_CLUSTER, **changed}, "run.yaml")
