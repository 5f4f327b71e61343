// Actions over many documents, and pausing all work of a workspace.
import { type Page } from "@playwright/test";
import { expect, test } from "../fixtures";
import { allReady, external, live, long, looks, openFirst, row, signUp } from "./support";

const bar = (page: Page) => page.getByRole("group", { name: "Selected documents" });

test("all that failed is selected by one click and tried again, and the counts are told live", async ({ page }) => {
  await signUp(page);
  const place = await external(page.request);
  const names = Array.from({ length: 37 }, (_, n) => `scan-${n}.txt`);
  const ids = await place.add(names);
  for (const [n, id] of ids.entries()) {
    await place.report(id, n < 12 ? { status: "failed", error: "It is damaged." } : { status: "processing" });
    if (n >= 12) await place.report(id, { status: "ready" });
  }
  await page.goto(`/w/${place.id}`);
  await live(page);
  await expect(row(page, "scan-0.txt")).toHaveAttribute("data-status", "failed");
  const other = await page.context().newPage();
  await other.goto(`/w/${place.id}`);
  await live(other);

  await row(page, "scan-20.txt").hover();
  await row(page, "scan-20.txt").getByRole("checkbox", { name: "Select scan-20.txt" }).check();
  await expect(bar(page)).toContainText("1 selected");
  for (const action of ["Pause", "Resume", "Cancel", "Retry"]) {
    await expect(bar(page).getByRole("button", { name: action, exact: true })).toBeDisabled();
  }
  // Why is said where keys and fingers reach it, since no title of a button that is disabled does.
  await bar(page).getByText("Why some are disabled").click();
  await expect(bar(page).locator("[data-refused] li")).toHaveText([
    "Pause, Cancel: None of them is in work.",
    "Resume: None of them is paused.",
    "Retry: None of them has failed.",
    "Enable: None of them is disabled.",
  ]);
  await bar(page).getByRole("button", { name: "Select all 37" }).click();
  await expect(bar(page)).toContainText("37 selected");
  await bar(page).getByRole("button", { name: "Failed 12" }).click();
  await expect(bar(page)).toContainText("12 selected");
  await expect(page.getByRole("checkbox", { name: "Select scan-0.txt", exact: true })).toBeChecked();
  await expect(page.getByRole("checkbox", { name: "Select scan-20.txt" })).not.toBeChecked();
  await looks(page, "bulk");
  await bar(page).getByRole("button", { name: "Retry", exact: true }).click();
  await expect(bar(page)).toHaveCount(0);
  await expect(page.locator("[data-bulk]")).toContainText("12 will be tried again");
  // A screen reader hears of it too, by a region that was there before; the counts that are seen say nothing.
  await expect(page.locator("[data-bulk-said] p").last()).toHaveText("12 will be tried again");
  await expect(page.locator('[data-bulk] [role="status"]')).toHaveCount(0);
  for (const tab of [page, other]) {
    await expect(row(tab, "scan-0.txt")).toHaveAttribute("data-status", "pending");
    await expect(row(tab, "scan-20.txt")).toHaveAttribute("data-status", "ready");
  }
  await page.locator("[data-bulk]").getByRole("button", { name: "Dismiss" }).click();
  await expect(page.locator("[data-bulk]")).toHaveCount(0);
});

test("many are deleted at once and brought back by one click", async ({ page }) => {
  await signUp(page);
  const place = await external(page.request);
  await place.add(["a.txt", "b.txt", "c.txt"]);
  await page.goto(`/w/${place.id}`);
  await live(page);
  await page.getByRole("checkbox", { name: "Select all documents" }).check();
  await bar(page).getByRole("button", { name: "Delete…" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete these documents?" });
  await expect(dialog).toContainText("3 documents, ");
  await dialog.getByRole("button", { name: "Delete" }).click();
  await expect(page.locator(".doc-row[data-document-id]")).toHaveCount(0);
  await page.locator(".toast").getByRole("button", { name: "Undo" }).click();
  await expect(page.locator(".doc-row[data-document-id]")).toHaveCount(3);
});

test("all work of a workspace is paused, what comes waits, and it goes on by one click", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  await page.locator("input[type=file]").first().setInputFiles([
    { name: "long.txt", mimeType: "text/plain", buffer: long(60_000) },
  ]);
  await expect(row(page, "long.txt")).toHaveAttribute("data-status", "processing");
  await page.getByText("Pause all work here…").click();
  await page.getByRole("button", { name: "Stop now" }).click();
  const banner = page.locator('[data-standing][data-status="paused"]');
  await expect(banner).toContainText("Processing is paused");
  await expect(row(page, "long.txt")).toHaveAttribute("data-status", "paused");
  await page.locator("input[type=file]").first().setInputFiles([
    { name: "late.txt", mimeType: "text/plain", buffer: Buffer.from("A lantern.") },
  ]);
  await expect(row(page, "late.txt")).toHaveAttribute("data-status", "paused");
  await page.reload();
  await live(page);
  await banner.getByRole("button", { name: "Resume processing" }).click();
  await expect(banner).toHaveCount(0);
  await allReady(page, ["late.txt"]);
});
