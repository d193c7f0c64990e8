"""Damage on purpose: what each fault does to an answer, which read it is recorded for, and that it happens at its rate."""

import json
from collections import Counter
from typing import Any

import pytest

from helix_ray.config.emulator import ANSWER_FAULTS, EmulatorConfig, EmulatorErrorRates, EmulatorFaults
from helix_ray.emulator.answers import FaultDraws
from helix_ray.emulator.chat import Admitted, Chat
from support.emulator_case import Asked, asked_reads, prompt

MODEL = "openai/gpt-oss-20b"
EXACT = EmulatorErrorRates(drop=0.0, shift=0.0, hallucinate=0.0)
CALM = [("calm0", "ACGTACGT", "ACGTACGT"), ("calm1", "ACCGTACGT", "ACCGTACGT")]


def schema(packed: bool, work: bool) -> dict[str, Any]:
    answer: dict[str, Any] = {"id": {"type": "string"}, "calls": {"type": "array", "items": {"type": "string"}}}
    properties = {"work": {"type": "string"}, **answer} if work else answer
    item = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    if not packed:
        return item
    reads = {"reads": {"type": "array", "items": item}}
    return {"type": "object", "properties": reads, "required": ["reads"], "additionalProperties": False}


class Service:
    """An emulator that is asked about some reads at a time."""

    def __init__(self, rates: EmulatorErrorRates = EXACT, seed: int = 1, **faults: float) -> None:
        config = EmulatorConfig(tier="unlimited", latency_scale=0.0, error_rates=rates, seed=seed, faults=EmulatorFaults(**faults))
        self.chat = Chat(config, MODEL, lambda: 0.0, lambda: 1_790_000_000.0)

    def ask(
        self, *asked: Asked, packed: bool = True, work: bool = False, format_: str = "indexed10", budget: int = 4096, form: bool = True
    ) -> dict[str, Any]:
        """The choice in the answer's body."""
        shape = {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema(packed, work)}}
        payload = {
            "model": MODEL,
            "messages": [{"role": "user", "content": prompt(format_, *asked)}],
            "max_completion_tokens": budget,
            "response_format": shape if form else None,
        }
        admitted = self.chat.begin("Bearer x", 0, json.dumps(payload).encode())
        assert isinstance(admitted, Admitted)
        (choice,) = json.loads(self.chat.finish(admitted, False).body)["choices"]
        return choice

    def content(self, *asked: Asked, **how: Any) -> Any:
        return json.loads(self.ask(*asked, **how)["message"]["content"])

    def entries(self) -> list[dict[str, Any]]:
        page: Any = self.chat.ledger.entries.page(0, 100_000)
        return page["entries"]

    def reads(self) -> list[dict[str, Any]]:
        page: Any = self.chat.ledger.reads.page(0, 100_000)
        return page["entries"]


def alleles(item: dict[str, Any]) -> list[tuple[int, str, str]]:
    return [(call["pos"], call["ref"], call["alt"]) for call in item["calls"]]


@pytest.mark.parametrize("work", [False, True])
@pytest.mark.parametrize("packed", [False, True])
def test_the_schema_decides_the_answers_form(packed: bool, work: bool):
    asked = asked_reads(3 if packed else 1)
    content = Service().content(*asked, packed=packed, work=work)
    items = content["reads"] if packed else [content]
    assert [item["id"] for item in items] == [opaque_id for opaque_id, _, _ in asked]
    for item in items:
        assert list(item) == (["work", "id", "calls"] if work else ["id", "calls"])
        assert len(item["calls"]) == 2
        assert not work or all(f"{call['pos']} {call['ref']} to {call['alt']}" in item["work"] for call in item["calls"])


def test_one_read_under_a_packed_schema_and_several_without_any():
    (read, *others) = asked_reads(3)
    assert [item["id"] for item in Service().content(read)["reads"]] == [read[0]]
    assert len(Service().content(read, *others, form=False)["reads"]) == 3
    assert Service().content(read, form=False)["id"] == read[0]


def test_several_reads_under_a_schema_for_one_are_not_understood():
    service = Service()
    assert service.content(*asked_reads(2), packed=False) == {"id": "", "calls": []}
    assert service.content(("a", "A?", "A")) == {"reads": []}
    assert service.chat.unparsed_prompts == 2


