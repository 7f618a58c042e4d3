// Words, figures and elements: how a value is written, and how text gets into the page (never as markup).
const $ = (id) => document.getElementById(id);

/** An element with attributes and children; strings become text. */
function make(name, attributes = {}, ...children) {
  const svg = ["svg", "path", "line", "rect", "text", "g", "title"].includes(name);
  const element = svg
    ? document.createElementNS("http://www.w3.org/2000/svg", name)
    : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Touches the page only if the text is another one: nothing is announced or repainted for nothing. */
function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** As `say`, for a class that shows the value in colour, too. */
function mark(element, name) {
  if (element.className !== name) element.className = name;
}

function show(element, visible) {
  if (element.hidden === visible) element.hidden = !visible;
}

/** Keeps one child of `parent` for each item, in the items' order, and what has the focus where it is. */
function keep(parent, items, key, build, update) {
  const known = new Map([...parent.children].map((child) => [child.dataset.key, child]));
  let place = null;
  for (const item of items) {
    const name = String(key(item));
    let child = known.get(name);
    if (child) known.delete(name);
    else {
      child = build(item);
      child.dataset.key = name;
    }
    const next = place ? place.nextSibling : parent.firstChild;
    if (child !== next) parent.insertBefore(child, next);
    update(child, item);
    place = child;
  }
  for (const child of known.values()) child.remove();
}

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const tenth = new Intl.NumberFormat("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 });

/** A count, without decimals. */
const count = (value) => (value === null || value === undefined ? "–" : whole.format(value));

function plural(value, one, many = `${one}s`) {
  return `${count(value)} ${value === 1 ? one : many}`;
}

/** A rate per second. */
function rate(value) {
  if (value === null || value === undefined) return "–";
  return `${value < 10 ? tenth.format(value) : whole.format(value)}/s`;
}

const percent = (value) => (value === null || value === undefined ? "–" : `${whole.format(value)} %`);

/** A time of an answer, in seconds, in its fitting unit. */
function latency(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  const ms = seconds * 1000;
  if (ms < 10) return `${tenth.format(ms)} ms`;
  return ms < 1000 ? `${whole.format(ms)} ms` : `${tenth.format(seconds)} s`;
}

/** How long something has lasted. */
function lasting(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, "0")} s`;
  const hours = Math.floor(seconds / 3600);
  const minutes = String(Math.floor((seconds % 3600) / 60)).padStart(2, "0");
  return hours < 48 ? `${hours} h ${minutes} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });

/** The moment, with the day if it is not today. */
function moment(ms) {
  const at = new Date(ms);
  const today = at.toDateString() === new Date().toDateString();
  return today ? clock.format(at) : `${day.format(at)} ${clock.format(at)}`;
}

function timed(ms) {
  return make("time", { datetime: new Date(ms).toISOString() }, moment(ms));
}

/** A sentence with its full stop. */
function ended(text) {
  return !text || /[.!?]$/.test(text) ? text : `${text}.`;
}

/** What the page knows: the last sample, the last hour, and how far the two clocks are apart. */
const known = { now: null, points: [], changes: [], alerts: [], heardAt: 0 };

/** The balancer's time now, by the last sample and the time that has passed here since. */
function balancerTime() {
  return known.now ? known.now.at_ms + (performance.now() - known.heardAt) : Date.now();
}
