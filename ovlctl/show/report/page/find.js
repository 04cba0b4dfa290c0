// Which rows are wanted: by a part of the path, kind, sign, layer and size, all rows at once.

/**
 * @typedef {object} Wanted
 * @property {string} text part of the path, as it is shown; capitals of ASCII are the same as small letters
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
  return Boolean(text) || kind !== null || signs.size > 0 || layer !== null || atLeast > 0;
}

/**
 * For every row whether it is FOUND, or a directory ON_THE_WAY to one that is.
 * @param {Atlas} atlas
 * @param {Wanted} wanted
 * @returns {{marks: Uint8Array, count: number}}
 */
function found(atlas, wanted) {
  const { count, kinds, signs, providers, sizes, parents } = atlas;
  const marks = wanted.text ? withText(atlas, typedBytes(wanted.text)) : new Uint8Array(count).fill(FOUND);
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
 * Rows whose path holds *needle*: what is in a directory whose path holds it does, too.
 * @param {Atlas} atlas
 * @param {Uint8Array} needle
 */
function withText(atlas, needle) {
  const { count, names, offsets, parents, depths } = atlas;
  const wanted = needle.map((byte) => FOLDED[byte]);
  const marks = new Uint8Array(count);
  const size = wanted.length;
  const last = wanted[size - 1];
  // The path of the row, folded, each name between slashes; where in it the names of each depth begin.
  let path = new Uint8Array(4096);
  const begins = new Uint32Array(65536 + 2);
  path[0] = SLASH;
  begins[1] = 1;
  for (let row = 1; row < count; row += 1) {
    const depth = depths[row];
    const from = begins[depth];
    const length = offsets[row + 1] - offsets[row];
    while (from + length > path.length) {
      const longer = new Uint8Array(2 * path.length);
      longer.set(path);
      path = longer;
    }
    for (let at = 0, source = offsets[row]; at < length; at += 1) path[from + at] = FOLDED[names[source + at]];
    begins[depth + 1] = from + length;
    if (marks[parents[row]]) {
      marks[row] = FOUND;
      continue;
    }
    // What ends in this name, or with the slash before it.
    const end = from + length - 1;
    for (let at = Math.max(from - 1, size - 1); at < end; at += 1) {
      if (path[at] !== last) continue;
      let same = 1;
      while (same < size && path[at - same] === wanted[size - 1 - same]) same += 1;
      if (same === size) {
        marks[row] = FOUND;
        break;
      }
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
