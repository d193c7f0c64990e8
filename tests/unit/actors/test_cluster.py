"""Our own Ray: a start that fails is one clear error."""

import tempfile
from pathlib import Path

import pytest
import ray

from helix_ray.actors.cluster import local_cluster
from helix_ray.config import RayConfig
from helix_ray.errors import StartError

SET_BY_A_START = (
    "RAY_AUTH_MODE",
    "RAY_AUTH_TOKEN_PATH",
    "RAY_USAGE_STATS_ENABLED",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV",
    "RAY_DEDUP_LOGS",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO",
)


def test_a_ray_that_does_not_start_is_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def too_slow(**_: object) -> None:
        raise Exception("The current node timed out during startup.")  # noqa: TRY002  (as Ray does)

    for name in SET_BY_A_START:
        monkeypatch.setenv(name, "")  # so that the session's own is put back
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(ray, "init", too_slow)
    with (
        pytest.raises(StartError, match=r"Ray did not start: The current node timed out") as caught,
        local_cluster(tmp_path, RayConfig(dashboard=False)),
    ):
        pass
    assert caught.value.exit_code == 2
