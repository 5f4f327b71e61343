// What goes on is told on every page: in the tray, in the browser's tab, and to a screen reader.
import { expect, test } from "../fixtures";
import { external, live, signUp } from "./support";

test("a running job stands in the tray on every page, in the tab, and its end is told once", async ({ page, context }) => {
  await signUp(page);
  const scans = await external(page.request);
  await page.goto("/settings/profile");
  await live(page);
  const other = await context.newPage();
  await other.goto("/");
  await live(other);
  await page.bringToFront();
  await expect(page.locator(".tray")).toBeHidden();
  // What the person hears and sees is gathered, since it may pass fast.
  await page.evaluate(() => {
    const seen = { titles: new Set<string>(), icons: new Set<string>(), said: new Set<string>(), lines: new Set<string>() };
    Object.assign(window, { seen });
    const look = () => {
      seen.titles.add(document.title);
      seen.icons.add(document.querySelector("link[rel=icon]")!.getAttribute("href")!);
      for (const line of document.querySelectorAll(".tray-job")) seen.lines.add(line.textContent!);
      for (const line of document.querySelectorAll("[data-said] p")) seen.said.add(line.textContent!);
    };
    new MutationObserver(look).observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
  });
  const documents = await scans.add(Array.from({ length: 12 }, (_, n) => `${n}.txt`));
  await scans.report(documents[0], { status: "processing" });
  await expect(page.locator(".tray-count")).toHaveAttribute("data-jobs", "1");
  await page.locator(".tray-count").click();
  // It stays open while the person goes elsewhere.
  await page.getByRole("link", { name: "Preferences" }).click();
  await expect(page).toHaveURL(/preferences/);
  await expect(page.locator(".tray[open]")).toHaveCount(1);
  for (const [n, id] of documents.entries()) {
    if (n > 0) await scans.report(id, { status: "processing" });
    await scans.report(id, { status: "ready", chunk_count: 1 });
    // What is gathered above is there to be gathered.
    if (n === 5) await expect(page.locator(".tray-job")).toContainText("6 of 12 done");
  }
  // To a headless browser both tabs are in front: one of them says it, whichever comes first, and the other does not.
  const toasts = () => Promise.all([page, other].map((tab) => tab.locator(".toast").count()));
  await expect.poll(async () => (await toasts()).reduce((all, n) => all + n)).toBe(1);
  const teller = (await toasts())[0] === 1 ? page : other;
  const toast = teller.locator(".toast");
  await expect(toast).toContainText("Upload of 12 files: done.");
  await toast.getByRole("link", { name: "Show" }).click();
  await expect(teller).toHaveURL(new RegExp(`/w/${scans.id}$`));
  await expect(toast).toHaveCount(0);
  await expect(teller.locator('.doc-row[data-status="ready"]')).toHaveCount(12);
  await expect(page.locator(".tray")).toBeHidden();
  await expect(page).toHaveTitle(/^[^(]/);
  await expect(page.locator("link[rel=icon]")).toHaveAttribute("href", "/favicon.svg");
  const seen = await page.evaluate(() => {
    const { titles, icons, said, lines } = (window as unknown as { seen: Record<string, Set<string>> }).seen;
    return { titles: [...titles], icons: [...icons], said: [...said], lines: [...lines] };
  });
  expect(seen.titles.some((title) => /^\(\d+ %\) /.test(title)), seen.titles.join(" | ")).toBe(true);
  expect(seen.icons.some((icon) => /busy-\d\.svg/.test(icon)), seen.icons.join(" | ")).toBe(true);
  expect(seen.lines.some((line) => /^Upload of 12 files in Scans.*\d+ of 12 done/.test(line)), seen.lines[0]).toBe(true);
  expect(seen.said).toContain("Upload of 12 files has started.");
  // The end is said in each tab, whichever of them shows it.
  for (const tab of [page, other]) {
    await expect(tab.locator("[data-said] p").filter({ hasText: "Upload of 12 files: done." })).toHaveCount(1);
  }
  expect(seen.said.length, seen.said.join(" | ")).toBeLessThanOrEqual(5);
  for (const icon of seen.icons) expect((await page.request.get(icon)).status()).toBe(200);
});

test("a line of the tray stays where it is as long as the mouse is over it, whatever ends before it", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const [[one], [two]] = [await scans.add(["a.txt"]), await scans.add(["b.txt"])];
  await page.goto("/settings/profile");
  await live(page);
  await page.locator(".tray-count").click();
  const lines = page.locator(".tray-job");
  await expect(lines).toHaveCount(2);
  const second = lines.nth(1);
  const job = await second.getAttribute("data-job-id");
  await second.hover();
  const before = await second.boundingBox();
  await scans.end(one, { status: "ready", chunk_count: 1 });
  await expect(page.locator(".tray-count")).toHaveAttribute("data-jobs", "1");
  await expect(lines.first()).toHaveAttribute("data-status", "completed");
  await expect(second).toHaveAttribute("data-job-id", job!);
  expect((await second.boundingBox())!.y).toBeCloseTo(before!.y, 0);
  await page.mouse.move(0, 0);
  await expect(lines).toHaveCount(1);
  await expect(lines).toHaveAttribute("data-job-id", job!);
  await scans.end(two, { status: "ready", chunk_count: 1 });
  await expect(page.locator(".tray")).toBeHidden();
});

