// Asking, watching an answer come, stopping it, and going on with it after a reload and a restart of the server.
import { type Page } from "@playwright/test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Server, expect, test } from "../fixtures";
import { Model } from "./model";
import { completed, firstWorkspace, live, long, looks, signUp, tabTo } from "./support";

const HARBOUR = `The harbour has two quays and a long breakwater.

The lantern hangs at the end of the north quay. It is lit by the keeper at dusk.

Tea is served in the cabin at four.
`;
const QUESTION = "Where does the lantern hang?";
const STEPS = ["Start", "Search", "Model", "Answer", "Store", "Done"];
/** Conversations over which the payloads are spread: a page shows a hundred turns. */
const PAGES = 5;
const PAYLOADS = join(import.meta.dirname, "../../crates/chat/tests/payloads.json");

/** Puts a text into a workspace and waits until it is found. */
async function add(page: Page, workspace: string, name: string, text: string, server = ""): Promise<string> {
  const files = { file: { name, mimeType: "text/plain", buffer: Buffer.from(text) } };
  const sent = await page.request.post(`${server}/api/workspaces/${workspace}/documents`, { multipart: files });
  expect(sent.status(), await sent.text()).toBe(202);
  const document = (await sent.json()).documents[0].document_id;
  const status = async () => (await (await page.request.get(`${server}/api/documents/${document}`)).json()).status;
  await expect.poll(status, { timeout: 60_000 }).toBe("ready");
  return document;
}

async function ask(page: Page, question: string): Promise<void> {
  await field(page).fill(question);
  await field(page).press("Enter");
}

const field = (page: Page) => page.getByLabel("Question", { exact: true });
const turns = (page: Page) => page.locator("[data-turn-id]");

/** A server with a language model that the test holds in its hand. */
const withModel = test.extend<{ model: Model; own: Server }>({
  model: async ({}, use) => {
    const model = await Model.start();
    await use(model);
    model.stop();
  },
  own: async ({ model }, use) => {
    const own = await Server.make(model.env);
    await own.start();
    await use(own);
    await own.remove();
  },
});

/** The chat of a new account at a server of its own, with the harbour in it. */
async function chatAt(page: Page, own: Server): Promise<string> {
  await signUp(page, undefined, own.url);
  const [{ id }] = (await (await page.request.get(`${own.url}/api/workspaces`)).json()).items;
  await add(page, id, "harbour.txt", HARBOUR, own.url);
  await page.goto(`${own.url}/w/${id}/chat`);
  await live(page);
  return id;
}

test("a question is answered out of the documents, and each source leads to its passage", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await add(page, workspace, "harbour.txt", HARBOUR);
  await page.goto(`/w/${workspace}`);
  await live(page);
  await page.getByRole("link", { name: "Chat", exact: true }).click();
  await ask(page, QUESTION);
  const turn = turns(page).first();
  await expect(turn).toHaveAttribute("data-status", "completed");
  await expect(turn.locator(".answer")).toContainText("An extract of the sources");
  await expect(turn.locator(".answer")).toContainText("The lantern hangs at the end of the north quay.");
  await expect(field(page)).toBeFocused();
  await turn.locator(".turn-steps summary").click();
  await expect(turn.locator(".turn-steps .chat-step > span:first-child")).toHaveText(STEPS);
  await expect(turn.locator(".turn-steps .chat-step .meta").first()).toHaveText(/\d+(\.\d)? (ms|s)$/);
  // The conversation has an address and stands in the list.
  await expect(page).toHaveURL(/chat\?c=/);
  await expect(page.getByRole("navigation", { name: "Conversations" }).getByRole("link", { name: QUESTION })).toBeVisible();
  for (const isNew of [true, false]) {
    if (!isNew) await page.reload();
    await live(page);
    await turns(page).first().locator(".answer-cite").first().click();
    await expect(page.locator(".source-card").first()).toBeFocused();
  }
  await page.locator(".source-card a").first().click();
  await expect(page.locator(".source mark")).toContainText("The lantern hangs");
});

