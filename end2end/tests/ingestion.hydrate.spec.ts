// From dropped files to Ready, watched live.
import { expect, test } from "../fixtures";
import {
  FILES,
  allReady,
  countLoads,
  drop,
  elsewhere,
  live,
  openFirst,
  partlyReadable,
  patient,
  pick,
  row,
  signIn,
  signUp,
  signUpByForm,
  word,
} from "./support";

test("dropped files become ready with no reload, and two tabs agree", async ({ page, context }) => {
  await signUpByForm(page);
  const workspace = await openFirst(page);
  const second = await context.newPage();
  await second.goto(`/w/${workspace}`);
  await live(second);
  const loads = [countLoads(page), countLoads(second)];

  await drop(page, FILES);
  for (const name of FILES) await expect(row(second, name)).toBeVisible();
  await allReady(page, FILES);
  await allReady(second, FILES);
  expect(loads.map((count) => count())).toEqual([0, 0]);

  for (const tab of [page, second]) {
    const panel = tab.getByRole("region", { name: "Latest job" });
    await expect(panel).toHaveAttribute("data-status", "completed");
    await expect(panel).toContainText("4 of 4 files done");
  }
  const shown = (tab: typeof page) => tab.locator(".doc-row[data-document-id] .doc-name").allInnerTexts();
  await expect.poll(() => shown(second)).toEqual(await shown(page));
});

test("progress never falls and the phases reach their end", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  // Every value that the row's bar ever had, taken in the page itself.
  await page.evaluate(() => {
    const seen: Record<string, number[]> = {};
    (window as unknown as { seen: typeof seen }).seen = seen;
    new MutationObserver(() => {
      for (const bar of document.querySelectorAll<HTMLProgressElement>("[data-document-id].doc-row progress")) {
        const id = bar.closest<HTMLElement>("[data-document-id]")!.dataset.documentId!;
        const values = (seen[id] ??= []);
        if (values.at(-1) !== bar.value) values.push(bar.value);
      }
    }).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  await pick(page, ["handbook.pdf", "glossary.txt"]);
  await allReady(page, ["handbook.pdf", "glossary.txt"]);
  const seen = await page.evaluate(() => (window as unknown as { seen: Record<string, number[]> }).seen);
  const rows = Object.values(seen);
  expect(rows.length).toBeGreaterThan(0);
  for (const values of rows) {
    expect(values, "never falling").toEqual([...values].sort((a, b) => a - b));
    expect(Math.max(...values)).toBeLessThanOrEqual(100);
  }
  const panel = page.getByRole("region", { name: "Latest job" });
  for (const phase of ["Loading", "Chunking", "Embedding", "Indexing"]) {
    await expect(panel.getByText(new RegExp(`^${phase}, completed`))).toBeAttached();
  }
});

test("a refused file says why at its row and the others go on", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  await page.locator("input[type=file]").first().setInputFiles([
    { name: "empty.txt", mimeType: "text/plain", buffer: Buffer.alloc(0) },
    { name: "tool.txt", mimeType: "text/plain", buffer: Buffer.from([0x7f, 0x45, 0x4c, 0x46, 0, 1, 2, 3, 0, 0, 0, 0]) },
    { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("Lanterns are kept in the harbour office.") },
  ]);
  await allReady(page, ["notes.txt"]);
  const refused = (name: string) => page.locator(`[data-upload="${name}"]`);
  await expect(refused("empty.txt")).toContainText("empty");
  await expect(refused("tool.txt")).toContainText(/This is a program\. Files that are taken: PDF, DOCX, TXT, .* and JSON\./);
  await refused("empty.txt").getByRole("button", { name: "Dismiss" }).click();
  await expect(refused("empty.txt")).toHaveCount(0);
});

test("a new workspace appears at once and turns ready by itself", async ({ page }) => {
  await signUp(page);
  await live(page);
  const loads = countLoads(page);
  await page.getByRole("main").getByRole("link", { name: "New workspace" }).click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("ab");
  await dialog.getByRole("button", { name: "Create workspace" }).click();
  await expect(dialog.getByText("Use 3 to 100 characters.")).toBeVisible();
  await dialog.getByLabel("Name").fill("Field notes");
  await dialog.getByRole("button", { name: "Create workspace" }).click();
  const card = page.getByRole("article").filter({ hasText: "Field notes" });
  await expect(card).toBeVisible();
  await expect(card).toHaveAttribute("data-status", "ready");
  await expect(page.getByRole("navigation", { name: "Workspaces" }).getByText("Field notes")).toBeVisible();
  expect(loads()).toBe(0);
});

test("somebody else sees nothing of it", async ({ page, browser, baseURL, complaints }) => {
  complaints.allow(/404/);
  await signUp(page);
  const workspace = await openFirst(page);
  const other = await browser.newContext({ baseURL });
  const stranger = await other.newPage();
  await signUp(stranger);
  const answer = await stranger.goto(`/w/${workspace}`);
  expect(answer!.status()).toBe(404);
  await other.close();
});

test("the document's page follows the work, step by step", async ({ page }) => {
  const who = await signUp(page);
  await openFirst(page);
  await pick(page, ["handbook.pdf"]);
  await row(page, "handbook.pdf").getByRole("link").click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("handbook.pdf");
  await expect(page.getByText(/Done: \d+ chunks ready to search/).first()).toBeVisible({ timeout: 120_000 });
  // What the reader sees tomorrow, in another browser, is the same.
  const address = page.url();
  // The page may still ask about what just ended, which it cannot once the cookies are gone.
  await page.goto("about:blank");
  await page.context().clearCookies();
  await page.goto(address);
  await signIn(page, who);
  await expect(page).toHaveURL(address);
  await expect(page.getByText(/Done: \d+ chunks ready to search/).first()).toBeVisible();
});

