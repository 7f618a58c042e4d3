// The sentence above, and the lists below: what is behind, set aside, was told, changed; the actors.
const TONES = { info: "good", warning: "warning", critical: "bad" };

function sentence(headline) {
  const since = headline.since_ms ? ` since ${moment(headline.since_ms)}` : "";
  return `${headline.what}${since}`;
}

/** More about it, what users notice, what to do. */
function advice(headline) {
  return [headline.detail, headline.effect, headline.action].filter(Boolean).map(ended).join(" ");
}

function drawHeadline() {
  const [first, ...rest] = known.now.headlines;
  // Nothing is wrong, or only on its way.
  const calm = first.severity === "info" && known.now.status === "healthy";
  mark($("headline"), `headline ${first.severity === "info" && !calm ? "quiet" : TONES[first.severity]}`);
  say($("sentence"), ended(sentence(first)));
  say($("lasting"), first.since_ms ? lasting(known.now.at_ms - first.since_ms) : "");
  say($("advice"), advice(first));
  keep($("matters"), rest, (one) => one.what, () => make("li", {}, make("b", {}), " ", make("span", {})), (row, one) => {
    mark(row, one.severity === "info" ? "quiet" : TONES[one.severity]);
    say(row.firstChild, ended(sentence(one)));
    say(row.lastChild, advice(one));
  });
}

/** That nothing is there is known only to the balancer that holds the log. */
function unlessUnknown(text) {
  return known.now.role === "holder" ? text : "Known only to the balancer that holds the log.";
}

/** A table's rows; `cells` gives the texts of an item. */
function drawTable(id, items, key, cells, numbers = []) {
  const titles = [...$(id).tHead.rows[0].cells].map((cell) => cell.textContent);
  const cell = (title, at) => make("td", { "data-label": title, class: numbers.includes(at) ? "number" : null });
  const build = () => make("tr", {}, ...titles.map(cell));
  keep($(id).tBodies[0], items, key, build, (row, item) => {
    cells(item).forEach((text, at) => say(row.cells[at], text));
  });
  show($(id), items.length > 0);
}

function drawAside() {
  const { count: all, rows } = known.now.quarantined;
  say($("aside-count"), all ? count(all) : "");
  show($("aside-none"), !all);
  say($("aside-none"), unlessUnknown("Every collection is served from every node that is up."));
  drawTable("aside", rows, (row) => `${row.node} ${row.stream}`, (row) => [row.node, row.place, row.reason]);
}

function drawBehind() {
  const rows = known.now.behind;
  say($("behind-count"), rows.length ? count(rows.length) : "");
  show($("behind-none"), !rows.length);
  say($("behind-none"), unlessUnknown("None by more than 2 s."));
  drawTable("behind", rows, ({ node, behind }) => `${node} ${behind.stream}`, ({ node, behind }) => [
    node,
    behind.place,
    count(behind.first),
    behind.since_ms ? lasting(known.now.at_ms - behind.since_ms) : "–",
    behind.doing,
  ], [2]);
}

function drawChanges() {
  show($("changes-none"), !known.changes.length);
  const latest = known.changes.slice(-100).reverse();
  keep($("changes"), latest, (change) => change.n, (change) =>
    make("li", { class: STATES[change.to]?.[1] ?? (change.to === "lost" ? "bad" : "") },
      timed(change.at_ms), " ", make("b", {}, `${change.of}: ${change.from} → ${change.to}`), " ", change.reason), () => {});
}

function drawAlerts() {
  show($("alerts-none"), !known.alerts.length);
  const latest = known.alerts.slice(-100).reverse();
  keep($("alerts"), latest, (alert) => alert.n, (alert) => {
    const tone = alert.phase === "resolved" ? "good" : alert.severity === "info" ? "" : TONES[alert.severity];
    const rest = alert.phase === "resolved" ? ended(alert.what) : `${ended(alert.what)} ${ended(alert.effect)} ${ended(alert.action)}`;
    return make("li", { class: tone }, timed(alert.at_ms), " ", make("b", {}, `${alert.phase}: ${alert.title}`), " ", rest);
  }, () => {});
}

function drawActors() {
  drawTable("actors", known.now.actors, (actor) => actor.name, (actor) => [
    actor.name,
    count(actor.handled),
    actor.last_heard_ms === null ? "–" : `${lasting(actor.last_heard_ms)} ago`,
    `${count(actor.restarts_after_panic)} / ${count(actor.restarts_after_stop)}`,
    actor.last_error ?? "",
  ], [1, 2, 3]);
  for (const row of $("actors").tBodies[0].rows) {
    const actor = known.now.actors.find((one) => one.name === row.dataset.key);
    mark(row, actor.restarts_after_panic + actor.restarts_after_stop > 0 ? "warning" : "");
  }
}

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone ?? "local time";

function drawFacts() {
  const now = known.now;
  say($("service"), now.service);
  const title = now.headlines[0].severity === "info" ? now.service : `! ${now.headlines[0].what} · ${now.service}`;
  if (document.title !== title) document.title = title;
  const log = now.write_ahead_log;
  const parts = [
    now.role === "holder" ? "holds the log" : `stands by${now.holder ? `, holder ${now.holder}` : ""}`,
    now.role === "holder" ? `acting ${now.acting ?? "none"}` : null,
    `epoch ${count(now.epoch)}`,
    now.role === "holder" ? `log at ${count(log.head)}, ${count(log.pending_writes)} pending` : null,
    plural(now.collections, "collection"),
    `${count(now.requests.in_flight)} of ${plural(now.requests.limit, "request")}`,
    `version ${now.version}`,
    `up ${lasting(now.uptime_seconds * 1000)}`,
    `times in ${zone}`,
  ];
  keep($("facts"), parts.filter(Boolean), (text) => parts.indexOf(text), () => make("span"), (item, text) => say(item, text));
}
