/**
 * Drives a real Chromium for the Python tests: one JSON command per line in, one JSON answer per line out.
 *
 *     {"do": "launch", "chromium": path, "proxy": url, "args": [...]}     {"do": "context", "name": n, "options": {...}}
 *     {"do": "open", "name": n, "url": u}                   {"do": "eval", "name": n, "code": "async () => ..."}
 *     {"do": "click" | "wait", "name": n, "selector": s}    {"do": "upload", "name": n, "selector": s, "files": [...]}
 *     {"do": "text", "name": n, "selector": s}              {"do": "crash" | "close", "name": n}
 *     {"do": "axe", "name": n}                              {"do": "picture", "name": n, "path": p}
 */
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const fromWeb = createRequire(new URL("../../web/package.json", import.meta.url));
const { chromium } = fromWeb("playwright-core");
const axe = fromWeb.resolve("axe-core/axe.min.js");

const PATIENCE_MS = 300_000; // long, as a busy machine is slow; what hangs is told by what the page shows then
let browser;
const contexts = new Map(); // name -> { context, page, errors }

const commands = {
  async launch({ chromium: executablePath, proxy, args = [] }) {
    browser = await chromium.launch({
      executablePath,
      timeout: PATIENCE_MS,
      args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-component-update", "--disable-sync", "--no-first-run", ...args],
      ...(proxy ? { proxy: { server: proxy, bypass: "<-loopback>" } } : {}),
    });
    return browser.version();
  },
  async context({ name, options = {} }) {
    const context = await browser.newContext({ viewport: { width: 360, height: 740 }, ...options });
    context.setDefaultTimeout(PATIENCE_MS);
    contexts.set(name, { context, errors: [], failed: [] });
  },
  /** Code that runs in every page of the tab before the page's own: a slow phone, a browser that lacks something. */
  async before({ name, code }) {
    await contexts.get(name).context.addInitScript({ content: `(${code})()` });
  },
  async open({ name, url }) {
    const held = contexts.get(name);
    held.page = await held.context.newPage();
    held.page.on("pageerror", (error) => held.errors.push(String(error)));
    held.page.on("console", (message) => message.type() === "error" && held.errors.push(`${message.text()} ${message.location().url.split("#")[0]}`));
    held.page.on("crash", () => held.errors.push("the tab crashed"));
    held.page.on("requestfailed", (request) => held.failed.push(`${request.method()} ${request.url().split("#")[0]}: ${request.failure()?.errorText}`));
    held.page.on("dialog", (dialog) => dialog.accept());
    await held.page.goto(url);
  },
  /** A second page of the same phone; commands go to it from now on. */
  async beside({ name, url }) {
    contexts.get(name).first = contexts.get(name).page;
    await commands.open({ name, url });
  },
  /** Commands go to the other of the two pages from now on. */
  async swap({ name }) {
    const held = contexts.get(name);
    [held.first, held.page] = [held.page, held.first];
  },
  async shut_first({ name }) {
    await contexts.get(name).first.close();
  },
  async eval({ name, code, argument }) {
    return contexts.get(name).page.evaluate(`(${code})(${JSON.stringify(argument ?? null)})`);
  },
  async click({ name, selector, timeout = PATIENCE_MS }) {
    await contexts.get(name).page.click(selector, { timeout });
  },
  async wait({ name, selector, timeout = PATIENCE_MS }) {
    await contexts.get(name).page.waitForSelector(selector, { timeout });
  },
  /** Until a function gives true. Playwright's own waiting would need `eval`, which the page's policy forbids. */
  async waitFor({ name, code, timeout = PATIENCE_MS }) {
    const until = Date.now() + timeout;
    while (!(await contexts.get(name).page.evaluate(`(${code})()`))) {
      if (Date.now() > until) throw new Error(`it never came true: ${code}`);
      await new Promise((done) => setTimeout(done, 20));
    }
  },
  async upload({ name, selector, files }) {
    await contexts.get(name).page.setInputFiles(selector, files);
  },
  async fill({ name, selector, value }) {
    await contexts.get(name).page.fill(selector, value);
  },
  async select({ name, selector, value }) {
    await contexts.get(name).page.selectOption(selector, value);
  },
  async text({ name, selector }) {
    return contexts.get(name).page.innerText(selector);
  },
  async offline({ name, offline }) {
    await contexts.get(name).context.setOffline(offline);
  },
  async press({ name, key }) {
    await contexts.get(name).page.keyboard.press(key);
  },
  /** The tab's process is killed, as a phone kills it. */
  async crash({ name }) {
    const { page } = contexts.get(name);
    await Promise.race([page.goto("chrome://crash").catch(() => {}), new Promise((done) => setTimeout(done, 2000))]);
    await Promise.race([page.close().catch(() => {}), new Promise((done) => setTimeout(done, 2000))]);
  },
  /** The browser's graphics process ends, as after a fault of a driver; the browser starts another one. */
  async crash_gpu() {
    const session = await browser.newBrowserCDPSession();
    await session.send("Browser.crashGpuProcess");
    await session.detach();
  },
  async shut({ name }) {
    await contexts.get(name).page.close();
  },
  async close({ name }) {
    await contexts.get(name).context.close();
    contexts.delete(name);
  },
  async errors({ name }) {
    return contexts.get(name).errors;
  },
  async axe({ name }) {
    const { page } = contexts.get(name);
    // Through the debugger, not through a script element: the page's policy stays as strict as it is.
    const { readFileSync } = await import("node:fs");
    await page.evaluate(readFileSync(axe, "utf-8"));
    // A button that fades in is judged as it stays, not as it was on the way.
    await page.evaluate("Promise.allSettled(document.getAnimations().map((fading) => fading.finished))");
    const { violations } = await page.evaluate("axe.run()");
    return violations.map(({ id, impact, help, nodes }) => ({ id, impact, help, nodes: nodes.map((node) => node.html.slice(0, 200)) }));
  },
  async picture({ name, path, whole = false }) {
    await contexts.get(name).page.screenshot({ path, fullPage: whole });
  },
  async memory({ name }) {
    return contexts.get(name).page.evaluate("performance.measureUserAgentSpecificMemory().then(({ bytes }) => bytes)");
  },
  async quit() {
    await browser?.close();
  },
};

/** What a tab shows and what went wrong in it, for the words of a failed test. */
async function described(name) {
  const held = contexts.get(name);
  if (!held?.page) return "";
  const shown = held.page.evaluate("document.body.innerText").catch((error) => `nothing: ${error.message}`);
  const silent = new Promise((done) => setTimeout(() => done("nothing: the page does not answer"), 3000));
  return `${held.page.url().split("#")[0]} shows: ${await Promise.race([shown, silent])}\nerrors in it: ${[...held.errors, ...held.failed].join("; ") || "none"}`;
}

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = { result: (await commands[command.do](command)) ?? null };
  } catch (error) {
    answer = { error: `${error?.message ?? error}\n${await described(command.name)}` };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
  if (command.do === "quit") process.exit(0);
}
