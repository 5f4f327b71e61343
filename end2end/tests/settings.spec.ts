// The settings: every form posts, with and without a script.
import { expect, hydrated, person, test } from "../fixtures";
import { completed, elsewhere, firstWorkspace, lost, signUp, upload } from "./support";

const TABS = [
  ["profile", "Profile"],
  ["password", "Password"],
  ["preferences", "Preferences"],
  ["notifications", "Notifications"],
  ["rag", "RAG config"],
  ["sessions", "Sessions"],
  ["api-keys", "API keys"],
  ["account", "Account"],
] as const;

async function open(page: import("@playwright/test").Page, tab: string, scripted: boolean) {
  await page.goto(`/settings/${tab}`);
  if (scripted) await hydrated(page);
}

test("each tab has its own address and opens directly", async ({ page }) => {
  await signUp(page);
  for (const [tab, name] of TABS) {
    const answer = await page.goto(`/settings/${tab}`);
    expect(answer!.status()).toBe(200);
    await expect(page.getByRole("navigation", { name: "Settings" }).locator("[aria-current=page]")).toHaveText(name);
    await expect(page).toHaveTitle(`${name} · InsightHub`);
  }
  await page.goto("/settings");
  await expect(page).toHaveURL(/\/settings\/profile$/);
});

test("nothing is cut off, on a phone or on a desk, in either theme", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  for (const address of [...TABS.map(([tab]) => `/settings/${tab}`), `/w/${workspace}/rag`]) {
    await page.goto(address);
    // What is laid out anew need not be fetched anew.
    for (const width of [390, 1440]) {
      await page.setViewportSize({ width, height: 800 });
      for (const colorScheme of ["light", "dark"] as const) {
        await page.emulateMedia({ colorScheme });
        expect(await lost(page), `${address} at ${width} px, ${colorScheme}`).toEqual({ wide: 0, out: [] });
      }
    }
  }
});

test("the profile is saved, and a mistake stands at its field", async ({ page, browser, baseURL, javaScriptEnabled, complaints }) => {
  complaints.allow(/409/);
  const taken = person("taken");
  const other = await browser.newContext({ baseURL });
  await signUp(await other.newPage(), taken);
  await other.close();

  await signUp(page);
  await open(page, "profile", javaScriptEnabled !== false);
  await page.getByLabel("Full name").fill("Grace Hopper");
  await page.getByLabel("E-mail").fill("not an address");
  await page.getByRole("button", { name: "Save profile" }).click();
  await expect(page.getByLabel("E-mail")).toHaveAttribute("aria-invalid", "true");
  await expect(page.getByLabel("Full name")).toHaveValue("Grace Hopper");

  await page.getByLabel("E-mail").fill(taken.email);
  await page.getByRole("button", { name: "Save profile" }).click();
  await expect(page.getByText("This e-mail address is taken.")).toBeVisible();
  await expect(page.getByLabel("E-mail")).toBeFocused();
  const described = await page.getByLabel("E-mail").getAttribute("aria-describedby");
  await expect(page.locator(`#${described}`)).toContainText("taken");

  const email = person("moved").email;
  await page.getByLabel("E-mail").fill(email);
  await page.getByRole("button", { name: "Save profile" }).click();
  await expect(page.getByText("Your profile is saved.")).toBeVisible();
  const me = await (await page.request.get("/api/auth/me")).json();
  expect([me.full_name, me.email]).toEqual(["Grace Hopper", email]);
});

test("the password is changed, and the old one is of no use", async ({ page, browser, baseURL, javaScriptEnabled, complaints }) => {
  complaints.allow(/401|403|422/);
  const who = await signUp(page);
  const there = await elsewhere(browser, baseURL, who);

  await open(page, "password", javaScriptEnabled !== false);
  const fill = async (current: string, next: string, again: string) => {
    await page.getByLabel("Current password").fill(current);
    await page.getByLabel("New password", { exact: true }).fill(next);
    await page.getByLabel("New password again").fill(again);
    await page.getByRole("button", { name: "Change password" }).click();
  };
  await fill("Wrong-horse-1", "Better-horse-2", "Better-horse-2");
  await expect(page.getByText("This is not your current password.")).toBeVisible();
  await fill(who.password, "weak", "weak");
  await expect(page.getByLabel("New password", { exact: true })).toHaveAttribute("aria-invalid", "true");
  await fill(who.password, "Better-horse-2", "Better-horse-3");
  await expect(page.getByText("The two new passwords differ.")).toBeVisible();
  await fill(who.password, "Better-horse-2", "Better-horse-2");
  await expect(page.getByText("Your password is changed. One other session was ended.")).toBeVisible();
  await expect(page.getByLabel("Current password")).toHaveValue("");

  // This browser stays, the other one is out, and only the new password opens the door.
  expect((await page.request.get("/api/auth/me")).status()).toBe(200);
  expect((await there.request.get("/api/auth/me")).status()).toBe(401);
  const knock = (password: string) =>
    there.request.post("/api/auth/login", { data: { email: who.email, password } }).then((a) => a.status());
  expect(await knock(who.password)).toBe(401);
  expect(await knock("Better-horse-2")).toBe(200);
  await there.context().close();
});

