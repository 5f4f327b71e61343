// No page violates a rule that axe can check, in either theme.
import AxeBuilder from "@axe-core/playwright";
import { expect, hydrated, test } from "../fixtures";
import { type Page } from "@playwright/test";
import {
  FILES,
  Wire,
  addresses,
  completed,
  external,
  failedDocument,
  firstWorkspace,
  live,
  openFirst,
  refusedUpload,
  row,
  signUp,
  slow,
  unready,
  upload,
} from "./support";

/** Looks the page through in both themes, each by all rules. */
async function check(page: Page, where: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    // Nothing moves for more than a moment, also when it begins while the page is being looked through.
    await page.emulateMedia({ colorScheme, reducedMotion: "reduce" });
    // Colours on their way from one theme to the other are those of neither, and what rises into the page is half there.
    // They are brought to their end and not waited for: one of something that is not on screen may never come to it by
    // itself. A spinner has none.
    await page.evaluate(() => {
      for (const moving of document.getAnimations()) {
        if (Number.isFinite(Number(moving.effect?.getComputedTiming().endTime))) moving.finish();
      }
    });
    // There are no frames within the pages, so nothing has to be gathered in a page of axe's own, which takes as long as
    // looking. What is in order is not told.
    const { violations } = await new AxeBuilder({ page })
      .setLegacyMode(true)
      .options({ resultTypes: ["violations"] })
      .analyze();
    const told = violations.map((v) => `${where}, ${colorScheme}: ${v.id}: ${v.nodes.map((n) => n.html).join(" | ")}`);
    expect(told).toEqual([]);
  }
}

/** Opens each, waits until its script runs, and looks it through. */
async function checkAll(page: Page, all: string[]): Promise<void> {
  for (const address of all) {
    await page.goto(address);
    await hydrated(page);
    await check(page, address);
  }
}

test("no page outside of an account violates an accessibility rule", async ({ page, complaints }) => {
  complaints.allow(/404/);
  // None of them waits for a script; one leads nowhere, and one shows all components.
  for (const address of ["/signup", "/signin", "/components"]) {
    await page.goto(address);
    await check(page, address);
  }
  await signUp(page);
  await page.goto("/nowhere");
  await check(page, "/nowhere");
});

test("no page of the settings violates an accessibility rule", async ({ page }) => {
  await signUp(page);
  const tabs = ["profile", "password", "preferences", "notifications", "rag", "sessions", "api-keys", "account"];
  await checkAll(page, tabs.map((tab) => `/settings/${tab}`));
});

test("no page of a workspace and its documents violates an accessibility rule", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { documents, job_id } = await upload(page.request, workspace, FILES);
  await completed(page.request, job_id);
  const failed = await failedDocument(page.request, workspace);
  await checkAll(page, addresses(workspace, documents[0].document_id, failed));
});

test("what is asked and refused on a page violates no accessibility rule", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { job_id } = await upload(page.request, workspace, FILES);
  await completed(page.request, job_id);
  const config = { data: { chunk_size: 300, chunk_overlap: 0 } };
  expect((await page.request.put(`/api/workspaces/${workspace}/rag-config`, config)).status()).toBe(200);
  await page.goto(`/w/${workspace}/rag?reindex`);
  await live(page);
  await expect(page.locator("[data-estimate]")).toContainText("tokens");
  await check(page, "what a re-index will take");
  await page.goto(`/w/${workspace}`);
  await live(page);
  await refusedUpload(page);
  await check(page, "a file that is not taken");
});

test("the chat violates no accessibility rule, with an answer and with nothing found", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const ask = async (question: string) => {
    await page.getByLabel("Question", { exact: true }).fill(question);
    await page.getByLabel("Question", { exact: true }).press("Enter");
  };
  await page.goto(`/w/${workspace}/chat`);
  await live(page);
  await check(page, "a chat in which nobody has asked yet");
  await ask("What is a workspace?");
  await expect(page.getByText("Waiting for a new document")).toBeVisible();
  await check(page, "a question that nothing answers");
  const { job_id } = await upload(page.request, workspace, FILES.slice(2, 3));
  await completed(page.request, job_id);
  await expect(page.locator(".source-card").first()).toBeVisible();
  await page.getByText("Name, export or delete").click();
  await check(page, "an answer with its sources");
});

test("workspaces that are not ready violate no accessibility rule", async ({ page }) => {
  const { url, failed, making, end } = await unready(page);
  try {
    for (const [address, said] of [
      [`/w/${making}`, "Making this workspace ready"],
      ["/", "Being made"],
      [`/w/${failed}`, "This workspace could not be made ready"],
    ]) {
      await page.goto(`${url}${address}`);
      await live(page);
      await expect(page.getByText(said).first()).toBeVisible();
      await check(page, said);
    }
  } finally {
    await end();
  }
});

