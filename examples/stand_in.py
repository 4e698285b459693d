"""A server that speaks OpenAI's Chat Completions and answers by computing, not by guessing.

    python examples/stand_in.py [--port 8765] [--delay SECONDS]

It reads the function's name and its arguments out of the prompt and works the result out from them, so that the
examples can be recorded without a key. There is no table of prompts: another question gets another answer, and
a function that is not in FUNCTIONS gets an error that says so, unless it has a tool whose name its documentation
speaks of: that is called first, and what it returns is the answer. Usage counts words and punctuation marks.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import threading
import time
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "local stand-in"


class UnanswerableError(Exception):
    """What cannot be computed here; becomes an error in OpenAI's format."""


@dataclass(frozen=True)
class Call:
    """One call of a Python function, as the prompt tells it."""

    name: str
    documentation: str
    arguments: dict[str, Any]
    schema: dict[str, Any]

    @property
    def text(self) -> str:
        """The first argument that is a string."""
        return next((value for value in self.arguments.values() if isinstance(value, str)), "")

    @property
    def result(self) -> dict[str, Any]:
        """The JSON schema of the result."""
        return follow(self.schema.get("properties", {}).get("return_value", {}), self.schema)

    @property
    def today(self) -> date:
        """The day that ages refer to: the argument `today`, else what the documentation names; never the clock."""
        named = str(self.arguments.get("today", self.documentation))
        if written := re.search(r"\d{4}-\d\d-\d\d", named):
            return date.fromisoformat(written[0])
        if year := re.search(r"\byear \(?(\d{4})\b", named):
            return date(int(year[1]), 12, 31)  # the age that somebody reaches in that year
        raise UnanswerableError(f"{self.name}: the prompt names no day that ages refer to, such as 2026-01-31")


def read_call(text: str, schema: dict[str, Any]) -> Call | None:
    """The call that a prompt describes, None for any other text; `schema` serves where the prompt has none."""
    if not (signature := re.search(r"^(?:\w+: )?(?:async )?def ([\w.]+)\(.*$", text, re.MULTILINE)):
        return None
    rest = text[signature.end() :]
    documentation, heading, assignments = rest.rpartition("\nArguments:\n")
    arguments: dict[str, Any] = {}
    decoder, position = json.JSONDecoder(), 0
    while heading and (name := re.compile(r"\s*(\w+) = ").match(assignments, position)):
        arguments[name[1]], position = decoder.raw_decode(assignments, name.end())
    if "JSON schema:" in rest:
        schema = decoder.raw_decode(rest.rpartition("JSON schema:")[2].lstrip())[0]
    return Call(signature[1], (documentation or rest).partition("\nTypes:\n")[0], arguments, schema)


