"""Secrets: where they are looked for, what counts as missing, and that they do not show."""

import json
import os
import pickle
import traceback
from pathlib import Path

import pytest

from helix_ray.environment.secrets import KEY_FILE, NAMES, Secret, Secrets, hide_known, load_secrets, withdraw_from_environment
from helix_ray.errors import MissingSecretError

ROOT = Path(__file__).parents[3]
VALUE = "gsk_0123456789"


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "key"
    path.write_text(VALUE + "\n")
    path.chmod(0o600)
    return path


def value_of(name: str, secrets: Secrets) -> Secret | None:
    return secrets.database_url if name == "DATABASE_URL" else secrets.api_key(name)


def test_process_environment_wins_over_dotenv(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("GROQ_API_KEY=from-file\nDATABASE_URL=postgresql://u:p$x@h/d\n")
    found = load_secrets({"GROQ_API_KEY": VALUE}, dotenv)
    assert found == Secrets(Secret(VALUE), Secret("postgresql://u:p$x@h/d"), None)


@pytest.mark.parametrize("missing", ["", "   ", "your-groq-api-key-here"])
def test_empty_and_placeholder_fall_through_to_the_next_place(missing: str, tmp_path: Path) -> None:
    assert load_secrets({"GROQ_API_KEY": missing}, None).groq_api_key is None
    dotenv = tmp_path / ".env"
    dotenv.write_text(f"GROQ_API_KEY={VALUE}\n")
    assert load_secrets({"GROQ_API_KEY": missing}, dotenv).groq_api_key == Secret(VALUE)


@pytest.mark.parametrize(
    "scheme", ["postgres", "postgresql+psycopg", "postgresql+asyncpg", "pgsql", "psql", "postgis", "jdbc:postgresql", "postgresql"]
)
def test_other_tools_names_of_the_scheme_are_understood(scheme: str) -> None:
    url = f"{scheme}://u:p+x@h/d?user=u"
    assert load_secrets({"DATABASE_URL": url}, None).database_url == Secret("postgresql://u:p+x@h/d?user=u")
    assert hide_known(url) == "[hidden]"


@pytest.mark.parametrize("url", ["mysql://u:p@h/d", "host=h dbname=d", "jdbc:mysql://h/d", "mypostgresql://h/d", "postgresql+://h/d"])
def test_an_address_of_another_kind_is_left_as_it_is(url: str) -> None:
    assert load_secrets({"DATABASE_URL": url.replace(" ", "")}, None).database_url == Secret(url.replace(" ", ""))


def test_example_file_names_every_secret_and_sets_none() -> None:
    example = ROOT / ".env.example"
    for name in NAMES:
        assert f"\n{name}=" in example.read_text()
    assert load_secrets({}, example) == Secrets()


def test_dotenv_that_does_not_exist_is_no_error(tmp_path: Path) -> None:
    assert load_secrets({}, tmp_path / ".env") == Secrets()


def test_dotenv_that_cannot_be_decoded_is_named(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(b"GROQ_API_KEY=\xff\n")
    with pytest.raises(MissingSecretError, match=r"\.env cannot be read"):
        load_secrets({}, dotenv)


@pytest.mark.parametrize(
    ("mode", "whose", "accepted"),
    [
        (0o600, "owner", True),
        (0o600, "nobody's", True),  # only root can open it then
        (0o400, "owner", True),
        (0o440, "owner", True),
        (0o444, "owner", True),
        (0o400, "group", True),
        (0o440, "group", True),
        (0o440, "another group", True),
        (0o444, "group", True),
        (0o444, "another group", True),
        (0o400, "nobody's", False),
        (0o440, "nobody's", False),
        (0o444, "nobody's", False),
        *((mode, whose, False) for mode in (0o640, 0o604, 0o644, 0o660, 0o460, 0o404, 0o666, 0o4444) for whose in ("owner", "group")),
    ],
)
@pytest.mark.parametrize("name", ["GROQ_API_KEY", "DATABASE_URL"])
def test_a_secret_is_read_from_a_file_that_is_private_or_mounted_for_us(
    name: str, mode: int, whose: str, accepted: bool, key_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``whose``: through what the file belongs to this process."""
    owner, group = key_file.stat().st_uid, key_file.stat().st_gid
    monkeypatch.setattr(os, "geteuid", lambda: owner if whose == "owner" else owner + 1)
    monkeypatch.setattr(os, "getegid", lambda: group if whose == "group" else group + 1)
    monkeypatch.setattr(os, "getgroups", lambda: [group + 2, group] if whose == "another group" else [group + 2])
    key_file.chmod(mode)
    if accepted:
        assert value_of(name, load_secrets({f"{name}_FILE": str(key_file)}, None)) == Secret(VALUE)
        return
    with pytest.raises(MissingSecretError, match=rf"{name}_FILE: others may read .*mode {mode:04o}, owner .*chmod 600") as caught:
        load_secrets({f"{name}_FILE": str(key_file)}, None)
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize("name", ["GROQ_API_KEY", "DATABASE_URL", "LAB_API_KEY"])
def test_a_secret_that_is_given_twice_is_refused_and_a_placeholder_is_not_given(name: str, key_file: Path, tmp_path: Path) -> None:
    both = {name: "another-value", f"{name}_FILE": str(key_file)}
    with pytest.raises(MissingSecretError, match=f"{name} and {name}_FILE are both set in the environment; remove one") as caught:
        value_of(name, load_secrets(both, None))
    assert (VALUE in str(caught.value), "another-value" in str(caught.value)) == (False, False)
    assert value_of(name, load_secrets(both | {name: "your-value-here"}, None)) == Secret(VALUE)
    (tmp_path / ".env").write_text(f"{name}_FILE=/none\n")
    assert value_of(name, load_secrets({name: VALUE}, tmp_path / ".env")) == Secret(VALUE), "the environment wins over .env"


def test_the_control_token_is_read_from_no_file(key_file: Path) -> None:
    assert load_secrets({"HELIX_CONTROL_TOKEN_FILE": str(key_file)}, None) == Secrets()


def test_key_file_missing_empty_or_a_folder_is_refused(key_file: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingSecretError, match="No such file"):
        load_secrets({KEY_FILE: str(tmp_path / "none")}, None)
    with pytest.raises(MissingSecretError, match="Is a directory"):
        load_secrets({KEY_FILE: str(tmp_path)}, None)
    for content in (b"", b"your-groq-api-key-here", b"x" * 5000):
        key_file.write_bytes(content)
        with pytest.raises(MissingSecretError, match="must hold the secret and nothing else"):
            load_secrets({KEY_FILE: str(key_file)}, None)


@pytest.mark.parametrize("value", ["two words", '"quoted"', "new\nline", "bell\x07"])
def test_value_that_cannot_be_a_secret_is_refused_without_showing_it(value: str) -> None:
    with pytest.raises(MissingSecretError, match="GROQ_API_KEY in the environment") as caught:
        load_secrets({"GROQ_API_KEY": value}, None)
    assert value not in str(caught.value)


def test_a_key_is_ascii_and_a_password_need_not_be(key_file: Path) -> None:
    with pytest.raises(MissingSecretError, match="GROQ_API_KEY in the environment holds a character that is not ASCII") as caught:
        load_secrets({"GROQ_API_KEY": "gsk_\u0430bc"}, None)  # a Cyrillic letter that looks like an a
    assert "\u0430" not in str(caught.value)
    key_file.write_text("gsk_\u0430bc", encoding="utf-8")
    with pytest.raises(MissingSecretError, match="not ASCII"):
        load_secrets({KEY_FILE: str(key_file)}, None)
    assert load_secrets({"DATABASE_URL": "postgresql://u:pässword@h/d"}, None).database_url is not None


def test_a_key_that_is_too_short_to_be_one_is_refused(key_file: Path) -> None:
    with pytest.raises(MissingSecretError, match=r"GROQ_API_KEY in the environment has 7 characters, too few.* no-key-needed") as caught:
        load_secrets({"GROQ_API_KEY": "gsk_key"}, None)
    assert (caught.value.exit_code, "gsk_key" in str(caught.value)) == (2, False)
    key_file.write_text("EMPTY")
    with pytest.raises(MissingSecretError, match="has 5 characters"):
        load_secrets({KEY_FILE: str(key_file)}, None)


def test_secrets_are_taken_out_of_text() -> None:
    """Keys of providers too that no one has asked for, but neither a short word nor the path of a key's file."""
    load_secrets({"DATABASE_URL": "a-place", "A_API_KEY": "key-of-another", "B_API_KEY": "ollama", "C_API_KEY_FILE": "/the/key"}, None)
    assert hide_known(f"{Secret(VALUE).reveal()}, {VALUE}; a-place, key-of-another") == "[hidden], [hidden]; [hidden], [hidden]"
    assert hide_known("ollama, /the/key") == "ollama, /the/key"


def test_required_secret_that_is_missing_says_what_needs_it_and_what_to_do() -> None:
    with pytest.raises(MissingSecretError, match=r"GROQ_API_KEY is missing: analyzer\.backend is groq\. Set it .*\.env"):
        Secrets().require("GROQ_API_KEY", "analyzer.backend is groq")
    assert Secrets(database_url=Secret("x")).require("DATABASE_URL", "").reveal() == "x"


def test_a_secret_does_not_show() -> None:
    secret = Secret(VALUE)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!r:>30}", repr(Secrets(secret)), repr([secret])]
    shown.append("".join(traceback.format_exception(ValueError(secret))))
    assert not [text for text in shown if VALUE in text]
    with pytest.raises(TypeError):
        json.dumps(secret)


def test_a_secret_pickles_compares_and_hashes() -> None:
    secrets = Secrets(Secret(VALUE), None, Secret("token"))
    assert pickle.loads(pickle.dumps(secrets)) == secrets
    assert {Secret(VALUE)} == {Secret(VALUE)}
    assert Secret(VALUE) != VALUE
    assert Secret(VALUE) != Secret("other")


def test_withdrawing_leaves_the_rest() -> None:
    environ = dict.fromkeys(NAMES, "x") | {"PATH": "/bin"}
    withdraw_from_environment(environ)
    withdraw_from_environment(environ)
    assert environ == {"PATH": "/bin"}


def test_a_key_of_any_provider_is_found_checked_when_asked_for_and_withdrawn(key_file: Path) -> None:
    environ = {"LAB_API_KEY": VALUE, "OTHER_API_KEY": "short", "FILED_API_KEY_FILE": str(key_file), "PATH": "/bin"}
    secrets = load_secrets(environ, None)
    assert secrets.api_key("LAB_API_KEY") == secrets.api_key("FILED_API_KEY") == Secret(VALUE)
    assert secrets.api_key("NONE_API_KEY") is None
    assert (hide_known(f"401 for {VALUE}"), VALUE in repr(secrets)) == ("401 for [hidden]", False)
    with pytest.raises(MissingSecretError, match="OTHER_API_KEY in the environment has 5 characters"):
        secrets.api_key("OTHER_API_KEY")
    withdraw_from_environment(environ)
    assert environ == {"FILED_API_KEY_FILE": str(key_file), "PATH": "/bin"}, "keys of providers that are not asked, too"
