// The list of workspaces; a workspace on its way to being ready, what is locked meanwhile, and its name.
import { mkdtemp, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Page } from "@playwright/test";
import { Server, expect, hydrated, test } from "../fixtures";
import { FILES, elsewhere, external, firstWorkspace, live, more, patientModels, signUp, tabTo, upload } from "./support";

/** Makes the workspace "Papers" in the dialog and opens it. */
async function makePapers(page: Page): Promise<void> {
  await page.getByRole("link", { name: "New workspace" }).first().click();
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("Papers");
  await dialog.getByRole("button", { name: "Create workspace" }).click();
  await page.getByRole("main").getByRole("link", { name: "Papers" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Papers" })).toBeVisible();
}

test("a workspace that cannot be made ready says why, locks what needs it, and can be retried", async ({ page }) => {
  const models = await mkdtemp(join(tmpdir(), "insighthub-models-"));
  const server = await Server.make({ INSIGHTHUB_MODELS_DIR: models });
  try {
    await server.start();
    await signUp(page, undefined, server.url);
    await live(page);
    await makePapers(page);

    const card = page.getByRole("alert").filter({ hasText: "This workspace could not be made ready" });
    await expect(card).toContainText("Load the embedding model");
    await expect(card).toContainText("model_missing");
    // Neither picking nor dropping; the reason stands beside the button.
    await expect(page.locator("input[type=file]").first()).toBeDisabled();
    const reason = "This workspace could not be made ready. Retry that first.";
    await expect(page.locator(".picker-reason").first()).toHaveText(reason);
    // Nor asking; the way to what was asked before stays open.
    const chat = page.getByRole("link", { name: "Chat", exact: true });
    await expect(chat).not.toHaveAttribute("aria-disabled");
    const address = page.url();
    await chat.click();
    await expect(page).toHaveURL(`${address}/chat`);
    await live(page);
    await expect(page.getByLabel("Question", { exact: true })).toBeDisabled();
    await expect(page.getByRole("button", { name: "Ask", exact: true })).toBeDisabled();
    await expect(page.getByText(reason)).toBeVisible();
    await page.goto(address);
    await live(page);

    await symlink(join(process.env.INSIGHTHUB_MODELS_DIR!, "all-MiniLM-L6-v2"), join(models, "all-MiniLM-L6-v2"));
    await tabTo(page, /^Retry$/);
    await page.keyboard.press("Enter");
    await expect(card).toHaveCount(0);
    await expect(page.locator("h1").locator("[data-status=ready]")).toBeVisible();
    await expect(page.locator("input[type=file]").first()).toBeEnabled();
    await expect(page.locator(".picker-reason")).toHaveCount(0);
    await chat.click();
    await expect(page.getByLabel("Question", { exact: true })).toBeEnabled();
  } finally {
    await server.remove();
    await rm(models, { recursive: true, force: true });
  }
});

test("what was asked before can be read in a workspace that is not ready, and nothing can be asked", async ({ page }) => {
  await signUp(page);
  const { id } = await external(page.request);
  const asked = await page.request.post("/v1/chat/", { data: { query: "Where is the lantern?", workspace_id: id, stream: false } });
  expect(asked.status(), await asked.text()).toBe(200);
  const report = async (status: string): Promise<void> => {
    const told = await page.request.post(`/api/status/workspaces/${id}`, { data: { status } });
    expect(told.status(), await told.text()).toBe(200);
  };
  await report("error");
  await page.goto(`/w/${id}`);
  await live(page);
  await page.getByRole("link", { name: "Chat", exact: true }).click();
  await page.getByRole("navigation", { name: "Conversations" }).getByRole("link", { name: "Where is the lantern?" }).click();
  const turn = page.locator("[data-turn-id]");
  await expect(turn.getByRole("heading", { name: "Where is the lantern?" })).toBeVisible();
  const field = page.getByLabel("Question", { exact: true });
  await expect(field).toBeDisabled();
  await expect(page.getByRole("button", { name: "Ask", exact: true })).toBeDisabled();
  await expect(page.getByText("This workspace could not be made ready. Retry that first.")).toBeVisible();
  // It opens by itself when the workspace is ready again.
  await report("provisioning");
  await expect(field).toBeEnabled();
});

test("a workspace that is being made shows its steps, and turns ready by itself", async ({ page }) => {
  const models = await patientModels();
  const server = await Server.make({ EMBEDDINGS_URL: models.url });
  try {
    await server.start();
    await signUp(page, undefined, server.url);
    const config = await (await page.request.get(`${server.url}/api/auth/default-rag-config`)).json();
    const saved = await page.request.put(`${server.url}/api/auth/default-rag-config`, {
      data: { ...config, embedding_model: "slow-embed" },
    });
    expect(saved.status(), await saved.text()).toBe(200);
    models.hold();
    await live(page);
    await makePapers(page);
    await expect(page.getByText("Making this workspace ready")).toBeVisible();
    const step = page.locator(".indicator-step");
    await expect(step).toHaveCount(4);
    await expect(page.locator(".indicator-step[data-state=now]")).toHaveText(/embedding model/i);
    await expect(page.locator(".indicator-step[data-state=done]")).toHaveCount(2);
    await expect(page.locator("h1").locator("[data-status=provisioning]")).toBeVisible();
    await expect(page.locator(".picker-reason").first()).toBeVisible();
    // A reload tells the same.
    await page.reload();
    await expect(page.getByText("Making this workspace ready")).toBeVisible();
    await live(page);
    models.release();
    await expect(page.locator("h1").locator("[data-status=ready]")).toBeVisible();
    await expect(page.getByText("Making this workspace ready")).toHaveCount(0);
    await expect(page.locator("input[type=file]").first()).toBeEnabled();
  } finally {
    models.release();
    models.close();
    await server.remove();
  }
});

test("a renamed workspace is renamed in every tab", async ({ page, context }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  const other = await context.newPage();
  await other.goto("/");
  await live(other);
  // Pages that name it beside what they show.
  const [{ document_id }] = (await upload(page.request, workspace, [FILES[3]])).documents;
  const [history, document] = [await context.newPage(), await context.newPage()];
  await history.goto(`/w/${workspace}/history`);
  await live(history);
  await document.goto(`/d/${document_id}`);
  await live(document);
  await page.goto(`/w/${workspace}`);
  await live(page);
  await more(page, "Edit");
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByLabel("Name")).toHaveValue("My documents");
  await dialog.getByLabel("Name").fill("ab");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog.getByLabel("Name")).toHaveAttribute("aria-invalid", "true");
  await dialog.getByLabel("Name").fill("Field notes");
  await dialog.getByLabel("Description").fill("What was seen on the way.");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog).toBeHidden();
  await expect(page.getByRole("heading", { level: 1, name: "Field notes" })).toBeVisible();
  await expect(page.locator(".page-note")).toHaveText("What was seen on the way.");
  await expect(other.getByRole("article")).toContainText("Field notes");
  await expect(other.locator(`nav a[data-workspace-id="${workspace}"]`)).toContainText("Field notes");
  await expect(history.locator(".page-note")).toHaveText("of Field notes");
  await expect(document.getByRole("navigation", { name: "Where this is" })).toContainText("Field notes");
});

