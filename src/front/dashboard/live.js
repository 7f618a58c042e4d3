// The connection: samples come in, the page is drawn; where none come, it says so, since when, and tries again.
const SILENCE = 4_000;
const AGAIN = 5_000;
/** As many as the balancer keeps. */
const POINTS = 720;
const FACTS = 100;

/** Ends the stream that is read. */
let ending = null;
let triedAt = 0;
/** The balancer's words for why it shows nothing to whoever has no key for it. */
let denied = null;
let lostAt = null;

function append(list, more, most) {
  list.push(...more);
  if (list.length > most) list.splice(0, list.length - most);
}

function take(data, whole) {
  const { now, lately } = JSON.parse(data);
  denied = null;
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

/** One event of the stream, of which only name and data count. */
function hear(text) {
  const field = (name) => text.split("\n").find((line) => line.startsWith(`${name}: `))?.slice(name.length + 2);
  const data = field("data");
  if (data) take(data, field("event") === "snapshot");
}

/** Read by hand: an EventSource could not show a key. */
async function follow(signal) {
  const headers = { accept: "text/event-stream" };
  if (adminKey()) headers.authorization = `Bearer ${adminKey()}`;
  const asked = fetch("/dashboard/events", { headers, cache: "no-store", signal });
  const answer = await asked.catch((error) => {
    denied = null;
    throw error;
  });
  if (answer.status === 401 || answer.status === 403) {
    const said = await answer.json().catch(() => ({}));
    askForKey(said.message ?? "an API key is needed");
  }
  if (!answer.ok) throw new Error(String(answer.status));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = "", more; (more = await reader.read()), !more.done;) {
    const events = (rest + more.value).split("\n\n");
    rest = events.pop();
    events.forEach(hear);
  }
}

function connect() {
  ending?.abort();
  const own = new AbortController();
  ending = own;
  triedAt = performance.now();
  const over = () => { if (ending === own) lost(); };
  follow(own.signal).then(over, over);
}

/** Once for each refusal: whoever is typing is left alone. */
function askForKey(message) {
  if (denied === message) return;
  denied = message;
  $("key-box").open = true;
  $("key").focus();
}

/** No figures come: what is shown is old. */
function lost() {
  if (lostAt === null) lostAt = Date.now() - (known.now ? Math.max(0, performance.now() - known.heardAt) : 0);
  mark(document.body, known.now ? "stale" : "waiting");
  mark($("link"), "link lost");
  const shown = known.now ? "What is shown is from then." : "Nothing was received yet.";
  say($("link"), `Disconnected since ${moment(lostAt)}`);
  mark($("headline"), "headline bad");
  if (denied) {
    say($("link"), "No key");
    say($("sentence"), "This balancer shows its figures to whoever has a key.");
    say($("lasting"), "");
    say($("advice"), `It says: ${ended(denied)} Type a key that is not bound to a tenant under “Key”; it stays in this tab.`);
    return;
  }
  say($("sentence"), `This page has not heard from the balancer since ${moment(lostAt)}.`);
  say($("lasting"), lasting(Date.now() - lostAt));
  say($("advice"), `${shown} It tries again every few seconds. If that lasts, look whether the balancer runs, and at another one.`);
}

setInterval(() => {
  const silent = known.now && performance.now() - known.heardAt > SILENCE;
  if (!silent && lostAt === null) return;
  lost();
  // An open connection that says nothing is none.
  if (performance.now() - triedAt > AGAIN) connect();
}, 1_000);

startLetters();
connect();
