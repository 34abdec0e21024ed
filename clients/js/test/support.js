// What the tests share: where the repository's vectors lie, and a real server that can be killed and started again.

import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
const START_MS = 30000;

/** The binary: BLAZEDB_BIN, or what cargo built last. */
export function binary() {
  const found = process.env.BLAZEDB_BIN ?? join(ROOT, 'target/debug/blazedb');
  if (!existsSync(found)) throw new Error(`no server at ${found}: run cargo build, or set BLAZEDB_BIN`);
  return found;
}

export function repositoryText(path) {
  return readFileSync(join(ROOT, path), 'utf8');
}

export function repositoryHas(path) {
  return existsSync(join(ROOT, path));
}

/** Whether the server has doors beside TCP: TLS, Unix sockets, WebSocket. */
export function hasDoors() {
  return /--allow-origin/.test(spawnSync(binary(), ['serve', '--help'], { encoding: 'utf8' }).stdout);
}

/** The hex of a vector, with its repetitions written out. */
export function expandHex(hex) {
  return hex.replace(/\(([0-9a-f]+)\*([0-9]+)\)/g, (_, digits, times) => digits.repeat(Number(times)));
}

/** A server over a directory of its own. */
export class Server {
  constructor() {
    this.directory = mkdtempSync(join(tmpdir(), 'blazedb-js-'));
    this.port = 0;
    this.child = null;
  }

  async start() {
    const more = hasDoors() ? ['--listen', `unix:${this.socket}`] : [];
    const listen = ['--listen', `127.0.0.1:${this.port}`, ...more];
    this.child = spawn(binary(), ['serve', ...listen, '--data-dir', join(this.directory, 'data')], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let said = '';
    await new Promise((resolve, reject) => {
      const late = setTimeout(() => reject(new Error(`the server did not start: ${said}`)), START_MS);
      const hear = (bytes) => {
        said += bytes;
        const found = /listening on \S*:(\d+)/.exec(said);
        const pin = /pin=(sha256:[0-9a-f]{64})/.exec(said);
        if (!found || !/^ +stop/m.test(said)) return;
        this.port = Number(found[1]);
        this.pin = pin?.[1];
        clearTimeout(late);
        resolve();
      };
      this.child.stdout.on('data', hear);
      this.child.stderr.on('data', (bytes) => (said += bytes));
      this.child.once('exit', (code) => {
        clearTimeout(late);
        reject(new Error(`the server ended with ${code}: ${said}`));
      });
    });
    return this;
  }

  get url() {
    return `blaze://127.0.0.1:${this.port}/main`;
  }

  get socket() {
    return join(this.directory, 's.sock');
  }

  get tlsUrl() {
    return `blazes://127.0.0.1:${this.port}/main?pin=${this.pin}`;
  }

  get unixUrl() {
    return `unix:${this.socket}?db=main`;
  }

  get webUrl() {
    return `ws://127.0.0.1:${this.port}/blaze?db=main`;
  }

  async kill(signal = 'SIGKILL') {
    const { child } = this;
    this.child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    child.kill(signal);
    await gone;
  }

  async remove() {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Waits until something holds. */
export async function until(what, holds, ms = 20000) {
  const end = Date.now() + ms;
  while (!holds()) {
    if (Date.now() > end) throw new Error(`waited in vain: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
