// Files that a workspace has already: one question for all of them, and its three answers.
import { type Page } from "@playwright/test";
import { expect, test } from "../fixtures";
import { allReady, external, live, looks, openFirst, row, signUp } from "./support";

type Given = { name: string; mimeType: string; buffer: Buffer };

const text = (name: string, body: string): Given => ({ name, mimeType: "text/plain", buffer: Buffer.from(body) });
const give = (page: Page, files: Given[]) => page.locator("input[type=file]").first().setInputFiles(files);
const question = (page: Page) => page.getByRole("dialog", { name: "Some of this is here already" });
const documents = (page: Page) => page.locator(".doc-row[data-document-id]");

test("one question stands for a whole batch, and what is new goes meanwhile", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  await give(page, [text("a.txt", "A lantern on the bridge."), text("b.txt", "A ledger of amber coins.")]);
  await allReady(page, ["a.txt", "b.txt"]);
  await expect(question(page)).toBeHidden();

  await give(page, [
    text("a.txt", "A lantern on the bridge."),
    text("copy.txt", "A lantern on the bridge."),
    text("b.txt", "Another ledger."),
    text("new.txt", "Gulls slept upon quiet stones."),
  ]);
  await expect(question(page)).toBeVisible();
  await expect(question(page)).toContainText("The workspace has 3 of 4 files already.");
  await expect(question(page)).toContainText("For all 3 files:");
  await expect(question(page).getByRole("listitem")).toHaveText([
    /a\.txt\s+the very same file/,
    /copy\.txt\s+the same as a\.txt/,
    /b\.txt\s+another file of this name/,
  ]);
  // The answer that changes nothing has the focus.
  await expect(question(page).getByRole("button", { name: "Skip" })).toBeFocused();
  await looks(page, "doubled");
  await page.keyboard.press("Enter");
  await expect(question(page)).toBeHidden();
  await allReady(page, ["new.txt"]);
  await expect(documents(page)).toHaveCount(3);
  await expect(page.locator("[data-upload]")).toHaveCount(0);
});

test("replaced, a document gets its next version, and the one before stays at hand", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  await give(page, [text("a.txt", "A lantern on the bridge.")]);
  await allReady(page, ["a.txt"]);
  await give(page, [text("a.txt", "A zeppelin over the harbour.")]);
  await expect(question(page)).toContainText("The workspace has this file already.");
  await question(page).getByRole("button", { name: "Replace" }).click();
  await expect(page.locator("[data-upload]")).toHaveCount(0);
  await row(page, "a.txt").getByRole("link").click();
  await expect(page.getByRole("heading", { level: 1, name: "a.txt" })).toBeVisible();
  const versions = page.locator("details[data-versions]");
  await expect(versions).toBeVisible();
  await versions.getByText("Versions").click();
  await expect(versions.locator("[data-version]")).toHaveCount(2);
  await expect(versions.locator('[data-version="2"]')).toHaveAttribute("data-state", "current");
  await expect(versions.locator('[data-version="1"]')).toHaveAttribute("data-state", "replaced");
  const preview = page.locator("details[data-preview]");
  await versions.locator('[data-version="1"]').getByRole("button", { name: "Preview" }).click();
  await expect(preview.locator(".preview")).toHaveText("A lantern on the bridge.");
  await expect(preview).toContainText("This is version 1.");
  await versions.locator('[data-version="2"]').getByRole("button", { name: "Preview" }).click();
  await expect(preview.locator(".preview")).toHaveText("A zeppelin over the harbour.");
  await looks(page, "versions");
  await page.goBack();
  await live(page);
  await expect(documents(page)).toHaveCount(1);
});

test("kept both, the same file is there twice; nothing is asked when nothing is doubled", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  await give(page, [text("a.txt", "A lantern on the bridge.")]);
  await allReady(page, ["a.txt"]);
  await give(page, [text("a.txt", "A lantern on the bridge.")]);
  await question(page).getByRole("button", { name: "Keep both" }).click();
  await expect(page.locator('.doc-row[data-document-id][data-status="ready"]')).toHaveCount(2, { timeout: 120_000 });
  // Escape skips.
  await give(page, [text("b.txt", "A lantern on the bridge.")]);
  await expect(question(page)).toContainText("the same as a.txt");
  await page.keyboard.press("Escape");
  await expect(page.locator("[data-upload]")).toHaveCount(0);
  await give(page, [text("c.txt", "Merchants counted amber coins.")]);
  await allReady(page, ["c.txt"]);
  await expect(question(page)).toBeHidden();
  await expect(documents(page)).toHaveCount(3);
});

