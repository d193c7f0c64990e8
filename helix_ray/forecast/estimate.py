"""What a run will need, before it is started: requests, tokens, dollars, and its time at every limit.

Counts are exact where the source is; tokens and latency of answers follow a stated model, see the constants. Each limit is a bucket that
is full at the start and refills all the time: a run that takes the amount A from a bucket of size L needs (A + H - L) / L windows, where
H is what the requests in flight hold at the end and will not use. The longest of these times binds. Left out: failures of the API,
other users of the key, tokens that the provider has in its cache.
"""

from __future__ import annotations

import json
import math
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from helix_ray.analysis.prompts import Ask, template_of
from helix_ray.analysis.tokens import CHARACTERS_PER_TOKEN, TokenEstimator
from helix_ray.config import Config
from helix_ray.forecast.workload import AlignedCall, SampledRead, Workload
from helix_ray.providers.prices import Tariff, worst_case_usd
from helix_ray.providers.rate_limits import DAY_S, KINDS, LimitDefinition

SESSION_S: Final = 2.5  # from the start of the flow to its first request, and from the last answer to the report; without Ray's start
REQUESTS_PER_CORE_S: Final = 80.0  # of the whole pipeline with the emulator beside it: 160 a second were seen on two cores
REQUESTS_PER_WORKER_S: Final = 160.0
REASONING_TOKENS: Final = {"none": (0, 0), "low": (24, 12), "medium": (100, 32), "default": (100, 32), "high": (300, 100)}
"""By effort: once a request, and for each read. Seen on one prompt: 36 tokens at low, 132 at medium; high is a guess."""
REASONING_TOKENS_PER_CALL: Final = 6.0
ANSWER_CHARACTERS_PER_TOKEN: Final = 2.0  # as JSON of short strings and numbers has
PROMPT_S_PER_TOKEN: Final = 0.037e-3  # as captured from the live service, like the queue
QUEUE_S: Final = 0.005 * math.exp((math.log(40 / 5) / 2.3263) ** 2 / 2)
"""Mean of the log-normal queue: 5 ms in the median, 40 ms at the 99th percentile; 2.3263: the normal distribution's 99 % quantile."""
ROUND_TRIP_S: Final = 0.05  # to an API on the internet; 20 to 80 ms are usual
LEAST_TOKENS_PER_BASE: Final = {"indexed10": 0.728}
"""Where measurements differ between windows of different lengths; the templates have the greatest, since they reserve by it."""


@dataclass(frozen=True, slots=True)
class Service:
    """An API that may answer. ``tiers``: the limits by kind of each service tier that may be used."""

    name: str
    tiers: tuple[Mapping[str, float], ...]
    all_published: bool = True  # an absent kind does not limit; False: it is not known whether it does
    tokens_per_s: float = 450.0  # of one answer
    latency_scale: float = 1.0
    round_trip_s: float = ROUND_TRIP_S
    refunds: bool = True  # reserved answer tokens that were not used go back to the limits


class Resumed(NamedTuple):
    """What a stored run has done before it is resumed."""

    run_id: str
    reads_done: int
    cost_usd: float