def test_a_read_is_answered_the_same_in_every_format_and_packing():
    rates = EmulatorErrorRates(drop=0.2, shift=0.2, hallucinate=0.5)
    asked = asked_reads(30)
    expected = {read[0]: Service(rates).content(read, packed=False)["calls"] for read in asked}
    for format_ in ("raw", "spaced", "grouped10", "paired_indexed", "assisted_aligned"):
        items = Service(rates).content(*asked[::-1], format_=format_, work=True, budget=60_000)["reads"]
        assert {item["id"]: item["calls"] for item in items} == expected


@pytest.mark.parametrize(
    ("fault", "start", "end"), [("prose", "Here is", "use it."), ("fenced", "```json\n{", "}\n```")], ids=["prose", "fenced"]
)
def test_text_around_the_json(fault: str, start: str, end: str):
    service = Service(**{fault: 1.0})
    asked = asked_reads(2)
    content = service.ask(*asked)["message"]["content"]
    assert content.startswith(start)
    assert content.endswith(end)
    inside = json.loads(content[content.index("{") : content.rindex("}") + 1])
    assert [alleles(item) for item in inside["reads"]] == [[tuple(call) for call in read["calls"]] for read in service.reads()]
    assert [read["fault"] for read in service.reads()] == [fault, fault]


def test_json_that_breaks_off():
    service = Service(cut_json=1.0)
    for read in asked_reads(50):
        choice = service.ask(read, packed=False)
        assert choice["finish_reason"] == "stop"
        assert choice["message"]["content"][0] == "{"
        with pytest.raises(json.JSONDecodeError):
            json.loads(choice["message"]["content"])
    assert {(read["fault"], read["calls"]) for read in service.reads()} == {("cut_json", None)}


def test_other_spellings_of_a_call():
    (read,) = asked_reads(1)
    plain = Service().content(read, packed=False)["calls"]
    lower = Service(lower_case=1.0).content(read, packed=False)["calls"]
    assert lower == [{**call, "ref": call["ref"].lower(), "alt": call["alt"].lower()} for call in plain]
    text = Service(pos_text=1.0).content(read, packed=False)["calls"]
    assert text == [{**call, "pos": str(call["pos"])} for call in plain]


def test_a_fault_that_finds_nothing_to_damage_did_not_happen():
    service = Service(**dict.fromkeys(("lower_case", "pos_text", "shuffle_ids", "drop_id", "repeat_id", "invent_id"), 1.0))
    assert service.content(CALM[0], packed=False) == {"id": "calm0", "calls": []}
    assert [entry["fault"] for entry in service.entries() + service.reads()] == [None, None]
    mixed = Service(lower_case=1.0)
    mixed.content(CALM[0], *asked_reads(1))
    assert [read["fault"] for read in mixed.reads()] == [None, "lower_case"]


def test_refusals_and_empty_answers():
    service = Service(refusal=1.0, prose=1.0)
    message = service.ask(*asked_reads(2))["message"]
    assert (message["content"], bool(message["refusal"])) == (None, True)
    assert {(read["fault"], read["calls"]) for read in service.reads()} == {("refusal", None)}
    service = Service(empty=1.0, drop_id=1.0)
    choice = service.ask(*asked_reads(2))
    assert (choice["message"]["content"], choice["finish_reason"]) == ("", "stop")
    assert [entry["fault"] for entry in service.entries()] == ["empty"]


def test_ids_in_another_order():
    service = Service(shuffle_ids=1.0)
    asked = asked_reads(4)
    truth = {item["id"]: item["calls"] for item in Service().content(*asked)["reads"]}
    for _ in range(30):
        items = service.content(*asked)["reads"]
        assert {item["id"]: item["calls"] for item in items} == truth
        assert [item["id"] for item in items] != list(truth)
    assert {read["fault"] for read in service.reads()} == {"shuffle_ids"}


def test_an_id_left_out():
    service = Service(drop_id=1.0)
    asked = asked_reads(3)
    left = {item["id"] for item in service.content(*asked)["reads"]}
    assert len(left) == 2
    assert {read["id"]: read["fault"] for read in service.reads()} == {id_: None if id_ in left else "drop_id" for id_, _, _ in asked}
    assert {read["id"] for read in service.reads() if read["calls"] is None} == {asked[index][0] for index in range(3)} - left
    assert service.content(asked[0]) == {"reads": []}


