"use strict";
// Texts: whole or cut, differences by line, JSON laid out

function textBlock(text, kind) {
  const block = el("pre", { class: kind });
  const whole_ = () => block.replaceChildren(pieces(text, kind));
  if (text.length <= LONG) whole_();
  else {
    block.append(visible(text.slice(0, LONG)));
    const more = button(`Show all ${whole(text.length)} characters`, () => {
      whole_();
      more.remove();
    }, { class: "all" });
    return el("div", {}, block, more);
  }
  return block;
}

function pieces(text, kind) {
  const made = document.createDocumentFragment();
  if (kind === "diff") made.append(...diffLines(text));
  else if (kind === "json" && text.length <= 10 * LONG) made.append(...json(text));
  else made.append(visible(text));
  return made;
}

function diffLines(text) {
  const lines = text.replace(/\n$/, "").split("\n");
  const kinds = lines.map((line, at) => (line.startsWith("@@") ? "at" : at < 2 && /^(---|\+\+\+) /.test(line) ? "head" : line[0] === "+" ? "new" : line[0] === "-" ? "old" : ""));
  const partners = inPairs(kinds);
  return lines.map((line, at) => el("span", { class: `difference ${kinds[at]}` }, ...words(line, lines[partners.get(at)]), "\n"));
}

// Old lines and as many new ones right below them belong together, one by one.
function inPairs(kinds) {
  const partners = new Map();
  let at = 0;
  while (at < kinds.length) {
    const start = at;
    while (kinds[at] === "old") at += 1;
    const between = at;
    while (kinds[at] === "new") at += 1;
    const count = between - start;
    if (count && at - between === count)
      for (let number = 0; number < count; number += 1) partners.set(start + number, between + number).set(between + number, start + number);
    if (at === start) at += 1;
  }
  return partners;
}

// A line with what its partner lacks marked; where they have next to nothing in common, nothing is.
function words(line, other) {
  if (other === undefined) return [visible(line)];
  let start = 1;
  while (start < line.length && line[start] === other[start]) start += 1;
  // A word that differs is marked whole; one that only stands beside what differs is not.
  const inWord = (at) => /\w/.test(line[at] || "") || /\w/.test(other[at] || "");
  while (start > 1 && /\w/.test(line[start - 1]) && inWord(start)) start -= 1;
  let end = 0;
  while (end < Math.min(line.length, other.length) - start && line.at(-1 - end) === other.at(-1 - end)) end += 1;
  const endsInWord = (text) => text.length - end > start && /\w/.test(text.at(-1 - end));
  while (end > 0 && /\w/.test(line.at(-end)) && (endsInWord(line) || endsInWord(other))) end -= 1;
  if (start - 1 + end < line.length / 4) return [visible(line)];
  const differs = line.slice(start, line.length - end);
  return [visible(line.slice(0, start)), differs && el("mark", {}, visible(differs)), visible(line.slice(line.length - end))];
}

// JSON, laid out by its own letters: numbers keep all their digits. What fits on a line stays on one.
const TOKEN = /"(?:[^"\\]|\\.)*"|[[\]{}:,]|[^\s[\]{}:,"]+/g;

function isJSON(text) {
  const begins = text.trimStart()[0];
  if (begins !== "{" && begins !== "[") return false;
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

function json(text) {
  const found = text.match(TOKEN) || [];
  const ends = closings(found);
  const made = [];
  let indent = 0;
  let flat = -1;
  // What nests without end is not laid out any wider.
  const line = () => made.push(`\n${"  ".repeat(Math.min(indent, 40))}`);
  found.forEach((token, at) => {
    const closes = token === "}" || token === "]";
    if (closes && flat < 0) {
      indent -= 1;
      line();
    }
    made.push(colored(token, found[at + 1]));
    if (token === ":") made.push(" ");
    else if (token === "," && flat >= 0) made.push(" ");
    else if (token === ",") line();
    else if ((token === "{" || token === "[") && flat < 0) {
      if (ends.get(at)[1] <= 88 - 2 * indent) flat = ends.get(at)[0];
      else {
        indent += 1;
        line();
      }
    }
    if (at === flat) flat = -1;
  });
  return made;
}

// Where each bracket closes, and how long what is between is on one line.
function closings(found) {
  const ends = new Map();
  const opened = [];
  let length = 0;
  found.forEach((token, at) => {
    if (token === "}" || token === "]") {
      const [start, before] = opened.pop();
      ends.set(start, [at, length - before]);
    }
    length += token.length + (token === ":" || token === ",");
    if (token === "{" || token === "[") opened.push([at, length]);
  });
  return ends;
}

function colored(token, next) {
  const kind = token[0] === '"' ? (next === ":" ? "key" : "string") : /^[-\dtfn]/.test(token) ? "value" : "";
  return kind ? el("span", { class: kind }, visible(token)) : token;
}
