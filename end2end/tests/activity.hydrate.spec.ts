// What goes on is told on every page: the tray, the browser's tab, the notice at the end, and to a screen reader.
import type { Page, Route } from "@playwright/test";
import { expect, test } from "../fixtures";
import { FILES, allReady, completed, countLoads, elsewhere, external, firstWorkspace, lines, live, looks, more, signIn, signUp, upload } from "./support";

test("a running job stands in the tray on every page, in the tab, and its end is told once", async ({ page, context }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
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
  await upload(page.request, workspace, [...FILES, ...FILES, ...FILES]);
  await expect(page.locator(".tray-count")).toHaveAttribute("data-jobs", "1");
  await page.locator(".tray-count").click();
  // It stays open while the person goes elsewhere.
  await page.getByRole("link", { name: "Preferences" }).click();
  await expect(page).toHaveURL(/preferences/);
  await expect(page.locator(".tray[open]")).toHaveCount(1);
  // To a headless browser both tabs are in front: one of them says it, whichever comes first, and the other does not.
  const toasts = () => Promise.all([page, other].map((tab) => tab.locator(".toast").count()));
  await expect.poll(async () => (await toasts()).reduce((all, n) => all + n), { timeout: 60_000 }).toBe(1);
  const teller = (await toasts())[0] === 1 ? page : other;
  const toast = teller.locator(".toast");
  await expect(toast).toContainText("Upload of 12 files: done.");
  await toast.getByRole("link", { name: "Show" }).click();
  await expect(teller).toHaveURL(new RegExp(`/w/${workspace}$`));
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
  expect(seen.lines.some((line) => /^Upload of 12 files in My documents.*\d+ of 12 done/.test(line)), seen.lines[0]).toBe(true);
  expect(seen.said).toContain("Upload of 12 files has started.");
  // The end is said in each tab, whichever of them shows it.
  for (const tab of [page, other]) {
    await expect(tab.locator("[data-said] p").filter({ hasText: "Upload of 12 files: done." })).toHaveCount(1);
  }
  expect(seen.said.length, seen.said.join(" | ")).toBeLessThanOrEqual(5);
  for (const icon of seen.icons) expect((await page.request.get(icon)).status()).toBe(200);
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

test("of many ends a few are asked about at once, and no lock stays of what was told", async ({ page }) => {
  await page.clock.install();
  await signUp(page);
  const scans = await external(page.request);
  await page.goto("/settings/profile");
  await live(page);
  // The server takes its time to say whether another browser told it.
  const asked = { now: 0, most: 0, all: 0 };
  let answer = () => {};
  const answered = new Promise<void>((go) => (answer = go));
  await page.route("**/_fn/shell/tell_end", async (route) => {
    asked.all++;
    asked.most = Math.max(asked.most, ++asked.now);
    await answered;
    asked.now--;
    await route.continue();
  });
  const jobs = 9;
  for (let n = 0; n < jobs; n++) {
    const [id] = await scans.add([`${n}.txt`]);
    await scans.end(id!, { status: "ready", chunk_count: 1 });
  }
  await expect.poll(() => asked.now).toBe(4);
  answer();
  await expect.poll(() => asked.all).toBe(jobs);
  expect(asked.most).toBe(4);
  await expect(page.locator(".toast")).toHaveCount(4);
  const locks = () =>
    page.evaluate(async () => (await navigator.locks.query()).held!.filter((lock) => lock.name!.startsWith("insighthub-told-")).length);
  await expect.poll(locks).toBeGreaterThan(0);
  await page.clock.runFor(6_000);
  await expect.poll(locks).toBe(0);
});

test("counts of the list and how much of a workspace is ready follow what happens", async ({ page, context }) => {
  await signUp(page);
  const scans = await external(page.request);
  const list = await context.newPage();
  await list.goto("/");
  await live(list);
  await page.goto(`/w/${scans.id}`);
  await live(page);
  const card = list.locator(`article[data-workspace-id="${scans.id}"]`);
  const documents = await scans.add(["a.txt", "b.txt", "c.txt", "d.txt", "e.txt"]);
  await expect(card).toContainText("5 documents · 5 in work");
  await expect(page.locator("[data-partly]")).toHaveCount(0);
  for (const [n, id] of documents.entries()) {
    await scans.report(id, { status: "processing" });
    await scans.report(id, { status: "ready", chunk_count: 2 });
    if (n === 4) break;
    await expect(page.locator("[data-partly]")).toContainText(`${n + 1} of 5 documents ${n === 0 ? "is" : "are"} ready`);
    await expect(card).toContainText(`5 documents · ${4 - n} in work`);
  }
  await expect(page.locator("[data-partly]")).toHaveCount(0);
  await expect(list.locator('[data-filter="ready"]')).toHaveText(/Ready 2/);
  const report = { data: { status: "error", message: "The scanner is away." } };
  expect((await page.request.post(`/api/status/workspaces/${scans.id}`, report)).status()).toBe(200);
  await expect(list.locator('[data-filter="ready"]')).toHaveText(/Ready 1/);
  await expect(card).toHaveAttribute("data-status", "failed");
});

test("the end of a job is told to its person once, in whichever browser", async ({ page, browser, baseURL }) => {
  const who = await signUp(page);
  const workspace = await firstWorkspace(page.request);
  // Signing in elsewhere is told too, which is not what this is about.
  const choice = { notifications: { sign_ins: false } };
  expect((await page.request.patch("/api/auth/preferences", { data: choice })).status()).toBe(200);
  const away = new Set<Page>();
  const lines = new Map<Page, () => Promise<void>>();
  const others = await Promise.all(
    [1, 2].map(async () => {
      const context = await browser.newContext({ baseURL });
      const other = await context.newPage();
      await other.route(/\/api\/status\/(events|changes)/, (route) => route.abort());
      await other.routeWebSocket(/\/api\/status\/ws$/, (route) => {
        if (away.has(other)) return void route.close({ code: 1011 });
        const server = route.connectToServer();
        lines.set(other, async () => {
          away.add(other);
          await Promise.all([route.close({ code: 1011 }), server.close()]);
        });
      });
      await other.goto("/signin");
      await signIn(other, who);
      await expect(other).toHaveURL(/\/$/);
      await live(other);
      return other;
    }),
  );
  const [beside, later] = others;
  await page.goto("/settings/profile");
  await live(page);
  // One of them is away while it happens, and learns of it when all is over.
  await lines.get(later)!();
  await expect(later.locator("html")).toHaveAttribute("data-live", "closed");
  const asked = [page, beside].map((tab) => tab.waitForResponse(/\/_fn\/shell\/tell_end/));
  await upload(page.request, workspace, [FILES[2]]);
  const answers = await Promise.all(asked.map(async (answer) => (await answer).json()));
  expect(answers.sort()).toEqual([false, true]);
  const toasts = () => Promise.all([page, beside].map((tab) => tab.locator(".toast").count()));
  await expect.poll(async () => (await toasts()).reduce((all, n) => all + n)).toBe(1);
  const late = later.waitForResponse(/\/_fn\/shell\/tell_end/);
  away.delete(later);
  await later.evaluate(() => window.dispatchEvent(new Event("online")));
  expect(await (await late).json()).toBe(false);
  await later.goto(`/w/${workspace}`);
  await live(later);
  await expect(later.locator('.doc-row[data-status="ready"]')).toHaveCount(1);
  await expect(later.locator(".toast")).toHaveCount(0);
  for (const other of others) await other.context().close();
});

test("whoever comes back is told once of all that ended meanwhile, and what is told live is not told again", async ({
  page,
  context,
}) => {
  await signUp(page);
  const scans = await external(page.request);
  await page.goto("/settings/profile");
  await live(page);
  // One is told while a tab is there.
  const [seen] = await scans.add(["seen.txt"]);
  await scans.end(seen!, { status: "ready", chunk_count: 1 });
  await expect(page.locator(".toast")).toContainText("Upload of 1 file: done.");
  // The person leaves; all that follows ends without them.
  await page.goto("about:blank");
  for (const name of ["a.txt", "b.txt"]) {
    const [id] = await scans.add([name]);
    await scans.end(id!, { status: "ready", chunk_count: 1 });
  }
  const [torn] = await scans.add(["c.txt"]);
  await scans.end(torn!, { status: "failed", error: "The page is torn." });
  await page.goto("/settings/profile");
  const toast = page.locator(".toast");
  await expect(toast).toHaveCount(1);
  await expect(toast).toContainText("While you were away: 2 documents became ready and 1 failed.");
  await expect(toast).toHaveRole("status");
  await looks(page, "while-away");
  // Neither another tab nor a reload says it again; by the time the link is open they have asked.
  const other = await context.newPage();
  for (const tab of [other, page]) {
    const asked = tab.waitForResponse(/\/_fn\/shell\/tell_away/);
    await tab.goto("/");
    expect(await (await asked).json()).toBeNull();
    await expect(tab.locator(".toast")).toHaveCount(0);
  }
});

test("the word about what ended meanwhile leads to the list of it", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  await page.goto("about:blank");
  const [id] = await scans.add(["a.txt"]);
  await scans.end(id!, { status: "ready", chunk_count: 1 });
  await page.goto("/settings/profile");
  const toast = page.locator(".toast");
  await expect(toast).toContainText("While you were away: 1 document became ready.");
  await toast.getByRole("link", { name: "Show" }).click();
  await expect(page).toHaveURL(new RegExp(`/w/${scans.id}/jobs$`));
  await expect(toast).toHaveCount(0);
});

test("a notice does not go while somebody is at it", async ({ page }) => {
  await page.clock.install();
  await signUp(page);
  const scans = await external(page.request);
  await page.goto("/settings/profile");
  await live(page);
  const [id] = await scans.add(["a.txt"]);
  await scans.end(id!, { status: "ready", chunk_count: 1 });
  const toast = page.locator(".toast");
  await expect(toast).toContainText("Upload of 1 file: done.");
  await toast.getByRole("link", { name: "Show" }).focus();
  await page.clock.runFor(12_000);
  await expect(toast).toHaveCount(1);
  await expect(toast.getByRole("link", { name: "Show" })).toBeFocused();
  await page.getByLabel("Full name").focus();
  await page.clock.runFor(12_000);
  await expect(toast).toHaveCount(0);
});

test("what ended meanwhile is asked for again when the first question came to nothing", async ({ page, complaints }) => {
  complaints.allow(/ERR_FAILED|Failed to load resource/);
  await signUp(page);
  const scans = await external(page.request);
  await page.goto("about:blank");
  const [id] = await scans.add(["a.txt"]);
  await scans.end(id!, { status: "ready", chunk_count: 1 });
  let refused = 0;
  const refuse = (route: Route) => {
    refused++;
    return route.abort();
  };
  await page.route("**/_fn/shell/tell_away", refuse, { times: 1 });
  await page.goto("/settings/profile");
  await expect.poll(() => refused).toBe(1);
  const toast = page.locator(".toast");
  await expect(async () => {
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange", { bubbles: true })));
    await expect(toast).toHaveCount(1, { timeout: 500 });
  }).toPass();
  await expect(toast).toContainText("While you were away: 1 document became ready.");
});

test("the list of jobs says how long one took as soon as it is over", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const [id] = await scans.add(["a.txt"]);
  await scans.report(id!, { status: "processing" });
  await page.goto(`/w/${scans.id}/jobs`);
  await live(page);
  const line = page.locator("tr[data-job-id]");
  await expect(line.locator("[data-status]")).toHaveAttribute("data-status", "processing");
  await expect(line.locator("td").last()).toBeEmpty();
  await scans.report(id!, { status: "ready", chunk_count: 1 });
  await expect(line.locator("[data-status]")).toHaveAttribute("data-status", "completed");
  await expect(line.locator("td").last()).toHaveText(/\d (ms|s)$/);
});

