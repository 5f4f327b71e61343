// What every page owes: current data and a whole layout, with and without JavaScript.
import { expect, test } from "../fixtures";
import { FILES, firstWorkspace, signUp, upload } from "./support";

test("pages show current states without waiting for a script", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { job_id } = await upload(page.request, workspace, FILES);
  await expect
    .poll(async () => (await (await page.request.get(`/api/jobs/${job_id}`)).json()).status, { timeout: 60_000 })
    .toBe("completed");
  const html = await (await page.request.get(`/w/${workspace}`)).text();
  for (const name of FILES) expect(html).toContain(name);
  await page.goto(`/w/${workspace}`);
  await expect(page.locator('.doc-row[data-document-id][data-status="ready"]')).toHaveCount(FILES.length);
  await page.goto("/");
  await expect(page.getByRole("article")).toContainText(`${FILES.length} documents`);
});

test("a workspace can be made without a script", async ({ page }) => {
  await signUp(page);
  await page.goto("/?new");
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("Paper trail");
  await dialog.getByRole("button", { name: "Create workspace" }).click();
  await expect(page.getByRole("article").filter({ hasText: "Paper trail" })).toBeVisible();
});

test("search answers with passages, scores and their documents", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { job_id } = await upload(page.request, workspace, FILES);
  await expect
    .poll(async () => (await (await page.request.get(`/api/jobs/${job_id}`)).json()).status, { timeout: 60_000 })
    .toBe("completed");
  await page.goto(`/w/${workspace}`);
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

test("nothing is cut off on a narrow screen", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { documents } = await upload(page.request, workspace, FILES);
  for (const width of [320, 390]) {
    await page.setViewportSize({ width, height: 800 });
    for (const address of ["/", "/?new", `/w/${workspace}`, `/d/${documents[0].document_id}`]) {
      await page.goto(address);
      const overflow = await page.locator("html").evaluate((e) => e.scrollWidth - e.clientWidth);
      expect(overflow, `${address} at ${width} px`).toBeLessThanOrEqual(0);
    }
  }
});
