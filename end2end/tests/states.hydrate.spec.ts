// What stands in the place of a page that cannot be read.
import { expect, test } from "../fixtures";
import { allReady, live, openFirst, row, signUp, upload } from "./support";

test("a page that is opened while the server is away says so, and comes by itself", async ({ page, ownServer, complaints }) => {
  complaints.allow(/ERR_CONNECTION_REFUSED|WebSocket connection|Failed to fetch/);
  await signUp(page, undefined, ownServer.url);
  await live(page);
  await ownServer.kill();
  await expect(page.locator("html")).not.toHaveAttribute("data-live", "open");
  await page.getByRole("main").getByRole("link", { name: "My documents" }).click();
  await expect(page.getByRole("heading", { name: "The server cannot be reached" })).toBeVisible();
  await page.getByRole("button", { name: "Try again" }).click();
  await expect(page.getByRole("heading", { name: "The server cannot be reached" })).toBeVisible();
  await ownServer.start();
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
  await page.unroute("**/_fn/workspaces/search");
  await broken.getByRole("link", { name: "Clear search" }).click();
  await expect(broken).toHaveCount(0);
  await expect(row(page, "glossary.txt")).toBeVisible();
  await search();
  await expect(page.getByRole("region", { name: "Search results" })).toBeVisible();

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
