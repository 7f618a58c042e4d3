// The charts of the last hour: lines drawn as SVG, one moment read in all of them at once, and the same
// values as words and as a table.
const MINUTE = 60_000;
const WIDE = 400;
const HIGH = 96;
/** Without a point for so long the line is broken: the balancer was not there. */
const GAP = 16_000;

/** An hour, or less while the balancer is young: what is shown fills the charts. */
function span() {
  const age = known.now ? known.now.uptime_seconds * 1000 : 0;
  return ([5, 15, 30].find((minutes) => age < minutes * MINUTE) ?? 60) * MINUTE;
}

/** A place from 0 to `WIDE`, by time; `end` is on the right. */
const across = (end) => (ms) => (WIDE * (ms - (end - span()))) / span();

/** The moment that is read, in balancer time; none: the latest. */
let reading = null;

const nodeNames = () => (known.now ? known.now.nodes.map((node) => node.name) : []);
const perNode = (pick) => () => nodeNames().map((name, at) => ({ name, of: (point) => pick(point.nodes[at] ?? {}) }));
const pair = (field) => () => [
  { name: "p50", of: (point) => point[field]?.[0] },
  { name: "p99", of: (point) => point[field]?.[1] },
];

const CHARTS = [
  { id: "lag", title: "Lag", unit: "log entries not applied", text: count, least: 10, lines: perNode((node) => node.lag) },
  {
    id: "requests", title: "Requests", unit: "answered per second, without /api/v1", text: rate, least: 1, two: true,
    lines: () => [
      { name: "reads", of: (point) => point.reads_per_second },
      { name: "writes", of: (point) => point.writes_per_second },
    ],
  },
  { id: "applied", title: "Applied", unit: "log entries per second", text: rate, least: 1, lines: perNode((node) => node.applied_per_second) },
  { id: "reads", title: "Read latency", unit: "until the answer begins", text: latency, least: 0.01, two: true, lines: pair("read_seconds") },
  { id: "writes", title: "Write latency", unit: "until the verdict", text: latency, least: 0.01, two: true, lines: pair("write_seconds") },
  {
    id: "host", title: "Balancer's host", unit: "share of what is allowed", text: percent, least: 100, two: true,
    lines: () => [
      { name: "CPU", of: (point) => point.cpu_percent },
      { name: "memory", of: (point) => point.memory_percent },
    ],
  },
];

/** The next of 1, 2, 5, 10, 20, … */
function round(value) {
  const base = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * base).find((step) => step >= value * 0.999) ?? value;
}

function buildChart(chart) {
  const svg = make("svg", {
    viewBox: `0 0 ${WIDE} ${HIGH}`, preserveAspectRatio: "none", role: "img", tabindex: "0", id: `chart-${chart.id}`,
  });
  const top = make("span", { class: "top" });
  const table = make("table", {}, make("thead"), make("tbody"));
  const details = make("details", {}, make("summary", {}, "As a table"), make("div", { class: "scroll" }, table));
  details.addEventListener("toggle", () => fillTable(chart, details));
  listen(svg);
  return make("figure", { class: chart.two ? "chart two" : "chart" },
    make("figcaption", {}, make("h3", {}, chart.title), make("span", { class: "note" }, chart.unit)),
    make("ul", { class: "legend" }),
    make("div", { class: "plot" }, svg, top),
    make("p", { class: "axis", "aria-hidden": "true" }, make("span", {}), make("span", {}), make("span", {}, "now")),
    details);
}

function drawCharts() {
  keep($("charts"), CHARTS, (chart) => chart.id, buildChart, drawChart);
  const note = reading
    ? `Values of ${moment(reading)}. Escape shows the latest again.`
    : "Values are the latest. Point at a chart, or focus it and use ← and →, to read an earlier moment in all of them.";
  say($("cursor"), note);
}