test("a job that begins while the list of jobs is open stands first, and the row under the pointer stays", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const rows = page.locator("tr[data-job-id]");
  const jobOf = async (document: string): Promise<string> =>
    (await (await page.request.get(`/api/documents/${document}`)).json()).job_id;
  await page.goto(`/w/${scans.id}/jobs`);
  await live(page);
  await expect(page.getByText("No jobs yet")).toBeVisible();
  const loads = countLoads(page);
  const [first] = await scans.add(["0.txt"]);
  const oldest = await jobOf(first!);
  await expect(rows).toHaveCount(1);
  await expect(rows).toHaveAttribute("data-job-id", oldest);
  await expect(rows.getByRole("link")).toHaveText("Upload of 1 file");
  expect(loads()).toBe(0);

  // Two more than a page of the list has.
  const [second] = await scans.add(["1.txt"]);
  const next = await jobOf(second!);
  for (let n = 2; n < 52; n++) await scans.add([`${n}.txt`]);
  await page.goto(`/w/${scans.id}/jobs`);
  await live(page);
  await expect(rows).toHaveCount(50);
  await rows.nth(20).hover();
  const id = await rows.nth(20).getAttribute("data-job-id");
  const pointed = page.locator(`tr[data-job-id="${id}"]`);
  const before = (await pointed.boundingBox())!.y;
  const [fresh] = await scans.add(["new.txt"]);
  const begun = await jobOf(fresh!);
  await expect(rows.first()).toHaveAttribute("data-job-id", begun);
  await expect(rows).toHaveCount(51);
  // What keeps the row in its place does so before the next picture is drawn.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  // It is scrolled by whole pixels, whatever the height of a row is.
  expect(Math.abs((await pointed.boundingBox())!.y - before)).toBeLessThan(1);
  // It is followed as the others are, and the list goes on behind what it had.
  await scans.end(fresh!, { status: "ready", chunk_count: 1 });
  await expect(rows.first().locator("[data-status]")).toHaveAttribute("data-status", "completed");
  await page.getByRole("link", { name: "Older jobs" }).click();
  await expect(rows).toHaveCount(2);
  await expect(rows.first()).toHaveAttribute("data-job-id", next);
  await expect(rows.last()).toHaveAttribute("data-job-id", oldest);
});

