// What every page owes: current data and a whole layout, with and without JavaScript.
import type { Page } from "@playwright/test";
import { expect, hydrated, test } from "../fixtures";
import { FILES, completed, external, failedDocument, firstWorkspace, lost, signUp, unready, upload } from "./support";

test("pages show current states without waiting for a script", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { job_id } = await upload(page.request, workspace, FILES);
  await completed(page.request, job_id);
  const html = await (await page.request.get(`/w/${workspace}`)).text();
  for (const name of FILES) expect(html).toContain(name);
  await page.goto(`/w/${workspace}`);
  await expect(page.locator('.doc-row[data-document-id][data-status="ready"]')).toHaveCount(FILES.length);
  await page.goto("/");
  await expect(page.getByRole("article")).toContainText(`${FILES.length} documents`);
});

test("a page shows work that is under way as far as it is", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const { id } = scans;
  const [scan] = await scans.add(["a.txt"]);
  await scans.report(scan, { status: "processing", step: "reading_pages", progress: 40, message: "Reading page 4 of 10" });
  await page.goto(`/w/${id}`);
  const shown = page.locator(`.doc-row[data-document-id="${scan}"]`);
  await expect(shown).toHaveAttribute("data-status", "processing");
  await expect(shown).toContainText("Reading page 4 of 10");
  await expect(shown.locator("progress")).toHaveJSProperty("value", 40);
  await page.goto(`/d/${scan}`);
  await expect(page.locator(`[data-document-id="${scan}"]`).first()).toHaveAttribute("data-status", "processing");
  await expect(page.getByText("Reading page 4 of 10").first()).toBeVisible();
  await page.goto("/");
  await expect(page.getByRole("article").filter({ hasText: "Scans" })).toContainText("1 document");
});

test("a workspace can be made without a script", async ({ page, javaScriptEnabled }) => {
  await signUp(page);
  await page.goto("/?new");
  if (javaScriptEnabled !== false) await hydrated(page);
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("Paper trail");
  await dialog.getByRole("button", { name: "Create workspace" }).click();
  await expect(page.getByRole("article").filter({ hasText: "Paper trail" })).toBeVisible();
});

test("search answers with passages, scores and their documents", async ({ page, javaScriptEnabled }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { job_id } = await upload(page.request, workspace, FILES);
  await completed(page.request, job_id);
  await page.goto(`/w/${workspace}`);
  if (javaScriptEnabled !== false) await hydrated(page);
  await page.getByRole("searchbox", { name: "Search in this workspace" }).fill("What is a workspace?");
  await page.getByRole("button", { name: "Search", exact: true }).click();
  const results = page.getByRole("region", { name: "Search results" });
  await expect(results.getByRole("status")).toContainText("“What is a workspace?”");
  await expect(results.locator(".hit").first()).toContainText(/%/);
  await expect(results.locator(".hit a").first()).toHaveAttribute("href", /^\/d\//);
});

test("the theme stands in the HTML, so nothing flashes", async ({ page }) => {
  await signUp(page);
  await page.getByLabel("Account").click();
  await page.getByRole("button", { name: "Dark" }).click();
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await expect
    .poll(async () => (await (await page.request.get("/")).text()).match(/<html[^>]*data-theme="(\w+)"/)?.[1])
    .toBe("dark");
});

test("what is not there says so", async ({ page, complaints }) => {
  complaints.allow(/404/);
  await signUp(page);
  const answer = await page.goto("/nowhere");
  expect(answer!.status()).toBe(404);
  await expect(page.getByRole("main")).toContainText(/not found|no such|nothing here|not there/i);
  const workspace = await page.goto("/w/00000000-0000-7000-8000-000000000000");
  expect(workspace!.status()).toBe(404);
});

/** Looks at a page at each width and in each theme: what is laid out anew need not be fetched anew. */
async function nothingIsLost(page: Page, where: string): Promise<void> {
  for (const width of [320, 390, 1440]) {
    await page.setViewportSize({ width, height: 800 });
    for (const colorScheme of ["light", "dark"] as const) {
      await page.emulateMedia({ colorScheme });
      expect(await lost(page), `${where} at ${width} px, ${colorScheme}`).toEqual({ wide: 0, out: [] });
    }
  }
}

test("nothing is cut off, on a phone or on a desk, in either theme", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { documents } = await upload(page.request, workspace, FILES);
  const failed = await failedDocument(page.request, workspace);
  const [home, document] = [`/w/${workspace}`, `/d/${documents[0].document_id}`];
  for (const address of ["/", "/?new", "/errors", home, `${home}/history`, `${home}/analytics`, document, `${document}/history`, `/d/${failed}`]) {
    await page.goto(address);
    await nothingIsLost(page, address);
  }
});

test("of workspaces that are not ready nothing is cut off either", async ({ page }) => {
  const { url, failed, making, end } = await unready(page);
  try {
    for (const address of [`/w/${making}`, "/", `/w/${failed}`]) {
      await page.goto(`${url}${address}`);
      await nothingIsLost(page, address);
    }
  } finally {
    await end();
  }
});

test("a question can be asked without a script", async ({ page, javaScriptEnabled }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { job_id } = await upload(page.request, workspace, FILES.slice(2, 3));
  await completed(page.request, job_id);
  await page.goto(`/w/${workspace}/chat`);
  if (javaScriptEnabled !== false) await hydrated(page);
  await page.getByLabel("Question", { exact: true }).fill("What is a workspace?");
  await page.getByRole("button", { name: "Ask", exact: true }).click();
  await expect(page).toHaveURL(/chat\?c=/);
  await expect(async () => {
    await page.reload();
    await expect(page.locator("[data-turn-id]")).toHaveAttribute("data-status", "completed", { timeout: 1_000 });
  }).toPass();
  await expect(page.locator(".answer")).toContainText("An extract of the sources");
  await page.locator(".source-card a").first().click();
  await expect(page.getByRole("heading", { level: 1, name: /^Passage/ })).toBeVisible();
});
