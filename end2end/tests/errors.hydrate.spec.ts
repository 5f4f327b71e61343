// What failed, by what it has in common: narrowed down by addresses, tried again and resolved as a whole.
import { type Page } from "@playwright/test";
import { expect, test } from "../fixtures";
import { external, live, looks, signUp } from "./support";

test("failures stand in groups that can be narrowed down, tried again and resolved", async ({ page }) => {
  await signUp(page);
  await page.goto("/errors");
  await live(page);
  await expect(page.getByRole("heading", { name: "Nothing has failed" })).toBeVisible();

  const place = await external(page.request);
  const ids = await place.add(["a.txt", "b.txt", "c.txt"]);
  for (const [n, id] of ids.entries()) {
    await place.report(id, { status: "processing" });
    const code = n < 2 ? "scan_blank" : "scan_torn";
    await place.report(id, { status: "failed", error: `The page is ${n < 2 ? "blank" : "torn"}.`, error_code: code });
  }
  // The page does not go on to say that nothing has.
  const groups = page.locator(".error-group");
  await expect(groups).toHaveCount(2);
  await expect(page.getByRole("heading", { name: "Nothing has failed" })).toHaveCount(0);
  await page.goto("/");
  await live(page);
  await page.getByRole("link", { name: "Errors" }).click();
  await expect(groups).toHaveCount(2);
  await expect(page.getByText("3 documents failed", { exact: true })).toBeVisible();
  await expect(groups.first()).toContainText("The page is blank.");
  await expect(groups.first().locator("[data-count]")).toHaveText("2 documents");

  await page.getByRole("navigation", { name: "Phase" }).getByRole("link", { name: "Embedding" }).click();
  await expect(page).toHaveURL(/\/errors\?phase=embedding$/);
  await expect(groups).toHaveCount(0);
  await page.getByRole("navigation", { name: "Phase" }).getByRole("link", { name: "Any phase" }).click();
  await expect(groups).toHaveCount(2);
  await looks(page, "errors");

  await page.getByRole("button", { name: "Resolve: 1 document, scan_torn" }).click();
  await expect(groups).toHaveCount(1);
  await page.getByRole("navigation", { name: "Standing" }).getByRole("link", { name: "Resolved" }).click();
  await expect(page).toHaveURL(/resolved=true/);
  await expect(groups).toContainText("The page is torn.");
  await page.goBack();
  await expect(groups).toContainText("The page is blank.");
  await page.getByRole("button", { name: "Retry: 2 documents, scan_blank" }).click();
  await expect.poll(async () => {
    const answer = await page.request.get(`/api/workspaces/${place.id}/documents`);
    const { items } = (await answer.json()) as { items: { status: string }[] };
    return items.filter((document) => document.status === "pending").length;
  }).toBe(2);
  await expect(page.getByRole("heading", { name: "Nothing has failed" })).toBeVisible();
  await page.reload();
  await expect(page.getByRole("heading", { name: "Nothing has failed" })).toBeVisible();
});

test("what is resolved in one tab leaves the others, whatever is in work meanwhile", async ({ page, context }) => {
  await signUp(page);
  const place = await external(page.request);
  const [torn, blank, held] = await place.add(["a.txt", "b.txt", "c.txt"]);
  await place.end(torn!, { status: "failed", error: "The page is torn.", error_code: "scan_torn" });
  await place.end(blank!, { status: "failed", error: "The page is blank.", error_code: "scan_blank" });
  await place.report(held!, { status: "processing" });
  const [other, resolved] = [await context.newPage(), await context.newPage()];
  for (const [tab, address] of [[page, "/errors"], [other, "/errors"], [resolved, "/errors?resolved=true"]] as const) {
    await tab.goto(address);
    await live(tab);
  }
  const groups = (tab: Page) => tab.locator(".error-group");
  await expect(groups(other)).toHaveCount(2);
  await expect(groups(resolved)).toHaveCount(0);
  const resolve = (code: string) => page.getByRole("button", { name: `Resolve: 1 document, ${code}` });

  await resolve("scan_torn").click();
  await expect(groups(other)).toHaveCount(1);
  await expect(groups(other)).toContainText("The page is blank.");
  await expect(groups(resolved)).toContainText("The page is torn.");

  // The same once nothing is in work any more.
  await place.report(held!, { status: "ready", chunk_count: 1 });
  await expect.poll(async () => {
    const workspace = await (await page.request.get(`/api/workspaces/${place.id}`)).json();
    return workspace.counts.processing;
  }).toBe(0);
  await resolve("scan_blank").click();
  for (const tab of [page, other]) await expect(tab.getByRole("heading", { name: "Nothing has failed" })).toBeVisible();
  await expect(groups(resolved)).toHaveCount(2);
});
