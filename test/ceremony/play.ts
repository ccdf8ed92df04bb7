/** Plays a transcript: lines that begin with a machine's name and `$` are carried out, and what they print is written below them. */
import { PRODUCT, type Stage } from './stage.ts';

type Act = [RegExp, (stage: Stage, ...words: string[]) => Promise<string[] | void>];

const ACTS: Act[] = [
  [/^(\w+)\$ tidegate (.+)$/, (stage, who, line) => stage.tidegate(who ?? '', wordsOf(line ?? ''))],
  [
    /^(\w+)\$ cp (\S+) to (\w+)(?: as (\S+))?$/,
    (stage, from = '', file = '', to = '', as = file) => stage.give(file, from, to, as),
  ],
  [/^service\$ starts$/, (stage) => stage.startService()],
  [/^service\$ restarts$/, (stage) => stage.restartService()],
  [/^(\d+) days pass$/, (stage, days) => Promise.resolve(stage.pass(Number(days)))],
  [/^(\w+) of (\S+) leaves the factory$/, (stage, name, product) => stage.build(name ?? '', product ?? '')],
  [/^(\w+) looks what is new$/, async (stage, name) => [await stage.refresh(name ?? '')]],
  [
    /^(\w+) hears from somebody with (\S+) in epoch (\d+)$/,
    async (stage, name, key, epoch) => [await stage.direct(name ?? '', key ?? '', Number(epoch))],
  ],
  [/^given ann, ben and cat, with a product and a service$/, (stage) => given(stage)],
];

/** @returns the transcript as it would be written now. */
export async function play(stage: Stage, text: string): Promise<string> {
  const written: string[] = [];
  const { hide, reveal } = mask(stage.folder);
  for (const line of text.split('\n')) {
    if (line.startsWith('  ')) continue;
    written.push(line);
    const act = ACTS.find(([pattern]) => pattern.test(line));
    if (act === undefined) {
      if (line.includes('$')) throw new Error(`Nobody knows how to play "${line}".`);
      continue;
    }
    const [pattern, carryOut] = act;
    const [, ...words] = pattern.exec(reveal(line)) ?? [];
    for (const said of (await carryOut(stage, ...words)) ?? []) written.push(`  ${hide(said)}`.trimEnd());
  }
  return written.join('\n');
}

/** What most transcripts begin with; `first-ceremony.txt` shows it step by step. */
async function given(stage: Stage): Promise<void> {
  const lines = `
ann$ tidegate key create ann.key.json
ben$ tidegate key create ben.key.json
cat$ tidegate key create cat.key.json
ann$ tidegate key create ci.key.json --kind p256
ben$ cp ben.pub to ann
cat$ cp cat.pub to ann
ann$ tidegate key service
ann$ tidegate ceremony start first --new acme --service-keys service.pub.json --add-person ann=ann.pub --add-person ben=ben.pub --add-person cat=cat.pub --add-product ${PRODUCT} --engineers ann,ben,cat --builder-key ci.pub
ann$ tidegate ceremony sign first --key ann.key.json
ann$ cp first to ben
ben$ tidegate ceremony sign first --key ben.key.json
ben$ cp first to ann
ben$ cp first to cat
ann$ tidegate ceremony finish first --operators dora,emil
ben$ tidegate ceremony finish first
cat$ tidegate ceremony finish first
service$ starts`;
  const played = await play(stage, lines);
  if (/^ {2}error /m.test(played)) throw new Error(played);
}

function wordsOf(line: string): string[] {
  return [...line.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? '');
}

/** Keys, digests and folders are others each time; the same one has the same name throughout a transcript. */
function mask(folder: string): Record<'hide' | 'reveal', (line: string) => string> {
  const seen = new Map<string, string>();
  const named = (kind: string, text: string): string => {
    const known = [...seen].find(([id]) => id.startsWith(text) || text.startsWith(id))?.[1];
    const name =
      known ??
      `<${kind} ${new Set([...seen.values()].filter((one) => one.startsWith(`<${kind}`))).size + 1}>`;
    seen.set(text, name);
    return name;
  };
  const hide = (line: string) =>
    line
      .replaceAll(`${folder}/`, '')
      .replaceAll(/\b([0-9a-f]{4} ){7}[0-9a-f]{4}\b/g, (word) => named('fingerprint', word))
      .replaceAll(/\b([0-9a-f]{4} ){4}[0-9a-f]{4}\b/g, (word) => named('key', word.replaceAll(' ', '')))
      .replace(/^[A-Za-z0-9+/]{40,}=*$/, '<base64>')
      .replaceAll(/\b[0-9a-f]{64}\b/g, (word) => named('sha256', word))
      .replaceAll(/\b(?=[0-9a-f]*\d)[0-9a-f]{8}\b/g, (word) => named('key', word));
  const reveal = (line: string) =>
    line.replaceAll(/<[a-z0-9]+ \d+>/g, (name) => [...seen].find(([, known]) => known === name)?.[0] ?? name);
  return { hide, reveal };
}
