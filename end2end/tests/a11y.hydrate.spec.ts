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
    await page.getByLabel("Account").click();
    await check(page, "the open menu");

    // What is shown when there is nothing, or nothing can be shown.
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
    complaints.allow(/Failed to load resource|Failed to fetch/);
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
