// Files on their way: what is refused before a byte is sent, how far the bytes are, and stopping them.
import { mkdir, mkdtemp, open, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Locator, type Page } from "@playwright/test";
import { Server, expect, person, test } from "../fixtures";
import { allReady, lost, openFirst, path, signUp, slow, upload } from "./support";

type Given = { name: string; mimeType: string; buffer: Buffer };

const text = (name: string, body: string): Given => ({ name, mimeType: "text/plain", buffer: Buffer.from(body) });
const give = (page: Page, files: Given[]) => page.locator("input[type=file]").first().setInputFiles(files);
const sending = (page: Page, name: string): Locator => page.locator(`[data-upload="${name}"]`);

/** How many files the page sends from now on, and at most how many at once: as the page itself has it, since the browser
 * may tell of a request that was given up after the one that took its place. */
async function sendings(page: Page): Promise<() => Promise<{ all: number; most: number }>> {
  const seen = await page.evaluateHandle(() => {
    const seen = { all: 0, most: 0 };
    let now = 0;
    const { open, send } = XMLHttpRequest.prototype;
    const files = new WeakSet<XMLHttpRequest>();
    XMLHttpRequest.prototype.open = function (this: XMLHttpRequest, method: string, url: string) {
      // Each file of these tests is a part of its own.
      if (method.toUpperCase() === "PATCH" && url.includes("/api/uploads/")) {
        files.add(this);
        // Before the page's own listener, which may begin the next one.
        this.addEventListener("loadend", () => (now -= 1));
      }
      return open.call(this, method, url, true);
    };
    XMLHttpRequest.prototype.send = function (body) {
      if (files.has(this)) {
        seen.all += 1;
        now += 1;
        seen.most = Math.max(seen.most, now);
      }
      return send.call(this, body);
    };
    return seen;
  });
  return () => seen.jsonValue();
}

/** How many files below the server's data folder, the database apart, are of that beginning and larger than so many bytes. Not
 * a number when a folder went while it was being read: it is to be looked at once more. */
async function lying(server: Server, beginning: string, bytes: number): Promise<number> {
  const all = await readdir(join(server.dir, "data"), { recursive: true, withFileTypes: true }).catch(() => null);
  if (!all) return NaN;
  const files = all.filter((e) => e.isFile() && !e.name.includes(".db")).map((e) => join(e.parentPath, e.name));
  const isIt = async (path: string): Promise<boolean> => {
    // It may be gone by now.
    const file = await open(path).catch(() => null);
    if (!file) return false;
    try {
      const head = await file.read(Buffer.alloc(beginning.length), 0, beginning.length, 0);
      return head.buffer.toString() === beginning && (await file.stat()).size > bytes;
    } finally {
      await file.close();
    }
  };
  return (await Promise.all(files.map(isIt))).filter(Boolean).length;
}

test("bad files of a batch are refused at their rows, unsent, and the others go on", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  const sent = await sendings(page);
  const answers: Promise<{ documents: { filename: string; document_id: string }[]; rejected: unknown[] }>[] = [];
  page.on("response", (response) => {
    if (response.request().method() === "POST" && response.url().endsWith("/documents")) answers.push(response.json());
  });
  const png = Buffer.concat([Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]), Buffer.alloc(64)]);
  await give(page, [
    text("good.txt", "Good files go on. ".repeat(20)),
    text("empty.txt", ""),
    { name: "picture.pdf", mimeType: "application/pdf", buffer: png },
    // Named as something else than it is, which is told by its content.
    { name: "guide.txt", mimeType: "text/plain", buffer: await readFile(path("how-it-works.pdf")) },
    text("also-good.md", "# Notes\n\nA second file that is fine."),
  ]);
  await expect(sending(page, "empty.txt")).toContainText("The file is empty");
  await expect(sending(page, "picture.pdf")).toContainText(
    /This is a PNG picture\. Files that are taken: PDF, DOCX, TXT, .* and JSON\./,
  );
  await expect(sending(page, "picture.pdf")).toHaveAttribute("data-status", "failed");
  await allReady(page, ["good.txt", "guide.txt", "also-good.md"]);
  // One job, and the server had nothing to refuse: what is of no use was not sent.
  expect((await sent()).all).toBe(3);
  // The live link may have told of the documents before the answer about them came.
  await expect.poll(() => answers.length).toBeGreaterThan(0);
  const [answer, ...more] = await Promise.all(answers);
  expect(more).toEqual([]);
  expect(answer.documents.map((d) => d.filename)).toEqual(["good.txt", "guide.txt", "also-good.md"]);
  expect(answer.rejected).toEqual([]);
  const guide = await (await page.request.get(`/api/documents/${answer.documents[1].document_id}`)).json();
  expect(guide.mime_type).toBe("application/pdf");
  // What was refused stays to be read, until it is dismissed.
  await sending(page, "empty.txt").getByRole("button", { name: "Dismiss" }).click();
  await expect(sending(page, "empty.txt")).toHaveCount(0);
});

