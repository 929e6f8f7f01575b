// Keeps the status page up to date: asks for api/status every second while somebody looks, writes what it says into the
// page that the relay sent, in the same words (status/tables.rs), and draws goodput over time. Markup is never made from
// text. Without this script the page loads itself again.
"use strict";

const PERIOD_MS = 1000;
const PATIENCE_MS = 8000;
const WINDOW_MS = 300000; // five minutes
const GAP_MS = 12000; // nobody looked, or there was no answer: longer than a slow answer takes
const ANNOUNCE_MS = 10000; // the least time between two sentences that are read aloud
const PLOTS = 9;

const byId = (id) => document.getElementById(id);

// ---- words

// What could hide or turn around other text is spelled out.
const printable = (text) =>
  text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, (c) => `\\u{${c.codePointAt(0).toString(16)}}`);
const optional = (value, words) => (value === null || value === undefined ? "-" : words(value));
const percent = (share) => `${(share * 100).toFixed(1)} %`;
const milliseconds = (seconds) => `${(seconds * 1000).toFixed(0)} ms`;

function rate(bits) {
  if (bits < 1000) return `${bits} bit/s`;
  return bits < 1e6 ? `${(bits / 1e3).toFixed(1)} kbit/s` : `${(bits / 1e6).toFixed(1)} Mbit/s`;
}

function time(seconds) {
  const whole = Math.floor(seconds);
  const part = (unit, of) => Math.floor(whole / unit) % of;
  if (whole < 10 && seconds > whole) return `${seconds.toFixed(1)} s`;
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${part(60, 60)} min ${whole % 60} s`;
  if (whole < 86400) return `${part(3600, 24)} h ${part(60, 60)} min`;
  return `${Math.floor(whole / 86400)} d ${part(3600, 24)} h`;
}

function progress(done, total) {
  if (total === null) return `${done}/?`;
  return total === 0 ? "0/0" : `${done}/${total} ${Math.floor((done * 100) / total)} %`;
}

// Those in trouble first, as the list of devices has them.
const STATES = ["refused", "missing", "waiting", "fetching", "asked", "finished"];
const rowsOfDevices = (totals) => STATES.reduce((sum, state) => sum + totals.states[state], 0);

// A part of a sentence about these interfaces; nothing where there are none.
function named(what, interfaces) {
  return interfaces.length ? `; ${what}: ${interfaces.map(printable).join(", ")}` : "";
}

function summary(status) {
  const listen = status.listen.map((address) => `coap://${address}`).join(" ") || "no socket is open";
  const origin = status.origin;
  const requests = Object.entries(origin.requests).map(([outcome, count]) => ` ${outcome} ${count}`);
  return {
    about: `sixfold-relay ${status.version}, up ${time(status.uptime_s)}, ${listen}` + named("absent", status.absent),
    devices:
      `${status.totals.devices} known, ${status.totals.transfers_active} transfers under way` +
      STATES.filter((state) => status.totals.states[state]).map((state) => `; ${status.totals.states[state]} ${state}`).join("") +
      named("not paced", status.unpaced),
    cache: `${status.cache.bytes} of ${status.cache.limit_bytes} bytes`,
    origin:
      `${origin.bytes} bytes, ${origin.retries} retries, ${origin.resumes} resumes; requests:` +
      (requests.join("") || " none"),
  };
}

// What a row is known by: it stays the same element wherever it moves.
const keys = {
  transfers: (row) => `${row[0]} ${row[1]} ${row[2]}`,
  groups: (row) => `${row[0]} ${row[1]} ${row[2]}`,
};

// A row is a list of texts, but for { done, total }: a bar.
const tables = {
  transfers: (status) =>
    status.transfers.map((t) => [
      t.peer, optional(t.url, String), optional(t.etag, String),
      t.etag === null ? "-" : { done: t.sent_bytes, total: t.total_bytes },
      t.etag === null ? "-" : rate(t.rate_bps),
      t.code === null ? t.state : `${t.state} ${t.code}`,
      t.etag === null ? `${time(t.age_s)} ago` : time(t.duration_s), optional(t.left_s, time),
    ]),
  links: (status) =>
    status.links.map((l) => [
      l.interface, rate(l.rate_bps), percent(l.loss), optional(l.round_trip_s, milliseconds),
      `${milliseconds(l.in_flight_s)} of ${milliseconds(l.window_s)}`, l.queue,
      l.missing ? `${l.devices}, ${l.missing} missing` : l.devices, l.block_bytes,
      `${percent(l.busy)} of ${l.duty_cycle_percent} %`,
    ]),
  groups: (status) =>
    status.links.flatMap((l) =>
      l.groups.map((g) => [
        l.interface, g.url, g.etag, g.members, g.planned, g.block_bytes, g.blocks, g.parity,
      ])),
  images: (status) =>
    status.images.map((i) => [
      i.url, optional(i.etag, String), optional(i.sha256, (digest) => `${digest.slice(0, 16)}...`),
      i.failure ? `${i.state} (${i.failure})` : i.state,
      progress(i.available_bytes, i.total_bytes), time(i.fresh_for_s), i.observers,
    ]),
  sessions: (status) =>
    status.sessions.map((s) => [
      s.name, s.kid_context ? `${s.kid} in ${s.kid_context}` : s.kid, optional(s.left_s, time),
      optional(s.heard_s, (ago) => `${time(ago)} ago`), optional(s.peer, String),
    ]),
  bans: (status) => status.bans.map((url) => [url]),
};

