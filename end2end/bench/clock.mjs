// The time of a schedule: that of the machine, which all its processes share and which never jumps, as the time of day may.

/** Milliseconds. */
export const moment = () => Number(process.hrtime.bigint()) / 1e6;

/** What to add to a page's `performance.now()` to have that time. */
export async function offset(page) {
  let best = { took: Infinity, offset: 0 };
  for (let n = 0; n < 50; n++) {
    const before = moment();
    const there = await page.evaluate(() => performance.now());
    const took = moment() - before;
    if (took < best.took) best = { took, offset: before + took / 2 - there };
  }
  return best.offset;
}
