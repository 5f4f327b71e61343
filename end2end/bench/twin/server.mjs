// The twin's server: `node server.mjs NODE_MODULES BUNDLE ROWS`. It serves the page, tells its documents, and makes changes
// of them on a schedule (POST /changes), each told to everybody over Socket.IO. It says where it listens.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { json } from "node:stream/consumers";
import { moment } from "../clock.mjs";

const [modules, bundle, rows] = process.argv.slice(2);
const { Server } = createRequire(`${modules}/`)("socket.io");

const documents = Array.from({ length: Number(rows) }, (_, n) => {
  const hash = createHash("md5").update(String(n)).digest("hex");
  const id = hash.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  const filename = `file-${n}.txt`;
  return { id, filename, size_bytes: 12, status: "pending", message: "", progress: 0, created_at: "2026-01-01T00:00:00Z" };
});
const PAGE = '<!doctype html><meta charset="utf-8"><title>Twin</title><link rel="stylesheet" href="/style.css">'
  + '<div id="root"></div><script type="module" src="/bundle.js"></script>';
const STYLE = ".doc-row{display:flex;gap:12px;height:44px;align-items:center;overflow:hidden}.doc-row>*{flex:1}";

const answers = {
  "/": ["text/html", PAGE],
  "/style.css": ["text/css", STYLE],
  "/bundle.js": ["text/javascript", await readFile(bundle)],
};
const http = createServer(async (request, response) => {
  const end = (type, body) => response.writeHead(200, { "content-type": type }).end(body);
  if (request.url === "/changes") {
    carryOut(await json(request));
    return end("application/json", "{}");
  }
  if (request.url === "/documents") return end("application/json", JSON.stringify(documents.map(({ id }) => id)));
  if (request.url === "/rows") return end("application/json", JSON.stringify(documents));
  const known = answers[request.url];
  if (known) return end(...known);
  response.writeHead(404).end();
});
const io = new Server(http, { serveClient: false });

/** Makes the changes that are due, until all are made. */
function carryOut({ start, rate, count }) {
  let next = 0;
  const turn = () => {
    const due = Math.min(count, Math.floor(((moment() - start) * rate) / 1000) + 1);
    for (; next < due; next++) {
      const place = next % documents.length;
      const progress = Math.min(99, 1 + Math.floor(next / documents.length));
      documents[place] = { ...documents[place], status: "processing", progress, message: `Change ${next}.` };
      io.emit("event", { seq: next + 1, at: new Date().toISOString(), event: "document_status", data: documents[place] });
    }
    if (next < count) setTimeout(turn, 1);
  };
  turn();
}

http.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${http.address().port}`));
