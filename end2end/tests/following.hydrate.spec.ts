// Lists, numbers, histories and charts follow what happens while somebody looks at them.
import { Server, expect, test } from "../fixtures";
import { FILES, allReady, countLoads, elsewhere, external, firstWorkspace, live, more, row, signUp, turning, upload, word } from "./support";

test("counts of the list and how much of a workspace is ready follow what happens", async ({ page, context }) => {
  await signUp(page);
  const scans = await external(page.request);
  const list = await context.newPage();
  await list.goto("/");
  await live(list);
  await page.goto(`/w/${scans.id}`);
  await live(page);
  const card = list.locator(`article[data-workspace-id="${scans.id}"]`);
  const documents = await scans.add(["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]);
  await expect(card).toContainText("5 documents · 5 in work");
  await expect(page.locator("[data-partly]")).toHaveCount(0);
  for (const [n, id] of documents.entries()) {
    await scans.report(id, { status: "processing" });
    await scans.report(id, { status: "ready", chunk_count: 2 });
    if (n === 4) break;
    await expect(page.locator("[data-partly]")).toContainText(`${n + 1} of 5 documents ${n === 0 ? "is" : "are"} ready`);
    await expect(card).toContainText(`5 documents · ${4 - n} in work`);
  }
  await expect(page.locator("[data-partly]")).toHaveCount(0);
  await expect(list.locator('[data-filter="ready"]')).toHaveText(/Ready 2/);
  const report = { data: { status: "error", message: "The scanner is away." } };
  expect((await page.request.post(`/api/status/workspaces/${scans.id}`, report)).status()).toBe(200);
  await expect(list.locator('[data-filter="ready"]')).toHaveText(/Ready 1/);
  await expect(card).toHaveAttribute("data-status", "failed");
});

test("the list of jobs says how long one took as soon as it is over", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const [id] = await scans.add(["a.txt"]);
  await scans.report(id!, { status: "processing" });
  await page.goto(`/w/${scans.id}/jobs`);
  await live(page);
  const line = page.locator("tr[data-job-id]");
  await expect(line.locator("[data-status]")).toHaveAttribute("data-status", "processing");
  await expect(line.locator("td").last()).toBeEmpty();
  await scans.report(id!, { status: "ready", chunk_count: 1 });
  await expect(line.locator("[data-status]")).toHaveAttribute("data-status", "completed");
  await expect(line.locator("td").last()).toHaveText(/\d (ms|s)$/);
});

test("a job that begins while the list of jobs is open stands first, and the row under the pointer stays", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const rows = page.locator("tr[data-job-id]");
  const jobOf = async (document: string): Promise<string> =>
    (await (await page.request.get(`/api/documents/${document}`)).json()).job_id;
  await page.goto(`/w/${scans.id}/jobs`);
  await live(page);
  await expect(page.getByText("No jobs yet")).toBeVisible();
  const loads = countLoads(page);
  const [first] = await scans.add(["0.txt"]);
  const oldest = await jobOf(first!);
  await expect(rows).toHaveCount(1);
  await expect(rows).toHaveAttribute("data-job-id", oldest);
  await expect(rows.getByRole("link")).toHaveText("Upload of 1 file");
  expect(loads()).toBe(0);

  // Two more than a page of the list has.
  const [second] = await scans.add(["1.txt"]);
  const next = await jobOf(second!);
  for (let n = 2; n < 52; n++) await scans.add([`${n}.txt`]);
  await page.goto(`/w/${scans.id}/jobs`);
  await live(page);
  await expect(rows).toHaveCount(50);
  await rows.nth(20).hover();
  const id = await rows.nth(20).getAttribute("data-job-id");
  const pointed = page.locator(`tr[data-job-id="${id}"]`);
  const before = (await pointed.boundingBox())!.y;
  const [fresh] = await scans.add(["new.txt"]);
  const begun = await jobOf(fresh!);
  await expect(rows.first()).toHaveAttribute("data-job-id", begun);
  await expect(rows).toHaveCount(51);
  // What keeps the row in its place does so before the next picture is drawn.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  // It is scrolled by whole pixels, whatever the height of a row is.
  expect(Math.abs((await pointed.boundingBox())!.y - before)).toBeLessThan(1);
  // It is followed as the others are, and the list goes on behind what it had.
  await scans.end(fresh!, { status: "ready", chunk_count: 1 });
  await expect(rows.first().locator("[data-status]")).toHaveAttribute("data-status", "completed");
  await page.getByRole("link", { name: "Older jobs" }).click();
  await expect(rows).toHaveCount(2);
  await expect(rows.first()).toHaveAttribute("data-job-id", next);
  await expect(rows.last()).toHaveAttribute("data-job-id", oldest);
});

