// What several specs do: becoming somebody, bringing documents in, reading what a page shows.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { createServer } from "node:http";
import { type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type APIRequestContext, type Browser, type Locator, type Page, type WebSocketRoute } from "@playwright/test";
import { Server, bar, expect, person, soon } from "../fixtures";

export const DOCUMENTS = join(import.meta.dirname, "../../crates/ingest/tests/documents");
export const FILES = ["how-it-works.pdf", "questions.html", "first-steps.md", "glossary.txt"];

export const path = (name: string) => join(DOCUMENTS, name);

/** Somebody new, by the API, and on the first page: what most tests begin with. The form has tests of its own. */
export async function signUp(page: Page, who = person(), server = "") {
  const made = await page.request.post(`${server}/api/auth/signup`, { data: who });
  expect(made.status(), await made.text()).toBe(201);
  await page.goto(`${server}/`);
  await expect(page).toHaveURL(/\/$/);
  return who;
}

/** Fills the sign-up form and waits for the first page. */
export async function signUpByForm(page: Page, who = person(), server = "") {
  await page.goto(`${server}/signup`);
  await page.getByLabel("Username").fill(who.username);
  await page.getByLabel("E-mail").fill(who.email);
  await page.getByLabel("Full name").fill(who.full_name);
  await page.getByLabel("Password", { exact: false }).fill(who.password);
  await page.getByRole("button", { name: "Sign up" }).click();
  await expect(page).toHaveURL(/\/$/);
  return who;
}

export async function signIn(page: Page, who: { email: string; password: string }) {
  await page.getByLabel("E-mail").fill(who.email);
  await page.getByLabel("Password").fill(who.password);
  await page.getByRole("button", { name: "Sign in" }).click();
}

/** The same person in a second browser, which needs no script. */
export async function elsewhere(browser: Browser, baseURL: string | undefined, who: { email: string; password: string }) {
  const context = await browser.newContext({ baseURL, javaScriptEnabled: false });
  const page = await context.newPage();
  await page.goto("/signin");
  await signIn(page, who);
  await expect(page).toHaveURL(/\/$/);
  return page;
}

/** The live link is up: what happens from here on is seen. One that was lost is tried again every half a minute, at the
 * latest; where all ways but the socket are barred, each of these takes a try before its turn comes again. */
export async function live(page: Page): Promise<void> {
  await soon(page, 'html[data-hydrated][data-live="open"]', 120_000);
}

/** Opens the first workspace and waits for the live link. */
export async function openFirst(page: Page): Promise<string> {
  await page.getByRole("main").getByRole("link", { name: "My documents" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "My documents" })).toBeVisible();
  await live(page);
  return new URL(page.url()).pathname.split("/").pop()!;
}

/** Takes an item of the menu in the head of a workspace. */
export async function more(page: Page, name: string): Promise<void> {
  const menu = page.locator(".page-actions").first().locator("details.menu");
  await menu.locator("summary").click();
  await menu.getByRole("link", { name, exact: true }).click();
}

/** The row of a document that the server knows. */
export const row = (page: Page, name: string): Locator =>
  page.locator("[data-document-id].doc-row").filter({ has: page.getByTitle(name, { exact: true }) });

/** What the badge at the row of a document says. */
export const word = (page: Page, name: string): Locator => row(page, name).locator(".badge-word");

/** Gives files to the picker, as a person would. */
export async function pick(page: Page, names: string[]): Promise<void> {
  await page.locator("input[type=file]").first().setInputFiles(names.map(path));
}

/** Drops files on the page, as a person would. */
export async function drop(page: Page, names: string[]): Promise<void> {
  const files = await Promise.all(
    names.map(async (name) => ({ name, bytes: (await readFile(path(name))).toString("base64") })),
  );
  const data = await page.evaluateHandle((list) => {
    const transfer = new DataTransfer();
    for (const { name, bytes } of list) {
      const raw = Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0));
      transfer.items.add(new File([raw], name));
    }
    return transfer;
  }, files);
  await page.dispatchEvent("body", "dragenter", { dataTransfer: data });
  await page.dispatchEvent("body", "dragover", { dataTransfer: data });
  await page.dispatchEvent("body", "drop", { dataTransfer: data });
}

export async function allReady(page: Page, names: string[]): Promise<void> {
  for (const name of names) {
    await soon(page, `.doc-row[data-document-id][data-status="ready"] [title="${name}"]`, 120_000);
    await expect(row(page, name)).toHaveAttribute("data-status", "ready");
  }
}

