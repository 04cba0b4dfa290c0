// Everything the page knows of one path.

const SIGN_SENTENCES = [
  "Comes from a lower layer as it is.",
  "The upper adds it: no layer below has anything here.",
  "Changed: the upper has it in place of what a lower layer has.",
  "Copied up, and equal to what it hides: the copy is waste.",
  "Not there: a whiteout hides what lies below it.",
  "Not there: something above hides it.",
  "The kernel lists the name and finds nothing, refuses it, or it cannot be known.",
];

/** @param {number} mode @param {number} kind */
function shownMode(mode, kind) {
  const letters = "-dlcbps"[kind];
  const text = [8, 7, 6, 5, 4, 3, 2, 1, 0].map((bit) => (mode & (1 << bit) ? "rwx"[(8 - bit) % 3] : "-"));
  /** @param {number} bit @param {number} place @param {string} set */
  const special = (bit, place, set) => {
    if (mode & bit) text[place] = text[place] === "x" ? set : set.toUpperCase();
  };
  special(0o4000, 2, "s");
  special(0o2000, 5, "s");
  special(0o1000, 8, "t");
  return letters + text.join("");
}

/** @param {number} seconds since the epoch */
function shownTime(seconds) {
  const moment = new Date(seconds * 1000);
  if (Number.isNaN(moment.getTime())) return `${seconds} s after 1970`;
  return moment
    .toISOString()
    .replace("T", " ")
    .replace(/\.000Z$/, " UTC");
}

/**
 * @param {Atlas} atlas
 * @param {Stack} stack
 * @param {Map<number, string>} stories
 * @param {number} row
 */
function showDetails(atlas, stack, stories, row) {
  const path = pathOf(atlas, row);
  const words = row ? shownArgument(pathBytes(atlas, row)) : "/";
  const there = isThere(atlas, row);
  const pane = at("details");
  const parts = [
    make("p.eyebrow", {}, KIND_WORDS[atlas.kinds[row]]),
    make("p.path", {}, path),
    make(`p.said.${SIGN_NAMES[atlas.signs[row]]}`, {}, glyph(atlas.signs[row]), sentence(atlas, row)),
    factList(atlas, stack, row, there),
    make("h4", {}, "In the layers, topmost first"),
    layerHistory(atlas, stack, row, there),
    make("h4", {}, "To go on"),
    command(`ovlctl explain ${stack.command} ${words}`),
    there && atlas.kinds[row] === 0 ? command(`ovlctl cat ${stack.command} ${words}`) : null,
    there && atlas.kinds[row] === 0 ? command(`ovlctl try ${stack.command} modify ${words}`) : null,
    there ? command(`ovlctl cp ${isDirectory(atlas, row) ? "-r " : ""}${stack.command} ${words} .`) : null,
    ...story(stories.get(row)),
  ];
  pane.replaceChildren(...parts.filter((part) => part !== null));
  pane.parentElement.scrollTop = 0;
}

/** Whether the merged view has something at a row. @param {Atlas} atlas @param {number} row */
function isThere(atlas, row) {
  const { whiteout, hidden, odd } = SIGNS;
  return atlas.providers[row] !== NOBODY && ![whiteout, hidden, odd].includes(atlas.signs[row]);
}

/** @param {number} sign */
function glyph(sign) {
  return make("b.glyph", { "aria-hidden": "true" }, SIGN_GLYPHS[sign]);
}

/** @param {Atlas} atlas @param {number} row */
function sentence(atlas, row) {
  if (!row) return "The root of the merged view.";
  if (atlas.flags[row] & FLAGS.unreadable) return `${SIGN_SENTENCES[atlas.signs[row]]} Not all of it could be read.`;
  return SIGN_SENTENCES[atlas.signs[row]];
}

/** @param {Atlas} atlas @param {Stack} stack @param {number} row @param {boolean} there */
function factList(atlas, stack, row, there) {
  const list = make("dl.facts");
  /** @param {string} name @param {...(string | Node)} value */
  const add = (name, ...value) => list.append(make("div", {}, make("dt", {}, name), make("dd", {}, ...value)));
  if (there) add("From", swatch(atlas.providers[row]), stack.layers[atlas.providers[row]].label);
  if (isDirectory(atlas, row)) {
    add("Below", shownCount(atlas.ends[row] - row - 1, "name"));
  } else if (there) {
    const size = atlas.sizes[row];
    add("Size", size < 1024 ? shownSize(size) : `${shownSize(size)} (${counted.format(size)} B)`);
  }
  if (there && atlas.modes && atlas.uids && atlas.gids && atlas.mtimes) {
    add("Mode", shownMode(atlas.modes[row], atlas.kinds[row]));
    add("Owner", `${atlas.uids[row]}:${atlas.gids[row]}`);
    add("Modified", shownTime(atlas.mtimes[row]));
  }
  return list;
}

/** @param {Atlas} atlas @param {Stack} stack @param {number} row @param {boolean} there */
function layerHistory(atlas, stack, row, there) {
  const body = make("tbody");
  /** @param {number} layer @param {number} kind @param {number} size @param {string} word */
  const add = (layer, kind, size, word) =>
    body.append(
      make(
        "tr",
        {},
        make("th", { scope: "row" }, swatch(layer), stack.layers[layer].label),
        make("td", {}, word === "whiteout" ? "" : KIND_WORDS[kind]),
        make("td.number", {}, kind === DIRECTORY || word === "whiteout" ? "" : shownSize(size)),
        make("td", {}, word),
      ),
    );
  if (atlas.providers[row] !== NOBODY) {
    const word = { [SIGNS.hidden]: "hidden", [SIGNS.whiteout]: "whiteout", [SIGNS.odd]: "odd" }[atlas.signs[row]];
    add(atlas.providers[row], atlas.kinds[row], atlas.sizes[row], word ?? "seen");
  }
  const below = coveredAt(atlas, row);
  for (const each of below) {
    const merges = isDirectory(atlas, row) && each.kind === DIRECTORY && there;
    add(each.layer, each.kind, each.size, merges ? "merged" : "hidden");
  }
  if (!body.children.length) return make("p.muted", {}, "No layer has more to say here.");
  const head = ["Layer", "Kind", "Size", "Fate"].map((word) => make("th", { scope: "col" }, word));
  head[2].className = "number";
  return make("table.plain", {}, make("thead", {}, make("tr", {}, ...head)), body);
}

/** @param {string | undefined} text @returns {Node[]} */
function story(text) {
  if (text === undefined) return [];
  const where = { tabindex: 0, role: "region", "aria-label": "What explain tells" };
  return [make("h4", {}, "What explain tells"), make("pre.story", where, text)];
}
