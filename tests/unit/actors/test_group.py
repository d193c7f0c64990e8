"""How the actors of a run are made."""

from inspect import iscoroutinefunction

from ray import cloudpickle

from helix_ray.actors import api
from helix_ray.actors.group import ActorGroup
from helix_ray.config import Config, NotifyConfig
from helix_ray.environment.secrets import Secret


def test_no_secret_is_an_argument_of_a_constructor() -> None:
    """Ray's control service keeps constructor arguments; see tests/integration/test_secrets_canary.py."""
    config = Config(notify=NotifyConfig(url="https://hooks.example/canary"))
    assert "canary" not in config.to_json()
    group = ActorGroup(config, "run", Secret("postgresql://canary"), Secret("gsk_canary"), None)
    assert len(group._plan) == len(group.services) + len(group.producers) + len(group.analyzers)
    for plan in group._plan.values():
        assert b"canary" not in cloudpickle.dumps(plan.make)
    assert b"gsk_canary" in cloudpickle.dumps(group._plan[api.analyzer(0)].run_arguments)
    assert b"postgresql://canary" in cloudpickle.dumps(group._plan[api.SINK].run_arguments)


def test_every_actor_has_every_method_of_its_interface() -> None:
    """The type checker compares what a shell overrides, but not whether it overrides it: mypy takes a docstring for a body."""
    for plan in ActorGroup(Config(), "run", Secret("url"), None, None)._plan.values():
        shell, interface, _ = plan.make.func.__mro__[:3]
        assert api.ActorApi in interface.__mro__
        offered = {name for kind in (interface, api.ActorApi) for name, value in vars(kind).items() if iscoroutinefunction(value)}
        assert offered <= vars(shell).keys(), shell