def test_an_id_that_comes_twice():
    service = Service(repeat_id=1.0)
    asked = asked_reads(3)
    truth = {item["id"]: item["calls"] for item in Service().content(*asked)["reads"]}
    items = service.content(*asked)["reads"]
    ((twice, count),) = [(id_, count) for id_, count in Counter(item["id"] for item in items).items() if count > 1]
    (foreign,) = [item["calls"] for item in items if item["id"] == twice and item["calls"] != truth[twice]]
    assert foreign in truth.values()
    assert (count, len(items)) == (2, 4)
    assert {read["id"]: (read["fault"], read["calls"] is None) for read in service.reads()} == {
        id_: ("repeat_id", True) if id_ == twice else (None, False) for id_ in truth
    }
    assert len(service.content(CALM[0])["reads"]) == 2


def test_an_id_that_nobody_asked_for():
    service = Service(invent_id=1.0)
    asked = asked_reads(3)
    (made_up,) = [item for item in service.content(*asked)["reads"] if item["id"] not in {id_ for id_, _, _ in asked}]
    assert made_up["calls"]
    assert len(made_up["id"]) == 16
    assert [entry["fault"] for entry in service.entries()] == ["invent_id"]
    assert [read["fault"] for read in service.reads()] == [None] * 3
    assert any(item["calls"] for item in service.content(*CALM)["reads"])


@pytest.mark.parametrize("packed", [False, True])
def test_a_single_read_under_another_id(packed: bool):
    service = Service(wrong_id=1.0)
    (read,) = asked_reads(1)
    content = service.content(read, packed=packed)
    assert (content["reads"][0] if packed else content)["id"] != read[0]
    assert [(row["fault"], row["calls"]) for row in service.reads()] == [("wrong_id", None)]
    service.content(*asked_reads(2))
    assert service.entries()[-1]["fault"] is None


def test_faults_happen_as_often_as_told_and_move_no_other():
    some, more = (FaultDraws(5, EmulatorFaults(**rates)) for rates in ({"prose": 0.2}, {"prose": 0.2, "drop_id": 0.4, "empty": 1.0}))
    first, second = ([set(faults.draw()) for _ in range(4000)] for faults in (some, more))
    assert ["prose" in drawn for drawn in first] == ["prose" in drawn for drawn in second]
    assert sum("prose" in drawn for drawn in second) / 4000 == pytest.approx(0.2, abs=0.03)
    assert sum("drop_id" in drawn for drawn in second) / 4000 == pytest.approx(0.4, abs=0.03)
    assert all("empty" in drawn for drawn in second)


def test_the_same_read_asked_again_draws_anew():
    service = Service(refusal=0.5)
    (read,) = asked_reads(1)
    assert {service.ask(read, packed=False)["message"]["content"] is None for _ in range(40)} == {True, False}


def test_every_mixture_is_written_up_as_it_was_sent():
    """The ledger against the answers: usable calls are there once and as recorded, no others are."""
    service = Service(EmulatorErrorRates(drop=0.2, shift=0.2, hallucinate=0.3), **dict.fromkeys(ANSWER_FAULTS[7:], 0.3))
    asked = asked_reads(300)
    happened: Counter[str] = Counter()
    for start in range(0, 300, 3):
        items = service.content(*asked[start : start + 3 if start % 2 else start + 1])["reads"]
        rows = service.reads()[-(3 if start % 2 else 1) :]
        for row in rows:
            mine = [item for item in items if item["id"] == row["id"]]
            happened.update((row["fault"] or "").split("+"))
            if row["calls"] is None:
                assert len(mine) != 1
            else:
                assert [alleles(item) for item in mine] == [[tuple(call) for call in row["calls"]]]
        happened.update((service.entries()[-1]["fault"] or "").split("+"))
    assert set(happened) == {"", *ANSWER_FAULTS[7:]}
    summary: Any = service.chat.summary()["faults"]
    assert set(summary) == set(ANSWER_FAULTS[7:])


def test_a_budget_that_cuts_the_answer_leaves_no_read_usable():
    service = Service()
    assert service.ask(*asked_reads(3), budget=250)["finish_reason"] == "length"
    assert [(read["fault"], read["calls"]) for read in service.reads()] == [(None, None)] * 3