test("an outside worker of which nothing is heard is told as stalled, and nothing turns until its next report", async ({ browser }) => {
  const server = await Server.make({ INSIGHTHUB_STALL_SECONDS: "5" });
  const context = await browser.newContext({ baseURL: server.url });
  try {
    await server.start();
    const page = await context.newPage();
    const who = await signUp(page);
    const scans = await external(page.request);
    const [id] = await scans.add(["a.txt"]);
    await page.goto(`/w/${scans.id}`);
    await live(page);
    const panel = page.getByRole("region", { name: "Latest job" });
    let progress = 20;
    /** Says that it goes on, as often as it is asked for. */
    const goesOn = (step: string) => scans.report(id, { status: "processing", step, progress: ++progress });
    // The ring of the badge turns, and that of the phase.
    const moves = async () => {
      await goesOn("extracting_text");
      return turning(panel);
    };
    await expect.poll(moves).toBe(2);
    await goesOn("chunking_text");
    // From here on nothing more is said.
    const why = /^Nothing was heard of it from the outside worker since .+\. It goes on with the next report\.$/;
    const isStalled = async () => {
      await expect(word(page, "a.txt")).toHaveText("Stalled");
      await expect(row(page, "a.txt").locator(".doc-message")).toHaveText(why);
      await expect(panel).toHaveAttribute("data-status", "stalled");
      await expect(panel.locator('.phase[data-status="running"]')).toHaveCount(2);
      await expect.poll(() => turning(page.getByRole("main"))).toBe(0);
    };
    await isStalled();
    // Whoever comes later reads the same, with a script or without one.
    await page.reload();
    await live(page);
    await isStalled();
    const plain = await elsewhere(browser, server.url, who);
    await plain.goto(`/w/${scans.id}`);
    await expect(word(plain, "a.txt")).toHaveText("Stalled");
    await plain.context().close();
    await page.goto(`/d/${id}`);
    await live(page);
    const shown = page.locator("[data-document-id].page");
    const warnings = page.getByRole("region", { name: "Warnings" });
    await expect(page.locator(".page-title .badge-word")).toHaveText("Stalled");
    await expect(warnings.getByRole("listitem")).toHaveText([why]);
    const isHeard = async () => {
      await goesOn("chunking_text");
      return [await shown.getAttribute("data-status"), await warnings.count()];
    };
    await expect.poll(isHeard).toEqual(["processing", 0]);
    await scans.report(id, { status: "ready", chunk_count: 1 });
    await expect(page.locator(".page-title .badge-word")).toHaveText("Ready");
  } finally {
    await context.close();
    await server.remove();
  }
});

test("a history that was read a moment too early is read once more", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const [id] = await scans.add(["a.txt"]);
  await page.goto(`/d/${id}`);
  await live(page);
  let held = 0;
  await page.route(
    "**/_fn/history/document",
    async (route) => {
      const response = await route.fetch();
      await scans.report(id, { status: "processing" });
      await scans.report(id, { status: "ready", chunk_count: 1 });
      // The page has heard of it, and the history that it waits for says nothing of it.
      await expect(page.locator(".toast")).toContainText("Upload of 1 file: done.");
      held++;
      await route.fulfill({ response });
    },
    { times: 1 },
  );
  await page.getByRole("link", { name: "History" }).click();
  await expect(page.locator("table.history")).toContainText("processing → ready");
  expect(held).toBe(1);
});

