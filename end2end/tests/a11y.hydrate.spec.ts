// No page violates a rule that axe can check, in either theme.
import AxeBuilder from "@axe-core/playwright";
import { expect, test } from "../fixtures";
import { FILES, firstWorkspace, signUp, upload } from "./support";

for (const theme of ["light", "dark"] as const) {
  test(`no page violates an accessibility rule (${theme})`, async ({ page, complaints }) => {
    // Some twenty pages, each looked through by axe.
    test.setTimeout(360_000);
    complaints.allow(/404/);
    await page.emulateMedia({ colorScheme: theme });
    await page.goto("/signup");
    const check = async (where: string) => {
      const { violations } = await new AxeBuilder({ page }).analyze();
      expect(violations.map((v) => `${where}: ${v.id}: ${v.nodes.map((n) => n.html).join(" | ")}`)).toEqual([]);
    };
    await check("/signup");
    await page.goto("/signin");
    await check("/signin");
    await signUp(page);
    const workspace = await firstWorkspace(page.request);
    const { documents, job_id } = await upload(page.request, workspace, FILES);
    await expect
      .poll(async () => (await (await page.request.get(`/api/jobs/${job_id}`)).json()).status, { timeout: 60_000 })
      .toBe("completed");
    // An address that leads nowhere, and the page of all components, which has no script.
    await page.goto("/components");
    await check("/components");
    await page.goto("/nowhere");
    await check("/nowhere");
    const settings = ["profile", "password", "preferences", "rag", "sessions", "api-keys", "account"];
    const pages = settings.map((tab) => `/settings/${tab}`);
    for (const address of [...pages, `/w/${workspace}/rag`, "/", "/?new", `/w/${workspace}`, `/w/${workspace}?q=workspace`, `/w/${workspace}?edit`, `/d/${documents[0].document_id}`]) {
      await page.goto(address);
      await expect(page.locator("html")).toHaveAttribute("data-hydrated", /.*/);
      await check(address);
    }
  });
}
