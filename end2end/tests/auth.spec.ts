// Signing up, in and out. These forms are plain HTML: the whole file runs with and without JavaScript.
import { expect, person, test } from "../fixtures";
import { signIn, signUp, signUpByForm } from "./support";

test("a person signs up, finds the first workspace, signs out and in again", async ({ page }) => {
  const who = await signUpByForm(page);
  await expect(page.getByRole("main").getByRole("link", { name: "My documents" })).toBeVisible();
  await page.getByLabel("Account").click();
  await page.getByRole("button", { name: "Sign out" }).click();
  await expect(page).toHaveURL(/\/signin/);
  await page.goto("/");
  await expect(page).toHaveURL(/\/signin/);
  await signIn(page, who);
  await expect(page).toHaveURL(/\/$/);
  await expect(page.getByRole("main").getByRole("link", { name: "My documents" })).toBeVisible();
});

test("a taken name is said at its field and the other values are kept", async ({ page, browser, baseURL }) => {
  const taken = person();
  const other = await browser.newContext({ baseURL });
  await signUp(await other.newPage(), taken);
  await other.close();

  const who = person("second");
  await page.goto("/signup");
  await page.getByLabel("Username").fill(taken.username);
  await page.getByLabel("E-mail").fill(who.email);
  await page.getByLabel("Password").fill(who.password);
  await page.getByRole("button", { name: "Sign up" }).click();
  await expect(page.getByText("This username is taken.")).toBeVisible();
  await expect(page.getByLabel("Username")).toHaveAttribute("aria-invalid", "true");
  await expect(page.getByLabel("E-mail")).toHaveValue(who.email);
  await expect(page.getByLabel("Password")).toHaveValue("");
  expect(page.url()).not.toContain(who.email);
});

test("a weak password names the rules that it breaks", async ({ page }) => {
  const who = person();
  await page.goto("/signup");
  await page.getByLabel("Username").fill(who.username);
  await page.getByLabel("E-mail").fill(who.email);
  await page.getByLabel("Password").fill("short");
  await page.getByRole("button", { name: "Sign up" }).click();
  await expect(page.getByText("Use 8 to 128 characters.")).toBeVisible();
  await expect(page.getByLabel("Username")).toHaveValue(who.username);
});

test("a wrong password gets one sentence that does not tell what was wrong", async ({ page }) => {
  const sentence = "The e-mail address or the password is wrong.";
  await page.goto("/signin");
  await signIn(page, { email: "nobody@example.org", password: "Wrong-horse-1" });
  await expect(page.getByText(sentence)).toBeVisible();
  await expect(page.getByLabel("E-mail")).toHaveValue("nobody@example.org");
});

test("a deep link leads back to where it pointed", async ({ page, browser, baseURL }) => {
  const who = person();
  const other = await browser.newContext({ baseURL });
  const there = await other.newPage();
  await signUp(there, who);
  const address = await there.getByRole("main").getByRole("link", { name: "My documents" }).getAttribute("href");
  await other.close();
  await page.goto(address!);
  await expect(page).toHaveURL(/\/signin\?next=/);
  await signIn(page, who);
  await expect(page).toHaveURL(new RegExp(`${address}$`));
});

test("the sign-in page needs no WASM", async ({ page }) => {
  const fetched: string[] = [];
  page.on("request", (request) => fetched.push(request.url()));
  await page.goto("/signin", { waitUntil: "networkidle" });
  expect(fetched.filter((url) => /\.(wasm|js|woff2)$/.test(url))).toEqual([]);
});
