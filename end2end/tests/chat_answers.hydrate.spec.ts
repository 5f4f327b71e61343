// Watching an answer come, stopping it, and going on with it after a reload and a restart of the server.
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "../fixtures";
import { QUESTION, STEPS, add, ask, chatAt, field, turns, withModel } from "./chat";
import { live, looks } from "./support";

/** Conversations over which the payloads are spread: a page shows a hundred turns. */
const PAGES = 5;
const PAYLOADS = join(import.meta.dirname, "../../crates/chat/tests/payloads.json");

withModel("steps and text are shown as they come, and Stop keeps what there is", async ({ page, model, own }) => {
  await chatAt(page, own);
  model.answers = [["On the north ", { gate: 1 }, "quay [1]."]];
  await ask(page, QUESTION);
  const turn = turns(page).first();
  await expect(turn.locator(".answer-live")).toHaveText("On the north");
  await expect(turn.locator('.chat-step[data-state="now"]')).toHaveText(/^Answer/);
  await expect(turn.locator('.chat-step[data-state="done"] > span:first-child')).toHaveText(STEPS.slice(0, 3));
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(turn).toHaveAttribute("data-status", "stopped");
  await expect(turn.locator(".answer")).toHaveText("On the north");
  model.open(1);
  await page.reload();
  await expect(turns(page).first().locator(".answer")).toHaveText("On the north");
  await turns(page).first().getByRole("button", { name: "Ask again" }).click();
  await expect(turns(page).nth(1).locator(".answer")).toContainText("On the north quay");
  await expect(turns(page).nth(1)).toHaveAttribute("data-status", "completed");
});

withModel("citations lead to their source while the answer is still on its way", async ({ page, model, own }) => {
  await chatAt(page, own);
  model.answers = [["On the north quay [1]. ", { gate: 1 }, "That is all."]];
  await ask(page, QUESTION);
  const turn = turns(page).first();
  await expect(turn.locator(".source-card a").first()).toContainText("harbour.txt");
  await turn.locator(".answer-live .answer-cite").click();
  await expect(turn.locator(".source-card").first()).toBeFocused();
  await expect(turn).toHaveAttribute("data-status", "processing");
  model.open(1);
  await expect(turn).toHaveAttribute("data-status", "completed");
  await expect(turn.locator(".source-card")).not.toHaveCount(0);
});

withModel("a plain reader of a response reads an answer, also from the middle on", async ({ page, model, own }) => {
  const workspace = await chatAt(page, own);
  model.answers = [["On the north ", { gate: 1 }, "quay [1]."]];
  // As any program in a browser would: without the page's own client, and without an event source.
  await page.evaluate((workspace_id) => {
    const read = async (response: Response, told: { id: number; data: any }[], enough: () => boolean) => {
      const reader = response.body!.getReader();
      const decoder = new TextDecoder();
      let text = "";
      while (!enough()) {
        const { done, value } = await reader.read();
        if (done) return;
        text += decoder.decode(value, { stream: true });
        for (let end = text.indexOf("\n\n"); end >= 0; end = text.indexOf("\n\n")) {
          const lines = text.slice(0, end).split("\n");
          text = text.slice(end + 2);
          const data = lines.find((line) => line.startsWith("data: "));
          const id = lines.find((line) => line.startsWith("id: "));
          if (data && id) told.push({ id: Number(id.slice(4)), data: JSON.parse(data.slice(6)) });
        }
      }
      await reader.cancel();
    };
    const told: { id: number; data: any }[] = [];
    const whole = (async () => {
      const asked = await fetch("/v1/chat/", {
        method: "POST",
        headers: { "content-type": "application/json", accept: "text/event-stream" },
        body: JSON.stringify({ query: "Where does the lantern hang?", workspace_id }),
      });
      await read(asked, told, () => told.some(({ data }) => data.type === "chunk"));
      const { id } = told.at(-1)!;
      const rest = await fetch(`/v1/chat/turns/${told[0]!.data.turn_id}/stream`, { headers: { "last-event-id": String(id) } });
      (window as any).isResumed = true;
      await read(rest, told, () => told.some(({ data }) => data.type === "complete"));
      return told;
    })();
    (window as any).whole = whole;
  }, workspace);
  await page.waitForFunction(() => (window as any).isResumed);
  model.open(1);
  const told: { id: number; data: any }[] = await page.evaluate(() => (window as any).whole);
  expect(told.map(({ id }) => id)).toEqual(told.map((_, n) => n + 1));
  const steps = ["initializing", "retrieving_context", "selecting_model", "generating_response", "storing_response", "finished"];
  expect(told.filter(({ data }) => data.type === "status").map(({ data }) => data.step)).toEqual(steps);
  const text = told.filter(({ data }) => data.type === "chunk").map(({ data }) => data.content);
  expect(text.join("")).toBe("On the north quay [1].");
  expect(told.at(-1)!.data).toMatchObject({ type: "complete", answer: "On the north quay [1]." });
});

