// The first picture of the README, a real ingestion under way: `node picture.mjs http://127.0.0.1:3000`, against a running
// server. Somebody signs up, drops five files, and the picture is taken when two of them are ready.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { chromium } from "@playwright/test";
import { launchOptions } from "./chromium.mjs";

const [base = "http://127.0.0.1:3000", place = join(import.meta.dirname, "../docs/images/ingestion.png")] = process.argv.slice(2);
const documents = join(import.meta.dirname, "../crates/ingest/tests/documents");
const names = ["handbook.pdf", "how-it-works.pdf", "questions.html", "first-steps.md", "glossary.txt"];
const mark = Date.now().toString(36);
const person = {
  username: `ada-${mark}`,
  email: `ada-${mark}@example.com`,
  password: "Correct-horse-1",
  full_name: "Ada Reader",
};

const browser = await chromium.launch(launchOptions());
try {
  const context = await browser.newContext({ baseURL: base, viewport: { width: 1440, height: 900 }, locale: "en-GB" });
  const made = await context.request.post("/api/auth/signup", { data: person });
  if (made.status() !== 201) throw new Error(`sign-up answered ${made.status()}: ${await made.text()}`);
  const [workspace] = (await (await context.request.get("/api/workspaces")).json()).items;
  const page = await context.newPage();
  await page.goto(`/w/${workspace.id}`);
  await page.locator('html[data-hydrated][data-live="open"]').waitFor();

  const files = await Promise.all(
    names.map(async (name) => ({ name, bytes: (await readFile(join(documents, name))).toString("base64") })),
  );
  const data = await page.evaluateHandle((list) => {
    const transfer = new DataTransfer();
    for (const { name, bytes } of list) {
      transfer.items.add(new File([Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0))], name));
    }
    return transfer;
  }, files);
  await page.dispatchEvent("body", "drop", { dataTransfer: data });
  await page.waitForFunction(() => {
    const inState = (state) => document.querySelectorAll(`.doc-row[data-document-id][data-status="${state}"]`).length;
    return inState("ready") >= 2 && inState("processing") >= 1;
  });
  await page.screenshot({ path: place });
  console.log(`the picture is ${place}`);
} finally {
  await browser.close();
}
