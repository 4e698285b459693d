"""What is never written down: keys of providers, credentials of this machine, home and temporary folders."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from llm_strategy import (
    ChatChain,
    Message,
    Request,
    ScriptedModel,
    SecretFound,
    Session,
    Volatile,
    llm_strategy,
    use_cassette,
)
from llm_strategy.cassette.pieces import scrubbed_events
from llm_strategy.known_secrets import known
from llm_strategy.redaction import conceal, find_known, paragraphs, placeholders, scrub, scrub_reply, settled
from llm_strategy.secret_rules import PRIVATE_KEY, SECRETS, Rule, capitals, hexadecimal, mixed
from tests.llm_strategy.answers import counting, reply

VALUE = 'correct-"horse"-bättery\\staple'
RULES = (PRIVATE_KEY, *SECRETS)
INVENTED = (mixed(8), hexadecimal(8), capitals(8))
"""How the secrets in the rules' examples begin."""

KEYS: dict[str, tuple[str, str]] = {
    "a word": ("sk-" + mixed(48), "<openai-key>"),
    "several lines": (PRIVATE_KEY.examples[0], "<private-key>"),
    "by its name": (f"COHERE_API_KEY={mixed(40)}", "COHERE_API_KEY=<api-key>"),
    "bearer": (f"Bearer {mixed(30)}", "Bearer <token>"),
    "in an address": (f"https://user:{mixed(12)}@example.com/x", "https://<credentials>@example.com/x"),
    "signed address": (f"https://x.org/a?X-Amz-Signature={mixed(16)}", "https://x.org/a?X-Amz-Signature=<signature>"),
    "cookie": (f"Cookie: a=1; sid={mixed(20)}", "Cookie: <cookie>"),
}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_each_rule_finds_its_examples(rule: Rule) -> None:
    """Alone, in a sentence, and where JSON has it: nothing of the secret is left, and the placeholder says what it was."""
    placeholder = re.findall(r"<[a-z-]+>", rule.replacement)[-1]
    assert rule.examples
    for example in rule.examples:
        sentence = f"密钥{example}。"
        texts = (example, f"a\n{example}\nb", json.dumps({"a": f"b\n{example}\nc"}), sentence, json.dumps(sentence))
        for text in (*texts, repr(f"é{example}".encode("latin-1")), f"\x1b[32m{example}\x1b[0m", f"\x1b[1;7m{example}"):
            replaced = placeholders(text)
            assert not [letters for letters in INVENTED if letters in replaced], replaced
            assert placeholder in replaced
            assert placeholders(replaced) == replaced


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.kind)
def test_each_rule_acts_on_a_paragraph_as_on_the_whole(rule: Rule) -> None:
    """Keys are made paragraph by paragraph, files of whole texts; both have to say the same."""
    for example in rule.examples:
        text = f"Hello.\n\n{example}\n\n{example}\n\nBye."
        assert "\n\n".join(map(placeholders, paragraphs(text))) == placeholders(text)


@pytest.mark.parametrize(("secret", "placeholder"), KEYS.values(), ids=KEYS)
def test_a_key_of_a_known_shape_is_a_placeholder_in_file_and_key(secret: str, placeholder: str, tmp_path: Path) -> None:
    """So that a key in test data does not get published, and another person's key replays the recording."""
    text = f"Use {secret} please."
    request = Request("openai:any", (Message("user", text),))

    assert placeholders(text) == f"Use {placeholder} please."
    assert request.key == Request("openai:any", (Message("user", f"Use {placeholder} please."),)).key

    with use_cassette(tmp_path / "x.yaml", "new"):
        ChatChain(counting()).query(text)
    written = (tmp_path / "x.yaml").read_text("utf-8")
    assert secret not in written
    assert placeholder in written


