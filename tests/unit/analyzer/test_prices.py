"""The price that the provider named is the price that requests reserve and are booked at."""

from __future__ import annotations

from decimal import Decimal

from fix_analyzer import read, rig
from helix_ray.providers.prices import ModelPrice, Tariff, tariff_of

MODEL = "openai/gpt-oss-20b"


async def costs(tariff: Tariff | None) -> tuple[Decimal, Decimal]:
    """Reserved at worst, and booked, of one answered request."""
    made = rig([read(0)], tariff=tariff)
    await made.finish()
    (call,) = [call for call in made.sink.calls if call.cost_usd]
    assert call.worst_case_usd is not None
    assert call.cost_usd is not None
    return call.worst_case_usd, call.cost_usd


async def test_ten_times_the_price_reserves_and_books_ten_times_as_much() -> None:
    known = tariff_of(MODEL)
    dear = Tariff(ModelPrice(*(10 * amount for amount in known.price)), known.completion_limit, "GET /models")
    worst, booked = await costs(None)
    assert 0 < booked < worst
    assert await costs(dear) == (10 * worst, 10 * booked)
    assert await costs(known) == (worst, booked)
