/** Look, Benchmark, Reports and Server, in a browser, against a real server. */

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";

import { binary, downloaded, eventually, HUNG_MS, launch, open, patience, root, Server, whileItGoesOn } from "./support.mjs";

const run = promisify(execFile);
const axe = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const [head, ...rows] = (await readFile(`${root}/models/shapes/benchmark.tsv`, "utf8")).trimEnd().split("\n");

let browser;
let server;
let folder;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "scotoma-page-"));
  [browser, server] = await Promise.all([launch(), Server.start()]);
});
after(async () => {
  await browser?.close();
  await server?.stop();
  await rm(folder, { recursive: true });
});

/** Runs a test on a fresh page, on which no error may be said. */
function onPage(name, hash, body, context = {}) {
  test(name, { timeout: HUNG_MS }, async () => {
    const page = await open(browser, `${server.url}/#/${hash}`, { acceptDownloads: true, ...context });
    page.setDefaultTimeout(patience(60_000));
    try {
      await body(page);
      assert.deepEqual(page.errors, []);
    } finally {
      await page.context().close();
    }
  });
}

const button = (page, name) => page.getByRole("button", { name, exact: true });
const tab = (page, name) => page.getByRole("tab", { name }).click();

const csvOf = async (page, label) => {
  const { bytes } = await downloaded(page, () => page.locator(`button[aria-label^="Download CSV: ${label}"]`).click());
  return String(bytes).trimEnd().split("\n").map((line) => line.split(","));
};

/** Waits until the text of what is found matches. */
const says = (locator, pattern) => eventually(async () => assert.match(await locator.textContent(), pattern));

/** Fails where axe finds a violation. */
async function accessible(page) {
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(violations.map(({ id, nodes }) => [id, nodes[0]?.html, nodes[0]?.failureSummary]), []);
}

/** Fails where the page is wider than the screen. */
async function narrow(page) {
  assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the page is wider than the screen");
}

