"""From a prompt to the answer that will be sent: the reads found in it, what the scripted model says, and the faults."""

from __future__ import annotations

from typing import NamedTuple

from helix_ray.config.emulator import EmulatorConfig
from helix_ray.config.faults import EmulatorFaults
from helix_ray.emulator.answers import UNHARMED, Item, Sent, write_answer
from helix_ray.emulator.checks import AnswerForm, ChatRequest
from helix_ray.emulator.faults import FaultDraws, damaged
from helix_ray.emulator.prompt import Pair, parse_pairs
from helix_ray.emulator.scripted_model import ScriptedAnswer, ScriptedModel


class Prepared(NamedTuple):
    pairs: list[Pair]  # empty: the prompt was not understood
    answers: list[ScriptedAnswer]  # one for each pair
    sent: Sent


class Answerer:
    def __init__(self, config: EmulatorConfig) -> None:
        self._model = ScriptedModel(config.seed, config.error_rates)
        self._seed = config.seed
        self._faults = FaultDraws(config.seed, config.faults)

    def set_faults(self, rates: EmulatorFaults) -> None:
        self._faults = FaultDraws(self._seed, rates)

    def prepare(self, request: ChatRequest, scripted: str | None = None) -> Prepared:
        """``scripted``: the fault that hits this answer for certain.

        Several reads under a schema that has room for one are not understood, as little as a damaged prompt is: the
        answer is then a valid empty one.
        """
        pairs = parse_pairs(request.last_user_message)
        form = request.form or AnswerForm(packed=len(pairs) > 1, work=False)
        if len(pairs) > 1 and not form.packed:
            pairs = []
        answers = [self._model.answer(pair.ref, pair.read) for pair in pairs]
        items = [Item(pair.opaque_id, answer.calls, read) for read, (pair, answer) in enumerate(zip(pairs, answers, strict=True))]
        drawn = self._faults.draw(scripted) if pairs else {}
        if drawn:
            return Prepared(pairs, answers, damaged(items, form, drawn))
        return Prepared(pairs, answers, Sent(write_answer(items, form), False, None, [UNHARMED] * len(pairs)))
