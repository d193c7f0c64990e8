"""One tiny completion, asked of the provider of a run: which assumptions of its dialect hold? Nothing here judges the model."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Final, NamedTuple

from helix_ray.analysis.answers import parse_answer
from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prompts import Ask, template_of
from helix_ray.analysis.tokens import TokenEstimator
from helix_ray.backends.chat import ChatReply
from helix_ray.backends.groq_client import open_chat
from helix_ray.config import Config
from helix_ray.environment.secrets import Secret
from helix_ray.errors import HelixError, StartError
from helix_ray.providers.dialects import dialect_of
from helix_ray.providers.prices import Tariff, cost_usd, worst_case_usd
from helix_ray.providers.readings import AnswerError, Completion

MAX_COMPLETION_TOKENS: Final = 256
WINDOW: Final = "ACGTTGCATGCCATGGTACCTAGGATCCAAGCTTGCATGCCTGCAGGTCGACTCTAGAGGATCCCC"
ASK: Final = Ask("check0000000000f", WINDOW, WINDOW[:30] + "T" + WINDOW[31:])


class UnansweredError(HelixError):
    """The completion was sent, and may have been billed, but no answer came."""


class Check(NamedTuple):
    assumption: str
    held: bool | None  # None: it could not be seen this time
    seen: str


class Probe:
    """``worst_usd``: what its completion costs at most. ``cost_usd``: what it did cost, once it was answered."""

    def __init__(self, config: Config, key: Secret | None, tariff: Tariff) -> None:
        asking = config.analyzer
        self._config, self._key, self._tariff = config, key, tariff
        self._template = template_of(asking)
        self.tokens = min(asking.max_completion_tokens, MAX_COMPLETION_TOKENS)
        self._payload, text = PayloadBuilder(
            self._template,
            model=asking.model,
            seed=config.run.seed,
            max_completion_tokens=self.tokens,
            reasoning_effort=asking.reasoning_effort,
            service_tier="flex" if asking.service_tier == "flex" else "on_demand",
        ).build([ASK])
        self._estimator = TokenEstimator(self._template)
        self.worst_usd = worst_case_usd(tariff.price, self._estimator.ceiling(text), self.tokens)
        self.cost_usd = Decimal(0)

    async def run(self) -> list[Check]:
        """StartError: nothing was sent. UnansweredError: no answer came."""
        chat, dialect = open_chat(self._config, self._key, 1), dialect_of(self._config.provider)
        try:
            reply = await chat.complete(self._payload, self._config.analyzer.request_timeout_s)
        finally:
            await chat.aclose()
        if not isinstance(reply, ChatReply):
            problem = f"no answer ({reply.error_kind}): {reply.message}"
            raise (StartError if reply.kind == "not_sent" else UnansweredError)(problem)
        names = ", ".join(name for name in dialect.body(self._payload, chat.form) if name not in ("model", "messages"))
        completion, refused = reply.reading.completion, f"{reply.status}: {reply.verdict.message[:300]}"
        accepted = 200 <= reply.status < 300
        checks = [Check(f"it takes {names}", accepted, "accepted" if accepted else refused), self._of_headers(reply)]
        if not isinstance(completion, Completion):
            return [*checks, Check("an answer is a completion", False, refused)]
        usage = completion.usage
        self.cost_usd = self.worst_usd if usage is None else cost_usd(self._tariff.price, usage)
        return [*checks, *self._of_answer(completion, chat.form)]

    def _of_headers(self, reply: ChatReply) -> Check:
        named = [name for name in reply.headers if "ratelimit" in name.replace("-", "")]
        understood = any(value is not None for value in reply.reading.limits)
        seen = ", ".join(named) or "none, as of most servers of one's own"
        return Check("limits in the headers are understood", understood if named else None, seen)

    def _of_answer(self, completion: Completion, form: str) -> list[Check]:
        usage, template = completion.usage, self._template
        answer = parse_answer(completion, [ASK.opaque_id], packed=template.packed, work=template.work)
        fault = answer if isinstance(answer, AnswerError) else next(iter(answer.faults.values()), None)
        usable = Check("the answer can be used", fault is None, "yes" if fault is None else f"{fault.kind}: {fault.message}")
        try:
            bare = isinstance(json.loads(completion.content), dict)
        except ValueError:
            bare = False
        kept = bare and not isinstance(answer, AnswerError) and (fault is None or answer.foreign > 0)  # another id keeps the form
        cut = completion.finish_reason == "length"
        if cut and self.tokens < self._config.analyzer.max_completion_tokens:
            usable = Check(usable.assumption, None, f"cut off at {self.tokens} tokens, the bound of this check; a run's is larger")
        checks = [Check(f"structured output: {form} is kept", None if form == "none" or cut else kept, completion.content[:160]), usable]
        if usage is None:
            return [*checks, Check("tokens are counted (usage)", False, "no usage: each request would count at its worst case")]
        ratio = usage.prompt / self._estimator.raw(len(ASK.ref_seq) + len(ASK.seq))
        near = Check("prompt tokens within 30 % of the estimate", 0.7 <= ratio <= 1.3, f"{usage.prompt} tokens, {ratio:.2f} of it")
        return [*checks, Check("tokens are counted (usage)", True, f"{usage.completion} of the answer"), near]
