// Every form posts, with and without a script.
import { readFile } from "node:fs/promises";
import { expect, hydrated, person, test } from "../fixtures";
import { FILES, firstWorkspace, path, signIn, signUp } from "./support";

test("a workspace is renamed by its form", async ({ page, javaScriptEnabled }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}?edit`);
  if (javaScriptEnabled !== false) await hydrated(page);
  const dialog = page.getByRole("dialog");
  await dialog.getByLabel("Name").fill("a/b");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(dialog.getByLabel("Name")).toHaveAttribute("aria-invalid", "true");
  await expect(dialog.getByLabel("Name")).toHaveValue("a/b");
  await dialog.getByLabel("Name").fill("Letters");
  await dialog.getByRole("button", { name: "Save" }).click();
  await expect(page.getByRole("heading", { level: 1, name: "Letters" })).toBeVisible();
});

test("files are added by the form, and what is refused is told", async ({ page, javaScriptEnabled }) => {
  await signUp(page);
  const workspace = await firstWorkspace(page.request);
  await page.goto(`/w/${workspace}`);
  const picker = page.locator("input[type=file]").first();
  if (javaScriptEnabled !== false) {
    await hydrated(page);
    await picker.setInputFiles(FILES.map(path));
  } else {
    await picker.setInputFiles([
      { name: "empty.txt", mimeType: "text/plain", buffer: Buffer.alloc(0) },
      ...(await Promise.all(FILES.map(async (name) => ({
        name,
        mimeType: "application/octet-stream",
        buffer: await readFile(path(name)),
      })))),
    ]);
    await page.getByRole("button", { name: "Upload" }).first().click();
    await expect(page).toHaveURL(new RegExp(`/w/${workspace}$`));
    await expect(page.getByRole("alert")).toContainText("empty.txt: The file is empty.");
  }
  await expect
    .poll(async () => {
      const list = await (await page.request.get(`/api/workspaces/${workspace}/documents`)).json();
      return list.items.filter((d: { status: string }) => d.status === "ready").length;
    }, { timeout: 60_000 })
    .toBe(FILES.length);
});

// On a server of its own: bad sign-ins are counted by address, and all tests come from the same one.
test("too many bad sign-ins are put off with the time to wait", async ({ page, complaints, ownServer }) => {
  complaints.allow(/401|429/);
  const who = person();
  await page.goto(`${ownServer.url}/signin`);
  for (let i = 0; i < 5; i++) {
    await signIn(page, { email: who.email, password: `wrong-${i}` });
    // The next page has no password in it, and the one before has.
    await expect(page.getByLabel("Password")).toHaveValue("");
    await expect(page.getByRole("alert")).toBeVisible();
  }
  await signIn(page, { email: who.email, password: "wrong-5" });
  await expect(page.getByRole("alert")).toContainText(/Too many sign-ins failed\. Try again in \d+ seconds?\./);
});
