/** Every control of Ask & change, in a browser, against a real server. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import {
  answers,
  askedAnew,
  binary,
  downloaded,
  eventually,
  HUNG_MS,
  kind,
  launch,
  open,
  root,
  sayLive,
  Server,
  waitForAnswers,
} from "./support.mjs";

const run = promisify(execFile);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

let browser;
let server;
before(async () => {
  [browser, server] = await Promise.all([launch(), Server.start(["--preset", 'blind=[{"blankImage":{"colour":"COLOUR_WHITE"}}]'])]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Runs a test on a fresh page, on which no error may be said. */
function onPage(name, body, options = {}) {
  test(name, { timeout: HUNG_MS }, async () => {
    const page = await open(browser, `${server.url}/${options.hash ?? ""}`, options.context);
    try {
      await sayLive(page);
      await body(page);
      assert.deepEqual(page.errors, []);
    } finally {
      await page.context().close();
    }
  });
}

const patch = (page, number) => page.locator(`[data-patch="${number}"]`);
const hiddenPatches = (page) => page.$$eval('.patch[aria-selected="true"]', (all) => all.map((each) => Number(each.dataset.patch)));
const names = (page) => page.$$eval(".change-name strong", (all) => all.map((each) => each.textContent));
/** Types a text in place of what a field has, and leaves it. */
async function set(field, text) {
  await field.focus();
  await field.press("ControlOrMeta+a");
  if (text === "") await field.press("Delete");
  else await field.pressSequentially(text);
  await field.press("Tab");
}

/** Waits until the text of what is found matches. */
const says = (locator, pattern) => eventually(async () => assert.match(await locator.textContent(), pattern));
/** Waits until the list of changes is that. */
const namesAre = (page, expected) => eventually(async () => assert.deepEqual(await names(page), expected));
const hiddenAre = (page, expected) => eventually(async () => assert.deepEqual(await hiddenPatches(page), expected));

const button = (page, name) => page.getByRole("button", { name, exact: true });