test("only what somebody wants to be told is told", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto("/");
  await live(page);
  const choose = async (notifications: Record<string, boolean>) =>
    expect((await page.request.patch("/api/auth/preferences", { data: { notifications } })).status()).toBe(200);
  const finished = async (form: FormData) => {
    const answer = await page.request.post(`/api/workspaces/${workspace}/documents`, { multipart: form });
    const { job_id } = await answer.json();
    const status = async () => (await (await page.request.get(`/api/jobs/${job_id}`)).json()).status;
    await expect.poll(status, { timeout: 60_000 }).not.toMatch(/pending|running/);
  };
  const files = (...all: [string, string][]) => {
    const form = new FormData();
    for (const [name, text] of all) form.append("file", new File([text], name));
    return form;
  };
  await choose({ done: false });
  await finished(files(["good.txt", "The harbour opens at six."]));
  await finished(files(["broken.pdf", "%PDF-1.7\nthis is no real PDF"]));
  const toasts = page.locator(".toast");
  await expect(toasts).toHaveCount(1);
  await expect(toasts).toHaveAttribute("data-status", "failed");
  await toasts.getByRole("button").click();
  await choose({ done: true, failed: false });
  await finished(files(["worse.pdf", "%PDF-1.7\nthis is no real PDF either"]));
  await finished(files(["better.txt", "The harbour closes at ten."]));
  await expect(toasts).toHaveCount(1);
  await expect(toasts).toHaveText(/Upload of 1 file: done\./);
});

