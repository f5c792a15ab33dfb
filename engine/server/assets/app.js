"use strict";
/* The dashboard: reads the API and shows it; what changes something is typed to be confirmed. All text goes in as text,
   never as markup. */

const $ = (id) => document.getElementById(id);
const state = { token: sessionStorage.getItem("mig-token") || "", session: null, status: null, page: 1, timer: 0, runs: [], seen: "" };

/* ---- small things ---- */

function el(name, attributes, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes || {}))
    if (value !== null && value !== undefined && value !== false) node.setAttribute(key, value);
  node.append(...children.filter((c) => c !== null && c !== undefined && c !== ""));
  return node;
}

/* Only what differs is replaced: focus and selection stay where they are. */
function fill(parent, ...children) {
  const box = el("div", {}, ...children);
  if (box.innerHTML === parent.innerHTML) return;
  const held = parent.contains(document.activeElement) ? document.activeElement.dataset.key : "";
  parent.replaceChildren(...box.childNodes);
  if (held) parent.querySelector(`[data-key="${CSS.escape(held)}"]`)?.focus();
}

const when = (label, text) => el("td", { "data-label": label, class: "when" }, text);
const cell = (label, ...children) => el("td", { "data-label": label }, children.length > 1 ? el("span", {}, ...children) : children[0] ?? "");
const time = (iso) => (iso ? iso.slice(0, 19).replace("T", " ") : "");
const number = (n) => Number(n ?? 0).toLocaleString("en-US");
const duration = (ms) => (ms < 10000 ? `${number(ms)} ms` : ms < 120000 ? `${(ms / 1000).toFixed(1)} s` : `${number(Math.round(ms / 60000))} min`);

function bytes(n) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let unit = 0;
  while (n >= 1024 && unit < 4) { n /= 1024; unit++; }
  return `${unit ? n.toFixed(1) : n} ${units[unit]}`;
}

function age(seconds) {
  const rows = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
  const [size, name] = rows.find(([s]) => seconds >= s) || [1, "second"];
  const n = Math.max(0, Math.floor(seconds / size));
  return `${number(n)} ${name}${n === 1 ? "" : "s"}`;
}

const tone = { applied: "good", reverted: "good", succeeded: "good", good: "good", running: "warn", restored: "warn", queued: "warn",
  failed: "bad", notRestored: "bad", damaged: "bad" };
const badge = (text) => el("span", { class: `state ${tone[text] || ""}` }, text === "notRestored" ? "NOT RESTORED" : text);

function say(text) { $("said").textContent = text; }

/* ---- the API ---- */

class Problem extends Error {
  constructor(doc, status) {
    super(doc.detail || `the server answered ${status}`);
    this.doc = doc;
    this.status = status;
  }
}