/** Uploads over the API with the page's cookie. Answers the upload's answer. */
export async function upload(request: APIRequestContext, workspace: string, names: string[]) {
  const form = new FormData();
  for (const name of names) form.append("file", new File([await readFile(path(name))], name));
  const answer = await request.post(`/api/workspaces/${workspace}/documents`, { multipart: form });
  expect(answer.status()).toBe(202);
  return answer.json();
}

/** The job has come to its end, and well. */
export async function completed(request: APIRequestContext, job: string): Promise<void> {
  const status = async () => (await (await request.get(`/api/jobs/${job}`)).json()).status;
  await expect.poll(status, { intervals: [50], timeout: 120_000 }).toBe("completed");
}

/** A workspace whose documents a worker of somebody's own processes: the test says what becomes of them, at once. */
export async function external(request: APIRequestContext, name = "Scans") {
  const made = await request.post("/api/workspaces", { data: { name, processor: "external" } });
  expect(made.status()).toBe(201);
  const { id } = await made.json();
  const status = async () => (await (await request.get(`/api/workspaces/${id}`)).json()).status;
  await expect.poll(status, { intervals: [50] }).toBe("ready");
  const report = async (document: string, data: Record<string, unknown>): Promise<void> => {
    const answer = await request.post(`/api/status/documents/${document}`, { data });
    expect(answer.status(), await answer.text()).toBe(200);
  };
  return {
    id: id as string,
    /** Uploads files of these names; answers the ids of their documents. */
    add: async (names: string[]): Promise<string[]> => {
      const form = new FormData();
      for (const name of names) form.append("file", new File([`The harbour opens at six, says ${name}.`], name));
      const answer = await request.post(`/api/workspaces/${id}/documents`, { multipart: form });
      expect(answer.status()).toBe(202);
      return (await answer.json()).documents.map((d: { document_id: string }) => d.document_id);
    },
    report,
    /** Takes a document that waits, and ends it like this. */
    end: async (document: string, data: Record<string, unknown>): Promise<void> => {
      await report(document, { status: "processing" });
      await report(document, data);
    },
  };
}

/** The id of the workspace that came with the account. */
export async function firstWorkspace(request: APIRequestContext): Promise<string> {
  const list = await (await request.get("/api/workspaces")).json();
  return list.items.at(-1).id;
}

/** Counts full page loads from here on, by what asks for them: the page that is there may still be loading pictures. A page
 * that moves by itself makes none. */
export function countLoads(page: Page): () => number {
  let loads = 0;
  page.on("request", (request) => {
    if (request.isNavigationRequest() && request.frame() === page.mainFrame()) loads++;
  });
  return () => loads;
}

/** How much moves there without an end: rings that turn, spinners. */
export function turning(where: Page | Locator): Promise<number> {
  const root = "goto" in where ? where.locator("html") : where;
  return root.evaluate((root) => {
    const endless = (moving: Animation) => moving.playState === "running" && moving.effect?.getTiming().iterations === Infinity;
    return root.getAnimations({ subtree: true }).filter(endless).length;
  });
}

/** Presses Tab until the focused element's name matches; before, waits until there is one to lead to. */
export async function tabTo(page: Page, name: RegExp): Promise<void> {
  const names = (of: "all" | "focused") =>
    page.evaluate((of) => {
      const all = document.querySelectorAll<HTMLElement>("a[href], button, input, select, textarea, summary, [tabindex]");
      const seen = [...all].filter((e) => !e.matches(":disabled") && e.checkVisibility());
      const focused = document.activeElement as HTMLElement | null;
      return (of === "all" ? seen : focused && focused !== document.body ? [focused] : []).map((e) => {
        const label = (e as HTMLInputElement).labels?.[0]?.textContent ?? "";
        return `${e.getAttribute("aria-label") ?? ""} ${label} ${e.textContent ?? ""}`.trim();
      });
    }, of);
  const isThere = async () => (await names("all").catch(() => [])).some((one) => name.test(one));
  await expect.poll(isThere, `something is named ${name}`).toBe(true);
  for (let i = 0; i < 60; i++) {
    if ((await names("focused")).some((one) => name.test(one))) return;
    await page.keyboard.press("Tab");
  }
  throw new Error(`Tab does not lead to ${name}`);
}