describe("ask", () => {
  onPage("a first visit shows an example without a click", async (page) => {
    await waitForAnswers(page, "499", "99");
    assert.equal(await page.locator(".mark").allTextContents().then(String), "✓ right,✗ wrong");
    await says(page.locator(".finding"), /Another answer.*499.*from 100 % to under 0\.001 %/);
    await says(page.locator("[aria-live=polite]").first(), /Without changes: 499\. With changes: 99/);
  });

  onPage("samples, own files, drops and pastes", async (page) => {
    await page.locator(".samples button").nth(0).click();
    // The sample's own hidden patch may leave the answer as it is.
    await waitForAnswers(page, "no", "no");
    const sample = await page.getAttribute(".samples button:nth-child(1) img", "src");
    const png = Buffer.from(sample.split(",")[1], "base64");
    await page.setInputFiles("input[type=file][accept]", { name: "mine.png", mimeType: "image/png", buffer: png });
    await page.getByAltText("mine.png, as the model sees it").waitFor();
    await page.locator('.samples [aria-pressed="true"]').waitFor({ state: "detached" });
    // Scripts cannot make a paste with files in Firefox.
    for (const type of kind === "firefox" ? ["drop"] : ["drop", "paste"]) {
      await page.evaluate(
        ([base64, type]) => {
          const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
          const data = new DataTransfer();
          data.items.add(new File([bytes], `${type}.png`, { type: "image/png" }));
          const event = type === "drop" ? new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }) : new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true });
          document.querySelector("section").dispatchEvent(event);
        },
        [png.toString("base64"), type],
      );
      await page.getByAltText(`${type}.png, as the model sees it`).waitFor();
    }
    await page.setInputFiles("input[type=file][accept]", { name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no") });
    await page.getByText("notes.txt is text/plain, and no picture.").waitFor();
  });

  if (kind === "chromium") {
    onPage("the camera", async (page) => {
      await button(page, "Camera…").click();
      await page.waitForFunction(() => document.querySelector("video")?.videoWidth > 0);
      await button(page, "Take it").click();
      await page.getByAltText("camera.png, as the model sees it").waitFor();
      await answers(page);
    });
  }

  onPage("tokens have their probabilities, by mouse, by keyboard and as a table", async (page) => {
    await waitForAnswers(page, "499", "99");
    const box = page.locator(".answer").first();
    await box.locator(".token").nth(1).hover();
    await says(box.locator(".detail"), /^4 had 100 %; next: /);
    await box.locator(".token").nth(0).focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowRight");
    await says(box.locator(".detail"), /^9 had /);
    await box.getByText("Tokens as a table").click();
    assert.equal(await box.locator("tbody tr").count(), 5);
    const shades = await box.locator(".token").first().evaluate((token) => getComputedStyle(token).getPropertyValue("--p"));
    assert.ok(Number(shades) > 0.9, shades);
  });

  onPage("settings, stop texts and errors in the server's words", async (page) => {
    await waitForAnswers(page, "499", "99");
    await page.getByText("Sampling and length").click();
    await set(page.getByLabel("Most tokens"), "2");
    await waitForAnswers(page, "4", "9");
    await set(page.getByLabel("Most tokens"), "");
    await set(page.getByLabel("Stop before"), "9");
    await waitForAnswers(page, "4", "");
    await set(page.getByLabel("Stop before"), "");
    await set(page.getByLabel("Temperature", { exact: true }), "400");
    await page.locator(".notice.error code", { hasText: "sampling.temperature" }).first().waitFor();
    await button(page, "Back to the defaults").click();
    await waitForAnswers(page, "499", "99");
  });

  onPage("asking by hand, and stopping", async (page) => {
    await waitForAnswers(page, "499", "99");
    await page.getByLabel("Ask as I change").uncheck();
    await page.fill("#question", "Is there a purple square?");
    // Twice as long as the page waits for people who type.
    await page.waitForTimeout(400);
    await waitForAnswers(page, "499", "99");
    await page.keyboard.press("Enter");
    await waitForAnswers(page, "yes", "yes");
    // Held back, so that there is something to stop.
    let letGo;
    const stopped = new Promise((done) => (letGo = done));
    await page.route("**/Generate", async (route) => {
      await stopped;
      await route.continue().catch(() => {});
    });
    await page.fill("#question", "What number is written?");
    await button(page, "Ask").click();
    await button(page, "Stop").click();
    await page.waitForFunction(() => [...document.querySelectorAll(".answer")].every(({ dataset }) => dataset.is === "stopped"));
    letGo();
  });

  onPage("an answer is of its question, also where the next question comes before the answer under changes", async (page) => {
    await waitForAnswers(page, "499", "99");
    const asked = await page.inputValue("#question");
    // The second answer, that under changes, is held back.
    let calls = 0;
    let letGo;
    const next = new Promise((done) => (letGo = done));
    await page.route("**/Generate", async (route) => {
      calls += 1;
      if (calls === 2) await next;
      await route.continue().catch(() => {});
    });
    await page.fill("#question", "Is there a purple square?");
    const [plain] = await page.locator(".answer").all();
    await says(plain.locator(".said"), /yes/);
    await page.fill("#question", asked);
    await eventually(() => assert.equal(calls, 4));
    letGo();
    await waitForAnswers(page, "499", "99");
  });

  onPage("presets", async (page) => {
    await waitForAnswers(page, "499", "99");
    await page.getByLabel("Preset").selectOption("blind");
    await namesAre(page, ["Blank image"]);
    await page.getByLabel("Preset").selectOption("");
    await namesAre(page, []);
  });
});

