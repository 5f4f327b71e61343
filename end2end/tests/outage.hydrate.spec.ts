// The server dies, or nobody is left to work: the page tells the truth meanwhile and recovers by itself.
import { type Page } from "@playwright/test";
import { expect, test } from "../fixtures";
import {
  allReady,
  countLoads,
  elsewhere,
  live,
  long,
  lost,
  openFirst,
  patient,
  row,
  signUp,
  turning,
  upload,
  word,
} from "./support";

test("the server is killed in the middle and the page recovers by itself", async ({ page, server, complaints }) => {
  complaints.allow(/WebSocket|ERR_CONNECTION_REFUSED|Failed to load resource/);
  await signUp(page);
  await openFirst(page);
  const loads = countLoads(page);
  // Long enough that its pace is known well before its end, however fast the machine is.
  await page.locator("input[type=file]").first().setInputFiles([
    { name: "long.txt", mimeType: "text/plain", buffer: long(40_000) },
    { name: "short.txt", mimeType: "text/plain", buffer: Buffer.from("The lantern keeper writes.") },
  ]);
  await expect(row(page, "long.txt")).toHaveAttribute("data-status", "processing");
  const pace = page.getByRole("region", { name: "Latest job" }).locator(".phase-pace");
  await expect(pace.first()).toContainText(/left$/);
  await server.kill();
  await expect(page.locator("html")).toHaveAttribute("data-live", "closed");
  await expect(page.getByText(/Live updates paused since \d\d:\d\d/)).toBeVisible();
  // Nobody knows how far it is by now: no ring turns, and nothing says how long it will take.
  expect(await turning(page)).toBe(0);
  await expect(pace).toHaveCount(0);
  await expect(page.getByText(/about .* left|a few seconds left/)).toHaveCount(0);
  await server.start();
  await live(page);
  await allReady(page, ["long.txt", "short.txt"]);
  expect(loads()).toBe(0);
});

test("what nobody is left to work on says so until a worker has it again, also when it was paused meanwhile", async ({
  browser,
  complaints,
}) => {
  complaints.allow(/WebSocket|api\/status\/(events|changes)|ERR_CONNECTION_REFUSED|Failed to load resource/);
  const { page, who, workspace, server, models, send, steer, end } = await patient(browser);
  const why =
    "The work was interrupted, and nobody is at it just now. It goes on by itself, from where it stopped, as soon as a worker is free.";
  const panel = page.getByRole("region", { name: "Latest job" });
  const message = row(page, "begun.txt").locator(".doc-message");
  try {
    models.hold("begun.txt");
    const { job, documents } = await send("begun.txt");
    await expect(word(page, "begun.txt")).toHaveText(/^Processing · \d+ %$/);
    await send("waiting.txt");
    await expect(word(page, "waiting.txt")).toHaveText("Pending · behind 1");
    const other = await page.context().newPage();
    await other.goto(`/d/${documents[0]}`);
    await live(other);
    const ofDocument = (tab: Page) => tab.locator(".page-title .badge-word");
    const warnings = (tab: Page) => tab.getByRole("region", { name: "Warnings" });
    const restart = async (args?: string[]) => {
      await server.kill();
      await expect(page.locator("html")).toHaveAttribute("data-live", "closed");
      await server.start(args);
      for (const tab of [page, other]) await live(tab);
    };
    const isInterrupted = async () => {
      await expect(word(page, "begun.txt")).toHaveText("Interrupted");
      await expect(message).toHaveText(why);
      await expect(panel).toHaveAttribute("data-status", "interrupted");
      await expect(page.locator(`.tray-job[data-job-id="${job}"] .badge-word`)).toHaveText("Interrupted");
      await expect(ofDocument(other)).toHaveText("Interrupted");
      await expect(warnings(other).getByRole("listitem")).toHaveText([why]);
      for (const tab of [page, other]) await expect.poll(() => turning(tab.getByRole("main"))).toBe(0);
      // What was not begun only waits.
      await expect(word(page, "waiting.txt")).toHaveText("Pending · behind 1");
    };
    // There is a server again, and none that works.
    await restart(["serve", "--role", "web"]);
    await isInterrupted();
    // Whoever comes later reads the same, with a script or without one.
    for (const tab of [page, other]) {
      await tab.reload();
      await live(tab);
    }
    await isInterrupted();
    const plain = await elsewhere(browser, server.url, who);
    await plain.goto(`/w/${workspace}`);
    await expect(word(plain, "begun.txt")).toHaveText("Interrupted");
    await expect(word(plain, "waiting.txt")).toHaveText("Pending · behind 1");
    await plain.goto(`/d/${documents[0]}`);
    await expect(ofDocument(plain)).toHaveText("Interrupted");
    await expect(warnings(plain).getByRole("listitem")).toHaveText([why]);
    await plain.context().close();

    // That it is to go on makes nobody work on it.
    await steer(`jobs/${job}/pause`);
    for (const says of [word(page, "begun.txt"), ofDocument(other)]) await expect(says).toHaveText("Paused");
    await steer(`jobs/${job}/resume`);
    await isInterrupted();

    await restart();
    for (const says of [word(page, "begun.txt"), ofDocument(other)]) await expect(says).toHaveText(/^Processing · \d+ %$/);
    await expect(panel).toHaveAttribute("data-status", "processing");
    await expect(message).not.toHaveText(why);
    await expect(warnings(other)).toHaveCount(0);
    await expect(word(page, "waiting.txt")).toHaveText("Pending · behind 1");
    models.release("begun.txt");
    await allReady(page, ["begun.txt", "waiting.txt"]);
    await expect(other.locator("[data-document-id].page")).toHaveAttribute("data-status", "ready");
  } finally {
    models.release("begun.txt");
    await end();
  }
});