test("a document that comes while the list of its workspace is on its way stands in it", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  await scans.add(["a.txt"]);
  await page.goto("/");
  await live(page);
  const count = page.locator(`nav a[data-workspace-id="${scans.id}"] .nav-count`);
  await expect(count).toHaveText("1");
  let held = 0;
  await page.route(
    "**/_fn/workspaces/read",
    async (route) => {
      const response = await route.fetch();
      await scans.add(["b.txt"]);
      // The page has heard of it, and the list that it waits for does not have it. Nothing more is told of it.
      await expect(count).toHaveText("2");
      held++;
      await route.fulfill({ response });
    },
    { times: 1 },
  );
  await page.getByRole("main").getByRole("link", { name: "Scans" }).click();
  await expect(row(page, "a.txt")).toBeVisible();
  await expect(row(page, "b.txt")).toHaveAttribute("data-status", "pending");
  expect(held).toBe(1);
});

test("the history of a workspace follows a document of a job that the panel does not show", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const [old] = await scans.add(["old.txt"]);
  const [young] = await scans.add(["young.txt"]);
  await scans.report(young, { status: "processing" });
  await page.goto(`/w/${scans.id}/history`);
  await live(page);
  const begun = (name: string) =>
    page.locator("table.history tbody tr").filter({ hasText: name }).filter({ hasText: "pending → processing" });
  await expect(begun("young.txt")).toHaveCount(1);
  await scans.report(old, { status: "processing" });
  await expect(begun("old.txt")).toHaveCount(1);
});

test("an answer that a later one overtook takes no line out of a history", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const [one, two] = await scans.add(["a.txt", "b.txt"]);
  await page.goto(`/w/${scans.id}/history`);
  await live(page);
  const begun = (name: string) =>
    page.locator("table.history tbody tr").filter({ hasText: name }).filter({ hasText: "pending → processing" });
  let [read, release, arrived] = [() => {}, () => {}, () => {}];
  const isRead = new Promise<void>((done) => (read = done));
  const isReleased = new Promise<void>((done) => (release = done));
  const hasArrived = new Promise<void>((done) => (arrived = done));
  await page.route(
    "**/_fn/history/workspace",
    async (route) => {
      const response = await route.fetch();
      read();
      await isReleased;
      await route.fulfill({ response });
      arrived();
    },
    { times: 1 },
  );
  await scans.report(one, { status: "processing" });
  await isRead;
  await scans.report(two, { status: "processing" });
  for (const name of ["a.txt", "b.txt"]) await expect(begun(name)).toHaveCount(1);
  release();
  await hasArrived;
  // It is taken, or not, before the next picture but one.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  for (const name of ["a.txt", "b.txt"]) expect(await begun(name).count()).toBe(1);
});

