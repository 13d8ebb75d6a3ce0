/** A page in headless Chromium: the one that CHROMIUM names, or the one that an npm package brings. */

import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import chromium from "@sparticuz/chromium";
import { build } from "esbuild";
import puppeteer, { type Page } from "puppeteer-core";

/** Bundles `source` for browsers and opens a page with it. */
export async function withPage<T>(source: string, use: (page: Page) => Promise<T>): Promise<T> {
  const bundled = await build({
    entryPoints: [source],
    bundle: true,
    write: false,
    format: "esm",
    platform: "browser",
    target: "es2022",
  });
  const script = bundled.outputFiles[0]?.text ?? "";
  const pages = createServer((_, response) => {
    response.setHeader("content-type", "text/html");
    response.end(`<!doctype html><meta charset="utf-8"><script type="module">${script}</script>`);
  });
  await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
  const browser = await puppeteer.launch({
    args: chromium.args,
    executablePath: process.env["CHROMIUM"] ?? (await chromium.executablePath()),
    headless: "shell",
  });
  try {
    const page = await browser.newPage();
    page.on("pageerror", (error) => console.error(error));
    await page.goto(`http://127.0.0.1:${(pages.address() as AddressInfo).port}/`);
    return await use(page);
  } finally {
    await browser.close();
    pages.close();
  }
}