describe("look", () => {
  onPage("attention of a word, by layer and head, to be read by keys and as a file", "look", async (page) => {
    const map = page.getByRole("application", { name: /^Attention of “.*” over the picture, mean over layers, mean over heads/ });
    await map.waitFor();
    const cells = (await csvOf(page, "Attention of “no” over")).slice(1).flatMap((line) => line.slice(1).map(Number));
    const share = cells.reduce((a, b) => a + b, 0);
    assert.ok(cells.length === 36 && cells.every((one) => one >= 0) && share > 0.05 && share < 1, String(share));
    assert.ok((await page.textContent(".look-pair h2")).includes(`${(100 * share).toFixed(1)} %`));

    await map.focus();
    await page.keyboard.press("ArrowRight");
    await page.keyboard.press("ArrowDown");
    await says(page.locator(".heatmap output").first(), /^row 1, column 1: [0-9.]+ %$/);

    const matrix = page.getByRole("application", { name: /by layer and head/ });
    await matrix.focus();
    for (const one of ["ArrowDown", "ArrowDown", "ArrowRight", "Enter"]) await page.keyboard.press(one);
    await page.getByRole("application", { name: /over the picture, layer 2, head 1/ }).waitFor();
    assert.equal(await page.getByRole("slider", { name: "Layer" }).inputValue(), "2");
    await page.locator(".words-line").first().getByRole("button").nth(1).click();
    await map.waitFor({ state: "detached" });
    await page.getByRole("slider", { name: "Layer" }).fill("-1");
    await page.getByRole("slider", { name: "Head" }).fill("-1");
    await map.waitFor();
  });

  onPage("the lens: the last layer says the answer; patches too", "look", async (page) => {
    await page.locator(".words-line.answer button").first().waitFor();
    const answer = await page.locator(".words-line.answer button").first().textContent();
    await tab(page, "Logit lens");
    const grid = await csvOf(page, "Logit lens: the likeliest next token by layer and position");
    assert.deepEqual(grid.slice(1).map(([layer]) => layer), ["7", "6", "5", "4", "3", "2", "1", "0"]);
    const asked = grid[0].lastIndexOf(":");
    assert.equal(grid[1][asked].trim().split(" ")[0], answer);
    const cell = page.locator('table.shades td[tabindex="0"]');
    await cell.focus();
    await page.keyboard.press("ArrowDown");
    await says(page.locator(".lens-guesses h2"), /After layer 6/);
    await page.getByRole("button", { name: /^Read the 36 patches/ }).click();
    await page.getByRole("application", { name: /Logit lens at the patches, layer 4/ }).waitFor();
    await page.getByRole("slider", { name: "Layer" }).fill("0");
    await page.getByRole("application", { name: /at the patches, layer 0/ }).waitFor();
  });

  onPage("an occlusion map: its numbers are those of Score", "look", async (page) => {
    await page.locator(".words").waitFor();
    await tab(page, "Occlusion map");
    await page.getByRole("button", { name: "Hide 36 patches" }).click();
    await page.getByText("Patches that matter most").waitFor();
    await page.locator(".task").waitFor({ state: "detached" });
    const cells = (await csvOf(page, "Occlusion map")).slice(1).flatMap((line) => line.slice(1).map(Number));
    assert.ok(cells.length === 36 && cells.every(Number.isFinite) && cells.some((one) => one !== 0));
    const png = await downloaded(page, () => page.getByRole("button", { name: /Download PNG: Occlusion map/ }).click());
    assert.equal(png.bytes.subarray(1, 4).toString(), "PNG");
    await page.getByRole("combobox", { name: "Cells" }).selectOption("4");
    await page.getByRole("button", { name: "Hide 16 patches" }).waitFor();
  });

  onPage("a patching grid, which brings the clean answer back at the last position", "look", async (page) => {
    await page.locator(".words").waitFor();
    await tab(page, "Patching grid");
    await page.getByRole("combobox", { name: "Picture in" }).selectOption("1");
    await page.getByRole("button", { name: /^Patch \d+ places/ }).click();
    await page.locator("table.shades").waitFor();
    await page.locator(".task").waitFor({ state: "detached" });
    const grid = await csvOf(page, "Patching grid: how much of the clean answer comes back, by layer and tokens");
    const [names, top] = [grid[0], grid[1]];
    assert.equal(names.at(-1), ":");
    assert.ok(Number(top.at(-1)) > 0.5, `the last position gives back ${top.at(-1)}`);
    const bottom = grid.at(-1);
    assert.ok(Math.abs(Number(bottom[names.indexOf("picture")]) - 1) < 0.05, "the whole picture before the first layer gives all of it back");
  });

  onPage("what runs is ended by Cancel", "look", async (page) => {
    await page.locator(".words").waitFor();
    await tab(page, "Patching grid");
    // Held back, so that it still runs when it is cancelled.
    let letGo;
    const cancelled = new Promise((done) => (letGo = done));
    await page.route("**/Trace", async (route) => {
      await cancelled;
      await route.continue().catch(() => {});
    });
    await page.getByRole("button", { name: /^Patch \d+ places/ }).click();
    await page.locator(".task").getByRole("button", { name: "Cancel" }).click();
    await page.locator(".task").waitFor({ state: "detached" });
    letGo();
    assert.equal(await page.locator(".notice.error").count(), 0);
  });

  onPage("another question waits for the button", "look", async (page) => {
    await page.locator(".words").waitFor();
    await page.getByRole("textbox", { name: "Question" }).fill("How many circles are there?");
    await page.getByText("Look again to see them").waitFor();
    await button(page, "Look").click();
    await page.locator(".words-line").first().getByText("circles").waitFor();
  });
});

const table = (count) => [head, ...Array.from({ length: count }, (_, i) => rows[i % rows.length].replace(/^\d+/, String(i)))].join("\n") + "\n";

const upload = (page, name, text) => page.setInputFiles("input[type=file][multiple]", { name, mimeType: "text/plain", buffer: Buffer.from(text) });

