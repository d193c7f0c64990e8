"""From a prompt to the body of a 200: the reads' answers as text, damage on purpose, the token budget, the captured shape."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from helix_ray.config.emulator import ANSWER_FAULTS, EmulatorConfig, EmulatorFaults
from helix_ray.emulator.request import ANSWER_CHARS_PER_TOKEN, AnswerForm, ChatRequest, Pair, answer_tokens, parse_pairs
from helix_ray.emulator.scripted_model import Call, Draws, ScriptedAnswer, ScriptedModel
from helix_ray.emulator.timing import Timing

Calls = list[tuple[Call, float]]  # with confidence, 0..1


class Item(NamedTuple):
    """One read's part of an answer."""

    opaque_id: str
    calls: Calls
    read: int | None  # which of the request's reads; None: not asked for
    window: str = ""


class Fate(NamedTuple):
    """What became of one asked read's part."""

    fault: str | None  # what hit it on purpose; several joined by +
    usable: bool  # its own calls are in the answer, once, and under its id


class Sent(NamedTuple):
    """An answer as it goes to the client."""

    content: str
    refused: bool  # then the content is the refusal
    fault: str | None  # every one that happened, joined by +
    fates: list[Fate]  # in the order asked


def write_answer(items: list[Item], form: AnswerForm, *, lower_case: bool = False, pos_text: bool = False) -> str:
    """The items as JSON: one object of them all when packed, else the first one; without any, a valid empty answer."""
    parts: list[str] = []
    for opaque_id, calls, _, window in items:
        if form.excerpts:
            written = ",".join([_excerpts(call, sure, window, lower_case) for call, sure in calls])
        else:
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


def _excerpts(call: Call, sure: float, window: str, lower_case: bool) -> str:
    """The call among as many bases of the window, at least 6 on either side, as make it the only place of their kind."""
    before, ref, after = window[: call.pos - 1], call.ref, window[call.pos - 1 + len(call.ref) :]
    flank = 6
    while flank < len(window) and len(re.findall(f"(?={before[-flank:]}{ref}{after[:flank]})", window)) > 1:
        flank += 2
    shown = [f"{before[-flank:]}{allele}{after[:flank]}" for allele in (ref, call.alt)]
    ref, read = [text.lower() for text in shown] if lower_case else shown
    return f'{{"ref":"{ref}","read":"{read}","confidence":{sure}}}'


def _work(calls: Calls) -> str:
    """What a model would note while it compares, in few words."""
    if not calls:
        return "Emulated: no difference."
    return "Emulated: " + "; ".join([f"{call.pos} {call.ref} to {call.alt}" for call, _ in calls]) + "."


# ── damage ───────────────────────────────────────────────────────────────────────────────────────────────────────────────

REFUSAL = "I'm sorry, but I can't help with that."
_MADE_UP = [(Call(2, "A", "C"), 0.9)]

Drawn = dict[str, Draws]


class FaultDraws:
    """Draws every kind of fault once per request from a stream of its own, seeded by (seed, kind): setting one rate moves no
    other fault, and the same read asked again draws anew. A fault that finds nothing to damage (a position to write as text
    in an answer without calls) does not happen and is not recorded.
    """

    def __init__(self, seed: int, rates: EmulatorFaults) -> None:
        self._streams = [(name, rate, Draws(f"{seed}|fault|{name}")) for name in ANSWER_FAULTS if (rate := getattr(rates, name)) > 0]
        self._scripted = {name: Draws(f"{seed}|script|{name}") for name in ANSWER_FAULTS}

    def draw(self, scripted: str | None = None) -> Drawn:
        """The faults of the next request, each with the stream of its details. ``scripted``: one that hits it for certain."""
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
    for change in (damage.drop_id, damage.wrong_id, damage.repeat_id, damage.invent_id, damage.shuffle_ids):
        if change.__name__ in drawn:
            change(drawn[change.__name__])
    for name in ("lower_case", "pos_text"):
        damages = name != "pos_text" or not form.excerpts
        if name in drawn and damages and any(item.calls for item in damage.items):
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
    """Several faults as the ledger writes them."""
    return "+".join(name for name in names if name is not None) or None


class _Damage:
    """An answer while its ids are changed."""

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
        """The second part has the calls of another read, where there is one: a client that believes it mixes reads up."""
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


class Prepared(NamedTuple):
    pairs: list[Pair]  # empty: the prompt was not understood
    answers: list[ScriptedAnswer]  # one for each pair
    sent: Sent


