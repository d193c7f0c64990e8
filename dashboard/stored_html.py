"""What the database has, as our own HTML and text columns: reconciliation, one read's story, a run's books. No Streamlit."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from helix_ray._dashboard.reads import KIND_WORDS, SIGNS, whole
from helix_ray._dashboard.words import UNKNOWN, clock, number, usd
from helix_ray.client.past_run import provider_of
from helix_ray.client.stored import DeadLetter, ReadStory, RunBooks, RunSummary
from helix_ray.config.schema import prompt_name
from helix_ray.metrics.recent import Mark, marks_of
from helix_ray.metrics.snapshot import FINAL_STATES, MetricsSnapshot
from helix_ray.records import ApiCall


def reconciliation(snapshot: MetricsSnapshot) -> str:
    """Every read that was admitted is somewhere: the difference is 0."""
    queue, totals, run, sink = snapshot.queue, snapshot.totals, snapshot.run, snapshot.sink
    over = snapshot.state in FINAL_STATES
    rows = totals.stored + run.rows_before
    admitted = totals.produced + run.rows_before
    waiting, leased = queue.depth or 0, max(0, (queue.leased or 0) - (sink.unacked or 0))
    difference = admitted - waiting - leased - rows
    parts = [
        ("admitted", admitted, ""),
        ("wait", waiting, "−"),
        ("in flight", leased, "−"),
        ("final rows", rows, "−"),
        ("difference", difference, "="),
    ]
    cells = "".join(
        f'<div><span class="hx-sum{" bad" if name == "difference" and value and over else ""}">{sign} {number(value)}</span>'
        f'<span class="soft">{name}</span></div>'
        for name, value, sign in parts
    )
    moving = (
        ""
        if over or not difference
        else "The counters are up to a second apart while reads move; paused, and at the end, the difference is 0."
    )
    dead = f"{number(totals.dead_letters)} of the final rows are dead letters."
    return (
        '<section class="hx hx-card" aria-label="Reconciliation"><h2>reconciliation, reads</h2>'
        f'<div class="hx-flow wide">{cells}</div><p>{dead} {moving}</p></section>'
    )


def story_marks(story: ReadStory) -> tuple[Mark, ...]:
    """What was found, missed and invented, with the sequencing errors beside it."""
    errors = [Mark(it.pos, it.ref, it.alt, it.type, "other") for it in story.result.read.errors or ()]
    return tuple(sorted([*marks_of(story.result.variants), *errors], key=lambda mark: mark.pos))


def story(told: ReadStory) -> str:
    """The alignment, and what became of the read."""
    result, read = told.result, told.result.read
    facts = [
        ("read", f"#{read.read_index:,} {escape(read.read_id)}"),
        ("ending", escape(result.disposition.value.replace("_", " ") + (f": {result.error_kind}" if result.error_kind else ""))),
        ("place", f"{escape(read.contig or UNKNOWN)}:{read.ref_start:,} ({escape(read.strand)}), 0-based"),
        ("latency", f"{number(result.latency_ms)} ms, {number(result.queue_ms)} ms in the queue"),
        ("attempts", f"{result.attempts}, repairs {result.repairs}"),
        ("cost", f"${result.cost_usd:.8f}, its share of {len(told.requests)} requests"),
        ("finished", clock(result.finished_at.timestamp() if result.finished_at else None)),
    ]
    listed = "".join(f"<div><span class='soft'>{name}</span> <b>{value}</b></div>" for name, value in facts)
    reason = f'<p class="bad">▲ {escape(result.error)}</p>' if result.error else ""
    rows = whole(read.ref_seq or "", read.seq or "", story_marks(told))
    legend = " ".join(f'<span class="{kind}">{SIGNS[kind]} {KIND_WORDS[kind]}</span>' for kind in SIGNS)
    return f'<section class="hx hx-card" aria-label="One read"><div class="hx-facts">{listed}</div>{reason}<p>{legend}</p>{rows}</section>'


def variant_columns(told: ReadStory) -> dict[str, list[str]]:
    rows = told.result.variants
    return {
        "side": ["aligner" if it.side == "baseline" else "model" if it.side == "call" else it.side for it in rows],
        "position": [str(it.pos) for it in rows],
        "change": [f"{it.ref}>{it.alt}" for it in rows],
        "type": [it.type or "invalid" for it in rows],
        "match": [it.match or UNKNOWN for it in rows],
        "confidence": [number(it.confidence, 2) for it in rows],
        "outcome": [it.outcome or UNKNOWN for it in rows],
        "reason": [it.reason or "" for it in rows],
    }


def request_columns(requests: Sequence[ApiCall]) -> dict[str, list[str]]:
    """Every request about a read and what it cost as a whole, with the other reads in it."""
    return {
        "asked, UTC": [clock(it.created_at.timestamp() if it.created_at else None) for it in requests],
        "kind": [it.kind for it in requests],
        "attempt": [str(it.attempt) for it in requests],
        "state": [it.state.value.replace("_", " ") for it in requests],
        "HTTP": [UNKNOWN if it.status is None else str(it.status) for it in requests],
        "reads in it": [str(len(it.read_indices)) for it in requests],
        "tokens, prompt and answer": [f"{it.prompt_tokens:,} and {it.completion_tokens:,}" for it in requests],
        "cost, USD": [f"{it.cost_usd:.8f}" for it in requests],
        "latency, ms": [number(it.latency_ms) for it in requests],
        "error": [it.error_kind or "" for it in requests],
    }


def dead_letter_columns(letters: Sequence[DeadLetter]) -> dict[str, list[str]]:
    return {
        "read": [str(it.read_index) for it in letters],
        "id": [it.read_id for it in letters],
        "why": [it.error_kind or UNKNOWN for it in letters],
        "in its own words": [it.error or "" for it in letters],
        "attempts": [str(it.attempts) for it in letters],
        "finished, UTC": [clock(it.finished_at.timestamp()) for it in letters],
    }


def run_card(books: RunBooks, dashboard_url: str | None, report: str | None) -> str:
    """What the run is, how it stands, and where more of it is found."""
    run, counts = books.run, books.counts
    asking = run.config["analyzer"]
    facts = [
        ("run", escape(run.run_id)),
        ("name", escape(run.name)),
        ("status", run.status.value),
        ("started", clock(run.started_at.timestamp())),
        ("finished", clock(run.finished_at.timestamp() if run.finished_at else None)),
        ("resumes", str(run.resumes)),
        ("backend", escape(run.backend)),
        ("provider", escape(provider_of(run) or UNKNOWN)),
        ("model", escape(str(asking["model"]))),
        ("prompt", escape(prompt_name(asking["prompt"]))),
        ("seed", str(run.seed)),
        ("rows", number(run.rows)),
        ("requests", f"{number(counts.requests)}, {number(counts.http_429)} × 429"),
        ("cost", usd(float(run.cost_usd))),
        ("configuration", f"SHA-256 {escape(run.config_hash[:16])}"),
    ]
    listed = "".join(f"<div><span class='soft'>{name}</span> <b>{value}</b></div>" for name, value in facts)
    versions = "".join(
        f"<div><span class='soft'>{escape(name)}</span> <b>{escape(value)}</b></div>" for name, value in run.versions.items()
    )
    places = [
        f"<p><span class='soft'>HTML report</span> <code>{escape(report)}</code></p>"
        if report
        else "<p class='soft'>The report is written at the run's end.</p>"
    ]
    if dashboard_url:
        places.append(
            f'<p><a href="{escape(dashboard_url)}" target="_blank" rel="noopener noreferrer">Ray\'s dashboard</a> '
            "<span class='soft'>asks for the token in the file that run.json names as token_path</span></p>"
        )
    return (
        f'<section class="hx hx-card" aria-label="The run"><h2>run</h2><div class="hx-facts">{listed}</div><h2>versions and prices</h2>'
        f'<div class="hx-facts">{versions}</div><h2>more of it</h2>{"".join(places)}</section>'
    )


def command_columns(books: RunBooks) -> dict[str, list[str]]:
    """Every command: requested, acknowledged, in effect; newest first."""
    rows = books.commands[::-1]

    def after(index: int, name: str) -> str:
        event, outcome = rows[index]
        at = getattr(outcome, name)
        return UNKNOWN if at is None else f"{(at - event.asked_at).total_seconds():.1f} s"

    return {
        "requested, UTC": [clock(event.asked_at.timestamp()) for event, _ in rows],
        "command": [event.action for event, _ in rows],
        "by": [event.actor for event, _ in rows],
        "from": [outcome.value_from or event.value_from or "" for event, outcome in rows],
        "to": [outcome.value_to or event.value_to or "" for event, outcome in rows],
        "answer": [{None: "none yet", True: "accepted", False: "refused"}[outcome.accepted] for _, outcome in rows],
        "acknowledged after": [after(index, "acknowledged_at") for index in range(len(rows))],
        "in effect after": [after(index, "in_effect_at") for index in range(len(rows))],
        "message": [outcome.message or "" for _, outcome in rows],
    }


def run_columns(runs: Sequence[RunSummary]) -> dict[str, list[str]]:
    return {
        "run": [run.run_id for run in runs],
        "name": [run.name for run in runs],
        "status": [run.status.value for run in runs],
        "backend": [f"{run.backend} (simulated)" if run.simulated else run.backend for run in runs],
        "reads": [number(run.rows) for run in runs],
        "cost, USD": [f"{run.cost_usd:.4f}" for run in runs],
        "started, UTC": [clock(run.started_at.timestamp()) for run in runs],
    }
