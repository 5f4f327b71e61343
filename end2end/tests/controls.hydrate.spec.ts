// Pausing, resuming, cancelling and retrying by the buttons, and the pages that follow.
import { type Locator, type Page } from "@playwright/test";
import { readFile } from "node:fs/promises";
import { expect, test } from "../fixtures";
import { Wire, allReady, external, live, long, looks, openFirst, path, row, signUp } from "./support";

const panel = (page: Page) => page.getByRole("region", { name: "Latest job" });

/** It stands so, behind a click. How fast a command takes hold is measured by R8, and only told here. */
async function comesTo(what: Locator, status: "paused" | "cancelled"): Promise<void> {
  const began = Date.now();
  await expect(what).toHaveAttribute("data-status", status);
  console.log(`R8: ${status} ${Date.now() - began} ms behind the click`);
}

/** One file is ready, the other is being embedded. */
async function atWork(page: Page): Promise<void> {
  await page.locator("input[type=file]").first().setInputFiles([
    { name: "short.txt", mimeType: "text/plain", buffer: Buffer.from("The lantern keeper writes.") },
    { name: "long.txt", mimeType: "text/plain", buffer: long(250_000) },
  ]);
  await allReady(page, ["short.txt"]);
  await expect(row(page, "long.txt")).toHaveAttribute("data-status", "processing");
  await expect(panel(page).getByText(/^Embedding, running/)).toBeAttached();
}

test("a job is paused, resumed and cancelled, and a retry does the rest", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  await atWork(page);
  await panel(page).getByRole("button", { name: "Pause" }).click();
  await comesTo(panel(page), "paused");
  await expect(row(page, "long.txt")).toHaveAttribute("data-status", "paused");
  await expect(row(page, "short.txt")).toHaveAttribute("data-status", "ready");

  await panel(page).getByRole("button", { name: "Resume" }).click();
  await expect(panel(page)).toHaveAttribute("data-status", "processing");
  await panel(page).getByText("Cancel…").click();
  await panel(page).getByRole("button", { name: "Keep what is ready" }).click();
  await comesTo(panel(page), "cancelled");
  await expect(row(page, "long.txt")).toHaveAttribute("data-status", "cancelled");
  await expect(row(page, "short.txt")).toHaveAttribute("data-status", "ready");

  await panel(page).getByRole("button", { name: "Retry: 1 document" }).click();
  await expect(row(page, "long.txt")).toHaveAttribute("data-status", "processing");
  await panel(page).getByText("Earlier attempts").click();
  await expect(panel(page).getByText("Attempt 1: Cancelled; 1 of 2 documents ready")).toBeVisible();

  await panel(page).getByText("Cancel…").click();
  await panel(page).getByRole("button", { name: "Remove what it made" }).click();
  await comesTo(panel(page), "cancelled");
  await expect(row(page, "short.txt")).toHaveAttribute("data-status", "cancelled");
});

test("a job is steered from its own page as well", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  await atWork(page);
  await panel(page).getByRole("link", { name: "Details" }).click();
  const job = page.getByRole("region", { name: "Job", exact: true });
  await job.getByRole("button", { name: "Pause" }).click();
  await comesTo(job, "paused");
  await job.getByRole("button", { name: "Resume" }).click();
  await expect(job).toHaveAttribute("data-status", "processing");
  await looks(page, "job-steered");
  await job.getByText("Cancel…").click();
  await job.getByRole("button", { name: "Keep what is ready" }).click();
  await comesTo(job, "cancelled");
  await job.getByRole("button", { name: "Retry: 1 document" }).click();
  await expect(job).toHaveAttribute("data-status", "processing");
  // Not to go on: it would take the processor from the tests behind this one.
  await job.getByText("Cancel…").click();
  await job.getByRole("button", { name: "Keep what is ready" }).click();
  await comesTo(job, "cancelled");
});

