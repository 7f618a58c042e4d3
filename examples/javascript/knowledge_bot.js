// A small knowledge bot on the JavaScript client: it keeps the house's handbook in a collection and answers from it.
//
//     CHROMA_URL=http://localhost:8000 node knowledge_bot.js [rounds]
//
// Each round takes in a new edition of the handbook, removes the old one, corrects an article, deletes another, and asks
// after every step; an answer that is not the newest ends it with an error. 0 rounds: until Ctrl-C.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { ChromaClient } from "chromadb";

const ARTICLES = {
  wifi: ["office", "The guest network is called Harbour; its password hangs at the reception."],
  coffee: ["office", "Coffee is free, and the machine is cleaned every Friday."],
  parking: ["office", "Guests may park their car behind the house, beside the bicycles."],
  leave: ["people", "Ask for leave two weeks before it begins."],
  laptop: ["security", "Report a lost laptop to the security desk at once."],
};
const CORRECTED = "The guest network is called Lighthouse; its password hangs at the reception.";

// Stands for a model, and needs none: texts that share words are near each other.
class WordHash {
  name = "word-hash";

  async generate(texts) {
    return texts.map(embed);
  }

  getConfig() {
    return {};
  }

  static buildFromConfig() {
    return new WordHash();
  }
}

function embed(text) {
  const vector = new Array(256).fill(0);
  for (const word of text.toLowerCase().match(/\w{4,}/g) ?? []) {
    vector[createHash("sha256").update(word).digest()[0]] += 1;
  }
  const length = Math.hypot(...vector) || 1;
  return vector.map((value) => value / length);
}

function connect() {
  const where = new URL(process.env.CHROMA_URL ?? "http://localhost:8000");
  const ssl = where.protocol === "https:";
  const client = new ChromaClient({ host: where.hostname, port: Number(where.port || (ssl ? 443 : 80)), ssl });
  return client.getOrCreateCollection({ name: "handbook-javascript", embeddingFunction: new WordHash() });
}

async function takeIn(handbook, edition) {
  await handbook.add({
    ids: Object.keys(ARTICLES).map((name) => `${name}-${edition}`),
    documents: Object.values(ARTICLES).map(([, text]) => text),
    metadatas: Object.values(ARTICLES).map(([topic]) => ({ topic, edition })),
  });
  await handbook.delete({ where: { edition: { $lt: edition } } });
}

// The best article on the topic, and the edition that it is from.
async function ask(handbook, question, topic) {
  const found = await handbook.query({ queryTexts: [question], where: { topic }, nResults: 1 });
  return [found.documents[0][0], found.metadatas[0][0].edition];
}

// Every answer must be of this edition.
async function aRound(handbook, edition) {
  await takeIn(handbook, edition);
  let network = await ask(handbook, "What is the guest network called?", "office");
  assert.deepEqual(network, [ARTICLES.wifi[1], edition], "the new edition");

  await handbook.update({ ids: [`wifi-${edition}`], documents: [CORRECTED] });
  network = await ask(handbook, "What is the guest network called?", "office");
  assert.deepEqual(network, [CORRECTED, edition], "the corrected article");

  await handbook.delete({ ids: [`parking-${edition}`] });
  const left = (await handbook.get({ where: { topic: "office" }, include: [] })).ids;
  assert.deepEqual(left.sort(), [`coffee-${edition}`, `wifi-${edition}`], "without the deleted article");
  return network[0];
}

const rounds = Number(process.argv[2] ?? 3);
let stopping = false;
process.on("SIGINT", () => (stopping = true));
const handbook = await connect();
const known = (await handbook.get({ include: ["metadatas"] })).metadatas;
const first = 1 + Math.max(0, ...known.map((metadata) => metadata.edition));
let edition = first;
for (; !stopping && (rounds === 0 || edition < first + rounds); edition += 1) {
  const begun = performance.now();
  const answer = await aRound(handbook, edition);
  console.log(`edition ${edition}, ${((performance.now() - begun) / 1000).toFixed(2)} s: ${answer}`);
}
const left = await handbook.count();
console.log(`${edition - first} rounds, no call failed; the handbook has ${left} articles of edition ${edition - 1}`);
