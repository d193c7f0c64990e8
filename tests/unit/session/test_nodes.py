"""Addresses that mean another machine on each node of a cluster."""

import pytest

from helix_ray.config import Config
from helix_ray.environment.secrets import Secret
from helix_ray.errors import ConfigError
from helix_ray.session.nodes import check_addresses

ELSEWHERE = "postgresql://me@db.example:5432/helix"


def config(base_url: str) -> Config:
    sections = {"analyzer": {"backend": "groq"}, "provider": {"base_url": base_url}, "sink": {"database": "external"}}
    return Config.model_validate({**sections, "ray": {"address": "10.0.0.1:6379"}})


@pytest.mark.parametrize("url", ["postgresql://me@127.0.0.1/helix", "postgresql:///helix", "postgresql:///helix?host=/run/postgresql"])
def test_a_database_of_this_machine_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="DATABASE_URL: names a server on this machine"):
        check_addresses(config("http://api.example/v1"), Secret(url))


def test_an_api_of_this_machine_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"provider.base_url: http://localhost:8877/v1 is this machine"):
        check_addresses(config("http://localhost:8877/v1"), Secret(ELSEWHERE))
    check_addresses(config("http://api.example/v1"), Secret(ELSEWHERE))
