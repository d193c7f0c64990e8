"""From a snapshot to what is drawn: our own HTML and text columns, no Streamlit, so that every state can be tested without a page.

Every text that is not ours passes `escape` here.
"""

from __future__ import annotations

import math
from html import escape

from helix_ray._dashboard.feed import View
from helix_ray._dashboard.words import UNKNOWN, about, clock, clock_short, number, percent, rate, spelled, usd
from helix_ray.client.measures import overall
from helix_ray.metrics.snapshot import BucketView, MetricsSnapshot, StageView
from helix_ray.metrics.state import throttle_lines
from helix_ray.records import FAILURE_KINDS

STALE_AFTER_S = 4  # as the animation in page.css
LOW_WATERMARK = 100
LOOKS = {  # a state's kind, for its colour, and its sign
    "STARTING": ("", "◌"),
    "RUNNING": ("is-good", "▶"),
    "PARKED": ("is-warn", "‖"),
    "PAUSED": ("is-warn", "‖"),
    "DRAINING": ("is-warn", "▼"),
    "STOPPING": ("is-warn", "■"),
    "DEGRADED": ("is-bad", "▲"),
    "COMPLETE": ("is-good", "✓"),
    "LIMITED": ("is-warn", "■"),
    "REFUSED": ("is-bad", "✗"),
    "STOPPED": ("is-warn", "■"),
    "FAILED": ("is-bad", "✗"),
}
LIMIT_WORDS = {
    "RPM": "requests a minute",
    "RPD": "requests a day",
    "TPM": "tokens a minute",
    "TPD": "tokens a day",
    "ITPM": "input tokens a minute",
    "OTPM": "output tokens a minute",
}
RUN_UNKNOWN = "Run unknown yet: the metrics have just restarted and were not told which run this is. Its numbers follow when they were."
"""Stands in place of them: unlabelled, scripted results could pass for a model's."""


def emulator_text(simulated: bool, latency_scale: float = 1.0) -> str | None:
    """The label that stands on every screen of simulated results; None for a real backend."""
    if not simulated:
        return None
    scaling = "" if latency_scale == 1 else f" (latencies scaled by {latency_scale:g})"
    return f"EMULATOR: scripted error rates; says nothing about any LLM{scaling}"


def late_banner(beat: int) -> str:
    """Its class alternates with each update, so that the browser begins its waiting time anew."""
    return (
        f'<div class="hx hx-late beat-{beat % 2}" role="alert">▲ No update for {STALE_AFTER_S} seconds: the page server does not answer. '
        "What you see is old; buttons may not work.</div>"
    )


def state_bar(view: View, told: str = "") -> str:
    """State, progress and the one thing that the run waits for. Grey, and "last seen", when the run no longer says so itself.

    ``told``: how far the last command has come.
    """
    snapshot = view.snapshot
    assert snapshot is not None
    run, gone = snapshot.run, view.stale or view.lost
    kind, sign = LOOKS.get(snapshot.state, ("", "◌"))
    word = f"LAST SEEN {snapshot.state}" if gone else snapshot.state
    by = [f"{escape(run.model)} by {escape(run.provider)}"] if run.provider is not None and not run.simulated else []
    done = [spelled(snapshot.elapsed_s)] if snapshot.elapsed_s is not None else []
    if snapshot.progress is not None:
        done.append(f"{100 * snapshot.progress:.0f} %" + (f", done in {about(snapshot.eta_s)}" if snapshot.eta_s is not None else ""))
    label = emulator_text(run.simulated, run.latency_scale)
    when = f"{clock_short(snapshot.as_of)} UTC" if view.live or view.lost else clock(snapshot.as_of)
    age = f" ({view.age_s:.0f} s ago)" if view.age_s >= 1 else ""
    return (
        f'<section class="hx hx-bar {"is-old" if gone else kind}" aria-label="State of the run"><div class="first">'
        f'<span class="state">{"?" if gone else sign} {escape(word)}</span><span class="name">{escape(run.name or run.run_id)}</span>'
        + "".join(f"<span>{part}</span>" for part in done + by)
        + '</div><div class="side">'
        + (f'<span class="hx-sim">{label}</span>' if label else "")
        + f"<span>as of {when}{age}</span></div>"
        f'<div class="second">{escape(_situation(view, snapshot))}</div><div class="told">{escape(told)}</div></section>'
    )


