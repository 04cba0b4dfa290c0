// Drives a page in headless Chromium and prints what it saw as one JSON object:
//
//     node drive.mjs PACKAGES CHROMIUM SCENARIO PAGE ARGUMENT
//
// PACKAGES is the node_modules directory that scripts/browser-tools prints, ARGUMENT is JSON. Only what a person could
// do is done to the page: keys, clicks, text typed. Besides the scenario's result the object has everything that a page
// must not do: messages on the console, errors, dialogs, requests.

import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const [packages, executablePath, scenario, path, argument] = process.argv.slice(2);
const require = createRequire(`${packages}/`);
const { chromium } = require("playwright-core");

const browser = await chromium.launch({
  executablePath,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
});
const options = argument ? JSON.parse(argument) : {};
const url = pathToFileURL(path).href;
const seen = { console: [], errors: [], dialogs: [], requests: [] };

/** A page that is ready. */
async function opened(settings = {}, sign = "html[data-ready]") {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...settings });
  const page = await context.newPage();
  page.on("console", (message) => seen.console.push(`${message.type()}: ${message.text()}`));
  page.on("pageerror", (error) => seen.errors.push(error.message));
  page.on("dialog", (dialog) => {
    seen.dialogs.push(dialog.message());
    dialog.dismiss();
  });
  page.on("request", (request) => {
    if (request.url() !== url) seen.requests.push(request.url());
  });
  await page.goto(url);
  await page.waitForSelector(sign);
  return page;
}

/** The rows on the screen. */
const rows = (page) =>
  page.$$eval("#rows .row", (all) =>
    all.map((row) => ({
      row: Number(row.dataset.row),
      sign: row.querySelector(".sign b").textContent.trim(),
      text: row.querySelector(".text").textContent,
      title: row.querySelector(".name").title,
      from: row.querySelector(".from").textContent,
      size: row.querySelector(".size").textContent,
      level: Number(row.getAttribute("aria-level")),
      selected: row.getAttribute("aria-selected") === "true",
    })),
  );

const text = (page, selector) => page.$eval(selector, (element) => element.textContent);
const drawn = (page) => page.evaluate(() => new Promise((done) => requestAnimationFrame(() => setTimeout(done))));

/** Presses Tab until the focus is in what *selector* finds; whether it came there. */
async function tabTo(page, selector) {
  for (let count = 0; count < 100; count += 1) {
    await page.keyboard.press("Tab");
    if (await page.evaluate((wanted) => document.activeElement.closest(wanted) !== null, selector)) return true;
  }
  return false;
}