test("while nobody looks the system tells it, once, where that is chosen and allowed", async ({ page, context }) => {
  // What the browser would show is gathered, and it is told that nobody looks: a headless one shows nothing to nobody.
  const told: string[] = [];
  await context.exposeFunction("tell", (text: string) => told.push(text));
  await context.addInitScript(() => {
    class Gathered {
      static get permission() {
        return localStorage.getItem("test-permission") ?? "default";
      }
      static async requestPermission() {
        localStorage.setItem("test-permission", "granted");
        return "granted";
      }
      onclick: (() => void) | null = null;
      constructor(_: string, { body }: { body: string }) {
        Object.assign(window, { shown: this });
        (window as unknown as { tell: (text: string) => void }).tell(body);
      }
      close() {}
    }
    Object.defineProperty(window, "Notification", { value: Gathered });
    const looked = () => ((window as { away?: boolean }).away ? "hidden" : "visible");
    Object.defineProperty(document, "visibilityState", { get: looked });
    Object.defineProperty(document, "hidden", { get: () => looked() === "hidden" });
  });
  const look = (tab: typeof page, away: boolean) =>
    tab.evaluate((away) => {
      Object.assign(window, { away });
      document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
    }, away);

  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto("/settings/notifications");
  await live(page);
  const browser = page.locator("[data-permission]");
  await expect(browser).toHaveAttribute("data-permission", "unasked");
  await page.getByRole("button", { name: "Allow in this browser" }).click();
  await expect(browser).toHaveText("This browser shows them.");
  expect(told).toEqual(["Notifications work in this browser."]);
  const other = await context.newPage();
  await other.goto("/");
  await live(other);
  const tabs = [page, other];

  // Allowed, but not chosen: it waits until somebody looks.
  for (const tab of tabs) await look(tab, true);
  const { job_id } = await upload(page.request, workspace, [FILES[3]]);
  await completed(page.request, job_id);
  await look(page, false);
  await expect(page.locator(".toast")).toContainText("Upload of 1 file: done.");
  await page.locator(".toast").getByRole("button").click();
  await page.getByLabel("Tell me by a notification of the system").check();
  await page.getByRole("button", { name: "Save notifications" }).click();
  await expect(page.getByText("Your notifications are saved.")).toBeVisible();
  expect(told).toHaveLength(1);

  await look(page, true);
  await upload(page.request, workspace, FILES.slice(1, 3));
  await expect.poll(() => told, { timeout: 60_000 }).toEqual([told[0], "Upload of 2 files: done."]);
  // Told is told: whoever comes back is shown what comes next, and not that.
  for (const tab of tabs) await look(tab, false);
  await upload(page.request, workspace, [FILES[0]]);
  const toasts = () => Promise.all(tabs.map((tab) => tab.locator(".toast").allTextContents()));
  await expect.poll(async () => (await toasts()).flat().length, { timeout: 60_000 }).toBe(1);
  expect((await toasts()).flat()[0]).toContain("Upload of 1 file: done.");
  expect(told).toHaveLength(2);
  // A click on what the system showed leads there.
  const has = await Promise.all(tabs.map((tab) => tab.evaluate(() => (window as { shown?: { body?: string } }).shown !== undefined)));
  const teller = has[1] ? other : page;
  await teller.evaluate(() => (window as unknown as { shown: { onclick: () => void } }).shown.onclick());
  await expect(teller).toHaveURL(new RegExp(`/w/${workspace}$`));
});

