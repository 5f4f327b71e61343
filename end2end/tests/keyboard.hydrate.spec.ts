// Every flow with the keyboard alone, and times in the reader's own zone.
import { expect, person, test } from "../fixtures";
import {
  FILES,
  addresses,
  allReady,
  completed,
  elsewhere,
  failedDocument,
  firstWorkspace,
  live,
  lost,
  path,
  refusedUpload,
  signUp,
  tabTo,
  unready,
  upload,
} from "./support";

/** 200 % of 640 px: the layout has 320 px. */
const SMALL = { width: 320, height: 480 };

test("from sign-up to a search, without a mouse", async ({ page }) => {
  const who = person();
  await page.goto("/signup");
  for (const [field, value] of [
    [/^Username/, who.username],
    [/^E-mail/, who.email],
    [/^Full name/, who.full_name],
    [/^Password/, who.password],
  ] as const) {
    await tabTo(page, field);
    await page.keyboard.type(value);
  }
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/$/);
  await live(page);

  // A workspace, by a dialog that keeps the focus and gives it back.
  await tabTo(page, /^New workspace$/);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog").getByLabel("Name")).toBeFocused();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog")).toBeHidden();
  await tabTo(page, /^New workspace$/);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog").getByLabel("Name")).toBeFocused();
  await page.keyboard.type("By hand");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog")).toBeHidden();
  await expect(page.getByRole("article").filter({ hasText: "By hand" })).toHaveAttribute("data-status", "ready");
  await tabTo(page, /^By hand$/);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "By hand" })).toBeVisible();

  // The picker opens by the keyboard. That somebody waits for it is known to the browser before the key is.
  const chooser = page.waitForEvent("filechooser");
  await tabTo(page, /Add files/);
  await page.keyboard.press("Enter");
  await (await chooser).setFiles(FILES.map(path));
  await allReady(page, FILES);

  // Searching, and from a hit to its document and its technical view.
  await tabTo(page, /Search in this workspace/);
  await page.keyboard.type("What is a workspace?");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("region", { name: "Search results" }).locator(".hit").first()).toBeVisible();
  await tabTo(page, new RegExp(`^(${FILES.join("|")})$`));
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/d\//);
  await tabTo(page, /Technical view/);
  await page.keyboard.press("Space");
  await expect(page.locator(".step-code").first()).toBeVisible();

  // The menu opens, closes with Escape, and signs out.
  await tabTo(page, /^Account/);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("button", { name: "Sign out" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("button", { name: "Sign out" })).toBeHidden();
  await expect(page.locator("summary:focus")).toHaveCount(1);
  await page.keyboard.press("Enter");
  await tabTo(page, /^Sign out$/);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/signin/);
});

test("the rest of a workspace, without a mouse", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await upload(page.request, workspace, ["glossary.txt"]);
  await page.goto("/");
  await live(page);
  const go = async (name: RegExp) => {
    await tabTo(page, name);
    await page.keyboard.press("Enter");
  };
  // What the list shows.
  await tabTo(page, /Search workspaces/);
  await page.keyboard.type("zzz");
  await expect(page.getByRole("heading", { name: "No workspace matches" })).toBeVisible();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.press("Delete");
  await tabTo(page, /^Order/);
  await page.keyboard.press("ArrowDown");
  await expect(page).toHaveURL(/sort=name/);
  await go(/^My documents$/);
  await expect(page.getByRole("heading", { level: 1, name: "My documents" })).toBeVisible();
  await allReady(page, ["glossary.txt"]);

  // Its name.
  await go(/^More$/);
  await go(/^Edit$/);
  await expect(page.getByRole("dialog").getByLabel("Name")).toBeFocused();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("Letters");
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "Letters" })).toBeVisible();

  // A folder is picked, and what is not taken is dismissed.
  const folders = page.waitForEvent("filechooser");
  await tabTo(page, /Add folder/);
  await page.keyboard.press("Enter");
  await folders;
  await refusedUpload(page);
  await go(/^Dismiss$/);
  await expect(page.locator("[data-upload]")).toHaveCount(0);

  // How the job went over time, and closer.
  await go(/^Over time$/);
  await expect(page.getByRole("region", { name: "The job over time" })).toBeVisible();
  await tabTo(page, /^3×/);
  await page.keyboard.press("Space");
  await expect(page.locator(".waterfall .chip[aria-pressed=true]")).toContainText("3");

  // What happened, as a file; how it went, as a table.
  await go(/^More$/);
  await go(/^History$/);
  await expect(page).toHaveURL(/\/history$/);
  const file = page.waitForEvent("download");
  await tabTo(page, /CSV/);
  await page.keyboard.press("Enter");
  expect((await file).suggestedFilename()).toMatch(/\.csv$/);
  await go(/^Back$/);
  await go(/^More$/);
  await go(/^Analytics$/);
  await go(/^90 days$/);
  await expect(page).toHaveURL(/days=90/);
  await go(/^The figures as a table$/);
  await expect(page.getByRole("table").first()).toBeVisible();
});

/** A moment as a clock in that zone shows it. */
const clock = (at: Date, zone: string) => at.toLocaleTimeString("en-GB", { timeZone: zone, hourCycle: "h23" });

