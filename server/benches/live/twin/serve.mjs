// Serves the built twin: `node serve.mjs DATABASE`. It says where it listens.
import { createServer } from "node:http";
import next from "next";

process.env.TWIN_DATABASE = process.argv[2];
// What Next.js says is for people; the first line here is for a program.
const say = console.log;
console.log = console.error;
const server = createServer();
await new Promise((ready) => server.listen(0, "127.0.0.1", ready));
const { port } = server.address();
const app = next({ dev: false, dir: import.meta.dirname, hostname: "127.0.0.1", port });
await app.prepare();
server.on("request", app.getRequestHandler());
say(`listening on http://127.0.0.1:${port}`);