test("from one workspace straight to another, and back", async ({ page }) => {
  await signUp(page);
  const first = await firstWorkspace(page.request);
  const made = await page.request.post("/api/workspaces", { data: { name: "Second" } });
  const second = (await made.json()).id;
  await page.goto(`/w/${first}`);
  await live(page);
  const nav = (id: string) => page.locator(`nav a[data-workspace-id="${id}"]`);
  for (let round = 0; round < 3; round++) {
    for (const [id, name] of [[second, "Second"], [first, "My documents"]]) {
      await nav(id).click();
      await expect(page.getByRole("heading", { level: 1, name })).toBeVisible();
      await expect(page).toHaveTitle(`${name} · InsightHub`);
    }
  }
  await page.goBack();
  await expect(page.getByRole("heading", { level: 1, name: "Second" })).toBeVisible();
  await expect(page).toHaveTitle("Second · InsightHub");
});

test("a dialog opens again at once, before the browser has told that it closed", async ({ page }) => {
  await signUp(page);
  await hydrated(page);
  await page.getByRole("link", { name: "New workspace" }).first().click();
  const dialog = page.getByRole("dialog");
  await expect(dialog.getByLabel("Name")).toBeVisible();
  // Both in one task: the browser's own news of the closing comes after it.
  await dialog.evaluate(async (element: HTMLDialogElement) => {
    (element as HTMLDialogElement & { requestClose(): void }).requestClose();
    // The page's own doings are microtasks; of these there may be several one after the other.
    for (let turn = 0; turn < 100; turn++) await Promise.resolve();
    document.querySelector<HTMLAnchorElement>("a[href='/?new']")?.click();
    await new Promise((told) => element.addEventListener("close", told, { once: true }));
  });
  await expect(page).toHaveURL(/\?new$/);
  await expect(dialog.getByLabel("Name")).toBeVisible();
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await expect(page).toHaveURL(/\/$/);
});