test("workspaces are narrowed by status, words and order, in the address and without a script", async ({
  page,
  browser,
  baseURL,
}) => {
  const who = await signUp(page);
  for (const name of ["Harbour", "Cranes of the harbour", "Archive"]) {
    const made = await page.request.post("/api/workspaces", { data: { name } });
    expect(made.status()).toBe(201);
  }
  await page.goto("/");
  await live(page);
  const cards = page.getByRole("main").locator("article h2");
  await expect(page.locator('[data-filter="ready"]')).toHaveText(/Ready 4/);
  await page.getByRole("searchbox", { name: "Search workspaces" }).fill("harbour");
  await expect(cards).toHaveText(["Cranes of the harbour", "Harbour"]);
  await expect(page).toHaveURL(/\?q=harbour$/);
  await page.getByLabel("Order").selectOption("name");
  await expect(page).toHaveURL(/\?q=harbour&sort=name$/);
  await page.locator('[data-filter="ready"]').click();
  await expect(page).toHaveURL(/status=ready&q=harbour&sort=name$/);
  await page.reload();
  await expect(cards).toHaveText(["Cranes of the harbour", "Harbour"]);
  // What the controls say is what is shown, also when a link took it all back.
  await live(page);
  await page.getByRole("searchbox", { name: "Search workspaces" }).fill("quay");
  await page.getByRole("link", { name: "Show all" }).click();
  await expect(page).toHaveURL(/\/$/);
  await expect(cards).toHaveCount(4);
  await expect(page.getByRole("searchbox", { name: "Search workspaces" })).toHaveValue("");
  await expect(page.getByLabel("Order")).toHaveValue("newest");
  await page.goto("/?status=error");
  await expect(page.getByText("No workspace matches")).toBeVisible();
  const plain = await elsewhere(browser, baseURL, who);
  await plain.goto("/?q=archive&sort=name");
  await expect(plain.getByRole("main").locator("article h2")).toHaveText(["Archive"]);
  await plain.context().close();
});

