// What stands in the place of a page that cannot be read.
import { expect, test } from "../fixtures";
import { allReady, external, failedDocument, firstWorkspace, live, lost, openFirst, row, signUp, upload } from "./support";

test("a page that is opened while the server is away says so, and comes by itself", async ({ page, ownServer, complaints }) => {
  // What is on its way when the server dies is refused, reset or left without an answer, as it happens.
  complaints.allow(/net::ERR_(CONNECTION_|EMPTY_RESPONSE|INCOMPLETE_CHUNKED_ENCODING)|WebSocket connection|Failed to fetch/);
  await signUp(page, undefined, ownServer.url);
  await live(page);
  await ownServer.kill();
  await expect(page.locator("html")).not.toHaveAttribute("data-live", "open");
  await page.getByRole("main").getByRole("link", { name: "My documents" }).click();
  await expect(page.getByRole("heading", { name: "The server cannot be reached" })).toBeVisible();
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByRole("heading", { name: "The server cannot be reached" })).toBeVisible();
  await ownServer.start();
  // With the link, which is tried every half a minute at the latest.
  await live(page);
  await expect(page.getByRole("heading", { level: 1, name: "My documents" })).toBeVisible();
  // After an outage the link may be back as a stream first; it is given up before the server ends with this test.
  await page.goto("about:blank");
});

test("what belongs to somebody else looks like what is not there", async ({ page, browser, baseURL, complaints }) => {
  complaints.allow(/404/);
  const other = await browser.newContext({ baseURL });
  const theirs = await other.newPage();
  await signUp(theirs);
  const address = await theirs.getByRole("main").getByRole("link", { name: "My documents" }).getAttribute("href");
  await other.close();
  await signUp(page);
  await page.goto(address!);
  await expect(page.getByRole("heading", { name: "There is no such workspace" })).toBeVisible();
  await page.getByRole("link", { name: "All workspaces" }).last().click();
  await expect(page.getByRole("heading", { level: 1, name: "Workspaces" })).toBeVisible();
});

test("where a document is from stays within a phone, however long its address is", async ({ page }) => {
  await signUp(page);
  const scans = await external(page.request);
  const [id] = await scans.add(["a.txt"]);
  // Nothing in it at which a browser would break it by itself.
  const source_url = `https://example.org/${"a_rather_long_address_".repeat(15)}`;
  await scans.report(id!, { status: "processing", metadata: { source_url } });
  await page.setViewportSize({ width: 320, height: 640 });
  await page.goto(`/d/${id}`);
  await live(page);
  await expect(page.getByRole("link", { name: source_url })).toBeVisible();
  expect(await lost(page)).toEqual({ wide: 0, out: [] });
});

test("a part that fails says so in its own place, and the rest of the page goes on", async ({ page, complaints }) => {
  complaints.allow(/ERR_FAILED|Failed to fetch|Failed to load resource/);
  await signUp(page);
  const workspace = await openFirst(page);
  const search = async () => {
    await page.getByRole("searchbox", { name: "Search in this workspace" }).fill("What is a workspace?");
    await page.getByRole("button", { name: "Search", exact: true }).click();
  };
  await page.route("**/_fn/workspaces/search", (route) => route.abort());
  await search();
  const broken = page.getByRole("alert").filter({ hasText: "The search did not work" });
  await expect(broken).toBeVisible();
  // What is around it still moves.
  await upload(page.request, workspace, ["glossary.txt"]);
  await allReady(page, ["glossary.txt"]);
  await expect(broken).toBeVisible();
  // The card of the job reads the steps of the documents by itself.
  await page.route("**/_fn/workspaces/job_steps", (route) => route.abort());
  const job = page.getByRole("region", { name: "Latest job" });
  await job.getByText("Over time").click();
  const unread = job.getByRole("alert").filter({ hasText: "The steps of the documents could not be read" });
  await expect(unread).toContainText("unreachable");
  await expect(job).toContainText("1 of 1 file done");
  await expect(broken).toBeVisible();
  await page.unroute("**/_fn/workspaces/job_steps");
  await unread.getByRole("button", { name: "Try again" }).click();
  await expect(unread).toHaveCount(0);
  await expect(job.getByRole("region", { name: "The job over time" })).toBeVisible();
  await page.unroute("**/_fn/workspaces/search");
  await broken.getByRole("link", { name: "Clear search" }).click();
  await expect(broken).toHaveCount(0);
  await expect(row(page, "glossary.txt")).toBeVisible();
  await search();
  await expect(page.getByRole("region", { name: "Search results" })).toBeVisible();

  // The chunks of a document: the next of them cannot be read, those that are there stay.
  const config = { data: { chunk_size: 100, chunk_overlap: 0, retriever_type: "keyword" } };
  expect((await page.request.put(`/api/workspaces/${workspace}/rag-config`, config)).status()).toBe(200);
  const long = Buffer.from("A lantern hangs on every bridge of the harbour, and none is alike. ".repeat(200));
  await page.locator("input[type=file]").first().setInputFiles([{ name: "long.txt", mimeType: "text/plain", buffer: long }]);
  await allReady(page, ["long.txt"]);
  await row(page, "long.txt").getByRole("link").click();
  const chunks = page.getByRole("region", { name: /^Chunks/ });
  await page.route("**/_fn/documents/chunks", (route) => route.abort());
  await chunks.getByRole("button", { name: "Load more" }).click();
  const missing = chunks.getByRole("alert").filter({ hasText: "The chunks could not be read" });
  await expect(missing).toBeVisible();
  const before = await chunks.locator("[data-chunk-id]").count();
  expect(before).toBeGreaterThan(0);
  await page.unroute("**/_fn/documents/chunks");
  await missing.getByRole("button", { name: "Try again" }).click();
  await expect(missing).toHaveCount(0);
  await expect.poll(() => chunks.locator("[data-chunk-id]").count()).toBeGreaterThan(before);

  // A tab of the settings: its neighbours and the frame stay, and another try brings it.
  await page.goto("/settings/profile");
  await live(page);
  await page.route("**/_fn/settings/sessions", (route) => route.abort());
  await page.getByRole("navigation", { name: "Settings" }).getByRole("link", { name: "Sessions" }).click();
  await expect(page.getByRole("heading", { name: "The server cannot be reached" })).toBeVisible();
  await expect(page.locator("html")).toHaveAttribute("data-live", "open");
  await expect(page.getByRole("navigation", { name: "Settings" })).toBeVisible();
  await page.unroute("**/_fn/settings/sessions");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.locator(".lines .line")).toHaveCount(1);
});

