// The nodes: how each is, why, since when, and how it was during the last hour.
/** What a state means, in a symbol that needs no colour, and how bad it is. */
const STATES = {
  up: ["●", "good"],
  suspect: ["◐", "warning"],
  down: ["■", "bad"],
  settling: ["○", "quiet"],
  "catching-up": ["▲", "quiet"],
  rebuilding: ["▲", "quiet"],
  draining: ["◇", "quiet"],
  drained: ["□", "quiet"],
};
const FIGURES = ["Lag", "Applied", "Reads now", "Log position"];

function buildNode(node) {
  const figure = (name) => make("div", {}, make("dt", {}, name), make("dd", {}));
  return make("article", { class: "node", "aria-label": node.name },
    make("div", { class: "name" }, make("h3", {}, node.name), make("p", { class: "note role" }), make("p", { class: "note url" })),
    make("div", { class: "state" },
      make("p", {}, make("span", { class: "badge", role: "status" }), " ", make("span", { class: "age" })),
      make("p", { class: "why" })),
    make("dl", { class: "figures" }, ...FIGURES.map(figure)),
    make("div", { class: "past" },
      make("svg", { class: "strip", viewBox: `0 0 ${WIDE} 14`, preserveAspectRatio: "none", role: "img" }),
      make("details", {}, make("summary", {}, "History"), make("ol", { class: "log" }))));
}

function drawNodes() {
  keep($("node-rows"), known.now.nodes, (node) => node.name, buildNode, drawNode);
}

function drawNode(row, node) {
  const [symbol, tone] = STATES[node.state] ?? ["?", "quiet"];
  const roles = [node.role, known.now.acting === node.name && "acting", known.now.preferred === node.name && "preferred by an operator"];
  say(row.querySelector(".role"), roles.filter(Boolean).join(", "));
  say(row.querySelector(".url"), node.url.replace(/^https?:\/\/|\/$/g, ""));
  row.dataset.state = node.state;
  mark(row, `node ${tone}`);
  say(row.querySelector(".badge"), `${symbol} ${node.state}`);
  say(row.querySelector(".age"), `for ${lasting(known.now.at_ms - node.since_ms)}`);
  say(row.querySelector(".why"), `since ${moment(node.since_ms)}: ${[node.reason, ...extra(node)].join(". ")}.`);
  const point = known.points.at(-1)?.nodes[known.now.nodes.indexOf(node)];
  const held = known.now.role === "holder";
  const values = [
    held ? plural(node.lag_entries, "entry", "entries") : "–",
    rate(point?.applied_per_second),
    count(node.outstanding_reads),
    held ? count(node.cursor) : "–",
  ];
  row.querySelectorAll("dd").forEach((value, at) => say(value, values[at]));
  drawPast(row, node);
}

/** What else is going on there. */
function extra(node) {
  const parts = [];
  if (node.copying) {
    const { collections_done: done, collections_total: total, records_per_second: speed, remaining_seconds: rest } = node.copying;
    const left = rest === null ? "" : `, about ${lasting(rest * 1000)} left`;
    parts.push(`Copying collection ${done + 1} of ${total} from ${node.copying.source}: ${count(node.copying.done)} of ${plural(node.copying.total, "record")}, ${count(speed)} records/s${left}`);
  } else if (node.collections_copied > 0 && node.state !== "up") {
    parts.push(`${plural(node.collections_copied, "collection")} copied`);
  }
  if (node.quarantined_collections > 0) parts.push(`${plural(node.quarantined_collections, "collection")} quarantined`);
  if (node.streams_in_doubt > 0) parts.push(`${plural(node.streams_in_doubt, "stream")} to be read back after unanswered requests`);
  return parts;
}

/** Spans of one state within the last hour, the oldest first. */
function spans(node, end) {
  const mine = known.changes.filter((change) => change.of === node.name);
  const all = [];
  let from = Math.max(end - span(), end - known.now.uptime_seconds * 1000);
  let state = mine.length ? mine[0].from : node.state;
  for (const change of mine) {
    if (change.at_ms > from) all.push({ from, to: change.at_ms, state });
    from = Math.max(from, change.at_ms);
    state = change.to;
  }
  all.push({ from, to: end, state });
  return all;
}

function drawPast(row, node) {
  const end = balancerTime();
  const svg = row.querySelector("svg");
  const x = across(end);
  const all = spans(node, end);
  svg.replaceChildren(...all.map((span) => {
    const tone = STATES[span.state]?.[1] ?? "quiet";
    const high = { good: 4, quiet: 9, warning: 14, bad: 14 }[tone];
    return make("rect", { class: tone, x: x(span.from).toFixed(2), width: Math.max(1.2, x(span.to) - x(span.from)).toFixed(2), y: 14 - high, height: high });
  }));
  const away = all.filter((span) => span.state === "down").reduce((sum, span) => sum + span.to - span.from, 0);
  const text = `${node.name} in the last hour: ${away ? `down for ${lasting(away)}` : "never down"}`;
  if (svg.getAttribute("aria-label") !== text) svg.setAttribute("aria-label", text);
  const mine = known.changes.filter((change) => change.of === node.name).slice(-20).reverse();
  keep(row.querySelector(".log"), mine, (change) => change.n, buildChange, () => {});
}

function buildChange(change) {
  return make("li", {}, timed(change.at_ms), " ", make("b", {}, `${change.from} → ${change.to}`), " ", change.reason);
}
