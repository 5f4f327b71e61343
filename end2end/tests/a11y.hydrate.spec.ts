// No page violates a rule that axe can check, in either theme.
import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "../fixtures";
import { type Page } from "@playwright/test";
import { FILES, addresses, failedDocument, firstWorkspace, live, refusedUpload, signUp, unready, upload } from "./support";

/** Looks the page through. */
async function check(page: Page, where: string): Promise<void> {
  const { violations } = await new AxeBuilder({ page }).analyze();
  expect(violations.map((v) => `${where}: ${v.id}: ${v.nodes.map((n) => n.html).join(" | ")}`)).toEqual([]);
}

for (const theme of ["light", "dark"] as const) {
  test(`no page violates an accessibility rule (${theme})`, async ({ page, complaints }) => {
    // Some twenty-five pages, each looked through by axe.
    test.setTimeout(480_000);
    complaints.allow(/404/);
    await page.emulateMedia({ colorScheme: theme });
    await page.goto("/signup");
    await check(page, "/signup");
    await page.goto("/signin");
    await check(page, "/signin");
    await signUp(page);
    // From here on by the saved choice, under a system that likes the other one.
    expect((await page.request.patch("/api/auth/preferences", { data: { theme } })).status()).toBe(200);
    await page.emulateMedia({ colorScheme: theme === "dark" ? "light" : "dark" });
    const workspace = await firstWorkspace(page.request);
    const { documents, job_id } = await upload(page.request, workspace, FILES);
    await expect
      .poll(async () => (await (await page.request.get(`/api/jobs/${job_id}`)).json()).status, { timeout: 60_000 })
      .toBe("completed");
    // An address that leads nowhere, and the page of all components, which has no script.
    await page.goto("/components");
    await check(page, "/components");
    await page.goto("/nowhere");
    await check(page, "/nowhere");
    const settings = ["profile", "password", "preferences", "notifications", "rag", "sessions", "api-keys", "account"];
    const failed = await failedDocument(page.request, workspace);
    const home = `/w/${workspace}`;
    for (const address of [
      ...settings.map((tab) => `/settings/${tab}`),
      ...addresses(workspace, documents[0].document_id, failed),
    ]) {
      await page.goto(address);
      await expect(page.locator("html")).toHaveAttribute("data-hydrated", /.*/);
      await check(page, address);
    }
    const config = { data: { chunk_size: 300, chunk_overlap: 0 } };
    expect((await page.request.put(`/api/workspaces/${workspace}/rag-config`, config)).status()).toBe(200);
    await page.goto(`${home}/rag?reindex`);
    await live(page);
    await expect(page.locator("[data-estimate]")).toContainText("tokens");
    await check(page, "what a re-index will take");
    await page.goto(home);
    await live(page);
    await refusedUpload(page);
    await check(page, "a file that is not taken");

    // On a phone: a mistake with the bar, what is asked, and what is shown once.
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
    await page.goto(`${home}/rag`);
    await live(page);
    await check(page, "a RAG config on a phone");
    await page.getByRole("button", { name: /^Re-index/ }).click();
    await expect(page.getByRole("dialog", { name: "Re-index the stale documents?" })).toContainText("tokens");
    await check(page, "what is asked before a re-index");
  });

  test(`workspaces that are not ready violate no accessibility rule (${theme})`, async ({ page }) => {
    await page.emulateMedia({ colorScheme: theme });
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
}
