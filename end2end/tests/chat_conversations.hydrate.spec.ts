// Conversations: their list, their names, deleting them, and that every tab shows the same.
import { type Page } from "@playwright/test";
import { expect, test } from "../fixtures";
import { HARBOUR, QUESTION, add, ask, chatAt, field, turns, withModel } from "./chat";
import { firstWorkspace, live, looks, signUp, tabTo } from "./support";

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
    // All at once, since the time to undo it runs.
    await Promise.all([
      expect(undo).toContainText(/· [1-8] s/),
      ...[page, other].flatMap((tab) => [
        expect(tab).toHaveURL(/chat$/),
        expect(list(tab).getByText("No conversation yet.")).toBeVisible(),
        expect(turns(tab)).toHaveCount(0),
      ]),
    ]);
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
  await expect(undo).toHaveCount(0);
  await page.reload();
  await expect(list(page).getByText("No conversation yet.")).toBeVisible();
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
