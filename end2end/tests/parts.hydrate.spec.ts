// The browser's half comes in parts: a page brings what it needs and no more, and what cannot be fetched says so.
import type { Page } from "@playwright/test";
import { expect, hydrated, test } from "../fixtures";
import { countLoads, external, firstWorkspace, live, signUp } from "./support";

/** The parts that the browser fetched, by the names of their pages; one name for each request. */
function fetched(page: Page): string[] {
  const names: string[] = [];
  page.on("request", (request) => {
    const name = /\/split_([a-z]+)\.[0-9a-f]+\.wasm$/.exec(request.url())?.[1];
    if (name) names.push(name);
  });
  return names;
}

const toSettings = async (page: Page) => {
  await page.getByLabel("Account").click();
  await page.getByRole("link", { name: "Settings" }).click();
};

test("a page brings its own part, told by its head, and the next page's comes on the way there", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const addresses = {
    home: "/",
    workspace: `/w/${workspace}`,
    rag: `/w/${workspace}/rag`,
    settings: "/settings/profile",
  };
  for (const [name, address] of Object.entries(addresses)) {
    const html = await (await page.request.get(address)).text();
    const links = html.match(/<link [^>]*rel="preload"[^>]*>/g) ?? [];
    const early = links.flatMap((link) => /\/split_([a-z]+)\.[0-9a-f]+\.wasm"/.exec(link)?.[1] ?? []);
    expect(early, address).toEqual([name]);
  }
  const loads = countLoads(page);
  const names = fetched(page);
  await page.goto("/");
  await hydrated(page);
  expect(names).toEqual(["home"]);
  await toSettings(page);
  await expect(page.getByRole("heading", { name: "Settings" })).toBeVisible();
  await expect(page.getByLabel("Full name")).toBeVisible();
  await page.getByRole("link", { name: "RAG config" }).click();
  await expect(page.getByRole("textbox", { name: "Chunk size" })).toBeVisible();
  await page.getByRole("link", { name: "Sessions" }).click();
  await expect(page.getByText("This browser")).toBeVisible();
  expect(names).toEqual(["home", "settings", "rag"]);
  expect(loads()).toBe(1);
});

test("a part that comes late holds nothing but its page up", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  let release = () => {};
  const hold = () => new Promise<void>((resolve) => (release = resolve));
  let held = hold();
  await page.route("**/split_workspace.*.wasm", async (route) => {
    await held;
    await route.continue();
  });
  // Taken over late, and right: no effect ran before.
  await page.goto(`/w/${workspace}`, { waitUntil: "commit" });
  await expect(page.getByRole("heading", { level: 1, name: "My documents" })).toBeVisible();
  await expect(page.locator("html")).not.toHaveAttribute("data-hydrated", /.*/);
  release();
  await hydrated(page);
  // Where somebody changes their mind meanwhile, the last word counts.
  await page.goto("/");
  await hydrated(page);
  held = hold();
  const asked = page.waitForRequest(/split_workspace/);
  await page.getByRole("main").getByRole("link", { name: "My documents" }).click();
  const late = (await asked).response();
  await toSettings(page);
  await expect(page.getByLabel("Full name")).toBeVisible();
  release();
  await (await late)?.finished();
  // The part is compiled and its page made, if it is, before this answers.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done, 0))));
  await expect(page.getByLabel("Full name")).toBeVisible();
  await expect(page).toHaveURL(/\/settings\/profile$/);
});

test("what happens while a page is on its way is on it when it comes to life", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const { id } = scans;
  const [scan] = await scans.add(["glossary.txt"]);
  await scans.report(scan, { status: "processing", step: "reading_pages", progress: 40, message: "Reading page 4 of 10" });
  let release = () => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/split_workspace.*.wasm", async (route) => {
    await held;
    await route.continue();
  });
  // The server has rendered it, and nobody listens yet.
  await page.goto(`/w/${id}`, { waitUntil: "commit" });
  const shown = page.locator(`.doc-row[data-document-id="${scan}"]`);
  await expect(shown).toHaveAttribute("data-status", "processing");
  let visits = 0;
  page.on("framenavigated", (frame) => (visits += Number(frame === page.mainFrame())));
  await scans.report(scan, { status: "ready" });
  await expect(page.locator("html")).not.toHaveAttribute("data-hydrated", /.*/);
  await expect(shown).toHaveAttribute("data-status", "processing");
  release();
  await live(page);
  await expect(shown).toHaveAttribute("data-status", "ready");
  expect(visits).toBe(0);
});

test("a part that cannot be fetched says so, and is fetched when it is there again", async ({ page, complaints }) => {
  complaints.allow(/ERR_FAILED|Failed to fetch/);
  await signUp(page);
  await page.goto("/");
  await hydrated(page);
  await page.route("**/split_settings.*.wasm", (route) => route.abort());
  await toSettings(page);
  await expect(page.getByText("The page could not be fetched")).toBeVisible();
  // The frame lives on.
  await page.getByRole("link", { name: "All workspaces" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Workspaces" })).toBeVisible();

  // Opened by its address, the page is there as the server rendered it.
  await page.goto("/settings/profile");
  await expect(page.getByLabel("Full name")).toBeVisible();
  await expect(page.getByText("This page has stopped working.")).toBeVisible();
  await page.unroute("**/split_settings.*.wasm");
  await page.getByRole("link", { name: "Reload" }).click();
  await hydrated(page);
  await expect(page.getByText("This page has stopped working.")).toBeHidden();
});

test("what is only there after a click is fetched then, and says so where it cannot be", async ({ page, complaints }) => {
  complaints.allow(/ERR_FAILED|Failed to fetch/);
  await signUp(page);
  const names = fetched(page);
  await page.goto("/");
  await hydrated(page);
  await page.route("**/split_dialog.*.wasm", (route) => route.abort());
  await page.getByRole("link", { name: "New workspace" }).last().click();
  await expect(page.getByText("The form could not be fetched")).toBeVisible();
  await page.unroute("**/split_dialog.*.wasm");
  // Opened by its address, the form is there from the start, and so is its part.
  await page.getByRole("link", { name: "Load the page" }).click();
  await hydrated(page);
  await page.getByRole("textbox", { name: "Name" }).fill("Another");
  await page.getByRole("button", { name: "Create workspace" }).click();
  await expect(page.getByRole("heading", { name: "Another" })).toBeVisible();
  expect(names).toContain("dialog");

  await page.goto(`/w/${await firstWorkspace(page.request)}`);
  await hydrated(page);
  const file = { name: "note.txt", mimeType: "text/plain", buffer: Buffer.from("A note.") };
  const add = () => page.locator("input[type=file]").first().setInputFiles(file);
  await page.route("**/split_upload.*.wasm", (route) => route.abort());
  await add();
  await expect(page.getByText("The upload could not begin")).toBeVisible();
  await page.unroute("**/split_upload.*.wasm");
  await add();
  await expect(page.locator("[data-document-id]")).toHaveCount(1);
  await expect(page.getByText("The upload could not begin")).toBeHidden();
  expect(names).toContain("upload");
});
