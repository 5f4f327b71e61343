// The live link when the way is bad: no sockets, no streams, many tabs, a leader that goes.
import { bar, expect, person, test } from "../fixtures";
import { FILES, allReady, barOtherWays, external, firstWorkspace, lines, live, signUp, upload } from "./support";
import type { BrowserContext, Page } from "@playwright/test";

const transport = (page: Page) => page.locator("html");

for (const hours of [3, -3]) {
  test(`what is shown goes by the server's time where the device's clock is ${Math.abs(hours)} hours ${hours > 0 ? "fast" : "slow"}`, async ({ page }) => {
    await signUp(page);
    const scans = await external(page.request);
    const [id] = await scans.add(["a.txt"]);
    await page.clock.install({ time: Date.now() + hours * 3_600_000 });
    await page.goto(`/w/${scans.id}`);
    await live(page);
    const off = (await page.evaluate(() => Date.now())) - Date.now();
    expect(Math.round(off / 3_600_000), "the device's clock is wrong").toBe(hours);
    await expect(page.locator(`.doc-row[data-document-id="${id}"] .doc-when`)).toHaveText("just now");
    await scans.report(id!, { status: "processing", step: "reading_pages", progress: 40, message: "Reading page 4 of 10…" });
    await page.goto(`/d/${id}`);
    await live(page);
    // What runs goes on by the second, and began a moment ago.
    const took = page.locator('.step[data-status="in_progress"] .step-took').last();
    await expect(took).toHaveText(/^([1-9]\.\d|[1-5]\d) s$/);
  });
}

/** Takes the sockets away from every page of the context, as a proxy does that knows no upgrade. */
async function withoutSockets(context: BrowserContext) {
  await context.addInitScript(() => {
    const Real = window.WebSocket;
    const state = { blocked: true };
    Object.assign(window, { unblock: () => (state.blocked = false) });
    window.WebSocket = new Proxy(Real, {
      construct: (target, [url]) =>
        new target(state.blocked ? String(url).replace("/api/status/ws", "/api/status/no-such-door") : url),
    });
  });
}

/**
 * The page of a workspace, live over a line that turns half-open once it `swallows`: as with a cable that was pulled, it
 * stays up and carries nothing, in either direction. Those that are opened after it carry everything.
 */
async function halfOpen(page: Page) {
  const line = { opened: 0, swallows: false };
  await page.routeWebSocket(/\/api\/status\/ws$/, (socket) => {
    const isFirst = ++line.opened === 1;
    const server = socket.connectToServer();
    const passes = () => !(isFirst && line.swallows);
    server.onMessage((message) => passes() && socket.send(message));
    socket.onMessage((message) => passes() && server.send(message));
  });
  await signUp(page);
  await live(page);
  const scans = await external(page.request);
  line.opened = 0;
  await page.goto(`/w/${scans.id}`);
  await live(page);
  await expect.poll(() => line.opened).toBe(1);
  return { scans, line };
}

for (const [name, attribute] of [
  ["server-sent events", "sse"],
  ["long polling", "poll"],
] as const) {
  test(`without sockets the page is live by ${name}, says so, and climbs back`, async ({ page, context, complaints }) => {
    complaints.allow(/no-such-door/);
    await withoutSockets(context);
    if (attribute === "poll") await bar(page, /\/api\/status\/events\?/);
    await signUp(page);
    const workspace = await firstWorkspace(page.request);
    await page.goto(`/w/${workspace}`);
    await live(page);
    await expect(transport(page)).toHaveAttribute("data-transport", attribute);
    await expect(page.locator(".connection")).toHaveAttribute("title", new RegExp(name));
    await upload(page.request, workspace, [FILES[2]]);
    await allReady(page, [FILES[2]]);
    await page.evaluate(() => (window as unknown as { unblock: () => void }).unblock());
    await page.evaluate(() => window.dispatchEvent(new Event("online")));
    // A look for the socket that was under way just now has found none, and puts the next one off.
    await expect(transport(page)).toHaveAttribute("data-transport", "ws", { timeout: 120_000 });
    await upload(page.request, workspace, [FILES[3]]);
    await allReady(page, [FILES[2], FILES[3]]);
  });
}

