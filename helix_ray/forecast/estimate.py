"""What a run will need, before it is started: requests, tokens, dollars, and its time at every limit.

Counting is exact where the source is (its length, how reads are shown) and a stated model elsewhere (`analysis/expected`). Each
limit is a bucket that is full at the start and refills all the time: a run that takes the amount A from a bucket of size L is kept
for (A + H - L) / L windows, where H is what the requests in flight hold at the end and will not use. The longest of these times
binds. What is left out: failures of the API, other users of the key, tokens that the provider has in its cache.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from helix_ray.analysis.prompts import Ask, PromptTemplate, get_prompt
from helix_ray.analysis.tokens import TokenEstimator
from helix_ray.config import Config
from helix_ray.forecast.expected import ROUND_TRIP_S, completion_tokens, latency_s, tokens_per_base
from helix_ray.forecast.workload import SampledRead, Workload
from helix_ray.providers.prices import Tariff, worst_case_usd
from helix_ray.providers.published_limits import WINDOW_S
from helix_ray.providers.readings import LIMIT_KINDS
from helix_ray.throttle.limits.limit_set import KINDS

SESSION_S = 2.5
"""From the start of the flow to its first request, and from the last answer to the report, together; Ray's own start not counted."""

REQUESTS_PER_CORE_S = 80.0
"""What one core carries of the whole pipeline, the emulator beside it: 160 requests a second were seen on two cores."""

REQUESTS_PER_WORKER_S = 160.0


@dataclass(frozen=True, slots=True)
class Service:
    """Who will answer. ``lanes``: the limits by kind of each service tier that may be used; an absent kind does not limit, or it is
    not known that it does.
    """

    name: str
    lanes: tuple[Mapping[str, float], ...]
    unpublished: tuple[str, ...] = ()
    tokens_per_s: float = 450.0  # of one answer
    latency_scale: float = 1.0
    round_trip_s: float = ROUND_TRIP_S
    refunds: bool = True  # reserved answer tokens that were not used go back to the limits


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


class Row(NamedTuple):
    """One limit. ``limit`` None: there is none, or it is not published."""

    name: str
    limit: float | None
    needs: float
    seconds: float
    said_by: str  # configuration | service | machine | not published | none


class Stop(NamedTuple):
    """What ends the run before its last read."""

    by: str
    records: int
    cost_usd: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Timing:
    """A run at one service."""

    service: str
    rows: list[Row]
    binding: str
    seconds: float  # of the flow, from the first read to the report
    latency_s: float  # of one request
    stops: list[Stop]  # the earliest first


@dataclass(frozen=True, slots=True)
class Forecast:
    records: int | None  # of the source; None: endless, then everything is what the cap pays for
    planned: int  # records that the figures are about
    demand: Demand
    cost_usd: float
    worst_usd: float
    tariff: Tariff
    timings: list[Timing]
    cut_off_share: float  # of the answers, expected not to fit into analyzer.max_completion_tokens


def foresee(
    config: Config, work: Workload, tariff: Tariff, services: Sequence[Service], cores: int, *, done: int = 0, spent_usd: float = 0.0
) -> Forecast:
    """``done``: records that have their row already, and ``spent_usd`` what they cost, of a run that is resumed."""
    per_read = _per_read(config, work.reads, tariff)
    per_record = per_read.times(work.analysed_share)
    price = tariff.price
    usd = per_record.prompt * float(price.prompt) + per_record.completion * float(price.completion)
    left_usd = max(0.0, config.throttle.max_cost_usd - spent_usd)
    worst_request = per_read.worst_usd / per_read.requests if per_read.requests else 0.0
    payable = int((left_usd - worst_request) / usd) if usd > 0 and left_usd > worst_request else 0 if usd > 0 else 10**12
    planned = payable if work.records is None else max(0, work.records - done)
    demand = per_record.times(planned)
    world = _World(config, per_record, usd, cores)
    timings = [world.timing(service, planned, payable) for service in services]
    cut_off = per_read.repairs / max(1e-9, per_read.requests - per_read.repairs) if per_read.requests else 0.0
    return Forecast(work.records, planned, demand, usd * planned, demand.worst_usd, tariff, timings, min(1.0, cut_off))


