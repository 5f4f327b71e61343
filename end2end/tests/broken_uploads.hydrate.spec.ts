// Uploads that break off: they go on from the last byte that the server has, by themselves where they can.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Locator, type Page, type Request, type Route } from "@playwright/test";
import { Server, expect, test } from "../fixtures";
import { allReady, live, openFirst, signUp, throttle } from "./support";

const PART = 4 * 1024 * 1024;
/** Two parts and a half, and little in them to work on. */
const LONG = "The first line of a long file.".padEnd(2.5 * PART, "\n");

const sending = (page: Page, name: string): Locator => page.locator(`[data-upload="${name}"]`);
const give = (page: Page, file: string) => page.locator("input[type=file]").first().setInputFiles(file);

/** Files on the disk, so that choosing one again brings the same. */
async function files(all: Record<string, string>): Promise<{ path: (name: string) => string; remove: () => Promise<void> }> {
  const dir = await mkdtemp(join(tmpdir(), "insighthub-files-"));
  for (const [name, content] of Object.entries(all)) await writeFile(join(dir, name), content);
  return { path: (name) => join(dir, name), remove: () => rm(dir, { recursive: true, force: true }) };
}

/** Where each part began that the page sent, and how far the server said that the file is. */
function parts(page: Page): { from: number; acknowledged: number }[] {
  const seen: { from: number; acknowledged: number }[] = [];
  let acknowledged = 0;
  const isPart = (request: Request) => request.method() === "PATCH" && request.url().includes("/api/uploads/");
  page.on("request", (request) => {
    if (isPart(request)) seen.push({ from: Number(request.headers()["upload-offset"]), acknowledged });
  });
  page.on("response", (response) => {
    const offset = response.headers()["upload-offset"];
    if (response.ok() && offset !== undefined) acknowledged = Math.max(acknowledged, Number(offset));
  });
  return seen;
}

/** The first part of so many files gets through, and with their second ones the line becomes so slow that these stay under way,
 * however long the test takes, until it is made fast again. Before, so many second ones arrive as something else. */
async function stall(page: Page, { files = 1, damaged = 0 } = {}): Promise<{ underWay: Promise<void>; fast: () => Promise<void> }> {
  const line = await throttle(page);
  await line.to(3_000_000);
  const held: Route[] = [];
  let damages = damaged;
  let told = () => {};
  const underWay = new Promise<void>((go) => (told = go));
  await page.route("**/api/uploads/*", async (route) => {
    const request = route.request();
    const isSecond = request.method() === "PATCH" && request.headers()["upload-offset"] === `${PART}`;
    if (!isSecond || held.length === files) return route.continue();
    if (damages-- > 0) return route.continue({ postData: Buffer.alloc(PART, "x") });
    held.push(route);
    if (held.length < files) return;
    await line.to(50_000);
    await Promise.all(held.map((one) => one.continue()));
    told();
  });
  return { underWay, fast: line.end };
}

async function only(page: Page, name: string): Promise<void> {
  const workspace = new URL(page.url()).pathname.split("/").pop();
  const list = await (await page.request.get(`/api/workspaces/${workspace}/documents`)).json();
  expect(list.items.map((d: { filename: string; size_bytes: number }) => [d.filename, d.size_bytes])).toEqual([[name, LONG.length]]);
}

test("a server that is killed in the middle of an upload gets the rest when it is back", async ({ page, complaints }) => {
  complaints.allow(/Failed to load resource|WebSocket|api\/status/);
  const server = await Server.make();
  const chosen = await files({ "long.txt": LONG });
  try {
    await server.start();
    await signUp(page, undefined, server.url);
    await openFirst(page);
    const sent = parts(page);
    const { underWay, fast } = await stall(page);
    await give(page, chosen.path("long.txt"));
    const row = sending(page, "long.txt");
    // The first part is there, the second under way.
    await underWay;
    expect(sent).toHaveLength(2);
    await server.kill();
    await expect(row).toContainText("Interrupted · 40 %");
    await expect(row).toContainText("Goes on by itself.");
    await fast();
    await server.start();
    await allReady(page, ["long.txt"]);
    expect(sent[0].from).toBe(0);
    for (const { from, acknowledged } of sent) expect(from, "no acknowledged byte is sent twice").toBe(acknowledged);
    await live(page);
    await page.goto("about:blank");
  } finally {
    await server.remove();
    await chosen.remove();
  }
});

