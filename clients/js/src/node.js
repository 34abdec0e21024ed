// The package in Node: TCP, TLS, and WebSocket where the platform has one.

import { platform } from './connect.js';
import { openSocket } from './transport/tcp.js';
import { openWebSocket } from './transport/websocket.js';

export * from './index.js';

export const { open, connect } = platform(({ scheme }) =>
  scheme === 'ws' || scheme === 'wss' ? (address, _options, sink) => openWebSocket(address, sink) : openSocket,
);
