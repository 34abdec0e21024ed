// What is done over every transport, in Node and in a page alike: many writers and a watch, while somebody outside kills the
// server and starts it again. Knows nothing of the platform.

const WRITERS = 16;

export class ScriptedSession {
  /** @param {(url: string) => Promise<any>} connect @param {string} url @param {string} collection @param {number} writes */
  constructor(connect, url, collection, writes) {
    Object.assign(this, { connect, url, collection, writes });
    this.acknowledged = 0;
    this.told = [];
    this.states = [];
  }

  async begin() {
    this.client = await this.connect(this.url);
    this.client.addEventListener('state', ({ state }) => this.states.push(state));
    await this.client.put(this.collection, { n: -1 });
    const watch = this.client.watch(this.collection, { start: 'snapshot' });
    await watch.ready;
    this.listening = (async () => {
      for await (const { record } of watch) {
        this.told.push(record.n);
        if (this.told.length > this.writes) return;
      }
    })();
    let n = 0;
    this.writing = Promise.all(
      Array.from({ length: WRITERS }, async () => {
        while (n < this.writes) {
          await this.client.insert(this.collection, { n: n++, text: 'ä', half: n + 0.5 });
          this.acknowledged++;
        }
      }),
    );
  }

  /** Waits for the writers and the watch, reads everything again, and says what is wrong, or nothing. */
  async finish() {
    await this.writing;
    await this.listening;
    const found = (await this.client.scan(this.collection).toArray()).map(({ n }) => n);
    await this.client.close();
    const wrong = [];
    const expected = Array.from({ length: this.writes + 1 }, (_, i) => i - 1).join();
    const sorted = (list) => [...list].sort((a, b) => a - b).join();
    if (sorted(found) !== expected) wrong.push('the records are not those that were acknowledged, each once');
    if (sorted(this.told) !== expected) wrong.push('the watch has a gap or a repetition');
    if (!this.states.includes('waiting') || this.states.at(-1) !== 'ended') wrong.push(`the states were ${this.states}`);
    return wrong;
  }
}
