// Everything that is shown comes from the data as text: by textContent, never as HTML. The page reaches for nothing.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const ROWS = 2000; // that are shown before one asks for more
const LONG = 20000; // characters of a text that are shown before one asks for all of it
const IMAGES = new Set(["image/png", "image/jpeg", "image/gif", "image/webp"]);
const BAD = new Set(["failed", "error"]);

// Making elements

function el(tag, given, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given || {})) {
    if (name === "class") made.className = value;
    else if (name === "on") made.addEventListener("click", value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value);
  }
  made.append(...children.flat().filter((child) => child || child === 0));
  return made;
}

const button = (label, on, given) => el("button", { type: "button", on, ...given }, label);
const badge = (text, kind) => el("span", { class: `badge ${kind}` }, text);

// What steers a terminal, hides, or turns the direction of text around is shown by name.
const HIDDEN = /[\0-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|\p{Surrogate}/gu;
const NAMED = (letter) => {
  const code = letter.codePointAt(0);
  return code < 32 ? String.fromCharCode(0x2400 + code) : `\u27e8U+${code.toString(16).toUpperCase().padStart(4, "0")}\u27e9`;
};
const visible = (text) => text.replace(/\r\n/g, "\u240d\n").replace(HIDDEN, NAMED);

// Numbers

const whole = (number) => number.toLocaleString("en");
const counted = (number, noun) => `${whole(number)} ${noun}${number === 1 ? "" : "s"}`;
const short = (number) => (number < 10000 ? whole(number) : number < 1e6 ? `${(number / 1e3).toFixed(1)}k` : `${(number / 1e6).toFixed(1)}M`);

function time(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 0.001) return "<1 ms";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  return seconds < 60 ? `${seconds.toFixed(1)} s` : `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
}

function dollars(sum) {
  if (sum === 0) return "$0";
  if (sum < 0.0001) return "less than $0.0001";
  return sum < 1 ? `$${sum.toFixed(4)}` : `$${sum.toLocaleString("en", { minimumFractionDigits: 2, maximumFractionDigits: 2 })}`;
}

// The price of calls: what is not known is said to be so, and is never zero.
function price(calls) {
  const spent = calls.filter((call) => call.tokens);
  const known = spent.filter((call) => call.price !== undefined);
  if (!spent.length) return "";
  if (!known.length) return "unknown";
  return dollars(known.reduce((sum, call) => sum + Number(call.price), 0)) + (known.length < spent.length ? " + unknown" : "");
}
const priced = (calls) => price(calls).replace("unknown", "unknown price");

const tokens = (calls) => calls.reduce((sum, call) => sum + (call.tokens ? (call.tokens[0] || 0) + (call.tokens[1] || 0) : 0), 0);

// The tests, with what the list needs of each

const STATES = ["replayed", "recorded", "copied", "unrecorded", "missed"];
const ids = new Map();
const tests = data.tests.map((test, at) => {
  const times = (ids.get(test.name) || 0) + 1;
  ids.set(test.name, times);
  const id = times === 1 ? test.name : `${test.name} ~${times}`;
  const calls = test.calls || [];
  const cut = test.name.indexOf("::");
  const [file, name] = cut < 0 ? ["", test.name] : [test.name.slice(0, cut), test.name.slice(cut + 2)];
  const missed = calls.filter((call) => call.state === "missed");
  const changes = test.changed || [];
  const changed = changes.filter((change) => change.verdict !== "identical");
  return { ...test, at, id, calls, file, short: name, missed, changes, changed, tokens: tokens(calls), price: calls.reduce((sum, call) => sum + Number(call.price || 0), 0), repaired: calls.filter((call) => call.repairs) };
});
const everyCall = tests.flatMap((test) => test.calls);
const FILTERS = {
  all: ["All", () => true],
  failed: ["Failed", (test) => BAD.has(test.outcome)],
  missed: ["Missed", (test) => test.missed.length > 0],
  changed: ["Changed", (test) => test.changed.length > 0],
  repaired: ["Repaired", (test) => test.repaired.length > 0],
  asked: ["Asked", (test) => test.calls.some((call) => call.state === "recorded" || call.state === "unrecorded")],
};
const causesOf = (test) => [...test.missed.flatMap((call) => call.miss.causes || []), ...test.changes.flatMap((change) => change.causes || [])];
const SORTS = {
  run: ["as run", null],
  name: ["name", (one, other) => (one.name < other.name ? -1 : 1)],
  time: ["duration", (one, other) => (other.seconds || 0) - (one.seconds || 0)],
  calls: ["calls", (one, other) => other.calls.length - one.calls.length],
  tokens: ["tokens", (one, other) => other.tokens - one.tokens],
  price: ["price", (one, other) => other.price - one.price],
};

const chips = Object.entries(FILTERS).map(([name, [label, fits]]) => {
  const number = tests.filter(fits).length;
  const chip = button([label, " ", el("span", { class: "number" }, whole(number))], () => go({ show: name }), { class: "chip" });
  chip.disabled = number === 0 && name !== "all";
  return [name, chip];
});

// What is being looked at; it stands in the address too, so that it can be handed on.

const state = { q: "", show: "all", cause: "", sort: "run", test: "", call: "" };
let shown = [];
let limit = ROWS;
const open = new Set();

function readAddress() {
  const said = new URLSearchParams(location.hash.slice(1));
  for (const name of Object.keys(state)) state[name] = said.get(name) || (name === "show" ? "all" : name === "sort" ? "run" : "");
  if (!FILTERS[state.show]) state.show = "all";
  if (!SORTS[state.sort]) state.sort = "run";
}

let addressTimer = 0;
function writeAddress() {
  // Browsers refuse an address that changes with every key.
  clearTimeout(addressTimer);
  addressTimer = setTimeout(() => {
    const said = new URLSearchParams();
    for (const [name, value] of Object.entries(state)) if (value && value !== "all" && !(name === "sort" && value === "run")) said.set(name, value);
    try {
      history.replaceState(null, "", `#${said}`);
    } catch {
      // The page works without.
    }
  }, 150);
}

