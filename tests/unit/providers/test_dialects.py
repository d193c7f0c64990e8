"""Dialects: what is sent to whom, and the table of docs/providers.md."""

import re
from pathlib import Path
from typing import get_args

import pytest

from helix_ray.config import Config
from helix_ray.config.provider import ADDRESSES, ProviderConfig, ProviderName, address_of, is_loopback
from helix_ray.providers.dialects import DIALECTS, GROQ, dialect_of, refuses_form

PAGE = (Path(__file__).parents[3] / "docs/providers.md").read_text(encoding="utf-8")
REQUEST = {"model": "m", "max_completion_tokens": 9, "response_format": {"json_schema": {"schema": {"type": "object"}}}, "seed": 1}


def test_the_page_has_every_dialect_as_it_is() -> None:
    rows = [re.findall(r"[^|`]+", line.replace("`", "")) for line in PAGE.splitlines() if line.startswith("| `") and "name`" not in line]
    shown = {row[1].strip(): [cell.strip() for cell in row[2:7]] for row in ([""] + [c for c in cells if c.strip()] for cells in rows)}
    assert list(shown) == list(DIALECTS) == list(get_args(ProviderName)) == list(ADDRESSES)
    for name, dialect in DIALECTS.items():
        key = "none" if dialect.key is None else dialect.key if dialect.needs_key else f"{dialect.key}, if set"
        parts = [ADDRESSES[name] or "must be set", key, dialect.completion_bound, ", ".join(dialect.parameters), ", ".join(dialect.forms)]
        assert shown[name] == parts, name


def test_groq_gets_a_request_as_it_is_and_the_request_stays_as_it_was() -> None:
    before = {**REQUEST}
    assert GROQ.body(REQUEST, "json_schema") == REQUEST
    body = DIALECTS["llamacpp"].body(REQUEST, "none")
    assert body == {"model": "m", "max_tokens": 9, "seed": 1}
    assert before == REQUEST


@pytest.mark.parametrize(
    ("form", "sent"),
    [
        ("structured_outputs", {"structured_outputs": {"json": {"type": "object"}}}),
        ("guided_json", {"guided_json": {"type": "object"}}),
        ("json_object_schema", {"response_format": {"type": "json_object", "schema": {"type": "object"}}}),
        ("json_object", {"response_format": {"type": "json_object"}}),
    ],
)
def test_each_form_has_its_field(form: str, sent: dict[str, object]) -> None:
    dialect = dialect_of(ProviderConfig.model_validate({"name": "vllm", "structured_output": form}))
    assert dialect.forms == (form,)
    assert dialect.body(REQUEST, dialect.forms[0]) == {"model": "m", "max_tokens": 9, "seed": 1, **sent}


def test_only_a_refusal_that_names_the_form_is_one() -> None:
    assert refuses_form(400, b"'response_format.type' must be text")
    assert not refuses_form(400, b"context length exceeded")
    assert not refuses_form(429, b"json_schema")


def test_nothing_is_appended_but_to_groqs_bare_host() -> None:
    assert address_of("groq", "https://api.groq.com/") == "https://api.groq.com/openai/v1"
    assert address_of("groq", "http://h:1/v1/") == "http://h:1/v1"
    assert address_of("litellm", "http://h:4000") == "http://h:4000"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "a.localhost", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000"])
def test_loopback_is_this_machine(host: str) -> None:
    assert is_loopback(f"http://{host}/v1")
    inside = {"source": {"kind": "pairs", "path": "p.tsv"}, "analyzer": {"backend": "groq", "base_url": f"http://{host}/v1"}}
    assert not Config.model_validate(inside).sends_files_outside


@pytest.mark.parametrize("host", ["10.0.0.7", "localhost.example", "notlocalhost", "0.0.0.0", "[::2]", "127.0.0.1.example", "2130706433"])
def test_every_other_address_is_outside(host: str) -> None:
    assert not is_loopback(f"http://{host}:8000/v1")
