// The page with every component in every state, photographed in both themes and two widths.
import { expect, test } from "../fixtures";

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