describe("change", () => {
  onPage("patches by click and by drag", async (page) => {
    await waitForAnswers(page, "499", "99");
    await patch(page, 24).click();
    await waitForAnswers(page, "499");
    await namesAre(page, []);
    const [from, to] = [await patch(page, 24).boundingBox(), await patch(page, 26).boundingBox()];
    await page.mouse.move(from.x + 10, from.y + 10);
    await page.mouse.down();
    await page.mouse.move(to.x + 10, to.y + 10, { steps: 12 });
    await page.mouse.up();
    await hiddenAre(page, [24, 25, 26]);
    await namesAre(page, ["Occlude patches"]);
    await button(page, "Invert").click();
    await eventually(async () => assert.equal((await hiddenPatches(page)).length, 33));
    await button(page, "Show all").click();
    await hiddenAre(page, []);
  });

  onPage("patches by keyboard", async (page) => {
    await waitForAnswers(page, "499", "99");
    await button(page, "Show all").click();
    await patch(page, 0).focus();
    for (const key of ["ArrowDown", "ArrowRight", " ", "Shift+ArrowRight", "End"]) await page.keyboard.press(key === " " ? "Space" : key);
    await hiddenAre(page, [7, 8]);
    await page.locator('[data-patch="11"]:focus').waitFor();
    assert.match(await patch(page, 7).getAttribute("aria-label"), /Row 2, column 2, hidden/);
  });

  onPage("every idea runs", async (page) => {
    await waitForAnswers(page, "499", "99");
    for (const idea of await page.locator(".ideas button").allTextContents()) {
      await askedAnew(page, () => button(page, idea).click());
      assert.equal((await answers(page)).length, 2, idea);
      await page.locator(".finding").waitFor();
    }
  });

  onPage("a change of every kind of the contract has controls", async (page) => {
    await waitForAnswers(page, "499", "99");
    await button(page, "Remove all").click();
    const summary = page.getByText(/^Add one of \d+ kinds of changes$/);
    await summary.click();
    const proto = await readFile(join(root, "proto/scotoma/v1/intervention.proto"), "utf8");
    const kinds = [...proto.slice(proto.indexOf("oneof kind"), proto.indexOf("\n  }\n}")).matchAll(/^ {4}\w+ (\w+) = \d+;/gm)].map(([, name]) => name);
    assert.ok(kinds.length >= 19);
    const words = (name) => name.charAt(0).toUpperCase() + name.slice(1).replaceAll("_", " ");
    // Those that need a vector or activations are refused until they have some.
    const empty = new Set(["steer", "project_out", "patch"]);
    for (const name of kinds) {
      await page.locator(".kinds button", { has: page.locator(`strong:text-is("${words(name)}")`) }).click();
      await page.locator(".editor").waitFor();
      await namesAre(page, [words(name)]);
      if (empty.has(name)) await page.locator(".change.faulty, .notice.error").first().waitFor();
      else {
        const found = await answers(page);
        assert.equal(found.length, 2, name);
        await page.locator(".finding").waitFor();
      }
      await page.getByRole("button", { name: `Remove ${words(name)} (1 of 1)` }).click();
    }
  });

  onPage("order, switch off, remove, edit by controls and as JSON", async (page) => {
    await waitForAnswers(page, "499", "99");
    await page.getByText(/^Add one of/).click();
    await page.locator(".kinds button", { hasText: "Drop layers" }).click();
    await namesAre(page, ["Occlude patches", "Drop layers"]);
    await page.getByRole("button", { name: "Move Drop layers (2 of 2) up" }).click();
    await namesAre(page, ["Drop layers", "Occlude patches"]);
    await page.getByRole("switch", { name: "Drop layers (1 of 2) acts" }).uncheck();
    await waitForAnswers(page, "499", "99");
    await page.getByRole("switch", { name: "Drop layers (1 of 2) acts" }).check();
    // Layers are switches; the tower has fewer of them that run.
    const layers = page.locator(".switches button");
    await eventually(async () => assert.equal(await layers.count(), 8));
    await layers.nth(1).click();
    await layers.nth(7).click();
    await says(page.locator(".change-name code").first(), /layers:\[7\]/);
    await page.getByLabel("Stack").selectOption({ label: "Vision tower" });
    await eventually(async () => assert.ok((await layers.count()) < 8));
    await page.locator(".editor").getByRole("button", { name: "JSON" }).click();
    const json = page.getByLabel("Canonical JSON");
    await json.fill('{"dropLayers": {"layers": [0, 1]}}');
    await says(page.locator(".change-name code").first(), /layers:\[0,1\]/);
    await json.fill('{"dropLayer": {}}');
    await says(page.locator(".editor .bad"), /dropLayer/);
    await page.getByRole("button", { name: "Remove Drop layers (1 of 2)" }).click();
    await waitForAnswers(page, "499", "99");
    await page.locator(".change-name").click();
    await page.getByLabel("Fill", { exact: true }).selectOption({ label: "Noise" });
    await says(page.locator(".change-name code"), /FILL_NOISE/);
  });

  onPage("what the server refuses is said at its change", async (page) => {
    await waitForAnswers(page, "499", "99");
    await page.locator(".change-name").click();
    await page.locator(".editor").getByRole("button", { name: "JSON" }).click();
    await page.getByLabel("Canonical JSON").fill('{"occludePatches": {"indices": {"indices": [999]}}}');
    await page.locator(".change.faulty .bad code").waitFor();
    await says(page.locator(".change.faulty .bad code"), /^interventions\[0\]\.occlude_patches/);
  });
});

