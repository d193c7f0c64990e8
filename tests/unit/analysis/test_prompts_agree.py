"""The pipeline's prompts as the emulator reads them: two programs that share no code agree on every format."""

from __future__ import annotations

import json
import random

import pytest

from helix_ray.analysis.prompts import PROMPTS, Ask, get_prompt
from helix_ray.emulator.request import examined, parse_pairs


@pytest.mark.parametrize("name", PROMPTS)
@pytest.mark.parametrize("packed", [1, 5])
@pytest.mark.parametrize("work", [False, True])
def test_the_emulator_reads_every_template(name: str, packed: int, work: bool) -> None:
    rng = random.Random(name)
    template = get_prompt(name, examples=3, reads_per_request=packed, work=work)
    for _ in range(50):
        asks = [
            Ask(f"{rng.getrandbits(64):016x}", *("".join(rng.choices("ACGTN", k=rng.choice([1, 9, 10, 11, 150, 151]))) for _ in range(2)))
            for _ in range(packed)
        ]
        assert [tuple(pair) for pair in parse_pairs(template.user_text(asks))] == [tuple(ask) for ask in asks]
    problem, form, text = examined(json.loads(template.schema.text))
    assert (problem, form) == (None, (packed > 1, work))
    assert text == template.schema.text
