// The peer: BullMQ. `node bullmq.mjs NODE_MODULES REDIS_PORT p6 SECONDS`, `… work`, `… add`
// p6: as many jobs with nothing to do as go through for some seconds, from 64 callers that wait for each of theirs, to a
// worker with 32 hands; then a hundred a second, and how soon each begins. It says one line of JSON.
// work: a worker at its defaults, which says when it is ready and when it begins a job, which then takes ten minutes.
// add: adds such a job, and says so.
import { createRequire } from "node:module";

const [modules, port, what, seconds] = process.argv.slice(2);
const require = createRequire(`${modules}/`);
const { Queue, Worker } = require("bullmq");

const connection = { host: "127.0.0.1", port: Number(port), maxRetriesPerRequest: null };
const now = () => Number(process.hrtime.bigint()) / 1e6;
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

if (what === "work") {
  const worker = new Worker("jobs", async () => {
    console.log("begun");
    await sleep(600_000);
  }, { connection });
  await worker.waitUntilReady();
  console.log("ready");
} else if (what === "add") {
  const queue = new Queue("jobs", { connection });
  await queue.add("job", {});
  console.log("added");
} else {
  const queue = new Queue("jobs", { connection });
  let added = 0, done = 0;
  const starts = [];
  const worker = new Worker("jobs", async (job) => {
    if (job.data.due) starts.push(now() - job.data.due);
    done += 1;
  }, { connection, concurrency: 32 });
  await worker.waitUntilReady();
  const options = { removeOnComplete: true };
  const empty = async () => {
    for (let tries = 0; done < added && tries < 60_000; tries++) await sleep(2);
  };
  const warm = Math.min(seconds / 4, 5) * 1000;
  const from = now() + warm, to = from + seconds * 1000;
  const callers = Array.from({ length: 64 }, async () => {
    while (now() < to) {
      if (added - done > 1000) {
        await sleep(1);
      } else {
        added += 1;
        await queue.add("job", {}, options);
      }
    }
  });
  await sleep(from - now());
  const before = done, began = now();
  await sleep(to - now());
  const rate = ((done - before) * 1000) / (now() - began);
  await Promise.all(callers);
  await empty();
  const first = now(), adding = [];
  for (let n = 0; n < seconds * 100; n++) {
    const due = first + 10 * n;
    if (due > now()) await sleep(due - now());
    added += 1;
    adding.push(queue.add("job", { due }, options));
  }
  await Promise.all(adding);
  await empty();
  starts.sort((a, b) => a - b);
  console.log(JSON.stringify({ rate, start: starts[Math.floor(starts.length / 2)], added, done }));
}