test("the phases of a job that gets nowhere do not turn, whatever they say of themselves", async ({ page }) => {
  // A job that stalls takes minutes: the word of it is put into what the server tells.
  let stalls = false;
  const doctored = (text: string) => {
    const frame = JSON.parse(text);
    if (stalls && frame.event === "job_update") frame.data.halted = "stalled";
    return JSON.stringify(frame);
  };
  await page.routeWebSocket("**/api/status/ws", (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => socket.send(lines(message).map(doctored).join("\n")));
  });
  await signUp(page);
  const scans = await external(page.request);
  const [id] = await scans.add(["a.txt"]);
  await page.goto(`/w/${scans.id}`);
  await live(page);
  const panel = page.getByRole("region", { name: "Latest job" });
  const turning = () =>
    panel.evaluate((panel) => {
      const endless = (moving: Animation) => moving.effect?.getTiming().iterations === Infinity;
      return panel.getAnimations({ subtree: true }).filter(endless).length;
    });
  await scans.report(id, { status: "processing", step: "extracting_text", progress: 20 });
  await expect(panel).toHaveAttribute("data-status", "processing");
  // That of the badge, and that of the phase.
  await expect.poll(turning).toBe(2);
  stalls = true;
  // How far a document is says nothing new about its job. That another phase begins does.
  await scans.report(id, { status: "processing", step: "chunking_text", progress: 60 });
  await expect(panel).toHaveAttribute("data-status", "stalled");
  await expect(panel.locator('.phase[data-status="running"]')).toHaveCount(2);
  await expect.poll(turning).toBe(0);
});

test("a history that was read a moment too early is read once more", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const [id] = await scans.add(["a.txt"]);
  await page.goto(`/d/${id}`);
  await live(page);
  let held = 0;
  await page.route(
    "**/_fn/history/document",
    async (route) => {
      const response = await route.fetch();
      await scans.report(id, { status: "processing" });
      await scans.report(id, { status: "ready", chunk_count: 1 });
      // The page has heard of it, and the history that it waits for says nothing of it.
      await expect(page.locator(".toast")).toContainText("Upload of 1 file: done.");
      held++;
      await route.fulfill({ response });
    },
    { times: 1 },
  );
  await page.getByRole("link", { name: "History" }).click();
  await expect(page.locator("table.history")).toContainText("processing → ready");
  expect(held).toBe(1);
});