def _per_read(config: Config, reads: Sequence[SampledRead], tariff: Tariff) -> Demand:
    """The mean over the sampled reads, each weighed by how many it stands for."""
    asking = config.analyzer
    template = get_prompt(asking.prompt, examples=asking.examples, reads_per_request=asking.reads_per_request, work=asking.work)
    pricer = _Pricer(config, template, tariff)
    total, weight = Demand(), 0.0
    for start in range(0, len(reads), asking.reads_per_request):
        pack = reads[start : start + asking.reads_per_request]
        weight += sum(read.stands_for for read in pack)
        total = total.plus(pricer.demand(pack).times(sum(read.stands_for for read in pack) / len(pack)))
    return total.times(1 / weight) if weight else Demand()


class _Pricer:
    def __init__(self, config: Config, template: PromptTemplate, tariff: Tariff) -> None:
        self._asking = config.analyzer
        self._template = template
        self._estimator = TokenEstimator(template)
        self._margin = template.tokens_per_base - tokens_per_base(template.name, template.tokens_per_base)
        self._tariff = tariff

    def demand(self, pack: Sequence[SampledRead]) -> Demand:
        """Of one request about these reads, and of the repairs that its answer makes necessary."""
        room = self._asking.max_completion_tokens
        asked, fits = self._one(pack, room)
        if fits:
            return asked
        twice = min(2 * room, max(room, self._tariff.completion_limit or 2 * room))
        for read in pack:
            repair, _ = self._one([read], twice)
            asked = asked.plus(repair._replace(reads=0.0, repairs=1.0))
        return asked

    def _one(self, pack: Sequence[SampledRead], room: int) -> tuple[Demand, bool]:
        bases = sum(len(read.ref_seq) + len(read.seq) for read in pack)
        text = self._template.user_text([Ask("0" * 16, read.ref_seq, read.seq) for read in pack])
        ceiling = self._estimator.ceiling(text)
        wanted = completion_tokens(
            [read.calls for read in pack],
            effort=self._asking.reasoning_effort,
            packed=self._asking.reads_per_request > 1,
            work=self._asking.work,
        )
        worst_usd = float(worst_case_usd(self._tariff.price, ceiling, room))
        prompt = self._estimator.raw(bases, len(pack)) - self._margin * bases
        return Demand(len(pack), 1.0, 0.0, prompt, min(wanted, room), room, ceiling, worst_usd), wanted <= room