ORDINARY = [
    "task-list-of-many-things-to-do-today",
    "sk-learn",
    "sk-learn-is-a-library-for-machine-learning",
    "a risk-averse-investor-with-long-words",
    "the bearer of news, bearer tokens, and a Bearer token",
    "Basic authentication, Authorization: Basic or Bearer",
    "https://example.com/home/page?x=1",
    "https://example.com:8080/a@b",
    "eyJ.eyJ.x",
    "/homework/a",
    "/tmpfs/a",
    "./tmp/a",
    "a/tmp/b",
    "C:\\Windows\\x",
    "skip-tests-and-continue-with-others",
    "sk-..., sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxx, <openai-key>, hf_..., ghp_xxxx, AKIA...",
    "OPENAI_API_KEY=sk-... or api_key=<your key>, api_key=YOUR_API_KEY_GOES_HERE",
    'api_key = os.environ["OPENAI_API_KEY"]',
    "client = OpenAI(api_key=settings.openai_api_key_for_the_staging_environment)",
    "api_key=load_the_key_of_environment_number2_from_the_vault_of_secrets()",
    f"sha256:{hexadecimal(64)} and commit {hexadecimal(40)} and {hexadecimal(32)}",
    f'key: "{hexadecimal(64)}"\ndigest: "{hexadecimal(64)}"',
    "request 123e4567-e89b-12d3-a456-426614174000, api_key id 123e4567-e89b-12d3-a456-426614174000",
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==",
    "openai:gpt-5-mini-2025-08-07, claude-sonnet-4-5-20250929, meta-llama/Llama-3.3-70B-Instruct-Turbo",
    "Cookie: a biscuit. The cookie: name=value. set-cookie is a header",
    'SIGNED = ("authorization", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token")',
    "the password is secret, the token is a word, the key is under the mat",
    "aws_secret_access_key and aws_session_token are names of settings that boto3 reads",
    "def token_of(github_pat_of_the_user: str, hf_model_name_with_many_words: str) -> str: ...",
    "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY----- PRIVATE KEY",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl user@host",
]


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """What only resembles a key or a home folder is no secret."""
    assert placeholders(text) == text


PATHS: list[tuple[str, str]] = [
    ("/home/alice/notes.txt", "<home>/notes.txt"),
    ("/home/alice", "<home>"),
    ("in /home/alice, and (/home/j.doe).", "in <home>, and (<home>)."),
    ('{"path": "/home/alice/a b/c"}', '{"path": "<home>/a b/c"}'),
    ("file:///home/alice/x", "file://<home>/x"),
    ("/Users/bob/x and /root/y and /root", "<home>/x and <home>/y and <home>"),
    ("C:\\Users\\bob\\x", "<home>\\x"),
    ('"C:\\\\Users\\\\bob\\\\x"', '"<home>\\\\x"'),
    ("C:\\Users\\bob\\AppData\\Local\\Temp\\x", "<tmp>\\x"),
    ("/tmp/x, /tmp, /var/tmp/y", "<tmp>/x, <tmp>, <tmp>/y"),
    ("/private/var/folders/ab/cdef_1234/T/x", "<tmp>/x"),
    ("/tmp/tmpab_1xyz9/x", "<tmp>/<random>/x"),
    ("/tmp/pytest-of-bob/pytest-12/test_a0/x", "<tmp>/pytest/test_a/x"),
    ("/tmp/pytest-of-bob/pytest-12/popen-gw3/test_a12", "<tmp>/pytest/test_a"),
]


@pytest.mark.parametrize(("text", "placeholder"), PATHS)
def test_home_and_temporary_folders_are_placeholders(text: str, placeholder: str) -> None:
    """Of whatever system: the same recording replays as another user and elsewhere."""
    assert placeholders(text) == placeholder


