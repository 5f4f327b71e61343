// The page with every component in every state, photographed in both themes and two widths.
import { expect, test } from "../fixtures";
import { turning } from "./support";

for (const theme of ["light", "dark"] as const) {
  for (const width of [390, 1440]) {
    test(`every component in every state (${theme}, ${width} px)`, async ({ page }, testInfo) => {
      await page.emulateMedia({ colorScheme: theme });
      await page.setViewportSize({ width, height: 900 });
      const answer = await page.goto("/components");
      expect(answer!.status()).toBe(200);
      await expect(page.locator('[data-status="processing"]').first()).toBeVisible();
      const overflow = await page.locator("html").evaluate((e) => e.scrollWidth - e.clientWidth);
      expect(overflow).toBeLessThanOrEqual(0);
      await page.screenshot({ path: testInfo.outputPath(`components-${theme}-${width}.png`), fullPage: true });
    });
  }
}

test("spinners have three sizes, are hidden from screen readers, and stand still for who wants no motion", async ({ page }) => {
  await page.goto("/components");
  const spinners = page.locator(".spinner");
  const widths: number[] = [];
  for (const size of ["sm", "md", "lg"]) {
    const spinner = page.locator(`.spinner[data-size="${size}"]`).first();
    await expect(spinner).toBeVisible();
    widths.push((await spinner.boundingBox())!.width);
  }
  expect(widths).toEqual([12, 16, 28]);
  const count = await spinners.count();
  await expect(page.locator('.spinner[aria-hidden="true"]')).toHaveCount(count);
  expect(await turning(page)).toBeGreaterThanOrEqual(count);
  await page.emulateMedia({ reducedMotion: "reduce" });
  expect(await turning(page)).toBe(0);
  await expect(spinners.first(), "still, and still there").toBeVisible();
});
