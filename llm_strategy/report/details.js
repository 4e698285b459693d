// The details of what is selected: built when it is, and no earlier

function drawDetail() {
  const test = selectedTest();
  const call = test && state.call !== "" ? test.calls[Number(state.call) - 1] : null;
  const pane = $("detail");
  const inside = pane.contains(document.activeElement);
  pane.replaceChildren(...(call ? callDetail(test, call) : test ? testDetail(test) : overview()));
  pane.scrollTop = 0;
  // What had the focus is gone: the next key, and a screen reader, go on from here.
  if (inside) pane.focus({ preventScroll: true });
  document.title = test ? `${test.short} \u2013 model calls` : "Model calls";
  highlight();
}

const section = (name, ...children) => el("section", {}, el("h3", {}, name), ...children);
const facts = (pairs) =>
  el("dl", { class: "facts" }, ...pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined && value !== false).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));

function copyable(text, label, shorter) {
  const copy = button("Copy", async () => {
    copy.textContent = (await copied(text)) ? "Copied" : "Select it, and copy";
    setTimeout(() => (copy.textContent = "Copy"), 1500);
  }, { class: "copy", "aria-label": `Copy ${label}` });
  return el("div", { class: "copyable" }, el("code", {}, visible(shorter || text)), copy);
}

async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

// Messages

function part(one) {
  if (typeof one === "number") return isJSON(data.texts[one]) ? textBlock(data.texts[one], "json") : textBlock(data.texts[one], "");
  const text = data.texts[one.text];
  if (one.type === "blob") return blob(one, text);
  const names = { tool_call: `calls ${visible(one.name || "a tool")}`, tool_call_response: "the tool answers", reasoning: "reasoning" };
  const label = names[one.type] || `${one.modality || ""} ${one.type}`;
  return el("div", { class: `part ${one.type}` }, el("p", { class: "label" }, label), textBlock(text, isJSON(text) ? "json" : ""));
}

function blob(one, text) {
  const told = el("p", { class: "label" }, visible(text));
  if (!IMAGES.has(one.mime_type) || one.image === undefined) return el("div", { class: "part" }, told);
  const image = el("img", { alt: visible(text), loading: "lazy" });
  image.src = `data:${one.mime_type};base64,${data.texts[one.image]}`;
  return el("div", { class: "part" }, image, told);
}

function messageCard(message, number) {
  const size = message.parts.reduce((sum, one) => sum + data.texts[typeof one === "number" ? one : one.text].length, 0);
  return el(
    "details",
    { class: `message ${["system", "user", "assistant", "tool", "developer"].includes(message.role) ? message.role : ""}`, open: true },
    el("summary", {}, el("b", {}, visible(message.role)), el("span", { class: "dim" }, counted(size, "character"))),
    ...message.parts.map(part),
  );
}

function prompt(test, call) {
  const all = call.messages || [];
  const before = call.parent === undefined ? 0 : (test.calls[call.parent].messages || []).length;
  const cards = all.slice(before).map((at) => messageCard(data.messages[at]));
  if (!before) return cards;
  const earlier = el("div", { class: "earlier" });
  const show = button(`${counted(before, "message")} as in the call that it goes on from`, () => earlier.replaceChildren(...all.slice(0, before).map((at) => messageCard(data.messages[at]))), { class: "all" });
  earlier.append(show);
  return [earlier, ...cards];
}

const folded = (name, ...children) => el("details", { class: "folded" }, el("summary", {}, name), ...children);

// One call