// Search: each text once, however many calls have it

let lowered = null;
function matcher(query) {
  if (!query) return () => true;
  const wanted = query.toLowerCase();
  lowered = lowered || data.texts.map((text) => text.toLowerCase());
  const hit = lowered.map((text) => text.includes(wanted));
  const inPart = (part) => (typeof part === "number" ? hit[part] : hit[part.text] || (part.name || "").toLowerCase().includes(wanted));
  const inMessage = data.messages.map((message) => message.parts.some(inPart));
  const inCall = (call) =>
    (call.messages || []).some((at) => inMessage[at]) || (call.answer || []).some(inPart) || (call.tools || []).some((at) => hit[at]) ||
    (call.schema !== undefined && hit[call.schema]) || (call.settings !== undefined && hit[call.settings]) || inAbout(call);
  const inAbout = (call) => said(call.function, call.model, call.state, call.key, call.cassette, call.answered_by, ...(call.repairs || []), ...Object.values(call.miss || {}).flat());
  const said = (...words) => words.some((word) => typeof word === "string" && word.toLowerCase().includes(wanted));
  return (test) =>
    said(test.name, test.error, test.worker, test.outcome) || test.calls.some(inCall) ||
    test.changed.some((change) => said(change.verdict, change.function, ...(change.lines || []), ...(change.causes || [])));
}

// Going somewhere

function go(change) {
  const listed = ["q", "show", "cause", "sort"].some((name) => name in change && change[name] !== state[name]);
  Object.assign(state, change);
  if (listed) {
    refresh();
    document.body.dataset.view = "list";
  }
  writeAddress();
}

function select(key, focus) {
  const [at, call] = key.split(".");
  const test = tests[Number(at)];
  if (call !== undefined) fold(test, true);
  go({ test: test.id, call: call === undefined ? "" : String(Number(call) + 1) });
  mark();
  drawDetail();
  const row = rowOf(key);
  if (row) row.scrollIntoView({ block: "nearest" });
  if (row && focus) row.focus({ preventScroll: true });
}

// The overview; a narrow screen has the list first, and the overview behind it.
function home() {
  const again = !state.test && document.body.dataset.view === "list";
  go({ test: "", call: "" });
  mark();
  drawDetail();
  document.body.dataset.view = again ? "detail" : "list";
}

function toDetail() {
  document.body.dataset.view = "detail";
  $("detail").focus();
}

function toList() {
  document.body.dataset.view = "list";
  const row = rowOf(selectedKey()) || $("list").firstElementChild;
  if (row) row.focus();
}

