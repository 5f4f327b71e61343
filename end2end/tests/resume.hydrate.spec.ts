// The link is cut, the session ends: the page tells the truth and recovers by itself. What it does without a server is told in
// `outage.hydrate.spec.ts`.
import { type Page } from "@playwright/test";
import { expect, test } from "../fixtures";
import {
  FILES,
  Wire,
  allReady,
  countLoads,
  external,
  firstWorkspace,
  live,
  more,
  openFirst,
  pick,
  row,
  signUp,
  turning,
  upload,
} from "./support";

/** Somebody looks at a workspace of an outside worker with one document, over a link that can be cut. */
async function followed(page: Page) {
  const wire = new Wire();
  await wire.install(page);
  await signUp(page);
  const scans = await external(page.request);
  const [first] = await scans.add(["a.txt"]);
  await page.goto(`/w/${scans.id}`);
  await live(page);
  return { wire, scans, first };
}

test("the socket is cut in the middle and no step is missed", async ({ page, complaints }) => {
  complaints.allow(/WebSocket/);
  const wire = new Wire();
  await wire.install(page);
  await signUp(page);
  const workspace = await openFirst(page);
  const loads = countLoads(page);
  await pick(page, ["handbook.pdf"]);
  await expect(row(page, "handbook.pdf")).toHaveAttribute("data-status", "processing");

  await wire.cut();
  await expect(page.getByText(/Live updates paused since \d\d:\d\d/)).toBeVisible();
  await expect(page.locator("html")).toHaveAttribute("data-live", "closed");
  // Meanwhile more happens than the page can know.
  await upload(page.request, workspace, FILES);
  wire.mend();
  await live(page);
  await allReady(page, ["handbook.pdf", ...FILES]);
  expect(loads()).toBe(0);

  // Every event of the log that nothing superseded came to the page once, in order.
  const seqs = wire.events.map((frame) => frame.seq!);
  expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
  const welcome = wire.frames.findLast((frame) => frame.type === "welcome") as { resumed: boolean };
  expect(welcome.resumed).toBe(true);
  const ready = wire.frames.filter((frame) => frame.event === "document_status") as unknown as {
    data: { id: string; status: string };
  }[];
  const last = new Map(ready.map((frame) => [frame.data.id, frame.data.status]));
  expect([...last.values()]).toEqual(Array(5).fill("ready"));
  type Step = { data: { document_id: string; step: string; status: string } };
  const steps = () => (wire.events.filter((frame) => frame.event === "file_progress") as unknown as Step[]).map(({ data }) => data);
  for (const id of last.keys()) {
    const ended = () => steps().filter((s) => s.document_id === id && s.status === "complete").map((s) => s.step);
    // The last of them may come behind the word that the document is ready.
    await expect.poll(ended).toEqual([
      "validating",
      "extracting_text",
      "chunking_text",
      "duplicate_check",
      "creating_embeddings",
      "storing_metadata",
      "finished",
      "complete",
    ]);
  }
});

test("after a gap that the log does not reach back over, the page reads anew what it shows, by itself", async ({ page, complaints }) => {
  complaints.allow(/WebSocket/);
  const { wire, scans, first } = await followed(page);
  const shown = (id: string) => page.locator(`.doc-row[data-document-id="${id}"]`);
  await expect(shown(first)).toHaveAttribute("data-status", "pending");
  const loads = countLoads(page);
  await wire.cut();
  await expect(page.locator("html")).toHaveAttribute("data-live", "closed");
  await scans.report(first, { status: "processing" });
  await scans.report(first, { status: "ready", chunk_count: 2 });
  const [second] = await scans.add(["b.txt"]);
  const before = wire.frames.length;
  wire.forgets = true;
  wire.mend();
  await live(page);
  await expect(shown(first)).toHaveAttribute("data-status", "ready");
  // The end of its job, of which the stream does not tell any more, is told all the same.
  await expect(page.locator(".toast")).toContainText("Upload of 1 file: done.");
  await expect(page.locator("[data-said] p").filter({ hasText: "Upload of 1 file: done." })).toHaveCount(1);
  await expect(shown(second)).toHaveAttribute("data-status", "pending");
  expect(wire.frames[before]).toMatchObject({ type: "welcome", resumed: false });
  expect(wire.frames.slice(before).filter((frame) => frame.type === "event")).toEqual([]);
  // From there it follows the stream.
  await scans.report(second, { status: "processing" });
  await expect(shown(second)).toHaveAttribute("data-status", "processing");
  expect(loads()).toBe(0);
});

