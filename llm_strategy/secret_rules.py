"""The shapes of secrets, as data: what each looks like, how it is found, and texts that it has to be found in.

Everything here acts before a request is hashed, so it depends on the text alone, and a change is a change to keys.
The examples are put together when this module is loaded: no scanner of a git host takes its source for a leak.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

_ALPHABET = "7hQ2vZ9kL4xT0bR6nW3yC8mJ5dF1gPsAeUiOaKqX"


def mixed(length: int) -> str:
    """Letters and digits of an invented secret."""
    return (_ALPHABET * (length // len(_ALPHABET) + 1))[:length]


def hexadecimal(length: int) -> str:
    return ("9f86d081884c7d659a2feaa0c55ad015" * (length // 32 + 1))[:length]


def capitals(length: int) -> str:
    return ("Q7Z2WXK4M9TRB3VH" * (length // 16 + 1))[:length]


class Rule(NamedTuple):
    """A pattern, and strings of which one stands in every text that it matches.

    Looking for a string costs little beside matching a pattern, and nearly no prompt holds one. `place` says where
    the string stands: in a `word` (an unbroken run of characters, of the length that secrets have), in a text that
    has such a word anywhere (`beside`; `random` if it has digits, too), or in `any` text. Those of `beside` and
    `random` stand in the text as it is in lower case. `kind` and `looks` are for people.
    """

    kind: str
    looks: str
    anchors: tuple[str, ...]
    pattern: str
    replacement: str
    examples: tuple[str, ...] = ()
    place: Literal["word", "beside", "random", "any"] = "word"

    @property
    def prefix(self) -> str:
        """What all secrets of this kind begin with, which is public; empty where they begin with nothing known."""
        return self.anchors[0] if self.place == "word" and len(self.anchors) == 1 else ""


# In JSON a line end is two characters, of which the second is a letter, and a letter that is not ASCII's is six, in
# Python four; in an address a delimiter is three; a terminal's colours end in an m.
_HEX = "[0-9A-Fa-f]"
_BEFORE = (
    rf"(?:(?<!{{0}})|(?<=\\[nrt])|(?<=%{_HEX}{_HEX})|(?<=\\x{_HEX}{_HEX})|(?<=\\u{_HEX * 4})"
    r"|(?<=[\[;][0-9]m)|(?<=[\[;][0-9][0-9]m))"
)
_WORD = _BEFORE.format(r"\w")
_DASHED = _BEFORE.format(r"[\w-]")


def _pem(kind: str, body: str, block: str = "") -> str:
    begin, end = (f"-----{word} {kind}PRIVATE KEY{block}-----" for word in ("BEGIN", "END"))
    return f"{begin}{body}{end}"


# Repeated in `(?>...)`: before 3.11.5 a possessive repeat of a group also takes what a failing round has read.

PRIVATE_KEY = Rule(
    "private key (PEM, OpenSSH, PGP)",
    "-----BEGIN … PRIVATE KEY-----",
    ("PRIVATE KEY",),
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    r"(?:(?s:(?>.*?-----))END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
    # Cut off: the lines that are there.
    r"|(?>(?:(?:\s|\\[nr])*+[A-Za-z0-9+/]{24,}+={0,2})+))",
    "<private-key>",
    (
        _pem("RSA ", f"\n{mixed(64)}\n\n{mixed(20)}\n"),
        _pem("", f"\\n{mixed(64)}\\n"),
        _pem("OPENSSH ", f"\n{mixed(64)}\n"),
        _pem("PGP ", f"\nComment: a-b\n\n{mixed(64)}\n", " BLOCK"),
        _pem("EC ", f"\n{mixed(64)}\n{mixed(30)}==\n").partition("\n-----END")[0],
    ),
    "any",
)


def _prefixed(kind: str, prefix: str, rest: str, placeholder: str, *examples: str, looks: str = "") -> Rule:
    """A secret that begins with letters of its own."""
    pattern = _WORD + prefix.replace(".", r"\.") + rest
    return Rule(kind, looks or f"{prefix}…", (prefix,), pattern, placeholder, examples)


_PROVIDERS = (
    Rule(
        "Anthropic",
        "sk-ant-…",
        ("sk-ant-",),
        r"sk-ant-[\w-]{16,}",
        "<anthropic-key>",
        ("sk-ant-" + "api03-" + mixed(93), "sk-ant-" + "admin01-" + mixed(93)),
    ),
    Rule(
        "OpenAI and servers like it (DeepSeek, OpenRouter)",
        "sk-…, sk-proj-…, sk-svcacct-…, sk-admin-…, sk-or-v1-…",
        ("sk-",),
        # A slug is all lower case.
        _DASHED + r"sk-(?:(?:proj|svcacct|admin|None|or-v1)-|(?=[a-z_-]{0,120}[0-9A-Z]))[A-Za-z0-9_-]{20,}",
        "<openai-key>",
        (
            *("sk-" + kind + mixed(64) for kind in ("", "proj-", "svcacct-", "admin-", "None-")),
            "sk-" + mixed(48),
            "sk-" + "or-v1-" + hexadecimal(64),
            "sk-" + hexadecimal(32),
        ),
    ),
    _prefixed("Google API key", "AIza", r"[\w-]{35}", "<google-key>", "AIza" + mixed(35)),
    _prefixed("Google API key, new form", "AQ.Ab", r"[\w-]{40,}", "<google-key>", "AQ.Ab" + mixed(45)),
    _prefixed("Google OAuth token", "ya29.", r"[\w-]{20,}", "<google-token>", "ya29." + mixed(60)),
    Rule(
        "Google refresh token",
        "1//0…",
        ("1//0",),
        _BEFORE.format(r"[\w/]") + r"1//0[\w-]{40,}",
        "<google-token>",
        ("1//0" + mixed(60),),
    ),
    _prefixed("Google client secret", "GOCSPX-", r"[\w-]{24,}", "<google-secret>", "GOCSPX-" + mixed(28)),
    Rule(
        "AWS access key id",
        "AKIA…, ASIA…",
        ("AKIA", "ASIA"),
        _WORD + r"A(?:KIA|SIA)[A-Z0-9]{16}\b",
        "<aws-key-id>",
        ("AKIA" + capitals(16), "ASIA" + capitals(16)),
    ),
    Rule(
        "AWS session token",
        "IQoJb3JpZ2lu…, FwoGZXIvYXdz…, FQoGZXIvYXdz…",
        ("IQoJb3JpZ2lu", "oGZXIvYXdz"),
        r"(?:IQoJb3JpZ2lu|F[wQ]oGZXIvYXdz)[A-Za-z0-9/+%]{50,}=*",
        "<aws-token>",
        ("IQoJb3JpZ2lu" + mixed(200) + "==", "FwoGZXIvYXdz" + mixed(200)),
    ),
    _prefixed("Amazon Bedrock", "ABSK", r"[A-Za-z0-9+/]{60,}={0,2}", "<bedrock-key>", "ABSK" + mixed(120) + "="),
    _prefixed(
        "Amazon Bedrock, short-lived",
        "bedrock-api-key-",
        r"[A-Za-z0-9+/_-]{40,}={0,2}",
        "<bedrock-key>",
        "bedrock-api-key-" + mixed(120),
    ),
    Rule(
        "Azure OpenAI, 84 characters",
        "…JQQJ9…",
        ("JQQJ9",),
        _BEFORE.format("[A-Za-z0-9]") + r"[A-Za-z0-9]{52}JQQJ9[A-Za-z0-9]{25,30}(?![A-Za-z0-9])",
        "<azure-key>",
        (mixed(52) + "JQQJ9" + "9AJACYeBjF" + mixed(17),),
    ),
    Rule(
        "Azure storage and service bus",
        "AccountKey=…, SharedAccessKey=…",
        ("AccountKey=", "SharedAccessKey="),
        r"(AccountKey|SharedAccessKey)=[A-Za-z0-9+/]{40,}={0,2}",
        r"\1=<azure-key>",
        ("AccountKey=" + mixed(86) + "==", "SharedAccessKey=" + mixed(43) + "="),
    ),
    _prefixed("Hugging Face", "hf_", "[A-Za-z0-9]{30,}", "<huggingface-token>", "hf_" + mixed(34)),
    _prefixed(
        "Hugging Face, organization", "api_org_", "[A-Za-z0-9]{30,}", "<huggingface-token>", "api_org_" + mixed(34)
    ),
    _prefixed("Groq", "gsk_", "[A-Za-z0-9]{40,}", "<groq-key>", "gsk_" + mixed(52)),
    _prefixed("xAI", "xai-", "[A-Za-z0-9]{60,}", "<xai-key>", "xai-" + mixed(80)),
    _prefixed("Perplexity", "pplx-", "[A-Za-z0-9]{40,}", "<perplexity-key>", "pplx-" + mixed(48)),
    _prefixed("Replicate", "r8_", "[A-Za-z0-9]{37,}", "<replicate-token>", "r8_" + mixed(37)),
    _prefixed("Fireworks", "fw_", "[A-Za-z0-9]{20,}", "<fireworks-key>", "fw_" + mixed(22)),
    _prefixed("Together", "tgp_v1_", r"[\w-]{40,}", "<together-key>", "tgp_v1_" + mixed(43)),
    Rule(
        "LangSmith",
        "lsv2_pt_…, lsv2_sk_…, ls__…",
        ("lsv2_", "ls__"),
        _WORD + r"(?:lsv2_(?:pt|sk)_[0-9a-f]{32}_[0-9a-f]{10}|ls__[0-9a-f]{32})(?!\w)",
        "<langsmith-key>",
        (f"lsv2_pt_{hexadecimal(32)}_{hexadecimal(10)}", f"ls__{hexadecimal(32)}"),
    ),
)
_GITHUB = tuple(f"gh{kind}_" for kind in "pousr")
_GITLAB = tuple(f"gl{kind}-" for kind in "pat oas dt rt cbt ptt ft soat agent imt ffct".split())
_SERVICES = (
    Rule(
        "GitHub",
        "ghp_…, gho_…, ghu_…, ghs_…, ghr_…",
        _GITHUB,
        _WORD + "gh[pousr]_[A-Za-z0-9]{36,}",
        "<github-token>",
        tuple(prefix + mixed(36) for prefix in _GITHUB),
    ),
    _prefixed(
        "GitHub app",
        "ghs_",
        r"[0-9]{1,12}_eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{10,}",
        "<github-token>",
        f"ghs_12345_eyJ{mixed(20)}.{mixed(20)}.{mixed(20)}",
        looks="ghs_…_eyJ…",
    ),
    _prefixed("GitHub, fine-grained", "github_pat_", r"\w{40,}", "<github-token>", "github_pat_" + mixed(82)),
    Rule(
        "GitLab",
        ", ".join(f"{prefix}…" for prefix in _GITLAB),
        _GITLAB,
        _WORD + rf"(?:{'|'.join(_GITLAB)})[\w.-]{{20,}}",
        "<gitlab-token>",
        tuple(prefix + mixed(20) for prefix in _GITLAB),
    ),
    Rule(
        "Slack",
        "xoxb-…, xoxp-… and their like",
        ("xox",),
        _WORD + r"xox[abeoprs]-[\w-]{10,}",
        "<slack-token>",
        tuple(f"xox{kind}-" + mixed(24) for kind in "abeoprs"),
    ),
    _prefixed("Slack app", "xapp-", r"[0-9]-[\w-]{20,}", "<slack-token>", "xapp-" + "1-" + mixed(60)),
    Rule(
        "Slack webhook",
        "hooks.slack.com/services/…",
        ("hooks.slack.com/",),
        r"(?<=hooks\.slack\.com/)(?:services|workflows|triggers)/[\w/-]{20,}",
        "<slack-webhook>",
        ("https://hooks.slack.com/" + f"services/T{capitals(8)}/B{capitals(8)}/{mixed(24)}",),
    ),
    _prefixed("npm", "npm_", "[A-Za-z0-9]{36,}", "<npm-token>", "npm_" + mixed(36)),
    _prefixed("PyPI", "pypi-", r"[\w-]{50,}", "<pypi-token>", "pypi-" + mixed(160)),
    Rule(
        "JSON Web Token",
        "eyJ….eyJ….…",
        ("eyJ",),
        _WORD + r"eyJ[\w-]{10,2000}+\.eyJ[\w-]{10,}\.[\w-]{10,}",
        "<jwt>",
        (f"eyJ{mixed(20)}.eyJ{mixed(40)}.{mixed(43)}",),
    ),
)

_PARAMETER = r"([?&](?:amp;)?|\\u0026)"
_ADDRESSES = (
    Rule(
        "signed URL (AWS, Google, Azure)",
        "?X-Amz-Signature=…, ?X-Goog-Signature=…, ?sig=… and their like",
        ("://",),
        _PARAMETER + r"((?:X-Amz|x-amz)-(?:Signature|Credential|Security-Token)|X-Goog-Credential"
        r"|(?:X-Goog-)?[sS]ig(?:nature)?)=[^&\s\"'<>]{8,}",
        r"\1\2=<signature>",
        (
            f"https://b.s3.amazonaws.com/a?X-Amz-Credential=x&X-Amz-Signature={hexadecimal(64)}",
            f"https://storage.googleapis.com/a?X-Goog-Signature={hexadecimal(64)}",
            f"https://a.blob.core.windows.net/b?sv=2022-11-02&sig={mixed(43)}%3D",
            f'"https://x.org/a?x=1\\u0026Signature={mixed(40)}"',
        ),
        "any",
    ),
    Rule(
        "Azure shared access signature",
        "&sig=…",
        ("sig=",),
        _PARAMETER + r"sig=[A-Za-z0-9%+/_-]{40,}=?",
        r"\1sig=<signature>",
        (f"?sv=2022-11-02&ss=b&sig={mixed(43)}%3D",),
    ),
    Rule(
        "key in an address",
        "?api_key=…, ?access_token=…",
        ("api_key=", "apikey=", "api-key=", "access_token="),
        _PARAMETER + r"(api_key|apikey|api-key|access_token)=(?=[^&\s\"'<>]{0,60}[0-9])[^&\s\"'<>]{16,}",
        r"\1\2=<token>",
        (f"https://x.org/a?access_token={mixed(30)}&b=1",),
    ),
    Rule(
        "name and password in an address",
        "://NAME:…@",
        ("://",),
        r"(://)[^\s/:@\"'<>]+:[^\s/@\"'<>]{3,}(?=@)",
        r"\1<credentials>",
        (f"https://user:{mixed(16)}@example.com/x", f"postgres://user:{mixed(16)}@host/db"),
        "any",
    ),
)

_PAIR = r"[\w!#$%&*.^|~+-]{1,100}=[^\s\"'\\;,<>]*+"
# Between a name and its value: `=`, `: `, `": "`, `'] = '`, `, '`, a space, and the line end before an item of a list.
_OPENING, _QUOTED = r"[\"'\\\])]{0,4}[ \t]{0,8}", r"[\"'\\\[]{0,4}"
_ITEM = r"(?:(?:\r?\n|\\n)[ \t]{0,60}-[ \t]{1,4})?"
_IS = rf"{_OPENING}(?:(?:=>|:=|[:=,])[ \t]{{0,8}}{_ITEM}|(?<=[ \t])){_QUOTED}"
_IS_STRICTLY = rf"{_OPENING}[:=][ \t]{{0,8}}{_ITEM}{_QUOTED}"


def _named(kind: str, looks: str, anchors: str, pattern: tuple[str, str], placeholder: str, *examples: str) -> Rule:
    """A secret without a shape of its own: told by the name that stands before it."""
    return Rule(
        kind,
        looks,
        tuple(anchors.split()),
        rf"({pattern[0]}{_IS}){pattern[1]}",
        rf"\1{placeholder}",
        examples,
        "random",
    )


NAMED: tuple[Rule, ...] = (  # told by what stands before them
    Rule(
        "bearer token",
        "Bearer …",
        ("bearer ",),
        _WORD + r"([Bb]earer) [A-Za-z0-9._~+/-]{20,}=*",
        r"\1 <token>",
        (f"Bearer {mixed(30)}", f'"authorization": "bearer {mixed(30)}="'),
        "beside",
    ),
    Rule(
        "Authorization header",
        "Authorization: Basic …",
        ("authorization",),
        rf"((?i:authorization){_IS_STRICTLY}(?:[A-Za-z]{{3,12}} )?)"
        r"(?=[\w.~+/=-]{0,60}[0-9])[A-Za-z0-9._~+/-]{12,}=*",
        r"\1<token>",
        (
            f"Authorization: Basic {mixed(24)}==",
            f"-H 'Proxy-Authorization: Basic {mixed(24)}'",
            f"Authorization: {mixed(30)}",
        ),
        "beside",
    ),
    Rule(
        "cookie",
        "Cookie: …, Set-Cookie: …",
        ("cookie",),
        _WORD + r"((?i:(?:set-)?cookie)[\"'\\]{0,4}[ \t]{0,3}:[ \t]{0,3}[\"'\\\[]{0,4})"
        r"(?=[^\"'\\\r\n<>]{0,400}=[^\s\"'\\;,<>=]{12})" + rf"{_PAIR}(?>(?:; ?(?:{_PAIR}|[A-Za-z]+)){{0,5000}})",
        r"\1<cookie>",
        (f"Cookie: a=1; sid={mixed(24)}; b=2", f'"set-cookie": "sid={mixed(24)}; Path=/; HttpOnly"'),
        "beside",
    ),
    _named(
        "AWS secret access key",
        "aws_secret_access_key=…",
        "secret_access_key secretaccesskey aws_secret",
        (
            "(?i:secret_?access_?key|aws_secret(?:_key)?)",
            r"[A-Za-z0-9/+]{40}(?![A-Za-z0-9/+=])",
        ),
        "<aws-secret>",
        f"AWS_SECRET_ACCESS_KEY={mixed(40)}",
        f"aws_secret_access_key = {mixed(40)}",
        f'"SecretAccessKey": "{mixed(40)}"',
        f'boto3.client("s3", aws_secret_access_key="{mixed(40)}")',
    ),
    _named(
        "AWS session token, by its name",
        "aws_session_token=…",
        "session_token sessiontoken security-token",
        ("(?i:session_?token|x-amz-security-token)", r"[A-Za-z0-9/+%]{80,}=*"),
        "<aws-token>",
        f"AWS_SESSION_TOKEN={mixed(200)}==",
        f"x-amz-security-token: {mixed(200)}",
    ),
    _named(
        "key without a shape, by its name (Cohere, Mistral, Azure)",
        "COHERE_API_KEY=…, api-key: …, Ocp-Apim-Subscription-Key: …",
        "api_key api-key apikey openai_key subscription-key",
        (
            "(?:(?i:api[_-]?key|subscription-key)|OPENAI_KEY)",
            r"(?=[\w-]{0,60}[0-9])(?=[\w-]{0,60}?[A-Za-z0-9]{20})[A-Za-z0-9][\w-]{30,}(?![\w(])",
        ),
        "<api-key>",
        f"COHERE_API_KEY={mixed(40)}",
        f"export MISTRAL_API_KEY='{mixed(32)}'",
        f"AZURE_OPENAI_KEY={hexadecimal(32)}",
        f"api-key: {hexadecimal(32)}",
        f"api_key: {mixed(40)}",
        f"api-key:\n      - {hexadecimal(32)}",
        f'{{"api_key": "{mixed(32)}"}}',
        f'"{{\\"apiKey\\": \\"{mixed(32)}\\"}}"',
        f'cohere.Client(api_key="{mixed(40)}")',
        f'os.environ["TOGETHER_API_KEY"] = "{hexadecimal(64)}"',
        f"curl -H 'Ocp-Apim-Subscription-Key: {hexadecimal(32)}'",
        f"tool --api-key {mixed(32)} --verbose",
        f"tool --api-key={mixed(32)}",
    ),
    _named(
        "id of a Google service account's key",
        '"private_key_id": "…"',
        "private_key_id",
        ("private_key_id", r"[0-9a-f]{40}(?!\w)"),
        "<private-key-id>",
        f'"private_key_id": "{hexadecimal(40)}"',
    ),
)

SECRETS: tuple[Rule, ...] = (*_PROVIDERS, *_SERVICES, *_ADDRESSES, *NAMED)