test("a document is renamed, tagged, disabled and enabled again, in every tab at once", async ({ page, complaints }) => {
  // What is refused is told in the dialog.
  complaints.allow(/422 .*documents\/edit/);
  await signUp(page);
  const workspace = await openFirst(page);
  await give(page, [text("a.txt", "A lantern on the bridge."), text("b.txt", "A lantern in the harbour.")]);
  await allReady(page, ["a.txt", "b.txt"]);
  const other = await page.context().newPage();
  await other.goto(`/w/${workspace}`);
  await live(other);
  await row(page, "a.txt").getByRole("link").click();
  await page.getByRole("link", { name: "Name and tags" }).click();
  const dialog = page.getByRole("dialog", { name: "Name and tags" });
  await dialog.getByLabel("Tags").fill("a?b");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog).toContainText("A tag has letters, digits");
  await dialog.getByLabel("Name").fill("Lanterns");
  await dialog.getByLabel("Tags").fill("Night, bridges");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole("heading", { level: 1 })).toContainText("Lanterns");
  await expect(page.getByRole("list", { name: "Tags" })).toHaveText("bridgesnight");
  await expect(row(other, "Lanterns")).toBeVisible();
  await page.getByRole("button", { name: "Disable" }).click();
  await expect(row(other, "Lanterns")).toHaveAttribute("data-status", "disabled");
  await expect(page.getByText("No search finds it until you enable it.")).toBeVisible();
  await looks(page, "about");
  const found = await (await page.request.get(`/api/workspaces/${workspace}/search?q=lantern`)).json();
  expect(found.items.map((hit: { document: { filename: string } }) => hit.document.filename)).toEqual(["b.txt"]);
  await page.getByRole("button", { name: "Enable" }).click();
  await expect(row(other, "Lanterns")).toHaveAttribute("data-status", "ready");
  await page.getByRole("list", { name: "Tags" }).getByRole("link", { name: "night" }).click();
  await expect(page.locator("[data-tag-filter]")).toContainText("night");
  await expect(documents(page)).toHaveCount(1);
  await page.getByRole("link", { name: "Show all" }).click();
  await expect(documents(page)).toHaveCount(2);
  // Many at once.
  await page.getByRole("checkbox", { name: "Select all documents" }).check();
  const bar = page.getByRole("group", { name: "Selected documents" });
  await bar.getByRole("button", { name: "Disable" }).click();
  for (const name of ["Lanterns", "b.txt"]) await expect(row(page, name)).toHaveAttribute("data-status", "disabled");
  // They are selected no more, or the next click would take them out.
  await expect(bar).toHaveCount(0);
  await looks(page, "disabled");
  await page.getByRole("checkbox", { name: "Select all documents" }).check();
  await bar.getByRole("button", { name: "Tag…" }).click();
  const tags = page.getByRole("dialog", { name: "Tag these documents" });
  await tags.getByLabel("Tag").fill("old");
  await tags.getByRole("button", { name: "Add tag" }).click();
  await expect(page.locator("[data-bulk]")).toContainText("2 tagged");
});

test("a tag is looked for in all of a long list, and where there is none it is said", async ({ page }) => {
  await signUp(page);
  const place = await external(page.request);
  const [first] = await place.add(["oldest.txt"]);
  for (let part = 0; part < 9; part++) await place.add(Array.from({ length: 50 }, (_, n) => `scan-${part}-${n}.txt`));
  const tagged = await page.request.patch(`/api/documents/${first}`, { data: { tags: ["found"] } });
  expect(tagged.status(), await tagged.text()).toBe(200);
  await page.goto(`/w/${place.id}?tag=found`);
  await live(page);
  await expect(row(page, "oldest.txt")).toBeVisible();
  await expect(documents(page)).toHaveCount(1);
  await page.goto(`/w/${place.id}?tag=nowhere`);
  await expect(page.getByText("No document has this tag.")).toBeVisible();
  await looks(page, "tag-nowhere");
});

test("the head of a workspace fits on one line", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  await page.setViewportSize({ width: 1440, height: 900 });
  const tops = await page
    .locator(".page-actions")
    .first()
    .locator(":scope > *, .picker > label")
    .evaluateAll((all) => all.filter((e) => e.getBoundingClientRect().height > 0).map((e) => e.getBoundingClientRect().bottom));
  expect(Math.max(...tops) - Math.min(...tops)).toBeLessThan(8);
  await page.locator(".page-actions").first().locator("details.menu > summary").click();
  await expect(page.getByRole("link", { name: "Analytics" })).toBeVisible();
  await looks(page, "head");
});
