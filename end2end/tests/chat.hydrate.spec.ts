// Asking, and being answered out of the documents: the sources, and what waits for a document.
import { expect, test } from "../fixtures";
import { HARBOUR, QUESTION, STEPS, add, ask, field, turns } from "./chat";
import { completed, firstWorkspace, live, long, signUp } from "./support";

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

test("an answer says what was not searched yet, and is asked for again by one click when that is ready", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await add(page, workspace, "harbour.txt", HARBOUR);
  test.slow();
  await page.goto(`/w/${workspace}/chat`);
  await live(page);
  // It takes a while, and the question comes at once, so that it comes before the end of that.
  const text = Buffer.concat([Buffer.from("The zeppelin lands on the south quay at noon.\n\n"), long(30_000)]);
  const sent = await page.request.post(`/api/workspaces/${workspace}/documents`, {
    multipart: { file: { name: "zeppelin.txt", mimeType: "text/plain", buffer: text } },
  });
  expect(sent.status()).toBe(202);
  await ask(page, QUESTION);
  const turn = turns(page).first();
  await expect(turn).toHaveAttribute("data-status", "completed");
  await expect(turn).toContainText("1 document was still processing: the answer may be incomplete.");
  await expect(turn.getByText("All of them are ready now.")).toBeVisible({ timeout: 300_000 });
  await turn.getByRole("button", { name: "Ask again" }).click();
  const second = turns(page).nth(1);
  await expect(second).toHaveAttribute("data-status", "completed");
  await expect(second).not.toContainText("still processing");
});