def top(view: View, *, starting: bool = False, code: int | None = None, tail: str = "", told: str = "") -> str:
    """The state bar, and how the run goes that was started here: ``code`` is its exit code, ``tail`` its last lines."""
    if starting and not view.live:
        return _plain("", "◌ STARTING", "A run is starting; Ray takes 5 to 20 seconds.")
    failed = "" if not code or view.live else (
        f'<div class="hx hx-card hx-failed"><span class="bad">▲ The run started here ended with exit code {code}.</span> '
        f"Its last lines:<pre>{escape(tail)}</pre></div>"
    )  # fmt: skip
    if view.snapshot is None:
        return failed + _plain("", "◌ NO RUN YET", view.problem or "No run has been seen in this home.")
    return failed + (state_bar(view, told) if view.snapshot.run.known else _plain("is-warn", "◌ RUN UNKNOWN", RUN_UNKNOWN))


def _plain(kind: str, word: str, text: str) -> str:
    """A state bar without a run."""
    return (
        f'<section class="hx hx-bar {kind}" aria-label="State of the run"><div class="first"><span class="state">{word}</span></div>'
        f'<div class="side"></div><div class="second">{escape(text)}</div></section>'
    )


def hello() -> str:
    """What stands on an empty page."""
    return (
        '<section class="hx hx-card hx-hello" aria-label="Nothing to show yet"><h2>No samples yet</h2>'
        "<p>This page shows whether reads flow, what holds them, what they cost, and whether the answers are right.</p>"
        '<a href="/start" target="_self">Start a run</a>'
        "<p class='soft'>The emulator needs no key and costs nothing. In a terminal: <code>helix run</code></p></section>"
    )


def _situation(view: View, snapshot: MetricsSnapshot) -> str:
    found, control = snapshot.bottleneck, snapshot.control
    if view.lost:
        return f"The run's process is gone: it was killed or has just ended. {view.problem or ''}"
    if view.stale:
        return f"The run has not answered for {view.age_s:.0f} seconds; what you see is old. {view.problem or ''}"
    if not view.live:
        return f"No live run: this is the last one, as the database has it. {snapshot.reason}"
    waits = found.name != "none" and snapshot.state == "RUNNING"
    words = f"Held by {found.name}: {found.reason}" if waits else snapshot.reason or "reads flow"
    pending = " · A command is acknowledged and not yet in effect everywhere." if control.adopted < control.version else ""
    return words + pending


def cells(view: View) -> str:
    """Six that answer: does it flow, what holds it, what does it cost, does the API answer, is it right? Below them the stages."""
    snapshot = view.snapshot
    assert snapshot is not None
    drawn = (_pulse(snapshot), _queue(snapshot), _throttle(snapshot), _money(snapshot), _llm(snapshot), _right(snapshot))
    old = ' class="hx-old"' if view.stale or view.lost else ""
    return f'<div{old}><div class="hx hx-cells">{"".join(drawn)}</div>{_stages(snapshot)}</div>'


def _cell(title: str, body: str, *notes: str) -> str:
    """``body`` and ``notes`` are HTML."""
    lines = "".join(f"<p>{note}</p>" for note in notes)
    return f'<section class="hx-card" aria-label="{title}"><h2>{title}</h2>{body}{lines}</section>'


def _figure(value: str, unit: str = "") -> str:
    return f'<div class="hx-figure">{value} <small>{unit}</small></div>'


def _meter(share: float | None, words: str, fill: str = "busy", at: float | None = None) -> str:
    mark = "" if at is None else f'<em style="--share:{at:.4f}"></em>'
    part = min(1.0, max(0.0, share)) if share is not None and math.isfinite(share) else 0.0
    return f'<div class="hx-meter" role="img" aria-label="{words}"><i style="--share:{part:.4f};--fill:var(--{fill})"></i>{mark}</div>'


def _pulse(snapshot: MetricsSnapshot) -> str:
    rates, totals, run = snapshot.rates, snapshot.totals, snapshot.run
    parts = (("in", rates.offered), ("LLM", rates.analysed), ("stored", rates.stored))
    flow = '<span class="arrow" aria-hidden="true">→</span>'.join(
        f'<span><span class="hx-figure">{rate(value)}</span><span class="soft">{name}</span></span>' for name, value in parts
    )
    of = f" of {number(run.reads_requested)}" if run.reads_requested else ""
    return _cell(
        "pulse, reads a second", f'<div class="hx-flow">{flow}</div>', f"<b>{number(totals.stored + run.rows_before)}</b>{of} reads stored"
    )