function step(by) {
  const rows = [...$("list").children].filter((row) => row.dataset.key);
  if (!rows.length) return;
  const at = rows.findIndex((row) => row.dataset.key === selectedKey());
  const next = at < 0 ? 0 : Math.min(rows.length - 1, Math.max(0, at + by));
  // Who walks on from within the details stays in them.
  select(rows[next].dataset.key, !$("detail").contains(document.activeElement));
}

$("list").addEventListener("click", (event) => {
  const row = event.target.closest(".row");
  if (!row || !row.dataset.key) return;
  const [at, call] = row.dataset.key.split(".");
  const test = tests[Number(at)];
  const again = row.dataset.key === selectedKey() || event.target.classList.contains("fold");
  if (call === undefined) fold(test, again ? !open.has(test.at) : open.has(test.at));
  select(row.dataset.key, true);
  if (!event.target.classList.contains("fold")) document.body.dataset.view = "detail";
});

$("search").addEventListener("input", () => {
  clearTimeout($("search").timer);
  $("search").timer = setTimeout(() => {
    go({ q: $("search").value });
    highlight();
  }, 80);
});
$("sort").addEventListener("change", () => go({ sort: $("sort").value }));
$("cause").addEventListener("click", () => go({ cause: "" }));
$("home").addEventListener("click", home);
$("more").addEventListener("click", () => {
  limit += ROWS;
  drawList();
});
$("help-open").addEventListener("click", () => $("help").showModal());

// Keys

const KEYS = {
  j: () => step(1),
  k: () => step(-1),
  "/": () => {
    document.body.dataset.view = "list";
    $("search").focus();
    $("search").select();
  },
  "?": () => $("help").showModal(),
  Escape: back,
};
const IN_LIST = {
  ArrowDown: () => step(1),
  ArrowUp: () => step(-1),
  Home: () => step(-Infinity),
  End: () => step(Infinity),
  ArrowRight: () => (selectedTest() && state.call === "" && !open.has(selectedTest().at) ? fold(selectedTest(), true) : step(1)),
  ArrowLeft: () => {
    const test = selectedTest();
    if (test && state.call !== "") select(keyOf(test), true);
    else if (test) fold(test, false);
  },
  Enter: toDetail,
};

function back() {
  if (document.activeElement === $("search")) {
    if (!$("search").value) return toList();
    $("search").value = "";
    return go({ q: "" });
  }
  if (!$("list").contains(document.activeElement) && state.test && rowOf(selectedKey())) return toList();
  home();
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
  const typing = event.target.closest("input, select, textarea");
  const inList = !event.target.closest("#detail, header, .tools, dialog");
  const act = typing ? event.key === "Escape" && back : KEYS[event.key] || (inList && IN_LIST[event.key]);
  if (typing && event.key === "Enter" && event.target === $("search")) step(0);
  if (!act) return;
  event.preventDefault();
  act();
});

// Light and dark

const THEMES = ["auto", "light", "dark"];
function setTheme(theme) {
  if (theme === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = theme;
  $("theme").textContent = `Theme: ${theme}`;
  $("theme").onclick = () => setTheme(THEMES[(THEMES.indexOf(theme) + 1) % THEMES.length]);
  try {
    localStorage.setItem("llm-strategy-theme", theme);
  } catch {
    // Where nothing may be kept, it holds for this page.
  }
}

function keptTheme() {
  try {
    const kept = localStorage.getItem("llm-strategy-theme");
    return THEMES.includes(kept) ? kept : "auto";
  } catch {
    return "auto";
  }
}

// The beginning

function begin() {
  readAddress();
  $("search").value = state.q;
  const test = selectedTest();
  if (test && state.call !== "" && test.calls[Number(state.call) - 1]) open.add(test.at);
  else state.call = "";
  $("filters").replaceChildren(...chips.map(([, chip]) => chip));
  $("sort").replaceChildren(...Object.entries(SORTS).map(([name, [label]]) => el("option", { value: name, selected: name === state.sort }, label)));
  refresh();
  drawDetail();
  const row = rowOf(selectedKey());
  if (row) row.scrollIntoView({ block: "center" });
  if (test) document.body.dataset.view = "detail";
}

$("facts").textContent = [counted(tests.length, "test"), counted(everyCall.length, "call"), `mode ${data.mode}`, ...Object.entries(data.others).map(([outcome, number]) => `${counted(number, "other test")} ${outcome}`), `llm-strategy ${data.library}`].join(" \u00b7 ");
setTheme(keptTheme());
addEventListener("hashchange", begin);
begin();
