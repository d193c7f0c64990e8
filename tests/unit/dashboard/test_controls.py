"""The bar and the start form, drawn by Streamlit without a browser, with a client that does what a test tells it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from helix_ray._dashboard import controls, shared
from helix_ray._dashboard.controls import outcome, situation
from helix_ray._dashboard.feed import View
from helix_ray._dashboard.gate import Gate
from helix_ray.client import DryRun
from helix_ray.errors import MissingSecretError, StartError
from helix_ray.metrics.snapshot import CommandView, ControlView, MetricsSnapshot, Money, RunInfo
from helix_ray.records import Ack, Command

LIVE = MetricsSnapshot(
    as_of=1_700_000_000.0,
    run=RunInfo("run-1", "demo", "emulator", True, max_cost_usd=1.0),
    state="RUNNING",
    money=Money(0.01, 0.0, 1.0),
    control=ControlView(can_spike=True),
)
TAKEN = Ack("id", True, 3, "running → paused")
PRICE = DryRun("groq", 2000, 2000, 0.5, 1.25, 3.0, ())
FREE = "source: {count: 70}\nanalyzer: {backend: aligner}\n"
PAID = "run: {name: paid}\nanalyzer: {backend: groq}\n"


@dataclass
class Client:
    """Both the feed and its client: what it answers is set by the test."""

    view: View
    configs: dict[str, Path]
    ack: Ack = TAKEN
    price: DryRun | StartError = PRICE
    sent: list[Command] = field(default_factory=list)
    started: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    launched: None = None
    in_control: bool = True

    @property
    def client(self) -> "Client":
        return self

    def latest(self) -> View:
        return self.view

    def send(self, command: Command) -> Ack:
        self.sent.append(command)
        return self.ack

    def dry_run(self, path: Path, overrides: tuple[str, ...]) -> DryRun:
        return self.dry_run_of_live(overrides)

    def dry_run_of_live(self, overrides: tuple[str, ...] = ()) -> DryRun:
        if isinstance(self.price, StartError):
            raise self.price
        return self.price

    def start_run(self, path: Path, overrides: tuple[str, ...]) -> int:
        if path.stem == "broken":
            raise MissingSecretError("GROQ_API_KEY in .env holds a blank")
        self.started.append((path.stem, overrides))
        return 4711


def draw() -> None:
    from helix_ray._dashboard import controls, shared, start

    controls.bar()
    if not controls.commandable(shared.feed().latest()):
        start.page()


def draw_stop() -> None:
    from helix_ray._dashboard import controls, shared

    controls.confirm_stop(shared.feed().latest().snapshot)


def draw_cap() -> None:
    from helix_ray._dashboard import controls

    controls.confirm_cap(5.0, "run-1")


def draw_start() -> None:
    from pathlib import Path

    from helix_ray._dashboard import start

    start.confirm_start("paid", Path("paid.yaml"), ["source.count=5"])


def dialog(draw: Callable[[], None]) -> AppTest:
    """Drawn by itself: a test cannot rerun a part of a page, as a browser does."""
    return AppTest.from_function(draw, default_timeout=20).run()


def forge(app: AppTest, key: str) -> None:
    """What a client that is not our page may send: a press of a button that is disabled."""
    app.button(key=key).proto.disabled = False
    app.button(key=key).click().run()


def words(app: AppTest) -> str:
    return "\n".join(str(element.value) for element in [*app.text, *app.error, *app.code])


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Client:
    configs = {name: tmp_path / f"{name}.yaml" for name in ("broken", "demo", "endless", "paid")}
    for name, path in configs.items():
        path.write_text(PAID if name == "paid" else FREE)
    made = Client(View(LIVE, live=True), configs)
    gate = Gate("right", lambda: 0.0)
    monkeypatch.setattr(shared, "feed", lambda: made)
    monkeypatch.setattr(shared, "gate", lambda: gate)
    monkeypatch.setattr(shared, "in_control", lambda *, use=False: made.in_control)
    monkeypatch.setattr("helix_ray._dashboard.start.shipped_configs", lambda: configs)
    return made


@pytest.fixture
def app(client: Client) -> AppTest:
    return AppTest.from_function(draw, default_timeout=20)


@pytest.mark.parametrize(
    ("press", "action", "value", "seconds"),
    [
        ("pause", "pause", None, None),
        ("drain", "drain", None, None),
        ("spike", "spike", None, 30.0),
        ("rate_button", "rate", 20.0, None),
        ("concurrency_button", "concurrency", 8.0, None),
        ("budget_button", "budget", 0.5, None),
    ],
)
def test_commands_are_absolute(app: AppTest, client: Client, press: str, action: str, value: float | None, seconds: float | None) -> None:
    app.run()
    for name, wanted in (("rate_value", 20.0), ("concurrency_value", 8.0), ("budget_value", 0.5)):
        app.number_input(key=name).set_value(wanted)
    app.button(key=press).click().run()
    (sent,) = client.sent
    assert (sent.action.value, sent.value, sent.seconds, sent.actor) == (action, value, seconds, "page")
    assert f"{action}: requested → acknowledged" in words(app)


def test_a_press_that_is_replayed_is_the_same_request(app: AppTest, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "DOUBLE_S", 1e9)
    app.run()
    for press in ("spike", "spike", "pause"):
        app.button(key=press).click().run()
    first, again, other = (command.request_id for command in client.sent)
    assert first == again != other
    monkeypatch.setattr(controls, "DOUBLE_S", 0.0)
    app.button(key="pause").click().run()
    assert client.sent[-1].request_id != other


def test_a_button_that_is_pressed_without_control_does_nothing(app: AppTest, client: Client) -> None:
    client.in_control = False
    app.run()
    for key in ("pause", "spike", "drain", "rate_button", "concurrency_button", "budget_button"):
        assert app.button(key=key).disabled
        forge(app, key)
    client.view = View()
    app.run()
    forge(app, "start")
    forge(dialog(draw_start), "start_paid")
    forge(dialog(draw_cap), "higher_cap")
    assert not client.sent
    assert not client.started


def test_a_paused_run_can_be_resumed_and_a_silent_or_unknown_one_nothing(app: AppTest, client: Client) -> None:
    client.view = View(replace(LIVE, control=ControlView(paused=True)), live=True)
    app.run()
    app.button(key="resume").click().run()
    assert [command.action.value for command in client.sent] == ["resume"]
    for view in (View(LIVE, live=True, age_s=10.0), View(replace(LIVE, run=RunInfo()), live=True)):
        client.view = view
        app.run()
        assert app.button(key="pause").disabled
        assert "Disabled" in words(app)


def test_a_source_without_a_rate_cannot_spike_and_says_why(app: AppTest, client: Client) -> None:
    client.view = View(replace(LIVE, control=ControlView(spike_refusal="set a rate first")), live=True)
    app.run()
    assert app.button(key="spike").disabled
    assert "Spike: set a rate first" in words(app)


def test_stop_shows_the_dry_run_and_wants_the_name(app: AppTest, client: Client) -> None:
    app.run()
    app.button(key="stop").click().run()
    assert "requests  2,000 for 2,000 reads" in words(app)
    asked = dialog(draw_stop)
    asked.button(key="stop_now").click().run()
    assert "not the name" in words(asked)
    asked.text_input(key="stop_name").set_value("demo")
    asked.button(key="stop_now").click().run()
    assert [command.action.value for command in client.sent] == ["stop"]


@pytest.mark.parametrize("value", [5.0, None])
def test_a_higher_cap_is_asked_about(app: AppTest, client: Client, value: float | None) -> None:
    client.view = View(replace(LIVE, money=Money(0.01, 0.0, 0.5)), live=True)
    app.run()
    app.number_input(key="budget_value").set_value(value)
    app.button(key="budget_button").click().run()
    assert not client.sent
    assert "at worst  $1.2500" in words(app)


@pytest.mark.parametrize(("run_id", "sent"), [("run-1", [5.0]), ("run-2", [])])
def test_a_higher_cap_is_meant_for_one_run(client: Client, run_id: str, sent: list[float]) -> None:
    asked = dialog(draw_cap)
    client.view = View(replace(LIVE, run=replace(LIVE.run, run_id=run_id)), live=True)
    asked.button(key="higher_cap").click().run()
    assert [command.value for command in client.sent] == sent


def test_a_refusal_is_shown(app: AppTest, client: Client) -> None:
    client.ack = Ack("id", False, 3, "the run is ending")
    app.run()
    app.button(key="pause").click().run()
    assert "pause: requested → refused" in words(app)


def test_a_free_run_is_started_with_what_was_changed(app: AppTest, client: Client) -> None:
    client.view = View()
    app.run()
    assert app.selectbox(key="config").options == ["endless", "demo", "broken", "paid"]
    app.button(key="start").click().run()
    app.number_input(key="count-endless").set_value(500)
    app.number_input(key="rate-endless").set_value(4.5)
    app.number_input(key="seed-endless").set_value(7)
    app.button(key="start").click().run()
    assert client.started == [("endless", ()), ("endless", ("source.count=500", "source.rate_per_s=4.5", "run.seed=7"))]
    assert "process 4711" in words(app)


def test_a_paid_run_is_started_only_below_its_dry_run(app: AppTest, client: Client) -> None:
    client.view = View()
    app.run()
    app.selectbox(key="config").set_value("paid").run()
    app.button(key="start").click().run()
    assert not client.started
    assert "requests  2,000" in words(app)
    asked = dialog(draw_start)
    assert asked.button(key="start_paid").label == "Start, spend at most $3.00"
    asked.button(key="start_paid").click().run()
    assert client.started == [("paid", ["source.count=5"])]
    client.price = StartError("no such model")
    asked = dialog(draw_start)
    assert "No forecast: no such model" in words(asked)
    forge(asked, "start_paid")
    assert len(client.started) == 1


def test_what_cannot_be_started_is_said(app: AppTest, client: Client) -> None:
    client.view = View()
    app.run()
    app.selectbox(key="config").set_value("broken").run()
    app.button(key="start").click().run()
    assert "not started: GROQ_API_KEY in .env holds a blank" in words(app)
    client.configs["endless"].write_text("source: {kount: 1}\n")
    app.selectbox(key="config").set_value("endless").run()
    assert "kount" in words(app)


def test_who_is_in_control_can_give_it_up_and_others_can_enter_the_code(
    app: AppTest, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forms() -> str:
        app.run()
        return " ".join(element.proto.body for element in app.get("html")) + words(app)

    assert 'action="/lock"' in forms()
    client.in_control = False
    assert 'action="/unlock"' in forms()
    gate = Gate("right", lambda: 0.0, once=True)
    gate.open("right", gate.form())
    monkeypatch.setattr(shared, "gate", lambda: gate)
    assert "in use in another browser" in forms()
    monkeypatch.setattr(shared, "gate", lambda: Gate(None, lambda: 0.0))
    assert "View only: start the page with `helix monitor`" in forms()


def test_a_command_is_told_as_far_as_it_has_come() -> None:
    asked = CommandView("rate", 20.0, 1_700_000_000.0)
    assert outcome(asked) == "22:13:20 UTC rate 20: requested"
    taken = replace(asked, acknowledged_at=asked.asked_at + 0.11, accepted=True)
    assert outcome(replace(taken, in_effect_at=asked.asked_at + 1.24)).endswith("requested → acknowledged 0.1 s → in effect 1.2 s")
    assert outcome(replace(taken, accepted=False)).endswith("requested → refused 0.1 s")


def test_only_a_change_of_what_the_bar_shows_redraws_it(client: Client) -> None:
    before = situation(client.view)
    assert before == situation(View(replace(LIVE, as_of=LIVE.as_of + 1, control=ControlView(version=9, can_spike=True)), live=True))
    paused = View(replace(LIVE, control=ControlView(paused=True, can_spike=True)), live=True)
    assert len({before, situation(paused), situation(View()), situation(View(replace(LIVE, state="COMPLETE"), live=True))}) == 4
