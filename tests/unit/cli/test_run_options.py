"""Options of ``helix run`` that are refused before anything is looked for."""

import uuid
from typing import Any

import pytest

from helix_ray.cli.run import run
from helix_ray.errors import ConfigError


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"run_id": str(uuid.UUID(int=1)), "resume": "last"}, "--run-id: --resume names a run already; give one of the two"),
        ({"run_id": "17"}, "--run-id: '17' is not a UUID"),
        ({"run_id": "first"}, "--run-id: 'first' is not a UUID"),
        ({"accept_changes": True}, "--accept-changes: only has a meaning with --resume RUN, --run-id UUID or run.id"),
    ],
)
def test_what_contradicts_itself_or_names_nothing_is_refused(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        run(**options)
    assert problem in str(caught.value)
