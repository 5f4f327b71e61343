// An outside worker that reports changes of documents on a schedule, whatever the answers take. It reads one line of JSON:
// where, with which key, which documents, how many a second (see plan() in screen.mjs). `kind`: "turns", each change turns
// the document's status around; "progress", each tells how far it is.
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { setTimeout as delay } from "node:timers/promises";
import { moment } from "./clock.mjs";

const { base, key, kind, ids, rate, count, start } = JSON.parse(await text(process.stdin));
const agent = new Agent({ keepAlive: true, maxSockets: 64 });
/** The newest report of each document: those of one follow each other. */
const before = new Map();
let failed;

function report(n) {
  const round = Math.floor(n / ids.length);
  const message = `Change ${n}.`;
  if (kind === "turns" && round % 2 === 0) return { status: "pending" };
  return { status: "processing", step: "reading_pages", message, progress: kind === "turns" ? 0 : Math.min(99, 1 + round) };
}

function post(id, body) {
  const headers = { authorization: `Bearer ${key}`, "content-type": "application/json" };
  return new Promise((done, fail) => {
    const asked = request(`${base}/api/status/documents/${id}`, { method: "POST", agent, headers }, async (answer) => {
      const said = await text(answer);
      if (answer.statusCode === 200) done();
      else fail(new Error(`${answer.statusCode}: ${said}`));
    });
    asked.once("error", fail);
    asked.end(JSON.stringify(body));
  });
}

function make(n) {
  const id = ids[n % ids.length];
  const turn = (before.get(id) ?? Promise.resolve()).then(() => post(id, report(n)));
  before.set(id, turn.catch((error) => (failed ??= error)));
}

for (let next = 0; next < count; ) {
  const due = Math.min(count, Math.floor(((moment() - start) * rate) / 1000) + 1);
  for (; next < due; next++) make(next);
  await delay(1);
}
await Promise.all(before.values());
agent.destroy();
if (failed) throw failed;
