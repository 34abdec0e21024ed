// What the package offers on every platform; node.js and browser.js add how it is connected.

export { BlazeError } from './errors.js';
export { Double, PreciseDate, Uuid, Vector } from './encoding/values.js';
export { EncodingError, decodeRecord, decodeValue, encodeRecord, encodeValue } from './encoding/record.js';
export { parseTyped, stringifyTyped } from './encoding/json.js';
export { Client, VERSION } from './client/client.js';
export { StateEvent } from './client/emitter.js';