test("preferences survive a reload and stand in the HTML", async ({ page, javaScriptEnabled }) => {
  await signUp(page);
  await open(page, "preferences", javaScriptEnabled !== false);
  await page.getByText("Dark", { exact: true }).last().click();
  await page.getByText("Compact").click();
  await page.getByRole("button", { name: "Save preferences" }).click();
  await expect(page.getByText("Your preferences are saved.")).toBeVisible();
  const html = await (await page.request.get("/")).text();
  expect(html).toMatch(/<html[^>]*data-theme="dark"/);
  expect(html).toMatch(/<html[^>]*data-density="compact"/);
  await page.reload();
  await expect(page.locator("html")).toHaveAttribute("data-density", "compact");
});

test("a saved theme is there from the first paint on, whatever the system likes", async ({ page, javaScriptEnabled }) => {
  await signUp(page);
  const colours = () => page.evaluate(() => [document.documentElement, document.body].map((e) => getComputedStyle(e).backgroundColor));
  const of: Record<string, string[]> = {};
  for (const system of ["light", "dark"] as const) {
    await page.emulateMedia({ colorScheme: system });
    await page.goto("/settings/preferences");
    of[system] = await colours();
  }
  expect(of.light).not.toEqual(of.dark);
  for (const [saved, system] of [["dark", "light"], ["light", "dark"]] as const) {
    expect((await page.request.patch("/api/auth/preferences", { data: { theme: saved } })).status()).toBe(200);
    await page.emulateMedia({ colorScheme: system });
    // Without a script this is the first paint, which nothing changes any more.
    await page.goto("/settings/preferences");
    if (javaScriptEnabled !== false) await hydrated(page);
    expect(await colours(), `${saved} under ${system}`).toEqual(of[saved]);
  }
});

test("of what somebody is told is their choice, in all their browsers", async ({ page, browser, baseURL, javaScriptEnabled }) => {
  const who = await signUp(page);
  await open(page, "notifications", javaScriptEnabled !== false);
  const boxes = page.getByRole("main").getByRole("checkbox");
  const ticked = () => boxes.evaluateAll((all) => all.map((box) => (box as HTMLInputElement).checked));
  await expect.poll(ticked).toEqual([true, true, true, true, false]);
  await page.getByLabel("Work is done").uncheck();
  await page.getByLabel("Tell me by a notification of the system").check();
  await page.getByRole("button", { name: "Save notifications" }).click();
  await expect(page.getByText("Your notifications are saved.")).toBeVisible();
  const me = await (await page.request.get("/api/auth/me")).json();
  const chosen = { done: false, failed: true, stalled: true, sign_ins: true, desktop: true };
  expect(me.notifications).toEqual(chosen);
  await page.reload();
  await expect.poll(ticked).toEqual([false, true, true, true, true]);
  const there = await elsewhere(browser, baseURL, who);
  await there.goto("/settings/notifications");
  await expect(there.getByLabel("Work is done")).not.toBeChecked();
  await there.context().close();
});