test("after such a gap a page that cannot be read anew does not claim to be live, and steers nothing", async ({ page, complaints }) => {
  complaints.allow(/WebSocket|_fn\/shell\/read|Failed to load resource/);
  const { wire, scans, first } = await followed(page);
  const reading = { refused: 0, refuses: true };
  await page.route("**/_fn/shell/read", async (route) => {
    if (!reading.refuses) return route.continue();
    reading.refused++;
    await route.abort();
  });
  await wire.cut();
  await expect(page.locator("html")).toHaveAttribute("data-live", "closed");
  await scans.end(first, { status: "ready", chunk_count: 2 });
  // From here on every state of the link is noted.
  await page.evaluate(() => {
    const seen: string[] = [];
    Object.assign(window, { seen });
    const root = document.documentElement;
    new MutationObserver(() => seen.push(root.dataset.live!)).observe(root, { attributeFilter: ["data-live"] });
  });
  const before = wire.frames.length;
  wire.forgets = true;
  wire.mend();
  // The link is there; what it would show is not.
  await expect.poll(() => reading.refused).toBeGreaterThan(1);
  expect(wire.frames[before]).toMatchObject({ type: "welcome", resumed: false });
  await expect(page.getByText(/Live updates paused since \d\d:\d\d/)).toBeVisible();
  await expect(page.locator("input[type=file]").first()).toBeDisabled();
  const row = page.locator(`.doc-row[data-document-id="${first}"]`);
  await expect(row).toHaveAttribute("data-status", "pending");
  expect(await page.evaluate(() => (window as unknown as { seen: string[] }).seen)).not.toContain("open");
  reading.refuses = false;
  await live(page);
  await expect(row).toHaveAttribute("data-status", "ready");
  await expect(page.getByText(/Live updates paused since/)).toHaveCount(0);
});

test("after such a gap a long list is as long as it was, and whoever looks far down stays there", async ({ page, complaints }) => {
  complaints.allow(/WebSocket/);
  const wire = new Wire();
  await wire.install(page);
  await signUp(page);
  const scans = await external(page.request);
  // More than one answer of the server holds.
  const all = 260;
  await scans.add(Array.from({ length: all }, (_, n) => `file-${n}.txt`));
  await page.goto(`/w/${scans.id}`);
  await live(page);
  const rows = page.locator(".doc-row[data-document-id]");
  const table = page.locator(".doc-table");
  await page.mouse.move(600, 500);
  await expect(async () => {
    await page.mouse.wheel(0, 40_000);
    await expect(rows.and(page.locator(`[aria-rowindex="${all + 1}"]`))).toHaveCount(1, { timeout: 100 });
  }).toPass({ intervals: [50] });
  const seen = rows.and(page.locator('[aria-rowindex="235"]'));
  await seen.scrollIntoViewIfNeeded();
  const id = await seen.getAttribute("data-document-id");
  await page.mouse.move(0, 0);
  await wire.cut();
  await expect(page.locator("html")).toHaveAttribute("data-live", "closed");
  await scans.add(["new.txt"]);
  wire.forgets = true;
  wire.mend();
  await live(page);
  await expect(table).toHaveAttribute("aria-rowcount", String(all + 2));
  await expect(page.locator(`.doc-row[data-document-id="${id}"]`)).toBeInViewport();
});

test("after such a gap a list of jobs and a history are read anew", async ({ page, complaints }) => {
  complaints.allow(/WebSocket/);
  const wire = new Wire();
  await wire.install(page);
  await signUp(page);
  const scans = await external(page.request);
  const [first] = await scans.add(["a.txt"]);
  await scans.end(first!, { status: "ready", chunk_count: 1 });
  for (const [path, shown] of [
    ["jobs", page.locator("tr[data-job-id]")],
    ["history", page.locator("tr[data-seq]")],
  ] as const) {
    wire.forgets = false;
    await page.goto(`/w/${scans.id}/${path}`);
    await live(page);
    await expect(shown.first()).toBeVisible();
    const before = await shown.count();
    await wire.cut();
    await expect(page.locator("html")).toHaveAttribute("data-live", "closed");
    await scans.add([`${path}.txt`]);
    wire.forgets = true;
    wire.mend();
    await expect.poll(() => shown.count()).toBeGreaterThan(before);
  }
});