/** What a person could not reach without scrolling sideways: controls and texts that stand out of the window, and texts
 * that are cut off without a sign of it. What scrolls in a box of its own can be reached. */
export function lost(page: Page): Promise<{ wide: number; out: string[] }> {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const wide = document.documentElement.scrollWidth - width;
    const scrolls = (e: Element): boolean =>
      ["auto", "scroll"].includes(getComputedStyle(e).overflowX) || (e.parentElement !== null && scrolls(e.parentElement));
    const hasText = (e: Element) => [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.textContent!.trim() !== "");
    const isCut = (e: HTMLElement) => {
      const { overflowX, textOverflow } = getComputedStyle(e);
      return overflowX !== "visible" && textOverflow !== "ellipsis" && e.scrollWidth > e.clientWidth + 1;
    };
    const out = [...document.querySelectorAll("main *, .topbar *")]
      .filter((e) => e instanceof HTMLElement)
      .filter((e) => !e.closest(".sr-only, [aria-hidden=true]") && e.checkVisibility())
      .filter((e) => e.matches("a, button, input, select, textarea") || hasText(e))
      .filter((e) => (e.getBoundingClientRect().right > width + 1 || (hasText(e) && isCut(e))) && !scrolls(e))
      .map((e) => e.outerHTML.slice(0, 120));
    return { wide, out };
  });
}

/** Nothing is lost on a phone and on a large screen, in either theme; with a folder for pictures, one of each. */
export async function looks(page: Page, name: string): Promise<void> {
  const before = page.viewportSize()!;
  for (const theme of ["light", "dark"]) {
    for (const width of [390, 1440]) {
      await page.setViewportSize({ width, height: 900 });
      await page.evaluate((theme) => document.documentElement.setAttribute("data-theme", theme), theme);
      // What moves for a while, and not for ever, is brought to its end.
      await page.evaluate(() => {
        const ends = (moving: Animation) => moving.effect?.getComputedTiming().endTime !== Infinity;
        for (const moving of document.getAnimations().filter(ends)) moving.finish();
      });
      expect((await lost(page)).out, `${name} at ${width}`).toEqual([]);
      const folder = process.env.INSIGHTHUB_PICTURES;
      if (folder) await page.screenshot({ path: `${folder}/${name}-${theme}-${width}.png` });
    }
  }
  await page.setViewportSize(before);
}

/** An embedding server that answers only when it is let: whoever asks for a text with a word that is held waits until that is
 * released, and everybody does where no word is named. */
export async function patientModels() {
  const held = new Map<string, { turn: Promise<void>; go: () => void }>();
  const http = createServer(async (request, answer) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    for (const [word, { turn }] of held) if (body.includes(word)) await turn;
    const data =
      request.method === "GET"
        ? [{ id: "slow-embed", object: "model" }]
        : [JSON.parse(body).input].flat().map((_, index) => ({ index, embedding: Array.from({ length: 8 }, () => 0.5) }));
    answer.setHeader("content-type", "application/json").end(JSON.stringify({ data }));
  });
  await new Promise<void>((listening) => http.listen(0, "127.0.0.1", listening));
  return {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    hold: (word = "") => {
      let go = () => {};
      const turn = new Promise<void>((done) => (go = done));
      held.set(word, { turn, go });
    },
    release: (word = "") => {
      held.get(word)?.go();
      held.delete(word);
    },
    close: () => http.close(),
  };
}

/** A server that works on one document at a time, and somebody who looks at a workspace there. What is embedded of a document
 * waits as long as the test holds the document's name. */
