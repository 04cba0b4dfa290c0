// The recorded run, replayed: each layer a lane, each object a chip, and a chip travels when it is copied up.

const PAUSE = 1500;
const TRAVEL = 700;
const NOT_THERE = "\u2013";
const ACTION_WORDS = /** @type {Record<string, string>} */ ({
  read: "Read",
  modify: "Modify",
  delete: "Delete",
  create: "Create",
});

class Stage {
  /** @param {Recording} recording */
  constructor(recording) {
    this.recording = recording;
    this.deeds = recording.deeds;
    this.chosen = 0;
    this.step = 0;
    this.timer = 0;
    /** @type {Frame[]} */
    this.frames = [];
    /** @type {Map<number, any>} */
    this.lanes = new Map();
    this.still = matchMedia("(prefers-reduced-motion: reduce)");
    this.actions = make("div.actions", { role: "group", "aria-label": "Action" });
    this.lane = make("div.lanes", { role: "list", "aria-label": "Layers" });
    this.steps = make("ol.steps", { "aria-label": "What happened" });
    this.figures = make("div.measured");
    this.place = make("span.place");
    this.play = make("button.primary", { type: "button", onclick: () => this.toggle() }, "Play");
    this.back = make("button", { type: "button", onclick: () => this.move(-1) }, "Back");
    this.next = make("button", { type: "button", onclick: () => this.move(1) }, "Next");
  }

  start() {
    const player = at("player");
    this.deeds.forEach((deed, number) => {
      const button = make(
        "button.action",
        { type: "button", "aria-pressed": "false", onclick: () => this.choose(number, true) },
        make("kbd", { "aria-hidden": "true" }, String(number + 1)),
        make("strong", {}, ACTION_WORDS[deed.action] ?? deed.action),
        make("span.target", { title: deed.path }, deed.path.split("/").pop()),
        make("span.outcome", {}, deed.outcome),
      );
      this.actions.append(button);
    });
    const restart = make("button", { type: "button", onclick: () => this.go(0) }, "Restart");
    const keys = make("span.keys", {}, "Keys: 1 to 4 choose, left and right step, P plays");
    player.append(
      this.actions,
      this.lane,
      make("div.controls", {}, this.play, this.back, this.next, restart, this.place, keys),
      make("div.below", {}, this.steps, this.figures),
    );
    player.addEventListener("keydown", (/** @type {KeyboardEvent} */ event) => this.key(event));
    this.choose(0, false);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const number = Number(event.key) - 1;
    if (this.deeds[number]) {
      this.actions.children[number].focus();
      this.choose(number, true);
    } else if (event.key === "ArrowRight") this.move(1);
    else if (event.key === "ArrowLeft") this.move(-1);
    else if (event.key === "p" || event.key === "P") this.toggle();
    else return;
    event.preventDefault();
  }

  /** @param {number} number @param {boolean} playing */
  choose(number, playing) {
    this.chosen = number;
    [...this.actions.children].forEach((each, index) => each.setAttribute("aria-pressed", String(index === number)));
    this.frames = framesOf(this.deeds[number], this.recording.layers.length);
    this.layOut();
    this.steps.replaceChildren(
      ...this.frames.map((frame, index) =>
        make("li", {}, make("button", { type: "button", onclick: () => this.go(index) }, frame.text)),
      ),
    );
    this.figures.replaceChildren(...measured(this.deeds[number], this.recording));
    this.pause();
    this.show(0, playing);
    if (playing) this.toggle();
  }

  layOut() {
    const numbers = concerned(this.frames);
    const others = this.recording.layers.length - numbers.length;
    this.lanes.clear();
    this.lane.replaceChildren();
    const add = (/** @type {number} */ number, /** @type {string} */ label, /** @type {string} */ where) => {
      const chips = make("ul.chips-in");
      const title = make("p.label", {}, this.swatch(number), make("strong", {}, label));
      const lane = make("div.lane", { role: "listitem" }, title, make("p.where", { title: where }, where), chips);
      this.lanes.set(number, { lane, chips });
      this.lane.append(lane);
    };
    add(MERGED, "merged", "what programs see");
    for (const number of numbers)
      add(number, this.recording.layers[number].label, this.recording.layers[number].directory);
    if (others > 0) {
      const text = `${shownCount(others, "more layer")}: nothing at this path`;
      this.lane.append(make("div.lane.others", { role: "listitem" }, make("p.label", {}, text)));
    }
    this.lane.style.setProperty("--lanes", String(this.lane.children.length));
  }

