// Which rows are wanted: by a part of the path, kind, sign, layer and size, all rows at once.

/**
 * @typedef {object} Wanted
 * @property {string} text parts of the path, as they are shown; capitals of ASCII are the same as small letters
 * @property {number | null} kind
 * @property {Set<number>} signs empty for any
 * @property {number | null} layer
 * @property {number} atLeast bytes
 */

const FOUND = 1;
const ON_THE_WAY = 2;
const FOLDED = Uint8Array.from({ length: 256 }, (_, byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte));

/** Whether something is asked for at all. @param {Wanted} wanted */
function isNarrow(wanted) {
  const { text, kind, signs, layer, atLeast } = wanted;
  return Boolean(text.trim()) || kind !== null || signs.size > 0 || layer !== null || atLeast > 0;
}

/**
 * For every row whether it is FOUND, or a directory ON_THE_WAY to one that is.
 * @param {Atlas} atlas
 * @param {Wanted} wanted
 * @returns {{marks: Uint8Array, count: number}}
 */
function found(atlas, wanted) {
  const { count, kinds, signs, providers, sizes, parents } = atlas;
  const words = wanted.text.split(" ").filter(Boolean);
  const marks = words.length ? withWords(atlas, words) : new Uint8Array(count).fill(FOUND);
  const bySign = Uint8Array.from({ length: 256 }, (_, sign) => Number(!wanted.signs.size || wanted.signs.has(sign)));
  let many = 0;
  marks[0] = 0;
  for (let row = 1; row < count; row += 1) {
    if (!marks[row]) continue;
    const fits =
      bySign[signs[row]] &&
      (wanted.kind === null || kinds[row] === wanted.kind) &&
      (wanted.layer === null || providers[row] === wanted.layer) &&
      (!wanted.atLeast || (sizes[row] >= wanted.atLeast && kinds[row] !== DIRECTORY));
    marks[row] = fits ? FOUND : 0;
    if (fits) many += 1;
  }
  // A directory comes before what is in it.
  for (let row = count - 1; row > 0; row -= 1) {
    if (marks[row]) marks[parents[row]] |= ON_THE_WAY;
  }
  return { marks, count: many };
}

/**
 * Rows in whose paths each of *words* is, and at least one of them in the name itself.
 * @param {Atlas} atlas
 * @param {string[]} words
 */
function withWords(atlas, words) {
  const each = words.map((word) => {
    const bytes = typedBytes(word).map((byte) => FOLDED[byte]);
    return bytes.includes(SLASH) ? withNames(atlas, bytes) : withName(atlas, bytes);
  });
  if (each.length === 1) return each[0];
  const { count, parents } = atlas;
  const marks = new Uint8Array(count);
  for (const own of each) for (let row = 1; row < count; row += 1) marks[row] |= own[row];
  for (const own of each) {
    // Here, or in a directory on the way.
    for (let row = 1; row < count; row += 1) own[row] |= own[parents[row]];
    for (let row = 1; row < count; row += 1) marks[row] &= own[row];
  }
  return marks;
}

/** Rows whose names hold *word*, which is folded. @param {Atlas} atlas @param {Uint8Array} word */
function withName(atlas, word) {
  const { count, names, offsets } = atlas;
  const marks = new Uint8Array(count);
  const size = word.length;
  const last = word[size - 1];
  for (let row = 1; row < count; row += 1) {
    const end = offsets[row + 1] - 1;
    for (let at = offsets[row] + size - 1; at < end; at += 1) {
      if (FOLDED[names[at]] !== last) continue;
      let same = 1;
      while (same < size && FOLDED[names[at - same]] === word[size - 1 - same]) same += 1;
      if (same < size) continue;
      marks[row] = FOUND;
      break;
    }
  }
  return marks;
}

/**
 * Rows whose paths hold *word*, which is folded and has slashes, up to somewhere in the name; a slash in front is that
 * of the root.
 * @param {Atlas} atlas
 * @param {Uint8Array} word
 */
function withNames(atlas, word) {
  const { count, names, offsets, depths } = atlas;
  const marks = new Uint8Array(count);
  const size = word.length;
  const rooted = word[0] === SLASH;
  // The path of the row, folded, each name between slashes; where in it the names of each depth begin.
  let path = new Uint8Array(4096);
  const begins = new Uint32Array(65536 + 2);
  path[0] = SLASH;
  begins[1] = 1;
  for (let row = 1; row < count; row += 1) {
    const from = begins[depths[row]];
    const length = offsets[row + 1] - offsets[row];
    while (from + length > path.length) {
      const longer = new Uint8Array(2 * path.length);
      longer.set(path);
      path = longer;
    }
    for (let at = 0, source = offsets[row]; at < length; at += 1) path[from + at] = FOLDED[names[source + at]];
    begins[depths[row] + 1] = from + length;
    // What ends in this name, or with the slash before it.
    const end = rooted ? Math.min(size, from + length - 1) : from + length - 1;
    for (let at = Math.max(from - 1, size - 1); at < end && !marks[row]; at += 1) {
      let same = 0;
      while (same < size && path[at - same] === word[size - 1 - same]) same += 1;
      if (same === size) marks[row] = FOUND;
    }
  }
  return marks;
}

/**
 * The largest files of those found, largest first.
 * @param {Atlas} atlas
 * @param {Uint8Array | null} marks
 * @param {number} most
 */
function largest(atlas, marks, most) {
  const { count, sizes, kinds } = atlas;
  /** @param {number} row */
  const counts = (row) => kinds[row] !== DIRECTORY && (!marks || marks[row] & FOUND);
  let all = 0;
  const some = new Float64Array(count);
  for (let row = 1; row < count; row += 1) if (counts(row)) some[all++] = sizes[row];
  const sorted = some.subarray(0, all).sort();
  const limit = all > most ? sorted[all - most] : -1;
  const rows = [];
  for (let row = 1; row < count; row += 1) if (sizes[row] > limit && counts(row)) rows.push(row);
  for (let row = 1; row < count && rows.length < most; row += 1) {
    if (sizes[row] === limit && counts(row)) rows.push(row);
  }
  return Int32Array.from(rows.sort((one, other) => sizes[other] - sizes[one] || one - other));
}
