// Headless Chromium, driven over a pipe by its DevTools protocol: messages are JSON with a zero byte behind.

import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const START_MS = 60000;
const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--remote-debugging-pipe',
];

/** The browser of this machine, or undefined. */
export function chromium() {
  return process.env.CHROMIUM ?? PLACES.find(existsSync);
}

export class Browser {
  constructor() {
    this.profile = mkdtempSync(join(tmpdir(), 'blazedb-js-chromium-'));
    this.child = spawn(chromium(), [...FLAGS, `--user-data-dir=${this.profile}`, 'about:blank'], {
      stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'],
    });
    [, , , this.input, this.output] = this.child.stdio;
    this.gone = new Promise((resolve) => this.child.once('exit', resolve));
    this.calls = new Map();
    this.said = [];
    let text = '';
    this.output.setEncoding('utf8').on('data', (chunk) => {
      const messages = (text + chunk).split('\0');
      text = messages.pop();
      for (const message of messages) this.hear(JSON.parse(message));
    });
    this.input.on('error', () => {});
    this.gone.then(() => {
      for (const { reject } of this.calls.values()) reject(new Error('the browser ended'));
    });
  }

  hear({ id, result, error, method, params }) {
    if (method === 'Runtime.consoleAPICalled')
      this.said.push(params.args.map(({ value, description }) => value ?? description).join(' '));
    if (method === 'Runtime.exceptionThrown')
      this.said.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    const call = this.calls.get(id);
    if (!call) return;
    this.calls.delete(id);
    if (error) call.reject(new Error(error.message));
    else call.resolve(result);
  }

  call(method, params = {}, sessionId = this.session) {
    const id = ++this.lastId;
    return new Promise((resolve, reject) => {
      this.calls.set(id, { resolve, reject });
      this.input.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    });
  }

  lastId = 0;
  session = undefined;

  /** Opens a page; it is there when its own script has set `window.loaded`. @param {string} url */
  async open(url) {
    const { targetId } = await this.call('Target.createTarget', { url: 'about:blank' });
    const { sessionId } = await this.call('Target.attachToTarget', { targetId, flatten: true });
    this.session = sessionId;
    await this.call('Runtime.enable');
    await this.call('Page.enable');
    await this.call('Page.navigate', { url });
    const end = Date.now() + START_MS;
    while (!(await this.run('window.loaded === true'))) {
      if (Date.now() > end) throw new Error(`the page did not load: ${this.said.join('; ')}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** The value of an expression in the page, awaited. @param {string} expression */
  async run(expression) {
    const { result, exceptionDetails } = await this.call('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async close() {
    await Promise.race([this.call('Browser.close', {}, undefined).catch(() => {}), this.gone]);
    const late = setTimeout(() => this.child.kill('SIGKILL'), 5000);
    await this.gone;
    clearTimeout(late);
    rmSync(this.profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
  }
}