describe("benchmark", () => {
  onPage("a thousand rows: few are drawn, all can be ticked and kept as they came", "benchmark", async (page) => {
    await page.getByText("Drop a table of questions here").waitFor();
    const text = table(1000);
    await upload(page, "shapes-1000.tsv", text);
    await page.locator(".item").first().waitFor();
    assert.ok((await page.locator(".item").count()) < 80);
    const frame = await page.evaluate(async () => {
      const wall = document.querySelector(".wall");
      const frames = [];
      for (let step = 0; step < 60; step += 1) {
        const begun = performance.now();
        wall.scrollTop += 900;
        await new Promise(requestAnimationFrame);
        frames.push(performance.now() - begun);
      }
      return frames.sort((a, b) => a - b)[frames.length >> 1];
    });
    // The median: any one of them may wait for another program.
    assert.ok(frame < patience(200), `a frame takes ${frame} ms`);
    await page.locator(".wall").evaluate((wall) => (wall.scrollTop = wall.scrollHeight));
    await page.getByRole("listitem").last().waitFor();
    assert.equal(await page.getByRole("listitem").last().getAttribute("aria-posinset"), "1000");
    await button(page, "Tick all shown").click();
    const all = await downloaded(page, () => page.getByRole("button", { name: "Download kept.tsv (1000)" }).click());
    assert.equal(all.name, "kept.tsv");
    assert.equal(String(all.bytes), text);
    await button(page, "Untick all shown").click();
    await page.getByRole("searchbox", { name: "Words" }).fill("sum of the two digits");
    await button(page, "Tick all shown").click();
    const some = await downloaded(page, () => page.getByRole("button", { name: /^Download kept.tsv/ }).click());
    const expected = text.split("\n").filter((line, i) => i === 0 || line.includes("sum of the two digits"));
    assert.equal(String(some.bytes), expected.join("\n") + "\n");
  });

  onPage("questions are asked in every way, and their numbers are those of their answers", "benchmark", async (page) => {
    await page.getByText("Drop a table of questions here").waitFor();
    await upload(page, "shapes-24.tsv", table(24));
    await page.getByRole("button", { name: `Ask: ${24 * 11} answers` }).click();
    await whileItGoesOn(page.locator(".task"), page.getByRole("button", { name: "All are asked" }));
    const { bytes } = await downloaded(page, () => button(page, "items.csv").click());
    const [names, ...items] = String(bytes).trimEnd().split("\n").map((line) => line.match(/("[^"]*"|[^,]*)(,|$)/g).map((cell) => cell.replace(/,$/, "").replaceAll('"', "")));
    const of = (item, name) => item[names.indexOf(name)];
    assert.equal(items.length, 24);
    for (const item of items) {
      const unseen = ["black", "no visual tokens"].filter((name) => of(item, name) === "0").length / 2;
      assert.equal(Number(of(item, "image_needed")), of(item, "right") === "1" ? unseen : 0);
    }
    await page.getByRole("combobox", { name: "Order" }).selectOption("need");
    await page.getByLabel("most first").check();
    await eventually(async () => {
      const needs = await page.$$eval(".item .bars div:first-child dd span", (all) => all.map((each) => Number(each.textContent)));
      assert.deepEqual(needs, needs.toSorted((a, b) => b - a));
    });
    await page.getByRole("combobox", { name: "Answer", exact: true }).selectOption("wrong");
    const wrong = items.filter((item) => of(item, "right") === "0").length;
    await page.getByText(wrong === 0 ? "No question passes." : `${wrong} of 24 questions`).waitFor();
    await button(page, "Show all").click();
    await page.locator(".item-picture").first().click();
    await page.getByRole("dialog").getByText("permuted, seed 3").waitFor();
    await accessible(page);
    await page.getByRole("dialog").getByRole("button", { name: "Look inside" }).click();
    await page.getByRole("application", { name: /over the picture/ }).waitFor();
  });

  onPage("what is no table, and a rule that wants something else, say so", "benchmark", async (page) => {
    await page.getByText("Drop a table of questions here").waitFor();
    await upload(page, "broken.tsv", "a\tb\n1\n");
    await page.getByText("broken.tsv, line 2: 1 cells, where 2 columns have names").waitFor();
    await upload(page, "plain.csv", 'question,answer,picture_of_it\n"Is it?",yes,gone.png\n');
    await page.locator(".item").first().waitFor();
    for (const box of await page.locator(".ways input").all()) await box.uncheck();
    await page.getByRole("button", { name: "Ask: 1 answers" }).click();
    await page.getByText("1 questions could not be asked").waitFor();
  });
});

const evil = `<!doctype html><title>t</title><script>globalThis.hacked = 1</script><h1>Occluding</h1>
<p onclick="hacked=1">Section <b>3.5</b> says <img src="/nothing" onerror="globalThis.hacked = 1"> so.</p>
<svg onload="globalThis.hacked = 1" width="40" height="20" xmlns="http://www.w3.org/2000/svg"><rect width="40" height="20"/></svg>
<iframe srcdoc="<script>parent.hacked = 1</script>"></iframe><table><tr><th>series</th></tr><tr><td>random</td></tr></table>`;

describe("reports", () => {
  onPage("are read as texts, tables and pictures; nothing in them is run", "report", async (page) => {
    await page.getByText("Drop a report here").waitFor();
    const line = (variant, verdict) => JSON.stringify({ id: "1", variant, verdict: `VERDICT_${verdict}` });
    await page.setInputFiles("input[type=file][multiple]", [
      { name: "report.html", mimeType: "text/html", buffer: Buffer.from(evil) },
      { name: "metrics.csv", mimeType: "text/csv", buffer: Buffer.from("variant,metric,value,low,high,most,n,unparsed\na,accuracy,0.5,0.4,0.6,1,90,0\n") },
      { name: "results.jsonl", mimeType: "text/plain", buffer: Buffer.from(`${line("a", "RIGHT")}\n${line("b", "WRONG")}\n`) },
      { name: "other.jsonl", mimeType: "text/plain", buffer: Buffer.from("{") },
    ]);
    await page.getByText("other.jsonl, line 1: it is no JSON").waitFor();
    const text = await page.locator(".report").textContent();
    assert.match(text, /Occluding.*Section 3\.5 says.*so\..*series.*random/s);
    assert.equal(await page.locator(".report img").count(), 1);
    assert.equal(await page.locator(".report svg, .report iframe, .report script").count(), 0);
    await button(page, "metrics.csv").click();
    await page.getByText("40.0 % to 60.0 %").waitFor();
    await button(page, "results.jsonl").click();
    await page.getByText("Against the first variant, on the same items").waitFor();
    await accessible(page);
    assert.equal(await page.evaluate(() => globalThis.hacked), undefined);
    // Chromium says of handlers in a document that is only read what its policy would have done with them.
    page.errors = page.errors.filter((error) => !error.startsWith("Executing inline event handler violates the following Content Security Policy"));
  });
});

describe("server", () => {
  onPage("charts of what happens now, models, budgets", "server", async (page) => {
    await page.getByRole("heading", { name: "Requests a second, by code" }).waitFor();
    const chart = page.getByRole("application", { name: /^Requests a second, by code/ });
    await page.evaluate(() => {
      const ask = async () => {
        await fetch("/scotoma.v1.ModelService/GetModel", { method: "POST", headers: { "content-type": "application/grpc-web+proto" }, body: new Uint8Array(5) });
        // One after the other, however long one takes.
        setTimeout(ask, 100);
      };
      void ask();
    });
    await page.waitForFunction(() => document.querySelector(".chart-frame path.line").getAttribute("d").includes("L"));
    await page.locator(".chart-legend").first().getByText(/^Ok [1-9]/).waitFor();
    await chart.focus();
    await page.keyboard.press("ArrowLeft");
    await says(page.locator(".chart output").first(), /: .*Ok /);
    assert.equal(await page.getByRole("region", { name: "Models" }).getByRole("rowheader").textContent(), "shapes");
    assert.match(await page.textContent(".budgets"), /queue.*of 256/s);
    const series = await csvOf(page, "Requests a second, by code");
    assert.ok(series.length > 2 && series[0].includes("Ok"));
  });
});

test("the use of keys is seen where the server counts it", { timeout: HUNG_MS }, async () => {
  const { stdout } = await run(binary, ["key", "alice"]);
  const key = /^[0-9a-f]{64}$/m.exec(stdout)[0];
  const keys = join(folder, "keys.txt");
  await writeFile(keys, `${/^alice .*$/m.exec(stdout)[0]}\n`);
  const own = await Server.start(["--api-keys", keys, "--metrics-by-key"]);
  try {
    const page = await open(browser, `${own.url}/#/server`);
    await page.getByLabel("Key").fill(key);
    await button(page, "Use it").click();
    await page.getByRole("region", { name: "Keys" }).getByRole("rowheader", { name: "alice" }).waitFor();
    await page.context().close();
  } finally {
    await own.stop();
  }
});

describe("for everybody", () => {
  const views = ["look", "benchmark", "report", "server"];
  const ready = { look: ".words", benchmark: ".drop", report: ".drop", server: ".charts" };
  for (const colorScheme of ["light", "dark"]) {
    for (const view of views) {
      onPage(`${view} has no violation that axe knows, ${colorScheme}`, view, async (page) => {
        await page.locator(ready[view]).first().waitFor();
        await accessible(page);
        if (view === "benchmark") {
          await button(page, "Try it with the samples").click();
          await page.locator(".item").first().waitFor();
          await accessible(page);
        }
        if (view === "look") {
          for (const name of ["Logit lens", "Occlusion map", "Patching grid"]) {
            await tab(page, name);
            await accessible(page);
          }
        }
      }, { colorScheme });
    }
  }
  for (const view of views) {
    onPage(`${view} fits a phone`, view, async (page) => {
      await page.locator(ready[view]).first().waitFor();
      await narrow(page);
      if (view === "benchmark") {
        await button(page, "Try it with the samples").click();
        await page.locator(".item").first().waitFor();
        await narrow(page);
      }
      if (view === "look") {
        for (const name of ["Logit lens", "Occlusion map", "Patching grid"]) {
          await tab(page, name);
          await narrow(page);
        }
      }
    }, { viewport: { width: 360, height: 740 }, hasTouch: true });
  }
});