test("fifty files and a bad one have their rows at once, and the fifty become ready", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  const names = Array.from({ length: 50 }, (_, n) => `note-${n}.txt`);
  const files = names.map((name, n) => text(name, `Note ${n}: the harbour opens at six.`));
  const rows = page.locator(".doc-row:not(.doc-head)");
  await expect(rows).toHaveCount(0);
  // The line is held, so that what is there does not come from the server.
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/api/uploads", async (route) => {
    await held;
    await route.continue();
  });
  const given = Date.now();
  await give(page, [...files.slice(0, 25), text("empty.txt", ""), ...files.slice(25)]);
  await expect(rows).toHaveCount(51);
  console.log(`D1: 51 rows ${Date.now() - given} ms after the files were given`);
  await expect(sending(page, "empty.txt")).toContainText("The file is empty");
  for (const name of names) await expect(sending(page, name)).toHaveAttribute("data-status", /^(pending|processing)$/);
  release();
  await expect(page.locator('.doc-row[data-document-id][data-status="ready"]')).toHaveCount(50, { timeout: 180_000 });
  await expect(sending(page, "empty.txt")).toHaveAttribute("data-status", "failed");
  await expect(rows).toHaveCount(51);
});

test("a file over the limit is refused at its row, unsent, with the limit named, and the others go on", async ({ page }) => {
  const server = await Server.make({ INSIGHTHUB_MAX_FILE_BYTES: `${1 << 20}` });
  try {
    await server.start();
    await signUp(page, undefined, server.url);
    await openFirst(page);
    const sent = await sendings(page);
    await give(page, [text("large.txt", "x".repeat((1 << 20) + 1)), text("small.txt", "A small file. ".repeat(10))]);
    await expect(sending(page, "large.txt")).toContainText("The file is larger than 1 MB.");
    await expect(sending(page, "large.txt")).toHaveAttribute("data-status", "failed");
    await allReady(page, ["small.txt"]);
    expect((await sent()).all).toBe(1);
    // The page gives its stream up before the server ends.
    await page.goto("about:blank");
  } finally {
    await server.remove();
  }
});

test("an upload shows its bytes, its speed and what is left, and stops when asked", async ({ page, server }) => {
  await signUp(page);
  await openFirst(page);
  // Known by its first words: other tests have files on this server as well.
  const line = `A line of the story of ${person().username}.\n`;
  const onDisk = () => lying(server, line, 20_000);
  // It would take more than a minute.
  await slow(page, 60_000);
  const story = { name: "large.txt", mimeType: "text/plain", buffer: Buffer.from(line.repeat(120_000)) };
  await give(page, [story, text("small.txt", "A small file of the same job. ".repeat(10))]);
  const row = sending(page, "large.txt");
  await expect(row).toContainText(/Uploading · [1-9]\d? %/);
  await expect(row).toContainText(/\d (kB|KB|MB)\/s · (about .*|a few seconds) left/);
  await expect(row).not.toContainText(/NaN|Infinity/);
  // Part of it lies on the server's disk, and goes when the upload stops.
  await expect.poll(onDisk).toBe(1);
  const asked = Date.now();
  const took = () => Date.now() - asked;
  await row.getByRole("button", { name: "Cancel upload" }).click();
  // Long before it would have come to its end: at the row, and on the disk.
  const [shown, stored] = await Promise.all([
    expect(row).toHaveCount(0).then(took),
    expect.poll(onDisk, { intervals: [50] }).toBe(0).then(took),
  ]);
  console.log(`D10: the upload was gone from the page after ${shown} ms, and from the disk after ${stored} ms`);
  // The other file of the job goes on without it.
  await allReady(page, ["small.txt"]);
  await expect(page.locator(".doc-row", { hasText: "large.txt" })).toHaveCount(0);
  const list = await page.request.get(`/api/workspaces/${new URL(page.url()).pathname.split("/").pop()}/documents`);
  expect((await list.json()).items.map((d: { filename: string }) => d.filename)).toEqual(["small.txt"]);
  await expect.poll(onDisk).toBe(0);
});

