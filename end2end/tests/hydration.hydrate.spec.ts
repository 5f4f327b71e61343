// The browser takes over exactly what the server drew: on every page, while documents move, and under hasty fingers.
import { expect, hydrated, test } from "../fixtures";
import { FILES, firstWorkspace, signUp, upload } from "./support";

test("pages that load while documents move are taken over without a fault", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { job_id, documents } = await upload(page.request, workspace, [...FILES, "handbook.pdf"]);
  const addresses = ["/", `/w/${workspace}`, `/w/${workspace}?q=workspace`, `/d/${documents[0].document_id}`];
  const isDone = async () => (await (await page.request.get(`/api/jobs/${job_id}`)).json()).status === "completed";
  // Rounds until the work is over, and one more.
  for (let rounds = 0, last = false; !last; rounds++) {
    last = rounds >= 2 && (await isDone());
    for (const address of addresses) {
      await page.goto(address, { waitUntil: "commit" });
      await hydrated(page);
      await expect(page.locator(`nav a[data-workspace-id="${workspace}"]`)).toBeVisible();
    }
  }
});

test("a click before the page is alive leads where it should", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  for (const wait of ["commit", "domcontentloaded", "load"] as const) {
    for (let round = 0; round < 4; round++) {
      await page.goto(round % 2 ? "/" : `/w/${workspace}?q=anything`, { waitUntil: wait });
      await page.locator(`nav a[data-workspace-id="${workspace}"]`).click();
      await expect(page).toHaveURL(new RegExp(`/w/${workspace}$`));
      await hydrated(page);
      await expect(page.getByRole("heading", { level: 1, name: "My documents" })).toBeVisible();
    }
  }
});