test("what a re-index will take is told before it starts", async ({ page, javaScriptEnabled }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { job_id } = await upload(page.request, workspace, ["glossary.txt"]);
  await completed(page.request, job_id);
  const saved = await page.request.put(`/api/workspaces/${workspace}/rag-config`, { data: { chunk_size: 300, chunk_overlap: 0 } });
  expect(saved.status()).toBe(200);
  const panel = page.locator("[data-estimate]");
  if (javaScriptEnabled === false) {
    await page.goto(`/w/${workspace}`);
    await page.getByRole("link", { name: "Re-index 1 document…" }).click();
  } else {
    await page.goto(`/w/${workspace}/rag?reindex`);
    await hydrated(page);
  }
  await expect(page).toHaveURL(new RegExp(`/w/${workspace}/rag\\?reindex$`));
  const { chunks, tokens } = await (await page.request.get(`/api/workspaces/${workspace}/reindex/estimate`)).json();
  const [cut, read] = [chunks, tokens].map((figure: number) => figure.toLocaleString("en-GB"));
  await expect(panel.getByRole("status")).toHaveText(new RegExp(`^1 document: (about )?${cut} chunks and ${read} tokens`));
  expect(await lost(page)).toEqual({ wide: 0, out: [] });
  await panel.getByRole("link", { name: "Cancel" }).click();
  await expect(panel).toHaveCount(0);
  await page.goto(`/w/${workspace}/rag?reindex`);
  if (javaScriptEnabled !== false) await hydrated(page);
  await panel.getByRole("button", { name: "Re-index" }).click();
  await expect(page).toHaveURL(new RegExp(`/w/${workspace}$`));
  const stale = async () => (await (await page.request.get(`/api/workspaces/${workspace}`)).json()).counts.stale;
  await expect.poll(stale, { timeout: 60_000 }).toBe(0);
});

test("another browser is listed and signed out", async ({ page, browser, baseURL, javaScriptEnabled }) => {
  const who = await signUp(page);
  const there = await elsewhere(browser, baseURL, who);
  await open(page, "sessions", javaScriptEnabled !== false);
  await expect(page.locator("[data-session-id]")).toHaveCount(2);
  await expect(page.locator("[data-current]")).toContainText("This browser");
  await page.getByRole("button", { name: /^End the session of/ }).click();
  await expect(page.getByText("The session was ended.")).toBeVisible();
  await expect(page.locator("[data-session-id]")).toHaveCount(1);
  expect((await there.request.get("/api/auth/me")).status()).toBe(401);
  await there.context().close();
});

test("a long list of sessions has pages", async ({ page, javaScriptEnabled, playwright, baseURL }) => {
  const who = await signUp(page);
  // Each sign-in without a cookie is another browser.
  for (let i = 0; i < 51; i++) {
    const browser = await playwright.request.newContext({ baseURL });
    expect((await browser.post("/api/auth/login", { data: who })).status()).toBe(200);
    await browser.dispose();
  }
  await open(page, "sessions", javaScriptEnabled !== false);
  await expect(page.locator("[data-session-id]")).toHaveCount(50);
  await page.getByRole("link", { name: "Older sessions" }).click();
  await expect(page.locator("[data-session-id]")).toHaveCount(2);
  await page.getByRole("link", { name: "Newest sessions" }).click();
  await expect(page.locator("[data-session-id]")).toHaveCount(50);
});

test("a key is made, shown once, used and revoked", async ({ page, playwright, baseURL, javaScriptEnabled, complaints }) => {
  complaints.allow(/409|422/);
  await signUp(page);
  await open(page, "api-keys", javaScriptEnabled !== false);
  await page.getByRole("button", { name: "Make key" }).click();
  await expect(page.getByLabel("Name")).toHaveAttribute("aria-invalid", "true");
  if (javaScriptEnabled === false) await expect(page.getByLabel("Name")).toBeFocused();
  await page.getByLabel("Name").fill("Nightly upload");
  // Twice, as people do: it is one key, and its secret is there.
  await page.getByRole("button", { name: "Make key" }).dblclick();
  const secret = await page.locator(".secret").innerText();
  expect(secret).toMatch(/^ihk_[0-9a-f]{64}$/);
  expect(page.url()).not.toContain(secret);
  const line = page.locator("[data-key-id]").filter({ hasText: "Nightly upload" });
  await expect(line).toContainText("never used");
  await expect(line).toContainText(/expires on \d+ \w+ 20\d\d/);

  const program = await playwright.request.newContext({ baseURL, extraHTTPHeaders: { authorization: `Bearer ${secret}` } });
  expect((await program.get("/api/workspaces")).status()).toBe(200);
  expect((await program.post("/api/workspaces", { data: { name: "Not allowed" } })).status()).toBe(403);
  // It is written a few seconds later.
  const keys = async () => (await (await page.request.get("/api/auth/api-keys")).json()).items;
  await expect.poll(async () => (await keys())[0].last_used_at).not.toBeNull();
  await page.reload();
  await expect(line).toContainText("last used");
  await expect(page.locator(".secret")).toHaveCount(0);
  await page.getByRole("button", { name: "Revoke the key Nightly upload" }).click();
  await expect(page.getByText("You have no keys.")).toBeVisible();
  expect((await program.get("/api/workspaces")).status()).toBe(401);
  await program.dispose();
});

