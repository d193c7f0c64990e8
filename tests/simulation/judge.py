"""Judges a simulated run from outside: by the source's manifest, the provider's ledger, the database and the times of death."""

from collections import Counter
from decimal import Decimal

from simulation.world import World

SENT_S = 1.0
"""Within which a request that was allowed before a fault leaves: its reply is on its way, and the message may be slow."""
SLOW_S = 3.1
NEVER = float("inf")


def violations(world: World) -> list[str]:
    """Empty: every promise was kept."""
    found = [f"defect: {what}" for what in world.defects]
    if world.ended is None:
        found.append(f"stuck: {world.plan.reads - len(world.database.rows)} reads without a row after {world.sessions} sessions")
    return [*found, *_rows(world), *_paid_again(world), *_money(world), *_limits(world), *_sends(world)]


def _rows(world: World) -> list[str]:
    found = []
    stored = world.database.ledger._run(world.run_id).reads
    written = Counter(index for inserted in world.database.inserted for index in inserted)
    found += [f"doubled: read {index} has {times} rows" for index, times in written.items() if times > 1]
    for read in world.manifest:
        row = stored.get(read.read_index)
        if row is None:
            found.append(f"lost: read {read.read_index}")
            continue
        truth = read.truth or ()
        called = [(it.pos, it.ref, it.alt) for it in row.variants if it.side == "call"]
        if row.disposition != "stored" or called != [(it.pos, it.ref, it.alt) for it in truth] or row.read.seq != read.seq:
            found.append(f"wrong: read {read.read_index} is {row.disposition} {row.error_kind} with {called}")
    if world.deepest > world.plan.capacity:
        found.append(f"queue: {world.deepest} reads waited, at most {world.plan.capacity} may")
    return found


def _paid_again(world: World) -> list[str]:
    """Requests that were put on record after an answer for one of their reads was on record, or its receiver had died with it."""
    database, found = world.database, []
    answers: dict[int, list[tuple[float, str]]] = {}
    for ask in world.provider.ledger:
        if ask.delivered is None or ask.client.died <= ask.delivered:
            continue
        known = min(database.receipts.get(ask.call_id, NEVER), ask.client.died)
        for index in ask.usable:
            answers.setdefault(index, []).append((known, ask.request_id))
    for ask in world.provider.ledger:
        at = database.checked.get(ask.call_id, ask.left)
        for index in ask.reads:
            known = [name for since, name in answers.get(index, ()) if since < at]
            if known:
                found.append(f"paid again: read {index} by {ask.request_id}, answered by {known[0]}")
            if database.rows.get(index, NEVER) < at:
                found.append(f"paid again: read {index} by {ask.request_id}, which had its row")
    return found


def _money(world: World) -> list[str]:
    found = []
    calls = world.database.ledger._run(world.run_id).calls
    asks = {ask.call_id: ask for ask in world.provider.ledger}
    for call_id, call in calls.items():
        ask = asks.get(call_id)
        billed = ask.billed_usd if ask is not None else Decimal(0)
        if call.state == "answered" and call.cost_usd != billed:
            found.append(f"books: {call_id} is booked at {call.cost_usd}, billed {billed}")
        if call.cost_usd < billed:
            found.append(f"books: {call_id} is booked below its bill")
    billed = sum((ask.billed_usd for ask in world.provider.ledger), Decimal(0))
    for since, cap in world.caps:
        spent = sum((ask.billed_usd for ask in world.provider.ledger if (ask.arrived or 0.0) <= since), Decimal(0))
        if spent > cap:
            found.append(f"budget: ${spent} billed, the cap was ${cap}")
    if billed > Decimal(str(world.max_cost_usd)):
        found.append(f"budget: ${billed} billed, the cap is ${world.max_cost_usd}")
    return found


def _limits(world: World) -> list[str]:
    """Limits that are configured are never met, and while the provider has closed, a probe at a time is sent."""
    met = [f"limits: {ask.request_id} met the limit of {ask.limited}" for ask in world.provider.ledger if ask.limited]
    for began, ended in world.provider.closings:
        asked = [ask for ask in world.provider.ledger if ask.arrived is not None and began <= ask.arrived < ended and ask.status == 429]
        if asked:
            told = asked[0].arrived + SENT_S  # type: ignore[operator]
            early = [ask for ask in asked if ask.arrived > told]  # type: ignore[operator]
            if len(early) > 1 and world.plan.calm:
                met.append(f"retry-after: {len(early)} requests before the time that the provider named")
    return met


def _sends(world: World) -> list[str]:
    found = []
    for ask in world.provider.ledger:
        if world.database.checked.get(ask.call_id, NEVER) > ask.left:
            found.append(f"not on record: {ask.request_id} was sent before its record")
        for died, resumed in world.driver_deaths:
            if died + SLOW_S < ask.left < resumed or (not world.plan.slow and died + 0.2 < ask.left < resumed):
                found.append(f"sent without a driver: {ask.request_id}, {ask.left - died:.1f} s after its death")
    return found
