import pytest

from helix_ray.actors import peers
from helix_ray.actors.analyzer import AnalyzerActor
from helix_ray.actors.heartbeat import Heartbeat
from helix_ray.config import Config
from helix_ray.environment.secrets import Secret
from helix_ray.errors import MissingSecretError
from helix_ray.records import DesiredState

EMULATED = Config()
ALIGNED = Config.model_validate({"analyzer": {"backend": "aligner"}})


def test_making_an_analyzer_cannot_fail() -> None:
    """A constructor that raised during a restart would end the actor for good."""
    AnalyzerActor(0, EMULATED, "nonsense", "")


async def test_every_incarnation_has_its_own_name() -> None:
    first, second = AnalyzerActor(0, ALIGNED, None, "run"), AnalyzerActor(0, ALIGNED, None, "run")
    assert await first.ping() == await first.ping() != await second.ping()


async def test_it_can_be_asked_before_it_runs() -> None:
    actor = AnalyzerActor(0, ALIGNED, None, "run")
    actor._make_engine().apply(DesiredState(requests_in_flight=1024))
    stats = await actor.stats()
    assert (stats.in_flight, stats.requests_in_flight, stats.analysed) == (0, 1024, 0)
    assert (await actor.drain(1.0)).returned == 0


async def test_the_key_is_not_shown() -> None:
    actor = AnalyzerActor(0, EMULATED, "http://127.0.0.1:1", "run")
    actor._make_engine(Secret("gsk_key"))
    assert (await actor.stats()).requests == 0
    assert "gsk_key" not in repr(actor)


async def test_a_missing_key_is_named() -> None:
    with pytest.raises(MissingSecretError, match="GROQ_API_KEY"):
        await AnalyzerActor(0, EMULATED, None, "run").run(None)


async def test_drained_before_it_ran_it_takes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    async def free(*_: object) -> int:
        return 0

    async def beat(*_: object) -> None:
        """There are no peers."""

    monkeypatch.setattr(peers, "call_within", free)
    monkeypatch.setattr(Heartbeat, "beat", beat)
    actor = AnalyzerActor(0, EMULATED, "http://127.0.0.1:1", "run")
    assert (await actor.drain(1.0)).returned == 0
    assert await actor.run(Secret("gsk_key")) == "drained"