// ---- the page

// Only what changes is touched, so that marked text stays marked.
function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// What a bar says is read with whose it is.
function writeCell(cell, name, whose, value) {
  const bar = typeof value === "object" && value.total > 0;
  if (!bar) return write(cell, typeof value === "object" ? progress(value.done, value.total) : printable(String(value)));
  const done = Math.min(value.done, value.total);
  let meter = cell.querySelector("progress");
  if (!meter) {
    meter = document.createElement("progress");
    cell.replaceChildren(meter, "");
  }
  meter.setAttribute("aria-label", `${name} of ${whose}`);
  meter.max = value.total;
  meter.value = done;
  const text = ` ${Math.floor((done * 100) / value.total)} %`;
  if (cell.lastChild.data !== text) cell.lastChild.data = text;
}

// Each row's key, with a number behind it: the same device may fetch the same version in a session and without.
function keysOf(id, rows) {
  const used = new Map();
  return rows.map((row) => {
    const key = keys[id] ? keys[id](row) : row[0];
    used.set(key, (used.get(key) ?? 0) + 1);
    return `${key} ${used.get(key)}`;
  });
}

function writeTable(id, rows, total) {
  const table = byId(id);
  const body = table.tBodies[0];
  const names = Array.from(table.tHead.rows[0].cells, (head) => head.textContent);
  table.hidden = total === 0;
  byId(`${id}-none`).hidden = total > 0;
  const wanted = keysOf(id, rows);
  // The relay's own rows come without keys, in the order of what it says.
  if (!body.dataset.keyed) Array.from(body.rows).forEach((row, n) => { row.dataset.key = wanted[n]; });
  body.dataset.keyed = "yes";
  const kept = new Set(wanted);
  Array.from(body.rows).filter((row) => !kept.has(row.dataset.key)).forEach((row) => row.remove());
  const known = new Map(Array.from(body.rows, (row) => [row.dataset.key, row]));
  rows.forEach((values, n) => {
    const row = known.get(wanted[n]) ?? document.createElement("tr");
    row.dataset.key = wanted[n];
    row.setAttribute("role", "row");
    // One row that goes down does not make all others go up.
    if (row.previousElementSibling && row.previousElementSibling === body.rows[n]) body.append(body.rows[n]);
    if (body.rows[n] !== row) body.insertBefore(row, body.rows[n] ?? null);
    values.forEach((value, column) => {
      const cell = row.cells[column] ?? row.appendChild(document.createElement(column ? "td" : "th"));
      cell.setAttribute("role", column ? "cell" : "rowheader");
      if (!column) cell.scope = "row";
      cell.dataset.name = names[column];
      writeCell(cell, names[column], printable(String(values[0])), value);
    });
  });
}

// The way to the rows that are not shown, as the relay writes it (page/html.rs).
function writePages(what, shown, total) {
  const pages = byId(`${what}-pages`);
  const [limit, skip] = [Number(pages.dataset.limit), Number(pages.dataset.skip)];
  const more = Math.max(total - skip - shown, 0);
  const links = [];
  if (skip > 0 && total > 0) links.push([`Previous ${what}`, Math.max(Math.min(skip, total) - limit, 0)]);
  if (more > 0) links.push([`${more} more ${what}`, skip + shown]);
  pages.hidden = links.length === 0;
  while (pages.children.length > links.length) pages.lastElementChild.remove();
  links.forEach(([text, at], n) => {
    const link = pages.children[n] ?? pages.appendChild(document.createElement("a"));
    const target = `?limit=${limit}&${pages.dataset.parameter}=${at}`;
    if (link.getAttribute("href") !== target) link.setAttribute("href", target);
    write(link, text);
  });
}

let announced = -Infinity;
function announce(text) {
  const now = performance.now();
  if (byId("news").textContent === text || now - announced < ANNOUNCE_MS) return;
  announced = now;
  write(byId("news"), text);
}

function show(status) {
  for (const [id, text] of Object.entries(summary(status))) write(byId(id), printable(text));
  const totals = {
    transfers: rowsOfDevices(status.totals), sessions: status.totals.sessions, images: status.totals.images,
  };
  for (const [id, rowsOf] of Object.entries(tables)) {
    const rows = rowsOf(status);
    writeTable(id, rows, totals[id] ?? rows.length);
  }
  writePages("devices", status.transfers.length, totals.transfers);
  writePages("sessions", status.sessions.length, status.totals.sessions);
  writePages("images", status.images.length, status.totals.images);
  const active = status.totals.transfers_active;
  document.title = active ? `${active} fetching, Sixfold relay` : "Sixfold relay";
  announce(active === 1 ? "One device is fetching." : `${active || "No"} devices are fetching.`);
}

