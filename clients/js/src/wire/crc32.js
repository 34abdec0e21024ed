// CRC-32 of IEEE 802.3, as in zlib (spec/protocol.md, P-1.7), eight bytes a step.

const POLYNOMIAL = 0xedb88320;
const STEP = 8;

/** Table k says what a byte comes to that has k bytes behind it. @type {Int32Array[]} */
const TABLES = [];
for (let k = 0; k < STEP; k++) {
  TABLES.push(new Int32Array(256));
  for (let byte = 0; byte < 256; byte++) {
    let value = byte;
    if (k === 0) for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ POLYNOMIAL : value >>> 1;
    else value = (TABLES[k - 1][byte] >>> 8) ^ TABLES[0][TABLES[k - 1][byte] & 0xff];
    TABLES[k][byte] = value;
  }
}
const [T0, T1, T2, T3, T4, T5, T6, T7] = TABLES;

/**
 * The CRC-32 of the bytes from `start` up to `end`.
 * @param {Uint8Array} bytes @param {number} [start] @param {number} [end] @returns {number} unsigned
 */
export function crc32(bytes, start = 0, end = bytes.length) {
  let crc = -1;
  let at = start;
  for (; at + STEP <= end; at += STEP) {
    crc ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    crc =
      T7[crc & 0xff] ^
      T6[(crc >>> 8) & 0xff] ^
      T5[(crc >>> 16) & 0xff] ^
      T4[crc >>> 24] ^
      T3[bytes[at + 4]] ^
      T2[bytes[at + 5]] ^
      T1[bytes[at + 6]] ^
      T0[bytes[at + 7]];
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ T0[(crc ^ bytes[at]) & 0xff];
  return ~crc >>> 0;
}