test("the numbers of a workspace, its history and its figures follow what happens", async ({ page }) => {
  const who = await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}`);
  await live(page);
  await expect(page.locator('[data-fact="Documents"] dd')).toHaveText("0");
  await upload(page.request, workspace, [FILES[2], FILES[3]]);
  await allReady(page, [FILES[2], FILES[3]]);
  await expect(page.locator('[data-fact="Ready"] dd')).toHaveText("2");
  await expect(page.locator('[data-fact="Chunks"] dd')).not.toHaveText("0");
  // A question that is asked elsewhere counts here too.
  await expect(page.locator('[data-fact="Messages"] dd')).toHaveText("0");
  await page.request.post("/v1/chat/", { data: { query: "What is it about?", workspace_id: workspace } });
  await expect(page.locator('[data-fact="Messages"] dd')).toHaveText("1");
  await expect(page.locator('[data-fact="Conversations"] dd')).toHaveText("1");
  // The panel leads to the job, and from there to all of them.
  const panel = page.getByRole("region", { name: "Latest job" });
  const job = await panel.getAttribute("data-job-id");
  await panel.getByRole("link", { name: "Details" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Upload of 2 files" })).toBeVisible();
  await expect(page.locator(".waterfall .chart-text")).toHaveCount(4 + 2);
  await page.getByRole("link", { name: "All jobs" }).click();
  await expect(page.locator("tr[data-job-id]")).toHaveCount(1);
  await expect(page.locator(`tr[data-job-id="${job}"] [data-status]`)).toHaveAttribute("data-status", "completed");
  await page.getByRole("link", { name: "Back" }).click();
  await more(page, "History");
  await expect(page.getByRole("heading", { level: 1, name: "History" })).toBeVisible();
  const lines = page.locator(".history tbody tr");
  await expect(lines.filter({ hasText: FILES[2] }).filter({ hasText: "processing → ready" })).toHaveCount(1);
  await expect(lines.filter({ hasText: who.username }).first()).toBeVisible();
  const before = await lines.count();
  await upload(page.request, workspace, [FILES[1]]);
  await expect(lines.filter({ hasText: FILES[1] }).filter({ hasText: "processing → ready" })).toHaveCount(1);
  expect(await lines.count()).toBeGreaterThan(before);
  const seqs = await lines.evaluateAll((rows) => rows.map((row) => Number((row as HTMLElement).dataset.seq)));
  expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => b - a));
  const csv = await page.request.get((await page.getByRole("link", { name: "CSV" }).getAttribute("href"))!);
  expect(csv.status()).toBe(200);
  expect(await csv.text()).toContain("processing,ready");
  await page.getByRole("link", { name: "Progress too" }).click();
  await expect.poll(() => lines.count()).toBeGreaterThan(before);
  await page.goto(`/w/${workspace}/analytics`);
  await expect(page.locator(".chart")).toHaveCount(3);
  const figures = await (await page.request.get(`/api/workspaces/${workspace}/analytics?days=7`)).json();
  expect([figures.ready, figures.failed, figures.days.length]).toEqual([3, 0, 7]);
  await expect(page.getByRole("main").locator(".facts")).toContainText("Ready3");
});

test("a document's steps are drawn over time", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const answer = await upload(page.request, workspace, [FILES[2]]);
  await page.goto(`/d/${answer.documents[0].document_id}`);
  await live(page);
  await expect(page.locator("[data-document-id]")).toHaveAttribute("data-status", "ready");
  await page.getByText("Over time").click();
  const chart = page.locator(".waterfall .chart");
  await expect(chart.locator("rect.tone-complete")).toHaveCount(await page.locator(".steps .step").count());
  const wide = (await chart.boundingBox())!.width;
  await page.getByRole("button", { name: "3×" }).click();
  await expect.poll(async () => (await chart.boundingBox())!.width).toBeGreaterThan(wide * 2.5);
});

test("a job's phases and documents are drawn over time", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}`);
  await live(page);
  await upload(page.request, workspace, [FILES[2], FILES[3]]);
  await allReady(page, [FILES[2], FILES[3]]);
  const panel = page.locator("[data-job-id]");
  await panel.getByText("Over time").click();
  const lines = panel.locator(".waterfall .chart-text");
  // Four phases, and each document in a line of its own below them.
  const one = /^(first-steps\.md|glossary\.txt) · /;
  await expect(lines).toHaveText([/^Loading · /, /^Chunking · /, /^Embedding · /, /^Indexing · /, one, one]);
  // Each can be read from its first letter to its last, however long its bar is.
  const outside = () =>
    panel.locator(".waterfall .chart").evaluate((chart) => {
      const { left, right } = chart.getBoundingClientRect();
      const texts = [...chart.querySelectorAll("text")].map((text) => ({ text, box: text.getBoundingClientRect() }));
      return texts.filter(({ box }) => box.left < left - 1 || box.right > right + 1).map(({ text }) => text.textContent);
    });
  expect(await outside()).toEqual([]);
  // In the order in which they began.
  expect(new Set((await lines.allTextContents()).slice(4).map((line) => line.split(" ")[0])).size).toBe(2);
  await expect(panel.locator(".waterfall rect.tone-in_progress")).toHaveCount(0);
  const steps = await panel.locator(".waterfall rect.tone-complete").count();
  expect(steps).toBeGreaterThanOrEqual(4 + 2 * 4);
});

