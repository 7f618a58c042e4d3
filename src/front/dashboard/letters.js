// Dead letters, and what an operator may do about them. The key is typed into the page, stays in this tab,
// and travels in a header only.
const KEY = "chroma-ha-admin-key";

/** Reasons by letter, asked for with the key. */
const reasons = new Map();
let asked = null;

const adminKey = () => sessionStorage.getItem(KEY) ?? "";

async function admin(method, path, body) {
  const headers = { accept: "application/json" };
  if (adminKey()) headers["x-chroma-ha-admin-token"] = adminKey();
  if (body) headers["content-type"] = "application/json";
  const answer = await fetch(`/admin/${path}`, { method, headers, body: body && JSON.stringify(body), cache: "no-store" });
  const text = await answer.text();
  let read;
  try {
    read = JSON.parse(text);
  } catch {
    read = { message: text.slice(0, 200) };
  }
  if (!answer.ok) throw new Error(`${answer.status}: ${read.message ?? "no reason was given"}`);
  return read;
}

function buildLetter(letter) {
  const retry = make("button", { type: "button" }, "Retry");
  const discard = make("button", { type: "button" }, "Discard…");
  retry.addEventListener("click", () => act(letter, "retry"));
  discard.addEventListener("click", () => ask(letter));
  return make("li", {},
    make("p", {}, make("b", {}, letter.id), " ", make("span", { class: "place" })),
    make("p", { class: "note reason" }),
    make("div", { class: "row" }, retry, discard));
}

function drawLetters() {
  const { open, rows } = known.now.dead_letters;
  say($("letters-count"), open ? count(open) : "");
  show($("letters-none"), !open);
  say($("letters-none"), unlessUnknown("No node refuses an accepted write."));
  keep($("letters"), rows, (letter) => letter.id, buildLetter, (row, letter) => {
    say(row.querySelector(".place"), `in ${letter.place}`);
    say(row.querySelector(".reason"), reasons.get(letter.id) ?? (adminKey() ? "" : "The node's answer is shown with a key of scope admin."));
    for (const button of row.querySelectorAll("button")) {
      button.setAttribute("aria-label", `${button.textContent.replace("…", "")} ${letter.id}`);
    }
  });
  if (open && adminKey() && rows.some((letter) => !reasons.has(letter.id))) learn(rows);
}

/** What the nodes answered; not more often than every 10 s. */
let learnt = -Infinity;
async function learn(rows) {
  if (performance.now() - learnt < 10_000) return;
  learnt = performance.now();
  try {
    const page = await admin("GET", "dead-letters?limit=100");
    for (const one of page.dead_letters) reasons.set(one.id, `${one.op}, ${plural(one.attempts, "attempt")}: ${one.reason}`);
    for (const letter of rows) if (!reasons.has(letter.id)) reasons.set(letter.id, "");
  } catch (error) {
    say($("letters-said"), `The reasons could not be read. ${ended(error.message)}`);
  }
}

async function act(letter, deed, body) {
  say($("letters-said"), `${letter.id}: asked…`);
  try {
    const answer = await admin("POST", `dead-letters/${encodeURIComponent(letter.id)}/${deed}`, body);
    say($("letters-said"), `${letter.id}: ${ended(answer.message)}`);
  } catch (error) {
    say($("letters-said"), `${letter.id}: not done. ${ended(error.message)}`);
    if (/^(401|403):/.test(error.message)) {
      $("key-box").open = true;
      $("key").focus();
    }
  }
}

function ask(letter) {
  asked = letter;
  say($("ask-what"), letter.catalog
    ? `${letter.id} is an entry of the catalog: it can only be retried, or the node let differ.`
    : `${letter.id} in ${letter.place}. Discarded, it is dropped, and the collection stays quarantined on ${letter.node} until it is copied there anew. To let the node differ means that it goes on without this write, and reads there show that.`);
  show($("ask-copy"), !letter.catalog);
  $("ask").showModal();
}

function answerAsked(body) {
  $("ask").close();
  act(asked, "discard", body);
}

function sayKey() {
  say($("key-state"), adminKey() ? "A key is kept in this tab." : "No key is kept.");
}

function startLetters() {
  $("key-form").addEventListener("submit", (event) => {
    event.preventDefault();
    if ($("key").value) sessionStorage.setItem(KEY, $("key").value);
    $("key").value = "";
    learnt = -Infinity;
    sayKey();
    connect();
  });
  $("key-forget").addEventListener("click", () => {
    sessionStorage.removeItem(KEY);
    reasons.clear();
    sayKey();
    connect();
  });
  $("ask-copy").addEventListener("click", () => answerAsked({}));
  $("ask-differ").addEventListener("click", () => answerAsked({ accept_difference: true }));
  $("ask-cancel").addEventListener("click", () => $("ask").close());
  sayKey();
}