test("a source leads to what was cited also when its document was replaced or indexed anew", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const document = await add(page, workspace, "harbour.txt", HARBOUR);
  await page.goto(`/w/${workspace}/chat`);
  await live(page);
  await ask(page, QUESTION);
  await expect(turns(page).first()).toHaveAttribute("data-status", "completed");
  const address = page.url();
  const card = page.locator(".source-card a").first();
  await expect(card).toContainText("harbour.txt, version 1");
  const config = await (await page.request.get(`/api/workspaces/${workspace}/rag-config`)).json();
  const saved = await page.request.put(`/api/workspaces/${workspace}/rag-config`, {
    data: { ...config, chunk_size: 100, chunk_overlap: 0 },
  });
  expect(saved.status(), await saved.text()).toBe(200);
  const { job_id } = await (await page.request.post(`/api/workspaces/${workspace}/reindex`, { data: {} })).json();
  await completed(page.request, job_id);
  await card.click();
  await expect(page.locator(".source mark")).toContainText("The lantern hangs");
  await expect(page.getByText("was indexed anew since an answer named this passage")).toBeVisible();
  await expect(page.getByRole("button", { name: "Disable" })).toHaveCount(0);

  // The next answer cites what is there now, which is replaced then.
  await page.goto(address);
  await live(page);
  await ask(page, QUESTION);
  const second = turns(page).nth(1);
  await expect(second).toHaveAttribute("data-status", "completed");
  const files = { name: "harbour.txt", mimeType: "text/plain", buffer: Buffer.from("The harbour was filled in.") };
  const sent = await page.request.post(`/api/workspaces/${workspace}/documents`, {
    multipart: { on_duplicate: "replace", file: files },
  });
  expect(sent.status(), await sent.text()).toBe(202);
  const version = async () => (await (await page.request.get(`/api/documents/${document}`)).json()).version;
  await expect.poll(version, { timeout: 60_000 }).toBe(2);
  await second.locator(".source-card a").first().click();
  await expect(page.locator(".source mark")).toContainText("The lantern hangs");
  await expect(page.getByText("This is of version 1 of the document, which was replaced since.")).toBeVisible();
});

test("where nothing answers, the question is asked again by itself when a new document is ready", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}/chat`);
  await live(page);
  await ask(page, QUESTION);
  const first = turns(page).first();
  await expect(first.locator(".answer")).toContainText("Nothing in this workspace answers that question.");
  await expect(first.getByRole("link", { name: "Upload documents" })).toBeVisible();
  await expect(first.getByRole("link", { name: "Crawl a site" })).toBeVisible();
  await expect(first.getByText("Waiting for a new document")).toBeVisible();
  await add(page, workspace, "harbour.txt", HARBOUR);
  await expect(turns(page)).toHaveCount(2);
  await expect(turns(page).nth(1).locator(".answer")).toContainText("north quay");
  await expect(first).toHaveAttribute("data-replaced", "true");
});

test("what became ready while nobody looked at the chat is asked on the next visit, also when the server is in trouble", async ({
  page,
  complaints,
}) => {
  complaints.allow(/503/);
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}/chat`);
  await live(page);
  await ask(page, QUESTION);
  await expect(turns(page).first().getByText("Waiting for a new document")).toBeVisible();
  const address = page.url();
  await page.goto("/");
  await add(page, workspace, "harbour.txt", HARBOUR);
  let refused = 0;
  await page.route("**/_fn/chat/again", (route) => {
    refused += 1;
    return route.fulfill({ status: 503, body: "away" });
  }, { times: 1 });
  await page.goto(address);
  await live(page);
  await expect(turns(page).nth(1).locator(".answer")).toContainText("north quay");
  await expect(turns(page).first()).toHaveAttribute("data-replaced", "true");
  expect(refused).toBe(1);
  // Once: another visit asks nothing.
  await page.reload();
  await live(page);
  await expect(turns(page)).toHaveCount(2);
});

test("the list of conversations goes on behind the first hundred", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  for (let n = 0; n <= 101; n += 1) {
    const made = await page.request.post("/v1/chat/conversations", { data: { title: `Number ${n}`, workspace_id: workspace } });
    expect(made.status()).toBe(201);
  }
  await page.goto(`/w/${workspace}/chat`);
  await live(page);
  const list = page.getByRole("navigation", { name: "Conversations" });
  await expect(list.locator(".chat-talk")).toHaveCount(100);
  await expect(list.getByRole("link", { name: "Number 1", exact: true })).toHaveCount(0);
  await list.getByRole("link", { name: "Older conversations" }).click();
  await expect(list.locator(".chat-talk")).toHaveText(["Number 1", "Number 0"]);
  await list.getByRole("link", { name: "To the newest conversations" }).click();
  await expect(list.locator(".chat-talk")).toHaveCount(100);
});

