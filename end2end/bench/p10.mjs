// What Chromium fetches for a page when it has nothing yet: `node bench/p10.mjs http://127.0.0.1:PORT`.
// Counts the bytes on the wire, headers included, as the browser's own protocol reports them; fonts apart.
// Prints one JSON line: {"signin": {"bytes", "font", "requests": [{"url", "bytes", "encoding"}]}, "home": …}.
import { chromium } from "@playwright/test";
import { launchOptions } from "../chromium.mjs";

const base = process.argv[2];
const person = {
  username: "bench",
  email: "bench@example.com",
  password: "Correct-horse-1",
  full_name: "Bench Person",
};

/** Loads a page in the context, whose cache is empty, and adds up what it fetched. */
async function weigh(context, path) {
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send("Network.enable");
  const requests = new Map();
  session.on("Network.responseReceived", ({ requestId, response, type }) => {
    const header = Object.entries(response.headers).find(([name]) => name.toLowerCase() === "content-encoding");
    requests.set(requestId, { url: response.url.replace(base, ""), type, encoding: header?.[1] ?? "-", status: response.status });
  });
  session.on("Network.loadingFinished", ({ requestId, encodedDataLength }) => {
    const request = requests.get(requestId);
    if (request) request.bytes = encodedDataLength;
  });
  const response = await page.goto(`${base}${path}`, { waitUntil: "networkidle" });
  if (response.status() !== 200) throw new Error(`${path} answered ${response.status()}`);
  const url = page.url();
  await page.close();
  // A stream that stays open never finishes and is no part of a cold load.
  const all = [...requests.values()].filter((request) => request.bytes !== undefined);
  const bad = all.find((request) => request.status >= 400);
  if (bad) throw new Error(`${path}: ${bad.url} answered ${bad.status}`);
  const sum = (list) => list.reduce((total, request) => total + Math.round(request.bytes), 0);
  const fonts = all.filter((request) => request.type === "Font");
  return {
    url,
    bytes: sum(all.filter((request) => request.type !== "Font")),
    font: sum(fonts),
    requests: all.map(({ url, bytes, encoding }) => ({ url, bytes: Math.round(bytes), encoding })),
  };
}

/** Waits for the work on the document, so that the pages show it at rest. */
async function finished(request, job) {
  for (let round = 0; round < 240; round++) {
    const { status } = await (await request.get(`/api/jobs/${job}`)).json();
    if (status === "completed") return;
    await new Promise((wake) => setTimeout(wake, 250));
  }
  throw new Error("the document was not ready after a minute");
}

const browser = await chromium.launch(launchOptions());
try {
  const signedOut = await browser.newContext({ baseURL: base });
  const signin = await weigh(signedOut, "/signin");
  await signedOut.close();

  const visitor = await browser.newContext({ baseURL: base });
  const answer = await visitor.request.post("/api/auth/signup", { data: person });
  if (answer.status() !== 201) throw new Error(`sign-up answered ${answer.status()}: ${await answer.text()}`);
  let list = await visitor.request.get("/api/workspaces");
  if (list.status() === 401) {
    // A sign-up that does not sign in by itself.
    await visitor.request.post("/api/auth/login", { data: person });
    list = await visitor.request.get("/api/workspaces");
  }
  const [first] = (await list.json()).items;
  const file = { name: "note.txt", mimeType: "text/plain", buffer: Buffer.from("A note that is weighed with its page.") };
  const taken = await visitor.request.post(`/api/workspaces/${first.id}/documents`, { multipart: { file } });
  if (!taken.ok()) throw new Error(`the upload answered ${taken.status()}: ${await taken.text()}`);
  const { documents, job_id: job } = await taken.json();
  await finished(visitor.request, job);

  const pages = { signin };
  const addresses = {
    home: "/",
    workspace: `/w/${first.id}`,
    document: `/d/${documents[0].document_id}`,
    settings: "/settings/profile",
    rag: `/w/${first.id}/rag`,
  };
  const { cookies } = await visitor.storageState();
  for (const [name, address] of Object.entries(addresses)) {
    // A context of its own, and with it an empty cache.
    const context = await browser.newContext({ baseURL: base });
    await context.addCookies(cookies);
    pages[name] = await weigh(context, address);
    await context.close();
    if (!pages[name].requests.some((request) => request.url.endsWith(".wasm"))) {
      throw new Error(`the page ${pages[name].url} loaded no WASM`);
    }
  }
  if (signin.requests.some((request) => request.url.endsWith(".wasm"))) throw new Error("the sign-in page loaded WASM");
  console.log(JSON.stringify(pages));
} finally {
  await browser.close();
}
