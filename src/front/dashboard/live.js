// The connection: samples come in, the page is drawn; where none come, it says so, since when, and tries again.
const SILENCE = 4_000;
const AGAIN = 5_000;
/** As many as the balancer keeps. */
const POINTS = 720;
const FACTS = 100;

let source = null;
let triedAt = 0;
let lostAt = null;

function append(list, more, most) {
  list.push(...more);
  if (list.length > most) list.splice(0, list.length - most);
}

function take(event, whole) {
  const { now, lately } = JSON.parse(event.data);
  if (whole) for (const list of [known.points, known.changes, known.alerts]) list.length = 0;
  append(known.points, lately.points, POINTS);
  append(known.changes, lately.changes, FACTS);
  // What the log remembers of the time before the balancer started comes after its own first changes.
  known.changes.sort((one, other) => one.at_ms - other.at_ms || one.n - other.n);
  append(known.alerts, lately.alerts, FACTS);
  known.now = now;
  known.heardAt = performance.now();
  lostAt = null;
  draw(whole || lately.points.length > 0 || lately.changes.length > 0);
}

function draw(news) {
  mark(document.body, "live");
  say($("link"), "Live");
  mark($("link"), "link live");
  drawFacts();
  drawHeadline();
  drawNodes();
  if (news) drawCharts();
  drawLetters();
  drawAside();
  drawBehind();
  drawChanges();
  drawAlerts();
  drawActors();
}

function connect() {
  source?.close();
  triedAt = performance.now();
  source = new EventSource("/dashboard/events");
  source.addEventListener("snapshot", (event) => take(event, true));
  source.addEventListener("sample", (event) => take(event, false));
  source.addEventListener("error", lost);
}

/** No figures come: what is shown is old. */
function lost() {
  if (lostAt === null) lostAt = Date.now() - (known.now ? Math.max(0, performance.now() - known.heardAt) : 0);
  mark(document.body, known.now ? "stale" : "waiting");
  mark($("link"), "link lost");
  const shown = known.now ? "What is shown is from then." : "Nothing was received yet.";
  say($("link"), `Disconnected since ${moment(lostAt)}`);
  mark($("headline"), "headline bad");
  say($("sentence"), `This page has not heard from the balancer since ${moment(lostAt)}.`);
  say($("lasting"), lasting(Date.now() - lostAt));
  say($("advice"), `${shown} It tries again every few seconds. If that lasts, look whether the balancer runs, and at another one.`);
}

setInterval(() => {
  const silent = known.now && performance.now() - known.heardAt > SILENCE;
  if (!silent && lostAt === null) return;
  lost();
  // The browser tries by itself after a connection that broke, but not after an answer that was no stream,
  // and an open connection that says nothing is none.
  if (performance.now() - triedAt > AGAIN) connect();
}, 1_000);

startLetters();
connect();