class _World:
    """Times of a configuration's requests; ``usd`` and ``per_record`` are for one record of the source."""

    def __init__(self, config: Config, per_record: Demand, usd: float, cores: int) -> None:
        self._config = config
        self._per_record = per_record
        self._usd = usd
        self._cores = cores
        self._slots = config.analyzer.workers * config.analyzer.requests_in_flight

    def timing(self, service: Service, records: int, payable: int) -> Timing:
        rows = self._rows(service, records)
        binding = max(rows, key=lambda row: row.seconds)
        stops = [self._stop(service, "throttle.max_cost_usd", payable)] if payable < records else []
        if self._config.throttle.on_daily_limit == "stop":
            stops += self._daily_stops(service, records)
        most_s = self._config.run.max_duration_s
        if most_s is not None and self._seconds(service, records) > most_s:
            stops.append(self._stop(service, "run.max_duration_s", self._within(service, records, most_s)))
        seconds = self._seconds(service, records)
        return Timing(service.name, rows, binding.name, seconds, self._latency_s(service), sorted(stops, key=lambda stop: stop.records))

    def _stop(self, service: Service, by: str, records: int) -> Stop:
        return Stop(by, records, self._usd * records, self._seconds(service, records))

    def _daily_stops(self, service: Service, records: int) -> list[Stop]:
        stops = []
        for kind in ("RPD", "TPD"):
            limit, _ = self._limit(service, kind)
            a_record = self._amount(service, kind)
            if limit is not None and a_record * records > limit:
                stops.append(self._stop(service, kind, int(limit / a_record)))
        return stops

    def _within(self, service: Service, records: int, seconds: float) -> int:
        """The most records that take no longer."""
        low, high = 0, records
        while low < high:
            middle = (low + high + 1) // 2
            low, high = (middle, high) if self._seconds(service, middle) <= seconds else (low, middle - 1)
        return low

    def _seconds(self, service: Service, records: int) -> float:
        if records <= 0 or self._per_record.requests == 0:
            return 0.0
        probe_and_last = 2 * self._latency_s(service)  # the first request goes out alone; the last one is granted at the very end
        return SESSION_S + probe_and_last + max(row.seconds for row in self._rows(service, records))

    def _rows(self, service: Service, records: int) -> list[Row]:
        demand = self._per_record.times(records)
        rows = []
        for kind in LIMIT_KINDS:
            limit, said_by = self._limit(service, kind)
            needs = self._amount(service, kind) * records
            seconds = 0.0
            if limit is not None:
                seconds = max(0.0, needs + self._held(service, kind, limit) - limit) / limit * WINDOW_S[kind]
            rows.append(Row(kind, limit, needs, seconds, said_by))
        busy_s = demand.requests * self._latency_s(service)
        rows.append(Row("requests in flight", self._slots, demand.requests, busy_s / self._slots, "configuration"))
        machine = min(REQUESTS_PER_CORE_S * self._cores, REQUESTS_PER_WORKER_S * self._config.analyzer.workers)
        rows.append(Row("this machine", machine, demand.requests, demand.requests / machine, "machine"))
        rate = self._config.source.rate_per_s
        if rate is not None:
            rows.append(Row("source.rate_per_s", rate, records, records / rate, "configuration"))
        return rows

    def _limit(self, service: Service, kind: str) -> tuple[float | None, str]:
        """Over all tiers that may be used, and who says so. A configured limit holds in each tier."""
        throttle = self._config.throttle
        own: int | None = getattr(throttle, KINDS[kind].config_key)
        total, said_by = 0.0, "none"
        for lane in service.lanes:
            theirs = lane.get(kind)
            if own is None and theirs is None:
                return None, "not published" if kind in service.unpublished else "none"
            configured = own is not None and (theirs is None or own <= theirs)
            said_by = "configuration" if configured else "service"
            total += float(own if configured and own is not None else theirs or 0.0)
        return throttle.safety_factor * total, said_by

    def _amount(self, service: Service, kind: str) -> float:
        """What one record takes."""
        one = self._per_record
        completion = one.completion if service.refunds else one.reserved
        return {"R": one.requests, "T": one.prompt + completion, "I": one.prompt, "O": completion}[kind[0]]

    def _held(self, service: Service, kind: str, limit: float) -> float:
        """Reserved by the requests in flight, as many as the limit lets there be, and not used in the end."""
        one = self._per_record
        if kind[0] not in "TO" or not service.refunds or one.requests == 0:
            return 0.0
        per_request = self._amount(service, kind) / one.requests
        at_pace = limit / WINDOW_S[kind] / per_request * self._latency_s(service) if per_request else 0.0
        return min(self._slots, max(1.0, at_pace)) * (one.reserved - one.completion) / one.requests

    def _latency_s(self, service: Service) -> float:
        one = self._per_record
        if one.requests == 0:
            return 0.0
        served_s = latency_s(one.prompt / one.requests, one.completion / one.requests, service.tokens_per_s)
        return service.latency_scale * served_s + service.round_trip_s