test("five tabs share one socket, and the next one leads when the leader goes", async ({ page, context }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const sockets = new Map<Page, number>();
  const tabs: Page[] = [];
  for (let n = 0; n < 5; n++) {
    const tab = await context.newPage();
    sockets.set(tab, 0);
    tab.on("websocket", (socket) => {
      sockets.set(tab, sockets.get(tab)! + 1);
      socket.on("close", () => sockets.set(tab, sockets.get(tab)! - 1));
    });
    tabs.push(tab);
  }
  await page.close();
  for (const tab of tabs) {
    await tab.goto(`/w/${workspace}`);
    await live(tab);
  }
  const open = () => tabs.filter((tab) => !tab.isClosed()).reduce((all, tab) => all + sockets.get(tab)!, 0);
  await expect.poll(open).toBe(1);
  await upload(context.request, workspace, [FILES[2]]);
  for (const tab of tabs) {
    await allReady(tab, [FILES[2]]);
  }
  const leader = tabs.find((tab) => sockets.get(tab) === 1)!;
  await leader.close();
  const left = tabs.filter((tab) => !tab.isClosed());
  await expect.poll(open).toBe(1);
  await upload(context.request, workspace, [FILES[3]]);
  for (const tab of left) {
    await allReady(tab, [FILES[2], FILES[3]]);
    await expect(tab.locator("html")).toHaveAttribute("data-live", "open");
  }
});