test("after such a gap the documents of a job are drawn anew", async ({ page, complaints }) => {
  complaints.allow(/WebSocket/);
  const wire = new Wire();
  await wire.install(page);
  await signUp(page);
  const scans = await external(page.request);
  const [one, two] = await scans.add(["a.txt", "b.txt"]);
  const begins = (id: string) => scans.report(id, { status: "processing", step: "reading_pages", progress: 20 });
  await begins(one!);
  const { job_id } = await (await page.request.get(`/api/documents/${one}`)).json();
  await page.goto(`/w/${scans.id}/jobs/${job_id}`);
  await live(page);
  const line = (name: string) => page.locator(".waterfall .chart-text").filter({ hasText: `${name} · ` });
  await expect(line("a.txt")).toHaveCount(1);
  await wire.cut();
  await expect(page.locator("html")).toHaveAttribute("data-live", "closed");
  await begins(two!);
  wire.forgets = true;
  wire.mend();
  await live(page);
  await expect(line("b.txt")).toHaveCount(1);
});

test("while the link is down nothing pretends to move", async ({ page, complaints }) => {
  complaints.allow(/WebSocket/);
  const wire = new Wire();
  await wire.install(page);
  await signUp(page);
  const scans = await external(page.request);
  const [id] = await scans.add(["a.txt"]);
  await scans.report(id, { status: "processing", step: "reading_pages", progress: 40 });
  await page.goto(`/w/${scans.id}`);
  await live(page);
  await expect(row(page, "a.txt")).toHaveAttribute("data-status", "processing");
  await expect.poll(() => turning(page), "work that is seen to go on moves").toBeGreaterThan(0);
  await wire.cut();
  await expect(page.getByText(/Live updates paused/)).toBeVisible();
  expect(await turning(page)).toBe(0);
  // It tries again by itself.
  wire.mend();
  await live(page);
  await expect.poll(() => turning(page)).toBeGreaterThan(0);
  await scans.report(id, { status: "ready", chunk_count: 1 });
  await expect(row(page, "a.txt")).toHaveAttribute("data-status", "ready");
});

