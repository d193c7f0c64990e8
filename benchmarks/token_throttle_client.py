"""Requests through the OpenAI SDK behind token-throttle, in an environment of their own; run by sdk_client.py.

Reads one JSON object from standard input and prints how many records were delivered.
"""

import asyncio
import json
import sys

from openai import AsyncOpenAI, OpenAIError
from token_throttle import MemoryBackendBuilder, PerModelConfig, Quota, RateLimiter, UsageQuotas

RETRIES = 10


async def ask_all(url, quotas, requests, in_flight, deadline_s):
    """``quotas``: (metric, limit, seconds) each. ``requests``: number of records, reserved tokens and body each."""
    limits = UsageQuotas([Quota(metric=metric, limit=limit, per_seconds=seconds) for metric, limit, seconds in quotas])
    limiter = RateLimiter(PerModelConfig(quotas=limits), backend=MemoryBackendBuilder())
    metrics = {metric for metric, _, _ in quotas}
    slots = asyncio.Semaphore(in_flight)
    delivered = 0

    def usage(tokens):
        return {metric: amount for metric, amount in (("requests", 1), ("tokens", tokens)) if metric in metrics}

    async def ask(create, records, tokens, body):
        nonlocal delivered
        try:
            async with slots, limiter.reserve(usage(tokens), model=body["model"], usage_on_error=usage(0)) as reserved:
                answer = await create(**body)
                reserved.set_actual_usage(usage(answer.usage.total_tokens))
        except OpenAIError:
            return
        delivered += records

    async with AsyncOpenAI(api_key="no-key-is-needed-here", base_url=f"{url}/openai/v1", max_retries=RETRIES) as client:
        create = client.chat.completions.create
        await client.models.list()
        try:
            async with asyncio.timeout(deadline_s):
                # Its bucket refills from the first reservation, the server's from the first arrival. Without imports and a connection
                # beforehand and the first request alone, these are 0.1 s apart, and three in four requests are refused once.
                await ask(create, *requests[0])
                await asyncio.gather(*(ask(create, *request) for request in requests[1:]))
        except TimeoutError:
            pass  # what was delivered by then counts
    return delivered


if __name__ == "__main__":
    print(asyncio.run(ask_all(**json.load(sys.stdin))))