test("a tab that follows asks once more for what it missed when no answer comes", async ({ page, context }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}`);
  await live(page);
  const tab = await context.newPage();
  // Whoever waits for ten seconds waits for half a second here, once: what comes late then is waited for as ever.
  await tab.addInitScript(() => {
    const real = window.setTimeout.bind(window);
    let isFirst = true;
    const short = (run: TimerHandler, time = 0, ...rest: unknown[]) => {
      const shortens = isFirst && time >= 10_000;
      if (shortens) isFirst = false;
      return real(run, shortens ? time / 20 : time, ...rest);
    };
    Object.assign(window, { setTimeout: short });
  });
  const asked = { times: 0 };
  await tab.route(/\/api\/status\/changes/, async (route) => {
    // As over a line that is dead: the first question is never answered.
    if (++asked.times > 1) await route.continue();
  });
  await tab.goto(`/w/${workspace}`);
  await live(tab);
  expect(asked.times).toBeGreaterThan(1);
  await upload(page.request, workspace, [FILES[3]]);
  await allReady(tab, [FILES[3]]);
});

test("all tabs go to sign-in when the session ends in one", async ({ page, context }) => {
  await signUp(page);
  const other = await context.newPage();
  await page.goto("/");
  await other.goto("/");
  await live(page);
  await live(other);
  const out = await page.request.post("/api/auth/logout");
  expect(out.status()).toBe(204);
  await expect(page).toHaveURL(/\/signin/);
  await expect(other).toHaveURL(/\/signin/);
});

test("a page that comes back when somebody else is signed in shows theirs, and nothing of both", async ({ page, complaints }) => {
  complaints.allow(/WebSocket|api\/status\/(events|changes)|Failed to load resource/);
  const line = { cut: false, ends: [] as (() => void)[] };
  await page.routeWebSocket("**/api/status/ws", (socket) => {
    if (line.cut) return void socket.close();
    const server = socket.connectToServer();
    line.ends.push(() => {
      void server.close();
      void socket.close();
    });
  });
  await barOtherWays(page, () => line.cut);
  await signUp(page);
  await live(page);
  const first = await firstWorkspace(page.request);
  const listed = (id: string) => page.locator(`.nav [data-workspace-id="${id}"]`);
  await expect(listed(first)).toHaveCount(1);
  line.cut = true;
  line.ends.forEach((end) => end());
  await expect(page.locator("html")).toHaveAttribute("data-live", "closed");
  // In another tab, say: the cookie is that of the whole browser, and this page hears nothing of it.
  const made = await page.request.post("/api/auth/signup", { data: person() });
  expect(made.status(), await made.text()).toBe(201);
  const theirs = await firstWorkspace(page.request);
  line.cut = false;
  const shown = async () => {
    await page.evaluate(() => window.dispatchEvent(new Event("online"))).catch(() => {});
    return listed(theirs).count().catch(() => 0);
  };
  await expect.poll(shown).toBe(1);
  await live(page);
  await expect(listed(first)).toHaveCount(0);
});

test("a proxy that doubles and delays frames changes nothing", async ({ page }) => {
  // What is still to come a second time, behind all that came after it, and how many frames did.
  const doubles = { due: [] as (() => void)[], sent: 0 };
  await page.routeWebSocket("**/api/status/ws", (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => {
      socket.send(message);
      const events = lines(message).filter((frame) => frame.includes('"event"'));
      if (events.length === 0) return;
      doubles.due.push(() => {
        socket.send(message);
        doubles.sent += events.length;
      });
    });
  });
  const sendDoubles = () => doubles.due.splice(0).forEach((send) => send());
  await signUp(page);
  const scans = await external(page.request);
  await page.goto(`/w/${scans.id}`);
  await live(page);
  // Those of the page before go with it.
  doubles.due.length = 0;
  // Every status and every percentage that a row ever had.
  await page.evaluate(() => {
    const seen: Record<string, { status: string[]; percent: number[] }> = {};
    Object.assign(window, { seen });
    new MutationObserver(() => {
      for (const row of document.querySelectorAll<HTMLElement>(".doc-row[data-document-id]")) {
        const of = (seen[row.dataset.documentId!] ??= { status: [], percent: [] });
        if (of.status.at(-1) !== row.dataset.status) of.status.push(row.dataset.status!);
        const bar = row.querySelector("progress");
        if (bar && of.percent.at(-1) !== bar.value) of.percent.push(bar.value);
      }
    }).observe(document.body, { subtree: true, childList: true, attributes: true });
  });
  const documents = await scans.add(["a.txt", "b.txt", "c.txt"]);
  const rows = page.locator(".doc-row[data-document-id]");
  await expect(rows).toHaveCount(3);
  for (const id of documents) {
    const row = page.locator(`.doc-row[data-document-id="${id}"]`);
    // Progress that waits to be sent is replaced by what comes after it, so each is seen before the next is told.
    for (const [step, progress] of [["reading_pages", 20], ["naming_pages", 60]] as const) {
      await scans.report(id, { status: "processing", step, progress });
      await expect(row.locator("progress")).toHaveJSProperty("value", progress);
    }
    await expect(row).toHaveAttribute("data-status", "processing");
    await scans.report(id, { status: "ready", chunk_count: 3 });
    await expect(row).toHaveAttribute("data-status", "ready");
    sendDoubles();
  }
  await expect(page.locator(".toast")).toContainText("Upload of 3 files: done.");
  // The last ones.
  sendDoubles();
  expect(doubles.sent).toBeGreaterThan(15);
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const seen = await page.evaluate(
    () => (window as unknown as { seen: Record<string, { status: string[]; percent: number[] }> }).seen,
  );
  for (const id of documents) {
    expect(seen[id].status, "no status came back").toEqual(["pending", "processing", "ready"]);
    expect(seen[id].percent, "no bar fell").toEqual([...seen[id].percent].sort((a, b) => a - b));
  }
  await expect(rows).toHaveCount(3);
  await expect(page.locator('[data-fact="Ready"] dd')).toHaveText("3");
});

test("a line that swallows everything is found out, and the next one brings what was missed", async ({ page, complaints }) => {
  complaints.allow(/WebSocket|api\/status\/(events|changes)/);
  await page.clock.install();
  const { scans, line } = await halfOpen(page);
  line.swallows = true;
  const [id] = await scans.add(["a.txt"]);
  await scans.report(id, { status: "processing" });
  await scans.report(id, { status: "ready", chunk_count: 1 });
  await expect(page.locator(".doc-row[data-document-id]")).toHaveCount(0);
  const row = page.locator(`.doc-row[data-document-id="${id}"]`);
  await expect
    .poll(async () => {
      await page.clock.runFor(5_000);
      return (await row.count()) === 1 && row.getAttribute("data-status");
    }, { timeout: 120_000 })
    .toBe("ready");
  await live(page);
  expect(line.opened).toBeGreaterThan(1);
});

test("a network that is gone is found out at once, and nothing pretends to be live until then", async ({ page, complaints }) => {
  complaints.allow(/WebSocket|api\/status\/(events|changes)/);
  const { scans, line } = await halfOpen(page);
  line.swallows = true;
  const [id] = await scans.add(["a.txt"]);
  await page.evaluate(() => {
    const seen: string[] = [];
    Object.assign(window, { seen });
    const root = document.documentElement;
    new MutationObserver(() => seen.push(root.dataset.live!)).observe(root, { attributeFilter: ["data-live"] });
    window.dispatchEvent(new Event("offline"));
  });
  await expect(page.locator(`.doc-row[data-document-id="${id}"]`)).toHaveAttribute("data-status", "pending");
  await live(page);
  const seen = await page.evaluate(() => (window as unknown as { seen: string[] }).seen);
  expect([seen[0], seen.at(-1)]).toEqual(["closed", "open"]);
  expect(line.opened).toBe(2);
});

test("two people who upload at once each see their own and hear nothing of the other", async ({ page, browser, baseURL, complaints }) => {
  const context = await browser.newContext({ baseURL });
  const pages = [page, await context.newPage()];
  complaints.watch(pages[1]);
  const heard = await Promise.all(
    pages.map(async (tab) => {
      const frames: string[] = [];
      await tab.routeWebSocket("**/api/status/ws", (socket) => {
        const server = socket.connectToServer();
        server.onMessage((message) => {
          frames.push(...lines(message));
          socket.send(message);
        });
      });
      return frames;
    }),
  );
  const people = await Promise.all(
    pages.map(async (tab) => {
      await signUp(tab);
      const id = await firstWorkspace(tab.request);
      const { user_id } = await (await tab.request.get(`/api/workspaces/${id}`)).json();
      await tab.goto(`/w/${id}`);
      await live(tab);
      // Whatever the tray ever showed.
      await tab.evaluate(() => {
        const tray = new Set<string>();
        Object.assign(window, { tray });
        new MutationObserver(() => {
          for (const line of document.querySelectorAll<HTMLElement>(".tray-job")) tray.add(line.dataset.jobId!);
        }).observe(document.body, { subtree: true, childList: true });
      });
      return { tab, id, user_id };
    }),
  );
  const files = [[FILES[3]], [FILES[2], FILES[3]]];
  const jobs = await Promise.all(people.map(({ tab, id }, n) => upload(tab.request, id, files[n])));
  // A good word goes by itself after a while, so both are waited for at once.
  const said = [/Upload of 1 file: done/, /Upload of 2 files: done/];
  await Promise.all(people.map(({ tab }, n) => expect(tab.locator(".toast")).toHaveText([said[n]], { timeout: 120_000 })));
  for (const [n, { tab, user_id }] of people.entries()) {
    await allReady(tab, files[n]);
    await expect(tab.locator(".doc-row[data-document-id]")).toHaveCount(files[n].length);
    const tray = await tab.evaluate(() => [...(window as unknown as { tray: Set<string> }).tray]);
    expect(tray).toEqual([jobs[n].job_id]);
    // No frame names anything of the other one.
    const events = heard[n].filter((frame) => frame.includes('"event"'));
    expect(events.length).toBeGreaterThan(5);
    const other = people[1 - n];
    const foreign = [other.user_id, other.id, jobs[1 - n].job_id, ...jobs[1 - n].documents.map((d: { document_id: string }) => d.document_id)];
    expect(foreign.every(Boolean)).toBe(true);
    for (const frame of heard[n]) {
      for (const id of foreign) expect(frame).not.toContain(id);
    }
    expect(events.some((frame) => frame.includes(user_id))).toBe(true);
  }
  await context.close();
});
