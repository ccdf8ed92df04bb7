import { expect, test } from 'vitest';
import { GroupCommit, type Outcome } from './group-commit.ts';

const limits = { batch: 4, queue: 10 };

/** Commits whatever contains no request called `bad`, and remembers the batches that it was given. */
function committer() {
  const batches: string[][] = [];
  const commit = (batch: string[]): Promise<Outcome<string>[]> => {
    batches.push(batch);
    if (batch.includes('bad')) return Promise.reject(new Error('the transaction broke'));
    return Promise.resolve(batch.map((request) => ({ ok: true, value: `${request}!` })));
  };
  return { batches, commit };
}

test('requests that arrive together share a transaction, up to the limit', async () => {
  const { batches, commit } = committer();
  const group = new GroupCommit(commit, limits);
  const answers = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((request) => group.submit(request)));
  expect(answers).toEqual(['a!', 'b!', 'c!', 'd!', 'e!'].map((value) => ({ ok: true, value })));
  expect(batches).toEqual([['a', 'b', 'c', 'd'], ['e']]);
});

test('one that breaks the transaction breaks only its own', async () => {
  const { batches, commit } = committer();
  const group = new GroupCommit(commit, limits);
  const answers = await Promise.all(['a', 'bad', 'c'].map((request) => group.submit(request)));
  expect(answers.map((answer) => answer.ok)).toEqual([true, false, true]);
  expect(batches).toEqual([['a', 'bad', 'c'], ['a'], ['bad'], ['c']]);
});

test('what does not fit into the queue is turned away at once, and the next is taken again', async () => {
  const { commit } = committer();
  const group = new GroupCommit(commit, limits);
  const taken = Array.from({ length: 12 }, (_, i) => group.submit(String(i)));
  const turnedAway = (await Promise.all(taken)).filter(({ ok }) => !ok);
  expect(turnedAway).toMatchObject([{ error: { code: 'UNAVAILABLE' } }, { error: { code: 'UNAVAILABLE' } }]);
  expect(await group.submit('later')).toEqual({ ok: true, value: 'later!' });
});