@pytest.mark.parametrize(
    "form",
    [
        VALUE,
        quote(VALUE, safe=""),
        base64.b64encode(VALUE.encode()).decode(),
        base64.b64encode(VALUE.encode()).decode().rstrip("="),
        'correct-\\"horse\\"-bättery\\\\staple',
        'correct-\\"horse\\"-b\\u00e4ttery\\\\staple',
        json.dumps(json.dumps(VALUE))[3:-3],
        re.sub("%..", lambda found: found[0].lower(), quote(VALUE, safe="")),
        html.escape(VALUE),
        repr(VALUE)[1:-1],
        ascii(VALUE)[1:-1],
        VALUE.encode().hex(),
        VALUE.encode().hex().upper(),
        base64.urlsafe_b64encode(VALUE.encode()).decode(),
    ],
    ids=[
        *("plain", "in an address", "base64", "base64 without padding", "in JSON", "in ASCII JSON", "JSON in JSON"),
        *("in an address, lower case", "HTML", "repr", "ascii", "hex", "HEX", "base64 for addresses"),
    ],
)
def test_a_credential_of_the_environment_is_found_in_every_form(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, and as an address, a header or JSON holds it."""
    monkeypatch.setenv("SHOP_API_KEY", VALUE)

    assert find_known(f"say {form} twice") == "SHOP_API_KEY"
    assert scrub(f"say {form} twice") == "say <SHOP_API_KEY> twice"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SHOP_API_KEY", "short"),
        ("SHOP_TITLE", "correct-horse-battery"),
        ("GIT_AUTHOR_NAME", "Ada Lovelace, Countess"),
        ("AUTHORS", "Ada Lovelace, Countess"),
        ("SSL_KEY_FILE", __file__),
    ],
)
def test_what_is_no_credential_may_be_written(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Short values, other variables, people's names and existing files stand in ordinary text."""
    monkeypatch.setenv(name, value)

    assert find_known(f"say {value} twice") is None


@pytest.mark.parametrize(
    "name", ["AUTHORIZATION", "PROXY_AUTH", "DB_PASSWORD", "DB_PASSWD", "github_token", "MY_SECRET"]
)
def test_a_credential_is_told_by_the_name_of_its_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """In upper and lower case."""
    monkeypatch.setenv(name, "correct-horse-battery")

    assert find_known("say correct-horse-battery") == name


MODEL = counting()


@llm_strategy(MODEL)
def login(password: str, note: Volatile[str] = "") -> int:
    """Log in."""
    raise NotImplementedError


def test_a_credential_in_an_argument_is_refused_when_recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names argument, function and variable; nobody is asked, and nothing is written."""
    monkeypatch.setenv("SHOP_PASSWORD", VALUE)
    asked = len(MODEL.requests)

    for mode in ("new", "all"):
        with use_cassette(tmp_path / "x.yaml", mode), pytest.raises(SecretFound) as raised:
            login(VALUE)
        assert "the argument 'password' of login" in str(raised.value)
        assert "SHOP_PASSWORD" in str(raised.value)
        assert VALUE not in str(raised.value)
    assert len(MODEL.requests) == asked
    assert not (tmp_path / "x.yaml").exists()


def test_a_credential_in_a_volatile_argument_is_sent_and_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way out that the error names."""
    monkeypatch.setenv("SHOP_PASSWORD", VALUE)

    with use_cassette(tmp_path / "x.yaml", "new"):
        login("public", VALUE)

    assert "bättery" in MODEL.requests[-1].messages[-1].content
    assert "bättery" not in (tmp_path / "x.yaml").read_text("utf-8")


def test_a_credential_in_a_conversation_is_refused_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the question or in what was said before."""
    monkeypatch.setenv("SHOP_PASSWORD", VALUE)
    before = ChatChain(counting(), (Message("user", f"My password is {VALUE}."),))

    with use_cassette(tmp_path / "x.yaml", "new"):
        for ask in (lambda: before.query("Hello?"), lambda: ChatChain(counting()).query(f"Is {VALUE} good?")):
            with pytest.raises(SecretFound, match="holds the value of the environment variable SHOP_PASSWORD"):
                ask()
    assert not (tmp_path / "x.yaml").exists()


@pytest.mark.parametrize(
    "form",
    [
        r"p\u0026ss+w\u003cord\u003e'/\"1ä",
        r"p\u0026ss\u002Bw\u003Cord\u003E\u0027/\u00221\u00E4",
        r"{\"a\":\"p\\u0026ss+w\\u003cord\\u003e'/\\\"1ä\"}",
        "https://x.org/?a=p&ss+w%3Cord%3E'/%221%C3%A4",
    ],
    ids=["Go", ".NET", "JSON in JSON of Go", "an address that a client has quoted"],
)
def test_escapes_that_nobody_needs_hide_no_credential(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers escape in JSON what would do harm in HTML; clients quote what stands in an address as it is."""
    monkeypatch.setenv("SHOP_PASSWORD", """p&ss+w<ord>'/"1ä""")

    assert find_known(form) == "SHOP_PASSWORD"
    assert "ord" not in scrub(form)


def test_a_credential_hinders_neither_replay_nor_live_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is published there."""
    with use_cassette(tmp_path / "x.yaml", "new"):
        recorded = login("a public word that someone uses as a password")
    monkeypatch.setenv("SHOP_PASSWORD", "a public word that someone uses as a password")

    with use_cassette(tmp_path / "x.yaml", "replay"):
        assert login("a public word that someone uses as a password") == recorded
    with use_cassette(tmp_path / "y.yaml", "live"):
        assert login("a public word that someone uses as a password") > 0


def test_a_credential_in_a_response_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller gets it, the file does not; what is replayed has the placeholder."""
    monkeypatch.setenv("SHOP_PASSWORD", VALUE)

    @llm_strategy(ScriptedModel([reply(f"it is {VALUE}!")], recorded=True))
    def tell(text: str) -> str:
        """Tell it."""
        raise NotImplementedError

    with use_cassette(tmp_path / "x.yaml", "new"):
        assert tell("a") == f"it is {VALUE}!"
    with use_cassette(tmp_path / "x.yaml", "replay"):
        assert tell("a") == "it is <SHOP_PASSWORD>!"
    assert "bättery" not in (tmp_path / "x.yaml").read_text("utf-8")


def test_a_credential_does_not_change_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a recording would replay only where the variable has the same value."""
    request = Request("openai:any", (Message("user", "a word that may be a password"),))
    monkeypatch.setenv("SHOP_PASSWORD", "a word that may be a password")

    assert Request("openai:any", request.messages).key == request.key


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_a_credential_within_longer_base64_is_found(
    encode: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in Basic authentication, at each of the three places where it can begin: at most a byte of it is left."""
    secret = "c?rrect>horse~battery"
    monkeypatch.setenv("SHOP_PASSWORD", secret)

    for before in ("", "u", "us", "use", "user:"):
        for behind in ("", "b", "bc", "bcd"):
            text = encode(f"{before}{secret}{behind}".encode()).decode()
            assert find_known(text) == "SHOP_PASSWORD", (before, behind)
            assert len(scrub(text).replace("<SHOP_PASSWORD>", "")) <= 4 * ((len(before + behind) + 5) // 3)


def test_the_environment_may_change(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was in it before is no credential any more."""
    monkeypatch.setenv("SHOP_PASSWORD", "correct-horse-battery")
    assert find_known("correct-horse-battery") == "SHOP_PASSWORD"
    monkeypatch.setenv("SHOP_PASSWORD", "another-horse-battery")
    assert find_known("correct-horse-battery") is None
    assert find_known("another-horse-battery") == "SHOP_PASSWORD"
    monkeypatch.delenv("SHOP_PASSWORD")
    assert find_known("another-horse-battery") is None


def test_a_shortened_credential_in_a_report_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pytest cuts the middle out of long values, and what stays of a credential may be most of it."""
    monkeypatch.setenv("SHOP_PASSWORD", "correct-horse-battery")
    report = known().scrub_report

    assert report("'xx correct-horse-ba...orse-battery yy'") == "'xx <SHOP_PASSWORD>...<SHOP_PASSWORD> yy'"
    assert report("'correct...' and more...") == "'<SHOP_PASSWORD>...' and more..."
    assert report("to be correct... and so on") == "to be <SHOP_PASSWORD>... and so on"
    assert report("a ... b") == "a ... b"


@pytest.mark.parametrize("value", ["SHOP_PASSWORD", "<openai-key-of-mine>"])
def test_scrubbing_again_changes_nothing(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A value that is the name of a variable, or a placeholder, is none to be replaced."""
    monkeypatch.setenv("SHOP_PASSWORD", "correct-horse-battery")
    monkeypatch.setenv("OTHER_PASSWORD", value)

    once = scrub(f"correct-horse-battery, {value}, sk-{mixed(40)}, /root/root, /tmp/tmp/x, /home/a/home/b")
    assert scrub(once) == once == f"<SHOP_PASSWORD>, {value}, <openai-key>, <home>/root, <tmp>/tmp/x, <home>/home/b"


def test_the_users_name_in_a_path_is_written_by_no_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the folder lies; as a word of a sentence, or where everybody has that name, it stays."""
    monkeypatch.setenv("USER", "ada.l")
    text = "/data/ada.l/shop, D:\\work\\ada.l\\shop, by ada.l, /data/ada.lovelace/x"
    concealed = "/data/<user>/shop, D:\\work\\<user>\\shop, by ada.l, /data/ada.lovelace/x"

    assert scrub(text) == scrub_reply(text) == concealed
    assert placeholders(text) == text
    monkeypatch.setenv("USER", "runner")
    assert scrub("/data/runner/shop") == "/data/runner/shop"


@pytest.mark.parametrize(
    ("lines", "text", "expected"),
    [
        (["order-\\d+"], "order-12, order-x\n\norder-3", "<redacted>, order-x\n\n<redacted>"),
        (["^a.*$"], "abc\nbcd\n\nab", "<redacted>\nbcd\n\n<redacted>"),
        (["\\w+"], "a <b>", "<redacted> <<redacted>>"),
        (["a\\s+b"], "a b, a\n\nb", "<redacted>, a\n\nb"),
        (["!ab", "[a-z]{3}"], "abc bcd", "abc <redacted>"),
        (["", "  ", "x1"], "x1", "<redacted>"),
        (["(a)(b)\\1"], "aba \\1", "<redacted> \\1"),
        (["x(?=y)|(?<=y)"], "xyz", "<redacted>yz"),
    ],
)
def test_lines_of_a_project(lines: list[str], text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each acts on a paragraph, once, so that keys and files say the same."""
    monkeypatch.setenv("LLM_STRATEGY_REDACT", "\n".join(lines))

    assert placeholders(text) == expected
    assert placeholders(expected) == expected
    assert "\n\n".join(map(placeholders, paragraphs(text))) == expected


def test_a_runner_gives_the_lines_to_its_session(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """They hold from its beginning to its end, for child processes too; a bad one is refused at once."""
    monkeypatch.setenv("LLM_STRATEGY_REDACT", "before")
    session = Session(tmp_path, redact=[r"order-\d+", "!sk-"])
    assert placeholders(f"order-1 before sk-{mixed(48)}") == f"<redacted> before sk-{mixed(48)}"
    session.finish()
    assert placeholders("order-1 before") == "order-1 <redacted>"
    plain = Session(tmp_path)
    assert placeholders("order-1 before") == "order-1 <redacted>"
    plain.finish()
    with pytest.raises(ValueError, match=r"line 2 is no regular expression: '\('"):
        Session(tmp_path, redact=["a", "("])
    assert Session.scrub("nothing") == "nothing"


def test_a_credential_in_pieces_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the pieces lie does not matter, in a stream of ours as in server-sent events."""
    monkeypatch.setenv("SHOP_PASSWORD", "correct-horse-battery")
    events = [{"data": {"a": [{"text": text}], "id": "x"}} for text in ("It is corr", "ect-horse-", "battery", "!")]

    scrubbed = scrubbed_events([*events, {"data": "[DONE]"}], scrub_reply)
    texts = [event["data"]["a"][0]["text"] for event in scrubbed[:4]]
    assert texts == ["It is <SHOP_PASSWORD>", "", "", "!"]
    assert scrubbed[4] == {"data": "[DONE]"}
    assert [event["data"]["id"] for event in scrubbed[:4]] == ["x"] * 4
    halves = [{"data": {"text": f"say sk-{mixed(25)}"}}, {"data": {"text": f"{mixed(25)} again"}}]
    texts = [event["data"]["text"] for event in scrubbed_events(halves, scrub_reply)]
    assert texts == ["say <openai-key> again", ""]
    untouched = [{"data": {"text": "a"}}, {"data": {"text": "b"}}]
    assert scrubbed_events(untouched, scrub_reply) == untouched


def test_many_texts_are_scrubbed_of_what_the_environment_held_at_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that shows thousands of them looks at the machine once."""
    monkeypatch.setenv("SOME_API_KEY", "first-secret-of-this-machine")
    with settled():
        monkeypatch.delenv("SOME_API_KEY")
        shown = [scrubs("first-secret-of-this-machine") for scrubs in (scrub, scrub_reply, conceal)]
    assert shown == ["<SOME_API_KEY>"] * 3
    assert scrub("first-secret-of-this-machine") == "first-secret-of-this-machine"
