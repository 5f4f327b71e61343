// P4's other half: from when a change is due, over its commit, to when a page in Chromium has it.
// `node bench/p4.mjs URL --rows N --rate N --warm S --seconds S`; prints {"p50", "p99", "samples"} in milliseconds.
// A document is begun and given back in turn; what begins it says its number. Of changes that follow each other within a
// frame the page shows the last one, which then stands for those before it.
import { moment, offset } from "./clock.mjs";
import { account, at, base, converged, inChromium, number, openLive, plan, reported } from "./screen.mjs";

if (!base) throw new Error("say where the server is");
const found = await inChromium(async (page) => {
  const { workspace, ids, key } = await account(page, number("rows"));
  await reported({ ...plan(ids, "progress"), count: ids.length, start: moment() }, key);
  await openLive(page, workspace);
  await page.evaluate(() => {
    window.seen = [];
    const look = (row) => {
      const number = /^Change (\d+)\.$/.exec(row.querySelector(".doc-message")?.textContent.trim() ?? "")?.[1];
      if (number === undefined || row.dataset.status !== "processing") return;
      const shown = Number(number);
      if (row.shown !== shown) window.seen.push([shown, performance.now()]);
      row.shown = shown;
    };
    new MutationObserver((changes) => {
      const rows = new Set(changes.map(({ target }) => (target.closest ? target : target.parentElement)?.closest(".doc-row")));
      for (const row of rows) if (row) look(row);
    }).observe(document.querySelector(".doc-table"), { subtree: true, childList: true, characterData: true, attributes: true });
  });
  const made = plan(ids, "turns");
  // The last change of a document is one that says its number.
  made.count = Math.ceil(made.count / (2 * ids.length)) * 2 * ids.length;
  await reported(made, key);
  await converged(page, made);
  const seen = await page.evaluate(() => window.seen);
  const ahead = await offset(page);
  return latencies(made, seen.map(([n, there]) => [n, there + ahead]));
});
found.sort((a, b) => a - b);
const quantile = (q) => found[Math.min(found.length - 1, Math.floor(q * found.length))];
console.log(JSON.stringify({ p50: quantile(0.5), p99: quantile(0.99), samples: found.length }));

/** How late each measured change was that says its number. */
function latencies(made, seen) {
  const all = made.ids.length;
  const late = [];
  const shown = new Map(made.ids.map((_, document) => [document, []]));
  for (const [n, moment] of seen) shown.get(n % all).push([n, moment]);
  for (let n = made.first; n < made.count; n++) {
    if (Math.floor(n / all) % 2 === 0) continue;
    const moment = shown.get(n % all).find(([other]) => other >= n)?.[1];
    if (moment === undefined) throw new Error(`change ${n} never came to the page`);
    late.push(moment - at(made, n));
  }
  return late;
}
