// Two servers that serve people and two that work, on one PostgreSQL and one RabbitMQ: each browser is at a server of its own,
// and all of them see the same.
import { spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser, BrowserContext, Page } from "@playwright/test";
import { Server, expect, person, test } from "../fixtures";
import { Services } from "../services";
import { FILES, Wire, allReady, countLoads, external, firstWorkspace, live, long, pick, row, signUp, upload } from "./support";

const EXAMPLE = join(import.meta.dirname, "../../docs/examples/outside_worker.py");

// They share the servers, and each takes something away.
test.describe.configure({ mode: "serial" });

let services: Services;
let folder: string;
let [here, there]: Server[] = [];
let all: Server[] = [];

test.beforeAll(async () => {
  services = await Services.start();
  folder = await mkdtemp(join(tmpdir(), "insighthub-several-"));
  const env = { ...services.env, INSIGHTHUB_DATA_DIR: folder };
  all = await Promise.all(["web", "web", "worker", "worker"].map((role) => Server.make(env, ["serve", "--role", role])));
  [here, there] = all;
  await Promise.all(all.map((server) => server.start()));
});

test.afterEach(async ({}, testInfo) => {
  if (testInfo.status === testInfo.expectedStatus) return;
  for (const [n, server] of all.entries()) {
    await testInfo.attach(`server-${n}.log`, { body: await server.log(), contentType: "text/plain" });
  }
});

test.afterAll(async () => {
  await Promise.all(all.map((server) => server.remove()));
  await services?.end();
  if (folder) await rm(folder, { recursive: true, force: true });
});

/** A browser at that server. */
async function seat(browser: Browser, server: Server): Promise<{ context: BrowserContext; page: Page }> {
  const context = await browser.newContext({ baseURL: server.url });
  return { context, page: await context.newPage() };
}

/** The same person at both servers, each with the first workspace open and live, or the one that is made for it. `wire` stands
 * before the second. */
async function bothLook(browser: Browser, wire?: Wire, home = firstWorkspace) {
  const who = person();
  const [a, b] = [await seat(browser, here), await seat(browser, there)];
  await wire?.install(b.page);
  await signUp(a.page, who);
  const known = await b.page.request.post("/api/auth/login", { data: { email: who.email, password: who.password } });
  expect(known.status(), await known.text()).toBe(200);
  const workspace = await home(a.page.request);
  for (const { page } of [a, b]) {
    await page.goto(`/w/${workspace}`);
    await live(page);
  }
  const loads = [countLoads(a.page), countLoads(b.page)];
  return {
    a: a.page,
    b: b.page,
    workspace,
    /** No page was loaded anew, and each event came to the second one once, in order. */
    end: async () => {
      expect(loads.map((count) => count())).toEqual([0, 0]);
      const seqs = (wire?.events ?? []).map((frame) => frame.seq!);
      expect(seqs).toEqual([...new Set(seqs)].sort((one, other) => one - other));
      await a.context.close();
      await b.context.close();
    },
  };
}

const panel = (page: Page) => page.getByRole("region", { name: "Latest job" });

test("an upload at one server is followed at the other with every step, and a pause there stops it here", async ({
  browser,
  complaints,
}) => {
  complaints.allow(/404/);
  const [stranger, strange, wire] = [await seat(browser, there), new Wire(), new Wire()];
  await strange.install(stranger.page);
  await signUp(stranger.page);
  await live(stranger.page);
  const { a, b, workspace, end } = await bothLook(browser, wire);

  await pick(a, FILES);
  for (const page of [a, b]) await allReady(page, FILES);
  type Step = { data: { document_id: string; step: string; status: string } };
  const steps = () => wire.frames.filter((frame) => frame.event === "file_progress") as unknown as Step[];
  const documents = new Set(steps().map(({ data }) => data.document_id));
  expect(documents.size).toBe(FILES.length);
  for (const id of documents) {
    const ended = () =>
      steps().filter(({ data }) => data.document_id === id && data.status === "complete").map(({ data }) => data.step);
    // The last of them may come behind the word that the document is ready.
    for (const step of ["extracting_text", "chunking_text", "creating_embeddings", "finished"]) {
      await expect.poll(ended).toContain(step);
    }
  }
  await expect(panel(b)).toHaveAttribute("data-status", "completed");

  await a.locator("input[type=file]").first().setInputFiles([
    { name: "short.txt", mimeType: "text/plain", buffer: Buffer.from("The lantern keeper writes.") },
    { name: "long.txt", mimeType: "text/plain", buffer: long(250_000) },
  ]);
  await expect(row(b, "long.txt")).toHaveAttribute("data-status", "processing");
  // What is shown at the row while it goes on.
  await expect(row(b, "long.txt")).toContainText("Creating embeddings");
  await panel(b).getByRole("button", { name: "Pause" }).click();
  for (const page of [a, b]) {
    await expect(panel(page)).toHaveAttribute("data-status", "paused");
    await expect(row(page, "long.txt")).toHaveAttribute("data-status", "paused");
  }
  await panel(a).getByRole("button", { name: "Resume" }).click();
  await expect(panel(b)).toHaveAttribute("data-status", "processing");
  await panel(b).getByText("Cancel…").click();
  await panel(b).getByRole("button", { name: "Keep what is ready" }).click();
  for (const page of [a, b]) await expect(row(page, "long.txt")).toHaveAttribute("data-status", "cancelled");

  // Nothing of all that is for anybody else.
  const heard = JSON.stringify(strange.frames);
  for (const id of [workspace, ...documents]) expect(heard).not.toContain(id);
  expect((await stranger.page.goto(`/w/${workspace}`))!.status()).toBe(404);
  await stranger.context.close();
  await end();
});

