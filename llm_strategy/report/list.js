// The list: a tree of tests and, once opened, their calls

const keyOf = (test, call) => `${test.at}${call === undefined ? "" : `.${call}`}`;

function refresh() {
  const found = matcher(state.q);
  const [, fits] = FILTERS[state.show];
  shown = tests.filter((test) => fits(test) && (!state.cause || causesOf(test).includes(state.cause)) && found(test));
  const order = SORTS[state.sort][1];
  if (order) shown.sort(order);
  limit = Math.max(ROWS, Math.ceil((shown.findIndex((test) => test.id === state.test) + 1) / ROWS) * ROWS);
  drawList();
  drawFilters();
}

function drawFilters() {
  for (const [name, chip] of chips) chip.setAttribute("aria-pressed", String(state.show === name));
  $("cause").hidden = !state.cause;
  $("cause").replaceChildren("cause: ", el("b", {}, visible(state.cause)), " \u00d7");
  $("cause").setAttribute("aria-label", `Show all causes, not only: ${visible(state.cause)}`);
  const calls = shown.reduce((sum, test) => sum + test.calls.length, 0);
  $("count").textContent = shown.length ? `${counted(shown.length, "test")}, ${counted(calls, "call")}` : "Nothing fits";
}

function drawList() {
  const rows = document.createDocumentFragment();
  let file = null;
  for (const test of shown.slice(0, limit)) {
    rows.append(testRow(test, state.sort === "run" || state.sort === "name" ? file !== test.file : true));
    file = test.file;
    if (open.has(test.at)) rows.append(...callRows(test));
  }
  $("list").replaceChildren(rows);
  $("more").hidden = shown.length <= limit;
  $("more").textContent = `Show more (${whole(Math.max(0, shown.length - limit))} left)`;
  mark();
}

const SIGNS = { passed: "\u2713", failed: "\u2717", error: "\u2717", skipped: "\u2013", xfailed: "\u2013", xpassed: "!", rerun: "\u21bb" };

function testRow(test, names) {
  const calls = test.calls.length;
  const about = [
    test.missed.length && badge(`${test.missed.length} missed`, "missed"),
    test.changed.length && badge(`${test.changed.length} changed`, "changed"),
    test.repaired.length && badge(`${test.repaired.length} repaired`, "repaired"),
    test.kind !== "test" && badge(test.kind, "plain"),
  ].filter(Boolean);
  const row = el("div", {
    role: "treeitem", class: `row ${test.outcome}`, "data-key": keyOf(test), "aria-level": 1,
    "aria-expanded": calls ? String(open.has(test.at)) : null, tabindex: -1,
  });
  if (names && test.file) row.append(el("span", { class: "file" }, visible(test.file)));
  row.append(
    el("span", { class: "fold", "aria-hidden": "true" }, calls ? "\u25b8" : ""),
    el("span", { class: "sign" }, el("span", { "aria-hidden": "true" }, SIGNS[test.outcome] || "?"), el("span", { class: "unseen" }, test.outcome)),
    el("span", { class: "name", title: visible(test.short) }, visible(test.short)),
    el("span", { class: "badges" }, ...about),
    el("span", { class: "figure" }, calls ? counted(calls, "call") : ""),
    el("span", { class: "figure time" }, time(test.seconds)),
  );
  return row;
}

// A conversation that goes on and on stays at one depth; only where it forks does it go deeper.
function depths(calls) {
  const children = calls.map(() => 0);
  for (const call of calls) if (call.parent !== undefined) children[call.parent] += 1;
  const found = [];
  for (const call of calls) {
    const up = call.parent;
    found.push(up === undefined ? 0 : found[up] + (found[up] === 0 || children[up] > 1 ? 1 : 0));
  }
  return found;
}

