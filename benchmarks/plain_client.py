"""What a user would write instead of the pipeline, for the same reads, prompts, answers and scores, without anything that saves money
or reads when a part dies: ``plain_client.py asyncio|ray-data``, with a JSON object of `Work` on standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson
import psycopg

from helix_ray.analysis.answers import ParsedAnswers, parse_answer
from helix_ray.analysis.judge import judge_calls
from helix_ray.analysis.payload import PayloadBuilder
from helix_ray.analysis.prompts import Ask, opaque_id, template_of
from helix_ray.config import Config
from helix_ray.providers.readings import Completion
from helix_ray.records import Read
from helix_ray.scoring.score import score_read
from helix_ray.sources.synthetic import SyntheticSource

TABLE = """CREATE TABLE plain (read_index bigint PRIMARY KEY, ref_seq text, seq text, answer text, variants jsonb,
    prompt_tokens int, completion_tokens int)"""
COPY = "COPY plain FROM STDIN"
BATCH = 500
ACTORS, BATCHES_AT_ONCE = 2, 4  # of Ray Data, which runs four batches of an asynchronous function at once in each actor


@dataclass
class Work:
    url: str
    database: str
    reads: int
    reads_per_request: int
    in_flight: int

    @property
    def max_completion_tokens(self) -> int:
        return max(512, 80 * self.reads_per_request)


Row = tuple[int, str, str, str, str, int, int]


class Asker:
    """Sends the requests of some reads, and makes their rows."""

    def __init__(self, work: Work) -> None:
        asked = {"reads_per_request": work.reads_per_request, "max_completion_tokens": work.max_completion_tokens}
        self.config = Config.model_validate({"source": {"count": work.reads}, "analyzer": asked})
        analyzer = self.config.analyzer
        self._template = template_of(analyzer)
        self._builder = PayloadBuilder(
            self._template,
            model=analyzer.model,
            seed=self.config.run.seed,
            max_completion_tokens=analyzer.max_completion_tokens,
            reasoning_effort=analyzer.reasoning_effort,
            service_tier="on_demand",
        )
        self._url = f"{work.url}/openai/v1/chat/completions"
        self._session = aiohttp.ClientSession(
            headers={"content-type": "application/json", "authorization": "Bearer no-key-is-needed-here"},
            connector=aiohttp.TCPConnector(limit=work.in_flight),
        )

    async def ask(self, reads: list[Read]) -> list[Row]:
        asks = [Ask(opaque_id("plain", read.read_index), read.ref_seq, read.seq) for read in reads]
        body, _ = self._builder.build(asks)
        async with self._session.post(self._url, data=orjson.dumps(body)) as response:
            response.raise_for_status()
            answer = orjson.loads(await response.read())
        choice, usage = answer["choices"][0], answer["usage"]
        completion = Completion(choice["message"]["content"], choice["finish_reason"], *6 * (None,))
        parsed = parse_answer(completion, [ask.opaque_id for ask in asks], packed=self._template.packed, work=self._template.work)
        answers = parsed.answers if isinstance(parsed, ParsedAnswers) else {}  # not asked again
        rows = []
        for read, ask in zip(reads, asks, strict=True):
            found = answers.get(ask.opaque_id)
            score = score_read(read, judge_calls(found.calls, read.ref_seq) if found else None, None)
            tokens = (usage["prompt_tokens"], usage["completion_tokens"])
            rows.append((read.read_index, read.ref_seq, read.seq, found.text if found else "", json.dumps(score.rows), *tokens))
        return rows

    async def close(self) -> None:
        await self._session.close()


async def store(connection: psycopg.AsyncConnection[Any], rows: list[Row]) -> None:
    async with connection.cursor() as cursor, cursor.copy(COPY) as copy:
        for row in rows:
            await copy.write_row(row)
    await connection.commit()


async def by_asyncio(work: Work) -> None:
    asker, slots = Asker(work), asyncio.Semaphore(work.in_flight)
    waiting: list[Row] = []

    async def one(reads: list[Read]) -> None:
        try:
            waiting.extend(await asker.ask(reads))
        finally:
            slots.release()

    async with await psycopg.AsyncConnection.connect(work.database) as connection, asyncio.TaskGroup() as group:
        async for reads in _packs(asker.config, work.reads_per_request):
            await slots.acquire()
            group.create_task(one(reads))
            if len(waiting) >= BATCH:
                rows, waiting[:] = list(waiting), []
                await store(connection, rows)
        for _ in range(work.in_flight):
            await slots.acquire()
        await store(connection, waiting)
    await asker.close()


async def _packs(config: Config, size: int) -> AsyncIterator[list[Read]]:
    source, index, left = SyntheticSource(config), 0, list[Read]()
    while (block := source.block(index)) is not None:
        left += block.rows()
        while len(left) >= size:
            yield left[:size]
            left = left[size:]
        index += 1
    if left:
        yield left


class DataActor:
    """One actor of Ray Data: asks about whole batches, several at once, and stores them."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._ready: asyncio.Task[tuple[Asker, psycopg.AsyncConnection[Any]]] | None = None
        self._storing = asyncio.Lock()
        self._slots = asyncio.Semaphore(work.in_flight // ACTORS)

    async def __call__(self, batch: dict[str, Any]) -> AsyncIterator[dict[str, Any]]:
        if self._ready is None:
            self._ready = asyncio.create_task(self._open())
        asker, connection = await self._ready
        source, size = SyntheticSource(asker.config), self._work.reads_per_request
        reads = [read for index in batch["id"] for read in (source.block(int(index)) or _nothing()).rows()]

        async def one(start: int) -> list[Row]:
            async with self._slots:
                return await asker.ask(reads[start : start + size])

        done = await asyncio.gather(*(one(start) for start in range(0, len(reads), size)))
        async with self._storing:
            await store(connection, [row for rows in done for row in rows])
        yield {"stored": [len(reads)]}

    async def _open(self) -> tuple[Asker, psycopg.AsyncConnection[Any]]:
        return Asker(self._work), await psycopg.AsyncConnection.connect(self._work.database)


def _nothing() -> Any:
    raise IndexError("the source has no such block")


def by_ray_data(work: Work) -> None:
    import ray  # noqa: PLC0415  plain asyncio does not pay for it
    import ray.data  # noqa: PLC0415

    ray.init(include_dashboard=False, log_to_driver=False)
    ray.data.DataContext.get_current().enable_progress_bars = False
    blocks = -(-work.reads // Config().source.batch_size)
    made = ray.data.range(blocks).map_batches(DataActor, fn_constructor_args=(work,), concurrency=ACTORS, batch_size=1, num_cpus=0.5)
    assert sum(row["stored"] for row in made.iter_rows()) == work.reads


def main() -> None:
    work = Work(**json.load(sys.stdin))
    with psycopg.connect(work.database, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS plain")
        connection.execute(TABLE)
    began = time.perf_counter()
    if sys.argv[1] == "asyncio":
        asyncio.run(by_asyncio(work))
    else:
        by_ray_data(work)
    seconds = time.perf_counter() - began
    with psycopg.connect(work.database) as connection:
        (rows,) = connection.execute("SELECT count(*) FROM plain").fetchone() or (0,)
    print(json.dumps({"seconds": seconds, "rows": rows}))


if __name__ == "__main__":
    main()