test("a page whose link never comes up says since when it is without one, and steers nothing", async ({ page, complaints }) => {
  complaints.allow(/WebSocket/);
  const wire = new Wire();
  await wire.install(page);
  await wire.cut();
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}`);
  await expect(page.getByText(/Live updates paused since \d\d:\d\d/)).toBeVisible();
  const search = page.getByRole("button", { name: "Search", exact: true });
  await expect(search).toBeDisabled();
  await expect(search).toHaveAttribute("title", /Live updates are paused/);
  wire.mend();
  await live(page);
  await expect(search).toBeEnabled();
});

test("what steers is disabled with its reason while the link is down", async ({ page, complaints }) => {
  complaints.allow(/WebSocket/);
  const wire = new Wire();
  await wire.install(page);
  await signUp(page);
  const workspace = await openFirst(page);
  await upload(page.request, workspace, [FILES[2]]);
  await allReady(page, [FILES[2]]);
  const config = `/api/workspaces/${workspace}/rag-config`;
  const now = await (await page.request.get(config)).json();
  expect((await page.request.put(config, { data: { ...now, chunk_size: 400, chunk_overlap: 50 } })).status()).toBe(200);
  const again = page.getByRole("button", { name: "Re-index 1 document…" });
  await expect(again).toBeEnabled();
  await wire.cut();
  await expect(again).toBeDisabled();
  const reason = /Live updates are paused, so what you see may be old/;
  await expect(page.locator("[data-paused]").filter({ visible: true })).toHaveText([reason, reason]);
  // So is all that needs the server, each where it stands.
  const search = page.getByRole("button", { name: "Search", exact: true });
  const picker = page.locator("input[type=file]").first();
  await expect(search).toBeDisabled();
  await expect(search).toHaveAttribute("title", reason);
  await expect(picker).toBeDisabled();
  await more(page, "Edit");
  const save = page.getByRole("dialog").getByRole("button", { name: "Save" });
  await expect(save).toBeDisabled();
  await expect(page.getByRole("dialog").locator("[data-paused]")).toHaveText(reason);
  wire.mend();
  await live(page);
  await expect(save).toBeEnabled();
  await page.keyboard.press("Escape");
  for (const control of [again, search, picker]) await expect(control).toBeEnabled();
  await expect(page.locator("[data-paused]")).toHaveCount(0);
});

test("a hidden tab keeps what comes, and is right in one frame when somebody looks", async ({ page }) => {
  const wire = new Wire();
  await wire.install(page);
  await signUp(page);
  const scans = await external(page.request);
  await page.goto(`/w/${scans.id}`);
  await live(page);
  const [scan] = await scans.add(["a.txt"]);
  const shown = page.locator(`.doc-row[data-document-id="${scan}"]`);
  await expect(shown).toHaveAttribute("data-status", "pending");
  const look = (state: string) =>
    page.evaluate((state) => {
      Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
      document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    }, state);
  await look("hidden");
  // How often the row changes from here on, and what it says in the frame after somebody looks.
  await page.evaluate((id) => {
    const row = document.querySelector(`.doc-row[data-document-id="${id}"]`)!;
    const seen = { frames: 0, asked: false };
    Object.assign(window, { seen });
    new MutationObserver(() => {
      if (seen.asked) return;
      seen.asked = true;
      requestAnimationFrame(() => {
        seen.frames++;
        seen.asked = false;
      });
    }).observe(row, { subtree: true, childList: true, characterData: true, attributes: true });
  }, scan);
  const began = Date.now();
  const changes = 40;
  for (let n = 1; n <= changes; n++) {
    const data = { status: "processing", step: `step_${n}`, progress: 2 * n, message: `Step ${n}` };
    expect((await page.request.post(`/api/status/documents/${scan}`, { data })).status()).toBe(200);
  }
  expect((await page.request.post(`/api/status/documents/${scan}`, { data: { status: "ready" } })).status()).toBe(200);
  // All of it has come to the page before somebody looks.
  const told = () => wire.events.some((frame) => frame.event === "document_status" && JSON.stringify(frame).includes('"ready"'));
  await expect.poll(told).toBe(true);
  const frames = await page.evaluate(async (id) => {
    Object.defineProperty(document, "visibilityState", { value: "visible", configurable: true });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    const row = () => document.querySelector(`.doc-row[data-document-id="${id}"]`)!.getAttribute("data-status");
    while (row() !== "ready") await new Promise((done) => requestAnimationFrame(done));
    await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
    return (window as unknown as { seen: { frames: number } }).seen.frames;
  }, scan);
  // Once a second at most meanwhile, at the end of the first second as well, and at once when somebody looked.
  const seconds = Math.ceil((Date.now() - began) / 1_000);
  expect(frames).toBeLessThanOrEqual(seconds + 2);
  expect(frames).toBeLessThan(changes);
  await expect(shown).toContainText("Ready");
});

test("a hidden tab hears of an end at once, however seldom its browser gives it a turn", async ({ page }) => {
  await page.clock.install();
  await signUp(page);
  const scans = await external(page.request);
  const [id] = await scans.add(["a.txt"]);
  await page.goto("/settings/profile");
  await live(page);
  await page.evaluate(() => {
    Object.defineProperty(document, "visibilityState", { value: "hidden", configurable: true });
    document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
  });
  // From here on no timer of the page comes up.
  await page.clock.pauseAt(Date.now() + 10_000);
  await scans.end(id!, { status: "ready", chunk_count: 1 });
  await expect(page.locator("[data-said] p").filter({ hasText: "Upload of 1 file: done." })).toHaveCount(1);
});

test("a session that ends elsewhere brings the page to sign-in, and back", async ({ page }) => {
  await signUp(page);
  const workspace = await openFirst(page);
  const answer = await page.request.post("/api/auth/logout");
  expect(answer.status()).toBe(204);
  await expect(page).toHaveURL(new RegExp(`/signin\\?next=.*${workspace}`));
});
