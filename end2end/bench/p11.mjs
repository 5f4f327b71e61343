// P11: how a page with many rows answers a person while they change. `node bench/p11.mjs URL --rows N --rate N --warm S
// --seconds S [twin]`; prints {"inp", "long_tasks", "scripting"}: the 98th percentile of the interactions in milliseconds,
// tasks longer than 50 ms, and milliseconds of script.
import { setTimeout as delay } from "node:timers/promises";
import { moment } from "./clock.mjs";
import {
  account, at, base, converged, inChromium, isTwin, madeByTwin, number, openLive, plan, reported,
} from "./screen.mjs";

/** An interaction so often. */
const EVERY = 250;
/** What the browser does not report is shorter than this, in milliseconds. */
const LEAST = 16;

if (!base) throw new Error("say where the server is");
const found = await inChromium(async (page) => {
  const { workspace, ids, key } = isTwin ? await twins(page) : await account(page, number("rows"));
  if (isTwin) await page.goto("/");
  else await openLive(page, workspace);
  await loadAll(page, ids.length);
  await page.evaluate(() => {
    window.interactions = new Map();
    window.longTasks = 0;
    new PerformanceObserver((list) => {
      for (const { interactionId, duration } of list.getEntries()) {
        if (!interactionId) continue;
        window.interactions.set(interactionId, Math.max(duration, window.interactions.get(interactionId) ?? 0));
      }
    }).observe({ type: "event", durationThreshold: 16 });
    new PerformanceObserver((list) => (window.longTasks += list.getEntries().length)).observe({ type: "longtask" });
  });
  const devtools = await page.context().newCDPSession(page);
  await devtools.send("Performance.enable");
  const scripting = async () => {
    const { metrics } = await devtools.send("Performance.getMetrics");
    return metrics.find(({ name }) => name === "ScriptDuration").value * 1000;
  };
  const made = plan(ids, "progress");
  const changes = isTwin ? madeByTwin(made) : reported(made, key);
  await delay(at(made, made.first) - moment());
  await page.evaluate(() => {
    window.interactions.clear();
    window.longTasks = 0;
  });
  const before = await scripting();
  const actions = await interact(page, at(made, made.count));
  const after = await scripting();
  await changes;
  await converged(page, made);
  const { durations, longTasks } = await page.evaluate(() => ({
    durations: [...window.interactions.values()],
    longTasks: window.longTasks,
  }));
  while (durations.length < actions) durations.push(LEAST);
  durations.sort((a, b) => a - b);
  const inp = durations[Math.min(durations.length - 1, Math.floor(durations.length * 0.98))];
  return { inp, long_tasks: longTasks, scripting: after - before, interactions: durations.length };
});
console.log(JSON.stringify(found));

async function twins(page) {
  return { ids: await (await page.request.get("/documents")).json() };
}

/** The list has all its rows, whose height is there even where they are not. */
async function loadAll(page, rows) {
  const tall = () =>
    page.evaluate(() => {
      const list = document.querySelector(".doc-table [role=rowgroup]");
      const row = list.querySelector("[data-document-id]");
      return Math.round(list.getBoundingClientRect().height / row.getBoundingClientRect().height);
    });
  await page.locator(".doc-row[data-document-id]").first().waitFor();
  await page.mouse.move(600, 500);
  for (let tries = 0; (await tall()) < rows; tries++) {
    if (tries > 3_000) throw new Error(`the list has ${await tall()} of ${rows} rows`);
    await page.mouse.wheel(0, 40_000);
    await delay(50);
  }
  await page.mouse.wheel(0, -1_000_000);
  await page.locator("input[type=search]").first().waitFor();
}

/** A person types and points until then; how often. */
async function interact(page, until) {
  const search = page.locator("input[type=search]").first();
  await search.focus();
  let actions = 0;
  for (let next = moment(); next < until; next += EVERY) {
    await delay(Math.max(0, next - moment()));
    const turn = actions % 4;
    if (turn === 0) await search.press("a");
    else if (turn === 1) await search.press("Backspace");
    else await page.mouse.click(600, turn === 2 ? 500 : 560);
    actions += 1;
  }
  return actions;
}