test("what is shown when there is nothing, or nothing can be shown, violates no accessibility rule", async ({
  page,
  complaints,
}) => {
  complaints.allow(/404|Failed to load resource|Failed to fetch/);
  await signUp(page);
  const empty = (await (await page.request.post("/api/workspaces", { data: { name: "Empty" } })).json()).id;
  for (const [address, said] of [
    ["/w/00000000-0000-7000-8000-000000000000", "There is no such workspace"],
    ["/?q=zzzz", "No workspace matches"],
    [`/w/${empty}?q=lantern`, "Nothing found for “lantern”"],
    ["/api/docs", "InsightHub"],
  ]) {
    await page.goto(address);
    await expect(page.getByText(said).first()).toBeVisible();
    await check(page, address);
  }
  await page.goto("/");
  await live(page);
  await page.getByLabel("Account").click();
  await check(page, "the open menu");
  for (const [status, said] of [
    [0, "The server cannot be reached"],
    [403, "You have no access to this workspace"],
    [500, "The workspace could not be read"],
  ] as const) {
    await page.goto("/");
    await live(page);
    await page.route("**/_fn/workspaces/read", (route) => {
      const problem = { type: "urn:x", title: "", status, detail: "It is so.", code: "some", correlation_id: "0197-abc" };
      return status === 0 ? route.abort() : route.fulfill({ status, contentType: "application/json", body: JSON.stringify(problem) });
    });
    await page.getByRole("main").getByRole("link", { name: "My documents" }).click();
    await expect(page.getByRole("heading", { level: 1, name: said })).toBeVisible();
    await check(page, said);
    await page.unroute("**/_fn/workspaces/read");
  }
});

test("what is asked and refused in the settings on a phone violates no accessibility rule", async ({ page }) => {
  await signUp(page);
  // By a saved choice, under a system that likes the other one.
  expect((await page.request.patch("/api/auth/preferences", { data: { theme: "dark" } })).status()).toBe(200);
  const workspace = await firstWorkspace(page.request);
  const { documents } = await upload(page.request, workspace, FILES.slice(0, 1));
  await expect
    .poll(async () => (await (await page.request.get(`/api/documents/${documents[0].document_id}`)).json()).status, {
      timeout: 120_000,
    })
    .toBe("ready");
  const config = { data: { chunk_size: 300, chunk_overlap: 0 } };
  expect((await page.request.put(`/api/workspaces/${workspace}/rag-config`, config)).status()).toBe(200);
  await page.setViewportSize({ width: 390, height: 800 });
  await page.goto("/settings/profile");
  await live(page);
  await page.getByLabel("E-mail").fill("nowhere");
  await page.getByRole("button", { name: "Save profile" }).click();
  await expect(page.getByLabel("E-mail")).toHaveAttribute("aria-invalid", "true");
  await check(page, "a form with a mistake");
  await page.getByRole("link", { name: "API keys" }).click();
  const leave = page.getByRole("dialog", { name: "Leave without saving?" });
  await expect(leave).toBeVisible();
  await check(page, "what is asked before a page is left");
  await leave.getByRole("button", { name: "Leave without saving" }).click();
  await page.getByLabel("Name").fill("Backup");
  await page.getByRole("button", { name: "Make key" }).dblclick();
  await expect(page.locator(".secret")).toBeVisible();
  await expect(page.locator("[data-key-id]")).toHaveCount(1);
  await check(page, "a new key");
  await page.goto(`/w/${workspace}/rag`);
  await live(page);
  await check(page, "a RAG config on a phone");
  await page.getByRole("button", { name: /^Re-index/ }).click();
  await expect(page.getByRole("dialog", { name: "Re-index the stale documents?" })).toContainText("tokens");
  await check(page, "what is asked before a re-index");
});

test("what is asked and refused in the settings violates no accessibility rule, in either theme", async ({ page }) => {
  await signUp(page);
  await page.goto("/settings/profile");
  await live(page);
  await page.getByLabel("E-mail").fill("nowhere");
  await page.getByRole("button", { name: "Save profile" }).click();
  await expect(page.getByLabel("E-mail")).toHaveAttribute("aria-invalid", "true");
  await check(page, "a profile with a mistake");
  await page.getByRole("link", { name: "Password", exact: true }).click();
  const leave = page.getByRole("dialog", { name: "Leave without saving?" });
  await expect(leave).toBeVisible();
  await check(page, "what is asked before a page is left");
  await leave.getByRole("button", { name: "Leave without saving" }).click();
  await expect(page).toHaveURL(/password$/);
  await page.getByLabel("New password", { exact: true }).fill("weak1");
  await page.getByRole("button", { name: "Change password" }).click();
  for (const field of [page.getByLabel("Current password"), page.getByLabel("New password", { exact: true })]) {
    await expect(field).toHaveAttribute("aria-invalid", "true");
  }
  await check(page, "a password that breaks the rules");
  await page.goto("/settings/rag");
  await live(page);
  for (const name of ["Chunk size", "Chunk overlap"]) await page.getByLabel(name, { exact: true }).fill("150");
  await page.getByRole("button", { name: "Save RAG config" }).click();
  await expect(page.getByLabel("Chunk overlap", { exact: true })).toHaveAttribute("aria-invalid", "true");
  await expect(page.locator(".save-bar")).toBeVisible();
  await check(page, "a RAG config with a mistake");
  await page.goto("/settings/api-keys");
  await live(page);
  await page.getByLabel("Name").fill("Backup");
  await page.getByRole("button", { name: "Make key" }).click();
  await expect(page.locator(".secret")).toBeVisible();
  await check(page, "a new key");
});