// ---- goodput over time

const history = []; // { at, begins, sent, got, links }: milliseconds, after a gap or not, bits a second

let before = null;
let isGap = true;
function remember(status) {
  const now = { at: performance.now(), sent: status.totals.sent_bytes, got: status.origin.bytes, up: status.uptime_s };
  // A relay that was started again counts from zero. What went on while nobody asked has a mean only, and is left out.
  const goesOn = before && now.up >= before.up && now.sent >= before.sent && now.got >= before.got
    && now.at - before.at < GAP_MS && now.up - before.up < GAP_MS / 1000;
  if (goesOn) {
    const bits = (bytes) => Math.round((bytes * 8000) / (now.at - before.at));
    const links = Object.fromEntries(status.links.map((link) => [link.interface, link.rate_bps]));
    history.push({ at: now.at, begins: isGap, sent: bits(now.sent - before.sent), got: bits(now.got - before.got), links });
    while (history[0].at < now.at - WINDOW_MS) history.shift();
  }
  isGap = !goesOn;
  before = now;
}

// The history of one value in pieces without a gap, each of { at, value }.
function pieces(of) {
  const found = [];
  let piece = null;
  for (const sample of history) {
    const value = of(sample);
    if (value === undefined) {
      piece = null;
      continue;
    }
    if (sample.begins || !piece) found.push((piece = []));
    piece.push({ at: sample.at, value });
  }
  return found;
}

function make(parent, name, attributes, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  parent.append(element);
  return element;
}

// 1, 2 or 5 times a power of ten: the end of an axis.
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1000)));
  return [1, 2, 5, 10].map((step) => step * power).find((end) => end >= value);
}

function figure(id, title) {
  const found = byId(id);
  if (found) return found;
  const made = document.createElement("figure");
  made.id = id;
  const caption = document.createElement("figcaption");
  caption.textContent = title;
  made.append(caption);
  make(made, "svg", { role: "img" });
  byId("plots").append(made);
  return made;
}

// Each has a scale of its own: origins send an image in a second, and devices get it in minutes.
function plot(id, title, line) {
  const svg = figure(id, title).querySelector("svg");
  const { width, height } = svg.getBoundingClientRect();
  const [top, bottom] = [18, height - 18];
  const now = history[history.length - 1].at;
  const end = ceiling(Math.max(...line.flat().map((sample) => sample.value)));
  const x = (at) => (width - ((now - at) * width) / WINDOW_MS).toFixed(1);
  const y = (value) => (bottom - ((bottom - top) * value) / end).toFixed(1);
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("aria-label", `${title}, over the last five minutes; now ${rate(line.at(-1).at(-1).value)}`);
  svg.replaceChildren();
  for (const at of [top, bottom]) make(svg, "line", { class: "axis", x1: 0, x2: width, y1: at, y2: at });
  make(svg, "text", { x: 0, y: top - 5 }, rate(end));
  make(svg, "text", { x: 0, y: height - 4 }, "5 min ago");
  make(svg, "text", { x: width, y: height - 4, "text-anchor": "end" }, "now");
  for (const piece of line) {
    // One point alone is drawn too: from itself to itself.
    const points = [...piece, piece.at(-1)].map((sample) => `${x(sample.at)},${y(sample.value)}`).join(" ");
    make(svg, "polyline", { points });
  }
}

function draw() {
  if (history.length === 0) return;
  byId("goodput").hidden = false;
  const links = Object.keys(history[history.length - 1].links).slice(0, PLOTS - 2);
  const plots = [
    ["plot-devices", "To devices", (sample) => sample.sent],
    ["plot-origins", "From origins", (sample) => sample.got],
    ...links.map((name) => [`plot-link-${name}`, `Delivered on ${printable(name)}`, (sample) => sample.links[name]]),
  ];
  const shown = plots.map(([id]) => id);
  Array.from(byId("plots").children).filter((old) => !shown.includes(old.id)).forEach((old) => old.remove());
  plots.forEach(([id, title, value]) => plot(id, title, pieces(value)));
}

// ---- again and again

let answered = new Date();
async function refresh() {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PATIENCE_MS);
  try {
    const answer = await fetch(`api/status${location.search}`, { cache: "no-store", signal: patience.signal });
    if (!answer.ok) throw new Error(String(answer.status));
    const status = await answer.json();
    answered = new Date();
    document.body.classList.remove("old");
    remember(status);
    show(status);
    draw();
  } catch {
    document.body.classList.add("old");
    write(byId("news"), `No answer from the relay: this is of ${answered.toLocaleTimeString()}.`);
    announced = -Infinity;
  } finally {
    clearTimeout(timer);
  }
}

async function run() {
  for (;;) {
    if (!document.hidden) await refresh();
    await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
  }
}

run();
