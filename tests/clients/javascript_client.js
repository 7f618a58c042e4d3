// What a user of the current JavaScript client does, every answer checked.
//
// Usage, beside a folder node_modules with chromadb: node javascript_client.js http://127.0.0.1:8000
//
// Leaves the collection js-kept with 99 records and no other.

import assert from "node:assert/strict";
import { ChromaClient } from "chromadb";

const where = new URL(process.argv[2]);
const client = new ChromaClient({ host: where.hostname, port: Number(where.port), ssl: false });
const embeddingFunction = null;

function same(step, found, expected) {
  assert.deepEqual(found, expected, step);
  console.log("ok", step);
}

async function refused(step, call) {
  await assert.rejects(call, step);
  console.log("ok", step);
}

assert.ok((await client.heartbeat()) > 0);
const before = await client.countCollections();
const kept = await client.createCollection({ name: "js-first", metadata: { owner: "me" }, embeddingFunction });
same("get or create", (await client.getOrCreateCollection({ name: "js-first", embeddingFunction })).id, kept.id);
same("get", (await client.getCollection({ name: "js-first", embeddingFunction })).id, kept.id);
await refused("create twice", () => client.createCollection({ name: "js-first", embeddingFunction }));
await refused("get what is not there", () => client.getCollection({ name: "js-nowhere", embeddingFunction }));
await client.createCollection({ name: "js-gone", embeddingFunction });
same("count collections", await client.countCollections(), before + 2);
const listed = (await client.listCollections()).map((one) => one.name);
same("list", listed.filter((name) => name.startsWith("js-")).sort(), ["js-first", "js-gone"]);
await kept.modify({ name: "js-kept", metadata: { owner: "me", version: 2 } });
await client.deleteCollection({ name: "js-gone" });
await refused("a deleted name", () => client.getCollection({ name: "js-gone", embeddingFunction }));
await refused("delete twice", () => client.deleteCollection({ name: "js-gone" }));

const ids = Array.from({ length: 100 }, (_, n) => `r${String(n).padStart(3, "0")}`);
const embeddings = ids.map((_, n) => [n, n % 7, 1]);
const metadatas = ids.map((_, n) => ({ group: n % 3 }));
const documents = ids.map((_, n) => `text ${n}`);
await kept.add({ ids, embeddings, metadatas, documents });
await kept.upsert({ ids: ["r000", "new"], embeddings: [[0, 0, 2], [500, 0, 1]], documents: ["text 0", "text new"] });
same("count", await kept.count(), 101);
same("peek", (await kept.peek({ limit: 5 })).ids.length, 5);
same("get by ids", (await kept.get({ ids: ["r007"] })).documents, ["text 7"]);
same("get by where", (await kept.get({ where: { group: 1 } })).ids.length, 33);
same("query", (await kept.query({ queryEmbeddings: [[7, 0, 1]], nResults: 1 })).ids, [["r007"]]);
await kept.update({ ids: ["r001", "nobody"], metadatas: [{ group: 9 }, { group: 9 }] });
same("update", (await kept.get({ where: { group: 9 } })).ids, ["r001"]);
await refused("a wrong dimension", () => kept.add({ ids: ["x"], embeddings: [[1]] }));
await refused("for a missing id", () => kept.update({ ids: ["nobody"], embeddings: [[1]] }));
await kept.delete({ ids: ["r002"] });
await kept.delete({ where: { group: 9 } });
same("deleted", (await kept.get({ ids: ["r001", "r002"] })).ids, []);
same("what is left", await kept.count(), 99);
same("metadata", (await client.getCollection({ name: "js-kept", embeddingFunction })).metadata, { owner: "me", version: 2 });