test("embedding is skipped by one click, of a document and of all the rest, and a search says so", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  await page.locator("input[type=file]").first().setInputFiles([
    { name: "long.txt", mimeType: "text/plain", buffer: long(250_000) },
    { name: "other.txt", mimeType: "text/plain", buffer: Buffer.from(`A zeppelin.\n\n${long(200_000)}`) },
  ]);
  await expect(panel(page).getByText(/^Embedding, running/)).toBeAttached();
  await expect(row(page, "long.txt")).toContainText("Creating embeddings");
  await row(page, "long.txt").getByRole("link").click();
  const body = page.locator("[data-document-id].page");
  await looks(page, "skip-embedding-document");
  await page.getByRole("button", { name: "Skip embedding" }).click();
  await expect(body).toHaveAttribute("data-status", "stale");
  await expect(page.getByText("Its embedding was skipped").first()).toBeVisible();
  await page.goBack();
  await live(page);
  await expect(row(page, "other.txt")).toHaveAttribute("data-status", "processing");
  await looks(page, "skip-embedding-job");
  await panel(page).getByRole("button", { name: "Skip embedding" }).click();
  // They are ready, and not as they were meant to be indexed.
  for (const name of ["long.txt", "other.txt"]) await expect(row(page, name)).toHaveAttribute("data-status", "stale");
  await expect(panel(page).getByText(/^Embedding, skipped/)).toBeAttached();
  await page.getByRole("searchbox", { name: "Search in this workspace" }).fill("zeppelin");
  await page.keyboard.press("Enter");
  const found = page.getByRole("region", { name: "Search results" });
  await expect(found.getByText(/passages have no vector, and only words find what stands there/)).toBeVisible();
  await expect(found.locator(".hit").first()).toContainText("other.txt");
  await looks(page, "search-without-vectors");
});

test("a document that is found as before, since its next version failed, is tried again on its page", async ({ page }) => {
  await signUp(page);
  const workspace = await openFirst(page);
  const send = async (bytes: BlobPart) => {
    const form = new FormData();
    form.append("on_duplicate", "replace");
    form.append("file", new File([bytes], "paper.pdf"));
    const answer = await page.request.post(`/api/workspaces/${workspace}/documents`, { multipart: form });
    expect(answer.status(), await answer.text()).toBe(202);
    return answer.json();
  };
  await send(await readFile(path("how-it-works.pdf")));
  await allReady(page, ["paper.pdf"]);
  const { job_id } = await send("%PDF-1.7\nnothing of what a PDF has");
  await row(page, "paper.pdf").getByRole("link").click();
  await expect(page.getByText(/^Version 2 could not be processed, and version 1 is found as before\./).first()).toBeVisible();
  await page.locator("[data-document-id].page").getByRole("button", { name: "Retry", exact: true }).click();
  await expect.poll(async () => (await (await page.request.get(`/api/jobs/${job_id}`)).json()).attempt).toBe(2);
});

test("buttons that were drawn anew wait while the link is down, and come back with it", async ({ page, complaints }) => {
  complaints.allow(/api\/status\/ws/);
  const wire = new Wire();
  await wire.install(page);
  await signUp(page);
  await openFirst(page);
  await atWork(page);
  // Its buttons change with it, and it stands still for as long as this takes.
  await panel(page).getByRole("button", { name: "Pause" }).click();
  await comesTo(panel(page), "paused");
  const resume = panel(page).getByRole("button", { name: "Resume" });
  await wire.cut();
  await expect(resume).toBeDisabled();
  await expect(resume).toHaveAttribute("title", /Live updates are paused/);
  await expect(panel(page).locator("[data-paused]")).toContainText("Live updates are paused");
  wire.mend();
  await live(page);
  await expect(resume).toBeEnabled();
  await expect(resume).not.toHaveAttribute("title");
  await expect(panel(page).locator("[data-paused]")).toHaveCount(0);
  // Not to go on: it would take the processor from the tests behind this one.
  await panel(page).getByText("Cancel…").click();
  await panel(page).getByRole("button", { name: "Keep what is ready" }).click();
  await comesTo(panel(page), "cancelled");
});