async function api(path, body) {
  const headers = {};
  if (state.token) headers.Authorization = `Bearer ${state.token}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const answer = await fetch(path, { method: body === undefined ? "GET" : "POST", headers, cache: "no-store",
    body: body === undefined ? undefined : JSON.stringify(body) });
  const doc = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Problem(doc, answer.status);
  return doc;
}

function showTrouble(error) {
  const d = error && error.doc ? error.doc : {};
  $("trouble").hidden = !error;
  if (error) fill($("trouble"), el("strong", {}, error.message), d.why ? el("span", { class: "small" }, `why: ${d.why}`) : null,
    d.hint ? el("span", { class: "small" }, `what to do: ${d.hint}`) : null);
}

/* ---- token ---- */

function askToken(why) {
  $("main").hidden = true;
  $("token-form").hidden = false;
  if (why) $("token-why").textContent = why;
  $("health").textContent = "token needed";
  $("token").focus();
}

$("token-form").addEventListener("submit", (event) => {
  event.preventDefault();
  state.token = $("token").value.trim();
  sessionStorage.setItem("mig-token", state.token);
  $("token").value = "";
  begin();
});

$("token-button").addEventListener("click", () => {
  sessionStorage.removeItem("mig-token");
  state.token = "";
  askToken("Give another token. It is kept until this tab is closed.");
});

/* ---- confirmation ---- */

let confirmed = null;

function confirmWord(title, text, word, go) {
  $("confirm-title").textContent = title;
  $("confirm-text").textContent = text;
  $("confirm-wanted").textContent = word;
  $("confirm-word").value = "";
  $("confirm-yes").disabled = true;
  confirmed = go;
  $("confirm").showModal();
  $("confirm-word").focus();
}

$("confirm-word").addEventListener("input", () => {
  $("confirm-yes").disabled = $("confirm-word").value !== $("confirm-wanted").textContent;
});
$("confirm-word").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !$("confirm-yes").disabled) $("confirm-yes").click();
});
$("confirm-no").addEventListener("click", () => $("confirm").close());
$("confirm-yes").addEventListener("click", () => {
  $("confirm").close();
  if (confirmed) confirmed();
});

async function order(path, body, what) {
  try {
    await api(path, body);
    say(`${what} was asked for`);
    showTrouble(null);
  } catch (error) {
    showTrouble(error);
  }
  refresh();
}

/* ---- what is shown ---- */

const canWrite = () => state.session && state.session.scope === "write";

function showTotals(s) {
  const t = s.totals;
  const rows = [["Applied", t.applied, t.applied ? "good" : ""], ["Pending", t.pending, t.pending ? "warn" : ""],
    ["Failed", t.failed, t.failed ? "bad" : ""], ["Reverted", t.reverted, ""], ["Unfinished", t.unfinished, t.unfinished ? "warn" : ""],
    ["Warnings", t.problems, t.problems ? "warn" : ""]];
  fill($("totals"), ...rows.map(([name, n, tint]) => el("div", { class: tint }, el("dt", {}, name), el("dd", {}, number(n)))));
  const l = s.lease;
  const release = l.locked && canWrite() ? el("button", { type: "button", "data-key": "release", "data-act": "release" }, "Release…") : null;
  fill($("lease"), l.live || l.locked ? `Lease: held by ${l.host}, process ${l.pid} (${l.reason}), since ${time(l.lockedAt)}, until ${time(l.expiresAt)} unless refreshed` +
    `${l.expired ? "; it has run out" : ""}${l.holderDead ? "; its process is gone" : ""}. ` : "Lease: free. Nobody is changing this database.", release);
  const problems = s.migrations.filter((m) => m.problem).map((m) => el("li", {}, el("strong", {}, m.migration), `: ${m.problem}`));
  if (t.restoreInterrupted) problems.push(el("li", {}, "A restore by hand was interrupted: run `mig recover`."));
  fill($("warnings"), ...problems);
}

function progressBar(p, label) {
  if (!p || p.percent === undefined || p.percent === null) return el("progress", { "aria-label": label });
  return el("progress", { "aria-label": label, max: 100, value: p.percent }, `${p.percent} %`);
}

const progressText = (p) => (!p ? "" : `${p.what}: ${number(p.done)}${p.total ? ` of ${number(p.total)} (${p.percent} %)` : ""}`);

function showRunning(s) {
  const going = s.migrations.filter((m) => m.status === "running" && m.going);
  const other = s.totals.progress && s.lease.live ? [el("div", { class: "run" }, el("p", {}, el("strong", {}, s.lease.reason)),
    progressBar(s.totals.progress, s.lease.reason), el("p", { class: "muted" }, progressText(s.totals.progress)))] : [];
  $("running").hidden = going.length + other.length === 0;
  fill($("running-body"), ...going.map((m) => el("div", { class: "run" },
    el("p", {}, badge("running"), " ", el("strong", {}, m.migration), m.phase ? ` · ${m.phase}` : ""),
    progressBar(m.progress, m.migration), el("p", { class: "muted" }, progressText(m.progress)))), ...other);
}

function resultText(r) {
  if (r.good !== undefined) return `${r.snapshot}: ${r.good ? "good" : "DAMAGED"}`;
  if (r.restored !== undefined) {
    const stays = r.stays.length ? `; not in the snapshot, and left: ${r.stays.join(", ")}` : "";
    return (r.identical ? "nothing differs" : `${r.restored ? "restored" : "would restore"}: ${number(r.written)} written, ${number(r.removed)} removed`) + stays;
  }
  if (r.collection !== undefined) return `${r.collection}: ${number(r.missing)} missing, ${number(r.changed)} changed, ${number(r.extra)} extra`;
  const refusals = (r.refusals || []).map((x) => `; refused: ${x}`).join("");
  return `${r.migration}: ${r.outcome}${r.steps !== undefined ? ` (${r.steps} steps, about ${number(r.documents)} documents, transaction ${r.transaction})` : ` (${duration(r.duration)})`}${refusals}`;
}

function showRuns(runs) {
  $("runs-panel").hidden = runs.length === 0;
  fill($("runs"), ...runs.slice(0, 5).map((r) => {
    const live = r.state === "running" || r.state === "queued";
    const extra = (r.results || []).map((x) => el("li", {}, resultText(x)));
    return el("div", { class: "run" }, el("p", {}, badge(r.state), " ", el("strong", {}, r.options.dryRun ? `plan of ${r.kind}` : r.kind),
      r.snapshot ? ` · ${r.snapshot}` : "", ` · ${time(r.createdAt)}`, r.by ? ` · ${r.by}` : ""),
    live ? progressBar(r.progress, r.kind) : null, live && r.progress ? el("p", { class: "muted" }, progressText(r.progress)) : null,
    extra.length ? el("ul", {}, ...extra) : null,
    r.error ? el("p", { class: "small bad" }, `${r.error.detail}. ${r.error.why}.`) : null,
    r.error ? el("p", { class: "small" }, `what to do: ${r.error.hint}`) : null);
  }));
}

function showMigrations(s) {
  const wanted = $("state-filter").value;
  const rows = s.migrations.filter((m) => !wanted || m.status === wanted).slice().reverse();
  fill($("migrations").tBodies[0], ...(rows.length ? rows.map((m) => el("tr", {},
    cell("State", badge(m.status)), cell("Version", m.version),
    cell("Migration", el("span", { class: "code" }, m.migration), m.description ? el("small", {}, m.description) : null,
      m.reversible === false ? el("small", {}, "cannot be reverted") : null,
      m.error && m.status !== "applied" ? el("small", { class: "bad" }, m.error) : null,
      m.restored ? el("small", { class: "warn" }, "its data was restored") : null),
    when("When (UTC)", time(m.changedAt)), el("td", { "data-label": "Duration", class: "number" }, m.duration !== undefined && m.status !== "pending" ? duration(m.duration) : ""),
    cell("By", m.by || ""))) : [el("tr", {}, el("td", { colspan: 6, "data-label": "" }, wanted ? `None is ${wanted}.` : "There are no migrations yet. `mig create` makes one."))]));
  $("up-button").disabled = $("plan-button").disabled = s.totals.pending + s.totals.failed + s.totals.reverted === 0;
  $("down-button").disabled = s.totals.applied === 0;
}

/* ---- chart: one bar an attempt, oldest left ---- */

function svg(name, attributes, ...children) {
  const node = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children);
  return node;
}

function showChart(events) {
  const list = events.slice(0, 40).reverse();
  if (!list.length) return fill($("chart"), el("p", { class: "muted" }, "Nothing has run yet."));
  const width = Math.max(320, $("chart").clientWidth), height = 176, left = 64, bottom = 20, top = 8;
  const most = Math.max(...list.map((e) => e.duration), 1), step = (width - left) / Math.max(list.length, 12), bar = Math.min(34, step * 0.72);
  const label = `Durations of the newest ${list.length} attempts; the longest took ${duration(most)}`;
  const root = svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const part of [0, 0.5, 1]) {
    const y = top + (height - top - bottom) * (1 - part);
    root.append(svg("line", { x1: left, x2: width, y1: y, y2: y }), svg("text", { x: left - 8, y: y + 4, "text-anchor": "end" }, duration(Math.round(most * part))));
  }
  list.forEach((e, i) => {
    const h = Math.max(2, ((height - top - bottom) * e.duration) / most);
    root.append(svg("rect", { class: tone[e.outcome] || "idle", x: left + i * step + (step - bar) / 2, y: height - bottom - h, width: bar, height: h, rx: 2 },
      svg("title", {}, `${e.direction} ${e.name}: ${e.outcome}, ${duration(e.duration)}, ${time(e.startedAt)}`)));
  });
  const days = [list[0], list[list.length - 1]].map((e) => time(e.startedAt).slice(0, 10)), end = left + list.length * step;
  root.append(svg("text", { x: left, y: height - 4 }, days[0]));
  if (days[1] !== days[0] && end - left > 180) root.append(svg("text", { x: end, y: height - 4, "text-anchor": "end" }, days[1]));
  fill($("chart"), root);
}

async function showHistory() {
  const query = new URLSearchParams({ limit: 15, page: state.page });
  for (const [id, name] of [["outcome-filter", "status"], ["direction-filter", "direction"], ["migration-filter", "migration"]])
    if ($(id).value.trim()) query.set(name, $(id).value.trim());
  const doc = await api(`/api/migrations/history?${query}`);
  const pages = Math.max(1, Math.ceil(doc.total / doc.limit));
  fill($("history").tBodies[0], ...(doc.events.length ? doc.events.map((e) => el("tr", {},
    cell("Outcome", badge(e.outcome)), cell("Direction", e.direction),
    cell("Migration", el("span", { class: "code" }, e.name), e.error ? el("small", { class: tone[e.outcome] === "good" ? "" : "bad" }, e.error) : null),
    when("Began (UTC)", time(e.startedAt)), el("td", { "data-label": "Duration", class: "number" }, duration(e.duration)), cell("By", e.by || "")))
    : [el("tr", {}, el("td", { colspan: 6, "data-label": "" }, "No attempt fits."))]));
  $("page").textContent = `page ${doc.page} of ${pages}, ${number(doc.total)} in all`;
  $("newer").disabled = state.page <= 1;
  $("older").disabled = state.page >= pages;
}

function snapshotRow(s) {
  const act = (name, text, tint) => el("button", { type: "button", class: tint, "data-act": name, "data-id": s.id, "data-key": `${name} ${s.id}`,
    "aria-label": `${text.replace("…", "")} ${s.id}` }, text);
  const verified = s.verified ? [badge(s.verified), el("small", {}, time(s.verifiedAt))]
    : [s.readable ? "when it was taken" : badge("damaged"), s.problem ? el("small", { class: "bad" }, s.problem) : null];
  return el("tr", {}, cell("Snapshot", el("span", { class: "code" }, s.id), el("small", {}, [s.reason, (s.collections || []).slice(0, 6).join(", ")].filter(Boolean).join(" · "))),
    when("Age", age(s.age)), el("td", { "data-label": "Size", class: "number" }, bytes(s.bytes)), el("td", { "data-label": "Documents", class: "number" }, number(s.documents)),
    cell("Verified", ...verified), el("td", { "data-label": "" }, canWrite() ? el("span", { class: "actions" }, act("verify", "Verify"), act("restore", "Restore…", "danger")) : ""));
}

async function showSnapshots() {
  const doc = await api("/api/snapshots?limit=50");
  $("snapshot-sum").textContent = `${number(doc.total)} in all, ${bytes(doc.bytes)}`;
  fill($("snapshots").tBodies[0], ...(doc.snapshots.length ? doc.snapshots.map(snapshotRow)
    : [el("tr", {}, el("td", { colspan: 6, "data-label": "" }, "None yet: `mig up` takes one before it changes documents."))]));
}

/* ---- the course of things ---- */

async function refreshRest() {
  const newest = await api("/api/migrations/history?limit=40");
  showChart(newest.events);
  await showHistory();
  await showSnapshots();
}

async function loadRuns() {
  const doc = await api("/api/runs");
  const top = doc.runs.slice(0, 5);
  return Promise.all(top.map((r) => (r.state === "cancelled" ? r : api(`/api/runs/${r.id}`).catch(() => r))));
}

async function refresh() {
  clearTimeout(state.timer);
  let live = false;
  try {
    const status = await api("/api/migrations/status");
    const runs = await loadRuns();
    state.status = status;
    showTotals(status);
    showRunning(status);
    showMigrations(status);
    showRuns(runs);
    live = status.lease.live || runs.some((r) => r.state === "running" || r.state === "queued");
    const mark = JSON.stringify([status.migrations.map((m) => [m.status, m.changedAt]), runs.map((r) => [r.id, r.state])]);
    if (mark !== state.seen || !live) await refreshRest();
    state.seen = mark;
    $("health").textContent = live ? "working" : "database answers";
    $("health").className = "health good";
    showTrouble(null);
  } catch (error) {
    if (error.status === 401) return askToken("This token is not known here.");
    $("health").textContent = error instanceof Problem ? "trouble" : "server away";
    $("health").className = "health bad";
    showTrouble(error instanceof Problem ? error : new Error("The server does not answer. This page shows what was there last."));
  }
  state.timer = setTimeout(() => (document.hidden ? wait() : refresh()), live ? 1000 : 5000);
}

function wait() {
  document.addEventListener("visibilitychange", refresh, { once: true });
}

async function begin() {
  try {
    state.session = await api("/api/session");
  } catch (error) {
    if (error.status === 401) return askToken(state.token ? "This token is not known here." : "");
    showTrouble(error);
    $("main").hidden = false;
    state.timer = setTimeout(begin, 3000);
    return;
  }
  const s = state.session;
  $("token-form").hidden = true;
  $("main").hidden = false;
  $("token-button").hidden = !s.tokens;
  $("where").textContent = s.server || "";
  $("who").textContent = s.tokens ? `${s.name}, may ${s.scope === "write" ? "read and write" : "only read"}` : "no tokens: this machine only";
  $("version").textContent = `mig ${s.version}`;
  document.title = s.database ? `${s.database} · mig` : "mig";
  for (const node of document.querySelectorAll(".write")) node.hidden = !canWrite();
  refresh();
}

const database = () => (state.status && state.status.database) || "yes";

$("plan-button").addEventListener("click", () => order("/api/migrations/up", { dryRun: true }, "A plan"));
$("up-button").addEventListener("click", () => {
  const names = state.status.migrations.filter((m) => m.status !== "applied" && m.status !== "running").map((m) => m.migration);
  confirmWord("Apply pending migrations", `${names.length} in order: ${names.slice(0, 8).join(", ")}${names.length > 8 ? " ..." : ""}. ` +
    "Each is guarded, its collections are copied first, and put back if it fails.", database(), () => order("/api/migrations/up", {}, "Applying"));
});
$("down-button").addEventListener("click", () => {
  const applied = state.status.migrations.filter((m) => m.status === "applied").sort((a, b) => (a.changedAt < b.changedAt ? 1 : -1));
  const newest = applied.length ? applied[0].migration : "";
  confirmWord("Revert the newest migration", `Its \`down\` is run (the newest that was applied: ${newest}).`, database(), () => order("/api/migrations/down", {}, "Reverting"));
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-act]");
  if (!button) return;
  const id = button.dataset.id, path = `/api/snapshots/${encodeURIComponent(id)}`;
  if (button.dataset.act === "verify") order(`${path}/verify`, {}, "Verifying");
  if (button.dataset.act === "restore")
    confirmWord("Restore a snapshot", `What the collections of ${id} hold now is replaced by what the snapshot holds. The present state is kept in a safety snapshot first.`,
      id, () => order(`${path}/restore`, { confirm: id }, "Restoring"));
  if (button.dataset.act === "release") {
    const holder = state.status.lease.lockedBy;
    confirmWord("Release the lease", "A runner that is still at work will stop before its next write and leave its migration unfinished. Afterwards run `mig recover`.",
      database(), () => order("/api/migrations/lock/release", { confirm: holder }, "Releasing"));
  }
});

$("state-filter").addEventListener("change", () => state.status && showMigrations(state.status));
for (const id of ["outcome-filter", "direction-filter", "migration-filter"])
  $(id).addEventListener("change", () => { state.page = 1; showHistory().catch(showTrouble); });
$("newer").addEventListener("click", () => { state.page--; showHistory().catch(showTrouble); });
$("older").addEventListener("click", () => { state.page++; showHistory().catch(showTrouble); });
begin();
