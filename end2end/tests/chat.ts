// What the specs of the chat share: a harbour to ask about, asking, and a language model that the test holds in its hand.
import { type Page } from "@playwright/test";
import { Server, expect, test } from "../fixtures";
import { Model } from "./model";
import { live, signUp } from "./support";

export const HARBOUR = `The harbour has two quays and a long breakwater.

The lantern hangs at the end of the north quay. It is lit by the keeper at dusk.

Tea is served in the cabin at four.
`;
export const QUESTION = "Where does the lantern hang?";
export const STEPS = ["Start", "Search", "Model", "Answer", "Store", "Done"];

/** Puts a text into a workspace and waits until it is found. */
export async function add(page: Page, workspace: string, name: string, text: string, server = ""): Promise<string> {
  const files = { file: { name, mimeType: "text/plain", buffer: Buffer.from(text) } };
  const sent = await page.request.post(`${server}/api/workspaces/${workspace}/documents`, { multipart: files });
  expect(sent.status(), await sent.text()).toBe(202);
  const document = (await sent.json()).documents[0].document_id;
  const status = async () => (await (await page.request.get(`${server}/api/documents/${document}`)).json()).status;
  await expect.poll(status, { intervals: [50], timeout: 120_000 }).toBe("ready");
  return document;
}

export async function ask(page: Page, question: string): Promise<void> {
  await field(page).fill(question);
  await field(page).press("Enter");
}

export const field = (page: Page) => page.getByLabel("Question", { exact: true });
export const turns = (page: Page) => page.locator("[data-turn-id]");

/** A server with a language model that the test holds in its hand. */
export const withModel = test.extend<{ model: Model; own: Server }>({
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
export async function chatAt(page: Page, own: Server): Promise<string> {
  await signUp(page, undefined, own.url);
  const [{ id }] = (await (await page.request.get(`${own.url}/api/workspaces`)).json()).items;
  await add(page, id, "harbour.txt", HARBOUR, own.url);
  await page.goto(`${own.url}/w/${id}/chat`);
  await live(page);
  return id;
}
