"""The answer that a schema asks for, as text, whole or with the damage that was drawn for it."""

from __future__ import annotations

import json
from typing import NamedTuple

from helix_ray.emulator.caller import Call
from helix_ray.emulator.checks import AnswerForm

Calls = list[tuple[Call, float]]  # with confidence, 0..1


class Item(NamedTuple):
    """One read's part of an answer."""

    opaque_id: str
    calls: Calls
    read: int | None  # which of the request's reads; None: one that nobody asked for


class Fate(NamedTuple):
    """What became of one asked read's part."""

    fault: str | None  # what hit it on purpose; several joined by +
    usable: bool  # its own calls are in the answer, once, and under its id


UNHARMED = Fate(None, True)


class Sent(NamedTuple):
    """An answer as the client will be sent it."""

    content: str
    refused: bool  # then the content is the refusal
    fault: str | None  # every one that happened, joined by +
    fates: list[Fate]  # in the order asked


def write_answer(items: list[Item], form: AnswerForm, *, lower_case: bool = False, pos_text: bool = False) -> str:
    """The items as JSON: one object of them all when packed, else the first one; without any, a valid empty answer."""
    parts: list[str] = []
    for opaque_id, calls, _ in items:
        written = ",".join([_call(call, sure, lower_case, pos_text) for call, sure in calls])
        work = f'"work":{json.dumps(_work(calls))},' if form.work else ""
        parts.append(f'{{{work}"id":{json.dumps(opaque_id)},"calls":[{written}]}}')
    if form.packed:
        return f'{{"reads":[{",".join(parts)}]}}'
    return parts[0] if parts else write_answer([Item("", [], None)], form)


def _call(call: Call, sure: float, lower_case: bool, pos_text: bool) -> str:
    pos, ref, alt = call
    if lower_case:
        ref, alt = ref.lower(), alt.lower()
    shown = f'"{pos}"' if pos_text else pos
    return f'{{"pos":{shown},"ref":"{ref}","alt":"{alt}","confidence":{sure}}}'


def _work(calls: Calls) -> str:
    """What a model would note while it compares, in few words."""
    if not calls:
        return "Emulated: no difference."
    return "Emulated: " + "; ".join([f"{call.pos} {call.ref} to {call.alt}" for call, _ in calls]) + "."