function callDetail(test, call) {
  const at = test.calls.indexOf(call);
  const below = test.calls.map((one, number) => [one, number]).filter(([one]) => one.parent === at);
  const answer = call.answer || [];
  const stop = call.finish_reason && call.finish_reason !== "stop" ? badge(`finish reason: ${visible(call.finish_reason)}`, "repaired") : "";
  return [
    crumbs(test),
    el("h2", {}, title(call), " ", badge(call.state, call.state), " ", goesOn(test, call) && badge(goesOn(test, call), "plain"), " ", stop),
    facts([
      ["model", visible(call.model || "")],
      ["answered by", call.answered_by && call.answered_by !== call.model ? visible(call.answered_by) : ""],
      ["tokens", call.tokens ? `${call.tokens[0] === null ? "unknown" : whole(call.tokens[0])} in, ${call.tokens[1] === null ? "unknown" : whole(call.tokens[1])} out` : ""],
      [call.state === "replayed" || call.state === "copied" ? "price saved" : "price", call.state === "missed" ? "" : price([call])],
      ["took", time(call.seconds)],
      ["arrived", call.pieces ? `in ${counted(call.pieces, "piece")}${call.closed_early ? ", closed early" : ""}` : call.closed_early ? "closed early" : ""],
      ["repairs", (call.repairs || []).map(visible).join(", ")],
      ["process", call.process ? `a ${call.process} process` : ""],
      ["cassette", call.cassette ? copyable(call.line ? `${call.cassette}:${call.line}` : call.cassette, "the place in the cassette") : ""],
      ["key", call.key ? copyable(call.key, "the key", `${call.key.slice(0, 12)}\u2026`) : ""],
    ]),
    call.miss ? missDetail(test, call) : "",
    answer.length ? section("Answer", ...answer.map(part)) : "",
    (call.messages || []).length ? section("Prompt", ...prompt(test, call)) : "",
    call.tools ? section("Tools", ...call.tools.map((tool) => folded(toolName(data.texts[tool]), textBlock(data.texts[tool], "json")))) : "",
    call.schema !== undefined ? folded("Schema of the answer", textBlock(data.texts[call.schema], "json")) : "",
    call.settings !== undefined ? section("Settings", textBlock(data.texts[call.settings], "json")) : "",
    below.length ? section("Goes on in", callLinks(test, below)) : "",
  ].filter(Boolean);
}

function toolName(text) {
  const tool = (isJSON(text) && JSON.parse(text)) || {};
  return visible(String(tool.name || (tool.function && tool.function.name) || tool.type || "a tool"));
}

function crumbs(test) {
  return el("p", { class: "crumbs" }, button("\u2190 List", toList, { class: "quiet narrow" }), button(visible(test.name), () => select(keyOf(test), false), { class: "link" }));
}

function callLinks(test, calls) {
  return el("ol", { class: "calls" }, ...calls.map(([call, at]) =>
    el("li", { class: call.state }, button([
      el("span", { class: "name" }, title(call)), " ",
      el("span", { class: "badges" }, goesOn(test, call) && badge(goesOn(test, call), "plain"), call.repairs && badge("repaired", "repaired"), badge(call.state, call.state)),
      el("span", { class: "figure" }, [call.tokens ? `${short(tokens([call]))} tokens` : "", call.state === "missed" ? "" : priced([call]), time(call.seconds)].filter(Boolean).join(" \u00b7 ")),
    ], () => select(keyOf(test, at), false), { class: "link" }))));
}

// Misses, changes, errors

function missDetail(test, call) {
  const miss = call.miss;
  return el("section", { class: "miss" },
    el("h3", {}, "No recording answers it"),
    el("ul", { class: "causes" }, ...(miss.causes || []).map((cause) => el("li", {}, button(visible(cause), () => go({ cause, show: "missed" }), { class: "chip missed", title: "Show the tests that this concerns" })))),
    facts([
      ["belongs to", miss.file ? copyable(miss.line ? `${miss.file}:${miss.line}` : miss.file, "the place in the code") : ""],
      ["nearest recording", miss.nearest ? copyable(miss.nearest, "the place of the nearest recording") : ""],
      ["to record it", miss.command ? copyable(miss.command, "the command") : ""],
    ]),
    miss.diff ? textBlock(miss.diff, "diff") : "",
    folded("The message as pytest shows it", textBlock(miss.text, "")),
  );
}

const verdictBadge = (verdict) => badge(visible(verdict), verdict === "no longer parses" ? "missed" : verdict === "value changed" ? "changed" : "plain");

function changeDetail(change) {
  return el("section", { class: "change" },
    el("h3", {}, verdictBadge(change.verdict), " ", visible(change.function || "a call")),
    change.causes && change.causes.length ? el("p", { class: "dim" }, `changed: ${visible(change.causes.join("; "))}`) : "",
    change.lines && change.lines.length ? textBlock(change.lines.flatMap(oldAndNew).join("\n"), "diff") : "",
  );
}