for (const zone of ["Asia/Tokyo", "America/St_Johns"]) {
  test.describe(zone, () => {
    test.use({ timezoneId: zone });
    test(`every time on every page is told in the reader's zone, exact on hover (${zone})`, async ({ page }) => {
      await signUp(page);
      const workspace = await firstWorkspace(page.request);
      const { documents } = await upload(page.request, workspace, ["glossary.txt"]);
      await page.goto(`/w/${workspace}`);
      await allReady(page, ["glossary.txt"]);
      const key = { name: "script", scopes: ["read"], expires_at: "2030-07-01T23:30:00Z" };
      expect((await page.request.post("/api/auth/api-keys", { data: key })).status()).toBe(201);
      expect((await page.request.post("/api/auth/export")).status()).toBe(202);
      await expect
        .poll(async () => (await (await page.request.get("/api/auth/export")).json()).status, { timeout: 60_000 })
        .toBe("ready");
      const document = `/d/${documents[0].document_id}`;
      for (const [address, least] of [
        ["/", 1],
        [`/w/${workspace}`, 2],
        [document, 2],
        [`${document}/history`, 2],
        [`/w/${workspace}/history`, 2],
        ["/settings/sessions", 2],
        ["/settings/api-keys", 2],
        ["/settings/account", 1],
        // Its days are those of UTC, and it says so.
        [`/w/${workspace}/analytics`, 0],
      ] as const) {
        await page.goto(address);
        await live(page);
        const times = page.getByRole("main").locator("time");
        await expect.poll(() => times.count(), address).toBeGreaterThanOrEqual(least);
        // Each with its title as it is then: a time may move on while the others are read.
        const wrong = async () => {
          const all = await times.evaluateAll((all) => all.map((time) => [time.getAttribute("datetime"), time.getAttribute("title")]));
          // The zone of that moment: in summer it may be another than now.
          return all.filter(([at, title]) => !title?.endsWith(`, ${clock(new Date(at!), zone)}`));
        };
        await expect.poll(wrong, address).toEqual([]);
      }
      await expect(page.getByRole("main")).toContainText("on each day (UTC)");
      await page.goto(document);
      await live(page);
      const step = page.locator(".step-time").first();
      await expect(step).toHaveText(clock(new Date((await step.getAttribute("datetime"))!), zone));
    });
  });
}

test("at twice the size on a small window nothing is lost", async ({ page, complaints }) => {
  complaints.allow(/404/);
  await page.setViewportSize(SMALL);
  for (const address of ["/signin", "/signup", "/components", "/nowhere", "/api/docs"]) {
    await page.goto(address);
    expect(await lost(page), address).toEqual({ wide: 0, out: [] });
  }
  await page.setViewportSize({ width: 1280, height: 800 });
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { documents } = await upload(page.request, workspace, FILES);
  const failed = await failedDocument(page.request, workspace);
  const home = `/w/${workspace}`;
  await page.setViewportSize(SMALL);
  for (const address of addresses(workspace, documents[0].document_id, failed)) {
    await page.goto(address);
    await live(page);
    expect(await lost(page), address).toEqual({ wide: 0, out: [] });
  }
  // As the server drew them: the script changes nothing of their shape.
  const tabs = ["profile", "password", "preferences", "notifications", "rag", "sessions", "api-keys", "account"];
  for (const address of [...tabs.map((tab) => `/settings/${tab}`), "/?q=zzzz", "/?status=error", `${home}/rag?reindex`]) {
    await page.goto(address);
    expect(await lost(page), address).toEqual({ wide: 0, out: [] });
  }
  await page.goto(home);
  await live(page);
  await refusedUpload(page);
  expect(await lost(page), "a file that is not taken").toEqual({ wide: 0, out: [] });
});

test("of workspaces that are not ready nothing is lost at twice the size either", async ({ page }) => {
  const { url, failed, making, end } = await unready(page);
  try {
    await page.setViewportSize(SMALL);
    for (const [address, said] of [
      [`/w/${making}`, "Making this workspace ready"],
      ["/", "Being made"],
      [`/w/${failed}`, "This workspace could not be made ready"],
    ]) {
      await page.goto(`${url}${address}`);
      await live(page);
      await expect(page.getByRole("main").getByText(said).first()).toBeVisible();
      expect(await lost(page), said).toEqual({ wide: 0, out: [] });
    }
  } finally {
    await end();
  }
});

