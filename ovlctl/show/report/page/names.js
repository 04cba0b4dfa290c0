// Names as text, the way ovlctl.show.names writes them. A name is bytes; nothing of it is ever markup.

// What nobody sees where it stands: control, format and unassigned characters, separators, and what Unicode calls
// default ignorable beyond those.
const HIDDEN_CHARACTERS =
  /[\p{C}\p{Z}\u034f\u115f\u1160\u3164\uffa0\u17b4\u17b5\u2800\u180b-\u180f\ufe00-\ufe0f\u{e0100}-\u{e01ef}]/u;
const HARMLESS = /^[A-Za-z0-9_@%+=:,./-]+$/;
const BACKSLASH = 0x5c;
const SLASH = 0x2f;

/**
 * The length of the UTF-8 sequence that begins at *at*; 0 when there is none. Shortest forms only, no surrogates.
 * @param {Uint8Array} bytes
 * @param {number} at
 * @param {number} end
 */
function sequenceLength(bytes, at, end) {
  const lead = bytes[at];
  if (lead < 0x80) return 1;
  const length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  if (lead < 0xc2 || lead > 0xf4 || at + length > end) return 0;
  const least = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  const most = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  if (bytes[at + 1] < least || bytes[at + 1] > most) return 0;
  for (let next = at + 2; next < at + length; next += 1) {
    if (bytes[next] < 0x80 || bytes[next] > 0xbf) return 0;
  }
  return length;
}

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true });
const ascii = new TextDecoder("latin1");

/** @param {Uint8Array} bytes @param {number} at @param {number} end */
function escapedBytes(bytes, at, end) {
  let text = "";
  for (let each = at; each < end; each += 1) text += `\\x${bytes[each].toString(16).padStart(2, "0")}`;
  return text;
}

/**
 * One printable line; distinct names give distinct lines.
 * @param {Uint8Array} bytes
 * @param {number} start
 * @param {number} end
 * @param {boolean} doubled whether a backslash of the name becomes two
 */
function shownBytes(bytes, start = 0, end = bytes.length, doubled = true) {
  let plain = true;
  for (let at = start; at < end && plain; at += 1) {
    plain = bytes[at] >= 0x20 && bytes[at] < 0x7f && !(doubled && bytes[at] === BACKSLASH);
  }
  if (plain) return ascii.decode(bytes.subarray(start, end));
  let text = "";
  for (let at = start; at < end;) {
    const length = sequenceLength(bytes, at, end);
    const next = at + (length || 1);
    const character = length ? utf8.decode(bytes.subarray(at, next)) : "";
    if (bytes[at] === BACKSLASH) text += doubled ? "\\\\" : "\\";
    else if (!length || (character !== " " && HIDDEN_CHARACTERS.test(character))) text += escapedBytes(bytes, at, next);
    else text += character;
    at = next;
  }
  return text;
}

/**
 * One word of a shell command, as show_argument() writes it.
 * @param {Uint8Array} bytes
 */
function shownArgument(bytes) {
  if (hasEscapes(bytes)) return `$'${shownBytes(bytes).replaceAll("'", "\\'")}'`;
  const text = shownBytes(bytes, 0, bytes.length, false);
  return HARMLESS.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

/** Whether some of *bytes* cannot be shown as they are. @param {Uint8Array} bytes */
function hasEscapes(bytes) {
  for (let at = 0; at < bytes.length;) {
    const length = sequenceLength(bytes, at, bytes.length);
    if (!length) return true;
    const character = utf8.decode(bytes.subarray(at, at + length));
    if (character !== " " && HIDDEN_CHARACTERS.test(character)) return true;
    at += length;
  }
  return false;
}

/**
 * The bytes that somebody means who types a name the way it is shown: \\ is a backslash, \xHH a byte.
 * @param {string} text
 */
function typedBytes(text) {
  const bytes = [];
  for (const [part] of text.matchAll(/\\\\|\\x[0-9a-fA-F]{2}|[^\\]+|\\/g)) {
    if (part === "\\\\") bytes.push(BACKSLASH);
    else if (part.startsWith("\\x")) bytes.push(parseInt(part.slice(2), 16));
    else bytes.push(...new TextEncoder().encode(part));
  }
  return Uint8Array.from(bytes);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

/**
 * Bytes with at least three significant digits, as format_size() writes them.
 * @param {number} size
 * @returns {string}
 */
function shownSize(size) {
  if (size < 0) return `-${shownSize(-size)}`;
  let power = size < 1 ? 0 : Math.floor(Math.log2(size) / 10);
  if (size >= 1024 ** (power + 1) - 1024 ** power / 2) power += 1;
  const value = size / 1024 ** power;
  if (Number.isInteger(value)) return `${value} ${UNITS[power]}`;
  return `${value.toFixed(value < 9.995 ? 2 : value < 99.95 ? 1 : 0)} ${UNITS[power]}`;
}

const counted = new Intl.NumberFormat("en");

/**
 * A number with its thousands apart, and what is counted.
 * @param {number} count
 * @param {string} one
 * @param {string} many
 */
function shownCount(count, one, many = `${one}s`) {
  return `${counted.format(count)} ${count === 1 ? one : many}`;
}