test("the numbers of a workspace, its history and its figures follow what happens", async ({ page }) => {
  const who = await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}`);
  await live(page);
  await expect(page.locator('[data-fact="Documents"] dd')).toHaveText("0");
  await upload(page.request, workspace, [FILES[2], FILES[3]]);
  await allReady(page, [FILES[2], FILES[3]]);
  await expect(page.locator('[data-fact="Ready"] dd')).toHaveText("2");
  await expect(page.locator('[data-fact="Chunks"] dd')).not.toHaveText("0");
  // A question that is asked elsewhere counts here too.
  await expect(page.locator('[data-fact="Messages"] dd')).toHaveText("0");
  await page.request.post("/v1/chat/", { data: { query: "What is it about?", workspace_id: workspace } });
  await expect(page.locator('[data-fact="Messages"] dd')).toHaveText("1");
  await expect(page.locator('[data-fact="Conversations"] dd')).toHaveText("1");
  // The panel leads to the job, and from there to all of them.
  const panel = page.getByRole("region", { name: "Latest job" });
  const job = await panel.getAttribute("data-job-id");
  await panel.getByRole("link", { name: "Details" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Upload of 2 files" })).toBeVisible();
  await expect(page.locator(".waterfall .chart-text")).toHaveCount(4 + 2);
  await page.getByRole("link", { name: "All jobs" }).click();
  await expect(page.locator("tr[data-job-id]")).toHaveCount(1);
  await expect(page.locator(`tr[data-job-id="${job}"] [data-status]`)).toHaveAttribute("data-status", "completed");
  await page.getByRole("link", { name: "Back" }).click();
  await more(page, "History");
  await expect(page.getByRole("heading", { level: 1, name: "History" })).toBeVisible();
  const lines = page.locator(".history tbody tr");
  await expect(lines.filter({ hasText: FILES[2] }).filter({ hasText: "processing → ready" })).toHaveCount(1);
  await expect(lines.filter({ hasText: who.username }).first()).toBeVisible();
  const before = await lines.count();
  await upload(page.request, workspace, [FILES[1]]);
  await expect(lines.filter({ hasText: FILES[1] }).filter({ hasText: "processing → ready" })).toHaveCount(1);
  expect(await lines.count()).toBeGreaterThan(before);
  const seqs = await lines.evaluateAll((rows) => rows.map((row) => Number((row as HTMLElement).dataset.seq)));
  expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => b - a));
  const csv = await page.request.get((await page.getByRole("link", { name: "CSV" }).getAttribute("href"))!);
  expect(csv.status()).toBe(200);
  expect(await csv.text()).toContain("processing,ready");
  await page.getByRole("link", { name: "Progress too" }).click();
  await expect.poll(() => lines.count()).toBeGreaterThan(before);
  await page.goto(`/w/${workspace}/analytics`);
  await expect(page.locator(".chart")).toHaveCount(3);
  const figures = await (await page.request.get(`/api/workspaces/${workspace}/analytics?days=7`)).json();
  expect([figures.ready, figures.failed, figures.days.length]).toEqual([3, 0, 7]);
  const facts = page.getByRole("main").locator(".facts");
  await expect(facts).toContainText("Ready3");
  // They follow what happens, and what is open stays open.
  await live(page);
  const table = page.getByRole("region", { name: "Documents per day" }).locator("details");
  await table.locator("summary").click();
  await upload(page.request, workspace, [FILES[0]]);
  await expect(facts).toContainText("Ready4", { timeout: 120_000 });
  await expect(table.locator("tbody tr td").last()).toHaveText("0");
  await expect(table.locator("tbody tr td:nth-child(3)")).toHaveText("4");
  await expect(table).toHaveAttribute("open", "");
});

test("a document's steps are drawn over time", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const answer = await upload(page.request, workspace, [FILES[2]]);
  await page.goto(`/d/${answer.documents[0].document_id}`);
  await live(page);
  await expect(page.locator("[data-document-id]")).toHaveAttribute("data-status", "ready", { timeout: 120_000 });
  await page.getByText("Over time").click();
  const chart = page.locator(".waterfall .chart");
  await expect(chart).toBeVisible();
  // The last steps may come behind the word that it is ready.
  await expect
    .poll(async () => (await page.locator(".steps .step").count()) - (await chart.locator("rect.tone-complete").count()))
    .toBe(0);
  const wide = (await chart.boundingBox())!.width;
  await page.getByRole("button", { name: "3×" }).click();
  await expect.poll(async () => (await chart.boundingBox())!.width).toBeGreaterThan(wide * 2.5);
});

test("a job's phases and documents are drawn over time", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}`);
  await live(page);
  await upload(page.request, workspace, [FILES[2], FILES[3]]);
  await allReady(page, [FILES[2], FILES[3]]);
  const panel = page.locator("[data-job-id]");
  await panel.getByText("Over time").click();
  const lines = panel.locator(".waterfall .chart-text");
  // Four phases, and each document in a line of its own below them.
  const one = /^(first-steps\.md|glossary\.txt) · /;
  await expect(lines).toHaveText([/^Loading · /, /^Chunking · /, /^Embedding · /, /^Indexing · /, one, one]);
  // Each can be read from its first letter to its last, however long its bar is.
  const outside = () =>
    panel.locator(".waterfall .chart").evaluate((chart) => {
      const { left, right } = chart.getBoundingClientRect();
      const texts = [...chart.querySelectorAll("text")].map((text) => ({ text, box: text.getBoundingClientRect() }));
      return texts.filter(({ box }) => box.left < left - 1 || box.right > right + 1).map(({ text }) => text.textContent);
    });
  expect(await outside()).toEqual([]);
  // In the order in which they began.
  expect(new Set((await lines.allTextContents()).slice(4).map((line) => line.split(" ")[0])).size).toBe(2);
  await expect(panel.locator(".waterfall rect.tone-in_progress")).toHaveCount(0);
  await expect.poll(() => panel.locator(".waterfall rect.tone-complete").count()).toBeGreaterThanOrEqual(4 + 2 * 4);
});

