// Every flow with the keyboard alone, and times in the reader's own zone.
import { type Page } from "@playwright/test";
import { expect, person, test } from "../fixtures";
import { FILES, allReady, firstWorkspace, live, path, row, signUp, upload } from "./support";

/** Presses Tab until the focused element's name matches. */
async function tabTo(page: Page, name: RegExp): Promise<void> {
  for (let i = 0; i < 60; i++) {
    const focused = await page.evaluate(() => {
      const e = document.activeElement as HTMLElement | null;
      if (!e || e === document.body) return "";
      const label = (e as HTMLInputElement).labels?.[0]?.textContent ?? "";
      return `${e.getAttribute("aria-label") ?? ""} ${label} ${e.textContent ?? ""}`.trim();
    });
    if (name.test(focused)) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not lead to ${name}`);
}

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
  await tabTo(page, /^By hand$/);
  await page.keyboard.press("Enter");
  await expect(page.getByRole("heading", { level: 1, name: "By hand" })).toBeVisible();

  // The picker opens by the keyboard.
  await tabTo(page, /Add files/);
  const chooser = page.waitForEvent("filechooser");
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
  await page.keyboard.press("Enter");
  await tabTo(page, /^Sign out$/);
  await page.keyboard.press("Enter");
  await expect(page).toHaveURL(/\/signin/);
});

for (const [zone, hours] of [["Asia/Tokyo", 9], ["America/St_Johns", -3.5]] as const) {
  test.describe(zone, () => {
    test.use({ timezoneId: zone });
    test(`times are told in the reader's zone (${zone})`, async ({ page }) => {
      await signUp(page);
      const workspace = await firstWorkspace(page.request);
      const { documents } = await upload(page.request, workspace, ["glossary.txt"]);
      await page.goto(`/w/${workspace}`);
      await allReady(page, ["glossary.txt"]);
      await page.goto(`/d/${documents[0].document_id}`);
      await live(page);
      const time = page.locator(".step-time").first();
      const at = new Date((await time.getAttribute("datetime"))!);
      const there = new Date(at.getTime() + hours * 3_600_000).toISOString().slice(11, 19);
      await expect(time).toHaveText(there);
      expect(await row(page, "glossary.txt").count()).toBe(0);
    });
  });
}

test("at twice the size on a small window nothing is lost", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const { documents } = await upload(page.request, workspace, FILES);
  // 200 % of 640 px: the layout has 320 px.
  await page.setViewportSize({ width: 320, height: 480 });
  for (const address of ["/", "/?new", `/w/${workspace}`, `/w/${workspace}?q=workspace`, `/w/${workspace}?edit`, `/d/${documents[0].document_id}`]) {
    await page.goto(address);
    await live(page);
    const lost = await page.evaluate(() => {
      const wide = document.documentElement.scrollWidth - document.documentElement.clientWidth;
      const out = [...document.querySelectorAll<HTMLElement>("main a, main button, main input:not(.sr-only)")]
        .filter((e) => e.checkVisibility() && e.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
        .map((e) => e.outerHTML.slice(0, 120));
      return { wide, out };
    });
    expect(lost, address).toEqual({ wide: 0, out: [] });
  }
});