def _queue(snapshot: MetricsSnapshot) -> str:
    queue = snapshot.queue
    depth, blocked = queue.depth, bool(queue.blocked)
    state = (
        f'<span class="warn">‖ BLOCKED until {LOW_WATERMARK} left</span>' if blocked
        else "producers not blocked" if queue.blocked is not None else "not known"
    )  # fmt: skip
    share = None if depth is None else depth / queue.capacity
    return _cell(
        "queue, waiting reads",
        _figure(number(depth), f"/ {number(queue.capacity)}"),
        _meter(share, f"{number(depth)} of {number(queue.capacity)}", "blocked" if blocked else "busy", LOW_WATERMARK / queue.capacity),
        state,
        f'<span class="soft">most {number(queue.max_queue_depth)} · blocked {spelled(queue.blocked_seconds)}</span>',
    )


def binding_bucket(snapshot: MetricsSnapshot) -> BucketView | None:
    """The limit that requests wait for, else the one that has least left."""
    throttle = snapshot.throttle
    named = next((bucket for bucket in throttle.buckets if bucket.name == throttle.binding), None)
    return named or min((it for it in throttle.buckets if it.headroom is not None), key=lambda it: it.headroom or 0.0, default=None)


def _throttle(snapshot: MetricsSnapshot) -> str:
    throttle, bucket = snapshot.throttle, binding_bucket(snapshot)
    title = "throttle, limit used"
    if bucket is None or bucket.headroom is None:
        return _cell(title, _figure(UNKNOWN), '<span class="soft">no limit is known</span>')
    used, held = 1.0 - bucket.headroom, bucket.name == throttle.binding and throttle.waiting > 0
    name = escape(bucket.name)
    words = LIMIT_WORDS.get(bucket.kind, f"a {bucket.window}")
    gauge = (
        f'<div class="hx-gauge" role="img" aria-label="{percent(used, 0)} of {name} used" '
        f'style="--share:{used:.4f};--fill:var(--{"warn" if held else "busy"})"><b>{percent(used, 0)}</b></div>'
    )
    waits = f'<span class="warn">{number(throttle.waiting)} wait</span>' if throttle.waiting else "none waits"
    text = f"<div><p><b>{name}</b></p><p>{waits}</p></div>"
    others = " · ".join(f"{escape(it.name)} {percent(it.headroom, 0)}" for it in throttle.buckets if it is not bucket)
    return _cell(title, f'<div class="hx-dial">{gauge}{text}</div>', words, f'<span class="soft">left: {others or "no other limit"}</span>')


def _money(snapshot: MetricsSnapshot) -> str:
    money = snapshot.money
    cap = "no cap" if money.max_cost_usd is None else f"of {usd(money.max_cost_usd)}"
    pace = f"{usd(money.usd_per_hour)} an hour" if money.usd_per_hour is not None else "pace not known"
    left = f"cap in {about(money.cap_in_s)}" if money.cap_in_s is not None else f"reserved {usd(money.reserved_usd)}"
    near = money.share is not None and money.share >= 0.9
    words = f"{percent(money.share)} of the cap, {usd(money.reserved_usd)} of it reserved"
    return _cell("money", _figure(usd(money.spent_usd), cap), _meter(money.share, words, "bad" if near else "busy"), pace, left)


def _llm(snapshot: MetricsSnapshot) -> str:
    throttle, totals, latency = snapshot.throttle, snapshot.totals, snapshot.latency
    most = throttle.concurrency or snapshot.slots or None
    flight = f"{number(throttle.in_flight)} of {number(most)} in flight · {number(totals.http_429)} × 429"
    kinds = ", ".join(f"{kind} {number(count)}" for kind, count in totals.failures_by_kind)
    share = percent(totals.failures / totals.requests) if totals.requests else UNKNOWN
    failed = f'<span class="bad">▲ {share} fail</span>: {escape(kinds)}' if totals.failures else "no failures"
    return _cell("LLM, p95 latency", _figure(number(latency.p95), f"ms, p50 {number(latency.p50)}"), flight, failed, _door(snapshot))


def _door(snapshot: MetricsSnapshot) -> str:
    """Why nothing, or less, is sent just now."""
    throttle = snapshot.throttle
    if throttle.gate_closed_for_s > 0:
        return f'<span class="warn">‖ cooldown (429): {throttle.gate_closed_for_s:.1f} s</span>'
    words = next((f"{name}: {text}" for name, text in throttle_lines(snapshot)), None)
    return '<span class="soft">door open</span>' if words is None else f'<span class="warn">‖ {escape(words)}</span>'