// Each call, and below it those that go on from it.
function inTree(calls) {
  const below = new Map();
  calls.forEach((call, at) => {
    if (!below.has(call.parent)) below.set(call.parent, []);
    below.get(call.parent).push(at);
  });
  const found = [];
  const left = [...(below.get(undefined) || [])].reverse();
  while (left.length) {
    const at = left.pop();
    found.push(at);
    left.push(...[...(below.get(at) || [])].reverse());
  }
  return found;
}

function callRows(test) {
  // What is more than calls has a tree of its own: functions, attempts, tools.
  if (test.tree) return test.tree.map((row) => (row.call === undefined ? stepRow(row) : callRow(test, row.call, row.depth, row.error)));
  const depth = depths(test.calls);
  return inTree(test.calls).map((at) => callRow(test, at, depth[at]));
}

function callRow(test, at, depth, error) {
  const call = test.calls[at];
  const deep = Math.min(depth, 8);
  return el(
    "div",
    { role: "treeitem", class: `row call ${call.state} deep${deep}`, "data-key": keyOf(test, at), "aria-level": 2 + depth, tabindex: -1 },
    el("span", { class: "elbow", "aria-hidden": "true" }, deep ? "\u2514" : ""),
    el("span", { class: "name" }, title(call)),
    el("span", { class: "badges" }, goesOn(test, call) && badge(goesOn(test, call), "plain"), error && badge(visible(error.type), "missed"), call.repairs && badge("repaired", "repaired"), call.state !== "replayed" && badge(call.state, call.state)),
    el("span", { class: "figure" }, call.tokens ? `${short(tokens([call]))} tok` : ""),
    el("span", { class: "figure time" }, time(call.seconds)),
  );
}

// What is around calls is only shown: there is no more to say of it than stands here.
function stepRow(row) {
  const deep = Math.min(row.depth, 8);
  return el(
    "div",
    { role: "treeitem", class: `row call step deep${deep}`, "aria-level": 2 + row.depth, "aria-expanded": "true", tabindex: -1 },
    el("span", { class: "elbow", "aria-hidden": "true" }, deep ? "\u2514" : ""),
    el("span", { class: "name", title: row.error ? visible(`${row.error.type}: ${row.error.message}`) : null }, visible(row.name)),
    el("span", { class: "badges" }, row.kind !== "attempt" && badge(row.kind, "plain"), row.error && badge(visible(row.error.type), "missed")),
    el("span", { class: "figure" }),
    el("span", { class: "figure time" }, time(row.seconds)),
  );
}

const title = (call) => visible(call.function || (call.model ? call.model : "a call"));
const goesOn = (test, call) => {
  if (call.parent === undefined) return "";
  const last = data.messages[(call.messages || []).at(-1)];
  if (last && last.role === "tool") return "after tools";
  return call.function && test.calls[call.parent].function === call.function ? "retry" : "goes on";
};

function mark() {
  const wanted = selectedKey();
  let first = null;
  for (const row of $("list").children) {
    const is = row.dataset.key === wanted;
    row.setAttribute("aria-selected", String(is));
    row.tabIndex = is ? 0 : -1;
    if (is) first = row;
  }
  if (!first && $("list").firstElementChild) $("list").firstElementChild.tabIndex = 0;
}

const selectedTest = () => tests.find((test) => test.id === state.test);
function selectedKey() {
  const test = selectedTest();
  return test ? keyOf(test, state.call === "" ? undefined : Number(state.call) - 1) : "";
}
const rowOf = (key) => $("list").querySelector(`[data-key="${key}"]`);

function fold(test, opened) {
  if (!test.calls.length || open.has(test.at) === opened) return;
  const row = rowOf(keyOf(test));
  if (opened) {
    open.add(test.at);
    row && row.after(...callRows(test));
  } else {
    open.delete(test.at);
    while (row && row.nextElementSibling && row.nextElementSibling.classList.contains("call")) row.nextElementSibling.remove();
  }
  row && row.setAttribute("aria-expanded", String(opened));
  mark();
}
