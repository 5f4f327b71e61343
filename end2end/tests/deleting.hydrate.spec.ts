// Deleting a document and a workspace: asked first, gone from every tab at once, undone within seconds.
import { type Page } from "@playwright/test";
import { expect, test } from "../fixtures";
import { allReady, live, long, looks, more, openFirst, pick, row, signUp } from "./support";

const undo = (page: Page) => page.locator(".toast").getByRole("button", { name: "Undo" });

test("a document is deleted on its page, the toast counts, and undo brings it back in every tab", async ({ page }) => {
  await signUp(page);
  const workspace = await openFirst(page);
  await pick(page, ["glossary.txt", "questions.html"]);
  await allReady(page, ["glossary.txt", "questions.html"]);
  const other = await page.context().newPage();
  await other.goto(page.url());
  await live(other);
  await expect(row(other, "glossary.txt")).toBeVisible();

  await row(page, "glossary.txt").getByRole("link").click();
  await expect(page.getByRole("heading", { level: 1, name: "glossary.txt" })).toBeVisible();
  await page.getByRole("link", { name: "Delete" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete this document?" });
  await expect(dialog).toContainText("glossary.txt");
  await expect(dialog).toContainText(/It goes with its file \(.+\) and its \d+ chunks?\./);
  await looks(page, "delete-document");
  await dialog.getByRole("button", { name: "Cancel" }).click();
  await expect(dialog).toBeHidden();
  await expect(page).toHaveURL(/\/d\/[^?]+$/);
  await page.getByRole("link", { name: "Delete" }).click();
  await dialog.getByRole("button", { name: "Delete" }).click();
  // All at once, since the time to undo it runs.
  await Promise.all([
    expect(page).toHaveURL(new RegExp(`/w/${workspace}$`)),
    expect(page.locator(".toast").filter({ hasText: "glossary.txt was deleted." })).toBeVisible(),
    expect(undo(page)).toContainText(/· [1-8] s/),
    expect(row(other, "glossary.txt")).toHaveCount(0),
  ]);
  await undo(page).click();
  await expect(row(other, "questions.html")).toBeVisible();
  for (const tab of [page, other]) {
    await expect(row(tab, "glossary.txt")).toHaveAttribute("data-status", "ready");
  }
  await expect(undo(page)).toHaveCount(0);
});

test("the toast goes when its time is over, and the page of what is gone says so in the other tab", async ({ page, complaints }) => {
  complaints.allow(/404/);
  await signUp(page);
  await openFirst(page);
  await pick(page, ["glossary.txt"]);
  await allReady(page, ["glossary.txt"]);
  const other = await page.context().newPage();
  await other.goto((await row(page, "glossary.txt").getByRole("link").getAttribute("href"))!);
  await live(other);
  const past = await page.context().newPage();
  await past.goto(other.url());
  await live(past);
  await past.getByRole("link", { name: "History" }).click();
  await expect(past.locator("table.history")).toContainText("glossary.txt");
  await row(page, "glossary.txt").hover();
  await row(page, "glossary.txt").getByRole("button", { name: "Actions for glossary.txt" }).click();
  const bar = page.getByRole("group", { name: "Selected documents" });
  await expect(bar).toContainText("1 selected");
  await expect(bar.getByRole("button", { name: "Retry" })).toBeDisabled();
  await expect(bar.getByRole("button", { name: "Retry" })).toHaveAttribute("title", "None of them has failed.");
  await bar.getByRole("button", { name: "Delete…" }).click();
  const dialog = page.getByRole("dialog", { name: "Delete these documents?" });
  await expect(dialog).toContainText("glossary.txt");
  await dialog.getByRole("button", { name: "Delete" }).click();
  await expect(undo(page)).toBeVisible();
  await expect(row(page, "glossary.txt")).toHaveCount(0);
  await expect(other.getByRole("heading", { name: "There is no such document" })).toBeVisible();
  await expect(past.locator("[data-gone]")).toHaveText("This document was deleted. What stands here is as it was before.");
  await expect(undo(page)).toHaveCount(0);
});

test("a workspace is deleted after its name was typed, undone, and deleted again until it vanishes everywhere", async ({ page, complaints }) => {
  complaints.allow(/404/);
  await signUp(page);
  await openFirst(page);
  await page.locator("input[type=file]").first().setInputFiles([
    { name: "short.txt", mimeType: "text/plain", buffer: Buffer.from("The lantern keeper writes.") },
    { name: "long.txt", mimeType: "text/plain", buffer: long(250_000) },
  ]);
  await allReady(page, ["short.txt"]);
  const home = await page.context().newPage();
  await home.goto("/");
  await live(home);
  const card = home.getByRole("article").filter({ hasText: "My documents" });

  const start = async () => {
    await more(page, "Delete");
    const dialog = page.getByRole("dialog", { name: "Delete this workspace?" });
    await expect(dialog).toContainText("2 documents");
    await dialog.getByLabel("To confirm").fill("My papers");
    await dialog.getByRole("button", { name: "Delete workspace" }).click();
    await expect(dialog).toContainText("Type the name exactly as it is shown.");
    await dialog.getByLabel("To confirm").fill("My documents");
    return dialog;
  };
  // Somebody reads one of its documents meanwhile, which is still in work.
  const reader = await page.context().newPage();
  await reader.goto((await row(page, "long.txt").getByRole("link").getAttribute("href"))!);
  await live(reader);
  const read = reader.locator("[data-document-id].page");
  const line = reader.locator(".tray-job").filter({ hasText: "Upload of 2 files" });
  for (const shown of [read, line]) await expect(shown).toHaveAttribute("data-status", "processing");

  // And others look at what was done in it.
  const pasts = await Promise.all(
    ["history", "jobs", "analytics"].map(async (part) => {
      const past = await page.context().newPage();
      await past.goto(`${new URL(page.url()).pathname}/${part}`);
      await live(past);
      await expect(past.locator("[data-gone]")).toBeHidden();
      return past;
    }),
  );

  const dialog = await start();
  await looks(page, "delete-workspace");
  await dialog.getByRole("button", { name: "Delete workspace" }).click();
  const banner = page.locator("[data-deleting]");
  // All at once, since the time to undo it runs.
  await Promise.all([
    expect(card).toHaveAttribute("data-status", "deleting"),
    expect(card).toContainText("Deleting 2 documents in a moment"),
    expect(banner).toContainText("This workspace is being deleted"),
    ...[read, line].map((shown) => expect(shown).toHaveAttribute("data-status", "deleting")),
    expect(reader.locator("[data-controls] button")).toHaveCount(0),
  ]);
  await banner.getByRole("button", { name: "Undo the deletion" }).click();
  await expect(card).not.toHaveAttribute("data-status", "deleting");
  await expect(banner).toHaveCount(0);
  await expect(row(page, "long.txt")).toHaveAttribute("data-status", "processing");
  for (const shown of [read, line]) await expect(shown).toHaveAttribute("data-status", "processing");
  await expect(read.getByRole("button", { name: "Pause" })).toBeVisible();

  await (await start()).getByRole("button", { name: "Delete workspace" }).click();
  await expect(card).toHaveAttribute("data-status", "deleting");
  await expect(banner).toContainText("This workspace is being deleted");
  // Its count moves; what is said aloud of it comes from the one place that says start, quarters and end.
  await expect(banner.locator('[role="status"]')).toHaveCount(0);
  await looks(page, "workspace-deleting");
  await expect(card).toHaveCount(0, { timeout: 60_000 });
  await expect(page.getByRole("heading", { name: "There is no such workspace" })).toBeVisible();
  for (const past of pasts) await expect(past.locator("[data-gone]")).toContainText("This workspace was deleted.");
  await expect(home.getByRole("navigation", { name: "Workspaces" }).getByText("My documents")).toHaveCount(0);
});