withModel("an answer goes on after its stream was answered by something else", async ({ page, model, own, complaints }) => {
  complaints.allow(/502|EventSource/);
  await chatAt(page, own);
  model.answers = [["On the north ", { gate: 1 }, "quay, ", { gate: 2 }, "at its end."]];
  // As a balancer does while its server is away: the browser gives up on that.
  await page.route("**/v1/chat/turns/*/stream*", (route) => route.fulfill({ status: 502, body: "bad gateway" }), { times: 1 });
  await ask(page, QUESTION);
  const text = turns(page).first().locator(".answer");
  await expect(text).toHaveText("On the north");
  model.open(1);
  await expect(text).toHaveText("On the north quay,");
  model.open(2);
  await expect(turns(page).first()).toHaveAttribute("data-status", "completed");
  await expect(field(page)).toBeEnabled();
  await ask(page, "And then?");
  await expect(turns(page)).toHaveCount(2);
  await expect(turns(page).last()).toHaveAttribute("data-status", "completed");
});

withModel("after a reload in the middle of it the same answer goes on", async ({ page, model, own }) => {
  await chatAt(page, own);
  model.answers = [["On the north ", { gate: 1 }, "quay, ", { gate: 2 }, "at its end."]];
  await ask(page, QUESTION);
  const text = turns(page).first().locator(".answer");
  await expect(text).toHaveText("On the north");
  await page.reload();
  await live(page);
  await expect(text).toHaveText("On the north");
  model.open(1);
  await expect(text).toHaveText("On the north quay,");
  model.open(2);
  await expect(turns(page).first()).toHaveAttribute("data-status", "completed");
  await expect(text).toHaveText("On the north quay, at its end.");
  expect(model.asked).toHaveLength(1);
});

withModel("a server that is killed in the middle of it leaves what was shown, with Retry", async ({
  page,
  model,
  own,
  complaints,
}) => {
  complaints.allow(/ERR_CONNECTION_REFUSED|ERR_INCOMPLETE_CHUNKED_ENCODING|Failed to load resource|WebSocket/);
  await chatAt(page, own);
  model.answers = [["On the north ", { gate: 1 }, "quay."], ["On the quay."]];
  await ask(page, QUESTION);
  await expect(turns(page).first().locator(".answer")).toHaveText("On the north");
  await own.restart();
  // The stream comes back by itself and tells how it ended.
  await expect(turns(page).first()).toHaveAttribute("data-status", "failed", { timeout: 60_000 });
  await expect(turns(page).first().locator(".answer")).toHaveText("On the north");
  await expect(turns(page).first().getByRole("alert")).toContainText("stopped before this answer was whole");
  await live(page);
  await turns(page).first().getByRole("button", { name: "Retry" }).click();
  await expect(turns(page).nth(1).locator(".answer")).toHaveText("On the quay.");
});

withModel("the chat loses nothing on a phone and on a large screen, in either theme", async ({ page, model, own, complaints }) => {
  complaints.allow(/Failed to load resource/);
  await chatAt(page, own);
  await looks(page, "chat-empty");
  const markdown =
    "## The lantern\n\nIt hangs at the **end** of the north quay [1]:\n\n1. the keeper lights it at dusk [1],\n2. `dusk` is when the " +
    "sun is gone.\n\n| quay | light |\n|---|---|\n| north | the lantern |\n| south | none |\n\n```sh\nlight --at dusk\n```\n\n> The harbour has two quays.\n\n";
  model.answers = [[markdown, { gate: 1 }, "That is all."], [markdown], ["On the ", { gate: 2 }, "quay."], ["On the quay."]];
  await ask(page, QUESTION);
  await expect(turns(page).first().locator(".answer-live table")).toBeVisible();
  await looks(page, "chat-streams");
  model.open(1);
  await expect(turns(page).first()).toHaveAttribute("data-status", "completed");
  await looks(page, "chat-answer");
  await ask(page, "And how many quays has the harbour?");
  await expect(turns(page).nth(1)).toHaveAttribute("data-status", "completed");
  await ask(page, QUESTION);
  await expect(turns(page).nth(2).locator(".answer-live")).toHaveText("On the");
  model.stop();
  await expect(turns(page).nth(2)).toHaveAttribute("data-status", "failed");
  await page.getByText("Name, export or delete").click();
  await looks(page, "chat-failed");
  await ask(page, "Why does xylophone zebra qwerty?");
  await expect(turns(page).nth(3).getByText("Waiting for a new document")).toBeVisible();
  await looks(page, "chat-nothing");
});

