// The three panes: what is chosen in one is shown in the others.

const MOST_LISTED = 1000;
const SIZES = [
  [0, "Any"],
  [4096, "4 KiB and more"],
  [65536, "64 KiB and more"],
  [1 << 20, "1 MiB and more"],
  [16 << 20, "16 MiB and more"],
  [256 << 20, "256 MiB and more"],
];

/** @param {any} select @param {[string | number, string][]} choices @param {() => void} changed */
function fillChoice(select, choices, changed) {
  select.append(...choices.map(([value, text]) => make("option", { value }, text)));
  select.addEventListener("change", changed);
}

class Workspace {
  /** @param {Stack} stack @param {Atlas} atlas */
  constructor(stack, atlas) {
    this.stack = stack;
    this.atlas = atlas;
    this.labels = stack.layers.map((each) => each.label);
    this.stories = new Map(stack.stories);
    this.outline = new Outline(atlas);
    /** @type {Wanted} */
    this.wanted = { text: "", kind: null, signs: new Set(), layer: null, atLeast: 0 };
    this.tree = new TreeGrid(atlas, this.outline, this.labels, (row) => this.show(row));
    this.waiting = 0;
  }

  start() {
    layerList(this.stack, (layer) => this.chooseLayer(layer));
    this.controls();
    this.signChips();
    const only = this.outline.rows.length === 1 && this.outline.canOpen(this.outline.rows[0]);
    if (only) this.outline.fold(this.outline.rows[0], true);
    this.tell(this.atlas.count - 1);
    this.tree.draw();
    this.show(0);
  }

  controls() {
    const find = () => this.find();
    fillChoice(at("kind"), [["", "Any"], .../** @type {[number, string][]} */ ([...KIND_WORDS.entries()])], find);
    fillChoice(at("layer"), [["", "Any"], ...[...this.labels.entries()]], find);
    fillChoice(at("size"), /** @type {[number, string][]} */ (SIZES), find);
    fillChoice(
      at("order"),
      [
        ["", "Tree"],
        ["largest", "Largest first"],
      ],
      find,
    );
    at("text").addEventListener("input", () => {
      clearTimeout(this.waiting);
      // A million rows take some 50 ms; between two keys there is time for less than all of them.
      this.waiting = window.setTimeout(find, this.atlas.count > 200_000 ? 120 : 0);
    });
    at("text").addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => {
      if (event.key !== "ArrowDown" && event.key !== "Enter") return;
      event.preventDefault();
      at("grid").focus();
      if (this.outline.rows.length) this.tree.choose(this.firstFound());
    });
    at("finding").addEventListener("submit", (/** @type {Event} */ event) => event.preventDefault());
    at("unfold").addEventListener("click", () => this.foldAll(true));
    at("fold").addEventListener("click", () => this.foldAll(false));
  }

  /** Buttons that say what the signs mean, how many there are, and show only those. */
  signChips() {
    const many = new Array(SIGN_WORDS.length).fill(0);
    for (let row = 1; row < this.atlas.count; row += 1) many[this.atlas.signs[row]] += 1;
    const order = [SIGNS.added, SIGNS.changed, SIGNS.unchanged, SIGNS.whiteout, SIGNS.hidden, SIGNS.odd, SIGNS.same];
    // Where nothing is above, there is nothing to tell apart.
    at("signs").hidden = many[SIGNS.same] === this.atlas.count - 1;
    for (const sign of order.filter((each) => many[each])) {
      const chip = make(
        `button.chip.${SIGN_NAMES[sign]}`,
        { type: "button", "aria-pressed": "false" },
        make("b", { "aria-hidden": "true" }, SIGN_GLYPHS[sign]),
        make("span", {}, SIGN_WORDS[sign]),
        make("span.many", {}, counted.format(many[sign])),
      );
      chip.addEventListener("click", () => {
        const pressed = chip.getAttribute("aria-pressed") !== "true";
        chip.setAttribute("aria-pressed", String(pressed));
        if (pressed) this.wanted.signs.add(sign);
        else this.wanted.signs.delete(sign);
        this.find();
      });
      at("signs").append(chip);
    }
  }

  /** @param {number | null} layer */
  chooseLayer(layer) {
    at("layer").value = layer === null ? "" : String(layer);
    this.find();
  }

  /** @param {boolean} open */
  foldAll(open) {
    this.outline.foldAll(open);
    this.tree.draw();
    this.tree.scrollTo(0);
    say(open ? "All unfolded" : "All folded");
  }

  find() {
    /** @param {string} id */
    const number = (id) => (at(id).value === "" ? null : Number(at(id).value));
    const { wanted, outline, atlas } = this;
    wanted.text = at("text").value;
    wanted.kind = number("kind");
    wanted.layer = number("layer");
    wanted.atLeast = number("size") ?? 0;
    markLayer(wanted.layer);
    const narrow = isNarrow(wanted);
    const answer = narrow ? found(atlas, wanted) : null;
    const list = at("order").value ? largest(atlas, answer && answer.marks, MOST_LISTED) : null;
    outline.narrow(answer && answer.marks, list);
    this.tree.scrollTo(0);
    // Whoever has found something and clears the search wants to see where it is.
    if (!answer && !list && this.tree.active) this.tree.reveal(this.tree.active);
    this.tree.draw();
    this.tell(answer ? answer.count : atlas.count - 1);
    at("unfold").disabled = at("fold").disabled = list !== null;
  }

  firstFound() {
    const { marks, list, rows } = this.outline;
    if (list || !marks) return rows[0];
    return rows.find((row) => (marks[row] & FOUND) !== 0) ?? rows[0];
  }

  /** @param {number} many */
  tell(many) {
    const all = this.atlas.count - 1;
    let text = many === all ? shownCount(all, "name") : `${counted.format(many)} of ${shownCount(all, "name")}`;
    if (this.outline.list && many > MOST_LISTED) text += `, the ${counted.format(MOST_LISTED)} largest files shown`;
    if (!many) text = "Nothing is like that";
    at("count").textContent = text;
    say(text);
  }

  /** @param {number} row */
  show(row) {
    showDetails(this.atlas, this.stack, this.stories, row);
  }

  /** Brings a path into sight, wherever on the page it was chosen. @param {string} path */
  goTo(path) {
    const row = rowAt(this.atlas, path);
    at("files").scrollIntoView({ block: "start" });
    if (!row) {
      at("count").textContent = `The merged view has no name ${path}`;
      say(at("count").textContent);
      return;
    }
    for (const id of ["text", "kind", "layer", "order"]) at(id).value = "";
    at("size").value = "0";
    this.wanted.signs.clear();
    for (const chip of at("signs").children) chip.setAttribute("aria-pressed", "false");
    this.find();
    at("grid").focus({ preventScroll: true });
    this.outline.reveal(row);
    this.tree.choose(row, true);
  }
}