test("a document that was read in part is ready with its warnings, at its row and on its page", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  const loads = countLoads(page);
  await page.locator("input[type=file]").first().setInputFiles([
    { name: "partly.pdf", mimeType: "application/pdf", buffer: partlyReadable() },
    { name: "whole.txt", mimeType: "text/plain", buffer: Buffer.from("Lanterns are kept in the harbour office.") },
  ]);
  await allReady(page, ["partly.pdf", "whole.txt"]);
  const badge = (place: ReturnType<typeof row>) => place.locator(".badge[data-status]").first();
  const [partly, whole] = [badge(row(page, "partly.pdf")), badge(row(page, "whole.txt"))];
  await expect(partly).toHaveText("Ready · 2 warnings");
  await expect(row(page, "partly.pdf").locator(".doc-message")).toHaveText("Page 2 could not be read.");
  // Its sign has a dot that the other one's has not.
  await expect(whole).toHaveText("Ready");
  const sign = (of: typeof partly) => of.locator("svg").innerHTML();
  expect(await sign(partly)).not.toBe(await sign(whole));
  await row(page, "partly.pdf").getByRole("link").click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("partly.pdf");
  await expect(badge(page.locator("[data-document-id].page"))).toHaveText("Ready · 2 warnings");
  const warnings = page.getByRole("region", { name: "Warnings" });
  await expect(warnings.getByRole("listitem")).toHaveText(["Page 2 could not be read.", "Page 3 holds no text."]);
  expect(loads()).toBe(0);
});

test("what waits says how many jobs go before it, and counts down as they end or step aside", async ({ browser, complaints }) => {
  complaints.allow(/WebSocket|api\/status\/(events|changes)|ERR_CONNECTION_REFUSED|Failed to load resource/);
  const { page, who, workspace, server, models, send, steer, end } = await patient(browser);
  const held = ["first.txt", "third.txt", "last.txt"];
  try {
    held.forEach((name) => models.hold(name));
    await send("first.txt");
    await expect(row(page, "first.txt")).toHaveAttribute("data-status", "processing");
    const second = await send("left.txt", "right.txt");
    await send("third.txt");
    const last = await send("last.txt");
    const other = await page.context().newPage();
    await other.goto(`/d/${last.documents[0]}`);
    await live(other);
    /** At the rows; and of the last one also in the tray, and on its own page in the other tab. */
    const behind = async (places: Record<string, number>) => {
      const says = (name: string) => `Pending · behind ${places[name]}`;
      for (const name of Object.keys(places)) await expect(word(page, name)).toHaveText(says(name));
      await expect(page.locator(`.tray-job[data-job-id="${last.job}"] .badge-word`)).toHaveText(says("last.txt"));
      await expect(other.locator(".page-title .badge-word")).toHaveText(says("last.txt"));
    };
    const all = { "left.txt": 1, "right.txt": 1, "third.txt": 2, "last.txt": 3 };
    await behind(all);
    // Whoever comes later reads the same, with a script or without one.
    for (const tab of [page, other]) {
      await tab.reload();
      await live(tab);
    }
    await behind(all);
    const plain = await elsewhere(browser, server.url, who);
    await plain.goto(`/w/${workspace}`);
    for (const [name, place] of Object.entries(all)) await expect(word(plain, name)).toHaveText(`Pending · behind ${place}`);
    await plain.goto(`/d/${last.documents[0]}`);
    await expect(plain.locator(".page-title .badge-word")).toHaveText("Pending · behind 3");
    await plain.context().close();

    // A job of which one document is cancelled waits where it was. That the workspace counts it is told last of all.
    await steer(`documents/${second.documents[0]}/cancel`);
    await expect(word(page, "left.txt")).toHaveText("Cancelled");
    await expect(page.locator('[data-fact="Failed"] dd')).toHaveText("1");
    await behind({ "right.txt": 1, "third.txt": 2, "last.txt": 3 });
    // One that stands keeps nobody waiting, until it goes on; and one that is cancelled never again.
    await steer(`jobs/${second.job}/pause`);
    await expect(word(page, "right.txt")).toHaveText("Paused");
    await behind({ "third.txt": 1, "last.txt": 2 });
    await steer(`jobs/${second.job}/resume`);
    await expect(row(page, "right.txt")).toHaveAttribute("data-status", "pending");
    await behind({ "third.txt": 2, "last.txt": 3 });
    await steer(`jobs/${second.job}/cancel`);
    await expect(word(page, "right.txt")).toHaveText("Cancelled");
    await behind({ "third.txt": 1, "last.txt": 2 });

    models.release("first.txt");
    await expect(row(page, "first.txt")).toHaveAttribute("data-status", "ready");
    await expect(word(page, "third.txt")).toHaveText(/^Processing · \d+ %$/);
    await behind({ "last.txt": 1 });
    // What a server that was killed had begun still goes first at its next start.
    await server.kill();
    await expect(page.locator("html")).toHaveAttribute("data-live", "closed");
    await server.start();
    for (const tab of [page, other]) await live(tab);
    await page.reload();
    await live(page);
    await expect(word(page, "third.txt")).toHaveText(/^Processing · \d+ %$/);
    await behind({ "last.txt": 1 });
    models.release("third.txt");
    await expect(row(page, "third.txt")).toHaveAttribute("data-status", "ready");
    for (const says of [word(page, "last.txt"), other.locator(".page-title .badge-word")]) {
      await expect(says).toHaveText(/^Processing · \d+ %$/);
    }
    models.release("last.txt");
    await expect(other.locator("[data-document-id].page")).toHaveAttribute("data-status", "ready");
    await allReady(page, ["last.txt"]);
  } finally {
    held.forEach((name) => models.release(name));
    await end();
  }
});
