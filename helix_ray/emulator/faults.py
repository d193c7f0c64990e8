"""Damage done to answers on purpose: to their text, and to the ids in them.

Every kind of fault is drawn once per request from a stream of its own, seeded by (seed, kind): setting one rate moves no
other fault, and the same read asked again draws anew. A fault that finds nothing to damage (a position to write as text in
an answer without calls) does not happen and is not recorded.
"""

from __future__ import annotations

from collections.abc import Sequence

from helix_ray.config.faults import ANSWER_FAULTS, EmulatorFaults
from helix_ray.emulator.answers import Fate, Item, Sent, write_answer
from helix_ray.emulator.caller import Call
from helix_ray.emulator.checks import AnswerForm
from helix_ray.emulator.draws import Draws

NAMES = ANSWER_FAULTS
REFUSAL = "I'm sorry, but I can't help with that."
_MADE_UP = [(Call(2, "A", "C"), 0.9)]

Drawn = dict[str, Draws]


class FaultDraws:
    def __init__(self, seed: int, rates: EmulatorFaults) -> None:
        given = rates.model_dump()
        self._streams = [(name, given[name], Draws(f"{seed}|fault|{name}")) for name in NAMES if given[name] > 0]
        self._scripted = {name: Draws(f"{seed}|script|{name}") for name in NAMES}

    def draw(self, scripted: str | None = None) -> Drawn:
        """The faults of the next request, each with the stream that decides its details; mostly none. ``scripted``: one that
        hits it for certain.
        """
        drawn = {name: stream for name, rate, stream in self._streams if stream.uniform() < rate}
        if scripted is not None:
            drawn.setdefault(scripted, self._scripted[scripted])
        return drawn


def damaged(items: list[Item], form: AnswerForm, drawn: Drawn) -> Sent:
    """The answer made of ``items`` with the drawn faults, as many of them as find something to damage."""
    reads = len(items)
    for whole, content in (("refusal", REFUSAL), ("empty", "")):
        if whole in drawn:
            return Sent(content, whole == "refusal", whole, [Fate(whole, False)] * reads)
    damage = _Damage(items, form)
    for name, change in _OF_IDS.items():
        if name in drawn:
            change(damage, drawn[name])
    for name in ("lower_case", "pos_text"):
        if name in drawn and any(item.calls for item in damage.items):
            damage.note(name, *(item.read for item in damage.items if item.calls))
    text = write_answer(damage.items, form, lower_case="lower_case" in drawn, pos_text="pos_text" in drawn)
    if "cut_json" in drawn:
        text = text[: 1 + drawn["cut_json"].below(len(text) - 1)]
        damage.usable = [False] * reads
    if "fenced" in drawn:
        text = f"```json\n{text}\n```"
    if "prose" in drawn:
        text = f"Here is what I found.\n{text}\nPlease check it before you use it."
    for name in ("cut_json", "fenced", "prose"):
        if name in drawn:
            damage.note(name, *range(reads))
    fates = [Fate(joined(names), usable) for names, usable in zip(damage.by_read, damage.usable, strict=True)]
    return Sent(text, False, joined(damage.names), fates)


def joined(names: Sequence[str | None]) -> str | None:
    """As the ledger writes several faults."""
    return "+".join(name for name in names if name is not None) or None


class _Damage:
    """An answer while its ids are being tampered with."""

    def __init__(self, items: list[Item], form: AnswerForm) -> None:
        self.items = list(items)
        self.packed = form.packed
        self.names: list[str] = []
        self.by_read: list[list[str]] = [[] for _ in items]
        self.usable = [True] * len(items)

    def note(self, name: str, *reads: int | None) -> None:
        self.names.append(name)
        for read in dict.fromkeys(reads):
            if read is not None:
                self.by_read[read].append(name)

    def drop_id(self, draws: Draws) -> None:
        if self.packed:
            self._lose("drop_id", self.items.pop(draws.below(len(self.items))))

    def wrong_id(self, draws: Draws) -> None:
        if len(self.items) == len(self.by_read) == 1:
            self.items[0] = self.items[0]._replace(opaque_id=self._foreign_id(draws))
            self.usable[0] = False
            self.note("wrong_id", 0)

    def repeat_id(self, draws: Draws) -> None:
        """The second part has the calls of another read, where there is one: whoever believes it mixes reads up."""
        if self.packed and self.items:
            chosen = self.items[draws.below(len(self.items))]
            others = [item.calls for item in self.items if item is not chosen and item.calls] or [_MADE_UP]
            self._insert(chosen._replace(calls=others[draws.below(len(others))]), draws)
            self._lose("repeat_id", chosen)

    def invent_id(self, draws: Draws) -> None:
        if self.packed:
            others = [item.calls for item in self.items if item.calls] or [_MADE_UP]
            self._insert(Item(self._foreign_id(draws), others[draws.below(len(others))], None), draws)
            self.note("invent_id")

    def shuffle_ids(self, draws: Draws) -> None:
        if len({item.opaque_id for item in self.items}) > 1:
            before = list(self.items)
            for last in range(len(before) - 1, 0, -1):
                other = draws.below(last + 1)
                self.items[last], self.items[other] = self.items[other], self.items[last]
            if self.items == before:
                self.items.append(self.items.pop(0))
            self.note("shuffle_ids", *(item.read for item in before))

    def _foreign_id(self, draws: Draws) -> str:
        """Of the shape of an opaque id, and none of the request's."""
        asked = {item.opaque_id for item in self.items}
        while (made := f"{draws.bits():016x}") in asked:
            pass
        return made

    def _insert(self, item: Item, draws: Draws) -> None:
        self.items.insert(draws.below(len(self.items) + 1), item)

    def _lose(self, name: str, item: Item) -> None:
        if item.read is not None:
            self.usable[item.read] = False
        self.note(name, item.read)


_OF_IDS = {
    "drop_id": _Damage.drop_id,
    "wrong_id": _Damage.wrong_id,
    "repeat_id": _Damage.repeat_id,
    "invent_id": _Damage.invent_id,
    "shuffle_ids": _Damage.shuffle_ids,
}