  /** The colour of a layer, as the stack has it; there is no scratch upper in that. @param {number} number */
  swatch(number) {
    if (number) return swatch(number < 0 ? MERGED : number - 1);
    return make("span.swatch.scratch", { "aria-hidden": "true" });
  }

  /** @param {number} index */
  go(index) {
    this.pause();
    this.show(index, true);
  }

  /** @param {number} by */
  move(by) {
    this.pause();
    const index = this.step + by;
    if (index >= 0 && index < this.frames.length) this.show(index, by > 0);
  }

  toggle() {
    if (this.timer) {
      this.pause();
      return;
    }
    if (this.step === this.frames.length - 1) this.show(0, false);
    this.timer = window.setInterval(() => {
      if (this.step < this.frames.length - 1) this.show(this.step + 1, true);
      if (this.step === this.frames.length - 1) this.pause();
    }, PAUSE);
    this.play.textContent = "Pause";
  }

  pause() {
    clearInterval(this.timer);
    this.timer = 0;
    this.play.textContent = "Play";
  }

  /** @param {number} index @param {boolean} aloud whether it moves and is said */
  show(index, aloud) {
    this.step = index;
    const frame = this.frames[index];
    const from = aloud && frame.motion ? this.placeOf(frame.motion.from, frame.motion.path) : null;
    this.paint(frame);
    [...this.steps.children].forEach((item, at) => {
      item.className = at < index ? "done" : "";
      if (at === index) item.setAttribute("aria-current", "step");
      else item.removeAttribute("aria-current");
    });
    this.place.textContent = `Step ${index + 1} of ${this.frames.length}`;
    this.back.setAttribute("aria-disabled", String(index === 0));
    this.next.setAttribute("aria-disabled", String(index === this.frames.length - 1));
    if (aloud) say(`${this.place.textContent}. ${frame.text}`);
    if (aloud && frame.motion && !this.still.matches) this.travel(frame.motion, from);
  }

  /** @param {Frame} frame */
  paint(frame) {
    const merged = mergedOf(frame.state);
    for (const [number, { lane, chips }] of this.lanes) {
      const all = number === MERGED ? [...merged.values()] : [...frame.state[number].values()];
      chips.replaceChildren(...all.map((chip) => this.chip(chip, number)));
      if (!all.length) chips.append(make("li.none", {}, "nothing here"));
      const lit = frame.light && frame.light.layer === number;
      lane.classList.toggle("lit", Boolean(lit));
      for (const item of chips.children) {
        item.classList.toggle("lit", Boolean(lit && item.dataset.path === frame.light?.path));
      }
    }
  }

  /** @param {any} chip @param {number} lane */
  chip(chip, lane) {
    const name = chip.path.split("/").pop() || "/";
    const notes = [];
    if (chip.whiteout) notes.push("whiteout");
    if (chip.partial) notes.push("without data");
    if (chip.note) notes.push(chip.note);
    if (lane === MERGED) notes.push(`from ${this.recording.layers[chip.layer].label}`);
    return make(
      `li.object${chip.whiteout ? ".gone" : ""}${chip.note ? ".touched" : ""}`,
      { "data-path": chip.path, title: chip.path },
      make(`b${chip.whiteout ? "" : `.icon.${chip.kind}`}`, { "aria-hidden": "true" }, chip.whiteout ? "o" : ""),
      make("span.called", {}, chip.kind === "directory" ? `${name}/` : name),
      notes.length ? make("span.note", {}, notes.join(", ")) : null,
    );
  }

  /** @param {number | null} lane @param {string} path @returns {DOMRect | null} */
  placeOf(lane, path) {
    if (lane === null) return null;
    const found = this.lanes.get(lane);
    if (!found) return null;
    const chip = [...found.chips.children].find((/** @type {any} */ each) => each.dataset.path === path);
    return (chip ?? found.chips).getBoundingClientRect();
  }

