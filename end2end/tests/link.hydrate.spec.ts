// The live link when the way is bad: no sockets, no streams, many tabs, a leader that goes.
import { expect, test } from "../fixtures";
import { FILES, allReady, firstWorkspace, live, signUp, upload } from "./support";
import type { BrowserContext, Page } from "@playwright/test";

const transport = (page: Page) => page.locator("html");

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

for (const [name, attribute] of [
  ["server-sent events", "sse"],
  ["long polling", "poll"],
] as const) {
  test(`without sockets the page is live by ${name}, says so, and climbs back`, async ({ page, context, complaints }) => {
    complaints.allow(/no-such-door|api\/status\/events/);
    await withoutSockets(context);
    if (attribute === "poll") await context.route("**/api/status/events?*", (route) => route.abort());
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
    await expect(transport(page)).toHaveAttribute("data-transport", "ws");
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

test("a proxy that doubles and delays frames changes nothing", async ({ page }) => {
  await page.routeWebSocket("**/api/status/ws", (socket) => {
    const server = socket.connectToServer();
    server.onMessage((message) => {
      socket.send(message);
      if (!String(message).includes('"welcome"')) setTimeout(() => socket.send(message), 300);
    });
  });
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}`);
  await live(page);
  await upload(page.request, workspace, FILES);
  await allReady(page, FILES);
  await expect(page.locator(".doc-row[data-document-id]")).toHaveCount(FILES.length);
});
