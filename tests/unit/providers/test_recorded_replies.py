"""Replies recorded from servers that nobody here wrote, as the dialect reads them. tests/support/replies has the raw text."""

import re
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
    return Recorded(int(status.split()[1]), dict(re.split(": ?", line, maxsplit=1) for line in lines), body.encode())


@pytest.mark.parametrize("server", SERVERS)
def test_the_list_has_the_model(server: str) -> None:
    tariff = catalog_tariff("tiny-random", read_catalog(recorded(server, "models").body), FREE)
    assert tariff.describe() == "self-hosted, free (provider.prices)"
    assert tariff.completion_limit == (4096 if server == "llama-server" else None), "no answer is longer than the context"


@pytest.mark.parametrize(("server", "form"), [("llama-cpp-python", "json_object_schema"), ("llama-server", "json_schema")])
def test_an_answer_is_read_with_its_tokens(server: str, form: str) -> None:
    reading = recorded(server, form).reading
    assert isinstance(reading.completion, Completion)
    assert (reading.verdict.kind, reading.completion.finish_reason) == (VerdictKind.OK, "stop")
    assert reading.completion.content == '{"id":"","calls":[]}'
    assert reading.completion.usage is not None
    assert reading.completion.usage.completion > 0
    assert reading.limits == LimitReading(), "none, and none made up"


@pytest.mark.parametrize(("server", "asked"), [("llama-cpp-python", "json_schema"), ("llama-server", "unknown form")])
def test_a_refused_form_is_known_from_the_words_whatever_the_status(server: str, asked: str) -> None:
    reply = recorded(server, asked)
    assert reply.status == (500 if server == "llama-cpp-python" else 400)
    assert refuses_form(reply.status, reply.body)


@pytest.mark.parametrize("server", SERVERS)
def test_a_context_that_is_too_short_is_no_refused_form_and_names_itself(server: str) -> None:
    reply = recorded(server, "context too long")
    assert not refuses_form(reply.status, reply.body)
    assert reply.reading.verdict.kind is VerdictKind.DEAD_LETTER
    assert "4096 tokens" in reply.reading.verdict.message


@pytest.mark.parametrize("server", SERVERS)
def test_a_wrong_path_stops_and_another_model_is_not_noticed_by_the_server(server: str) -> None:
    assert recorded(server, "wrong path").reading.verdict.kind is VerdictKind.STOP
    assert recorded(server, "another model").reading.verdict.kind is VerdictKind.OK, "the list of models is what refuses it"


def test_a_server_that_loads_its_model_is_asked_again_and_one_that_wants_a_key_is_not() -> None:
    loading, no_key = recorded("llama-server", "loading").reading.verdict, recorded("llama-server", "no key").reading.verdict
    assert (loading.kind, loading.trouble, loading.message) == (VerdictKind.RETRY, "overload", "Loading model")
    assert (no_key.kind, no_key.message) == (VerdictKind.STOP, "Invalid API Key")
