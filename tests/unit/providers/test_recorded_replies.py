"""Replies recorded from servers that nobody here wrote, as the dialect reads them. tests/support/replies has the raw text."""

from pathlib import Path
from typing import NamedTuple

import pytest

from helix_ray.config.provider import Prices, ProviderConfig
from helix_ray.providers.dialects import DIALECTS, refuses_form
from helix_ray.providers.model_catalog import catalog_tariff, read_catalog
from helix_ray.providers.readings import Completion, LimitReading, ReplyReading, VerdictKind

REPLIES = Path(__file__).parents[2] / "support" / "replies"
SERVERS = ("llama-cpp-python", "llama-server")
DIALECT = DIALECTS["llamacpp"]
FREE = ProviderConfig(name="llamacpp", prices=Prices(prompt=0, completion=0))


class Recorded(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def reading(self) -> ReplyReading:
        return DIALECT.read_reply(*self)


def recorded(server: str, asked: str) -> Recorded:
    """``### ASKED`` stands before each reply."""
    text = (REPLIES / f"{server}.txt").read_text(encoding="utf-8")
    head, body = text.split(f"### {asked}\n", 1)[1].split("\n### ", 1)[0].rstrip("\n").split("\n\n", 1)
    status, *lines = head.splitlines()
    return Recorded(int(status.split()[1]), dict(line.split(": ", 1) for line in lines), body.encode())


@pytest.mark.parametrize("server", SERVERS)
def test_the_list_has_the_model(server: str) -> None:
    catalog = read_catalog(recorded(server, "models").body)
    assert catalog_tariff("tiny-random", catalog, FREE).describe() == "self-hosted, free (provider.prices)"


@pytest.mark.parametrize("server", SERVERS)
def test_an_answer_is_read_with_its_tokens(server: str) -> None:
    form = "json_object_schema" if server == "llama-cpp-python" else "json_schema"
    reading = recorded(server, form).reading
    assert isinstance(reading.completion, Completion)
    assert (reading.verdict.kind, reading.completion.finish_reason) == (VerdictKind.OK, "stop")
    assert reading.completion.content.replace(" ", "") == '{"id":"","calls":[]}'
    assert reading.completion.usage is not None
    assert reading.completion.usage.completion > 0
    assert reading.limits == LimitReading(), "no limits, and none made up"