def follow(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    """The schema behind a reference into `root`."""
    while "$ref" in schema:
        schema = root.get("$defs", {}).get(schema["$ref"].rpartition("/")[2], {})
    return schema


GOOD = set("good great love loved lovely excellent perfect happy amazing fast friendly recommend best".split())
BAD = set("bad broken terrible hate hated awful poor slow worst refund disappointed disappointing late rude".split())
# What stands in a text for a field whose name has that word in it.
FIELDS = {
    "mail": r"[\w.+-]+@[\w-]+(?:\.\w+)+",
    "date": r"\d{4}-\d\d-\d\d",
    "year": r"\b(?:19|20)\d\d\b",
    "age": r"\d+(?=[ -]years?\b)|(?<=aged )\d+",
    "name": r"\b[A-Z]\w+(?: [A-Z]\w+)+",
    "city": r"(?:(?<=\bin )|(?<=\bfrom ))[A-Z]\w+",
}


def judge(call: Call) -> Any:
    """Whether a text praises or complains."""
    words = re.findall(r"\w+", call.text.lower())
    # "not good" is no praise: behind a negation a word counts the other way round.
    signs = [-1 if before in ("not", "never", "no", "t") else 1 for before in ["", *words]]
    score = sum(sign * ((word in GOOD) - (word in BAD)) for sign, word in zip(signs, words, strict=False))
    meant = "positive" if score > 0 else "negative" if score < 0 else "neutral"
    return next((choice for choice in call.result.get("enum", []) if choice.lower()[:3] == meant[:3]), meant)


def extract(schema: dict[str, Any], root: dict[str, Any], text: str, name: str = "") -> Any:
    """What a text says for a field of that name and schema."""
    schema = follow(schema, root)
    if "properties" in schema:
        return {field: extract(part, root, text, field) for field, part in schema["properties"].items()}
    kinds = {kind.get("type") for kind in [schema, schema.get("items", {}), *schema.get("anyOf", [])]}
    is_number = bool(kinds & {"integer", "number"})
    other = r"-?\d+(?:\.\d+)?" if is_number else "|".join(map(re.escape, schema.get("enum", []))) or "(?!)"
    words = re.split("_|e-?(?=mail)", name)
    found = re.findall(next((shape for word, shape in FIELDS.items() if word in words), other), text)
    found = [json.loads(one) for one in found] if is_number else found
    if not found and not kinds & {"array", "null"}:
        raise UnanswerableError(f"the text says nothing that fits the field {name!r}")
    return found if "array" in kinds else found[0] if found else None


def chat(text: str, schema: dict[str, Any], as_json: bool) -> str:
    """The reply to a prompt that describes no call."""
    reply = f"You wrote {len(text.split())} words."
    if term := re.search(r"(?<![\d-])(-?\d+) *([-+*]) *(-?\d+)(?![\d-])", text):
        one, other = int(term[1]), int(term[3])
        reply = text = str({"+": one + other, "-": one - other, "*": one * other}[term[2]])
    if schema:
        return json.dumps(extract(schema, schema, text), ensure_ascii=False)
    return json.dumps({"answer": reply}) if as_json else reply


# country | what else it is called | a city | a street | first names | last names
WORLD = [
    row.split(" | ")
    for row in """\
Brazil | Brazilian South America American | Recife | Rua da Aurora | Ana Caio Beatriz Davi | Souza Lima Araújo
France | French Europe European | Lyon | Rue de la République | Camille Hugo Zoé Théo | Moreau Girard Lefèvre
Germany | German Europe European | Leipzig | Karl-Heine-Straße | Lena Jonas Greta Emil | Vogel Brandt Krüger
India | Indian Asia Asian | Pune | Fergusson College Road | Asha Rohan Meera Vikram | Kulkarni Deshpande Rao
Japan | Japanese Asia Asian | Sapporo | Odori Nishi | Yui Haruto Aoi Ren | Takahashi Mori Fujita
Kenya | Kenyan Africa African | Nakuru | Kenyatta Avenue | Wanjiru Otieno Achieng Kamau | Njoroge Mwangi Odhiambo
Mexico | Mexican North America American | Puebla | Avenida Reforma | Lucía Diego Ximena Mateo | Hernández Ríos Salazar
Nigeria | Nigerian Africa African | Ibadan | Ring Road | Amara Tunde Ngozi Emeka | Okafor Adeyemi Bello
Poland | Polish Europe European | Gdańsk | Ulica Długa | Zofia Jakub Hanna Filip | Nowak Wójcik Mazur
United Kingdom | UK British Europe European | Leeds | Park Row | Freya Callum Imogen Rhys | Hughes Patel Barker
Vietnam | Vietnamese Asia Asian | Huế | Lê Lợi Street | Linh Minh Thảo Quân | Nguyễn Trần Phạm""".splitlines()
]


def create_customers(call: Call) -> Any:
    """People of the world, the same ones for the same documentation and arguments."""
    dice = random.Random(json.dumps([call.documentation, call.arguments]))  # mock data, no secrets
    count = next((value for value in call.arguments.values() if isinstance(value, int)), 1)
    fields = follow(call.result.get("items", {}), call.schema).get("properties", {})
    places = [place for _ in range(0, count, len(WORLD)) for place in dice.sample(WORLD, len(WORLD))]
    customers = []
    for number, (country, _, city, street, first_names, last_names) in enumerate(places[:count], 1):
        born = date.fromordinal(dice.randint(date(1945, 1, 1).toordinal(), date(2007, 12, 31).toordinal()))
        known = {"key": f"c{number:02}", "birthdate": born.isoformat()}
        known |= {"first_name": dice.choice(first_names.split()), "last_name": dice.choice(last_names.split())}
        known |= {"address": f"{dice.randint(1, 180)} {street}, {city}, {country}"}
        if unknown := fields.keys() - known.keys():
            raise UnanswerableError(f"a mock customer has no {', '.join(sorted(unknown))}, only {', '.join(known)}")
        customers.append({field: known[field] for field in fields or known})
    return customers


@dataclass(frozen=True)
class Customer:
    """A customer, with what a query can ask for."""

    record: dict[str, Any]
    call: Call

    @property
    def words(self) -> set[str]:
        text = " ".join(str(value) for value in self.record.values())
        text += " ".join(f" {place[1]}" for place in WORLD if place[0] in text)
        return set(stems(fold(text)))

    @property
    def born(self) -> date:
        return date.fromisoformat(self.record["birthdate"])

    @property
    def age(self) -> int:  # in full years
        born, today = self.born, self.call.today
        return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


MONTHS = "january february march april may june july august september october november december".split()
NOT = r"(?P<no>\b(?:not|outside|except|without)\s+(?:(?:in|of|from|the|born|living|lives|live|are|is)\s+)*)"
# A phrase, and what it says of a customer. What a rule has understood is taken out of the query.
RULES: list[tuple[str, Callable[..., bool]]] = [
    (r"\bin (?:his|her|their) (\d0)s\b", lambda c, tens: c.age // 10 == int(tens) // 10),
    (r"\b(19|20)(\d0)s\b", lambda c, century, tens: c.born.year // 10 == int(century + tens) // 10),
    (r"\b(\d0)'?s\b", lambda c, tens: c.born.year // 10 == int(("20" if tens < "30" else "19") + tens) // 10),
    (r"\bbetween (\d{4}) and (\d{4})\b", lambda c, low, high: int(low) <= c.born.year <= int(high)),
    (r"\b(?:before|earlier than|prior to) (\d{4})\b", lambda c, year: c.born.year < int(year)),
    (r"\b(after|later than|since) (\d{4})\b", lambda c, how, y: c.born.year > int(y) - (how.lower() == "since")),
    (r"\b(\d{4}-\d\d-\d\d)\b", lambda c, day: c.born.isoformat() == day),
    (r"\b(?:older than|over|more than|above) (\d{1,3})\b", lambda c, years: c.age > int(years)),
    (r"\bat least (\d{1,3})\b", lambda c, years: c.age >= int(years)),
    (r"\b(?:younger than|under|less than|below) (\d{1,3})\b", lambda c, years: c.age < int(years)),
    (r"\b(?:aged?|is|are) (\d{1,3})\b|\b(\d{1,3})[ -]years?[ -]old", lambda c, a, b: c.age == int(a or b)),
    (rf"\b(?:in|of|on) (?:\d+ )?({'|'.join(MONTHS)})\b", lambda c, m: c.born.month == MONTHS.index(m.lower()) + 1),
    (r"\b(\d{4})\b", lambda c, year: c.born.year == int(year)),
]


def fold(text: str) -> str:
    """Without accents: those who search seldom type them."""
    signs = unicodedata.normalize("NFKD", text.replace("ß", "ss").replace("ł", "l"))
    return "".join(sign for sign in signs if not unicodedata.combining(sign))


def stems(text: str) -> list[str]:
    """The words of a text, "Nigerians" and "nigerian" alike."""
    return [word.lower().removesuffix("s") for word in re.findall(r"\w\w+", text)]


def find_customers(call: Call) -> Any:
    """The customers that fit every part of the query, best first: keys, or whole records where those are asked for."""
    customers = [Customer(record, call) for record in call.arguments.get("self", call.arguments)["customers"]]
    as_keys = follow(call.result.get("items", {}), call.schema).get("type") == "string"
    return [found.record["key"] if as_keys else found.record for found in search(fold(call.text), customers)]


def search(query: str, customers: list[Customer]) -> list[Customer]:
    understood = bool(re.search(r"\b(all|every|everyone|everybody)\b", query, re.IGNORECASE))
    end = re.search(r"\b(?:(two|three|\d+) )?(oldest|eldest|youngest)\b", query, re.IGNORECASE)
    query = query.replace(end[0], " ") if end else query
    kept = customers
    for phrase, holds in RULES:
        said = list(re.finditer(f"{NOT}?(?:{phrase})", query, re.IGNORECASE))
        for no in (True, False):
            asked = [match.groups()[1:] for match in said if bool(match["no"]) is no]
            kept = [c for c in kept if not asked or any(holds(c, *groups) for groups in asked) is not no]
        query = re.sub(f"{NOT}?(?:{phrase})", " ", query, flags=re.IGNORECASE)
        understood = understood or bool(said)
    kept = match_words(query, kept, customers, understood or end is not None)
    if end:
        count = {"two": 2, "three": 3}.get((end[1] or "").lower()) or int(end[1] or 1)
        kept = sorted(kept, key=lambda customer: customer.born, reverse=end[2].lower() == "youngest")[:count]
    return kept


def match_words(query: str, kept: list[Customer], everyone: list[Customer], understood: bool) -> list[Customer]:
    """Those who share the most words with what is left of a query."""
    refused = set(stems(" ".join(match[2] for match in re.finditer(NOT + r"(\w+)", query, re.IGNORECASE))))
    rest = re.sub(NOT + r"\w+", " ", query, flags=re.IGNORECASE)
    known = set().union(*(customer.words for customer in everyone))
    # A word that fits nobody may be padding ("nice"), but a name that fits nobody ("Narnia") leaves nobody.
    names = stems(" ".join(re.findall(r"(?<=\S )[A-Z]\w+", rest)))
    words = [word for word in stems(rest) if word in known or word in names]
    kept = [customer for customer in kept if not refused & customer.words]
    if not words:
        return kept if understood or refused else []
    scores = [sum(word in customer.words for word in words) for customer in kept]
    return [customer for customer, score in zip(kept, scores, strict=True) if score and score == max(scores)]


Functions = dict[str, Callable[[Call], Any]]
FUNCTIONS: Functions = {
    "add*": lambda call: sum(call.arguments.values()),
    "age": lambda call: Customer(call.arguments.get("self", call.arguments), call).age,
    "create_*customers": create_customers,
    "extract_*": lambda call: extract(call.result, call.schema, call.text),
    "find_customer*": find_customers,
    "greet*": lambda call: f"Hello, {call.text}!",
    "*sentiment*": judge,
    "summarize*": lambda call: re.split(r"(?<=[.!?])\s", call.text.strip())[0],
}


def tool_calls(body: dict[str, Any], text: str) -> list[dict[str, Any]]:
    """Calls of the tools whose name shares a word with the documentation; their arguments are in the prompt."""
    call = read_call(text, {})
    calls: list[dict[str, Any]] = []
    if call is None or any(message["role"] == "tool" for message in body["messages"]):
        return []
    for tool in [tool["function"] for tool in body.get("tools", ())]:
        if {word for word in stems(tool["name"].replace("_", " ")) if len(word) > 3} & set(stems(call.documentation)):
            known, root = call.arguments, tool["parameters"]
            arguments = {
                name: known[name] if name in known else extract(root["properties"][name], root, call.text, name)
                for name in root.get("required", ())
            }
            function = {"name": tool["name"], "arguments": json.dumps(arguments, ensure_ascii=False)}
            calls.append({"id": f"call_{len(calls) + 1}", "type": "function", "function": function})
    return calls


def tell(call: Call, answers: Sequence[str]) -> Any:
    """What tools have answered: the fields that the result has, the number that it is, or all of it in words."""
    found: dict[str, Any] = {}
    for number, text in enumerate(answers):
        with suppress(ValueError):
            value = json.loads(text)
            found |= value if isinstance(value, dict) else {f"answer {number + 1}": value}
    if fields := call.result.get("properties"):
        return {name: found.get(name) for name in fields}
    if call.result.get("type") in ("integer", "number"):
        return next((value for value in found.values() if isinstance(value, int | float)), 0)
    return ", ".join(f"{name}: {value}" for name, value in found.items()) or " ".join(answers)


def answer(
    text: str, schema: dict[str, Any], as_json: bool, functions: Functions = FUNCTIONS, answers: Sequence[str] = ()
) -> str:
    """The reply to a prompt; `answers` are those of tools. Raises UnanswerableError."""
    call = read_call(text, schema)
    if call is None:
        return chat(text, schema, as_json)
    name = call.name.rpartition(".")[2]
    function = next((function for pattern, function in functions.items() if fnmatchcase(name, pattern)), None)
    if function is None and not answers:
        raise UnanswerableError(f"the {MODEL} does not know {call.name}; it knows {', '.join(functions)}")
    value = tell(call, answers) if function is None else function(call)
    if text.endswith("as plain text."):
        return str(value)
    return json.dumps({"return_value": value}, ensure_ascii=False)


def tokens(text: str) -> list[str]:
    """A text in pieces: a word or a punctuation mark, each with the space before it."""
    return re.findall(r"\s*\w+|\s*[^\w\s]|\s+", text)


def complete(
    body: dict[str, Any], is_chat: bool, functions: Functions
) -> tuple[list[str], str, dict[str, int], list[dict[str, Any]]]:
    """The reply in pieces, why it ends, the usage, and what tools it calls. Raises UnanswerableError."""
    wanted = body.get("response_format") or {"type": "text"}
    if is_chat:
        contents = [message.get("content") or "" for message in body["messages"]]
        sent = [c if isinstance(c, str) else "".join(part.get("text", "") for part in c) for c in contents]
    else:
        sent = [body["prompt"]] if isinstance(body["prompt"], str) else body["prompt"]
    # A conversation that repairs a reply goes on after the message that describes the call.
    prompt = next((text for text in sent if read_call(text, {})), sent[-1])
    calls = tool_calls(body, prompt) if is_chat else []
    told = [text for text, message in zip(sent, body.get("messages", ()), strict=False) if message["role"] == "tool"]
    schema = wanted.get("json_schema", {}).get("schema", {})
    reply = [] if calls else tokens(answer(prompt, schema, wanted["type"] != "text", functions, told))
    kept = reply[: body.get("max_completion_tokens") or body.get("max_tokens")]
    asked = sum(len(tokens(text)) for text in sent)
    usage = {"prompt_tokens": asked, "completion_tokens": len(kept), "total_tokens": asked + len(kept)}
    return kept, "tool_calls" if calls else "stop" if kept == reply else "length", usage, calls


class Handler(BaseHTTPRequestHandler):
    """Chat Completions, Completions and the list of models."""

    delay = 0.0
    model = MODEL
    functions = FUNCTIONS

    def do_GET(self) -> None:
        if self.path != "/v1/models":
            return self.fail(404, f"no such address: GET {self.path}")
        model = {"id": self.model, "object": "model", "created": 0, "owned_by": self.model}
        return self.send({"object": "list", "data": [model]})

    def do_POST(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path not in ("/v1/chat/completions", "/v1/completions"):
            return self.fail(404, f"no such address: POST {self.path}")
        time.sleep(self.delay)
        is_chat = self.path == "/v1/chat/completions"
        try:
            pieces, end, usage, calls = complete(body := json.loads(sent), is_chat, self.functions)
        except UnanswerableError as error:
            return self.fail(400, str(error))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            return self.fail(400, f"the {self.model} cannot read this request: {error!r}")
        if body.get("stream"):
            return self.stream([*pieces, *calls], end, usage if body.get("stream_options") else None, is_chat)
        text = "".join(pieces)
        said = {"role": "assistant", "content": text} | ({"tool_calls": calls} if calls else {})
        choice = {"message": said} if is_chat else {"text": text}
        return self.send(envelope(self.model, choice, end, is_chat) | {"usage": usage})

    def stream(self, pieces: list[Any], end: str, usage: dict[str, int] | None, is_chat: bool) -> None:
        """One server-sent event for each piece, one that says why the reply ends, one for the usage."""
        self.head(200, "text/event-stream")
        events = []
        for piece in [*pieces, ""]:
            said = (
                {"tool_calls": [piece | {"index": pieces.index(piece)}]}
                if isinstance(piece, dict)
                else {"content": piece}
            )
            choice = {"delta": {"role": "assistant"} | said} if is_chat else {"text": piece}
            events.append(envelope(self.model, choice, None if piece else end, is_chat, ".chunk"))
        if usage:
            events.append(events[-1] | {"choices": [], "usage": usage})
        with suppress(ConnectionError):  # a client may stop reading
            for event in [*map(json.dumps, events), "[DONE]"]:
                self.wfile.write(f"data: {event}\n\n".encode())

    def send(self, body: dict[str, Any], status: int = 200) -> None:
        self.head(status, "application/json")
        self.wfile.write(json.dumps(body, ensure_ascii=False).encode())

    def fail(self, status: int, message: str) -> None:
        error = {"message": message, "type": "invalid_request_error", "param": None, "code": None}
        self.send({"error": error}, status)

    def head(self, status: int, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the reply says all there is to say."""


def envelope(model: str, choice: dict[str, Any], end: str | None, is_chat: bool, chunk: str = "") -> dict[str, Any]:
    """What stands around a choice; it bears no time, so that equal requests get equal replies."""
    kind = f"chat.completion{chunk}" if is_chat else "text_completion"
    choices = [choice | {"index": 0, "finish_reason": end, "logprobs": None}]
    return {"id": "stand-in", "object": kind, "created": 0, "model": model, "choices": choices}


@contextmanager
def running(
    port: int = 0, delay: float = 0.0, *, model: str = MODEL, functions: Functions = FUNCTIONS
) -> Iterator[str]:
    """Serve from a thread; yields the base URL that clients take. Port 0 is any free one; `delay` is in seconds."""
    handler = type("Handler", (Handler,), {"delay": delay, "model": model, "functions": functions})
    with ThreadingHTTPServer(("127.0.0.1", port), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v1"
        finally:
            server.shutdown()
            thread.join()


def main(model: str = MODEL, functions: Functions = FUNCTIONS) -> None:
    parser = argparse.ArgumentParser(description="Answer Chat Completions by computing.")
    parser.add_argument("--port", type=int, default=8765, help="0 takes any free port (default: %(default)s)")
    parser.add_argument("--delay", type=float, default=0.0, metavar="SECONDS", help="wait before each reply")
    options = parser.parse_args()
    try:
        serving = running(options.port, options.delay, model=model, functions=functions)
        with serving as base_url, suppress(KeyboardInterrupt):
            print(f"export OPENAI_BASE_URL={base_url} OPENAI_API_KEY=unused", flush=True)
            while True:
                time.sleep(3600)  # which ctrl+c ends on Windows, too
    except OSError as error:
        parser.error(f"port {options.port} cannot be had ({error.strerror}): name another one, --port 0 takes any")


if __name__ == "__main__":
    main()
