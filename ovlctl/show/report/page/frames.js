// A recorded deed as frames: what is in each layer before, after each step, and at the end.

/**
 * Something in a layer.
 * @typedef {object} Chip
 * @property {string} path
 * @property {string} kind
 * @property {boolean} whiteout
 * @property {boolean} partial without its data
 * @property {boolean} way a directory on the way, which came along
 * @property {string} note
 *
 * @typedef {Map<string, Chip>[]} State by layer, 0 = the scratch upper; chips by path
 *
 * @typedef {object} Frame
 * @property {string} kind of the step; "before" and "after"
 * @property {string} text
 * @property {State} state
 * @property {{from: number | null, to: number, path: string, stays: boolean} | null} motion a chip that travels;
 *     layer -1 is the merged view
 * @property {{layer: number, path: string | null} | null} light what is looked at
 */

const MERGED = -1;
const MOST_LANES = 4;

/** @param {Deed} deed @param {number} layers @returns {Frame[]} */
function framesOf(deed, layers) {
  let state = stateOf(deed.before, layers);
  /** @type {Frame[]} */
  const made = [{ kind: "before", text: `Before: ${deed.action} ${deed.path}`, state, motion: null, light: null }];
  for (const step of deed.steps) {
    const next = applied(state, step);
    made.push({ kind: step.kind, text: step.text, state: next, motion: motionOf(step), light: lightOf(step) });
    state = next;
  }
  const text = `Afterwards: ${deed.outcome}, in ${deed.time}`;
  made.push({ kind: "after", text, state: settled(deed, state, layers), motion: null, light: null });
  return made;
}

/**
 * What was read back, and directories that came along.
 * @param {Deed} deed
 * @param {State} state
 * @param {number} layers
 */
function settled(deed, state, layers) {
  const last = stateOf(deed.after, layers);
  return state.map((layer, number) => new Map([...[...layer].filter(([, chip]) => chip.way), ...last[number]]));
}

/** @param {Moment[]} moments @param {number} layers @returns {State} */
function stateOf(moments, layers) {
  const state = emptyState(layers);
  for (const moment of moments) {
    for (const { layer, sight, marks } of moment.layers) {
      if (!sight) continue;
      state[layer].set(moment.path, {
        path: moment.path,
        kind: sight.kind,
        whiteout: marks.includes("whiteout"),
        partial: marks.includes("metacopy"),
        way: false,
        note: "",
      });
    }
  }
  return state;
}

/** @param {number} layers @returns {State} */
function emptyState(layers) {
  return Array.from({ length: layers }, () => new Map());
}

/** The state after a step. @param {State} state @param {Step} step @returns {State} */
function applied(state, step) {
  const next = state.map((each) => new Map(each));
  const here = next[step.layer ?? 0];
  /** @param {Partial<Chip>} more */
  const put = (more) => here.set(step.path, { ...blankChip(step.path), ...here.get(step.path), ...more });
  switch (step.kind) {
    case "parent":
      put({ kind: "directory", way: true });
      break;
    case "copied":
    case "metadata":
      put({ kind: kindBelow(state, step), whiteout: false, partial: step.kind === "metadata" });
      break;
    case "created":
    case "moved":
    case "linked":
      put({ whiteout: false });
      break;
    case "written":
      put({ note: "changed" });
      break;
    case "whiteout":
      put({ whiteout: true });
      break;
    case "removed":
      here.delete(step.path);
      break;
  }
  return next;
}

/** @param {string} path @returns {Chip} */
function blankChip(path) {
  return { path, kind: "file", whiteout: false, partial: false, way: false, note: "" };
}

/** @param {State} state @param {Step} step */
function kindBelow(state, step) {
  const source = step.source === null ? undefined : state[step.source].get(step.path);
  return source ? source.kind : "file";
}

/** @param {Step} step @returns {Frame["motion"]} */
function motionOf(step) {
  const { kind, path, layer, source } = step;
  const to = layer ?? 0;
  if (kind === "read") return { from: to, to: MERGED, path, stays: false };
  if (["copied", "metadata", "parent"].includes(kind)) return { from: source, to, path, stays: true };
  if (["created", "whiteout", "linked", "moved"].includes(kind)) return { from: null, to, path, stays: true };
  return null;
}

/** @param {Step} step @returns {Frame["light"]} */
function lightOf(step) {
  if (step.kind === "looked") return { layer: step.layer ?? 0, path: null };
  if (["found", "read", "written"].includes(step.kind)) return { layer: step.layer ?? 0, path: step.path };
  return null;
}

/**
 * What the merged view shows of a state: the topmost of each path, unless that is a whiteout.
 * @param {State} state
 * @returns {Map<string, Chip & {layer: number}>}
 */
function mergedOf(state) {
  const seen = new Map();
  const gone = new Set();
  state.forEach((layer, number) => {
    for (const [path, chip] of layer) {
      if (chip.way || seen.has(path) || gone.has(path)) continue;
      if (chip.whiteout) gone.add(path);
      else seen.set(path, { ...chip, layer: number });
    }
  });
  return seen;
}

/** The layers that have something at the paths of a deed; all, when they are few. @param {Frame[]} all */
function concerned(all) {
  const numbers = new Set([0]);
  const few = all[0].state.length <= MOST_LANES;
  for (const { state, motion } of all) {
    state.forEach((layer, number) => (few || layer.size) && numbers.add(number));
    if (motion && motion.from !== null && motion.from >= 0) numbers.add(motion.from);
  }
  return [...numbers].sort((one, other) => one - other);
}
