/** Directives: whose they are, how old, and what a live confirmation stops. Design §3, "Directive" */
import type { CheckInAnswer, Directive, Envelope, RefusalCode } from '@tidegate/client-sdk/protocol';
import { testKey } from '../../client-sdk/trust/testing/keys.ts';
import type { Attack } from './attack.ts';
import type { Scene } from './scene.ts';

const HOUR = 60 * 60 * 1000;

/** The charger is wanted to update, and what the director signs is changed before it is signed. */
function signedWith(
  name: string,
  code: RefusalCode,
  edit: (directive: Directive) => void,
  compromised = 'director key',
): Attack {
  return {
    name,
    compromised,
    expected: { charger: 'stays', code },
    async play(scene, attacked) {
      await scene.pass();
      scene.want(await scene.publish());
      if (attacked) scene.service.tamper.directive = edit;
    },
  };
}

/** The image is staged and waits for the end of a session. */
async function staged(scene: Scene): Promise<void> {
  scene.want(await scene.publish());
  scene.charging = true;
  await scene.settle(3);
  scene.charging = false;
}

const inHours = (text: string, hours: number): string =>
  new Date(Date.parse(text) + hours * HOUR).toISOString().replace('.000Z', 'Z');

export const DIRECTIVES: Attack[] = [
  {
    name: 'replayed: the answer to an earlier check-in',
    compromised: 'the line',
    expected: { charger: 'stays', code: 'DIRECTIVE_NONCE' },
    async play(scene, attacked) {
      let kept: Envelope | undefined;
      scene.service.tamper.answer = (answer: CheckInAnswer) => {
        if (kept === undefined) kept = structuredClone(answer.directive);
        else if (attacked) answer.directive = kept;
      };
      const target = await scene.publish();
      scene.want(target);
      scene.charging = true;
      await scene.pass();
      scene.charging = false;
    },
  },
  signedWith(
    'for another charger',
    'DIRECTIVE_NOT_MINE',
    (directive) => (directive.serial = 'C-0002'),
    'the line',
  ),
  signedWith(
    'for the same serial number of another organisation',
    'DIRECTIVE_NOT_MINE',
    (directive) => (directive.organisation = 'volta'),
  ),
  signedWith('for another request', 'DIRECTIVE_NONCE', (directive) => (directive.nonce = 'A'.repeat(22))),
  signedWith(
    'expired when it was signed',
    'DIRECTIVE_EXPIRED',
    (directive) => (directive.expires = directive.issuedAt),
  ),
  {
    name: 'expired before the first byte came: the image is held back for hours',
    compromised: 'the line',
    expected: { charger: 'stays', code: 'DOWNLOAD_FAILED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (!attacked) return;
      scene.line.intruder = (request, response) => {
        if (request.url?.endsWith('.raucb') !== true) return false;
        response.writeHead(503).end();
        return true;
      };
      await scene.settle(2);
      scene.tick(2 * HOUR);
      scene.line.intruder = undefined;
    },
  },
  signedWith(
    'alive for longer than a day',
    'DIRECTIVE_EXPIRED',
    (directive) => (directive.expires = inHours(directive.issuedAt, 25)),
  ),
  signedWith('of an older epoch', 'DIRECTIVE_SEQUENCE', (directive) => (directive.epoch = 1)),
  signedWith('of an epoch to come', 'DIRECTIVE_SEQUENCE', (directive) => (directive.epoch = 3)),
  {
    name: 'of a number that was used',
    compromised: 'the director, restored from a backup',
    expected: { charger: 'stays', code: 'DIRECTIVE_SEQUENCE' },
    async play(scene, attacked) {
      await scene.update({ version: '1.1.0' });
      scene.restart();
      scene.want(await scene.publish({ version: '1.2.0' }));
      if (attacked) scene.service.tamper.directive = (directive) => (directive.sequence = 2);
    },
  },
  {
    name: 'signed by a stranger',
    compromised: 'the line',
    expected: { charger: 'stays', code: 'DIRECTIVE_UNSIGNED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (attacked) scene.service.director = testKey();
    },
  },
  {
    name: "signed by another organisation's director",
    compromised: "another organisation's director key",
    expected: { charger: 'stays', code: 'DIRECTIVE_UNSIGNED' },
    async play(scene, attacked) {
      const theirs = testKey();
      const policy = structuredClone(scene.service.policy);
      policy.directors['volta'] = {
        epoch: 2,
        keys: [{ keyId: theirs.id, publicKey: theirs.pem, state: 'active' }],
      };
      scene.service.publishPolicy(policy);
      scene.want(await scene.publish());
      if (attacked) scene.service.director = theirs;
    },
  },
  ...(['retired', 'compromised'] as const).map((state): Attack => ({
    name: `signed by a director key that is ${state}`,
    compromised: 'an earlier director key',
    expected: { charger: 'stays', code: 'DIRECTIVE_UNSIGNED' },
    async play(scene, attacked) {
      const { service } = scene;
      const next = testKey();
      const policy = structuredClone(service.policy);
      policy.directors['acme']?.keys.push({ keyId: next.id, publicKey: next.pem, state: 'active' });
      for (const key of policy.directors['acme']?.keys.slice(0, 1) ?? []) key.state = state;
      service.publishPolicy(policy);
      scene.want(await scene.publish());
      if (!attacked) service.director = next;
    },
  })),
  {
    name: 'with a field that is not known',
    compromised: 'the director of a newer service',
    expected: { charger: 'stays', code: 'DIRECTIVE_MALFORMED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (attacked) scene.service.tamper.directive = (said) => Object.assign(said, { unless: 'it rains' });
    },
  },
  {
    name: 'altered after it was signed',
    compromised: 'the line',
    expected: { charger: 'stays', code: 'DIRECTIVE_UNSIGNED' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (!attacked) return;
      scene.service.tamper.answer = ({ directive }) => {
        const said = Buffer.from(directive.payload, 'base64').toString();
        directive.payload = Buffer.from(said.replace('"sequence":', '"sequence":9')).toString('base64');
      };
    },
  },
  {
    name: 'an activation in the answer to a check-in, without a confirmation',
    compromised: 'director key',
    expected: { charger: 'stays' },
    async play(scene, attacked) {
      scene.want(await scene.publish());
      if (attacked) {
        scene.service.tamper.directive = (directive) => (directive.action = 'activate');
        scene.service.confirmation = 'unavailable';
      }
    },
  },
  {
    name: 'halted while staged: the confirmation says withdraw',
    compromised: 'nobody',
    expected: { charger: 'stays', code: 'DIRECTIVE_WITHDRAWN' },
    async play(scene, attacked) {
      await staged(scene);
      if (attacked) scene.service.confirmation = 'withdraw';
    },
  },
  {
    name: 'halted while staged: the check-in says withdraw',
    compromised: 'nobody',
    expected: { charger: 'stays', code: 'DIRECTIVE_WITHDRAWN' },
    async play(scene, attacked) {
      await staged(scene);
      scene.service.withdrawn = attacked;
    },
  },
  {
    name: 'staged and offline: no live confirmation',
    compromised: 'the line',
    expected: { charger: 'stays', code: 'SERVICE_UNREACHABLE' },
    async play(scene, attacked) {
      await staged(scene);
      if (attacked) scene.line.intruder = (request) => request.socket.destroy().destroyed;
    },
  },
  {
    name: 'staged, and confirmations alone do not come through',
    compromised: 'the line',
    expected: { charger: 'stays', code: 'DIRECTIVE_UNCONFIRMED' },
    async play(scene, attacked) {
      await staged(scene);
      if (attacked) scene.service.confirmation = 'unavailable';
    },
  },
  {
    name: 'a confirmation that was given earlier',
    compromised: 'the line',
    expected: { charger: 'stays', code: 'DIRECTIVE_NONCE' },
    async play(scene, attacked) {
      const { service } = scene;
      const confirm = service.confirm.bind(service);
      await staged(scene);
      if (!attacked) return;
      const early = confirm({ nonce: 'B'.repeat(22), assignment: 'a-1', sha256: 'a'.repeat(64) });
      service.confirm = () => structuredClone(early);
    },
  },
  {
    name: 'a confirmation of another image',
    compromised: 'a fault of the service',
    expected: { charger: 'stays' },
    async play(scene, attacked) {
      const other = await scene.publish({ version: '1.1.0' });
      await staged(scene);
      if (!attacked) return;
      const { path, sha256, length, custom } = other;
      scene.service.tamper.directive = (directive) => {
        if (directive.action !== 'activate') return;
        directive.target = { path, sha256, length, version: custom.version };
      };
    },
  },
];