test("what an outside worker makes of documents is seen live at the other server, and why it failed with one", async ({ browser }) => {
  const wire = new Wire();
  const { a, b, end } = await bothLook(browser, wire, async (request) => (await external(request)).id);
  const made = await a.request.post("/api/auth/api-keys", { data: { name: "Worker", scopes: ["read"] } });
  expect(made.status(), await made.text()).toBe(201);
  const worker = spawn(await services.python(), ["-B", EXAMPLE], {
    env: {
      ...process.env,
      RABBITMQ_URL: services.env.RABBITMQ_URL,
      INSIGHTHUB_URL: here.url,
      INSIGHTHUB_KEY: (await made.json()).secret,
    },
    stdio: ["ignore", "ignore", "inherit"],
  });
  try {
    await a.locator("input[type=file]").first().setInputFiles([
      { name: "scan.txt", mimeType: "text/plain", buffer: Buffer.from("One.\n\nTwo.\n\nThree.") },
      // In Latin-1, which the example does not read.
      { name: "latin.txt", mimeType: "text/plain", buffer: Buffer.from("Two caf\u00e9s by the sea.\n", "latin1") },
    ]);
    for (const page of [b, a]) {
      await allReady(page, ["scan.txt"]);
      await expect(row(page, "latin.txt")).toHaveAttribute("data-status", "failed");
      await expect(row(page, "latin.txt")).toContainText("This is no text.");
    }
  } finally {
    worker.kill();
  }
  // The step that it reported came over the line, and its end.
  type Step = { data: { step: string; status: string } };
  const steps = () => wire.frames.filter((frame) => frame.event === "file_progress") as unknown as Step[];
  const ended = () => steps().filter(({ data }) => data.status === "complete").map(({ data }) => data.step);
  await expect.poll(ended).toContain("extracting_text");
  await end();
});

test("while the broker is away changes come late, which is said, and none is lost", async ({ browser }) => {
  const { a, b, end } = await bothLook(browser, new Wire());
  const badge = (page: Page) => page.locator(".connection");
  await services.killBroker();
  for (const page of [a, b]) await expect(badge(page)).toContainText("up to a second late");
  await pick(a, FILES);
  for (const page of [b, a]) await allReady(page, FILES);
  for (const page of [a, b]) await expect(page.locator("html")).toHaveAttribute("data-live", "open");

  await services.startBroker();
  for (const page of [a, b]) await expect(badge(page)).not.toContainText("up to a second late");
  await pick(b, ["handbook.pdf"]);
  for (const page of [a, b]) await allReady(page, [...FILES, "handbook.pdf"]);
  await end();
});

test("a server that is killed takes nothing away: its browser is live again at its next start", async ({ browser, complaints }) => {
  complaints.allow(/WebSocket|api\/status\/(events|changes)|ERR_CONNECTION_REFUSED|Failed to load resource/);
  const { a, b, workspace, end } = await bothLook(browser);
  await there.kill();
  await expect(b.locator("html")).toHaveAttribute("data-live", "closed");
  await upload(a.request, workspace, FILES);
  await allReady(a, FILES);
  await there.start();
  await live(b);
  await allReady(b, FILES);
  await end();
});