test("what is under way, and what just ended, violates no accessibility rule", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  await page.goto(`/w/${scans.id}`);
  await live(page);
  const [first, second] = await scans.add(["a.txt", "b.txt", "c.txt"]);
  await scans.report(first, { status: "processing" });
  await scans.report(first, { status: "ready", chunk_count: 2 });
  await scans.report(second, { status: "processing", step: "reading_pages", progress: 40, message: "Reading page 4 of 10" });
  await expect(page.locator(`[data-document-id="${second}"]`)).toContainText("Reading page 4 of 10");
  await page.locator(".tray-count").click();
  const tray = page.getByRole("group", { name: "Jobs under way" });
  await expect(tray.locator(".tray-job")).toContainText("1 of 3 done");
  await check(page, "the open tray");
  await expect(tray.locator(".tray-job")).toBeVisible();
  // On a phone it opens over the whole width, and none of it is outside.
  await page.setViewportSize({ width: 390, height: 800 });
  const box = (await tray.boundingBox())!;
  expect([box.x >= 0, box.x + box.width <= 390], JSON.stringify(box)).toEqual([true, true]);
  await check(page, "the open tray on a phone");
  await page.locator(".tray-count").click();
  const [[good], [bad]] = [await scans.add(["d.txt"]), await scans.add(["e.txt"])];
  for (const id of [good, bad]) await scans.report(id, { status: "processing" });
  // One that failed stays until it is read; the other one is looked at while it is there.
  await scans.report(bad, { status: "failed", error: "The page is torn." });
  const toasts = page.locator(".toast");
  await expect(toasts).toHaveCount(1);
  await scans.report(good, { status: "ready", chunk_count: 1 });
  await expect(toasts).toHaveCount(2);
  // A good word goes by itself, but for one that somebody is at.
  await toasts.filter({ hasText: "done" }).getByRole("link", { name: "Show" }).focus();
  await check(page, "two notices");
  await expect(toasts).toHaveCount(2);
});

test("files on their way violate no accessibility rule", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  await slow(page, 60_000);
  const buffer = Buffer.from("A line of a long story.\n".repeat(200_000));
  const files = [1, 2, 3, 4].map((n) => ({ name: `part-${n}.txt`, mimeType: "text/plain", buffer }));
  await page.locator("input[type=file]").first().setInputFiles(files);
  const rows = page.locator("[data-upload]");
  await expect(rows.first()).toContainText("3 files before this one");
  for (const name of ["part-1.txt", "part-2.txt", "part-3.txt"]) {
    await expect(page.locator(`[data-upload="${name}"]`)).toContainText(/Uploading · [1-9]\d? %.* left/);
  }
  await check(page, "files on their way");
  for (const name of ["part-1.txt", "part-2.txt", "part-3.txt"]) {
    await expect(page.locator(`[data-upload="${name}"]`)).toContainText("Uploading");
  }
  for (const { name } of files) {
    await page.locator(`[data-upload="${name}"]`).getByRole("button", { name: "Cancel upload" }).click();
  }
  await expect(rows).toHaveCount(0);
});

test("a page without its live link violates no accessibility rule", async ({ page, complaints }) => {
  complaints.allow(/WebSocket/);
  const wire = new Wire();
  await wire.install(page);
  await signUp(page);
  const scans = await external(page.request);
  const [id] = await scans.add(["a.txt", "b.txt"]);
  await scans.report(id, { status: "processing", step: "reading_pages", progress: 40, message: "Reading page 4 of 10" });
  await page.goto(`/w/${scans.id}`);
  await live(page);
  const head = page.locator(".page-actions").first();
  const menu = head.locator("details.menu > summary");
  const places = () => Promise.all([head.getByRole("link", { name: "RAG config" }).boundingBox(), menu.boundingBox()]);
  const before = await places();
  await wire.cut();
  await expect(page.getByText(/Live updates paused since \d\d:\d\d/)).toBeVisible();
  const reason = page.locator(".page-actions [data-paused]");
  await expect(reason).toContainText("Live updates are paused");
  await expect(page.getByRole("button", { name: "Pause" })).toBeDisabled();
  // The reason has a place of its own below all the buttons: what was there stays where it was.
  expect(await places()).toEqual(before);
  const { y, height } = (await menu.boundingBox())!;
  expect((await reason.boundingBox())!.y).toBeGreaterThanOrEqual(y + height);
  await check(page, "a workspace without its link");
  await expect(page.getByText(/Live updates paused since \d\d:\d\d/)).toBeVisible();
  // The rest of the server answers: its pages can be read.
  await row(page, "a.txt").getByRole("link").click();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("a.txt");
  await expect(page.getByText(/Live updates paused since \d\d:\d\d/)).toBeVisible();
  await expect(page.locator("[data-about] [data-paused]")).toContainText("Live updates are paused");
  await check(page, "a document without its link");
  wire.mend();
  await live(page);
});
