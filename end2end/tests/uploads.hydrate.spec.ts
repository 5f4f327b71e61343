// Files on their way: what is refused before a byte is sent, how far the bytes are, and stopping them.
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { type Locator, type Page } from "@playwright/test";
import { type Server, expect, test } from "../fixtures";
import { allReady, openFirst, signUp } from "./support";

type Given = { name: string; mimeType: string; buffer: Buffer };

const text = (name: string, body: string): Given => ({ name, mimeType: "text/plain", buffer: Buffer.from(body) });
const give = (page: Page, files: Given[]) => page.locator("input[type=file]").first().setInputFiles(files);
const sending = (page: Page, name: string): Locator => page.locator(`[data-upload="${name}"]`);

/** Makes the line slow, in bytes a second. */
async function slow(page: Page, bytes: number): Promise<void> {
  const session = await page.context().newCDPSession(page);
  await session.send("Network.emulateNetworkConditions", {
    offline: false,
    latency: 0,
    downloadThroughput: -1,
    uploadThroughput: bytes,
  });
}

/** The files below the server's data folder, the database apart, that are larger than any other file of these tests. */
async function large(server: Server): Promise<string[]> {
  const all = await readdir(join(server.dir, "data"), { recursive: true, withFileTypes: true });
  const files = all.filter((e) => e.isFile() && !e.name.includes(".db")).map((e) => join(e.parentPath, e.name));
  const sizes = await Promise.all(files.map((file) => stat(file).then((s) => s.size, () => 0)));
  return files.filter((_, i) => sizes[i] > 20_000);
}

test("bad files of a batch are refused at their rows, unsent, and the others go on", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  const answers: Promise<{ documents: { filename: string }[]; rejected: unknown[] }>[] = [];
  page.on("response", (response) => {
    if (response.request().method() === "POST" && response.url().endsWith("/documents")) answers.push(response.json());
  });
  const png = Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), Buffer.alloc(64)]);
  await give(page, [
    text("good.txt", "Good files go on. ".repeat(20)),
    text("empty.txt", ""),
    { name: "picture.pdf", mimeType: "application/pdf", buffer: png },
    text("also-good.md", "# Notes\n\nA second file that is fine."),
  ]);
  await expect(sending(page, "empty.txt")).toContainText("The file is empty");
  await expect(sending(page, "picture.pdf")).toContainText("This is a PNG picture");
  await expect(sending(page, "picture.pdf")).toHaveAttribute("data-status", "failed");
  await allReady(page, ["good.txt", "also-good.md"]);
  // One request, and the server had nothing to refuse: what is of no use was not sent.
  const [answer, ...more] = await Promise.all(answers);
  expect(more).toEqual([]);
  expect(answer.documents.map((d) => d.filename)).toEqual(["good.txt", "also-good.md"]);
  expect(answer.rejected).toEqual([]);
  // What was refused stays to be read, until it is dismissed.
  await sending(page, "empty.txt").getByRole("button", { name: "Dismiss" }).click();
  await expect(sending(page, "empty.txt")).toHaveCount(0);
});

test("an upload shows its bytes, its speed and what is left, and stops when asked", async ({ page, server }) => {
  await signUp(page);
  await openFirst(page);
  const before = await large(server);
  await slow(page, 400_000);
  const story = { name: "large.txt", mimeType: "text/plain", buffer: Buffer.from("A line of a long story.\n".repeat(200_000)) };
  await give(page, [story, text("small.txt", "A small file in the same request. ".repeat(10))]);
  const row = sending(page, "large.txt");
  await expect(row).toContainText(/Uploading · [1-9]\d? %/);
  await expect(row).toContainText(/\d (kB|KB|MB)\/s · (about .*|a few seconds) left/);
  await expect(row).not.toContainText(/NaN|Infinity/);
  // Part of it lies on the server's disk, and goes when the upload stops.
  await expect.poll(async () => (await large(server)).length).toBe(before.length + 1);
  await row.getByRole("button", { name: "Cancel upload" }).click();
  await expect(row).toHaveCount(0, { timeout: 1_000 });
  // The other file of the request goes on without it.
  await allReady(page, ["small.txt"]);
  await expect(page.locator(".doc-row", { hasText: "large.txt" })).toHaveCount(0);
  const list = await page.request.get(`/api/workspaces/${new URL(page.url()).pathname.split("/").pop()}/documents`);
  expect((await list.json()).items.map((d: { filename: string }) => d.filename)).toEqual(["small.txt"]);
  expect(await large(server)).toEqual(before);
});