withModel("the chat is for the keyboard and for a phone", async ({ page, model, own }) => {
  await page.setViewportSize({ width: 390, height: 844 });
  await chatAt(page, own);
  model.answers = [["A ".repeat(900), { gate: 1 }, "end."]];
  await field(page).focus();
  await page.keyboard.type("One");
  await page.keyboard.press("Shift+Enter");
  await page.keyboard.type("two");
  await expect(field(page)).toHaveValue("One\ntwo");
  await page.keyboard.press("Enter");
  const list = page.getByRole("region", { name: "Questions and answers" });
  await expect(list.locator(".answer-live")).toContainText("A A A");
  // Whoever has gone up to read stays there when more comes.
  await list.evaluate((element) => element.scrollTo({ top: 40 }));
  model.open(1);
  await expect(turns(page).first()).toHaveAttribute("data-status", "completed");
  expect(await list.evaluate((element) => element.scrollTop)).toBeLessThan(80);
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(390);
  await field(page).fill(QUESTION);
  model.answers = [["B ", { gate: 2 }, "end."]];
  await field(page).press("Enter");
  await expect(turns(page).nth(1).locator(".answer-live")).toHaveText("B");
  await field(page).press("Escape");
  await expect(turns(page).nth(1)).toHaveAttribute("data-status", "stopped");
});

withModel("no payload in a document, a name or an answer runs or asks for anything", async ({ page, model, own }) => {
  test.slow();
  const payloads: string[] = JSON.parse(await readFile(PAYLOADS, "utf8"));
  expect(payloads.length).toBeGreaterThanOrEqual(300);
  const foreign: string[] = [];
  await page.context().route("**/*", (route) => {
    const url = route.request().url();
    if (!url.startsWith(own.url) && !url.startsWith("data:") && !url.startsWith("blob:")) foreign.push(url);
    return route.continue();
  });
  let dialogs = 0;
  page.on("dialog", (dialog) => {
    dialogs += 1;
    void dialog.dismiss();
  });
  const workspace = await chatAt(page, own);
  // In a document and its name, which come back as sources, and in the question.
  const hostile = payloads.map((payload) => `The lantern says ${payload.replaceAll(/[\u0000-\u001f]/g, " ")} on the quay.`).join("\n\n");
  await add(page, workspace, '"><img src=x onerror=alert(1)>.txt', hostile, own.url);
  for (const [n, payload] of payloads.entries()) {
    model.answers = [[`Before [1] ${payload}`, " after [2]."]];
    const asked = { query: `${QUESTION} ${payload}`, workspace_id: workspace, session_id: `payloads-${n % PAGES}` };
    // Where no passage answers, the model has its say without one.
    for (const data of [asked, { ...asked, without_sources: true }]) {
      if (model.asked.length > n) break;
      const answer = await page.request.post(`${own.url}/v1/chat/`, { data });
      expect(answer.status(), await answer.text()).toBe(200);
    }
  }
  expect(model.asked).toHaveLength(payloads.length);
  const odd =
    "script, img, iframe, object, embed, svg, math, form, style, link, base, video, audio, a:not(.answer-cite)";
  for (let part = 0; part < PAGES; part += 1) {
    await page.goto(`${own.url}/w/${workspace}/chat?c=payloads-${part}`);
    await live(page);
    await expect(turns(page).first()).toBeVisible();
    expect(await page.locator(".answer").locator(odd).count()).toBe(0);
    // Whatever would run has run by now.
    await page.evaluate(() => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 0))));
  }
  expect(dialogs).toBe(0);
  expect(foreign).toEqual([]);
});
