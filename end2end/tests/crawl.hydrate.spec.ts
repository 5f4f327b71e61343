// A site is crawled: the dialog, the counts as they move, the page that could not be had, and having it after all.
import { createServer, type Server as Site } from "node:http";
import { type AddressInfo } from "node:net";
import { type Page } from "@playwright/test";
import { Server, expect, test } from "../fixtures";
import { looks, openFirst, signUp } from "./support";

const html = (title: string, links: string[]) => {
  const text = `<p>${title} tells of the harbour, its lanterns and the ledger that lies on the quay.</p>`.repeat(4);
  const list = links.map((to) => `<li><a href="${to}">${to}</a></li>`).join("");
  return `<!doctype html><html><head><title>${title}</title></head><body><main><h1>${title}</h1>${text}</main><ul>${list}</ul></body></html>`;
};

/** A site of seven pages, of which one is broken until it is mended, or away for some minutes. */
class Docs {
  broken = true;
  away = false;
  asked: string[] = [];
  private readonly site: Site;

  constructor() {
    const pages: Record<string, string> = {
      "/docs/": html("Start", ["one", "two", "three", "four", "broken", "/elsewhere", "private"]),
      "/docs/one": html("One", ["two"]),
      "/docs/two": html("Two", ["one", "https://example.org/"]),
      "/docs/three": html("Three", []),
      "/docs/four": html("Four", []),
    };
    this.site = createServer((request, response) => {
      const path = request.url ?? "/";
      this.asked.push(path);
      if (path === "/robots.txt") return response.end("User-agent: *\nDisallow: /docs/private");
      const body = path === "/docs/broken" && !this.broken ? html("Mended", []) : pages[path];
      response.statusCode = body ? 200 : path !== "/docs/broken" ? 404 : this.away ? 503 : 500;
      response.setHeader("content-type", "text/html");
      // It may be asked again at once, so that nobody waits for the tries.
      if (response.statusCode === 500) response.setHeader("retry-after", "0");
      if (response.statusCode === 503) response.setHeader("retry-after", "300");
      response.end(body ?? "nothing");
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((begun) => this.site.listen(0, "127.0.0.1", begun));
    return `http://127.0.0.1:${(this.site.address() as AddressInfo).port}/docs/`;
  }

  async stop(): Promise<void> {
    await new Promise((ended) => this.site.close(ended));
  }
}

const fact = (page: Page, name: string) => page.locator(`[data-crawl] [data-fact="${name}"] dd`);
const panel = (page: Page) => page.getByRole("region", { name: "Latest job" });

test("a site is crawled, its broken page is told with its code, and is had after all", async ({ page, complaints }) => {
  // What the form is refused on purpose.
  complaints.allow(/422/);
  const docs = new Docs();
  const url = await docs.start();
  const server = await Server.make({ INSIGHTHUB_CRAWL_ALLOW: "127.0.0.1/32" });
  await server.start();
  try {
    await signUp(page, undefined, server.url);
    await openFirst(page);
    await page.getByRole("link", { name: "Crawl a site" }).click();
    const dialog = page.getByRole("dialog", { name: "Crawl a site" });
    await expect(dialog.getByLabel("Address", { exact: true })).toBeFocused();
    await page.keyboard.press("Enter");
    await expect(dialog.getByText("Enter the address of the site.")).toBeVisible();
    await dialog.getByLabel("Address", { exact: true }).fill("http://10.0.0.1/");
    await dialog.getByLabel("Depth").fill("many");
    await page.keyboard.press("Enter");
    await expect(dialog.getByText("Use a number from 0 to 50.")).toBeVisible();
    await dialog.getByLabel("Depth").fill("3");
    await page.keyboard.press("Enter");
    await expect(dialog.getByText("This address belongs to a network that is not public.")).toBeVisible();
    await expect(dialog.getByLabel("Address", { exact: true })).toBeFocused();
    await dialog.getByLabel("Address", { exact: true }).fill(url);
    await page.keyboard.press("Enter");
    await expect(dialog).toBeHidden();

    await expect(panel(page)).toContainText("Crawl of 127.0.0.1");
    await expect(panel(page)).toHaveAttribute("data-status", "completed", { timeout: 120_000 });
    await expect(fact(page, "Found")).toHaveText("9");
    await expect(fact(page, "Fetched")).toHaveText("5");
    await expect(fact(page, "Failed")).toHaveText("1");
    await expect(fact(page, "Skipped")).toHaveText("3");
    await expect(fact(page, "Blocked by robots.txt")).toHaveText("1");
    await expect(page.locator('.doc-row[data-status="ready"]')).toHaveCount(5);

    await panel(page).getByText("1 page failed").click();
    const broken = panel(page).locator(`[data-url="${url}broken"]`);
    await expect(broken.locator("[data-http-status]")).toHaveText("500");
    await expect(broken).toContainText("The site answered 500 (server error).");
    await panel(page).getByText("3 pages skipped").click();
    await expect(panel(page).locator(`[data-url="${url}private"]`)).toContainText("robots.txt");

    // The list of errors says that it is missing, and leads to where it can be asked for again.
    const errors = await page.context().newPage();
    await errors.goto(`${server.url}/errors`);
    const missing = errors.getByRole("region", { name: "What is missing" });
    await expect(missing).toContainText(/1 page of 127\.0\.0\.1:\d+\/docs could not be had\./);
    await looks(errors, "errors-missing");
    await missing.getByRole("link", { name: "Open the crawl" }).click();
    await expect(errors).toHaveURL(/\/w\/[^/]+\/jobs\/[^/]+$/);
    await errors.close();

    docs.broken = false;
    docs.asked = [];
    await panel(page).getByRole("button", { name: /^Retry failed/ }).click();
    await expect(fact(page, "Failed")).toHaveText("0");
    await expect(fact(page, "Fetched")).toHaveText("6");
    await expect(panel(page)).toHaveAttribute("data-status", "completed", { timeout: 120_000 });
    await expect(page.locator('.doc-row[data-status="ready"]')).toHaveCount(6);
    expect(docs.asked).toEqual(["/docs/broken"]);

    // The page of the job tells the same.
    await panel(page).getByRole("link", { name: "Details" }).click();
    await expect(fact(page, "Fetched")).toHaveText("6");
    await page.getByText("3 pages skipped").click();
    await expect(page.locator(`[data-url="${url}private"]`)).toBeVisible();
  } finally {
    await server.remove();
    await docs.stop();
  }
});

test("a page that waits for its next try is listed with the moment of that, as long as it is asked for", async ({ page }) => {
  const docs = new Docs();
  docs.away = true;
  const url = await docs.start();
  const server = await Server.make({ INSIGHTHUB_CRAWL_ALLOW: "127.0.0.1/32" });
  await server.start();
  try {
    await signUp(page, undefined, server.url);
    const workspace = await openFirst(page);
    const begun = await page.request.post(`${server.url}/api/workspaces/${workspace}/crawls`, { data: { url } });
    expect(begun.status(), await begun.text()).toBe(202);
    await expect(fact(page, "Fetched")).toHaveText("5", { timeout: 120_000 });
    const waiting = panel(page).locator('[data-pages="waiting"]');
    await waiting.getByText("1 page waiting").click();
    const line = waiting.locator(`[data-url="${url}broken"]`);
    await expect(line.locator("[data-http-status]")).toHaveText("503");
    await expect(line).toContainText(/Retry 2 of 3/);
    await expect(line.locator("[data-waits-until]")).toHaveText(/^Next try at \d+ \w+ \d{4}, \d\d:\d\d:\d\d/);
    await looks(page, "crawl-waiting");
    await panel(page).getByText("Cancel…").click();
    await panel(page).getByRole("button", { name: "Keep what is ready" }).click();
    await expect(panel(page)).toHaveAttribute("data-status", "cancelled");
    await expect(waiting.locator("summary")).toHaveText("1 page not fetched");
    await expect(line.locator("[data-waits-until]")).toBeHidden();
  } finally {
    await server.remove();
    await docs.stop();
  }
});

test("the form of a crawl fits a small screen and closes by the keyboard", async ({ page }) => {
  await page.setViewportSize({ width: 390, height: 800 });
  await signUp(page);
  await openFirst(page);
  await page.getByRole("link", { name: "Crawl a site" }).click();
  const dialog = page.getByRole("dialog", { name: "Crawl a site" });
  await expect(dialog.getByLabel("Address", { exact: true })).toBeFocused();
  const box = await dialog.boundingBox();
  expect(box && box.x >= 0 && box.x + box.width <= 390).toBe(true);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await expect(page).toHaveURL(/\/w\/[^?]+$/);
});