test("after a reload a row asks for the file again, and only the rest is sent", async ({ page }) => {
  const chosen = await files({ "long.txt": LONG, "other.txt": "Another file." });
  try {
    await signUp(page);
    await openFirst(page);
    page.on("dialog", (dialog) => void dialog.accept());
    const sent = parts(page);
    const { underWay, fast } = await stall(page);
    await give(page, chosen.path("long.txt"));
    await underWay;
    expect(sent).toHaveLength(2);
    await page.reload();
    const row = sending(page, "long.txt");
    await expect(row).toContainText("Interrupted · 40 %");
    await expect(row).toContainText("Choose the file again.");
    await expect(page.locator(".doc-row[data-document-id]")).toHaveCount(0);
    const again = row.getByLabel("Choose long.txt again");
    await again.setInputFiles(chosen.path("other.txt"));
    await expect(row).toContainText("This is another file, or it was changed. Choose long.txt as it was.");
    await fast();
    await again.setInputFiles(chosen.path("long.txt"));
    await allReady(page, ["long.txt"]);
    expect(sent.map((part) => part.from)).toEqual([0, PART, PART, 2 * PART]);
    await only(page, "long.txt");
    // Nothing is left that another reload would bring back.
    await page.reload();
    await live(page);
    await expect(page.locator("[data-upload]")).toHaveCount(0);
    expect(await page.evaluate(() => sessionStorage.getItem("insighthub-uploads"))).toBeNull();
  } finally {
    await chosen.remove();
  }
});

test("after a reload the same file, added like any other, goes on as well, and one that is not wanted any more goes", async ({ page }) => {
  const chosen = await files({ "long.txt": LONG, "unwanted.txt": LONG });
  try {
    await signUp(page);
    await openFirst(page);
    page.on("dialog", (dialog) => void dialog.accept());
    const sent = parts(page);
    const { underWay, fast } = await stall(page, { files: 2 });
    await page.locator("input[type=file]").first().setInputFiles([chosen.path("long.txt"), chosen.path("unwanted.txt")]);
    await underWay;
    expect(sent).toHaveLength(4);
    await page.reload();
    for (const name of ["long.txt", "unwanted.txt"]) await expect(sending(page, name)).toContainText("Choose the file again.");
    await sending(page, "unwanted.txt").getByRole("button", { name: "Cancel upload" }).click();
    await expect(sending(page, "unwanted.txt")).toHaveCount(0);
    await fast();
    await give(page, chosen.path("long.txt"));
    await allReady(page, ["long.txt"]);
    await expect(page.locator("[data-upload]")).toHaveCount(0);
    await only(page, "long.txt");
    await page.reload();
    await live(page);
    await expect(page.locator("[data-upload]")).toHaveCount(0);
  } finally {
    await chosen.remove();
  }
});

test("an upload can be paused and resumed, and one that comes damaged is sent again", async ({ page, complaints }) => {
  complaints.allow(/status of 460/);
  const chosen = await files({ "long.txt": LONG });
  try {
    await signUp(page);
    await openFirst(page);
    const sent = parts(page);
    // The second part is another one on its way than it was.
    const { underWay, fast } = await stall(page, { damaged: 1 });
    await give(page, chosen.path("long.txt"));
    const row = sending(page, "long.txt");
    await underWay;
    expect(sent).toHaveLength(3);
    await row.getByRole("button", { name: "Pause upload" }).click();
    await expect(row).toContainText("Paused · 40 %");
    await expect(row).toHaveAttribute("data-status", "paused");
    await fast();
    await row.getByRole("button", { name: "Resume upload" }).click();
    await allReady(page, ["long.txt"]);
    expect(sent.map((part) => part.from)).toEqual([0, PART, PART, PART, 2 * PART]);
    await only(page, "long.txt");
  } finally {
    await chosen.remove();
  }
});