test("the keyboard goes on from what comes in the place of a button, and what is open stays open", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const [one] = await scans.add(["a.txt"]);
  await scans.report(one, { status: "processing" });
  await page.goto(`/w/${scans.id}`);
  await live(page);
  const button = (name: string) => panel(page).getByRole("button", { name });
  await button("Pause").focus();
  await page.keyboard.press("Enter");
  await expect(button("Resume")).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(button("Pause")).toBeFocused();
  await panel(page).getByText("Cancel…").click();
  await expect(button("Keep what is ready")).toBeVisible();
  // Another job waits by now, so that this one could go before it.
  await scans.add(["b.txt"]);
  await expect(button("Do this first")).toBeVisible();
  await expect(button("Keep what is ready")).toBeVisible();
});

test("a double click is one action, and one that is refused says why and can be tried again", async ({ page, complaints }) => {
  complaints.allow(/404 .*jobs\/pause/);
  await signUp(page);
  await openFirst(page);
  await atWork(page);
  const sent: string[] = [];
  page.on("request", (request) => {
    if (request.url().includes("/_fn/jobs/")) sent.push(new URL(request.url()).pathname);
  });
  // A click that means a job that is gone by now.
  await page.route("**/_fn/jobs/pause", async (route) => {
    const data = route.request().postData()!.replace(/id=[0-9a-f-]{36}/, "id=01999999-9999-7999-8999-999999999999");
    await route.continue({ postData: data });
  }, { times: 1 });
  const pause = panel(page).getByRole("button", { name: "Pause" });
  await pause.click();
  await expect(panel(page).getByRole("alert")).toContainText("There is no such job");
  await expect(pause).toBeEnabled();
  await looks(page, "refused-control");
  sent.length = 0;
  await pause.dblclick();
  await comesTo(panel(page), "paused");
  await expect(panel(page).getByRole("alert")).toHaveCount(0);
  expect(sent).toEqual(["/_fn/jobs/pause"]);
});

test("the tray steers a job from any page, and the job panel follows", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  await atWork(page);
  const watching = await page.context().newPage();
  await watching.goto(page.url());
  await page.goto("/settings/profile");
  await live(page);
  await page.locator(".tray-count").click();
  const tray = page.locator(".tray-job");
  await tray.getByRole("button", { name: /^Pause: / }).click();
  await comesTo(tray, "paused");
  await expect(panel(watching)).toHaveAttribute("data-status", "paused");
  for (const width of [390, 1440]) {
    await page.setViewportSize({ width, height: 800 });
    const panelBox = (await page.locator(".tray-panel").boundingBox())!;
    const button = (await tray.getByRole("button", { name: /^Resume: / }).boundingBox())!;
    expect(button.x).toBeGreaterThanOrEqual(panelBox.x);
    expect(button.x + button.width).toBeLessThanOrEqual(panelBox.x + panelBox.width);
  }
  await tray.getByRole("button", { name: /^Resume: / }).click();
  await expect(panel(watching)).toHaveAttribute("data-status", "processing");
  await tray.getByText("Cancel…").click();
  await tray.getByRole("button", { name: "Remove what it made" }).click();
  await comesTo(panel(watching), "cancelled");
  await expect(page.locator(".tray")).toBeHidden();
});

test("one document is paused and goes on from its own page", async ({ page }) => {
  await signUp(page);
  await openFirst(page);
  await atWork(page);
  await row(page, "long.txt").getByRole("link").click();
  const body = page.locator("[data-document-id].page");
  await page.getByRole("button", { name: "Pause" }).click();
  await comesTo(body, "paused");
  await page.getByRole("button", { name: "Resume" }).click();
  await expect(body).toHaveAttribute("data-status", "processing");
  await page.getByRole("button", { name: "Cancel" }).click();
  await comesTo(body, "cancelled");
  await page.getByRole("button", { name: "Retry" }).click();
  await expect(body).toHaveAttribute("data-status", "processing");

  // What became of the first attempt stays, and no time runs on in it.
  await page.getByText("Earlier attempts").click();
  const first = page.locator("[data-attempts]");
  await expect(first.getByText("Attempt 1", { exact: true })).toBeVisible();
  await expect(first.locator(".step").first()).toBeVisible();
  const told = await first.innerText();
  await page.getByRole("button", { name: "Cancel" }).click();
  await comesTo(body, "cancelled");
  expect(await first.innerText()).toBe(told);
});