test("after ten minutes without a server the page still tries, and Retry now brings it back at once", async ({
  page,
  server,
  complaints,
}) => {
  complaints.allow(/WebSocket|ERR_CONNECTION_REFUSED|Failed to load resource/);
  await page.clock.install();
  await signUp(page);
  const workspace = await openFirst(page);
  // Counted in the page, as they begin: the browser tells of one that was refused in its own time.
  await page.evaluate(() => {
    const tries = { all: 0 };
    Object.assign(window, { tries });
    for (const name of ["WebSocket", "EventSource"] as const) {
      const construct = (real: new (...args: unknown[]) => object, args: unknown[]) => {
        tries.all++;
        return Reflect.construct(real, args);
      };
      Object.assign(window, { [name]: new Proxy(window[name] as new (...args: any[]) => object, { construct }) });
    }
    const ask = window.fetch;
    window.fetch = (...args) => {
      const [what] = args;
      if (/api\/status\/(events|changes)/.test(what instanceof Request ? what.url : String(what))) tries.all++;
      return ask.apply(window, args);
    };
  });
  const tries = () => page.evaluate(() => (window as unknown as { tries: { all: number } }).tries.all);
  await server.kill();
  await expect(page.getByText(/Live updates paused since \d\d:\d\d/)).toBeVisible();
  const retry = page.getByRole("button", { name: "Retry now" });
  // What the badge says; a reader is told of each change.
  await page.evaluate(() => {
    const said = new Set<string>();
    Object.assign(window, { said });
    const badge = document.querySelector(".connection")!;
    new MutationObserver(() => said.add(badge.textContent!)).observe(badge, { subtree: true, childList: true, characterData: true });
  });
  let minutes = 0;
  for (; minutes < 10; minutes++) {
    const before = await tries();
    // A refused try is told by the browser in its own time, so the clock goes on in small steps.
    for (let step = 0; step < 12; step++) await page.clock.runFor(5_000);
    expect(await tries(), `tries in minute ${minutes + 1}`).toBeGreaterThan(before);
  }
  await expect
    .poll(async () => {
      await page.clock.runFor(1_000);
      return retry.isVisible();
    })
    .toBe(true);
  await expect(page.getByText(/next try in \d+ s/)).toBeVisible();
  // Also on a phone, where nothing may stand out of the window.
  const before = page.viewportSize()!;
  await page.setViewportSize({ width: 390, height: 844 });
  await expect(page.locator("[data-next-try]")).toHaveText(/\d+ s/);
  await expect(page.locator("[data-next-try]")).toBeVisible();
  expect((await lost(page)).out).toEqual([]);
  await page.setViewportSize(before);
  const said = await page.evaluate(() => [...(window as unknown as { said: Set<string> }).said]);
  expect(said, "no try takes away since when updates are paused").toEqual([]);
  // From here on no timer of the page comes up, so that no try of its own is sooner than the click.
  await page.clock.pauseAt((await page.evaluate(() => Date.now())) + 10_000);
  await expect
    .poll(async () => {
      await page.clock.runFor(100);
      return retry.isVisible();
    })
    .toBe(true);
  await server.start();
  await retry.click();
  await expect(page.locator("html")).toHaveAttribute("data-live", "open");
  await page.clock.resume();
  await expect(page.getByText(/Live updates paused/)).toBeHidden();
  await upload(page.request, workspace, ["glossary.txt"]);
  await expect
    .poll(async () => {
      await page.clock.runFor(1_000);
      return row(page, "glossary.txt").getAttribute("data-status");
    }, { timeout: 60_000 })
    .toBe("ready");
});