test("the default RAG config is saved with its rules, and taken back", async ({ page, javaScriptEnabled, complaints }) => {
  complaints.allow(/422/);
  await signUp(page);
  await open(page, "rag", javaScriptEnabled !== false);
  const config = async () => (await page.request.get("/api/auth/default-rag-config")).json();
  expect((await config()).is_default).toBe(true);
  await page.getByLabel("Chunk size", { exact: true }).fill("150");
  await page.getByLabel("Chunk overlap", { exact: true }).fill("150");
  await page.getByRole("button", { name: "Save RAG config" }).click();
  await expect(page.locator("#chunk_overlap-note")).toHaveText("The overlap must be smaller than the chunk size.");
  await expect(page.getByLabel("Chunk overlap", { exact: true })).toHaveAttribute("aria-invalid", "true");
  await page.getByLabel("Chunk overlap", { exact: true }).fill("20");
  await page.getByRole("button", { name: "Save RAG config" }).click();
  await expect(page.getByText("The RAG config is saved.")).toBeVisible();
  const saved = await config();
  expect([saved.chunk_size, saved.chunk_overlap, saved.is_default]).toEqual([150, 20, false]);
  if (javaScriptEnabled === false) {
    // Without a script a preset is a link: it fills the form in, and nothing is saved yet.
    await page.getByRole("link", { name: /^Precise/ }).click();
    await expect(page.getByLabel("Chunk size", { exact: true })).toHaveValue("500");
    expect((await config()).chunk_size).toBe(150);
  }
  await page.getByRole("button", { name: "Back to InsightHub's own" }).click();
  await expect(page.getByLabel("Chunk size", { exact: true })).toHaveValue("1000");
  await expect.poll(async () => (await config()).is_default).toBe(true);
});

test("a workspace's config is its own until it is reset", async ({ page, javaScriptEnabled }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}/rag`);
  if (javaScriptEnabled !== false) await hydrated(page);
  await page.getByLabel("Passages for an answer (top k)", { exact: true }).fill("3");
  await page.getByRole("button", { name: "Save RAG config" }).click();
  await expect(page.getByText("The RAG config is saved.")).toBeVisible();
  await expect(page.locator('[data-differs="top_k"]')).toContainText("Your default: 8");
  await page.getByRole("button", { name: "Reset to my default" }).last().click();
  await expect(page.locator("[data-differs=top_k]")).toHaveCount(0);
  if (javaScriptEnabled === false) {
    const config = await (await page.request.get(`/api/workspaces/${workspace}/rag-config`)).json();
    expect([config.top_k, config.overrides]).toEqual([8, []]);
  }
});

test("an account is exported and deleted", async ({ page, javaScriptEnabled, complaints }) => {
  complaints.allow(/401|403/);
  const who = await signUp(page);
  await open(page, "account", javaScriptEnabled !== false);
  await page.getByRole("button", { name: "Make an export" }).click();
  await expect
    .poll(async () => (await (await page.request.get("/api/auth/export")).json()).status, { timeout: 60_000 })
    .toBe("ready");
  if (javaScriptEnabled === false) await page.reload();
  await expect(page.getByRole("link", { name: "Download" })).toBeVisible();
  const file = await (await page.request.get("/api/auth/export/content")).text();
  expect(file).toContain(who.email);
  await page.getByLabel("Your password").fill("Wrong-horse-1");
  await page.getByRole("button", { name: "Delete my account" }).click();
  await expect(page.getByText("This is not your current password.")).toBeVisible();
  await page.getByLabel("Your password").fill(who.password);
  await page.getByRole("button", { name: "Delete my account" }).click();
  await expect(page).toHaveURL(/\/signin/);
  const knock = await page.request.post("/api/auth/login", { data: { email: who.email, password: who.password } });
  expect(knock.status()).toBe(401);
});