const scenarios = {
  /** What is there when the page has opened. */
  async open() {
    const page = await opened();
    return {
      title: await page.title(),
      heading: await text(page, "#title"),
      ready: Number(await page.getAttribute("html", "data-ready")),
      scripts: await page.$$eval("script", (all) => all.length),
      sections: await page.$$eval("main > section:not([hidden])", (all) => all.map((each) => each.id)),
      summary: await text(page, "#summary"),
      troubles: await page.$eval("#troubles", (box) => (box.hidden ? null : box.textContent)),
      recorded: await text(page, "#recorded"),
      layers: await page.$$eval("#layers .card", (all) => all.map((each) => each.textContent)),
      signs: await page.$$eval("#signs .chip", (all) => all.map((each) => each.textContent)),
      picture: await page.$$eval("#picture svg.wide", (all) => all.map((each) => each.getBoundingClientRect().width)),
      rows: await rows(page),
    };
  },

  /** Every row of the unfolded tree, walked by keys alone, with the path that its details show. */
  async walk() {
    const page = await opened();
    const found = [];
    await tabTo(page, "#unfold");
    await page.keyboard.press("Enter");
    await page.focus("#grid");
    await page.keyboard.press("Home");
    for (let last = -1; found.length < 500; ) {
      await drawn(page);
      const here = (await rows(page)).find((each) => each.selected);
      if (!here || here.row === last) break;
      last = here.row;
      const details = await text(page, "#details");
      found.push({ ...here, path: await text(page, "#details .path"), details });
      await page.keyboard.press("ArrowDown");
    }
    return { found, injected: await page.evaluate(() => document.querySelectorAll("main script, main img").length) };
  },

  /** What each of the texts finds, typed into the search field. */
  async search() {
    const page = await opened();
    const answers = [];
    for (const each of options.texts) {
      await page.focus("#text");
      await page.keyboard.press("Control+A");
      await page.keyboard.press("Delete");
      await page.keyboard.insertText(each);
      await page.waitForTimeout(150);
      await drawn(page);
      answers.push({ count: await text(page, "#count"), said: await text(page, "#said"), rows: await rows(page) });
    }
    await page.keyboard.press("Control+A");
    await page.keyboard.press("Delete");
    await page.click("#signs .chip.added");
    await drawn(page);
    const added = await rows(page);
    await page.click("#signs .chip.added");
    await page.selectOption("#order", "largest");
    await drawn(page);
    return { answers, added, largest: await rows(page) };
  },

  /** The actions, by keyboard alone: what is in the lanes at each step. */
  async actions() {
    const page = await opened({ reducedMotion: "reduce" });
    const state = () =>
      page.evaluate(() => ({
        place: document.querySelector(".place").textContent,
        step: document.querySelector(".steps [aria-current]").textContent,
        said: document.getElementById("said").textContent,
        lanes: Object.fromEntries(
          [...document.querySelectorAll(".lane:not(.others)")].map((lane) => [
            lane.querySelector("strong").textContent,
            [...lane.querySelectorAll(".object")].map((chip) => [
              chip.querySelector(".called").textContent,
              chip.querySelector(".note")?.textContent ?? "",
            ]),
          ]),
        ),
      }));
    const reached = await tabTo(page, "#player");
    const walked = [];
    for (const key of ["1", "2", "3", "4"]) {
      await page.keyboard.press(key);
      await page.keyboard.press("p"); // it plays by itself: stop it
      const name = await text(page, ".action[aria-pressed=true] strong");
      const states = [await state()];
      for (let count = 0; count < 20; count += 1) {
        await page.keyboard.press("ArrowRight");
        const next = await state();
        if (next.place === states[states.length - 1].place) break;
        states.push(next);
      }
      await page.keyboard.press("ArrowLeft");
      walked.push({ name, states, back: (await state()).place, figures: await text(page, ".measured") });
    }
    return { reached, walked };
  },

  /** It plays by itself to the end, once. */
  async play() {
    const page = await opened();
    await page.click(".action:nth-child(2)");
    await page.waitForFunction(() => document.querySelector(".controls .primary").textContent === "Pause");
    await page.waitForFunction(() => document.querySelector(".controls .primary").textContent === "Play");
    return { place: await text(page, ".place") };
  },

  /** What axe-core finds, in both themes and with everything unfolded. */
  async axe() {
    const found = [];
    let passed = 0;
    for (const colorScheme of ["light", "dark"]) {
      const page = await opened({ colorScheme, reducedMotion: "reduce" });
      await page.click("#rows .row .fold.shut");
      await page.click("#rows .row:nth-child(2) .text");
      await page.click(".action:nth-child(3)");
      for (const each of await page.locator("details > summary:visible").all()) await each.click();
      // Through the debugger, for which the page's policy does not count; the page itself stays as it is.
      const session = await page.context().newCDPSession(page);
      const source = await (await import("node:fs/promises")).readFile(require.resolve("axe-core/axe.min.js"), "utf8");
      await session.send("Runtime.evaluate", { expression: source });
      const { result } = await session.send("Runtime.evaluate", {
        expression: "axe.run().then(({ violations, passes }) => JSON.stringify({ violations, passes: passes.length }))",
        awaitPromise: true,
      });
      const { violations, passes } = JSON.parse(result.value);
      passed += passes;
      for (const { id, impact, nodes } of violations) {
        found.push({ colorScheme, id, impact, nodes: nodes.map((node) => `${node.html}: ${node.failureSummary}`) });
      }
    }
    return { found, passed };
  },

  /** The switch decides over what the system asks for. */
  async themes() {
    const page = await opened({ colorScheme: "dark" });
    const ground = () => page.evaluate(() => getComputedStyle(document.body).backgroundColor);
    const colours = { auto: await ground() };
    for (const theme of ["light", "dark"]) {
      await page.check(`#theme input[value=${theme}]`);
      colours[theme] = await ground();
    }
    return colours;
  },

  /** What a page says that cannot be shown. */
  async damaged() {
    const page = await opened({}, "#failure:not([hidden])");
    return text(page, "#failure");
  },

  /** How wide the page is on screens of some widths: wider than the screen, it would scroll sideways. */
  async widths() {
    const found = {};
    for (const width of options.widths) {
      const page = await opened({ viewport: { width, height: 800 } });
      found[width] = await page.evaluate(() => document.documentElement.scrollWidth);
      await page.context().close();
    }
    return found;
  },

  /** Times in milliseconds: until it is ready, and what some keys take. */
  async timing() {
    const started = performance.now();
    const page = await opened();
    const ready = performance.now() - started;
    const took = async (act) => {
      const start = performance.now();
      await act();
      await drawn(page);
      return performance.now() - start;
    };
    await page.focus("#grid");
    const unfold = await took(() => page.click("#unfold"));
    await page.focus("#grid");
    const end = await took(() => page.keyboard.press("End"));
    const up = await took(() => page.keyboard.press("ArrowUp"));
    const find = await page.evaluate(async (typed) => {
      const field = document.getElementById("text");
      const before = document.getElementById("count").textContent;
      field.value = typed;
      const start = performance.now();
      field.dispatchEvent(new Event("input"));
      while (document.getElementById("count").textContent === before) await new Promise((done) => setTimeout(done));
      return performance.now() - start;
    }, options.text);
    const heap = await page.evaluate(() => performance.memory.usedJSHeapSize);
    return { ready, script: Number(await page.getAttribute("html", "data-ready")), unfold, end, up, find, heap };
  },

  /** Pictures of the page, one for each width and theme. */
  async screens() {
    for (const { file, width, height, colorScheme, script, fullPage = true } of options.pictures) {
      const page = await opened({ viewport: { width, height }, colorScheme, reducedMotion: "reduce" });
      for (const step of script ?? []) {
        if (step.click) await page.click(step.click);
        else await page.keyboard.press(step.press);
      }
      await drawn(page);
      await page.screenshot({ path: file, fullPage });
      await page.context().close();
    }
    return options.pictures.length;
  },
};

try {
  const result = await scenarios[scenario]();
  process.stdout.write(JSON.stringify({ ...seen, result }));
} finally {
  await browser.close();
}
