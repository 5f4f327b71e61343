// The other peer of P1: Bun's own WebSockets, with a topic for each room. `bun bun.mjs PEOPLE`
// People are signed in by a cookie; changes are frames of 200 bytes, made in this process on a schedule that each line of
// standard input gives (see plan.rs). Its few words are those of Socket.IO, so that the same client understands them. It
// says where it listens, the sessions' tokens, and when a schedule was carried out.
import { dlopen, FFIType, ptr } from "bun:ffi";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";

const people = Number(process.argv[2]);
const tokens = Array.from({ length: people }, () => randomBytes(32).toString("hex"));
const rooms = new Map(tokens.map((token, room) => [token, room]));

const server = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  fetch(request, server) {
    const cookies = (request.headers.get("cookie") ?? "").split(";").map((pair) => pair.trim().split("="));
    const room = rooms.get(cookies.find(([name]) => name === "insighthub_session")?.[1]);
    if (room === undefined) return new Response("sign in first", { status: 401 });
    if (server.upgrade(request, { data: { room } })) return undefined;
    return new Response("a WebSocket is expected", { status: 400 });
  },
  websocket: {
    open(socket) {
      socket.subscribe(`room-${socket.data.room}`);
      socket.send("0{}");
    },
    message(socket, said) {
      if (said === "40") socket.send("40");
    },
  },
});

/** A change whose frame has 200 bytes. */
function change(seq) {
  const made = { type: "event", seq, at: "2026-01-01T00:00:00Z", event: "file_progress", data: { message: "" } };
  const frame = () => `42${JSON.stringify(["event", made])}`;
  made.data.message = "x".repeat(200 - frame().length);
  return frame();
}

/** The machine's monotonic clock: Bun's own begins with its process. */
const { symbols } = dlopen("libc.so.6", {
  clock_gettime: { args: [FFIType.i32, FFIType.ptr], returns: FFIType.i32 },
});
const clock = new BigInt64Array(2);
symbols.clock_gettime(1, ptr(clock));
const offset = Number(clock[0]) * 1e9 + Number(clock[1]) - Bun.nanoseconds();
const now = () => Bun.nanoseconds() + offset;

/** Makes the changes that are due, not too many before others have their turn, until all are made. */
function carryOut(plan) {
  return new Promise((done) => {
    let next = 0;
    const turn = () => {
      const due = Math.min(plan.count, Math.floor(((now() - plan.start) * plan.rate) / 1e9) + 1);
      const until = Math.min(due, next + 256);
      for (; next < until; next++) {
        server.publish(`room-${next % plan.rooms}`, change(Math.floor(next / plan.rooms) + 1));
      }
      if (next >= plan.count) done();
      else if (next < due) setImmediate(turn);
      else setTimeout(turn, 1);
    };
    turn();
  });
}

console.log(`listening on http://127.0.0.1:${server.port}`);
console.log(JSON.stringify({ tokens }));
let before = Promise.resolve();
createInterface({ input: process.stdin }).on("line", (line) => {
  const plan = JSON.parse(line);
  before = before.then(() => carryOut(plan)).then(() => console.log(JSON.stringify({ sent: plan.count })));
});