describe("carry away", () => {
  const python = process.env.SCOTOMA_PYTHON ?? join(root, "clients/python/.venv/bin/python");

  onPage("Python, command line, JSON and curl run, and say what the page says", async (page) => {
    await waitForAnswers(page, "499", "99");
    await page.getByText(/^Add one of/).click();
    await page.locator(".kinds button", { hasText: "Add noise" }).click();
    await set(page.getByLabel("Scale", { exact: true }), "0.25");
    await askedAnew(page, () => page.locator(".kinds button", { hasText: "Knock out attention" }).click());
    const [, expected] = await answers(page);
    const folder = await mkdtemp(join(tmpdir(), "scotoma-page-"));
    try {
      const picture = await page.getAttribute('.samples [aria-pressed="true"] img', "src");
      await writeFile(join(folder, "shapes-16.png"), Buffer.from(picture.split(",")[1], "base64"));
      await run("ln", ["-s", binary, join(folder, "scotoma")]);
      const env = { ...process.env, PATH: `${folder}:${process.env.PATH}` };
      const code = async (tab) => {
        await page.getByRole("tab", { name: tab }).click();
        return page.locator(".code pre").textContent();
      };
      const shell = async (text) => (await run("sh", ["-c", text], { cwd: folder, env })).stdout;
      assert.equal((await shell(await code("Command line"))).split("\n")[0].trim(), expected);
      const list = JSON.parse(await code("JSON"));
      assert.deepEqual(list.map((each) => Object.keys(each)[0]), ["occludePatches", "addNoise", "knockOutAttention"]);
      const direct = ["generate", "shapes-16.png", "What number is written?", "--server", server.url, ...list.flatMap((each) => ["--intervene", JSON.stringify(each)])];
      assert.equal((await run(binary, direct, { cwd: folder })).stdout.split("\n")[0].trim(), expected);
      assert.equal(JSON.parse(await shell(await code("curl"))).choices[0].message.content.trim(), expected);
      const program = await code("Python");
      const { stdout } = await run(python, ["-c", program], { cwd: folder, env: { ...env, PYTHONPATH: join(root, "clients/python/src") } });
      assert.equal(stdout.trim(), expected);
      // The record, as the command line replays it.
      const record = await downloaded(page, () => button(page, "Download").click());
      await writeFile(join(folder, "record.json"), record.bytes);
      await run(binary, ["replay", "record.json", "--server", server.url], { cwd: folder });
    } finally {
      await rm(folder, { recursive: true });
    }
    await button(page, "Verify").click();
    await page.getByText("✓ Run again: the same bits.").waitFor();
  });

  onPage("a link opens it all again", async (page) => {
    await waitForAnswers(page, "499", "99");
    const sample = await page.getAttribute(".samples button:nth-child(1) img", "src");
    const buffer = Buffer.from(sample.split(",")[1], "base64");
    await page.setInputFiles("input[type=file][accept]", { name: "mine.png", mimeType: "image/png", buffer });
    await page.fill("#question", "Is there a blue cross?");
    await askedAnew(page, () => button(page, "Skip a layer").click());
    const before = await answers(page);
    await button(page, "Copy link").click();
    const link = await page.getByLabel("Link", { exact: true }).inputValue();
    assert.ok(link.length < 1000 && link.startsWith(server.url), link);
    const again = await open(browser, link);
    await again.getByAltText("mine.png, as the model sees it").waitFor();
    assert.equal(before.length, 2);
    await waitForAnswers(again, ...before);
    await namesAre(again, ["Drop layers"]);
    assert.deepEqual(again.errors, []);
    await again.context().close();
  });

  onPage("a picture that is gone is said to be", async (page) => {
    await page.getByText("It is no longer on this server").waitFor();
    page.errors.length = 0;
  }, { hash: `#/ask?q=What+is+it%3F&picture=${"0".repeat(64)}` });

  onPage("a link that is none is refused", async (page) => {
    await page.getByText("The link cannot be opened").waitFor();
    await waitForAnswers(page, "499", "99");
  }, { hash: "#/ask?changes=%5B%5B%7B%22nothing%22%3A1%7D%2C1%5D%5D" });
});