for (const width of [390, 1440]) {
  test(`at ${width} px the rows of files on their way show all of it, and nothing stands out`, async ({ page }) => {
    await page.setViewportSize({ width, height: 900 });
    await signUp(page);
    const workspace = await openFirst(page);
    await upload(page.request, workspace, ["glossary.txt"]);
    await allReady(page, ["glossary.txt"]);
    await slow(page, 60_000);
    const story = "A line of a long story.\n".repeat(200_000);
    const name = "a-report-with-a-rather-long-name-of-the-year-2025-final-version-2.txt";
    await give(page, [text(name, story), text("two.txt", story), text("three.txt", story), text("four.txt", story), text("empty.txt", "")]);
    const going = [name, "two.txt", "three.txt"].map((name) => sending(page, name));
    for (const row of going) {
      await expect(row).toContainText(/Uploading · [1-9]\d? %/);
      await expect(row.locator(".doc-message")).toHaveText(/^\d+ kB\/s · (about .*|a few seconds) left$/);
      await expect.poll(() => row.locator("progress").evaluate((bar: HTMLProgressElement) => bar.value)).toBeGreaterThan(0);
      await expect(row.locator("progress")).toHaveCSS("opacity", "1");
      await expect(row.getByRole("button", { name: "Cancel upload" })).toBeVisible();
      await expect(row.locator(".doc-size")).toHaveText("4.8 MB");
    }
    await expect(sending(page, "four.txt").locator(".doc-message")).toHaveText("3 files before this one");
    await expect(sending(page, "empty.txt").locator(".doc-message")).toHaveText("The file is empty.");
    expect(await lost(page)).toEqual({ wide: 0, out: [] });
    // Whole, and not with an end that is left out; and all rows are as high as those of documents.
    const rows = page.locator(".doc-row:not(.doc-head)");
    const cut = () => rows.locator(".doc-message").evaluateAll((all) => all.filter((e) => e.scrollWidth > e.clientWidth).map((e) => e.textContent));
    expect(await cut()).toEqual([]);
    const heights = await rows.evaluateAll((all) => all.map((row) => row.getBoundingClientRect().height));
    expect(heights).toHaveLength(6);
    expect(new Set(heights).size, heights.join(", ")).toBe(1);
    // What is cancelled goes, and the one that waited takes its place.
    await going[0].getByRole("button", { name: "Cancel upload" }).click();
    await expect(going[0]).toHaveCount(0);
    await expect(sending(page, "four.txt")).toContainText("Uploading");
    for (const row of ["two.txt", "three.txt", "four.txt"]) await sending(page, row).getByRole("button", { name: "Cancel upload" }).click();
    await expect(page.locator("[data-upload]")).toHaveCount(1);
  });
}

test("three files go at a time, the others know their places, and taking one back sends no other again", async ({ page }) => {
  await signUp(page);
  const workspace = await openFirst(page);
  const sent = await sendings(page);
  // The first three would take more than a minute.
  const fast = await slow(page, 20_000);
  const names = [1, 2, 3, 4, 5, 6].map((n) => `part-${n}.txt`);
  await give(
    page,
    // Much to send, and little to embed.
    names.map((name) => text(name, `A line of ${name}.${"\n".repeat(500_000)}`)),
  );
  const [first, second, , fourth, fifth, sixth] = names.map((name) => sending(page, name));
  await expect(second).toContainText("Uploading");
  for (const [row, before] of [[fourth, 3], [fifth, 4], [sixth, 5]] as const) {
    await expect(row).toHaveAttribute("data-status", "pending");
    await expect(row).toContainText("Waiting");
    await expect(row).toContainText(`${before} files before this one`);
    await expect(row).not.toContainText("Uploading");
  }
  // With the keyboard, as everything.
  await fourth.getByRole("button", { name: "Cancel upload" }).press("Enter");
  await expect(fourth).toHaveCount(0);
  await expect(fifth).toContainText("3 files before this one");
  await expect(sixth).toContainText("4 files before this one");
  // The place of one that was under way goes to the next.
  await expect(first).toContainText("Uploading");
  await first.getByRole("button", { name: "Cancel upload" }).click();
  await expect(fifth).toContainText("Uploading");
  await expect(sixth).toContainText("3 files before this one");
  await fast();
  const left = names.filter((_, i) => i !== 0 && i !== 3);
  await allReady(page, left);
  expect(await sent()).toEqual({ all: 5, most: 3 });
  const list = await (await page.request.get(`/api/workspaces/${workspace}/documents`)).json();
  expect(list.items.map((d: { filename: string }) => d.filename).sort()).toEqual(left);
  // All that was added together is one job.
  const jobs = await (await page.request.get("/api/jobs")).json();
  expect(jobs.items.map((j: { metrics: { documents_total: number } }) => j.metrics.documents_total)).toEqual([4]);
});