class Demand(NamedTuple):
    """What the requests about some reads take; expected values, but for those called worst."""

    reads: float = 0.0  # analysed
    requests: float = 0.0
    repairs: float = 0.0  # of the requests: reads whose answer is cut off are asked about again, with twice the room
    prompt: float = 0.0  # tokens
    completion: float = 0.0
    reserved: float = 0.0  # completion tokens, used or not
    worst_prompt: float = 0.0
    worst_usd: float = 0.0

    def times(self, factor: float) -> Demand:
        return Demand(*(value * factor for value in self))

    def plus(self, other: Demand) -> Demand:
        return Demand(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class LimitRow(NamedTuple):
    """One limit. ``limit`` None: there is none, or it is not published."""

    name: str
    limit: float | None
    unit: str
    needs: float
    seconds: float
    said_by: str  # configuration | service | machine | not published | none


class Stop(NamedTuple):
    """What ends the run before its last read."""

    by: str
    after_records: int
    cost_usd: float
    seconds: float


class Timing(NamedTuple):
    """A run at one service, in figures rounded as they are shown."""

    name: str
    seconds: float  # of the flow, from the first read to the report
    binding: str
    latency_s: float  # of one request
    limits: list[LimitRow]
    stops: list[Stop]  # the earliest first


@dataclass(frozen=True, slots=True)
class Forecast:
    """Dollars are rounded as they are shown."""

    records: int | None  # of the source; None: endless, then everything is what the cap pays for
    planned: int  # records that the figures are about
    demand: Demand
    cost_usd: float
    per_1000_reads_usd: float | None
    worst_usd: float
    tariff: Tariff
    timings: list[Timing]
    cut_off_share: float  # of the answers, expected not to fit into analyzer.max_completion_tokens
    resumed: Resumed | None


def estimate(
    config: Config, work: Workload, tariff: Tariff, services: Sequence[Service], cores: int, resumed: Resumed | None = None
) -> Forecast:
    """The forecast of a run, or of what is left of a resumed one."""
    done, spent_usd = (resumed.reads_done, resumed.cost_usd) if resumed else (0, 0.0)
    per_read = _per_read(config, work.reads, tariff)
    per_record = per_read.times(work.analysed_share)
    usd = per_record.prompt * float(tariff.price.prompt) + per_record.completion * float(tariff.price.completion)
    payable = 10**12  # records
    if usd > 0:
        worst_request_usd = per_read.worst_usd / per_read.requests
        payable = max(0, int((config.throttle.max_cost_usd - spent_usd - worst_request_usd) / usd))
    planned = payable if work.records is None else max(0, work.records - done)
    demand, cost_usd = per_record.times(planned), usd * planned
    return Forecast(
        records=work.records,
        planned=planned,
        demand=demand,
        cost_usd=round(cost_usd, 6),
        per_1000_reads_usd=round(1000 * cost_usd / demand.reads, 6) if demand.reads else None,
        worst_usd=round(demand.worst_usd, 6),
        tariff=tariff,
        timings=[_Timer(config, per_record, usd, cores, service).timing(planned, payable) for service in services],
        cut_off_share=min(1.0, per_read.repairs / max(1e-9, per_read.requests - per_read.repairs)),
        resumed=resumed,
    )


def completion_tokens(reads: Sequence[Sequence[AlignedCall]], *, effort: str, packed: bool, work: bool) -> float:
    """Tokens of a whole answer, reasoning included, to a request about reads with these calls."""
    per_request, per_read = REASONING_TOKENS[effort]
    tokens = per_request + len('{"reads":[]}') / ANSWER_CHARACTERS_PER_TOKEN * packed
    for calls in reads:
        if per_request:
            tokens += per_read + REASONING_TOKENS_PER_CALL * len(calls)
        if work:
            said = " ".join([f"Reference position {pos} is {ref}, the read has {alt}." for pos, ref, alt in calls])
            tokens += len('"work":"",') / ANSWER_CHARACTERS_PER_TOKEN
            tokens += len(said or "The read equals the reference.") / CHARACTERS_PER_TOKEN
        items = [{"pos": pos, "ref": ref, "alt": alt, "confidence": 0.95} for pos, ref, alt in calls]
        tokens += len(json.dumps({"id": "0" * 16, "calls": items}, separators=(",", ":"))) / ANSWER_CHARACTERS_PER_TOKEN
    return tokens


def latency_s(prompt_tokens: float, answer_tokens: float, tokens_per_s: float) -> float:
    """Seconds at the API, without the network."""
    return QUEUE_S + PROMPT_S_PER_TOKEN * prompt_tokens + answer_tokens / tokens_per_s


def _per_read(config: Config, reads: Sequence[SampledRead], tariff: Tariff) -> Demand:
    """The mean over the sampled reads, each weighed by how many it stands for."""
    asking = config.analyzer
    template = template_of(asking)
    most_per_base, estimator = template.tokens_per_base, TokenEstimator(template)
    margin_per_base = most_per_base - (LEAST_TOKENS_PER_BASE.get(template.name, most_per_base) + most_per_base) / 2
    room = asking.max_completion_tokens
    twice = min(2 * room, max(room, tariff.completion_limit or 2 * room))

    def request(pack: Sequence[SampledRead], room: int) -> tuple[Demand, bool]:
        """What one request takes, and whether its answer fits into ``room`` tokens."""
        ceiling = estimator.ceiling(template.user_text([Ask("0" * 16, read.ref_seq, read.seq) for read in pack]))
        calls = [read.calls for read in pack]
        wanted = completion_tokens(calls, effort=asking.reasoning_effort, packed=asking.reads_per_request > 1, work=asking.work)
        bases = sum(len(read.ref_seq) + len(read.seq) for read in pack)
        prompt = estimator.raw(bases, len(pack)) - margin_per_base * bases
        worst_usd = float(worst_case_usd(tariff.price, ceiling, room))
        return Demand(len(pack), 1.0, 0.0, prompt, min(wanted, room), room, ceiling, worst_usd), wanted <= room

    total, weight = Demand(), 0.0
    for start in range(0, len(reads), asking.reads_per_request):
        pack = reads[start : start + asking.reads_per_request]
        demand, fits = request(pack, room)
        for read in [] if fits else pack:
            repair, _ = request([read], twice)
            demand = demand.plus(repair._replace(reads=0.0, repairs=1.0))
        stands_for = sum(read.stands_for for read in pack)
        weight += stands_for
        total = total.plus(demand.times(stands_for / len(pack)))
    return total.times(1 / weight) if weight else Demand()


class _Timer:
    """Times of a configuration's requests at one service; ``usd`` and ``per_record`` are for one record of the source."""

    def __init__(self, config: Config, per_record: Demand, usd: float, cores: int, service: Service) -> None:
        self._config, self._service, self._usd = config, service, usd
        self._per_record = one = per_record
        self._slots = config.analyzer.workers * config.analyzer.requests_in_flight
        self._machine = min(REQUESTS_PER_CORE_S * cores, REQUESTS_PER_WORKER_S * config.analyzer.workers)
        self._latency_s = 0.0
        if one.requests:
            served_s = latency_s(one.prompt / one.requests, one.completion / one.requests, service.tokens_per_s)
            self._latency_s = service.latency_scale * served_s + service.round_trip_s

    def timing(self, records: int, payable: int) -> Timing:
        rows = self._rows(records)
        ends = {"throttle.max_cost_usd": payable}  # what may end the run, after how many records
        if self._config.throttle.on_daily_limit == "stop":
            daily = [row for row in rows if row.name in KINDS and KINDS[row.name].window_s == DAY_S]
            ends |= {row.name: int(row.limit / self._amount(KINDS[row.name])) for row in daily if row.limit and row.needs > row.limit}
        most_s = self._config.run.max_duration_s
        if most_s is not None:
            ends["run.max_duration_s"] = bisect_right(range(1, records + 1), most_s, key=self._seconds)
        stops = [Stop(by, end, round(self._usd * end, 6), round(self._seconds(end), 1)) for by, end in ends.items() if end < records]
        return Timing(
            self._service.name,
            round(self._seconds(records), 1),
            max(rows, key=lambda row: row.seconds).name,
            round(self._latency_s, 3),
            [row._replace(needs=round(row.needs), seconds=round(row.seconds, 1)) for row in rows],
            sorted(stops, key=lambda stop: stop.after_records),
        )

    def _seconds(self, records: int) -> float:
        if records <= 0 or self._per_record.requests == 0:
            return 0.0
        probe_and_last = 2 * self._latency_s  # the first request goes out alone; the last one is granted at the very end
        return SESSION_S + probe_and_last + max(row.seconds for row in self._rows(records))

    def _rows(self, records: int) -> list[LimitRow]:
        rows = []
        for name, kind in KINDS.items():
            limit, said_by = self._limit(name)
            unit = kind.config_key.replace("_per_", " a ").replace("input_", "prompt ").replace("output_", "answer ")
            needs = self._amount(kind) * records
            seconds = 0.0 if limit is None else max(0.0, needs + self._held(kind, limit) - limit) / limit * kind.window_s
            rows.append(LimitRow(name, limit, unit, needs, seconds, said_by))
        requests, slots, machine = self._per_record.requests * records, self._slots, self._machine
        in_flight = "requests in flight"
        rows.append(LimitRow(in_flight, slots, in_flight, requests, requests * self._latency_s / slots, "configuration"))
        rows.append(LimitRow("this machine", machine, "requests/s", requests, requests / machine, "machine"))
        rate = self._config.source.rate_per_s
        if rate is not None:
            rows.append(LimitRow("source.rate_per_s", rate, "reads a second", records, records / rate, "configuration"))
        return rows

    def _limit(self, name: str) -> tuple[float | None, str]:
        """Over all tiers that may be used, and who says so. A configured limit holds in each tier."""
        own: int | None = getattr(self._config.throttle, KINDS[name].config_key)
        tiers = [tier.get(name) for tier in self._service.tiers]
        limits = [limit for limit in (own if theirs is None else min(theirs, own or theirs) for theirs in tiers) if limit is not None]
        if len(limits) < len(tiers):
            return None, "none" if self._service.all_published else "not published"
        return self._config.throttle.safety_factor * sum(limits), "configuration" if limits[-1] == own else "service"

    def _amount(self, kind: LimitDefinition) -> float:
        """What one record takes."""
        one = self._per_record
        completion = one.completion if self._service.refunds else one.reserved
        return kind.requests * one.requests + kind.prompt * one.prompt + kind.completion * completion

    def _held(self, kind: LimitDefinition, limit: float) -> float:
        """Reserved by the requests in flight, as many as the limit lets there be, and not used in the end."""
        one, per_record = self._per_record, self._amount(kind)
        if not kind.completion or not self._service.refunds or per_record == 0:
            return 0.0
        at_pace = limit / kind.window_s / (per_record / one.requests) * self._latency_s
        return min(self._slots, max(1.0, at_pace)) * (one.reserved - one.completion) / one.requests