export async function patient(browser: Browser) {
  const models = await patientModels();
  const server = await Server.make({ EMBEDDINGS_URL: models.url, INSIGHTHUB_WORKERS: "1" });
  const context = await browser.newContext({ baseURL: server.url });
  const end = async () => {
    await context.close();
    await server.remove();
    models.close();
  };
  try {
    await server.start();
    const page = await context.newPage();
    const who = await signUp(page);
    const workspace = await openFirst(page);
    const status = async () => (await (await page.request.get(`/api/workspaces/${workspace}`)).json()).status;
    await expect.poll(status, { intervals: [50] }).toBe("ready");
    const address = `/api/workspaces/${workspace}/rag-config`;
    const config = await (await page.request.get(address)).json();
    const choose = async () => {
      const saved = await page.request.put(address, { data: { ...config, embedding_model: "slow-embed" } });
      return saved.status();
    };
    await expect.poll(choose, "the model can be chosen").toBe(200);
    /** Uploads files of these names, as one job. */
    const send = async (...names: string[]) => {
      const form = new FormData();
      for (const name of names) form.append("file", new File([`The harbour opens at six, says ${name}.`], name));
      const answer = await page.request.post(`/api/workspaces/${workspace}/documents`, { multipart: form });
      expect(answer.status(), await answer.text()).toBe(202);
      const { job_id, documents } = await answer.json();
      const ids = documents.map((d: { document_id: string }) => d.document_id);
      return { job: job_id as string, documents: ids as string[] };
    };
    /** Steers a job or a document. */
    const steer = async (path: string): Promise<void> => {
      const answer = await page.request.post(`/api/${path}`);
      expect(answer.status(), await answer.text()).toBe(202);
    };
    return { page, who, workspace, server, models, send, steer, end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** A document that failed, and its page. */
export async function failedDocument(request: APIRequestContext, workspace: string): Promise<string> {
  const form = new FormData();
  form.append("file", new File(["%PDF-1.7\nthis is no real PDF"], "broken.pdf"));
  const answer = await request.post(`/api/workspaces/${workspace}/documents`, { multipart: form });
  expect(answer.status()).toBe(202);
  const { document_id } = (await answer.json()).documents[0];
  const status = async () => (await (await request.get(`/api/documents/${document_id}`)).json()).status;
  await expect.poll(status, { intervals: [50], timeout: 120_000 }).toBe("failed");
  return document_id;
}

/** A file at whose row it is said why it is not taken. */
export async function refusedUpload(page: Page): Promise<void> {
  await page.locator("input[type=file]").first().setInputFiles([{ name: "empty.txt", mimeType: "text/plain", buffer: Buffer.from("") }]);
  await expect(page.locator('[data-upload="empty.txt"]')).toContainText("Not taken");
}

/** A server with one workspace that could not be made ready and one that is being made until `end`. */
export async function unready(page: Page) {
  const models = await patientModels();
  const folder = await mkdtemp(join(tmpdir(), "insighthub-models-"));
  const server = await Server.make({ INSIGHTHUB_MODELS_DIR: folder, EMBEDDINGS_URL: models.url });
  const end = async () => {
    models.release();
    models.close();
    await server.remove();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await server.start();
    await signUp(page, undefined, server.url);
    const make = async (name: string): Promise<string> => {
      const made = await page.request.post(`${server.url}/api/workspaces`, { data: { name } });
      expect(made.status(), await made.text()).toBe(201);
      return (await made.json()).id;
    };
    const failed = await make("Not made");
    const status = async () => (await (await page.request.get(`${server.url}/api/workspaces/${failed}`)).json()).status;
    await expect.poll(status, { intervals: [50] }).toBe("error");
    const address = `${server.url}/api/auth/default-rag-config`;
    const config = await (await page.request.get(address)).json();
    const saved = await page.request.put(address, { data: { ...config, embedding_model: "slow-embed" } });
    expect(saved.status(), await saved.text()).toBe(200);
    models.hold();
    const making = await make("Being made");
    return { url: server.url, failed, making, end };
  } catch (error) {
    await end();
    throw error;
  }
}

/** The addresses of a person who has a workspace with a document that is ready and one that failed. */
export function addresses(workspace: string, ready: string, failed: string): string[] {
  const [home, document] = [`/w/${workspace}`, `/d/${ready}`];
  const of = (page: string, parts: string[]) => parts.map((part) => page + part);
  return [
    ...of("/", ["", "?new", "errors"]),
    ...of(home, ["", "?q=workspace", "?edit", "/rag", "/history", "/jobs", "/analytics"]),
    ...of(document, ["", "/history"]),
    `/d/${failed}`,
  ];
}

/** The frames of one message of the live stream: a page lets the server gather them, a line each. */
export function lines(message: string | Buffer): string[] {
  return message.toString().split("\n");
}

/** Leaves the page no way of the live stream but its socket, while `isBarred`. */
export async function barOtherWays(page: Page, isBarred?: () => boolean): Promise<void> {
  await bar(page, /\/api\/status\/(events|changes)/, isBarred);
}

/** Stands between the page and the server: passes frames on, keeps what the page got, and cuts the line when asked. */
export class Wire {
  readonly frames: { seq?: number; type: string; event?: string; resumed?: boolean }[] = [];
  private open: { page: WebSocketRoute; server: WebSocketRoute }[] = [];
  private down = false;
  /** The next line claims to have left off where the log does not reach back to. */
  forgets = false;
  connections = 0;

  async install(page: Page): Promise<void> {
    // The line is the only one: what a page does without sockets is told in `link.hydrate.spec.ts`.
    await barOtherWays(page);
    await page.routeWebSocket(/\/api\/status\/ws$/, (route) => {
      this.connections++;
      if (this.down) {
        void route.close({ code: 1011 });
        return;
      }
      const server = route.connectToServer();
      const line = { page: route, server };
      this.open.push(line);
      route.onMessage((message) => {
        const frame = JSON.parse(message.toString());
        if (this.forgets && frame.type === "hello") frame.epoch = "one-that-is-gone";
        server.send(JSON.stringify(frame));
      });
      server.onMessage((message) => {
        // What is still on its way over a line that was cut reaches nobody.
        if (!this.open.includes(line)) return;
        this.frames.push(...lines(message).map((line) => JSON.parse(line)));
        route.send(message);
      });
    });
  }

  async cut(): Promise<void> {
    this.down = true;
    const cut = this.open.splice(0);
    await Promise.all(cut.flatMap(({ page, server }) => [page.close({ code: 1011 }), server.close()]));
  }

  mend(): void {
    this.down = false;
  }

  get events() {
    return this.frames.filter((frame) => frame.type === "event");
  }
}

/** The line of a page, which can be made slow, in bytes a second and however often, and fast again. */
export async function throttle(page: Page) {
  const session = await page.context().newCDPSession(page);
  return {
    to: async (bytes: number): Promise<void> => {
      const conditions = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: bytes };
      await session.send("Network.emulateNetworkConditions", conditions);
    },
    end: (): Promise<void> => session.detach(),
  };
}

/** Makes the line slow, in bytes a second; answers what makes it fast again. */
export async function slow(page: Page, bytes: number): Promise<() => Promise<void>> {
  const line = await throttle(page);
  await line.to(bytes);
  return line.end;
}

/** A PDF of four pages: one with words, one that has no size, so that the parser trips over it, one that is empty, and one
 * with words again. It can be read in part. */
export function partlyReadable(): Buffer {
  const lines = Array.from({ length: 30 }, (_, n) => `(Lantern ${n} stands on the bridge, and burns until the morning.) Tj T*`);
  const words = `BT /F1 11 Tf 14 TL 60 780 Td ${lines.join(" ")} ET`;
  const stream = (content: string) => `<< /Length ${content.length} >>\nstream\n${content}\nendstream`;
  const page = (content: number, size = "/MediaBox [0 0 595 842]") =>
    `<< /Type /Page /Parent 2 0 R ${size} /Contents ${content} 0 R /Resources << /Font << /F1 3 0 R >> >> >>`;
  const objects = [
    "<< /Type /Catalog /Pages 2 0 R >>",
    "<< /Type /Pages /Count 4 /Kids [6 0 R 7 0 R 8 0 R 9 0 R] >>",
    "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    stream(words),
    stream(""),
    page(4),
    page(4, ""),
    page(5),
    page(4),
  ];
  let pdf = "%PDF-1.4\n";
  const places = objects.map((object, n) => {
    const place = pdf.length;
    pdf += `${n + 1} 0 obj\n${object}\nendobj\n`;
    return `${String(place).padStart(10, "0")} 00000 n \n`;
  });
  const [size, table] = [objects.length + 1, pdf.length];
  pdf += `xref\n0 ${size}\n0000000000 65535 f \n${places.join("")}`;
  pdf += `trailer\n<< /Size ${size} /Root 1 0 R >>\nstartxref\n${table}\n%%EOF\n`;
  return Buffer.from(pdf, "latin1");
}

const WORDS = ["lantern", "harbour", "river", "ledger", "bridge", "amber", "merchant", "quiet"];

/** A text that takes a good while to embed: each sentence has its number, since a passage that is there already is not embedded again. */
export const long = (words: number) =>
  Buffer.from(Array.from({ length: words }, (_, n) => WORDS[(n * 7 + (n >> 3)) % WORDS.length] + (n % 12 ? "" : ` ${n}.`)).join(" "));
