// What has ended is told once, to whoever wants to be told: by a notice, by the system, or when they come back.
import type { Page, Route } from "@playwright/test";
import { expect, test } from "../fixtures";
import { FILES, barOtherWays, completed, external, firstWorkspace, live, looks, signIn, signUp, upload } from "./support";

test("of many ends a few are asked about at once, and no lock stays of what was told", async ({ page }) => {
  await page.clock.install();
  // Locks that were ever asked for: one is held for some seconds only.
  await page.addInitScript(() => {
    const claimed: string[] = [];
    Object.assign(window, { claimed });
    const request = LockManager.prototype.request;
    Object.assign(LockManager.prototype, {
      request(this: LockManager, name: string, ...rest: unknown[]) {
        claimed.push(name);
        return Reflect.apply(request, this, [name, ...rest]);
      },
    });
  });
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
  const claimed = () =>
    page.evaluate(() => (window as unknown as { claimed: string[] }).claimed.filter((name) => name.startsWith("insighthub-told-")).length);
  await expect.poll(claimed).toBeGreaterThan(0);
  await page.clock.runFor(6_000);
  await expect.poll(locks).toBe(0);
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
      // Or one that is away for long would come back by another way.
      await barOtherWays(other);
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
  await expect.poll(() => told).toEqual(["Notifications work in this browser."]);
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