test("a dialog that is given up keeps nothing, and the way back closes it", async ({ page }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}?q=lantern`);
  await live(page);
  const dialog = page.getByRole("dialog");
  await more(page, "Edit");
  await dialog.getByLabel("Name").fill("Typed not saved");
  await page.keyboard.press("Escape");
  await expect(dialog).toBeHidden();
  await expect(page).toHaveURL(/\?q=lantern$/);
  const renamed = await page.request.patch(`/api/workspaces/${workspace}`, { data: { name: "Elsewhere", description: "By another tab." } });
  expect(renamed.status()).toBe(200);
  await expect(page.getByRole("heading", { level: 1, name: "Elsewhere" })).toBeVisible();
  await more(page, "Edit");
  await expect(dialog.getByLabel("Name")).toHaveValue("Elsewhere");
  await expect(dialog.getByLabel("Description")).toHaveValue("By another tab.");
  await page.goBack();
  await expect(dialog).toBeHidden();
  // The search box follows the address.
  const box = page.getByRole("searchbox");
  await box.fill("harbour");
  await box.press("Enter");
  await expect(page).toHaveURL(/\?q=harbour$/);
  await page.goBack();
  await expect(box).toHaveValue("lantern");
});

test("workspaces are narrowed by status, words and order, in the address and without a script", async ({
  page,
  browser,
  baseURL,
}) => {
  const who = await signUp(page);
  for (const name of ["Harbour", "Cranes of the harbour", "Archive"]) {
    const made = await page.request.post("/api/workspaces", { data: { name } });
    expect(made.status()).toBe(201);
  }
  await page.goto("/");
  await live(page);
  const cards = page.getByRole("main").locator("article h2");
  await expect(page.locator('[data-filter="ready"]')).toHaveText(/Ready 4/);
  await page.getByRole("searchbox", { name: "Search workspaces" }).fill("harbour");
  await expect(cards).toHaveText(["Cranes of the harbour", "Harbour"]);
  await expect(page).toHaveURL(/\?q=harbour$/);
  await page.getByLabel("Order").selectOption("name");
  await expect(page).toHaveURL(/\?q=harbour&sort=name$/);
  await page.locator('[data-filter="ready"]').click();
  await expect(page).toHaveURL(/status=ready&q=harbour&sort=name$/);
  await page.reload();
  await expect(cards).toHaveText(["Cranes of the harbour", "Harbour"]);
  // What the controls say is what is shown, also when a link took it all back.
  await live(page);
  await page.getByRole("searchbox", { name: "Search workspaces" }).fill("quay");
  await page.getByRole("link", { name: "Show all" }).click();
  await expect(page).toHaveURL(/\/$/);
  await expect(cards).toHaveCount(4);
  await expect(page.getByRole("searchbox", { name: "Search workspaces" })).toHaveValue("");
  await expect(page.getByLabel("Order")).toHaveValue("newest");
  await page.goto("/?status=error");
  await expect(page.getByText("No workspace matches")).toBeVisible();
  const plain = await elsewhere(browser, baseURL, who);
  await plain.goto("/?q=archive&sort=name");
  await expect(plain.getByRole("main").locator("article h2")).toHaveText(["Archive"]);
  await plain.context().close();
});