test("the page of a job draws its documents as they begin and end, without being loaded anew", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const [one, two, three] = await scans.add(["a.txt", "b.txt", "c.txt"]);
  const begins = (id: string) => scans.report(id, { status: "processing", step: "reading_pages", progress: 20 });
  await begins(one);
  const { job_id } = await (await page.request.get(`/api/documents/${one}`)).json();
  await page.goto(`/w/${scans.id}/jobs/${job_id}`);
  await live(page);
  const line = (name: string) => page.locator(".waterfall .chart-text").filter({ hasText: `${name} · ` });
  await expect(line("a.txt")).toHaveCount(1);
  const head = page.getByRole("heading", { level: 1 });
  await head.evaluate((element) => Object.assign(element, { stays: true }));
  await begins(two);
  await scans.report(one, { status: "ready", chunk_count: 1 });
  // The job goes on, and with it the document that is in work. What has ended does not grow any more.
  await expect(line("b.txt")).toHaveCount(1);
  // The page may hear of that end a moment later, and from then on it stays.
  await expect(async () => {
    const [ended, grows] = [await line("a.txt").textContent(), await line("b.txt").textContent()];
    await expect(line("b.txt")).not.toHaveText(grows!);
    expect(await line("a.txt").textContent()).toBe(ended);
  }).toPass({ timeout: 60_000 });
  await scans.report(two, { status: "ready", chunk_count: 1 });
  await scans.end(three, { status: "ready", chunk_count: 1 });
  await expect(line("c.txt")).toHaveCount(1);
  expect(await head.evaluate((element) => "stays" in element), "the page stayed as it was").toBe(true);
});

test("the page of a job of one document draws it as soon as it begins", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const [one] = await scans.add(["a.txt"]);
  const { job_id } = await (await page.request.get(`/api/documents/${one}`)).json();
  await page.goto(`/w/${scans.id}/jobs/${job_id}`);
  await live(page);
  const line = page.locator(".waterfall .chart-text").filter({ hasText: "a.txt · " });
  await expect(line).toHaveCount(0);
  await scans.report(one, { status: "processing", step: "extracting_text", progress: 20 });
  await expect(line).toHaveCount(1);
});

