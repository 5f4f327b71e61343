// What the benches of the screen have in common: Chromium on a workspace's page while others change what it shows.
import { chromium, request } from "@playwright/test";
import { spawn, spawnSync } from "node:child_process";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { launchOptions } from "../chromium.mjs";
import { moment } from "./clock.mjs";

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: { seconds: { type: "string" }, warm: { type: "string" }, rows: { type: "string" }, rate: { type: "string" } },
});
export const base = positionals[0];
export const isTwin = positionals[1] === "twin";
export const number = (name) => Number(values[name]);

/** Chromium with one page, until `use` is done. */
export async function inChromium(use) {
  const browser = await chromium.launch(launchOptions());
  try {
    const context = await browser.newContext({ baseURL: base, viewport: { width: 1280, height: 800 } });
    return await use(await context.newPage());
  } finally {
    await browser.close();
  }
}

/** Somebody with a workspace whose documents an outside worker processes; signed in on the page. */
export async function account(page, documents) {
  const who = `bench${Date.now()}`;
  const person = { username: who, email: `${who}@example.com`, password: "Correct-horse-1", full_name: "Bench Person" };
  await posted(page.request, "/api/auth/signup", { data: person });
  const outside = { name: "Outside", processor: "external" };
  const { id: workspace } = await posted(page.request, "/api/workspaces", { data: outside });
  const ids = [];
  for (let from = 0; from < documents; from += 500) {
    const form = new FormData();
    for (let n = from; n < Math.min(documents, from + 500); n++) {
      form.append("file", new File([`Document ${n}.`], `file-${n}.txt`));
    }
    const taken = await posted(page.request, `/api/workspaces/${workspace}/documents`, { multipart: form });
    ids.push(...taken.documents.map((document) => document.document_id));
  }
  const { secret: key } = await posted(page.request, "/api/auth/api-keys", {
    data: { name: "bench", scopes: ["status:write"] },
  });
  return { workspace, ids, key };
}

async function posted(client, path, body) {
  const answer = await client.post(path, body);
  if (!answer.ok()) throw new Error(`${path} answered ${answer.status()}: ${await answer.text()}`);
  return answer.json();
}

/** Opens a workspace of ours and waits for its live link. */
export async function openLive(page, workspace) {
  await page.goto(`/w/${workspace}`);
  await page.locator('html[data-hydrated][data-live="open"]').waitFor();
}

/** A schedule of changes; the n-th is due at `at(n)`, in milliseconds of the machine's clock, and is that of document n mod all. */
export function plan(ids, kind) {
  const rate = number("rate");
  const [warm, seconds] = [number("warm"), number("seconds")];
  const count = Math.ceil((warm + seconds) * rate);
  const start = moment() + 500;
  return { kind, ids, rate, count, start, warm, seconds, first: Math.floor(warm * rate) };
}

export const at = ({ start, rate }, n) => start + (n * 1000) / rate;

/** Has the changes reported to our server, by a process of its own that shares the server's core; ends when all are. */
export async function reported(made, key) {
  const script = join(import.meta.dirname, "changes.mjs");
  const hasTaskset = spawnSync("taskset", ["--version"]).status === 0;
  const [program, ...before] = hasTaskset ? ["taskset", "--cpu-list", "0", process.execPath] : [process.execPath];
  const child = spawn(program, [...before, script], { stdio: ["pipe", "inherit", "inherit"] });
  child.stdin.end(JSON.stringify({ base, key, ...made }));
  const code = await new Promise((done) => child.once("exit", done));
  if (code !== 0) throw new Error("not every change was taken; the reason is above");
}

/** Has the changes made inside the twin's server. */
export async function madeByTwin(made) {
  const client = await request.newContext({ baseURL: base });
  await posted(client, "/changes", { data: { rate: made.rate, count: made.count, start: made.start } });
  await client.dispose();
  await delay(Math.max(0, at(made, made.count) - moment()));
}

/** Waits until each row that is there shows the last change of its document. */
export async function converged(page, made) {
  const last = {};
  for (let n = Math.max(0, made.count - made.ids.length); n < made.count; n++) {
    last[made.ids[n % made.ids.length]] = words(n);
  }
  await page.waitForFunction(
    (last) => {
      const rows = [...document.querySelectorAll(".doc-row[data-document-id]")];
      const shows = (row) => row.querySelector(".doc-message").textContent.trim();
      const known = rows.filter((row) => last[row.dataset.documentId]);
      return known.length > 0 && known.every((row) => shows(row) === last[row.dataset.documentId]);
    },
    last,
    { timeout: 10_000 },
  );
}

/** What the n-th change says. */
export const words = (n) => `Change ${n}.`;