test("a screen reader hears the start, each quarter and the end of every job once, and an error at once", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  await page.goto("/settings/profile");
  await live(page);
  const said = page.locator("[data-said] p");
  const toasts = page.locator(".toast");
  // Two jobs with the same title have news in the same moment; a third is on its way.
  const four = await scans.add(["a.txt", "b.txt", "c.txt", "d.txt"]);
  const [[one], [two]] = [await scans.add(["e.txt"]), await scans.add(["f.txt"])];
  await Promise.all([one, two].map((id) => scans.report(id, { status: "processing" })));
  await expect(said).toHaveText(Array(2).fill("Upload of 1 file has started."));
  await scans.report(four[0], { status: "processing" });
  const started = [...Array(2).fill("Upload of 1 file has started."), "Upload of 4 files has started."];
  await expect(said).toHaveText(started);
  const heard = [...started];
  for (const [n, id] of four.entries()) {
    await scans.report(id, { status: "processing", progress: 50 });
    await scans.report(id, { status: "ready", chunk_count: 4 });
    if (n === 3) break;
    heard.push(`Upload of 4 files: ${25 * (n + 1)} percent.`);
    await expect(said).toHaveText(heard);
  }
  await expect(toasts).toHaveCount(1);
  // A good word goes by itself, but for one that somebody is at.
  await toasts.getByRole("link", { name: "Show" }).focus();
  heard.push("Upload of 4 files: done.");
  await expect(said).toHaveText(heard);
  await Promise.all([
    scans.report(one, { status: "failed", error: "The page is torn." }),
    scans.report(two, { status: "ready", chunk_count: 1 }),
  ]);
  await expect(toasts).toHaveCount(3);
  await expect(page.locator("[data-said-at-once] p")).toHaveText([/^Upload of 1 file: .*The page is torn/]);
  // Nothing is said twice, nor by the notice as well.
  heard.push("Upload of 1 file: done.");
  await expect(said).toHaveText(heard);
  await expect(page.locator(".toast[role]")).toHaveCount(0);
});

test("a screen reader hears of an end that no notice tells", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const wanted = { done: false, failed: false, stalled: false, sign_ins: false, desktop: false };
  const saved = await page.request.patch("/api/auth/preferences", { data: { notifications: wanted } });
  expect(saved.status(), await saved.text()).toBe(200);
  await page.goto("/settings/profile");
  await live(page);
  const [done, torn, dropped] = [await scans.add(["a.txt"]), await scans.add(["b.txt"]), await scans.add(["c.txt"])].flat();
  await scans.end(done, { status: "ready", chunk_count: 1 });
  await scans.end(torn, { status: "failed", error: "The page is torn." });
  const { job_id } = await (await page.request.get(`/api/documents/${dropped}`)).json();
  expect((await page.request.post(`/api/jobs/${job_id}/cancel`, { data: {} })).status()).toBe(202);
  const said = page.locator("[data-said] p");
  await expect(said.filter({ hasText: "Upload of 1 file: done." })).toHaveCount(1);
  await expect(page.locator("[data-said-at-once] p")).toHaveText([/The page is torn/]);
  await expect(said.filter({ hasText: "cancelled" })).toHaveCount(1);
  await expect(page.locator(".toast")).toHaveCount(0);
});