def _right(snapshot: MetricsSnapshot) -> str:
    found, reads = overall(snapshot), number(snapshot.read_sums.reads)
    if found is None or found.f1 is None:
        return _cell("right?", _figure("no truth"), "these reads bring none,", "so F1 is not known")
    low, high = found.f1_interval or (None, None)
    interval = "" if low is None or high is None else f"95 %: {100 * low:.1f} to {100 * high:.1f}"
    return _cell(
        "right? F1 of the calls",
        _figure(f"{100 * found.f1:.1f}", "%"),
        interval,
        f"precision {_whole(found.precision)} · recall {_whole(found.recall)} %",
        f'<span class="soft">{reads} reads · aligner {percent(found.ceiling_f1)}</span>',
    )


def _whole(share: float | None) -> str:
    return UNKNOWN if share is None else f"{100 * share:.0f}"


def _stages(snapshot: MetricsSnapshot) -> str:
    """Each stage's time; the guilty one is the first that is busy and not blocked."""
    boxes = "".join(_stage(stage, snapshot.bottleneck.stage) for stage in snapshot.stages)
    return f'<div class="hx hx-stages" role="group" aria-label="Stages">{boxes}</div>' if boxes else ""


def _stage(stage: StageView, guilty: str | None) -> str:
    shares = (("busy", stage.busy), ("blocked", stage.blocked), ("idle", stage.idle))
    bar = "".join(f'<i class="{name}" style="--share:{share:.4f}"></i>' for name, share in shares if share)
    known = " · ".join(f"{name} {_whole(share)}" for name, share in shares if share is not None)
    words = f"{known} %" if known else "not known"
    here = stage.name == guilty
    mark = '<span class="warn">◆ holds the run</span>' if here else ""
    name = "database" if stage.name == "sink" else escape(stage.name)
    return (
        f'<div class="hx-stage{" guilty" if here else ""}"><div class="head"><b>{name}</b>{mark}</div>'
        f'<div class="hx-split" aria-hidden="true">{bar}</div><div class="soft">{words}</div></div>'
    )


def actor_columns(snapshot: MetricsSnapshot) -> dict[str, list[str]]:
    return {
        "actor": [actor.name for actor in snapshot.actors],
        "last heard": [f"{actor.last_seen_s:.0f} s ago" for actor in snapshot.actors],
        "memory MB": [number(actor.pss_mb) for actor in snapshot.actors],
        "restarts": [str(actor.restarts) for actor in snapshot.actors],
        "CPU, of a core": [percent(actor.cpu_share) for actor in snapshot.actors],
        "event loop late, ms": [number(actor.loop_lag_ms, 1) for actor in snapshot.actors],
    }


def bucket_columns(snapshot: MetricsSnapshot) -> dict[str, list[str]]:
    buckets = snapshot.throttle.buckets
    return {
        "limit": [bucket.name for bucket in buckets],
        "amount": [f"{number(bucket.limit)} a {bucket.window}" for bucket in buckets],
        "left": [number(bucket.credit) for bucket in buckets],
        "headroom": [percent(bucket.headroom) for bucket in buckets],
        "used": [percent(bucket.utilisation) for bucket in buckets],
    }


def api_columns(snapshot: MetricsSnapshot) -> dict[str, list[str]]:
    """What the throttle does about the API, and how the API fails."""
    totals, throttle, money = snapshot.totals, snapshot.throttle, snapshot.money
    share = percent(totals.resent / totals.requests) if totals.requests else UNKNOWN
    rows = [
        *throttle_lines(snapshot),
        ("in flight", f"{number(throttle.in_flight)} of {number(throttle.concurrency or snapshot.slots or None)} requests"),
        ("wait for a permit", f"{number(throttle.waiting)} requests, for {throttle.binding or 'nothing in particular'}"),
        ("on record as the most it can cost now", f"{number(money.authorised_usd, 4)} USD"),
        ("commit, p50 and p95", f"{number(snapshot.sink.commit_ms_p50)} ms and {number(snapshot.sink.commit_ms_p95)} ms"),
        ("sent again after a failure", f"{number(totals.resent)} requests, {share}"),
        *((FAILURE_KINDS.get(kind, kind), number(count)) for kind, count in totals.failures_by_kind),
        *((f"reads answered by tier {tier}", number(count)) for tier, count in totals.reads_by_tier),
    ]
    return {"what": [name for name, _ in rows], "now": [words for _, words in rows]}