test("of ten thousand rows only those near the screen are there, and the row under the pointer stays", async ({ page }) => {
  test.setTimeout(900_000);
  await signUp(page);
  // An outside worker's workspace: nobody here works on the files, so the list is as long as it is made.
  const made = await page.request.post("/api/workspaces", { data: { name: "Long list", processor: "external" } });
  const { id } = await made.json();
  const add = async (names: string[]) => {
    const form = new FormData();
    for (const name of names) form.append("file", new File([`The harbour opens at six, says ${name}.`], name));
    expect((await page.request.post(`/api/workspaces/${id}/documents`, { multipart: form })).status()).toBe(202);
  };
  const [all, part] = [10_000, 500];
  for (let from = 0; from < all; from += part) {
    await add(Array.from({ length: part }, (_, n) => `file-${from + n}.txt`));
  }
  await page.goto(`/w/${id}`);
  await live(page);
  const rows = page.locator(".doc-row[data-document-id]");
  await expect(rows.first()).toBeVisible();
  const oldest = rows.filter({ has: page.getByTitle("file-0.txt", { exact: true }) });
  // The rest of the list comes part by part, each as the end of what is there comes near.
  await page.mouse.move(600, 500);
  await expect(async () => {
    await page.mouse.wheel(0, 40_000);
    await expect(oldest).toBeVisible({ timeout: 100 });
  }).toPass({ intervals: [50], timeout: 600_000 });
  expect(await rows.count()).toBeLessThan(160);
  // A screen reader is told which of how many it is; the head is the first.
  await expect(oldest).toHaveAttribute("aria-rowindex", String(all + 1));
  await expect(page.locator(".doc-table")).toHaveAttribute("aria-rowcount", String(all + 1));
  // The height of the list is that of all its rows.
  const height = () => page.locator(".doc-table [role=rowgroup]").evaluate((list) => list.getBoundingClientRect().height);
  const one = (await rows.first().boundingBox())!.height;
  await expect.poll(async () => Math.round((await height()) / one)).toBe(all);
  const documents = async () => {
    const told = await page.locator('[data-fact="Documents"] dd').textContent();
    return Number(told!.replace(/\D/g, ""));
  };
  const top = () => page.locator(".doc-table [role=rowgroup]").evaluate((list) => list.getBoundingClientRect().top);
  /** The wheel was turned and the list has moved, and stood still since for a good many pictures. */
  const rests = async (from: number) => {
    await expect.poll(async () => Math.round(await top()) !== Math.round(from)).toBe(true);
    await page.locator(".doc-table [role=rowgroup]").evaluate(async (list) => {
      for (let [still, before] = [0, NaN]; still < 30; ) {
        await new Promise((drawn) => requestAnimationFrame(drawn));
        const now = list.getBoundingClientRect().top;
        [still, before] = [now === before ? still + 1 : 0, now];
      }
    });
  };
  for (const to of ["middle", "top"] as const) {
    const from = await top();
    await page.mouse.wheel(0, to === "middle" ? -200_000 : -1_000_000);
    await rests(from);
    if (to === "top") {
      await expect(rows.filter({ has: page.getByTitle(`file-${all - 1}.txt`, { exact: true }) })).toBeInViewport();
    }
    await page.mouse.move(600, 640);
    await expect.poll(() => page.locator(".doc-row[data-document-id]:hover").count()).toBe(1);
    const id = await page.locator(".doc-row[data-document-id]:hover").getAttribute("data-document-id");
    const pointed = page.locator(`.doc-row[data-document-id="${id}"]`);
    const before = (await pointed.boundingBox())!.y;
    const count = await documents();
    // Others move meanwhile, near and far, and new ones come in above.
    const near = await rows.evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset.documentId!));
    const data = { status: "processing", step: "reading_pages", progress: 40, message: "Reading page 4 of 10…" };
    const moved = near.map((moving) => page.request.post(`/api/status/documents/${moving}`, { data }));
    for (const answer of await Promise.all(moved)) expect(answer.status()).toBe(200);
    await expect(pointed).toHaveAttribute("data-status", "processing");
    await add(["new-1.txt", "new-2.txt", "new-3.txt"]);
    await expect.poll(documents).toBe(count + 3);
    // The new rows are in the list, and drawn, before its place is looked at.
    await expect.poll(async () => Math.round((await height()) / one)).toBe(count + 3);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    expect(Math.round((await pointed.boundingBox())!.y - before)).toBe(0);
  }
});