test("of ten thousand rows only those near the screen are there, and the row under the pointer stays", async ({ page }) => {
  test.setTimeout(300_000);
  await signUp(page);
  // An outside worker's workspace: nobody here works on the files, so the list is as long as it is made.
  const made = await page.request.post("/api/workspaces", { data: { name: "Long list", processor: "external" } });
  const { id } = await made.json();
  const add = async (names: string[]) => {
    const form = new FormData();
    for (const name of names) form.append("file", new File([`The harbour opens at six, says ${name}.`], name));
    expect((await page.request.post(`/api/workspaces/${id}/documents`, { multipart: form })).status()).toBe(202);
  };
  const [all, part] = [10_000, 500];
  for (let from = 0; from < all; from += part) {
    await add(Array.from({ length: part }, (_, n) => `file-${from + n}.txt`));
  }
  await page.goto(`/w/${id}`);
  await live(page);
  const rows = page.locator(".doc-row[data-document-id]");
  await expect(rows.first()).toBeVisible();
  const oldest = rows.filter({ has: page.getByTitle("file-0.txt", { exact: true }) });
  // The rest of the list comes part by part, each as the end of what is there comes near.
  await page.mouse.move(600, 500);
  await expect(async () => {
    await page.mouse.wheel(0, 40_000);
    await expect(oldest).toBeVisible({ timeout: 100 });
  }).toPass({ intervals: [50], timeout: 180_000 });
  expect(await rows.count()).toBeLessThan(160);
  // A screen reader is told which of how many it is; the head is the first.
  await expect(oldest).toHaveAttribute("aria-rowindex", String(all + 1));
  await expect(page.locator(".doc-table")).toHaveAttribute("aria-rowcount", String(all + 1));
  // The height of the list is that of all its rows.
  const height = () => page.locator(".doc-table [role=rowgroup]").evaluate((list) => list.getBoundingClientRect().height);
  const one = (await rows.first().boundingBox())!.height;
  expect(Math.round((await height()) / one)).toBe(all);
  const documents = async () => {
    const told = await page.locator('[data-fact="Documents"] dd').textContent();
    return Number(told!.replace(/\D/g, ""));
  };
  for (const to of ["middle", "top"] as const) {
    await page.mouse.wheel(0, to === "middle" ? -200_000 : -1_000_000);
    if (to === "top") {
      await expect(rows.filter({ has: page.getByTitle(`file-${all - 1}.txt`, { exact: true }) })).toBeInViewport();
    }
    await page.mouse.move(600, 640);
    await expect.poll(() => page.locator(".doc-row[data-document-id]:hover").count()).toBe(1);
    const id = await page.locator(".doc-row[data-document-id]:hover").getAttribute("data-document-id");
    const pointed = page.locator(`.doc-row[data-document-id="${id}"]`);
    const before = (await pointed.boundingBox())!.y;
    const count = await documents();
    // Others move meanwhile, near and far, and new ones come in above.
    const near = await rows.evaluateAll((rows) => rows.map((row) => (row as HTMLElement).dataset.documentId!));
    const data = { status: "processing", step: "reading_pages", progress: 40, message: "Reading page 4 of 10…" };
    const moved = near.map((moving) => page.request.post(`/api/status/documents/${moving}`, { data }));
    for (const answer of await Promise.all(moved)) expect(answer.status()).toBe(200);
    await expect(pointed).toHaveAttribute("data-status", "processing");
    await add(["new-1.txt", "new-2.txt", "new-3.txt"]);
    await expect.poll(documents).toBe(count + 3);
    // The new rows are in the list, and drawn, before its place is looked at.
    await expect.poll(async () => Math.round((await height()) / one)).toBe(count + 3);
    await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
    expect(Math.round((await pointed.boundingBox())!.y - before)).toBe(0);
  }
});
