// The stack as a pile of buttons: the merged view on top, then each layer with what it adds, hides and wastes.

/**
 * @param {Stack} stack facts of the stack
 * @param {(layer: number | null) => void} choose told which layer's files are wanted; null for all
 */
function layerList(stack, choose) {
  const { merged, layers } = stack;
  const most = Math.max(merged.size, ...layers.map((each) => each.size), 1);
  const list = at("layers");
  list.append(card(-1, "merged", stack.root ?? "not mounted", mergedFigures(merged), merged.size, 0, most));
  layers.forEach((layer, number) => {
    list.append(card(number, layer.label, layer.directory, layerFigures(layer), layer.size, layer.wasted, most));
  });

  /**
   * @param {number} number
   * @param {string} label
   * @param {string} where
   * @param {[string, string, string][]} figures
   * @param {number} size
   * @param {number} wasted
   * @param {number} longest
   */
  function card(number, label, where, figures, size, wasted, longest) {
    const chosen = number < 0 ? null : number;
    const button = make(
      "button.card",
      { type: "button", "aria-pressed": String(number < 0), "data-layer": number, onclick: () => choose(chosen) },
      make("span.label", {}, swatch(number), make("strong", {}, label), make("span.amount", {}, shownSize(size))),
      make("span.where", { title: where }, where),
      bar(longest, [
        [number < 0 ? "merged" : "seen", Math.max(0, size - wasted)],
        ["wasted", wasted],
      ]),
      figureList(figures),
    );
    return make("li", {}, button);
  }
}

/** @param {[string, string, string][]} figures a sign, a number, a word */
function figureList(figures) {
  return make(
    "span.figures",
    {},
    ...figures.map(([sign, number, word]) =>
      make("span", {}, sign ? make("b", { "aria-hidden": "true" }, sign) : "", `${number} `, make("i", {}, word)),
    ),
  );
}

/** @param {Merged} merged @returns {[string, string, string][]} */
function mergedFigures(merged) {
  return [
    ["", counted.format(merged.files), merged.files === 1 ? "file" : "files"],
    ["+", counted.format(merged.added), "added"],
    ["~", counted.format(merged.changed), "changed"],
    ["o", counted.format(merged.deleted), "deleted"],
  ];
}

/** @param {Layer} layer @returns {[string, string, string][]} */
function layerFigures(layer) {
  return [
    ["", counted.format(layer.files), layer.files === 1 ? "file" : "files"],
    ["+", counted.format(layer.adds), "adds"],
    ["-", counted.format(layer.hides), "hides"],
    ["", shownSize(layer.wasted), "wasted"],
  ];
}

/** Shows which layer is chosen. @param {number | null} layer */
function markLayer(layer) {
  for (const button of at("layers").querySelectorAll("button")) {
    button.setAttribute("aria-pressed", String(Number(button.dataset.layer) === (layer ?? -1)));
  }
}