function drawChart(figure, chart) {
  const end = balancerTime();
  const lines = chart.lines();
  const peak = highest(lines);
  const ceiling = Math.max(chart.least, peak > 0 ? round(peak) : 0);
  const svg = figure.querySelector("svg");
  const x = across(end);
  const y = (value) => HIGH - (HIGH - 2) * Math.min(1, value / ceiling) - 1;
  const drawn = [0, 0.5].map((part) => make("line", { class: "grid", x1: 0, x2: WIDE, y1: y(part * ceiling), y2: y(part * ceiling) }));
  for (const change of known.changes) {
    if (change.to === "down" || change.to === "lost") {
      drawn.push(make("line", { class: "fell", x1: x(change.at_ms), x2: x(change.at_ms), y1: 0, y2: HIGH }));
    }
  }
  lines.forEach((line, at) => drawn.push(make("path", { class: `line s${at % 6}`, d: path(line, x, y) })));
  if (reading) drawn.push(make("line", { class: "reading", x1: x(reading), x2: x(reading), y1: 0, y2: HIGH }));
  svg.replaceChildren(...drawn);
  say(figure.querySelector(".top"), chart.text(ceiling));
  const [from, middle] = figure.querySelector(".axis").children;
  say(from, `${span() / MINUTE} min ago`);
  say(middle, `${span() / MINUTE / 2}`);
  const point = pointAt(reading);
  keep(figure.querySelector(".legend"), lines, (line) => line.name,
    (line) => make("li", { class: `s${lines.indexOf(line) % 6}` }, make("span", {}, line.name), " ", make("b", {})),
    (item, line) => say(item.querySelector("b"), point ? chart.text(line.of(point)) : "–"));
  describe(svg, chart, lines);
}

function highest(lines) {
  let most = 0;
  for (const point of known.points) for (const line of lines) most = Math.max(most, line.of(point) ?? 0);
  return most;
}

function path(line, x, y) {
  let drawn = "";
  let before = null;
  for (const point of known.points) {
    const value = line.of(point);
    if (value === null || value === undefined) {
      before = null;
      continue;
    }
    const joined = before !== null && point.at_ms - before < GAP;
    drawn += `${joined ? "L" : "M"}${x(point.at_ms).toFixed(1)} ${y(value).toFixed(1)}`;
    if (!joined) drawn += "h.01";
    before = point.at_ms;
  }
  return drawn;
}

/** The same in words, for who does not see the lines. Changes a few times a minute, not with every pixel. */
function describe(svg, chart, lines) {
  const last = known.points.at(-1);
  const words = lines.map((line) => {
    const most = highest([line]);
    return `${line.name} ${last ? chart.text(line.of(last)) : "not known"}, at most ${chart.text(most)}`;
  });
  const text = `${chart.title}, ${chart.unit}, last hour: ${words.join("; ")}`;
  if (svg.getAttribute("aria-label") !== text) svg.setAttribute("aria-label", text);
}

function pointAt(ms) {
  if (ms === null) return known.points.at(-1);
  let best = null;
  for (const point of known.points) {
    if (!best || Math.abs(point.at_ms - ms) < Math.abs(best.at_ms - ms)) best = point;
  }
  return best;
}

/** One row for each five minutes: the highest value in them. */
function fillTable(chart, details) {
  if (!details.open) return;
  const lines = chart.lines();
  const head = make("tr", {}, make("th", { scope: "col" }, "5 min from"), ...lines.map((line) => make("th", { scope: "col", class: "number" }, `${line.name}, highest`)));
  const spans = new Map();
  for (const point of known.points) {
    const from = Math.floor(point.at_ms / 300_000) * 300_000;
    spans.set(from, [...(spans.get(from) ?? []), point]);
  }
  const rows = [...spans].reverse().map(([from, points]) => make("tr", {}, make("td", {}, timed(from)), ...lines.map((line) => {
    const values = points.map(line.of).filter((value) => value !== null && value !== undefined);
    return make("td", { class: "number" }, values.length ? chart.text(Math.max(...values)) : "–");
  })));
  details.querySelector("thead").replaceChildren(head);
  details.querySelector("tbody").replaceChildren(...rows);
}

function read(ms) {
  const point = ms === null ? null : pointAt(ms);
  reading = point ? point.at_ms : null;
  drawCharts();
}

function listen(svg) {
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    read(balancerTime() - span() + (span() * (event.clientX - box.left)) / box.width);
  });
  svg.addEventListener("pointerleave", () => read(null));
  svg.addEventListener("blur", () => read(null));
  svg.addEventListener("keydown", (event) => {
    const at = known.points.indexOf(pointAt(reading));
    const steps = { ArrowLeft: at - 1, ArrowRight: at + 1, PageUp: at - 60, PageDown: at + 60, Home: 0, End: Infinity };
    if (event.key === "Escape") read(null);
    else if (event.key in steps && known.points.length) {
      event.preventDefault();
      const to = Math.max(0, steps[event.key]);
      read(to >= known.points.length ? null : known.points[to].at_ms);
      const chart = CHARTS.find((one) => `chart-${one.id}` === svg.id);
      const point = pointAt(reading);
      const values = chart.lines().map((line) => `${line.name} ${chart.text(line.of(point))}`);
      svg.setAttribute("aria-label", `${chart.title} at ${moment(point.at_ms)}: ${values.join(", ")}`);
    }
  });
}