describe("whole", () => {
  for (const width of [360, 1280]) {
    for (const colorScheme of ["light", "dark"]) {
      onPage(`${width} pixels, ${colorScheme}: no scrolling sideways, nothing that axe finds`, async (page) => {
        await waitForAnswers(page, "499", "99");
        await page.getByText(/^Add one of/).click();
        await page.locator(".kinds button", { hasText: "Knock out attention" }).click();
        await page.getByText("Sampling and length").click();
        for (const summary of await page.getByText("Tokens as a table").all()) await summary.click();
        await answers(page);
        const [wide, inner] = await page.evaluate(() => [document.documentElement.scrollWidth, innerWidth]);
        assert.ok(wide <= inner, `${wide} of ${inner}`);
        // Not as a script of the page, which its policy forbids.
        await page.evaluate(axe);
        const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
        const found = violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ html, failureSummary }) => `${html} ${failureSummary}`)}`);
        assert.deepEqual(found, []);
      }, { context: { viewport: { width, height: 800 }, colorScheme } });
    }
  }

  onPage("light and dark by a switch that stays", async (page) => {
    const ground = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
    const before = await ground();
    await button(page, "Dark").click();
    await eventually(async () => assert.notEqual(await ground(), before));
    await page.reload();
    await eventually(async () => assert.notEqual(await ground(), before));
    await waitForAnswers(page, "499", "99");
  });

  onPage("the keyboard reaches every control of the first screen, and skips to the content", async (page) => {
    // Anew, so that the focus is nowhere.
    await page.reload();
    await waitForAnswers(page, "499", "99");
    await page.keyboard.press("Tab");
    assert.match(await page.evaluate(() => document.activeElement.textContent), /Skip to the content/);
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
    const met = new Set();
    for (let at = 0; at < 60; at += 1) {
      await page.keyboard.press("Tab");
      met.add(await page.evaluate(() => document.activeElement.id || document.activeElement.dataset.patch || document.activeElement.textContent.slice(0, 20)));
    }
    for (const wanted of ["0", "question", "model", "Ask", "Copy", "Verify", "Copy link"]) assert.ok(met.has(wanted), `${wanted} of ${[...met].join(", ")}`);
  });

  onPage("200 streamed answers one after another", async (page) => {
    await waitForAnswers(page, "499", "99");
    const samples = await page.locator(".samples button").all();
    const begun = Date.now();
    let count = 0;
    for (let at = 0; count < 200; at += 1) {
      await page.evaluate(() => document.querySelectorAll(".answer").forEach((box) => (box.dataset.is = "old")));
      await samples[at % samples.length].click();
      await page.waitForFunction(() => [...document.querySelectorAll(".answer")].every((box) => box.dataset.is === "done"));
      count += (await page.locator(".answer").count());
    }
    console.log(`${count} answers in ${((Date.now() - begun) / 1000).toFixed(1)} s`);
  });

  onPage("a picture of 4 MB", async (page) => {
    await waitForAnswers(page, "499", "99");
    const picture = await page.evaluate(() => {
      const canvas = document.createElement("canvas");
      [canvas.width, canvas.height] = [1250, 1100];
      const context = canvas.getContext("2d");
      const data = context.createImageData(canvas.width, canvas.height);
      for (let at = 0; at < data.data.length; at += 4) [data.data[at], data.data[at + 1], data.data[at + 2], data.data[at + 3]] = [Math.random() * 255, Math.random() * 255, Math.random() * 255, 255];
      context.putImageData(data, 0, 0);
      return canvas.toDataURL("image/png").split(",")[1];
    });
    const buffer = Buffer.from(picture, "base64");
    assert.ok(buffer.length > 4e6, String(buffer.length));
    await page.setInputFiles("input[type=file][accept]", { name: "large.png", mimeType: "image/png", buffer });
    await page.getByAltText("large.png, as the model sees it").waitFor();
    assert.equal((await answers(page)).length, 2);
  });
});

describe("servers", () => {
  test("a server goes away and comes back", { timeout: HUNG_MS }, async () => {
    let own = await Server.start();
    const page = await open(browser, own.url);
    await sayLive(page);
    await waitForAnswers(page, "499", "99");
    await own.stop();
    await page.locator(".samples button").nth(2).click();
    await page.getByText("The server does not answer").waitFor();
    own = await Server.start([], own.port);
    await page.getByText("The server does not answer").waitFor({ state: "detached" });
    const found = await answers(page);
    assert.equal(found.length, 2);
    await page.context().close();
    await own.stop();
  });

  test("a server with keys", { timeout: HUNG_MS }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "scotoma-page-"));
    const { stdout } = await run(binary, ["key", "alice"]);
    const [key] = /^[0-9a-f]{64}$/m.exec(stdout);
    const [line] = /^alice .*$/m.exec(stdout);
    await writeFile(join(folder, "keys.txt"), `${line}\n`);
    const own = await Server.start(["--api-keys", join(folder, "keys.txt")]);
    const page = await open(browser, own.url);
    await page.getByLabel("Key").fill("wrong");
    await page.getByRole("button", { name: "Use it" }).click();
    await page.locator(".notice.error").waitFor();
    await page.getByLabel("Key").fill(key);
    await page.getByRole("button", { name: "Use it" }).click();
    await waitForAnswers(page, "499", "99");
    // It is of this tab, and goes with it.
    await page.reload();
    await waitForAnswers(page, "499", "99");
    await says(page.locator(".code pre"), /api_key=os\.environ/);
    assert.ok(!(await page.content()).includes(key));
    await page.getByRole("button", { name: "Forget key" }).click();
    await page.getByText("This server needs a key").waitFor();
    await page.context().close();
    await own.stop();
    await rm(folder, { recursive: true });
  });

  test("the files of the page: policy, ETag, gzip, methods", async () => {
    const response = await fetch(`${server.url}/`);
    assert.equal(response.status, 200);
    assert.match(response.headers.get("content-type"), /^text\/html/);
    assert.match(response.headers.get("content-security-policy"), /default-src 'none'/);
    const etag = response.headers.get("etag");
    assert.equal((await fetch(`${server.url}/`, { headers: { "if-none-match": etag } })).status, 304);
    const script = await fetch(`${server.url}/assets/page.js`, { method: "HEAD", headers: { "accept-encoding": "gzip" } });
    assert.equal(script.headers.get("content-encoding"), "gzip");
    assert.equal((await fetch(`${server.url}/assets/page.js`, { method: "POST" })).status, 405);
    const without = await Server.start(["--no-page"]);
    assert.notEqual((await fetch(without.url)).status, 200);
    await without.stop();
  });
});
