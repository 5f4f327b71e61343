// Passages are looked at one by one and changed, and the retrieval of a workspace is tried with questions.
import { type Page } from "@playwright/test";
import { expect, test } from "../fixtures";
import { live, more, openFirst, signUp } from "./support";

const TEXT = `# Pumps

The Aurora 300 was built by Norvik Marine and moves three hundred cubic metres an hour. It stands below the water line.

# Firm

Norvik Marine was founded by Ada Lindqvist in Bergen a long time ago. She began with nine people and a shed.

# Food

On Thursdays there is fish in the canteen, fresh from the auction of the same morning.
`;

/** A first workspace whose passages are short, with the text above in it; answers the ids of both. */
async function library(page: Page): Promise<{ workspace: string; document: string }> {
  const [first] = (await (await page.request.get("/api/workspaces")).json()).items;
  const config = { retriever_type: "hybrid", chunking_strategy: "markdown", chunk_size: 150, chunk_overlap: 20 };
  const headers = { origin: new URL(page.url()).origin };
  const saved = await page.request.put(`/api/workspaces/${first.id}/rag-config`, { data: config, headers });
  expect(saved.status(), await saved.text()).toBe(200);
  const files = { file: { name: "pumps.md", mimeType: "text/markdown", buffer: Buffer.from(TEXT) } };
  const sent = await page.request.post(`/api/workspaces/${first.id}/documents`, { multipart: files, headers });
  const document = (await sent.json()).documents[0].document_id;
  await expect
    .poll(async () => (await (await page.request.get(`/api/documents/${document}`)).json()).status, { timeout: 120_000 })
    .toBe("ready");
  return { workspace: first.id, document };
}

test("a question is tried with other settings and kept as a test case", async ({ page }) => {
  await signUp(page);
  const { workspace } = await library(page);
  await page.goto("/");
  await openFirst(page);
  await more(page, "Retrieval test");
  await expect(page.getByRole("heading", { level: 1, name: "Retrieval test" })).toBeVisible();
  await page.getByLabel("Question").fill("Who founded Norvik Marine?");
  await page.getByRole("button", { name: "Try", exact: true }).click();
  const first = page.locator("tr[data-chunk-id]").first();
  await expect(first).toContainText("founded by Ada");
  const heads = page.locator(".tryout-table").first().locator("thead th");
  await expect(heads).toContainText(["Rank", "Passage", "Vector", "Keyword", "Fused", "Test case"]);
  // Each choice has its columns, and saves nothing.
  await page.getByLabel("Retriever").selectOption("vector");
  await page.getByLabel("Rerank").selectOption("bm25");
  await page.getByRole("button", { name: "Try", exact: true }).click();
  await expect(heads).toContainText(["Rank", "Passage", "Vector", "Rerank", "Test case"]);
  await expect(page.getByText("Saved for this workspace: hybrid")).toBeVisible();
  await first.getByRole("button", { name: "Save as test case" }).click();
  await expect(page.locator("tr[data-case-id]")).toHaveCount(1);
  // With what stands in the form, tried or not.
  await page.getByLabel("Retriever").selectOption("keyword");
  await page.getByRole("button", { name: "Run all" }).click();
  await expect(page.locator("[data-verdict]")).toContainText("1 of 1 passed");
  await expect(page).toHaveURL(/retriever=keyword/);
  await expect(page.locator('[data-passed="true"]')).toHaveText("Found at rank 1");
  await page.locator("tr[data-case-id]").getByRole("button", { name: "Delete" }).click();
  await expect(page.locator("tr[data-case-id]")).toHaveCount(0);
  expect((await (await page.request.get(`/api/workspaces/${workspace}/rag-config`)).json()).retriever_type).toBe("hybrid");
});

test("a passage is found in its document, shown in the text, changed and switched off", async ({ page }) => {
  await signUp(page);
  const { workspace, document } = await library(page);
  await page.goto(`/d/${document}`);
  await live(page);
  const chunks = page.locator(".hit[data-chunk-id]");
  await expect(chunks).toHaveCount(3);
  await page.goto(`/d/${document}`);
  await live(page);
  await chunks.filter({ hasText: "fish" }).getByRole("link", { name: /Inspect/ }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Passage 3 of pumps.md" })).toBeVisible();
  await expect(page.locator(".source mark")).toContainText("On Thursdays there is fish");
  await expect(page.locator(".source")).toContainText("founded by Ada Lindqvist");
  await page.getByRole("link", { name: "Previous" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Passage 2 of pumps.md" })).toBeVisible();
  await page.getByRole("link", { name: "Next" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Passage 3 of pumps.md" })).toBeVisible();

  const found = async (words: string) => {
    const address = `/api/workspaces/${workspace}/search?retriever_type=keyword&q=${words}`;
    return (await (await page.request.get(address)).json()).items.length;
  };
  await page.getByLabel("Words", { exact: true }).fill("On Fridays there is soup.");
  await page.getByRole("button", { name: "Save and embed" }).click();
  await expect(page.getByText(/edited/)).toBeVisible();
  expect(await found("soup")).toBe(1);
  await expect(page.locator(".source mark")).toContainText("fish");
  await page.getByRole("button", { name: "Disable" }).click();
  await expect(page.getByText("It is disabled")).toBeVisible();
  expect(await found("soup")).toBe(0);
  await page.getByRole("button", { name: "Enable" }).click();
  await expect(page.getByRole("button", { name: "Disable" })).toBeVisible();
  expect(await found("soup")).toBe(1);
  const embedded = page.waitForResponse((answer) => answer.url().includes("/_fn/documents/embed_passage"));
  await page.getByRole("button", { name: "Re-embed" }).click();
  expect((await embedded).status()).toBe(200);
  await expect(page.getByRole("button", { name: "Re-embed" })).toBeEnabled();
  await expect(page.locator(".deed-note")).toHaveCount(0);
});

test("a passage that is changed elsewhere is shown with its new words where its document is open", async ({ page }) => {
  await signUp(page);
  const { document } = await library(page);
  await page.goto(`/d/${document}`);
  await live(page);
  const chunk = page.locator(".hit[data-chunk-id]").filter({ hasText: "fish" });
  const id = await chunk.getAttribute("data-chunk-id");
  const changed = await page.request.patch(`/api/documents/${document}/chunks/${id}`, {
    data: { text: "On Fridays there is soup." },
  });
  expect(changed.status(), await changed.text()).toBe(200);
  const shown = page.locator(`.hit[data-chunk-id="${id}"]`);
  await expect(shown).toContainText("On Fridays there is soup.");
  await expect(shown).toContainText("edited");
  await expect(page.locator(".hit[data-chunk-id]")).toHaveCount(3);
});
