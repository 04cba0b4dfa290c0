// Sizes and waste as bars; each picture is a table, so that its numbers can be read, too.

/** @param {Stack} stack @param {(path: string) => void} choose */
function sizeCharts(stack, choose) {
  at("charts").append(layerChart(stack), wasteChart(stack, choose));
}

/** @param {Stack} stack */
function layerChart(stack) {
  const most = Math.max(1, ...stack.layers.map((each) => each.size));
  const rows = stack.layers.map((layer, number) =>
    make(
      "tr",
      {},
      make("th", { scope: "row" }, swatch(number), layer.label),
      make(
        "td.drawn",
        {},
        bar(most, [
          ["seen", Math.max(0, layer.size - layer.wasted)],
          ["wasted", layer.wasted],
        ]),
      ),
      make("td.number", {}, shownSize(Math.max(0, layer.size - layer.wasted))),
      make("td.number", {}, shownSize(layer.wasted)),
    ),
  );
  const wasted = stack.layers.reduce((sum, each) => sum + each.wasted, 0);
  const whole = stack.layers.reduce((sum, each) => sum + each.size, 0);
  const share = whole ? ` (${((100 * wasted) / whole).toFixed(1)} %)` : "";
  return figure(
    "By layer",
    `${shownSize(wasted)} of ${shownSize(whole)}${share} are in files that nobody sees, or that were copied up and equal what they hide.`,
    ["Layer", "", "Seen", "Wasted"],
    rows,
    [
      ["seen", "seen"],
      ["wasted", "wasted"],
    ],
  );
}

/** @param {Stack} stack @param {(path: string) => void} choose */
function wasteChart(stack, choose) {
  const all = stack.layers.flatMap((layer, number) => layer.largest.map(([path, size]) => ({ path, size, number })));
  all.sort((one, other) => other.size - one.size);
  const top = all.slice(0, 12);
  if (!top.length) return figure("Largest waste", "Nothing is wasted.", [], [], []);
  const rows = top.map((each) =>
    make(
      "tr",
      {},
      make(
        "th.long",
        { scope: "row" },
        make("button.link", { type: "button", title: each.path, onclick: () => choose(each.path) }, each.path),
      ),
      make("td.drawn.short", {}, bar(top[0].size, [["wasted", each.size]])),
      make("td", {}, swatch(each.number), stack.layers[each.number].label),
      make("td.number", {}, shownSize(each.size)),
    ),
  );
  return figure(
    "Largest waste",
    "The largest files that nobody sees.",
    ["Path in the layer", "", "Layer", "Size"],
    rows,
    [],
  );
}

/**
 * @param {string} title
 * @param {string} text
 * @param {string[]} heads
 * @param {Node[]} rows
 * @param {[string, string][]} legend a class and a word
 */
function figure(title, text, heads, rows, legend) {
  const head = heads.map((word, index) =>
    word ? make(`th${index > 1 && word !== "Layer" ? ".number" : ""}`, { scope: "col" }, word) : make("td"),
  );
  const key = legend.map(([kind, word]) => make("span", {}, make(`i.${kind}`, { "aria-hidden": "true" }), word));
  return make(
    "figure",
    {},
    make(
      "figcaption",
      {},
      make("h3", {}, title),
      make("p.muted", {}, text),
      key.length ? make("p.legend", {}, ...key) : null,
    ),
    rows.length
      ? make("table.plain.chart", {}, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...rows))
      : null,
  );
}