  /** @param {NonNullable<Frame["motion"]>} motion @param {DOMRect | null} from */
  travel(motion, from) {
    const lane = this.lanes.get(motion.to);
    const chip = [...lane.chips.children].find((/** @type {any} */ each) => each.dataset.path === motion.path);
    if (!chip) return;
    if (!from) {
      chip.animate(
        [
          { transform: "scale(0.6)", opacity: 0 },
          { transform: "none", opacity: 1 },
        ],
        { duration: TRAVEL / 2 },
      );
      return;
    }
    const to = chip.getBoundingClientRect();
    const away = `translate(${from.left - to.left}px, ${from.top - to.top}px)`;
    const easing = "cubic-bezier(0.3, 0, 0.2, 1)";
    if (motion.stays) {
      chip.animate([{ transform: away }, { transform: "none" }], { duration: TRAVEL, easing });
      return;
    }
    // Nothing is copied: a shadow of it goes up to whoever reads, and fades.
    const ghost = chip.cloneNode(true);
    ghost.classList.add("ghost");
    ghost.setAttribute("aria-hidden", "true");
    chip.append(ghost);
    ghost
      .animate(
        [
          { transform: away, opacity: 0.9 },
          { transform: "none", opacity: 0 },
        ],
        { duration: TRAVEL, easing },
      )
      .finished.finally(() => ghost.remove());
  }
}

/**
 * The figures of a deed: what was called, and what was there before and after.
 * @param {Deed} deed
 * @param {Recording} recording
 */
function measured(deed, recording) {
  const calls = deed.calls.map((call) =>
    make("tr", {}, make("td", {}, make("code", {}, call.text)), make("td.number", {}, call.time)),
  );
  const total = make("tr.total", {}, make("td", {}, "together"), make("td.number", {}, deed.time));
  const tables = deed.before.map((before, number) => beforeAndAfter(before, deed.after[number], recording));
  return [
    make("h3", {}, "Measured, once"),
    make(
      "table.plain.calls",
      {},
      make(
        "thead",
        {},
        make("tr", {}, make("th", { scope: "col" }, "System call"), make("th.number", { scope: "col" }, "Took")),
      ),
      make("tbody", {}, ...calls, deed.calls.length > 1 ? total : null),
    ),
    ...tables,
    ...deed.remarks.map((text) => make("p.muted", {}, text)),
    command(deed.command),
  ];
}

/** @param {Moment} before @param {Moment} after @param {Recording} recording */
function beforeAndAfter(before, after, recording) {
  /** @param {string} name @param {(moment: any) => string} value */
  const line = (name, value) => {
    const [one, other] = [value(before), value(after)];
    const differs = one !== other && one !== NOT_THERE && other !== NOT_THERE;
    const head = make("th", { scope: "row" }, name);
    return make("tr", {}, head, make("td", {}, one), make(`td${differs ? ".differs" : ""}`, {}, other));
  };
  /** @param {"ino" | "device" | "mode" | "links" | "time"} member @returns {(moment: Moment) => string} */
  const seen = (member) => (moment) => (moment.merged ? String(moment.merged[member]) : NOT_THERE);
  /** @param {Moment} moment */
  const where = (moment) =>
    moment.layers
      .flatMap(({ layer, path, sight, marks }) => {
        const marked = marks.length ? ` (${marks.join(", ")})` : "";
        const elsewhere = path ? `, at ${path}` : "";
        return sight ? `${recording.layers[layer].label}: inode ${sight.ino}${elsewhere}${marked}` : [];
      })
      .join("\n") || "nowhere";
  return make(
    "table.plain.moments",
    {},
    make("caption", {}, before.path),
    make(
      "thead",
      {},
      make("tr", {}, make("td"), make("th", { scope: "col" }, "Before"), make("th", { scope: "col" }, "After")),
    ),
    make(
      "tbody",
      {},
      line("Merged", (moment) => (moment.merged ? "there" : "not there")),
      line("Inode number", seen("ino")),
      line("Device", seen("device")),
      line("Size", (moment) => (moment.merged ? shownSize(moment.merged.size) : NOT_THERE)),
      line("Mode", seen("mode")),
      line("Links", seen("links")),
      line("Modified", seen("time")),
      line("In layers", where),
    ),
  );
}
