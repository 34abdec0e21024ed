// The package in browsers, and wherever else there is a WebSocket and no Node.

import { platform } from './connect.js';
import { inputError } from './wire/operation.js';
import { openWebSocket } from './transport/websocket.js';

export * from './index.js';

export const { open, connect } = platform(({ scheme }) => {
  if (scheme !== 'ws' && scheme !== 'wss')
    throw inputError(`${scheme}:// needs Node: a browser connects by ws://host:port/blaze?db=NAME.`);
  return (address, _options, sink) => openWebSocket(address, sink);
});
