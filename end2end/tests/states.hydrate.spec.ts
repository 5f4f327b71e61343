// What stands in the place of a page that cannot be read.
import { expect, test } from "../fixtures";
import { live, signUp } from "./support";

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