test("what finds a failure in the log is on screen and can be copied, on any page", async ({ page, context, server }) => {
  await signUp(page);
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: server.url });
  const failed = await failedDocument(page.request, await firstWorkspace(page.request));
  await page.goto(`/d/${failed}`);
  await live(page);
  const panel = page.getByRole("alert");
  await expect(panel).toContainText("Phase: Loading");
  const copy = panel.getByRole("button", { name: "Copy details" });
  await copy.click();
  await expect(panel.getByRole("status")).toHaveText("Copied");
  const read = () => page.evaluate(() => (window as unknown as { clip?: Clipboard }).clip?.readText() ?? navigator.clipboard.readText());
  const text = await read();
  for (const part of ["This PDF is damaged", "Phase: Loading", "Code: unreadable", "File: broken.pdf"]) expect(text).toContain(part);
  const id = /^Correlation id: (\S+)$/m.exec(text)![1];
  const lines = async () => (await server.log()).split("\n").filter((line) => line.includes(id));
  await expect.poll(async () => (await lines()).some((line) => line.includes("a document failed"))).toBe(true);

  // Over plain HTTP from another machine there is no such clipboard; the old way does it.
  await page.evaluate(async () => {
    await navigator.clipboard.writeText("something else");
    Object.assign(window, { clip: navigator.clipboard });
    Object.defineProperty(navigator, "clipboard", { value: undefined, configurable: true });
  });
  await copy.click();
  await expect.poll(read).toBe(text);
  await expect(copy).toBeFocused();
  // Where neither is let, the text is there to be selected.
  await page.evaluate(() => Object.assign(document, { execCommand: () => false }));
  await copy.click();
  await expect(panel.locator("pre")).toContainText(`Correlation id: ${id}`);
});

test("a page that takes its time shows the shape of what comes, and one that fails what finds it in the log", async ({ page, complaints }) => {
  complaints.allow(/Failed to load resource/);
  await signUp(page);
  await live(page);
  const link = page.getByRole("main").getByRole("link", { name: "My documents" });
  let release = () => {};
  const held = new Promise<void>((go) => (release = go));
  await page.route("**/_fn/workspaces/read", async (route) => {
    await held;
    await route.continue();
  });
  await link.click();
  await expect(page.locator(".main .skeleton")).toBeVisible();
  release();
  await expect(page.getByRole("heading", { level: 1, name: "My documents" })).toBeVisible();
  await expect(page.locator(".main .skeleton")).toHaveCount(0);
  await page.unroute("**/_fn/workspaces/read");

  const problem = { type: "urn:insighthub:problem:internal", title: "Server error", status: 500, detail: "The server could not do this.", code: "internal", correlation_id: "0197-abc" };
  await page.route("**/_fn/workspaces/read", (route) => route.fulfill({ status: 500, contentType: "application/json", body: JSON.stringify(problem) }));
  await page.getByRole("navigation", { name: "Workspaces" }).getByRole("link", { name: "All workspaces" }).click();
  await link.click();
  await expect(page.getByRole("heading", { level: 1, name: "The workspace could not be read" })).toBeVisible();
  await expect(page.getByRole("alert")).toContainText("0197-abc");
  await expect(page).toHaveTitle("Not read · InsightHub");
  await page.unroute("**/_fn/workspaces/read");
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "My documents" })).toBeVisible();
  await expect(page).toHaveTitle("My documents · InsightHub");
});