test("after a lost answer another question is asked, and the same one is not asked twice", async ({ page, complaints }) => {
  complaints.allow(/ERR_FAILED|Failed to fetch/);
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await add(page, workspace, "harbour.txt", HARBOUR);
  await page.goto(`/w/${workspace}/chat`);
  await live(page);
  // The server takes the question, and its answer never comes back.
  const lose = () =>
    page.route(
      "**/_fn/chat/ask",
      async (route) => {
        await route.fetch();
        await route.abort();
      },
      { times: 1 },
    );
  await lose();
  await ask(page, QUESTION);
  await expect(page.locator("#chat-trouble")).not.toBeEmpty();
  await field(page).press("Enter");
  await expect(turns(page)).toHaveCount(1);
  await expect(turns(page).first()).toHaveAttribute("data-status", "completed");
  await lose();
  await ask(page, "When is tea served?");
  await expect(page.locator("#chat-trouble")).not.toBeEmpty();
  // The server took it, and the live link tells of it.
  await expect(turns(page)).toHaveCount(2);
  await expect(turns(page).last()).toHaveAttribute("data-status", "completed");
  await ask(page, "How many quays has the harbour?");
  await expect(turns(page).last().locator(".turn-query")).toHaveText("How many quays has the harbour?");
  await expect(turns(page).last()).toHaveAttribute("data-status", "completed");
  await expect(page.locator("#chat-trouble")).toBeEmpty();
});

