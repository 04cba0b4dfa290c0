// The page: unpacks the data and fills the parts that there is something for.

/** @param {Facts} facts */
function heading(facts) {
  const { stack } = facts;
  const title = stack ? stack.label : "What the first change costs";
  document.title = `${title} \u2013 ovlctl report`;
  at("title").textContent = title;
  at("title").title = title;
  if (!stack) return;
  const wasted = stack.layers.reduce((sum, each) => sum + each.wasted, 0);
  const parts = [
    stack.image ? "An image" : stack.root ? `Mounted at ${stack.root}` : "Not mounted",
    shownCount(stack.layers.length, "layer"),
    shownCount(stack.merged.files, "file"),
    `${shownSize(stack.merged.size)} seen`,
    `${shownSize(wasted)} wasted`,
  ];
  at("summary").append(...parts.map((part) => make("span", {}, part)));
}

/** @param {string[]} notes */
function troubles(notes) {
  if (!notes.length) return;
  const box = at("troubles");
  box.hidden = false;
  box.querySelector("summary").textContent = `This report is not complete: ${notes[0]}`;
  box.querySelector("ul").append(...notes.map((note) => make("li", {}, note)));
}

/** @param {Stack} stack */
function recorded(stack) {
  const { recording, noRecording } = stack;
  if (!recording && !noRecording) return;
  open("actions");
  if (!recording) {
    at("recorded").textContent = `Nothing was recorded: ${noRecording}`;
    at("player").remove();
    return;
  }
  const where = `on Linux ${recording.kernel}, the scratch upper on ${recording.fileSystem}`;
  at("recorded").append(
    recording.example
      ? `Recorded on a small example instead of this stack: ${recording.because ?? "it could not be mounted"}. `
      : "Recorded on this stack's own layers with a scratch upper; nothing in the stack was changed. ",
    `Each action was done once, for real, ${where}. `,
    make("span.muted", {}, "Times of a single run say little; "),
    make("code", {}, "ovlctl bench-copyup"),
    make("span.muted", {}, " measures."),
  );
  new Stage(recording).start();
}

/** Shows a part of the page and names it on top. @param {string} id */
function open(id) {
  const section = at(id);
  section.hidden = false;
  at("nav").append(make("a", { href: `#${id}` }, section.querySelector("h2").textContent));
}

/** @param {NonNullable<Facts["bench"]>} bench */
function benchmark(bench) {
  open("bench");
  for (const kind of /** @type {const} */ (["wide", "narrow"])) {
    // Made by ovlctl from numbers; its texts are escaped. Read as a document of its own, it cannot become anything else.
    const picture = new DOMParser().parseFromString(bench[kind], "image/svg+xml").documentElement;
    for (const size of ["width", "height"]) picture.removeAttribute(size);
    picture.setAttribute("class", kind);
    at("picture").append(document.importNode(picture, true));
  }
  at("bench-text").textContent = bench.text;
}

/** @param {Facts} facts */
function footing(facts) {
  const { stack } = facts;
  at("footer").append(
    make(
      "p",
      {},
      `Made by ovlctl ${facts.ovlctl} on ${facts.made.replace("T", " ").replace("Z", " UTC")}, Linux ${facts.kernel}. `,
    ),
    make("p", {}, "One file that loads nothing and sends nothing. Sizes are those that files have; K is 1024 bytes."),
    stack ? command(`ovlctl explore ${stack.command}`) : command("ovlctl bench-copyup --json FILE"),
  );
}

function themes() {
  for (const choice of at("theme").querySelectorAll("input")) {
    choice.addEventListener("change", () => {
      if (choice.value) document.documentElement.dataset.theme = choice.value;
      else delete document.documentElement.dataset.theme;
    });
  }
}

async function main() {
  themes();
  const block = at("data");
  const { facts, atlas } = await unpacked(block.textContent);
  // It is in the arrays now.
  block.remove();
  heading(facts);
  if (facts.stack && atlas) {
    troubles(facts.stack.troubles);
    open("files");
    const workspace = new Workspace(facts.stack, atlas);
    workspace.start();
    recorded(facts.stack);
    open("sizes");
    sizeCharts(facts.stack, (path) => workspace.goTo(path));
  }
  if (facts.bench) benchmark(facts.bench);
  footing(facts);
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}

main().catch((error) => {
  at("failure").hidden = false;
  at("failure").textContent = `This page cannot be shown: ${error.message}. It needs a browser of 2024 or later.`;
  throw error;
});