// "  field: old -> new" as the two lines of a difference; what differs in a text is one already, further to the right.
function oldAndNew(line) {
  const name = /^ {2}(\S[^"]*?): /.exec(line);
  // How long an answer is, is none of what it says.
  if (name && name[1].startsWith("usage.")) return [line];
  if (!name) return line.startsWith("    ") ? [line.slice(4)] : [/^ {2}\S/.test(line) ? `@@ ${line.trim()}` : line];
  const values = line.slice(name[0].length);
  for (let at = values.indexOf(" -> "); at >= 0; at = values.indexOf(" -> ", at + 1)) {
    const [old, now] = [values.slice(0, at), values.slice(at + 4)];
    if (isValue(old) && isValue(now)) return [`- ${name[1]}: ${old}`, `+ ${name[1]}: ${now}`];
  }
  return [line];
}

function isValue(text) {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function testDetail(test) {
  const links = inTree(test.calls).map((at) => [test.calls[at], at]);
  return [
    el("p", { class: "crumbs" }, button("\u2190 List", toList, { class: "quiet narrow" }), el("span", { class: "dim" }, visible(test.file))),
    el("h2", {}, visible(test.short), " ", badge(test.outcome, test.outcome)),
    facts([
      ["duration", time(test.seconds)],
      ["worker", visible(test.worker || "")],
      ["calls", test.calls.length ? STATES.map((name) => [test.calls.filter((call) => call.state === name).length, name]).filter(([number]) => number).map(([number, name]) => `${whole(number)} ${name}`).join(", ") : "none"],
      ["tokens", test.tokens ? whole(test.tokens) : ""],
      ["price", price(test.calls.filter((call) => call.state !== "missed"))],
    ]),
    ...test.missed.map((call) => missDetail(test, call)),
    test.changed.length ? section("Answers that changed", ...test.changed.map(changeDetail)) : "",
    test.error ? el("details", { class: "folded", open: !test.missed.length }, el("summary", {}, "What pytest reports"), textBlock(test.error, "")) : "",
    test.calls.length ? section("Calls", callLinks(test, links)) : "",
  ].filter(Boolean);
}

// The whole session

function overview() {
  const by = (name) => everyCall.filter((call) => call.state === name);
  const asked = [...by("recorded"), ...by("unrecorded")];
  const saved = [...by("replayed"), ...by("copied")];
  const repairs = new Map();
  for (const call of everyCall) for (const repair of call.repairs || []) repairs.set(repair, (repairs.get(repair) || 0) + 1);
  return [
    el("p", { class: "crumbs narrow" }, button("\u2190 List", toList, { class: "quiet" })),
    el("h2", {}, "Overview"),
    el("ul", { class: "cards" },
      ...STATES.map((name) => [name, by(name)]).filter(([, calls]) => calls.length).map(([name, calls]) => el("li", { class: name }, el("b", {}, whole(calls.length)), el("span", {}, name), el("small", {}, name === "missed" ? "" : [tokens(calls) ? `${short(tokens(calls))} tokens` : "", priced(calls)].filter(Boolean).join(", "))))),
    data.groups.length ? section("Causes", ...data.groups.map(groupCard)) : "",
    ...afresh(),
    modelTable(asked, saved),
    repairs.size ? section("Repairs", el("ul", {}, ...[...repairs].map(([repair, number]) => el("li", {}, `${visible(repair)} (${whole(number)})`)))) : "",
    data.notes.length ? section("Notes", el("ul", {}, ...data.notes.map((note) => el("li", {}, visible(note))))) : "",
    !tests.length ? el("p", {}, "No test has called a model.") : "",
  ].filter(Boolean);
}

// What was asked afresh, by what had changed in the prompt, and then the answers that are other values now.
function afresh() {
  const found = new Map();
  for (const test of tests)
    for (const change of test.changes) {
      const cause = (change.causes || []).join("; ");
      if (!found.has(cause)) found.set(cause, []);
      found.get(cause).push([test, change]);
    }
  if (!found.size) return [];
  const other = [...found.values()].flat().filter(([, change]) => SERIOUS.has(change.verdict));
  return [
    section("Answers asked afresh", ...[...found].map(([cause, changes]) => afreshCard(cause, changes))),
    other.length ? section("Other answers than before", ...other.slice(0, FIRST).map(([test, change]) => changeCard(test, change))) : "",
    other.length > FIRST ? button(`${counted(other.length - FIRST, "more answer")}: show the tests`, () => go({ show: "changed", cause: "" }), { class: "all" }) : "",
  ];
}

const SERIOUS = new Set(["value changed", "no longer parses"]);
const FIRST = 12; // answers that the overview shows

function afreshCard(cause, changes) {
  const verdicts = [...tally(changes.map(([, change]) => change.verdict))];
  const first = changes[0][1].causes || [];
  return el("article", { class: "group afresh" },
    first.length ? button(visible(cause), () => go({ cause: first[0], show: "all" }), { class: "link cause", title: "Show its tests" }) : el("b", {}, "the same prompts"),
    el("p", { class: "badges" }, ...verdicts.map(([verdict, number]) => el("span", {}, verdictBadge(verdict), ` ${counted(number, "answer")} `))),
  );
}

function changeCard(test, change) {
  const block = changeDetail(change);
  block.prepend(button(visible(test.name), () => select(keyOf(test), false), { class: "link" }));
  return block;
}

function tally(names) {
  const found = new Map();
  for (const name of names) found.set(name, (found.get(name) || 0) + 1);
  return found;
}

function groupCard(group) {
  return el("article", { class: "group" },
    button(visible(group.cause), () => go({ cause: group.cause, show: "missed" }), { class: "link cause", title: "Show its tests" }),
    el("p", { class: "dim" }, `${counted(group.calls, "call")} in ${counted(group.tests.length, "test")}`, group.file ? ` \u00b7 ${visible(group.file)}${group.line ? `:${group.line}` : ""}` : ""),
    group.command ? copyable(group.command, "the command that records them") : "",
  );
}

function modelTable(asked, saved) {
  const models = [...new Set([...asked, ...saved].map((call) => call.model || "no model"))];
  if (!models.length) return "";
  const of = (calls, model) => calls.filter((call) => (call.model || "no model") === model);
  const known = (calls) => !calls.length || calls.some((call) => call.tokens);
  const figures = (calls) => (known(calls) ? [whole(tokens(calls)), price(calls)] : ["unknown", "unknown"]);
  const cells = (calls) => [whole(calls.length), ...figures(calls)].map((text) => el("td", {}, text));
  return section("Models", el("div", { class: "wide", tabindex: 0, role: "region", "aria-label": "Models" }, el("table", {},
    el("thead", {}, el("tr", {}, ...["model", "asked", "tokens", "price", "replayed", "tokens saved", "price saved"].map((name) => el("th", { scope: "col" }, name)))),
    el("tbody", {}, ...models.map((model) => el("tr", {}, el("th", { scope: "row" }, visible(model)), ...cells(of(asked, model)), ...cells(of(saved, model))))),
  )));
}

// In lower case and of the same length, which a few letters (\u0130) lose.
const lowerCase = (text) => {
  const lower = text.toLowerCase();
  return lower.length === text.length ? lower : text.replace(/./gsu, (letter) => (letter.toLowerCase().length === letter.length ? letter.toLowerCase() : letter));
};

// What was searched for is marked where it stands, without a change to the page.
function highlight() {
  if (!window.CSS || !CSS.highlights) return;
  CSS.highlights.delete("found");
  const wanted = state.q.toLowerCase();
  if (!wanted) return;
  const ranges = [];
  const walker = document.createTreeWalker($("detail"), NodeFilter.SHOW_TEXT);
  while (walker.nextNode() && ranges.length < 1000) {
    const text = lowerCase(walker.currentNode.textContent);
    for (let at = text.indexOf(wanted); at >= 0 && ranges.length < 1000; at = text.indexOf(wanted, at + wanted.length)) {
      const range = new Range();
      range.setStart(walker.currentNode, at);
      range.setEnd(walker.currentNode, Math.min(at + wanted.length, walker.currentNode.length));
      ranges.push(range);
    }
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}
