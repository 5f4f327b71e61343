// No page violates a rule that axe can check, in either theme.
import AxeBuilder from "@axe-core/playwright";
import { expect, hydrated, test } from "../fixtures";
import { type Page } from "@playwright/test";
import { FILES, addresses, failedDocument, firstWorkspace, live, refusedUpload, signUp, unready, upload } from "./support";

/** Looks the page through in both themes, each by all rules. */
async function check(page: Page, where: string): Promise<void> {
  for (const colorScheme of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme });
    // Colours on their way from one theme to the other are those of neither.
    await page.evaluate(() =>
      Promise.all(
        document.getAnimations().map((moving) => (moving instanceof CSSTransition ? moving.finished.catch(() => {}) : null)),
      ),
    );
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
  await expect
    .poll(async () => (await (await page.request.get(`/api/jobs/${job_id}`)).json()).status, { timeout: 60_000 })
    .toBe("completed");
  const failed = await failedDocument(page.request, workspace);
  await checkAll(page, addresses(workspace, documents[0].document_id, failed));
});

test("what is asked and refused on a page violates no accessibility rule", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { job_id } = await upload(page.request, workspace, FILES);
  await expect
    .poll(async () => (await (await page.request.get(`/api/jobs/${job_id}`)).json()).status, { timeout: 60_000 })
    .toBe("completed");
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
      timeout: 60_000,
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