class Answerer:
    def __init__(self, config: EmulatorConfig) -> None:
        self._model = ScriptedModel(config.seed, config.error_rates)
        self.faults = FaultDraws(config.seed, config.faults)

    def prepare(self, request: ChatRequest, scripted: str | None = None) -> Prepared:
        """Answer the reads of a prompt. Several reads under a schema for one are not understood, nor is a damaged prompt: the
        answer is then valid and empty. ``scripted``: the fault that hits this answer for certain.
        """
        pairs = parse_pairs(request.last_user_message)
        form = request.form or AnswerForm(packed=len(pairs) > 1, work=False)
        if len(pairs) > 1 and not form.packed:
            pairs = []
        answers = [self._model.answer(pair.ref, pair.read) for pair in pairs]
        items = [Item(pair.opaque_id, answer.calls, read, pair.ref) for read, (pair, answer) in enumerate(zip(pairs, answers, strict=True))]
        return Prepared(pairs, answers, damaged(items, form, self.faults.draw(scripted) if pairs else {}))


# Tokens of reasoning by effort: least, and how many more at most. Captured calls used about 36 at low and 130 at medium.
_REASONING = {"none": (0, 0), "low": (24, 24), "medium": (100, 64), "default": (100, 64), "high": (300, 200)}
_REASONING_TOKENS_PER_CALL = 6
_REASONING_TEXT = "Emulated reasoning: the pair is compared base by base and scripted errors are applied. " * 60

SYSTEM_FINGERPRINT = "fp_emulator00"
"""As long as a real one, and stored with every row: a scripted answer stays recognisable wherever it is copied."""

_CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]


class Text(NamedTuple):
    """What the model wrote, cut to its budget."""

    content: str
    refused: bool  # then the content is the refusal
    reasoning: str
    reasoning_tokens: int
    completion_tokens: int
    finish_reason: str


def write_text(request: ChatRequest, sent: Sent, answers: list[ScriptedAnswer]) -> Text:
    """Write the reasoning, read by read, and then the content. A budget too small for both cuts the content, as on the real
    service even in strict mode; one too small for the reasoning leaves no content.
    """
    reasoning, spread = _REASONING[request.effort]
    if reasoning:
        for answer in answers:
            reasoning += int(spread * answer.effort_draw) + _REASONING_TOKENS_PER_CALL * answer.true_calls
    content, budget, finish_reason = sent.content, request.max_completion_tokens, "stop"
    needed = reasoning + answer_tokens(content)
    if needed > budget:
        finish_reason, needed, reasoning = "length", budget, min(reasoning, budget)
        content = content[: (budget - reasoning) * ANSWER_CHARS_PER_TOKEN]
    return Text(content, sent.refused, _REASONING_TEXT[: 4 * reasoning], reasoning, needed, finish_reason)


class BodyWriter:
    """Writes success bodies in the shape of captured live responses; ids come from a seeded generator."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  ids, not secrets

    def request_id(self, unix_s: float) -> str:
        """``req_`` and a ULID: 48 bits of milliseconds, 80 random bits, in Crockford's base 32."""
        value = (int(unix_s * 1000) & (1 << 48) - 1) << 80 | self._random.getrandbits(80)
        return "req_" + "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])

    def success(self, request: ChatRequest, request_id: str, text: Text, cached: int, timing: Timing, unix_s: float) -> bytes:
        model = request.model.id
        uuid4 = UUID(int=self._random.getrandbits(128), version=4)
        seed = self._random.getrandbits(31) if request.seed is None else request.seed
        content = json.dumps(text.content)
        if text.refused:
            content = f'null,"refusal":{content}'
        cached_details = f'"prompt_tokens_details":{{"cached_tokens":{cached}}},' if cached else ""
        reasoning = f',"reasoning":{json.dumps(text.reasoning)}' if request.show_reasoning else ""
        return (
            f'{{"id":"chatcmpl-{uuid4}","object":"chat.completion","created":{int(unix_s)},"model":"{model}",'
            f'"choices":[{{"index":0,"message":{{"role":"assistant","content":{content}{reasoning}}},'
            f'"logprobs":null,"finish_reason":"{text.finish_reason}"}}],'
            f'"usage":{{"queue_time":{timing.queue_s:.9f},"prompt_tokens":{request.prompt_tokens},"prompt_time":{timing.prompt_s:.9f},'
            f'"completion_tokens":{text.completion_tokens},"completion_time":{timing.completion_s:.9f},'
            f'"total_tokens":{request.prompt_tokens + text.completion_tokens},"total_time":{timing.total_s:.9f},'
            f'{cached_details}"completion_tokens_details":{{"reasoning_tokens":{text.reasoning_tokens}}}}},'
            f'"usage_breakdown":null,"system_fingerprint":"{SYSTEM_FINGERPRINT}",'
            f'"x_groq":{{"id":"{request_id}","seed":{seed}}},"service_tier":"{request.service_tier}"}}'
        ).encode()
