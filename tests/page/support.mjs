/** Starts a server and a browser, and fails where the browser's console has an error. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { availableParallelism, loadavg } from "node:os";
import { fileURLToPath } from "node:url";

import { chromium, firefox } from "playwright-core";

export const root = fileURLToPath(new URL("../..", import.meta.url));
export const binary = process.env.SCOTOMA_BINARY ?? `${root}/target/release/scotoma`;

/** The browser: Debian's chromium, or its firefox-esr over WebDriver BiDi. */
export const kind = process.env.BROWSER ?? "chromium";

/** After what time a test that says nothing has hung; what it waits for has bounds of its own. */
export const HUNG_MS = 3_600_000;

/** Returns how long to wait for what takes at most `ms` at rest: longer, as more programs want each processor. */
export const patience = (ms) => ms * Math.max(1, loadavg()[0] / availableParallelism());

/** Tries `check` again until it holds; throws what it threw last once `ms` have passed. */
export async function eventually(check, ms = 10_000) {
  for (const until = Date.now() + patience(ms); ; ) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > until) throw error;
      await new Promise((done) => setTimeout(done, 50));
    }
  }
}

/** Waits for `done` as long as the text of `progress` changes now and then, however slowly. */
export async function whileItGoesOn(progress, done) {
  let [said, since] = ["", Date.now()];
  while (!(await done.isVisible())) {
    const now = (await progress.allTextContents()).join();
    if (now !== said) [said, since] = [now, Date.now()];
    else if (Date.now() - since > patience(30_000)) throw new Error(`nothing has changed since "${said}"`);
    await new Promise((next) => setTimeout(next, 100));
  }
}

/** Returns a port that was free a moment ago: a server that comes back has to have the address that it had. */
export async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** A server of the embedded model. */
export class Server {
  static async start(args = [], port = undefined) {
    const server = new Server();
    server.port = port ?? (await freePort());
    server.url = `http://127.0.0.1:${server.port}`;
    server.process = spawn(binary, ["serve", "--listen", `127.0.0.1:${server.port}`, "--drain-timeout", "1", ...args], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let said = "";
    server.process.stderr.on("data", (data) => (said += data));
    server.ended = new Promise((done) => server.process.once("exit", done));
    await new Promise((done, fail) => {
      server.process.stdout.on("data", (data) => String(data).includes("serves on") && done());
      server.process.once("exit", (code) => fail(new Error(`serve ended with ${code}: ${said}`)));
    });
    return server;
  }

  async stop() {
    this.process.kill("SIGTERM");
    await this.ended;
  }
}

export async function launch() {
  if (kind === "firefox") {
    return firefox.launch({ channel: "moz-firefox", executablePath: process.env.FIREFOX ?? "/usr/bin/firefox-esr" });
  }
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"],
  });
}

/** Opens the page; `errors` gathers what the console and the page say of errors. */
export async function open(browser, url, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options });
  if (kind === "firefox") await context.addInitScript(keepDownloads);
  const page = await context.newPage();
  page.errors = [];
  page.on("console", (message) => message.type() === "error" && page.errors.push(message.text()));
  page.on("pageerror", (error) => page.errors.push(error.message));
  page.setDefaultTimeout(patience(30_000));
  await page.goto(url);
  return page;
}

/** Keeps in the page what a link with `download` would save: Firefox's event of it names no navigation, without which Playwright passes it over. */
function keepDownloads() {
  const blobs = new Map();
  const create = URL.createObjectURL.bind(URL);
  URL.createObjectURL = (blob) => {
    const url = create(blob);
    blobs.set(url, blob);
    return url;
  };
  globalThis.downloads = [];
  const click = HTMLAnchorElement.prototype.click;
  HTMLAnchorElement.prototype.click = function () {
    if (this.download === "") return click.call(this);
    const reader = new FileReader();
    reader.onload = () => globalThis.downloads.push({ name: this.download, data: reader.result.split(",")[1] ?? "" });
    reader.readAsDataURL(blobs.get(this.href));
  };
}

/** Returns the file that the page saves after `click`. */
export async function downloaded(page, click) {
  if (kind === "firefox") {
    await click();
    const kept = await page.waitForFunction(() => globalThis.downloads.shift());
    const { name, data } = await kept.jsonValue();
    return { name, bytes: Buffer.from(data, "base64") };
  }
  const [download] = await Promise.all([page.waitForEvent("download"), click()]);
  return { name: download.suggestedFilename(), bytes: await readFile(await download.path()) };
}

/** Has the page ask as things change, also on a machine that is slow at times. */
export async function sayLive(page) {
  const live = page.getByLabel("Ask as I change");
  await live.uncheck();
  await live.check();
}

/** Waits until both answers are whole, and returns their words. */
export async function answers(page) {
  await page.waitForFunction(() => {
    const boxes = [...document.querySelectorAll(".answer")];
    return boxes.length > 0 && boxes.every((box) => box.dataset.is === "done");
  });
  return page.$$eval(".answer .said", (all) => all.map((each) => [...each.querySelectorAll(".token")].map((token) => token.textContent).join("").replace("⏎", "").trim()));
}

/** Waits for both answers to be those. */
export async function waitForAnswers(page, ...expected) {
  await eventually(async () => assert.deepEqual(await answers(page), expected));
}

/** Does what makes the page ask under changes again, and waits until that answer is whole. */
export async function askedAnew(page, act) {
  const last = page.locator(".answer").last();
  // What is asked again is drawn again.
  await last.evaluate((box) => (box.dataset.is = "old"));
  await act();
  await page.waitForFunction(() => [...document.querySelectorAll(".answer")].at(-1)?.dataset.is === "done");
}