test("a conversation is named and deleted, and found by what was said in it", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await add(page, workspace, "harbour.txt", HARBOUR);
  for (const question of [QUESTION, "When is tea served?"]) {
    await page.goto(`/w/${workspace}/chat`);
    await live(page);
    await ask(page, question);
    await expect(turns(page).first()).toHaveAttribute("data-status", "completed");
  }
  const list = page.getByRole("navigation", { name: "Conversations" });
  await expect(list.locator(".chat-talk")).toHaveCount(2);
  await list.getByText("Name, export or delete").click();
  await list.getByLabel("Title").fill("Tea");
  await list.getByRole("button", { name: "Save title" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Tea" })).toBeVisible();
  await page.getByRole("searchbox", { name: "Find a conversation" }).fill("breakwater lantern");
  await page.getByRole("searchbox", { name: "Find a conversation" }).press("Enter");
  await expect(list.getByText("Nothing found.")).toBeVisible();
  await page.getByRole("searchbox", { name: "Find a conversation" }).fill("LANTERN");
  await page.getByRole("searchbox", { name: "Find a conversation" }).press("Enter");
  await expect(list.locator(".chat-talk")).toHaveCount(1);
  await list.getByRole("link", { name: QUESTION }).click();
  await live(page);
  await list.getByText("Name, export or delete").click();
  await list.getByRole("button", { name: /^Delete conversation/ }).click();
  await expect(page).toHaveURL(/chat$/);
  await expect(list.locator(".chat-talk")).toHaveCount(1);
});

test("a deleted conversation leaves every tab, and comes back by the keyboard while there is time", async ({ page, complaints }) => {
  // What was deleted may be asked for once more.
  complaints.allow(/404/);
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await add(page, workspace, "harbour.txt", HARBOUR);
  await page.goto(`/w/${workspace}/chat`);
  await live(page);
  await ask(page, QUESTION);
  await expect(turns(page).first()).toHaveAttribute("data-status", "completed");
  const other = await page.context().newPage();
  await other.goto(page.url());
  await live(other);
  await expect(turns(other)).toHaveCount(1);
  const list = (tab: Page) => tab.getByRole("navigation", { name: "Conversations" });
  const toast = page.locator(".toast").filter({ hasText: `The conversation “${QUESTION}” was deleted.` });
  const undo = toast.getByRole("button", { name: "Undo" });
  const remove = async () => {
    await list(page).getByText("Name, export or delete").click();
    await list(page).getByRole("button", { name: /^Delete conversation/ }).click();
    await expect(undo).toContainText(/· [1-8] s/);
    for (const tab of [page, other]) {
      await expect(tab).toHaveURL(/chat$/);
      await expect(list(tab).getByText("No conversation yet.")).toBeVisible();
      await expect(turns(tab)).toHaveCount(0);
    }
  };
  // It was begun on this page, whose address the router does not know.
  await remove();
  await tabTo(page, /^Undo/);
  await page.keyboard.press("Enter");
  for (const tab of [page, other]) {
    await expect(list(tab).getByRole("link", { name: QUESTION })).toBeVisible();
  }
  await expect(undo).toHaveCount(0);
  await list(page).getByRole("link", { name: QUESTION }).click();
  await expect(turns(page).first().locator(".answer")).toContainText("north quay");
  await expect(page.getByRole("heading", { level: 1, name: QUESTION })).toBeVisible();

  // And this time by its address.
  await remove();
  await looks(page, "chat-undo");
  await expect(undo).toHaveCount(0, { timeout: 12_000 });
  await page.reload();
  await expect(list(page).getByText("No conversation yet.")).toBeVisible();
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

withModel("what happens in a conversation is seen in every tab", async ({ page, model, own, complaints }) => {
  // What was deleted is asked for once more.
  complaints.allow(/404/);
  await chatAt(page, own);
  model.answers = [["On the north ", { gate: 1 }, "quay."], ["At four."]];
  const other = await page.context().newPage();
  await other.goto(page.url());
  await live(other);
  const list = other.getByRole("navigation", { name: "Conversations" });
  await expect(list.getByText("No conversation yet.")).toBeVisible();
  await ask(page, QUESTION);
  await list.getByRole("link", { name: QUESTION }).click();
  await live(other);
  // The tab that came later follows the answer, and both are told its end.
  await expect(turns(other).first().locator(".answer")).toHaveText("On the north");
  model.open(1);
  for (const tab of [page, other]) {
    await expect(turns(tab).first()).toHaveAttribute("data-status", "completed");
    await expect(turns(tab).first().locator(".answer")).toHaveText("On the north quay.");
  }
  // A question of one tab is answered in the other, whatever is typed there.
  await field(page).fill("Not sent yet");
  await ask(other, "When is tea served?");
  await expect(turns(page).nth(1)).toHaveAttribute("data-status", "completed");
  await expect(turns(page).nth(1).locator(".answer")).toHaveText("At four.");
  await expect(turns(page)).toHaveCount(2);
  await expect(field(page)).toHaveValue("Not sent yet");
  const conversation = new URL(other.url()).searchParams.get("c")!;
  const address = `${own.url}/v1/chat/conversations/me/${encodeURIComponent(conversation)}`;
  await page.request.patch(address, { data: { title: "The lantern" } });
  for (const tab of [page, other]) {
    await expect(tab.getByRole("heading", { level: 1, name: "The lantern" })).toBeVisible();
    await expect(tab.getByRole("navigation", { name: "Conversations" }).getByRole("link", { name: "The lantern" })).toBeVisible();
  }
  await page.request.delete(address);
  for (const tab of [page, other]) {
    await expect(tab).toHaveURL(/chat$/);
    await expect(tab.getByRole("navigation", { name: "Conversations" }).getByText("No conversation yet.")).toBeVisible();
  }
});

test("two tabs that wait for a document ask once, and both show the answer", async ({ page, complaints }) => {
  // To the one that comes second.
  complaints.allow(/409/);
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}/chat`);
  await live(page);
  await ask(page, QUESTION);
  await expect(turns(page).first().getByText("Waiting for a new document")).toBeVisible();
  const other = await page.context().newPage();
  await other.goto(page.url());
  await live(other);
  await expect(turns(other).first().getByText("Waiting for a new document")).toBeVisible();
  await add(page, workspace, "harbour.txt", HARBOUR);
  for (const tab of [page, other]) {
    await expect(turns(tab).nth(1).locator(".answer")).toContainText("north quay");
    await expect(turns(tab).first()).toHaveAttribute("data-replaced", "true");
    await expect(turns(tab)).toHaveCount(2);
  }
});

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
  await expect(turns(page).first()).toHaveAttribute("data-status", "failed", { timeout: 30_000 });
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

test("an answer says what was not searched yet, and is asked for again by one click when that is ready", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await add(page, workspace, "harbour.txt", HARBOUR);
  test.slow();
  // It takes a while, so the question comes before it.
  const text = Buffer.concat([Buffer.from("The zeppelin lands on the south quay at noon.\n\n"), long(30_000)]);
  const sent = await page.request.post(`/api/workspaces/${workspace}/documents`, {
    multipart: { file: { name: "zeppelin.txt", mimeType: "text/plain", buffer: text } },
  });
  expect(sent.status()).toBe(202);
  await page.goto(`/w/${workspace}/chat`);
  await live(page);
  await ask(page, QUESTION);
  const turn = turns(page).first();
  await expect(turn).toHaveAttribute("data-status", "completed");
  await expect(turn).toContainText("1 document was still processing: the answer may be incomplete.");
  await expect(turn.getByText("All of them are ready now.")).toBeVisible({ timeout: 90_000 });
  await turn.getByRole("button", { name: "Ask again" }).click();
  const second = turns(page).nth(1);
  await expect(second).toHaveAttribute("data-status", "completed");
  await expect(second).not.toContainText("still processing");
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