test("files that did not get through go again with one click, and none twice", async ({ page, complaints }) => {
  complaints.allow(/Failed to load resource/);
  await signUp(page);
  const workspace = await openFirst(page);
  await page.route("**/api/uploads", (route) => route.abort("connectionreset"));
  await give(page, [text("one.txt", "The first file. ".repeat(20)), text("two.txt", "The second file. ".repeat(20))]);
  for (const name of ["one.txt", "two.txt"]) await expect(sending(page, name)).toContainText("Not uploaded");
  // The files come, and the answer about their job does not.
  await page.unroute("**/api/uploads");
  await page.route("**/api/workspaces/*/documents", async (route) => {
    await route.fetch();
    await route.abort("connectionreset");
  }, { times: 1 });
  await sending(page, "one.txt").getByRole("button", { name: "Try again" }).press("Enter");
  await allReady(page, ["one.txt", "two.txt"]);
  await expect(page.locator("[data-upload]")).toHaveCount(0);
  const list = await (await page.request.get(`/api/workspaces/${workspace}/documents`)).json();
  expect(list.items).toHaveLength(2);
});

/** A tree of names: a text is a file, null a folder that cannot be read. */
type Tree = { [name: string]: string | Tree | null };

/** Drops it as a person would: a browser hands folders out only to a real hand, so what it would hand out is made here. */
async function dropTree(page: Page, tree: Tree): Promise<void> {
  await page.evaluate((tree) => {
    type Failed = (error: Error) => void;
    const file = (name: string, text: string) => new File([text], name);
    const entry = (name: string, inner: unknown): object => {
      if (typeof inner === "string") {
        return { name, isDirectory: false, isFile: true, file: (done: (file: File) => void) => done(file(name, inner)) };
      }
      // Told in parts, the last of which is empty.
      const left = Object.entries(inner ?? {}).map(([name, inner]) => entry(name, inner));
      const readEntries = (done: (part: object[]) => void, failed: Failed) =>
        inner === null ? failed(new Error("NotReadableError")) : done(left.splice(0, 2));
      return { name, isDirectory: true, isFile: false, createReader: () => ({ readEntries }) };
    };
    const items = Object.entries(tree).map(([name, inner]) => ({
      kind: "file",
      webkitGetAsEntry: () => entry(name, inner),
      getAsFile: () => (typeof inner === "string" ? file(name, inner) : null),
    }));
    const event = new DragEvent("drop", { bubbles: true, cancelable: true });
    Object.defineProperty(event, "dataTransfer", { value: { types: ["Files"], items } });
    document.body.dispatchEvent(event);
  }, tree);
}

test("of a dropped folder every file has its row, and what is of no use does not stop the others", async ({ page }) => {
  await signUp(page);
  const workspace = await openFirst(page);
  await dropTree(page, {
    "beside.txt": "A file beside the folder.",
    notes: {
      "one.txt": "The first note.",
      "two.md": "# Two\n\nThe second note.",
      "program.txt": "\u007fELF\u0002\u0001\u0001\u0000\u0000\u0000",
      deeper: { "three.txt": "The third note.", deepest: { "four.txt": "The fourth note." } },
      locked: null,
    },
    empty: {},
  });
  await expect(sending(page, "program.txt")).toContainText("Not taken");
  await expect(sending(page, "locked")).toContainText("This folder could not be read.");
  await expect(sending(page, "empty")).toContainText("There is no file in this folder.");
  const names = ["beside.txt", "one.txt", "two.md", "three.txt", "four.txt"];
  await allReady(page, names);
  const list = await (await page.request.get(`/api/workspaces/${workspace}/documents`)).json();
  expect(list.items.map((d: { filename: string }) => d.filename).sort()).toEqual([...names].sort());
  const jobs = await (await page.request.get("/api/jobs")).json();
  expect(jobs.items).toHaveLength(1);
});

test("a folder can be picked as well", async ({ page }) => {
  const folder = await mkdtemp(join(tmpdir(), "insighthub-folder-"));
  try {
    await mkdir(join(folder, "deeper"));
    await writeFile(join(folder, "one.txt"), "The first note.");
    await writeFile(join(folder, "deeper", "two.txt"), "The second note.");
    await writeFile(join(folder, "picture.png"), Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0, 0]));
    await signUp(page);
    await openFirst(page);
    const chooser = page.waitForEvent("filechooser");
    await page.getByText("Add folder").first().click();
    await (await chooser).setFiles(folder);
    await allReady(page, ["one.txt", "two.txt"]);
    await expect(sending(page, "picture.png")).toContainText("This is a PNG picture");
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
