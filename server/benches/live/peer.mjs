// The peer: a Socket.IO server that does the same work as ours. `node peer.mjs NODE_MODULES PEOPLE [REDIS_PORT JOBS]`
// People are signed in by a cookie, and each has a room; changes are JSON of 200 bytes, made in this process on a schedule
// that each line of standard input gives (see plan.rs). It says where it listens, the sessions' tokens, and when a schedule
// was carried out. Where a schedule says so, whoever connects later is sent the
// newest change of their room. POST /changes/N makes a change of the N-th
// document for the first person: with Redis it is the progress of a BullMQ job, told when BullMQ's events tell of it.
import { randomBytes } from "node:crypto";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const [modules, people, redisPort, jobs] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { Server } = require("socket.io");

const tokens = Array.from({ length: Number(people) }, () => randomBytes(32).toString("hex"));
const rooms = new Map(tokens.map((token, room) => [token, room]));
const newest = new Map();
const http = createServer(answer);
const io = new Server(http, { serveClient: false });

io.use((socket, next) => {
  const cookies = (socket.handshake.headers.cookie ?? "").split(";").map((pair) => pair.trim().split("="));
  const session = cookies.find(([name]) => name === "insighthub_session");
  const room = rooms.get(session?.[1]);
  if (room === undefined) return next(new Error("sign in first"));
  socket.data.room = `room-${room}`;
  next();
});
io.on("connection", (socket) => {
  socket.join(socket.data.room);
  const missed = newest.get(socket.data.room);
  if (missed) socket.emit("event", missed);
});

/** Tells a room of a change. */
function tell(room, made, kept = false) {
  if (kept) newest.set(room, made);
  io.to(room).emit("event", made);
}

/** A change whose JSON has 200 bytes. */
function change(seq) {
  const made = { type: "event", seq, at: "2026-01-01T00:00:00Z", event: "file_progress", data: { message: "" } };
  made.data.message = "x".repeat(200 - JSON.stringify(made).length);
  return made;
}

const now = () => Number(process.hrtime.bigint());

/** Makes the changes that are due, not too many before others have their turn, until all are made. */
function carryOut(plan) {
  return new Promise((done) => {
    let next = 0;
    const turn = () => {
      const due = Math.min(plan.count, Math.floor(((now() - plan.start) * plan.rate) / 1e9) + 1);
      const until = Math.min(due, next + 256);
      for (; next < until; next++) {
        tell(`room-${next % plan.rooms}`, change(Math.floor(next / plan.rooms) + 1), plan.kept);
      }
      if (next >= plan.count) done();
      else if (next < due) setImmediate(turn);
      else setTimeout(turn, 1);
    };
    turn();
  });
}

let told = 0;

/** Tells of a document's change, in as many bytes as our documents have at least. */
function tellDocument({ document, status, metadata }) {
  told += 1;
  const data = { id: document, status, metadata, more: "" };
  const made = { type: "event", seq: told, at: new Date().toISOString(), event: "document_status", data };
  data.more = "x".repeat(Math.max(0, 900 - JSON.stringify(made).length));
  tell("room-0", made);
}

/** Carries out a change and answers when it is kept, if anything keeps it. */
let keep = async (change) => tellDocument(change);
if (redisPort) {
  const { Queue, QueueEvents } = require("bullmq");
  const connection = { host: "127.0.0.1", port: Number(redisPort) };
  const queue = new Queue("documents", { connection });
  const events = new QueueEvents("documents", { connection });
  await events.waitUntilReady();
  const made = await queue.addBulk(Array.from({ length: Number(jobs) }, (_, n) => ({ name: "document", data: { n } })));
  events.on("progress", ({ data }) => tellDocument(data));
  keep = (change) => made[change.document].updateProgress(change);
}

async function answer(request, response) {
  const found = /^\/changes\/(\d+)$/.exec(request.url);
  const token = request.headers.authorization?.replace("Bearer ", "");
  const end = (status, body) => response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(body));
  if (!found || request.method !== "POST") return end(404, {});
  if (!rooms.has(token)) return end(401, {});
  let text = "";
  for await (const part of request) text += part;
  const change = { ...JSON.parse(text), document: Number(found[1]) };
  await keep(change);
  end(200, change);
}

http.listen(0, "127.0.0.1", () => {
  console.log(`listening on http://127.0.0.1:${http.address().port}`);
  console.log(JSON.stringify({ tokens }));
});
let before = Promise.resolve();
createInterface({ input: process.stdin }).on("line", (line) => {
  const plan = JSON.parse(line);
  if (plan.tidy) {
    globalThis.gc();
    console.log(JSON.stringify({ tidy: true }));
    return;
  }
  before = before.then(() => carryOut(plan)).then(() => console.log(JSON.stringify({ sent: plan.count })));
});
