// The tree as a grid of which only what is on the screen exists: a million rows cost as much as forty.

const ROW_HEIGHT = 26;
// Browsers draw nothing beyond some 17 million pixels; above this the bar stands for more rows than pixels.
const TALLEST = 8_000_000;
const SIGN_WORDS = ["from below", "added", "changed", "copied up unchanged", "whiteout", "hidden", "odd"];
const SIGN_GLYPHS = [" ", "+", "~", "=", "o", "-", "!"];
const SIGN_NAMES = ["same", "added", "changed", "unchanged", "whiteout", "hidden", "odd"];

class TreeGrid {
  /**
   * @param {Atlas} atlas
   * @param {Outline} outline
   * @param {string[]} labels of the layers
   * @param {(row: number) => void} chosen told which row was chosen
   */
  constructor(atlas, outline, labels, chosen) {
    this.atlas = atlas;
    this.outline = outline;
    this.labels = labels;
    this.chosen = chosen;
    this.active = 0;
    this.grid = at("grid");
    this.body = at("rows");
    this.space = make("div.space", { role: "none" });
    this.window = make("div.window", { role: "none" });
    this.body.append(this.space);
    this.space.append(this.window);
    /** @type {HTMLElement[]} */
    this.pool = [];
    this.drawn = false;
    this.grid.setAttribute("aria-colcount", "4");
    this.body.addEventListener("scroll", () => this.later(), { passive: true });
    new ResizeObserver(() => this.later()).observe(this.body);
    this.grid.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.key(event));
    this.window.addEventListener("click", (/** @type {any} */ event) => this.click(event));
  }

  later() {
    if (this.drawn) return;
    this.drawn = true;
    requestAnimationFrame(() => {
      this.drawn = false;
      this.draw();
    });
  }

  /** How many whole rows fit. */
  get fitting() {
    return Math.max(1, Math.floor(this.body.clientHeight / ROW_HEIGHT));
  }

  /** The first row on the screen, with a fraction, and how far the rows are moved for it. */
  get first() {
    const all = this.outline.rows.length * ROW_HEIGHT;
    const { scrollTop, clientHeight } = this.body;
    if (all <= TALLEST) return scrollTop / ROW_HEIGHT;
    return ((scrollTop / (TALLEST - clientHeight)) * (all - clientHeight)) / ROW_HEIGHT;
  }

  /** @param {number} position */
  scrollTo(position) {
    const all = this.outline.rows.length * ROW_HEIGHT;
    const { clientHeight } = this.body;
    const top = Math.max(0, Math.min(position * ROW_HEIGHT, all - clientHeight));
    this.body.scrollTop = all <= TALLEST ? top : (top / (all - clientHeight)) * (TALLEST - clientHeight);
  }

  /** Makes the bar stand for as many rows as there are. */
  stretch() {
    this.space.style.height = `${Math.min(TALLEST, this.outline.rows.length * ROW_HEIGHT)}px`;
    this.grid.setAttribute("aria-rowcount", String(this.outline.rows.length + 1));
  }

  draw() {
    const { rows } = this.outline;
    this.space.style.height = `${Math.min(TALLEST, rows.length * ROW_HEIGHT)}px`;
    const first = Math.min(Math.floor(this.first), Math.max(0, rows.length - 1));
    const many = Math.min(rows.length - first, this.fitting + 2);
    while (this.pool.length < many) this.pool.push(this.blank());
    this.window.replaceChildren(...this.pool.slice(0, many));
    const moved = this.body.scrollTop - (this.first - first) * ROW_HEIGHT;
    this.window.style.transform = `translateY(${moved}px)`;
    for (let at = 0; at < many; at += 1) this.fill(this.pool[at], rows[first + at], first + at);
    const shown = many && this.active && this.outline.position(this.active);
    const visible = typeof shown === "number" && shown >= first && shown < first + many;
    if (visible) this.grid.setAttribute("aria-activedescendant", `row-${this.active}`);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  blank() {
    return make(
      "div.row",
      { role: "row" },
      make("span.sign", { role: "gridcell" }, make("b", { "aria-hidden": "true" }), make("span.unseen")),
      make("span.name", { role: "gridcell" }, make("span.fold", { "aria-hidden": "true" }), make("span.text")),
      make("span.from", { role: "gridcell" }),
      make("span.size", { role: "gridcell" }),
    );
  }

  /** @param {any} element @param {number} row @param {number} position */
  fill(element, row, position) {
    const { atlas, outline } = this;
    const [sign, name, from, size] = element.children;
    const listed = outline.list !== null;
    const text = listed ? pathOf(atlas, row) : nameOf(atlas, row);
    const directory = isDirectory(atlas, row);
    const label = atlas.providers[row] === NOBODY ? "" : this.labels[atlas.providers[row]];
    element.id = `row-${row}`;
    element.dataset.row = row;
    element.className = `row ${SIGN_NAMES[atlas.signs[row]]}${directory ? " directory" : ""}`;
    element.setAttribute("aria-rowindex", position + 2);
    element.setAttribute("aria-level", listed ? 1 : atlas.depths[row]);
    element.setAttribute("aria-selected", String(row === this.active));
    if (outline.canOpen(row)) element.setAttribute("aria-expanded", String(outline.isOpen(row)));
    else element.removeAttribute("aria-expanded");
    sign.firstChild.textContent = SIGN_GLYPHS[atlas.signs[row]];
    sign.lastChild.textContent = atlas.signs[row] ? SIGN_WORDS[atlas.signs[row]] : "";
    // Of something deep a part of the name is still seen; its path is in the details.
    name.style.paddingInlineStart = `min(${listed ? 0 : 16 * (atlas.depths[row] - 1)}px, 50%)`;
    name.firstChild.className = outline.canOpen(row) ? `fold ${outline.isOpen(row) ? "open" : "shut"}` : "fold";
    name.lastChild.textContent = directory ? `${text}/` : text;
    name.title = text;
    from.textContent = label;
    size.textContent = directory || atlas.signs[row] === SIGNS.whiteout ? "" : shownSize(atlas.sizes[row]);
  }

  /** @param {any} event */
  click(event) {
    const element = event.target.closest(".row");
    if (!element) return;
    const row = Number(element.dataset.row);
    const folds = event.target.closest(".fold.open, .fold.shut") || event.detail === 2;
    this.grid.focus({ preventScroll: true });
    this.choose(row);
    if (folds && this.outline.canOpen(row)) this.fold(row, !this.outline.isOpen(row));
  }

  /** @param {number} row @param {boolean} open */
  fold(row, open) {
    this.outline.fold(row, open);
    this.draw();
  }

  /** Unfolds what is above a row and brings it into the middle. @param {number} row */
  reveal(row) {
    this.outline.reveal(row);
    this.stretch();
    this.scrollTo(this.outline.position(row) - Math.floor(this.fitting / 2));
  }

  /** Makes a row the chosen one and brings it into sight. @param {number} row @param {boolean} middle */
  choose(row, middle = false) {
    this.active = row;
    this.stretch();
    const position = this.outline.position(row);
    const first = this.first;
    if (position < Math.ceil(first) || position > first + this.fitting - 1) {
      const above = position < first && !middle ? 0 : middle ? Math.floor(this.fitting / 2) : this.fitting - 1;
      this.scrollTo(position - above);
    }
    this.draw();
    this.chosen(row);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const { outline, atlas, active } = this;
    const { rows } = outline;
    if (!rows.length || event.altKey || event.ctrlKey || event.metaKey) return;
    const here = outline.position(active);
    /** @param {number} position */
    const go = (position) => this.choose(rows[Math.max(0, Math.min(rows.length - 1, position))]);
    switch (event.key) {
      case "ArrowDown":
        go(here + 1);
        break;
      case "ArrowUp":
        go(here < 0 ? 0 : here - 1);
        break;
      case "PageDown":
        go(here + this.fitting - 1);
        break;
      case "PageUp":
        go(here - this.fitting + 1);
        break;
      case "Home":
        go(0);
        break;
      case "End":
        go(rows.length - 1);
        break;
      case "ArrowRight":
        if (here < 0 || !outline.canOpen(active)) return;
        if (outline.isOpen(active)) go(here + 1);
        else this.fold(active, true);
        break;
      case "ArrowLeft":
        if (here < 0) return;
        if (outline.canOpen(active) && outline.isOpen(active)) this.fold(active, false);
        else if (atlas.parents[active] && !outline.list) this.choose(atlas.parents[active]);
        break;
      case "Enter":
      case " ":
        if (here < 0) go(0);
        else if (outline.canOpen(active)) this.fold(active, !outline.isOpen(active));
        break;
      default:
        return;
    }
    event.preventDefault();
  }
}