test("the settings without a mouse", async ({ page, browser, baseURL, complaints }) => {
  complaints.allow(/403/);
  const who = await signUp(page);
  await live(page);
  await tabTo(page, /^Account/);
  await page.keyboard.press("Enter");
  await tabTo(page, /^Settings$/);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/settings\/profile$/);
  await tabTo(page, /^Full name/);
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("Grace Hopper");
  await page.keyboard.press("Enter");
  await expect(page.getByText("Your profile is saved.")).toBeVisible();
  const focused = () => page.evaluate(() => document.activeElement?.tagName);
  expect(await focused()).toBe("INPUT");

  // A mistake takes the cursor to its field; the arrows choose among a few.
  await tabTo(page, /^Password$/);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/settings\/password$/);
  await tabTo(page, /^Current password/);
  await page.keyboard.type(who.password);
  await page.keyboard.press("Tab");
  await page.keyboard.type("weak");
  await page.keyboard.press("Enter");
  await expect(page.getByLabel("New password", { exact: true })).toBeFocused();
  await page.keyboard.press("ControlOrMeta+a");
  await page.keyboard.type("Better-horse-2");
  await tabTo(page, /^New password again/);
  await page.keyboard.type("Better-horse-2");
  await page.keyboard.press("Enter");
  await expect(page.getByText(/Your password is changed\./)).toBeVisible();

  await tabTo(page, /^Preferences$/);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/settings\/preferences$/);
  await tabTo(page, /^Like the system$/);
  await page.keyboard.press("ArrowLeft");
  await expect(page.locator("html")).toHaveAttribute("data-theme", "dark");
  await page.keyboard.press("Enter");
  await expect(page.getByText("Your preferences are saved.")).toBeVisible();

  await tabTo(page, /^Notifications$/);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/settings\/notifications$/);
  await tabTo(page, /^Something failed/);
  await page.keyboard.press("Space");
  await expect(page.getByLabel("Something failed")).not.toBeChecked();
  await page.keyboard.press("Enter");
  await expect(page.getByText("Your notifications are saved.")).toBeVisible();

  await tabTo(page, /^RAG config$/);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/settings\/rag$/);
  await tabTo(page, /^Chunk size, slider/);
  await page.keyboard.press("ArrowLeft");
  await expect(page.getByLabel("Chunk size", { exact: true })).toHaveValue("950");
  await tabTo(page, /^Save RAG config$/);
  await page.keyboard.press("Enter");
  await expect(page.getByText("The RAG config is saved.")).toBeVisible();

  // A key is made, copied by hand, and revoked.
  await tabTo(page, /^API keys$/);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/settings\/api-keys$/);
  await tabTo(page, /^Name/);
  await page.keyboard.type("By hand");
  await page.keyboard.press("Enter");
  await tabTo(page, /^I have it$/);
  await page.keyboard.press("Enter");
  await expect(page.getByLabel("Name")).toBeFocused();
  await tabTo(page, /^Revoke the key By hand/);
  await page.keyboard.press("Enter");
  // The line has gone with its button; the keyboard goes on from what was said.
  await expect(page.getByText("The key is revoked.")).toBeFocused();

  // Another browser is signed out.
  const there = await elsewhere(browser, baseURL, { email: who.email, password: "Better-horse-2" });
  await tabTo(page, /^Sessions$/);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/settings\/sessions$/);
  await tabTo(page, /^End the session of/);
  await page.keyboard.press("Enter");
  await expect(page.getByText("The session was ended.")).toBeFocused();
  await there.context().close();

  // An export, and a farewell that is thought better of.
  await tabTo(page, /^API keys$/);
  await page.keyboard.press("Tab");
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/settings\/account$/);
  await tabTo(page, /^Make an export$/);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("link", { name: "Download" })).toBeVisible();
  await tabTo(page, /^Download$/);
  await tabTo(page, /^Your password/);
  await page.keyboard.type("Wrong-horse-1");
  await page.keyboard.press("Enter");
  await expect(page.getByText("This is not your current password.")).toBeVisible();
  await expect(page.getByLabel("Your password")).toBeFocused();

  // Leaving with something unsaved asks, and Escape stays.
  await tabTo(page, /^Profile$/);
  await page.keyboard.press("Enter");
  await tabTo(page, /^Full name/);
  await page.keyboard.type("!");
  await tabTo(page, /^Password$/);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("dialog", { name: "Leave without saving?" })).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(page.getByRole("dialog", { name: "Leave without saving?" })).toBeHidden();
  await expect(page).toHaveURL(/\/settings\/profile$/);
});

test("a workspace's RAG config and its re-index without a mouse", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { job_id } = await upload(page.request, workspace, ["glossary.txt"]);
  await completed(page.request, job_id);
  await page.goto(`/w/${workspace}/rag`);
  await live(page);
  await tabTo(page, /^Precise/);
  await page.keyboard.press("Enter");
  await expect(page.getByLabel("Chunk size", { exact: true })).toHaveValue("500");
  await tabTo(page, /^Reset to my default$/);
  await page.keyboard.press("Enter");
  await tabTo(page, /^Save RAG config$/);
  await page.keyboard.press("Enter");
  await expect(page.getByText("1 document is stale")).toBeVisible();
  await tabTo(page, /^Re-index 1 document…$/);
  await page.keyboard.press("Enter");
  const dialog = page.getByRole("dialog", { name: "Re-index the stale documents?" });
  await expect(dialog).toContainText("tokens");
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await expect(page.getByRole("button", { name: "Re-index 1 document…" })).toBeFocused();
  await page.keyboard.press("Enter");
  await expect(dialog).toContainText("tokens");
  await tabTo(page, /^Re-index$/);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(new RegExp(`/w/${workspace}$`));
});
