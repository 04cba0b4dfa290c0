// Which rows are on screen: the tree as it is folded, or a list.

class Outline {
  /** @param {Atlas} atlas */
  constructor(atlas) {
    this.atlas = atlas;
    /** @type {Uint8Array} */
    this.open = new Uint8Array(atlas.count);
    this.open[0] = 1;
    /** @type {Uint8Array | null} */
    this.marks = null;
    /** Directories that were folded while only what was found is shown. @type {Set<number>} */
    this.shut = new Set();
    /** Rows to be shown as a list instead. @type {Int32Array | null} */
    this.list = null;
    this.space = new Int32Array(atlas.count);
    /** The rows in the order of the screen. @type {Int32Array} */
    this.rows = this.space.subarray(0, 0);
    this.refresh();
  }

  /** Whether what is in a directory is shown. @param {number} row */
  isOpen(row) {
    if (this.list) return false;
    return this.marks ? !this.shut.has(row) : this.open[row] === 1;
  }

  /** Whether there is something to unfold. @param {number} row */
  canOpen(row) {
    if (this.list || this.atlas.ends[row] === row + 1) return false;
    return !this.marks || (this.marks[row] & ON_THE_WAY) !== 0;
  }

  refresh() {
    if (this.list) {
      this.rows = this.list;
      return;
    }
    const { atlas, marks, space } = this;
    let many = 0;
    for (let row = 1; row < atlas.count;) {
      if (marks && !marks[row]) {
        row = atlas.ends[row];
        continue;
      }
      space[many++] = row;
      row = this.isOpen(row) ? row + 1 : atlas.ends[row];
    }
    this.rows = space.subarray(0, many);
  }

  /** @param {number} row @param {boolean} open */
  fold(row, open) {
    if (this.marks) {
      if (open) this.shut.delete(row);
      else this.shut.add(row);
    } else {
      this.open[row] = Number(open);
    }
    this.refresh();
  }

  /** @param {boolean} open */
  foldAll(open) {
    this.open.fill(Number(open));
    this.open[0] = 1;
    this.shut.clear();
    if (this.marks && !open) {
      for (let row = 1; row < this.atlas.count; row += 1) if (isDirectory(this.atlas, row)) this.shut.add(row);
    }
    this.refresh();
  }

  /** Shows only what is marked; null for all. @param {Uint8Array | null} marks @param {Int32Array | null} list */
  narrow(marks, list = null) {
    this.marks = marks;
    this.list = list;
    this.shut.clear();
    this.refresh();
  }

  /** Unfolds everything on the way to a row. @param {number} row */
  reveal(row) {
    for (let at = this.atlas.parents[row]; at; at = this.atlas.parents[at]) {
      this.open[at] = 1;
      this.shut.delete(at);
    }
    this.refresh();
  }

  /** Where a row is on the screen; -1 when it is not. @param {number} row */
  position(row) {
    if (this.list) return this.list.indexOf(row);
    let low = 0;
    let high = this.rows.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle] < row) low = middle + 1;
      else high = middle;
    }
    return this.rows[low] === row ? low : -1;
  }
}
