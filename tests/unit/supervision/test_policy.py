from helix_ray.records import RunStatus
from helix_ray.supervision.endings import Ending, Facts, decide
from helix_ray.supervision.liveness import MISSES_BEFORE_KILL, PING_INTERVAL_S, PING_TIMEOUT_S, Liveness, RestartBreaker


def test_an_actor_is_pinged_every_interval_and_only_once_at_a_time() -> None:
    live = Liveness()
    live.watch("a", 0.0)
    assert live.due(PING_INTERVAL_S - 0.1) == []
    assert live.due(PING_INTERVAL_S) == ["a"]
    assert live.due(PING_INTERVAL_S + 1) == []
    assert live.answered("a", "one", PING_INTERVAL_S + 1) is False
    assert live.due(2 * PING_INTERVAL_S + 1) == ["a"]


def test_a_new_incarnation_is_a_restart() -> None:
    live = Liveness()
    live.watch("a", 0.0)
    assert live.answered("a", "one", 1.0) is False
    assert live.answered("a", "one", 2.0) is False
    assert live.answered("a", "two", 3.0) is True
    assert live.answered("a", "two", 4.0) is False


def test_a_hung_actor_is_named_after_enough_misses_in_a_row() -> None:
    live = Liveness()
    live.watch("a", 0.0)
    now = 0.0
    for miss in range(MISSES_BEFORE_KILL):
        assert live.hung() == [], miss
        now += PING_INTERVAL_S
        assert live.due(now) == ["a"]
        now += PING_TIMEOUT_S
        assert live.overdue(now) == ["a"]
    assert live.hung() == ["a"]
    assert live.hung() == []


def test_an_answer_forgives_misses_and_a_dead_process_is_no_miss() -> None:
    live = Liveness()
    live.watch("a", 0.0)
    for start in (10.0, 20.0, 30.0, 40.0):
        live.due(start)
        live.overdue(start + PING_TIMEOUT_S)
        live.answered("a", "one", start + PING_TIMEOUT_S)
    live.due(60.0)
    live.failed("a", 60.0)
    assert live.overdue(90.0) == []
    assert live.hung() == []


def test_a_new_sink_that_counts_from_zero_is_no_progress_but_its_rows_are() -> None:
    breaker = RestartBreaker(most=2, window_s=60)
    breaker.progress(5000)
    breaker.restarted(0.0)
    breaker.progress(0)
    assert not breaker.is_open
    breaker.progress(10)
    breaker.restarted(1.0)
    assert not breaker.is_open
    breaker.restarted(2.0)
    assert breaker.is_open


def test_an_actor_that_never_answers_again_is_noticed() -> None:
    live = Liveness()
    live.watch("a", 0.0)
    live.answered("a", "one", 1.0)
    live.failed("a", 30.0)
    assert live.silent(60.0, for_s=60.0) == []
    assert live.silent(61.0, for_s=60.0) == ["a"]


def test_the_breaker_opens_only_without_progress() -> None:
    breaker = RestartBreaker(most=3, window_s=60)
    breaker.progress(5)
    for now in (0.0, 1.0):
        breaker.restarted(now)
    breaker.progress(10)
    for now in (2.0, 3.0):
        breaker.restarted(now)
        breaker.progress(10)
    assert not breaker.is_open
    breaker.restarted(4.0)
    assert breaker.is_open


def test_old_restarts_leave_the_window() -> None:
    breaker = RestartBreaker(most=2, window_s=60)
    breaker.restarted(0.0)
    breaker.restarted(61.0)
    assert not breaker.is_open


def test_endings() -> None:
    cases = [
        (Facts(1.0), None),
        (Facts(1.0, all_stored=True), (RunStatus.COMPLETE, False)),
        (Facts(5.0, max_duration_s=5.0), (RunStatus.LIMITED, False)),
        (Facts(4.9, max_duration_s=5.0), None),
        (Facts(1.0, budget_exhausted="spent"), (RunStatus.LIMITED, False)),
        (Facts(1.0, signals=1), (RunStatus.STOPPED, False)),
        (Facts(1.0, signals=2), (RunStatus.STOPPED, True)),
        (Facts(1.0, asked_to="drain"), (RunStatus.STOPPED, False)),
        (Facts(1.0, asked_to="stop"), (RunStatus.STOPPED, True)),
        (Facts(1.0, refused="401", signals=1), (RunStatus.REFUSED, False)),
        (Facts(1.0, sink_error="gone"), (RunStatus.FAILED, False)),
        (Facts(1.0, restart_storm="storm"), (RunStatus.FAILED, False)),
        (Facts(1.0, source_error="bad record"), (RunStatus.FAILED, False)),
        (Facts(1.0, daily_stop="TPD"), (RunStatus.LIMITED, False)),
        (Facts(1.0, analyzers_ended=frozenset({"closed", "drained", "ending"})), None),
        (Facts(1.0, analyzers_ended=frozenset({"daily"})), (RunStatus.LIMITED, False)),
        (Facts(1.0, analyzers_ended=frozenset({"budget", "closed"})), (RunStatus.LIMITED, False)),
        (Facts(1.0, analyzers_ended=frozenset({"daily", "refused"})), (RunStatus.REFUSED, False)),
        (Facts(1.0, all_stored=True, analyzers_ended=frozenset({"budget"})), (RunStatus.COMPLETE, False)),
    ]
    for facts, expected in cases:
        ending = decide(facts)
        assert (ending and (ending.status, ending.force)) == expected, facts


def test_exit_codes() -> None:
    codes = {status: Ending(status, "").exit_code(0) for status in RunStatus if status is not RunStatus.RUNNING}
    assert codes == {
        RunStatus.COMPLETE: 0,
        RunStatus.LIMITED: 3,
        RunStatus.REFUSED: 4,
        RunStatus.STOPPED: 130,
        RunStatus.FAILED: 1,
    }
    assert Ending(RunStatus.COMPLETE, "").exit_code(dead_letters=1) == 5
